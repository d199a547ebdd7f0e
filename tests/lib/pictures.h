/* pictures.h - pictures for tests and benches of the codecs: contents, comparison, and ways to spoil a stream. */
#ifndef TESTS_LIB_PICTURES_H
#define TESTS_LIB_PICTURES_H

#include "spice/codec/image.h"

enum picture_content {
    PICTURE_FLAT,
    PICTURE_NOISE,
    PICTURE_GRADIENT,
    PICTURE_PHOTO, /* smooth with a little noise */
    PICTURE_TEXT,
    PICTURE_UI, /* flat areas, lines, text, one gradient */
    PICTURE_CONTENTS
};

extern const char *const picture_content_names[PICTURE_CONTENTS];

/* A small generator of pseudo-random numbers; any seed will do. */
uint32_t picture_random(uint32_t *state);

/* Draw into the image in its format. Padding between rows is set to random bytes. */
void picture_draw(const struct image *image, enum picture_content content, uint32_t seed);
/* An image with memory of its own (pad bytes more than a row needs); ends the program without memory. */
struct image picture_new(uint8_t format, uint32_t width, uint32_t height, uint32_t pad);
void picture_free(struct image *image);
/* Same size, format and pixels; ignored bits (the fourth byte of 32BIT, the top bit of 16BIT) and padding do not count. */
bool picture_equal(const struct image *a, const struct image *b);

/*
 * Call decode(opaque, data, size) with every prefix of the stream and with `flips` copies that have a few bytes changed.
 * The calls come with memory of exactly that size, so that a sanitizer sees each byte read past it. Returns how many calls
 * of the first kind succeeded.
 */
size_t picture_spoil(const uint8_t *data, size_t size, unsigned flips,
                     int (*decode)(void *opaque, const uint8_t *data, size_t size), void *opaque);

#endif
