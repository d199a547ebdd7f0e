/*
 * viewer.c - our client without a window, looking at a scene that somebody else leads. It ends with status 0 when its
 * picture is what the scene ends with, pixel by pixel.
 *
 *   viewer --port N [--slow MS | --pings N] SCENE
 *
 * Prints "READY" when it has the first picture, and at the end a line of JSON with the CPU time since then, without that of
 * comparing. With --slow it does nothing for MS of each turn of its loop. With --pings it leads the scene itself, as
 * client.c does with that option, and says how long the player's answers took.
 */
#include "base/bytes.h"
#include "base/error.h"
#include "base/log.h"
#include "client/inputs_channel.h"
#include "client/session.h"
#include "tests/display/clocks.h"
#include "tests/display/latency.h"
#include "tests/display/player.h"
#include "tests/display/scene.h"
#include "tests/lib/replay.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LOOK_MS       50
#define PING_AFTER_MS 300

static struct viewer {
    struct scene scene;
    struct replay replay; /* the whole scene */
    struct client_options options;
    struct loop loop;
    struct session session;
    struct outbox outbox;
    struct screen screen;
    uv_timer_t look;
    unsigned slow_ms;
    bool ready, complete;
    double cpu, own_cpu;
    unsigned pings;
    uv_timer_t begin;
    bool pinging;
    struct latency latency;
} viewer;

static uint32_t pixel_at(const struct canvas *c, int32_t x, int32_t y)
{
    return load_le32(c->pixels + (size_t)y * c->stride + (size_t)x * 4) & 0xffffff;
}

static void draw_scene(void)
{
    const struct script *s = viewer.scene.script;

    if (replay_init(&viewer.replay, s))
        die("no memory for a picture");
    for (size_t i = 0; i < s->count; i++)
        if (replay_step(&viewer.replay, &s->steps[i]))
            die("%s", fail_text());
}

static bool shows_all(void)
{
    const struct canvas *c = viewer.screen.displays[0].primary;
    const struct script *s = viewer.scene.script;
    const struct script_primary *p = &s->screen;

    /* The marker of the last slice first: to compare megabytes each time would leave the client no cache. */
    return c && c->width == p->width && c->height == p->height &&
           pixel_at(c, (int32_t)p->width - 1, (int32_t)p->height - 1) == script_marker(s->slices - 1) &&
           replay_compare(&viewer.replay, c->pixels, c->stride, 1) == 0;
}

/* --- pings --- */

static void send_key(uint16_t code)
{
    struct user_event event = {USER_KEY, .key = code, .down = true};

    inputs_event(viewer.session.inputs, &event);
    event.down = false;
    inputs_event(viewer.session.inputs, &event);
}

static void ping(void)
{
    latency_begin(&viewer.latency);
    send_key(PLAYER_PING);
}

/* Something was drawn: perhaps the fill that the last key asked for. */
static void drawn(void *opaque UNUSED)
{
    const struct canvas *c = viewer.screen.displays[0].primary;

    if (!viewer.pinging || !c || !latency_look(&viewer.latency, c->pixels, c->stride))
        return;
    viewer.complete = latency_is_complete(&viewer.latency);
    viewer.pinging = !viewer.complete;
    if (viewer.complete)
        send_key(PLAYER_DONE);
    else
        ping();
}

static void begin_pings(uv_timer_t *timer UNUSED)
{
    if (!viewer.session.inputs)
        die("there is no inputs channel");
    viewer.pinging = true;
    send_key(PLAYER_GO);
    ping();
}

/* --- the end --- */

static void look(uv_timer_t *timer UNUSED)
{
    double before = thread_cpu();

    usleep(viewer.slow_ms * 1000);
    screen_lock(&viewer.screen);
    if (viewer.screen.displays[0].marked && !viewer.ready) {
        viewer.ready = true;
        viewer.cpu = process_cpu();
        printf("READY\n");
        fflush(stdout);
        if (viewer.pings)
            uv_timer_start(&viewer.begin, begin_pings, PING_AFTER_MS, 0);
    }
    if (!viewer.pings)
        viewer.complete = shows_all();
    screen_unlock(&viewer.screen);
    if (viewer.ready)
        viewer.own_cpu += thread_cpu() - before;
    if (viewer.complete)
        session_end(&viewer.session, SESSION_FINISHED, 0);
}

static void ended(void *opaque UNUSED)
{
    uv_timer_stop(&viewer.look);
    loop_stop(&viewer.loop);
}

static void run(void)
{
    screen_init(&viewer.screen);
    viewer.screen.wake = viewer.pings ? drawn : NULL;
    viewer.session.on_gone = ended;
    viewer.session.outbox = &viewer.outbox;
    outbox_init(&viewer.outbox);
    if (loop_init(&viewer.loop) || session_start(&viewer.session, &viewer.loop, &viewer.options, &viewer.screen))
        die("%s", fail_text());
    uv_timer_init(&viewer.loop.uv, &viewer.look);
    uv_timer_init(&viewer.loop.uv, &viewer.begin);
    uv_timer_start(&viewer.look, look, LOOK_MS, viewer.slow_ms ? 1 : LOOK_MS);
    loop_run(&viewer.loop);
}

static bool viewer_option(int c, const char *value)
{
    if (c == 'P')
        snprintf(viewer.options.port, sizeof(viewer.options.port), "%s", value);
    else if (c == 'l')
        viewer.slow_ms = atoi(value);
    else if (c == 'n')
        viewer.pings = atoi(value);
    else
        return scene_option(&viewer.scene, c, value);
    return true;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        SCENE_OPTIONS,          {"port", 1, NULL, 'P'}, {"slow", 1, NULL, 'l'},
        {"pings", 1, NULL, 'n'}, {NULL, 0, NULL, 0}};
    int c;

    log_set_program("viewer");
    scene_init(&viewer.scene);
    snprintf(viewer.options.host, sizeof(viewer.options.host), "127.0.0.1");
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
        if (!viewer_option(c, optarg))
            die("usage: viewer --port N [--slow MS | --pings N] " SCENE_USAGE);
    scene_load(&viewer.scene);
    draw_scene();
    latency_init(&viewer.latency, &viewer.scene.script->screen, viewer.pings);
    run();
    printf("{\"cpu\": %.6f", process_cpu() - viewer.cpu - viewer.own_cpu);
    latency_print(&viewer.latency);
    printf("}\n");
    if (!viewer.complete)
        log_error("%s", viewer.session.reason);
    return !viewer.complete;
}
