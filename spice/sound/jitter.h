/*
 * jitter.h - sound that comes by a network in bursts, and is to be heard evenly: a buffer that is as short as it may be.
 *
 * Packets are pushed as they come; frames are pulled by the device, at its own rate. In between lies a delay: by how much
 * packets have been late of late (lateness.h), a packet, and a device's period. It is kept in three ways, of which none
 * changes what is heard: the ratio of the rates is moved by a thousandth at most and slowly, which takes care of clocks that
 * drift (where both rates are the same only when there is something to correct: else frames are passed on as they are); more is spliced, by whole periods of the sound; and what a stall has added beyond that is left out at once.
 *
 *   gathering --(the delay is there, or nothing follows)--> playing --(nothing is left)--> 20 ms made up --> gathering
 *
 * What is made up goes on from what was heard, and fades. A packet that was late then goes on from that, in a cross-fade.
 *
 * Frames that are pulled are stereo; those that are pushed have one or two channels. Times are any clock's, in nanoseconds.
 * Thread: any, one at a time.
 */
#ifndef SPICE_SOUND_JITTER_H
#define SPICE_SOUND_JITTER_H

#include "spice/sound/lateness.h"
#include "spice/sound/resampler.h"

#define JITTER_LONGEST_MS 2000 /* the delay */
#define JITTER_LOWEST_RATE  4000
#define JITTER_HIGHEST_RATE 192000

struct jitter_stats {
    uint64_t underruns;          /* nothing was left, though nobody had said that it ends */
    uint64_t made_up;            /* frames, at the stream's rate */
    uint64_t left_out, repeated; /* frames: the delay was too long, too short */
};

struct jitter {
    uint32_t rate, rate_out; /* 0: no stream yet */
    struct resampler resampler;
    int16_t (*frames)[2];           /* owned */
    size_t size, at, end;           /* of frames: what was heard ends at `at`, where `part` is between it and the next */
    double part;
    bool gathering, ended;
    size_t made;                    /* the last so many are made up */
    struct lateness lateness;
    uint64_t position;              /* frames pushed, since lateness was begun anew */
    uint64_t pushed_at, pulled_at, spliced_at;
    double pulled;                  /* frames, the last time */
    double late, least;             /* seconds: what is expected; what somebody else wants */
    double wanted, excess;          /* the delay; what there is beyond it, as a slow average */
    double drift, ratio;            /* of the rates, less one: the slow part; all */
    bool resting;                   /* it is one, and frames are passed on as they are */
    struct jitter_stats stats;
};

void jitter_init(struct jitter *j);
void jitter_fini(struct jitter *j);
/*
 * A stream begins. What is left of another one of the same rate is still heard. Rates in frames a second, within what the
 * constants say. 0 or -ENOMEM.
 */
int jitter_start(struct jitter *j, uint32_t rate, uint32_t rate_out);
/* The device is another one. 0 or -ENOMEM: as before. */
int jitter_set_rate_out(struct jitter *j, uint32_t rate_out);
/* It ends: what is there is played, and that it ends then is no fault. */
void jitter_end(struct jitter *j);
/* channels: 1 or 2. More than JITTER_LONGEST_MS push out what waits. */
void jitter_push(struct jitter *j, const int16_t *samples, unsigned channels, size_t frames, uint64_t now);
/* Fills all of it: what is not there is silence. */
void jitter_pull(struct jitter *j, int16_t (*out)[2], size_t frames, uint64_t now);
/* The delay is to be no less than that. */
void jitter_set_least(struct jitter *j, uint32_t ms);
/* Seconds until what was pushed last has been pulled. */
double jitter_delay(const struct jitter *j, uint64_t now);

#endif
