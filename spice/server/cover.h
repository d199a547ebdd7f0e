/*
 * cover.h - runs of strips, given row after row, joined into few rectangles.
 *
 * Runs of the same kind that lie above each other become one rectangle. Where their ends differ by a little, what sticks
 * out is left uncovered: ragged edges would make a rectangle of each row.
 */
#ifndef SPICE_SERVER_COVER_H
#define SPICE_SERVER_COVER_H

#include "base/rect.h"

#define COVER_MAX 256

struct cover {
    size_t count;
    uint32_t slack; /* strips that a row may lose */
    struct cover_rect {
        struct rect rect;
        uint64_t kind; /* the caller's */
    } rects[COVER_MAX];
};

/* A run may start a rectangle or only prolong one. It is left uncovered if it does neither, or there are COVER_MAX. */
void cover_add(struct cover *c, const struct rect *run, uint64_t kind, bool start);
/* Forget the rectangles that are not worth it. */
void cover_prune(struct cover *c, bool (*worth)(void *arg, const struct cover_rect *r), void *arg);

#endif
