/*
 * viewer.c - our client without a window, looking at a scene that somebody else leads. It ends with status 0 when its
 * picture is what the scene ends with, pixel by pixel.
 *
 *   viewer --port N [--slow MS] SCENE
 *
 * Prints "READY" when it has the first picture, and at the end a line of JSON with the CPU time since then, without that of
 * comparing. With --slow it does nothing for MS of each turn of its loop.
 */
#include "base/error.h"
#include "base/log.h"
#include "client/session.h"
#include "tests/display/clocks.h"
#include "tests/display/scene.h"
#include "tests/lib/replay.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LOOK_MS 20

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
} viewer;

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
    const struct script_primary *p = &viewer.scene.script->screen;

    return c && c->width == p->width && c->height == p->height &&
           replay_compare(&viewer.replay, c->pixels, c->stride, 1) == 0;
}

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
    }
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
    viewer.session.on_gone = ended;
    viewer.session.outbox = &viewer.outbox;
    outbox_init(&viewer.outbox);
    if (loop_init(&viewer.loop) || session_start(&viewer.session, &viewer.loop, &viewer.options, &viewer.screen))
        die("%s", fail_text());
    uv_timer_init(&viewer.loop.uv, &viewer.look);
    uv_timer_start(&viewer.look, look, LOOK_MS, viewer.slow_ms ? 1 : LOOK_MS);
    loop_run(&viewer.loop);
}

static bool viewer_option(int c, const char *value)
{
    if (c == 'P')
        snprintf(viewer.options.port, sizeof(viewer.options.port), "%s", value);
    else if (c == 'l')
        viewer.slow_ms = atoi(value);
    else
        return scene_option(&viewer.scene, c, value);
    return true;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        SCENE_OPTIONS, {"port", 1, NULL, 'P'}, {"slow", 1, NULL, 'l'}, {NULL, 0, NULL, 0}};
    int c;

    log_set_program("viewer");
    scene_init(&viewer.scene);
    snprintf(viewer.options.host, sizeof(viewer.options.host), "127.0.0.1");
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
        if (!viewer_option(c, optarg))
            die("usage: viewer --port N [--slow MS] " SCENE_USAGE);
    scene_load(&viewer.scene);
    draw_scene();
    run();
    printf("{\"cpu\": %.6f}\n", process_cpu() - viewer.cpu - viewer.own_cpu);
    if (!viewer.complete)
        log_error("%s", viewer.session.reason);
    return !viewer.complete;
}
