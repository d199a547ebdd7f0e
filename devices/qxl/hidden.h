/*
 * hidden.h - which part of a surface later commands write over, in tiles of 16 by 16 pixels.
 *
 * Looked at from the last command to the first: what a command covers is hidden to those before it, what it reads is not.
 * A tile counts as hidden only as a whole. Coordinates are pixels inside the surface. Not thread-safe.
 */
#ifndef DEVICES_QXL_HIDDEN_H
#define DEVICES_QXL_HIDDEN_H

#include "base/grid.h"

struct hidden {
    uint32_t width, height; /* of the surface */
    struct grid tiles;
};

/* Nothing is hidden. -ENOMEM */
int hidden_init(struct hidden *h, uint32_t width, uint32_t height);
void hidden_fini(struct hidden *h);
void hidden_clear(struct hidden *h);
/* The rectangle is covered: the tiles that lie in it as a whole. */
void hidden_add(struct hidden *h, const struct rect *r);
/* The rectangle is needed: the tiles that it touches. */
void hidden_remove(struct hidden *h, const struct rect *r);
/* What of the rectangle can be seen, and what is hidden between that: empty if it is hidden as a whole. */
struct rect hidden_rest(const struct hidden *h, const struct rect *r);

#endif
