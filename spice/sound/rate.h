/*
 * rate.h - a stream of sound at another rate: all that is pushed comes out, later by the resampler's reach.
 *
 * Frames are stereo, 16 bits. Thread: any, one at a time.
 */
#ifndef SPICE_SOUND_RATE_H
#define SPICE_SOUND_RATE_H

#include "spice/sound/resampler.h"

#define SOUND_RATE_PIECE 480 /* frames of one push, at most */

struct sound_rate {
    struct resampler resampler;
    uint32_t in, out; /* frames a second; in 0: none */
    int16_t frames[SOUND_RATE_PIECE + 2 * RESAMPLER_MOST][2];
    size_t at, end; /* the next frame is between `at` and the one after it, */
    uint64_t part;  /* that many of `out` parts of the way */
};

/* 0 or -errno. fini() before another one. */
int sound_rate_init(struct sound_rate *s, uint32_t in, uint32_t out);
void sound_rate_fini(struct sound_rate *s); /* zeroed is fine */
/* 0..SOUND_RATE_PIECE frames; all that can be had must have been pulled before. */
void sound_rate_push(struct sound_rate *s, const int16_t (*frames)[2], size_t count);
/* The next frame; false: there is none until more is pushed. */
bool sound_rate_pull(struct sound_rate *s, int16_t out[2]);

#endif
