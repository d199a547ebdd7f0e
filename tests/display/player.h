/*
 * player.h - plays a scene into a display device whose server has a client, and measures the server meanwhile.
 *
 * The client leads, by scan codes on its inputs channel, which either server hands on: GO begins, NEXT says that it has the
 * slice, PING wants a small fill, DONE that all is there. Then the measures are printed, a line of JSON, and the loop
 * ends, unless the scene is one to stay for.
 *
 * Thread: scan codes come in the main loop's thread; the scene is played in one of its own, whose CPU time is not counted:
 * it is the guest's.
 */
#ifndef TESTS_DISPLAY_PLAYER_H
#define TESTS_DISPLAY_PLAYER_H

#include "base/loop.h"
#include "tests/display/scene.h"

enum player_key { PLAYER_GO = 0x22, PLAYER_NEXT = 0x1e, PLAYER_PING = 0x10, PLAYER_DONE = 0x2d };

struct player {
    const struct scene *scene;
    struct loop *loop;
    int (*step)(void *device, const struct step *step); /* 0, or -errno with fail_text() */
    void *device;
    /* player.c's: */
    pthread_t thread;
    bool started, ended; /* there is a thread; it was joined */
    double guest_cpu, cpu, wall;
    uint32_t pings;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t next;
    uint32_t acknowledged; /* slices */
    unsigned stalls;       /* slices that the client never acknowledged */
    struct script ping;
};

void player_init(struct player *p, const struct scene *scene, struct loop *loop,
                 int (*step)(void *device, const struct step *step), void *device);
/* The steps that make the scene before the client comes. */
void player_setup(struct player *p);
/* A byte of scan code set 1 from the client. */
void player_scancode(struct player *p, uint8_t code);
/* After the loop: waits for the thread. */
void player_fini(struct player *p);

#endif
