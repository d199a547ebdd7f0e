/*
 * client.c - a viewer on spice-gtk without a window, for tests/bench/display: it leads a player (player.h) through a scene
 * and compares what it shows with the scene drawn plainly (tests/lib/replay.h). One line of JSON tells what it measured.
 *
 *   client --port N [--connect | --idle S | --pings N] [--lossy] [--settle S] SCENE
 *
 * In step pace a slice is acknowledged when its pixels are there, so that no server gains by sending less than it was asked
 * for. The CPU time of comparing and drawing plainly is not counted. --lossy: the marker of a slice is enough. At the end
 * the whole picture has --settle seconds to become equal.
 */
#include "base/error.h"
#include "base/log.h"
#include "tests/display/clocks.h"
#include "tests/display/player.h"
#include "tests/lib/replay.h"

#include <getopt.h>
#include <spice-client.h>
#include <stdio.h>
#include <stdlib.h>

#define CHANNELS      4
#define IDLE_AFTER_MS 3000 /* let what follows a connection come to rest */
#define WARM_UP_PINGS 50

struct client {
    struct scene scene;
    int port;
    bool connect_only, lossy;
    double idle, settle;
    unsigned pings;

    GMainLoop *loop;
    SpiceSession *session;
    SpiceChannel *channels[CHANNELS]; /* main, display, cursor, inputs */
    SpiceDisplayPrimary screen;
    unsigned open;
    enum { CONNECTING, WAITING, PLAYING, SETTLING, ENDED } state;

    struct replay replay;
    size_t at;      /* the script's next step for the replay */
    uint32_t slice; /* that is awaited */

    double connected, full, started, played; /* wall */
    double cpu, own_cpu; /* of the process; of what is not a viewer's work */
    uint64_t bytes[2];   /* of the display channel; all */
    uint64_t bytes_before[2];
    uint64_t invalidations, differing;
    double *latencies, ping_sent;
    unsigned ping_count;
};

static struct client client;

enum { MAIN, DISPLAY, CURSOR, INPUTS };

static void key(guint code)
{
    spice_inputs_channel_key_press(SPICE_INPUTS_CHANNEL(client.channels[INPUTS]), code);
}

/* ---- measures ---- */

static void count_bytes(uint64_t bytes[2])
{
    bytes[0] = bytes[1] = 0;
    for (int i = 0; i < CHANNELS; i++) {
        gulong n = 0;

        if (client.channels[i])
            g_object_get(client.channels[i], "total-read-bytes", &n, NULL);
        bytes[1] += n;
        if (i == DISPLAY)
            bytes[0] = n;
    }
}

static void begin_measuring(void)
{
    count_bytes(client.bytes_before);
    client.invalidations = 0;
    client.own_cpu = 0;
    client.cpu = process_cpu();
    client.started = wall_seconds();
}

static void end_measuring(void)
{
    client.cpu = process_cpu() - client.cpu - client.own_cpu;
    client.played = wall_seconds() - client.started;
    count_bytes(client.bytes);
    for (int i = 0; i < 2; i++)
        client.bytes[i] -= client.bytes_before[i];
}

static void report(void)
{
    printf("{\"connect\": %.6f, \"connect_bytes\": %llu, \"cpu\": %.6f, \"wall\": %.6f, \"display_bytes\": %llu, "
           "\"bytes\": %llu, \"invalidations\": %llu, \"differing\": %llu",
           client.full - client.connected, (unsigned long long)client.bytes_before[1], client.cpu, client.played,
           (unsigned long long)client.bytes[0], (unsigned long long)client.bytes[1],
           (unsigned long long)client.invalidations, (unsigned long long)client.differing);
}

static void end(void)
{
    client.state = ENDED;
    g_main_loop_quit(client.loop);
}

static gboolean end_later(gpointer unused UNUSED)
{
    end();
    return G_SOURCE_REMOVE;
}

static void finish(void)
{
    end_measuring();
    report();
    printf("}\n");
    client.state = ENDED;
    key(PLAYER_DONE);
    spice_inputs_channel_key_release(SPICE_INPUTS_CHANNEL(client.channels[INPUTS]), PLAYER_DONE);
    g_timeout_add(100, end_later, NULL); /* the keys must leave first */
}

/* ---- the picture ---- */

static bool screen_known(void)
{
    const struct script_primary *p = &client.scene.script->screen;

    return client.channels[DISPLAY] && spice_display_channel_get_primary(client.channels[DISPLAY], 0, &client.screen) &&
           client.screen.data &&
           client.screen.width == (gint)p->width && client.screen.height == (gint)p->height;
}

static bool marker_is(uint32_t slice)
{
    const uint8_t *row = client.screen.data + (size_t)(client.screen.height - 1) * client.screen.stride;

    return ((((const uint32_t *)row)[client.screen.width - 1] ^ script_marker(slice)) & 0xffffff) == 0;
}

static bool shows_what_it_should(void)
{
    return replay_compare(&client.replay, client.screen.data, client.screen.stride, 1) == 0;
}

static void replay_next(void)
{
    replay_forget(&client.replay);
    if (replay_slice(&client.replay, client.scene.script, client.slice, &client.at))
        die("%s", fail_text());
}

/* ---- the course of a run ---- */

static void settled(void)
{
    pixman_region32_union_rect(&client.replay.drawn, &client.replay.drawn, 0, 0, client.screen.width,
                               client.screen.height);
    client.differing = replay_compare(&client.replay, client.screen.data, client.screen.stride, UINT64_MAX);
    finish();
}

static gboolean settle_time_is_over(gpointer unused UNUSED)
{
    if (client.state == SETTLING)
        settled();
    return G_SOURCE_REMOVE;
}

static void slice_is_there(void)
{
    if (++client.slice == client.scene.script->slices) {
        settled();
        return;
    }
    replay_next();
    key(PLAYER_NEXT);
}

/* The marker has come, but not all pixels: they get their time if it is the last slice, or else are awaited. */
static void wait_for_rest(void)
{
    if (client.slice + 1 == client.scene.script->slices && client.state == PLAYING) {
        client.state = SETTLING;
        g_timeout_add((guint)(client.settle * 1000), settle_time_is_over, NULL);
    }
}

static void check_slice(void)
{
    bool last = client.slice + 1 == client.scene.script->slices;

    if (!marker_is(client.slice))
        return;
    if (shows_what_it_should() || (client.lossy && !last))
        slice_is_there();
    else
        wait_for_rest();
}

static void ping(void)
{
    client.ping_sent = wall_seconds();
    key(PLAYER_PING);
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void report_pings(void)
{
    double *l = client.latencies + WARM_UP_PINGS;

    qsort(l, client.pings, sizeof(*l), compare_doubles);
    end_measuring();
    report();
    printf(", \"median_us\": %.1f, \"p99_us\": %.1f}\n", l[client.pings / 2] * 1e6, l[client.pings * 99 / 100] * 1e6);
    end();
}

static void pong(gint width, gint height)
{
    if (width < PLAYER_PING_SIZE || height < PLAYER_PING_SIZE)
        return;
    client.latencies[client.ping_count++] = wall_seconds() - client.ping_sent;
    if (client.ping_count == client.pings + WARM_UP_PINGS)
        report_pings();
    else
        ping();
}

static gboolean idle_is_over(gpointer unused UNUSED)
{
    finish();
    return G_SOURCE_REMOVE;
}

static gboolean go(gpointer unused UNUSED)
{
    client.state = PLAYING;
    if (!client.pings && client.idle <= 0)
        replay_next();
    begin_measuring();
    if (client.pings) {
        ping();
        return G_SOURCE_REMOVE;
    }
    key(PLAYER_GO);
    if (client.idle > 0)
        g_timeout_add((guint)(client.idle * 1000), idle_is_over, NULL);
    return G_SOURCE_REMOVE;
}

/* All channels, and the picture that the scene begins with. */
static void check_connected(void)
{
    if (!client.full && screen_known() && shows_what_it_should())
        client.full = wall_seconds();
    if (!client.full || client.open < CHANNELS || client.state != CONNECTING)
        return;
    client.state = WAITING;
    if (client.connect_only) {
        begin_measuring();
        end_measuring();
        report();
        printf("}\n");
        end();
        return;
    }
    g_timeout_add(client.idle > 0 ? IDLE_AFTER_MS : 300, go, NULL);
}

/* ---- what spice-gtk tells ---- */

static void on_invalidate(SpiceChannel *channel UNUSED, gint x UNUSED, gint y UNUSED, gint width, gint height,
                          gpointer unused UNUSED)
{
    double before = thread_cpu();

    client.invalidations++;
    if (client.state == CONNECTING)
        check_connected();
    else if ((client.state == PLAYING || client.state == SETTLING) && screen_known()) {
        if (client.pings)
            pong(width, height);
        else if (client.idle <= 0)
            check_slice();
    }
    client.own_cpu += thread_cpu() - before;
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
    client.latencies = calloc(client.pings + WARM_UP_PINGS, sizeof(double));
}

static void run(void)
{
    char uri[64];

    client.loop = g_main_loop_new(NULL, FALSE);
    client.session = spice_session_new();
    snprintf(uri, sizeof(uri), "spice://127.0.0.1:%d", client.port);
    g_object_set(client.session, "uri", uri, "enable-audio", FALSE, "enable-usbredir", FALSE, "enable-smartcard",
                 FALSE, NULL);
    g_signal_connect(client.session, "channel-new", G_CALLBACK(on_channel), NULL);
    client.connected = wall_seconds();
    if (!spice_session_connect(client.session))
        die("cannot connect to port %d", client.port);
    g_main_loop_run(client.loop);
}

static bool client_option(int c, const char *value)
{
    switch (c) {
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
    default:
        return scene_option(&client.scene, c, value);
    }
}

int main(int argc, char **argv)
{
    static const struct option options[] = {SCENE_OPTIONS,
                                            {"port", 1, NULL, 'P'},
                                            {"connect", 0, NULL, 'C'},
                                            {"lossy", 0, NULL, 'l'},
                                            {"idle", 1, NULL, 'i'},
                                            {"settle", 1, NULL, 's'},
                                            {"pings", 1, NULL, 'n'},
                                            {NULL, 0, NULL, 0}};
    int c;

    log_set_program("client");
    scene_init(&client.scene);
    client.settle = 10;
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
        if (!client_option(c, optarg))
            die("usage: client --port N [--connect | --idle S | --pings N] [--lossy] [--settle S] " SCENE_USAGE);
    scene_load(&client.scene);
    draw_setup();
    run();
    return client.differing != 0;
}
