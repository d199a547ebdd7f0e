/*
 * move_search.h - guesses where content went, for move.h to verify.
 *
 * What moved before often moves so again. Else changed strips that differ from their neighbours are looked for among what the
 * client shows: each that is found says "by (dx, dy)", and what many say is a candidate. Up and down first, in a few
 * columns. If much is left, rows of the surface are hashed at every pixel and looked for everywhere, which finds moves by
 * any distance; where that was in vain (as in a video), it is tried less and less often.
 */
#ifndef SPICE_SERVER_MOVE_SEARCH_H
#define SPICE_SERVER_MOVE_SEARCH_H

#include "spice/server/move.h"

#define MOVE_MAX_FOUND 4

/* What a client's searches remember. */
struct move_memory {
    struct move moves[MOVE_MAX_FOUND]; /* the last one first; 0, 0: none */
    unsigned wait, pause; /* searches by pixels to leave out: still now, and after the next failure */
};

/* This move was of use. */
void move_remember(struct move_memory *memory, const struct move *m);
/* Candidates, the most likely first; at most MOVE_MAX_FOUND. */
size_t move_recall(const struct change *c, const struct move_memory *memory,
                   struct move found[MOVE_MAX_FOUND]);
size_t move_search_vertical(const struct change *c, struct move found[MOVE_MAX_FOUND]);
size_t move_search_pixels(const struct change *c, struct move_memory *memory,
                          struct move found[MOVE_MAX_FOUND]);

#endif
