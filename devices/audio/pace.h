/*
 * pace.h - how many frames of a stream are due by the machine's clock.
 *
 * A sound card's clock is the machine's: it stands still while the machine does. Who comes late is given what is due, but
 * for what is older than PACE_MAX_NS, which is skipped: a burst of old sound helps nobody.
 */
#ifndef DEVICES_AUDIO_PACE_H
#define DEVICES_AUDIO_PACE_H

#include "base/timer.h"
#include "vmm/device.h"

#define PACE_MAX_NS 100000000ull

struct pace {
    uint32_t rate;       /* frames a second; 0: nothing is ever due */
    uint64_t since;      /* ns of the machine's clock... */
    uint64_t frames;     /* ... and what was taken since then */
};

void pace_start(struct pace *p, uint32_t rate, uint64_t now);
/* Frames that are due, `most` at most. */
uint32_t pace_due(struct pace *p, uint64_t now, uint32_t most);
/* At most what is due. */
void pace_take(struct pace *p, uint32_t frames);
/*
 * Nanoseconds until a stream is to be looked after whose buffer has so many frames left: when that ends, and often enough
 * that positions are fresh. UINT64_MAX: nothing is ever due.
 */
uint64_t pace_tick(const struct pace *p, uint32_t frames, uint64_t now);
/* A card's timer, after the least of its streams' ticks; UINT64_MAX: none is needed. A machine that stands still has time. */
void pace_set_timer(struct timer *timer, const struct machine *machine, uint64_t tick);

#endif
