/*
 * guesses.h - who gave wrong passwords lately, so that nobody can try many.
 *
 * Of an address so many are looked at in a minute, and what comes after them is wrong unseen. An IPv6 address counts by its
 * first 64 bits, since the rest is its owner's to choose; all of this host's unix sockets are one. Of a full table the one
 * that was quiet longest is forgotten.
 *
 * Thread: the main loop's.
 */
#ifndef SPICE_SERVER_GUESSES_H
#define SPICE_SERVER_GUESSES_H

#include "base/base.h"

#define GUESSES_MAX       10                   /* that are looked at, ... */
#define GUESSES_WINDOW_NS (60 * 1000000000ull) /* ... in so much time */
#define GUESSES_ADDRESSES 256

struct guesses {
    struct offender {
        uint8_t address[16];
        uint64_t when[GUESSES_MAX]; /* of the last ones, in a ring */
        unsigned next;              /* place in it */
        bool used;
    } offenders[GUESSES_ADDRESSES];
};

/* `peer`: "ADDRESS:PORT", or "unix". `now`: nanoseconds of a clock that only goes on, and is not near its beginning. */
bool guesses_allowed(const struct guesses *g, const char *peer, uint64_t now);
/* A password was wrong. How many that address has given within the time, this one included. */
unsigned guesses_wrong(struct guesses *g, const char *peer, uint64_t now);

#endif
