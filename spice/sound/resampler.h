/*
 * resampler.h - frames between frames: a band-limited kernel (a sinc under Kaiser's window) from a table of phases.
 *
 * Frames are stereo, 16 bits. Which position comes next is the caller's choice at each frame, so that the ratio may change
 * at any time and in steps as small as one likes. Thread: any, one at a time.
 */
#ifndef SPICE_SOUND_RESAMPLER_H
#define SPICE_SOUND_RESAMPLER_H

#include "base/base.h"

#define RESAMPLER_MOST 128 /* of reach */

struct resampler {
    unsigned reach; /* frames that are looked at on each side of a position */
    float *table;   /* owned */
};

/* Rates in frames a second; the lower one bounds what passes. 0 or -errno; resampler_fini() before another one. */
int resampler_init(struct resampler *r, uint32_t rate_in, uint32_t rate_out);
void resampler_fini(struct resampler *r); /* zeroed is fine */
/* What is at `part` (0..1) of the way from frame at[0] to the next; at[-reach + 1] up to at[reach] are there. */
void resampler_frame(const struct resampler *r, const int16_t (*at)[2], double part, int16_t out[2]);

#endif
