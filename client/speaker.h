/*
 * speaker.h - what is to be heard, between the channel that brings it and the device that asks for it: a buffer (jitter.h)
 * and the guest's volume, under a lock.
 *
 * Thread: any; the device's own calls speaker_pull().
 */
#ifndef CLIENT_SPEAKER_H
#define CLIENT_SPEAKER_H

#include "client/gain.h"
#include "spice/sound/jitter.h"

#include <pthread.h>

struct speaker {
    pthread_mutex_t lock;
    struct jitter jitter;
    struct gain gain;
    uint32_t rate_out; /* of the device that there is, or was */
    double period;     /* seconds that the device holds; 0: it is not open */
    bool deaf;         /* there is none: what is pushed is dropped */
};

void speaker_init(struct speaker *s);
void speaker_fini(struct speaker *s);

/* For the channel. */
/* Frames a second, within what jitter.h says; 0 or -ENOMEM. */
int speaker_start(struct speaker *s, uint32_t rate);
void speaker_end(struct speaker *s);
/* Seconds from now until the end of it is heard; where there is no device, as if there were one. */
double speaker_push(struct speaker *s, const int16_t *samples, unsigned channels, size_t frames, uint64_t now_ns);
void speaker_volume(struct speaker *s, const uint16_t *volume, unsigned count);
void speaker_mute(struct speaker *s, bool mute);
void speaker_set_least(struct speaker *s, uint32_t ms);
void speaker_stats(struct speaker *s, struct jitter_stats *stats);

/* For the device. */
/* It is open: its rate, and how many seconds it holds. */
void speaker_opened(struct speaker *s, uint32_t rate, double period);
/* There is none, or it is not needed now (none: false). */
void speaker_closed(struct speaker *s, bool none);
void speaker_pull(struct speaker *s, int16_t (*frames)[2], size_t count, uint64_t now_ns);

#endif
