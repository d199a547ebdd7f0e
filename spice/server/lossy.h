/*
 * lossy.h - the tiles of a surface that a client shows nearly, not exactly: they were sent as JPEG. Each is taken out, to be
 * sent again without loss, when it has rested: it was old at the last lossy_age() and was not drawn since.
 */
#ifndef SPICE_SERVER_LOSSY_H
#define SPICE_SERVER_LOSSY_H

#include "spice/server/fingerprint.h"

struct lossy {
    uint32_t width, height; /* of the surface */
    struct grid young, old;
    bool any;
};

/* -ENOMEM */
int lossy_init(struct lossy *l, uint32_t width, uint32_t height);
void lossy_fini(struct lossy *l);
/* Rectangles of pixels: it is shown nearly; exactly. */
void lossy_add(struct lossy *l, const struct rect *pixels);
void lossy_remove(struct lossy *l, const struct rect *pixels);
/* What is shown there came from (dx, dy) before. */
void lossy_moved(struct lossy *l, const struct rect *to, int32_t dx, int32_t dy);
/* Take out a run of tiles that have rested; false if there are none. In pixels. */
bool lossy_take(struct lossy *l, struct rect *pixels);
/* What is nearly shown there has rested. */
void lossy_rest(struct lossy *l, const struct rect *pixels);
/* Those that are young grow old. */
void lossy_age(struct lossy *l);

#endif
