/*
 * client.c - a viewer on spice-gtk without a window, for tests/bench/display: it leads a player (player.h) through a scene
 * and compares what it shows with the scene drawn plainly (tests/lib/replay.h). One line of JSON tells what it measured.
 *
 *   client [--host ADDRESS] --port N [--connect | --idle S | --pings N] [--lossy] [--settle S] [--cache BYTES] SCENE
 *
 * In step pace a slice is acknowledged when its pixels are there, so that no server gains by sending less than it was asked
 * for. The CPU time of comparing and drawing plainly is not counted. --lossy: the marker of a slice is enough. At the end
 * the whole picture has --settle seconds to become equal.
 */
#include "tests/display/client.h"

#include "base/error.h"
#include "base/log.h"
#include "tests/display/clocks.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#define END_AFTER_MS 100 /* what was sent must leave first */

struct client client;
static bool started;
static const char *host = "127.0.0.1";
static int cache_bytes;

void client_key(guint code)
{
    SpiceInputsChannel *inputs = SPICE_INPUTS_CHANNEL(client.channels[INPUTS]);

    spice_inputs_channel_key_press(inputs, code);
    spice_inputs_channel_key_release(inputs, code);
}

static gboolean end(gpointer unused UNUSED)
{
    g_main_loop_quit(client.loop);
    return G_SOURCE_REMOVE;
}

void client_end(void)
{
    g_timeout_add(END_AFTER_MS, end, NULL);
}

bool client_screen(void)
{
    pixman_image_t *expected = client.replay.surfaces[0];

    return client.channels[DISPLAY] &&
           spice_display_channel_get_primary(client.channels[DISPLAY], 0, &client.screen) && client.screen.data &&
           client.screen.width == pixman_image_get_width(expected) &&
           client.screen.height == pixman_image_get_height(expected);
}

/* All channels, and the picture that the scene begins with. */
static void check_connected(void)
{
    struct measures *m = &client.measured;

    if (m->full == 0 && client_screen() && play_shows_what_it_should())
        m->full = wall_seconds();
    if (m->full == 0 || client.open < CHANNELS || started)
        return;
    started = true;
    play_start();
}

/* ---- what spice-gtk tells ---- */

static void on_invalidate(SpiceChannel *channel UNUSED, gint x UNUSED, gint y UNUSED, gint width UNUSED,
                          gint height UNUSED, gpointer unused UNUSED)
{
    double before = thread_cpu();

    client.measured.invalidations++;
    if (client.state == CONNECTING)
        check_connected();
    else if (client.state != ENDED)
        play_look();
    client.measured.own_cpu += thread_cpu() - before;
}

static void on_event(SpiceChannel *channel UNUSED, SpiceChannelEvent event, gpointer unused UNUSED)
{
    if (event == SPICE_CHANNEL_OPENED) {
        client.open++;
        check_connected();
    } else if (event != SPICE_CHANNEL_SWITCHING && client.state != ENDED) {
        die("a channel was lost: event %d", event);
    }
}

static void on_channel(SpiceSession *session UNUSED, SpiceChannel *channel, gpointer unused UNUSED)
{
    int i = SPICE_IS_MAIN_CHANNEL(channel)      ? MAIN
            : SPICE_IS_DISPLAY_CHANNEL(channel) ? DISPLAY
            : SPICE_IS_CURSOR_CHANNEL(channel)  ? CURSOR
            : SPICE_IS_INPUTS_CHANNEL(channel)  ? INPUTS
                                                : -1;

    if (i < 0)
        return;
    client.channels[i] = channel;
    g_signal_connect(channel, "channel-event", G_CALLBACK(on_event), NULL);
    if (i == DISPLAY)
        g_signal_connect(channel, "display-invalidate", G_CALLBACK(on_invalidate), NULL);
    if (i != MAIN)
        spice_channel_connect(channel);
}

/* ---- start ---- */

static void draw_setup(void)
{
    const struct script *s = client.scene.script;

    if (replay_init(&client.replay, s))
        die("no memory for a picture");
    for (; client.at < s->setup; client.at++)
        if (replay_step(&client.replay, &s->steps[client.at]))
            die("%s", fail_text());
    latency_init(&client.latency, &s->screen, client.pings);
}

static void run(void)
{
    char uri[64];

    client.loop = g_main_loop_new(NULL, FALSE);
    client.session = spice_session_new();
    snprintf(uri, sizeof(uri), "spice://%s:%d", host, client.port);
    g_object_set(client.session, "uri", uri, "enable-audio", FALSE, "enable-usbredir", FALSE, "enable-smartcard",
                 FALSE, NULL);
    if (cache_bytes)
        g_object_set(client.session, "cache-size", cache_bytes, "glz-window-size", cache_bytes, NULL);
    g_signal_connect(client.session, "channel-new", G_CALLBACK(on_channel), NULL);
    client.measured.connected = wall_seconds();
    if (!spice_session_connect(client.session))
        die("cannot connect to port %d", client.port);
    g_main_loop_run(client.loop);
}

static bool client_option(int c, const char *value)
{
    switch (c) {
    case 'h':
        host = value;
        return true;
    case 'P':
        client.port = atoi(value);
        return true;
    case 'C':
        client.connect_only = true;
        return true;
    case 'l':
        client.lossy = true;
        return true;
    case 'i':
        client.idle = atof(value);
        return true;
    case 's':
        client.settle = atof(value);
        return true;
    case 'n':
        client.pings = atoi(value);
        return true;
    case 'b':
        cache_bytes = atoi(value);
        return true;
    default:
        return scene_option(&client.scene, c, value);
    }
}

int main(int argc, char **argv)
{
    static const struct option options[] = {SCENE_OPTIONS,
                                            {"host", 1, NULL, 'h'},
                                            {"port", 1, NULL, 'P'},
                                            {"connect", 0, NULL, 'C'},
                                            {"lossy", 0, NULL, 'l'},
                                            {"idle", 1, NULL, 'i'},
                                            {"settle", 1, NULL, 's'},
                                            {"pings", 1, NULL, 'n'},
                                            {"cache", 1, NULL, 'b'},
                                            {NULL, 0, NULL, 0}};
    int c;

    log_set_program("client");
    scene_init(&client.scene);
    client.settle = 10;
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
        if (!client_option(c, optarg))
            die("usage: client [--host ADDRESS] --port N [--connect | --idle S | --pings N] [--lossy] [--settle S] "
                "[--cache BYTES] " SCENE_USAGE);
    scene_load(&client.scene);
    draw_setup();
    run();
    return client.measured.differing != 0;
}
