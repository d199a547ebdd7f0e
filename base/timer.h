/*
 * timer.h - a one-shot timer that any thread may set and that fires in a loop's thread.
 *
 * Finer than libuv's milliseconds: devices with periods of 100 us use it. A timer set anew or stopped while its call is
 * already on the way may still call once: the callback looks at the state it serves, not at having been called.
 */
#ifndef BASE_TIMER_H
#define BASE_TIMER_H

#include "base/loop.h"

struct timer {
    int fd;
    uv_poll_t *poll; /* libuv frees it late, so it lives on the heap */
    void (*fn)(void *opaque);
    void *opaque;
};

/* In the loop's thread. Returns 0 or -errno. */
int timer_init(struct timer *timer, struct loop *loop, void (*fn)(void *opaque), void *opaque);
/* In the loop's thread; no call comes afterwards. A zeroed timer is fine. */
void timer_fini(struct timer *timer);
/* Fire once, `delay` nanoseconds from now (0: at once). Any thread. */
void timer_set(struct timer *timer, uint64_t delay);
void timer_stop(struct timer *timer);

#endif
