/*
 * microphone.h - what was spoken, between the device that brings it and the channel that sends it: a ring under a lock, and
 * a signal for the channel's loop. When it is full the oldest is lost.
 *
 * Frames are stereo. Thread: any; the device's own calls microphone_hear(), the loop's the rest.
 */
#ifndef CLIENT_MICROPHONE_H
#define CLIENT_MICROPHONE_H

#include "base/loop.h"
#include "client/gain.h"

#include <pthread.h>

#define MICROPHONE_FRAMES 16384 /* a power of two; 85 ms at the highest rate, a third of a second at the usual one */

struct microphone {
    pthread_mutex_t lock;
    struct notifier heard;
    int16_t ring[MICROPHONE_FRAMES][2];
    uint64_t begin, end; /* frames so far: of those from begin to end the n-th is at n % MICROPHONE_FRAMES */
    struct gain gain;    /* the guest's; in the loop's thread */
    uint64_t lost;
};

/* 0 or -errno. */
int microphone_init(struct microphone *m);
void microphone_fini(struct microphone *m);
void microphone_hear(struct microphone *m, const int16_t (*frames)[2], size_t count);
/* What is there is forgotten. */
void microphone_clear(struct microphone *m);
/* So many frames, if there are: true. */
bool microphone_take(struct microphone *m, int16_t (*frames)[2], size_t count);

#endif
