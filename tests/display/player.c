#include "tests/display/player.h"

#include "base/error.h"
#include "base/log.h"
#include "tests/display/clocks.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* A client that says nothing for so long has lost a slice: the play goes on, and the measures say so. */
#define STALL_SECONDS 10
#define KEY_RELEASED  0x80

void player_init(struct player *p, const struct scene *scene, struct loop *loop,
                 int (*step)(void *device, const struct step *step), void *device)
{
    *p = (struct player){.scene = scene, .loop = loop, .step = step, .device = device};
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->next, NULL);
    if (script_init(&p->ping))
        die("%s", fail_text());
    p->ping.screen = scene->script->screen;
}

static void do_step(struct player *p, const struct step *step)
{
    if (p->step(p->device, step))
        die("%s", fail_text());
}

void player_setup(struct player *p)
{
    for (size_t i = 0; i < p->scene->script->setup; i++)
        do_step(p, &p->scene->script->steps[i]);
}

/* --- the guest's thread --- */

static void wait_for_client(struct player *p, uint32_t slice)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += STALL_SECONDS;
    pthread_mutex_lock(&p->lock);
    while (p->acknowledged <= slice)
        if (pthread_cond_timedwait(&p->next, &p->lock, &until) == ETIMEDOUT) {
            p->stalls++;
            p->acknowledged = slice + 1;
        }
    pthread_mutex_unlock(&p->lock);
}

static void sleep_until(double due)
{
    struct timespec t = {(time_t)due, (long)((due - (double)(time_t)due) * 1e9)};

    if (due > wall_seconds())
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

static void *play(void *arg)
{
    struct player *p = arg;
    const struct script *s = p->scene->script;
    double start = wall_seconds();
    uint32_t slice = 0;

    for (size_t i = s->setup; i < s->count; i++) {
        const struct step *step = &s->steps[i];

        if (step->slice != slice && p->scene->pace == PACE_STEP)
            wait_for_client(p, slice);
        slice = step->slice;
        if (p->scene->pace == PACE_TIME)
            sleep_until(start + (double)step->us / 1e6);
        do_step(p, step);
    }
    p->guest_cpu = thread_cpu();
    return NULL;
}

/* --- the client's wishes --- */

static void go(struct player *p)
{
    if (p->started)
        return;
    p->started = true;
    p->cpu = process_cpu();
    p->wall = wall_seconds();
    if (pthread_create(&p->thread, NULL, play, p))
        die("no thread for the guest");
}

static void next(struct player *p)
{
    pthread_mutex_lock(&p->lock);
    p->acknowledged++;
    pthread_cond_signal(&p->next);
    pthread_mutex_unlock(&p->lock);
}

/* In the main loop's thread, while the guest's own does not play. */
static void ping(struct player *p)
{
    QXLRect box = scene_ping_box(&p->ping.screen, p->pings);

    script_fill(&p->ping, 0, box, script_marker(p->pings++));
    do_step(p, &p->ping.steps[p->ping.count - 1]);
}

/* All was shown, so the guest's thread has nothing left to do. */
static void done(struct player *p)
{
    double cpu = process_cpu() - p->cpu, wall = wall_seconds() - p->wall;

    if (p->ended)
        return;
    p->ended = true;
    if (p->started)
        pthread_join(p->thread, NULL);
    else
        cpu = wall = 0;
    printf("{\"cpu\": %.6f, \"guest_cpu\": %.6f, \"wall\": %.6f, \"slices\": %u, \"stalls\": %u}\n",
           cpu - p->guest_cpu, p->guest_cpu, wall, p->scene->script->slices, p->stalls);
    fflush(stdout);
}

void player_scancode(struct player *p, uint8_t code)
{
    switch (code) {
    case PLAYER_GO:
        go(p);
        break;
    case PLAYER_NEXT:
        next(p);
        break;
    case PLAYER_PING:
        ping(p);
        break;
    case PLAYER_DONE:
        done(p);
        break;
    case PLAYER_DONE | KEY_RELEASED:
        if (!p->scene->stay)
            loop_stop(p->loop);
        break;
    default: /* other keys' releases */
        break;
    }
}

void player_fini(struct player *p)
{
    if (p->started && !p->ended)
        pthread_join(p->thread, NULL);
    script_fini(&p->ping);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->next);
}
