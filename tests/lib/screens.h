/*
 * screens.h - a surface, what a client shows of it in truth, and what the server has in mind of both: for tests of moves.
 * Rectangles are of pixels, if not called strips; what must not be fails the test.
 */
#ifndef TESTS_LIB_SCREENS_H
#define TESTS_LIB_SCREENS_H

#include "spice/server/move.h"
#include "tests/lib/pictures.h"

struct screens {
    struct image now, client;
    struct display_surface surface;
    struct fingerprint print;
    struct view view;
    struct grid changed, scratch;
    struct change change; /* of the last screens_compare() */
};

/* Both black; the server knows nothing of the client. */
void screens_open(struct screens *s, uint32_t width, uint32_t height);
void screens_close(struct screens *s);
uint32_t *screens_pixel(const struct image *image, int32_t x, int32_t y);

/* Content of a rectangle goes by (dx, dy), as far as it stays in it; what it leaves is noise. */
void screens_shift(struct screens *s, struct rect r, int32_t dx, int32_t dy, uint32_t *seed);
/* What is (dx, dy) before the rectangle comes into it. */
void screens_drag(struct screens *s, struct rect to, int32_t dx, int32_t dy);

/* All of the surface may have changed: find out what did; returns how many strips. */
uint32_t screens_compare(struct screens *s);
/* The client moves pixels, one rectangle after the other, each as far as it lies in `limit` (NULL: all of it). */
void screens_copy(struct screens *s, const struct move *m, struct cover *cover,
                  const struct rect *limit);
/* The client gets these strips as they are now; the server is not told. */
void screens_show(struct screens *s, const struct rect *strips);
/* The client and the server get all as it is now. */
void screens_show_all(struct screens *s);
/* The strips that are not called changed are what the client shows; then it gets the rest. */
void screens_finish(struct screens *s);

#endif
