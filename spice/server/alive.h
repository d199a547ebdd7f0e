/*
 * alive.h - whether a peer still answers: who has said nothing for a while is asked, and then has his patience's time.
 *
 * TCP says that a host is there, not that a program reads. Anything that came counts as an answer, and so does that what had
 * been stuck went on: who takes bytes slowly is not dead.
 *
 * Thread: the loop's.
 */
#ifndef SPICE_SERVER_ALIVE_H
#define SPICE_SERVER_ALIVE_H

#include "base/loop.h"

struct alive;

struct alive_ops {
    /* Ask the peer; false: it cannot be asked now, and need not answer. */
    bool (*ask)(struct alive *a);
    /* It was asked, and said nothing. */
    void (*dead)(struct alive *a);
};

struct alive {
    const struct alive_ops *ops;
    uv_timer_t timer; /* the owner closes it */
    unsigned patience; /* milliseconds */
    bool heard, asked;
};

/* patience: milliseconds that an answer may take; half of that it may be silent before it is asked. 0: it is never asked. */
void alive_init(struct alive *a, struct loop *loop, const struct alive_ops *ops, unsigned patience);

static inline void alive_heard(struct alive *a)
{
    a->heard = true;
}

#endif
