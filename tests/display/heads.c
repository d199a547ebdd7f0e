/*
 * heads.c - a viewer on spice-gtk without a window, which wants monitors as its standard input says:
 *
 *   heads [--host ADDRESS] --port N
 *
 *   want ID WIDTH HEIGHT X Y     monitor ID shall be so large, and there; said to the server by
 *   off ID                       monitor ID shall be off
 *   send                         telling the agent all of that, as a window that was resized does
 *
 * It prints what it hears: "agent 0|1", "primary CHANNEL WIDTH HEIGHT", and "monitors CHANNEL MAX ID:WxH+X+Y...".
 */
#include "base/base.h"
#include "base/log.h"

#include <getopt.h>
#include <spice-client.h>
#include <stdio.h>
#include <stdlib.h>

static GMainLoop *loop;
static SpiceMainChannel *main_channel;

/* ---- what spice-gtk tells ---- */

static void on_monitors(SpiceChannel *channel, GParamSpec *unused UNUSED, gpointer opaque UNUSED)
{
    GArray *monitors = NULL;
    guint max;
    int id;

    g_object_get(channel, "monitors", &monitors, "monitors-max", &max, "channel-id", &id, NULL);
    printf("monitors %d %u", id, max);
    for (guint i = 0; monitors && i < monitors->len; i++) {
        const SpiceDisplayMonitorConfig *m = &g_array_index(monitors, SpiceDisplayMonitorConfig, i);

        printf(" %u:%ux%u+%u+%u", m->id, m->width, m->height, m->x, m->y);
    }
    printf("\n");
    g_clear_pointer(&monitors, g_array_unref);
}

static void on_primary(SpiceChannel *channel, gint format UNUSED, gint width, gint height, gint stride UNUSED,
                       gint shmid UNUSED, gpointer data UNUSED, gpointer opaque UNUSED)
{
    int id;

    g_object_get(channel, "channel-id", &id, NULL);
    printf("primary %d %d %d\n", id, width, height);
}

static void on_agent(SpiceMainChannel *channel, GParamSpec *unused UNUSED, gpointer opaque UNUSED)
{
    gboolean connected;

    g_object_get(channel, "agent-connected", &connected, NULL);
    printf("agent %d\n", connected);
}

static void on_event(SpiceChannel *channel UNUSED, SpiceChannelEvent event, gpointer opaque UNUSED)
{
    if (event == SPICE_CHANNEL_OPENED || event == SPICE_CHANNEL_SWITCHING)
        return;
    printf("lost %d\n", event);
    g_main_loop_quit(loop);
}

static void on_channel(SpiceSession *session UNUSED, SpiceChannel *channel, gpointer opaque UNUSED)
{
    g_signal_connect(channel, "channel-event", G_CALLBACK(on_event), NULL);
    if (SPICE_IS_MAIN_CHANNEL(channel)) {
        main_channel = SPICE_MAIN_CHANNEL(channel);
        g_signal_connect(channel, "notify::agent-connected", G_CALLBACK(on_agent), NULL);
        return;
    }
    if (!SPICE_IS_DISPLAY_CHANNEL(channel))
        return;
    g_signal_connect(channel, "notify::monitors", G_CALLBACK(on_monitors), NULL);
    g_signal_connect(channel, "display-primary-create", G_CALLBACK(on_primary), NULL);
    spice_channel_connect(channel);
}

/* ---- what is wanted ---- */

static void command(const char *line)
{
    int id, width, height, x, y;

    if (sscanf(line, "want %d %d %d %d %d", &id, &width, &height, &x, &y) == 5) {
        spice_main_channel_update_display_enabled(main_channel, id, TRUE, FALSE);
        spice_main_channel_update_display(main_channel, id, x, y, width, height, FALSE);
    } else if (sscanf(line, "off %d", &id) == 1) {
        spice_main_channel_update_display_enabled(main_channel, id, FALSE, FALSE);
    } else if (g_str_has_prefix(line, "send")) {
        spice_main_channel_send_monitor_config(main_channel);
    } else {
        die("what is '%s'?", line);
    }
}

static gboolean on_input(GIOChannel *input, GIOCondition condition UNUSED, gpointer opaque UNUSED)
{
    gchar *line = NULL;

    if (g_io_channel_read_line(input, &line, NULL, NULL, NULL) != G_IO_STATUS_NORMAL) {
        g_main_loop_quit(loop);
        return G_SOURCE_REMOVE;
    }
    command(line);
    g_free(line);
    return G_SOURCE_CONTINUE;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"host", 1, NULL, 'h'}, {"port", 1, NULL, 'p'}, {NULL, 0, NULL, 0}};
    const char *host = "127.0.0.1", *port = NULL;
    SpiceSession *session = spice_session_new();
    int c;

    log_set_program("heads");
    setvbuf(stdout, NULL, _IOLBF, 0);
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (c == 'h')
            host = optarg;
        else if (c == 'p')
            port = optarg;
        else
            die("usage: heads [--host ADDRESS] --port N");
    }
    g_object_set(session, "host", host, "port", port, NULL);
    g_signal_connect(session, "channel-new", G_CALLBACK(on_channel), NULL);
    loop = g_main_loop_new(NULL, FALSE);
    g_io_add_watch(g_io_channel_unix_new(0), G_IO_IN | G_IO_HUP, on_input, NULL);
    if (!port || !spice_session_connect(session))
        die("cannot connect to %s, port %s", host, port);
    g_main_loop_run(loop);
    spice_session_disconnect(session);
    return 0;
}
