/*
 * grace.h - who was lost: a viewer whose link broke may come back with the password that it had, though that has expired or
 * been replaced meanwhile.
 *
 * Each session that was lost has one return, for a minute, from its address, with its password. Whoever else comes, from
 * there or from elsewhere, with this password or another, finds what there is for everybody. A session that we ended, or
 * that said good-bye, was not lost.
 *
 * Thread: the main loop's.
 */
#ifndef SPICE_SERVER_GRACE_H
#define SPICE_SERVER_GRACE_H

#include "base/base.h"

#include <spice/protocol.h>

#define GRACE_NS     (60 * 1000000000ull)
#define GRACE_PLACES 32 /* of a full table the oldest gives way */

struct grace {
    struct lost {
        uint8_t address[16];
        char password[SPICE_MAX_PASSWORD_LENGTH + 1]; /* "": a free place */
        bool view_only;
        uint64_t until; /* nanoseconds */
    } places[GRACE_PLACES];
};

/* A session was lost. `peer`: "ADDRESS:PORT", or "unix"; password: "": it had none, and nothing is noted. `now`: nanoseconds. */
void grace_add(struct grace *g, const char *peer, const char *password, bool view_only, uint64_t now);
/* The first, or with `after` the next, of those who may come back from there; NULL: there are no more. */
struct lost *grace_next(struct grace *g, const char *peer, uint64_t now, const struct lost *after);
/* It has come back. */
void grace_take(struct lost *lost);
/* Nobody may come back. */
void grace_clear(struct grace *g);

#endif
