/*
 * look.c - a viewer on spice-gtk, without a window, that takes a picture of what tests/foreign/draws.c shows in the end, or
 * of what is to be seen after a while:
 *
 *   look --port N --picture FILE [--after SECONDS]
 *
 * spicy-screenshot would take the first picture that it gets.
 */
#include "backend/screenshot.h"
#include "base/base.h"
#include "base/error.h"
#include "base/log.h"

#include <getopt.h>
#include <spice-client.h>
#include <stdlib.h>
#include <string.h>

#define SHEET_MARK 0x3577ab

static struct look {
    GMainLoop *loop;
    const char *picture;
    unsigned after; /* seconds; 0: when all was drawn */
    SpiceChannel *display;
} look;

static gboolean take(gpointer opaque UNUSED)
{
    SpiceDisplayPrimary primary;
    struct screenshot shot;

    if (!spice_display_channel_get_primary(look.display, 0, &primary))
        die("there is no picture");
    shot = (struct screenshot){(uint32_t)primary.width, (uint32_t)primary.height,
                               calloc((size_t)primary.width * primary.height, 4)};
    for (int y = 0; y < primary.height; y++)
        memcpy(shot.pixels + (size_t)y * shot.width, primary.data + (ptrdiff_t)y * primary.stride, shot.width * 4);
    if (screenshot_save(&shot, look.picture, SCREENSHOT_BY_NAME))
        die("%s", fail_text());
    screenshot_fini(&shot);
    g_main_loop_quit(look.loop);
    return G_SOURCE_REMOVE;
}

/* The strip comes with the last picture of all. */
static void on_invalidate(SpiceChannel *channel, gint x UNUSED, gint y UNUSED, gint w UNUSED, gint h UNUSED,
                          gpointer opaque UNUSED)
{
    SpiceDisplayPrimary p;
    uint32_t pixel;

    if (!spice_display_channel_get_primary(channel, 0, &p) || p.stride != p.width * 4)
        return;
    memcpy(&pixel, p.data + (ptrdiff_t)p.height * p.stride - 4, 4);
    if (look.after || (pixel & 0xffffff) != SHEET_MARK || look.display)
        return;
    look.display = channel;
    g_idle_add(take, NULL);
}

static void on_event(SpiceChannel *channel UNUSED, SpiceChannelEvent event, gpointer opaque UNUSED)
{
    if (event != SPICE_CHANNEL_OPENED && event != SPICE_CHANNEL_SWITCHING)
        die("a channel was lost: %d", event);
}

static void on_channel(SpiceSession *session UNUSED, SpiceChannel *channel, gpointer opaque UNUSED)
{
    g_signal_connect(channel, "channel-event", G_CALLBACK(on_event), NULL);
    if (!SPICE_IS_DISPLAY_CHANNEL(channel))
        return;
    g_signal_connect(channel, "display-invalidate", G_CALLBACK(on_invalidate), NULL);
    if (look.after)
        look.display = channel;
    spice_channel_connect(channel);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"port", 1, NULL, 'p'},  {"picture", 1, NULL, 'o'}, {"after", 1, NULL, 'a'},
                                            {NULL, 0, NULL, 0}};
    SpiceSession *session = spice_session_new();
    const char *port = NULL;
    int c;

    log_set_program("look");
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (c == 'p')
            port = optarg;
        else if (c == 'o')
            look.picture = optarg;
        else if (c == 'a')
            look.after = (unsigned)atoi(optarg);
        else
            die("usage: look --port N --picture FILE [--after SECONDS]");
    }
    g_object_set(session, "host", "127.0.0.1", "port", port, NULL);
    g_signal_connect(session, "channel-new", G_CALLBACK(on_channel), NULL);
    look.loop = g_main_loop_new(NULL, FALSE);
    if (!port || !look.picture || !spice_session_connect(session))
        die("cannot connect to port %s", port);
    if (look.after)
        g_timeout_add_seconds(look.after, take, NULL);
    g_main_loop_run(look.loop);
    return 0;
}
