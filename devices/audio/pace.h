/*
 * pace.h - how many frames of a stream are due by the machine's clock.
 *
 * A sound card's clock is the machine's: it stands still while the machine does. Who comes late is given what is due, but
 * for what is older than PACE_MAX_NS, which is skipped: a burst of old sound helps nobody.
 */
#ifndef DEVICES_AUDIO_PACE_H
#define DEVICES_AUDIO_PACE_H

#include "base/base.h"

#define PACE_MAX_NS 100000000ull

struct pace {
    uint32_t rate;       /* frames a second; 0: nothing is ever due */
    uint64_t since;      /* ns of the machine's clock... */
    uint64_t frames;     /* ... and what was taken since then */
};

void pace_start(struct pace *p, uint32_t rate, uint64_t now);
/* Frames that are due. */
uint32_t pace_due(struct pace *p, uint64_t now);
/* At most what is due. */
void pace_take(struct pace *p, uint32_t frames);
/* Nanoseconds until so many are due. */
uint64_t pace_until(const struct pace *p, uint32_t frames, uint64_t now);

#endif
