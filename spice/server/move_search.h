/*
 * move_search.h - guesses where content went, for move.h to verify.
 *
 * Changed strips that differ from their neighbours are looked for among what the client shows: each that is found says
 * "by (dx, dy)", and what many say is a candidate. That finds every move up, down, and by whole strips sideways. If much is
 * left, rows of the surface are hashed at every pixel and looked for the same way, which finds moves by any distance;
 * where that was in vain (as in a video), it is tried less and less often.
 */
#ifndef SPICE_SERVER_MOVE_SEARCH_H
#define SPICE_SERVER_MOVE_SEARCH_H

#include "spice/server/move.h"

#define MOVE_MAX_FOUND 4

/* What a client's searches remember. */
struct move_patience {
    unsigned wait, pause; /* rolling searches to leave out: still now, and after the next failure */
};

/* Candidates, the most likely first; at most MOVE_MAX_FOUND. */
size_t move_search_strips(const struct change *c, struct move found[MOVE_MAX_FOUND]);
size_t move_search_pixels(const struct change *c, struct move_patience *patience,
                          struct move found[MOVE_MAX_FOUND]);

#endif
