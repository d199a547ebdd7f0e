/*
 * edges.h - a rectangle that the guest copied up or down, to the pixel: also strips that it covers only in part.
 *
 * Such a strip has pixels that moved, inside of the rectangle, and pixels that stayed, so its hash is found nowhere. But it
 * is the sum of the hashes of the two parts. Where these are known of what the client shows, they can be compared with
 * those of the surface one by one: a copy of the rectangle makes a strip what it is now if the inside comes from a strip
 * with that inside, and the outside is what it was. They are known of strips that the surface had at the last copy with the
 * same edge, and of those whose hash is the sum of parts that it has now: the outside there, the inside there or where it
 * went. So a wrong rectangle proves nothing and does no harm.
 */
#ifndef SPICE_SERVER_EDGES_H
#define SPICE_SERVER_EDGES_H

#include "spice/server/move.h"

struct edge {
    int32_t column;    /* of strips; -1: there is no edge that cuts strips */
    uint32_t from, to; /* the pixels of a strip that are inside */
    struct edge_row {
        uint64_t whole, inside; /* a strip with the hash `whole` has that inside: true for ever */
        uint64_t now;           /* the inside of the surface's strip, during edges_take() */
    } *rows;
};

/* A client's. */
struct edges {
    struct edge left, right;
};

/* For a surface so high. -ENOMEM */
int edges_init(struct edges *e, uint32_t height);
void edges_fini(struct edges *e);
/*
 * What of the copy is proved and worth moving, as move_take() has it; of each rectangle the caller sends what lies in
 * copied->to. Nothing, if the copy is not up or down or move_take() would find all of it.
 */
void edges_take(struct edges *e, struct change *c, const struct copied *copied, struct cover *cover);

#endif
