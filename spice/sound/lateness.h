/*
 * lateness.h - how much later than the earliest ones packets of a stream come, over the last half minute: what a buffer must
 * hold so that it does not run dry.
 *
 * A packet's position in the stream is compared with the time of its arrival. Both clocks may differ by some 1e-4: over that
 * time it is next to nothing. Thread: any, one at a time.
 */
#ifndef SPICE_SOUND_LATENESS_H
#define SPICE_SOUND_LATENESS_H

#include "base/base.h"

#define LATENESS_SECONDS 32

struct lateness {
    struct {
        uint64_t second; /* which one; 0: none yet */
        int64_t least, most;
    } kept[LATENESS_SECONDS]; /* by its second */
    uint64_t first; /* second */
};

/* Begin anew: positions are others from now on. */
void lateness_reset(struct lateness *l);
/* Returns by how much this one came later than the earliest. All in nanoseconds. */
int64_t lateness_add(struct lateness *l, uint64_t position, uint64_t now);
/*
 * The most there was, in nanoseconds. The worst second is left out if it is the only one like it: one stall does not make
 * all that follows late. Negative: it is too early to say.
 */
int64_t lateness_most(const struct lateness *l);

#endif
