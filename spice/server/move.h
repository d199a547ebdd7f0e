/*
 * move.h - content that the client shows already, elsewhere: found and moved by COPY_BITS.
 *
 * A strip of the screen may come from (dx, dy) away if what the client shows there has the hash of what is to be here.
 * That is known exactly, as the hashes of what the client shows are; only where to look must be guessed: the guest's own
 * copies are hints, and move_search.h finds the rest. The client's strips lie at multiples of STRIP; if dx is none, the
 * surface's pixels are hashed where the client's strips would have come to.
 */
#ifndef SPICE_SERVER_MOVE_H
#define SPICE_SERVER_MOVE_H

#include "spice/server/cover.h"
#include "spice/server/fingerprint.h"

/* Pixels that go by (dx, dy): what is at (x, y) was at (x - dx, y - dy). */
struct move {
    int32_t dx, dy;
};

/* A rectangle of pixels that the guest moved: where it is now. Empty: none. */
struct copied {
    struct rect to;
    struct move by;
};

/* All that an update knows; it lives as long as that. */
struct change {
    const struct display_surface *surface;
    const struct strip_key *key;
    const struct strip_map *now;
    struct view *view;
    struct grid *changed;   /* strips that are still to be sent */
    struct grid *scratch;   /* of the same size */
    struct rect bounds;     /* of changed, in strips */
    uint32_t count;         /* of changed, or a little more */
};

/* Then these pixels came from (dx, dy) before, on the surface: what came by both is kept; if none did, the last one. */
void copied_add(struct copied *copied, const struct rect *to, int32_t dx, int32_t dy);

/* These strips have been dealt with: the client shows them as they are now. */
void change_done(struct change *c, const struct rect *strips);

/* Whether it moved so in this place: a guess for the strip, certain for the pixels at column * STRIP + dx mod STRIP. */
bool move_fits(const struct change *c, const struct move *m, int32_t column, int32_t y);
/* Where the content of `bounds` may have come from by this move: the strips of scratch. Returns how many of them changed. */
uint32_t move_verify(const struct change *c, const struct move *m);
/*
 * What is worth moving, as rectangles of strips. They are taken from the changed ones and shown from now on; the caller sends
 * them as move_next() has them: each pixel comes from where it was before any was moved.
 */
void move_take(struct change *c, const struct move *m, struct cover *cover);
/*
 * The same of strips that are in scratch already. They reach out of `inside` by at most one column to the left and right,
 * and are not joined with those that do not.
 */
void move_take_verified(struct change *c, const struct rect *inside, struct cover *cover);
/* Take out a rectangle that overwrites nothing which the others still need; false when there is none left. */
bool move_next(struct cover *cover, const struct move *m, struct rect *strips);

#endif
