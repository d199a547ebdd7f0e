/*
 * content.h - which codec suits a picture, guessed from a sample of its pixels.
 *
 * The guess is of bytes, not of a class: what QUIC and what LZ would need. It looks at 1,280 pixels at most and takes
 * some microseconds whatever the picture's size.
 */
#ifndef SPICE_CODEC_CONTENT_H
#define SPICE_CODEC_CONTENT_H

#include "spice/codec/image.h"

struct content_guess {
    uint32_t quic, lz; /* bits for a pixel, times 256 */
};

/* 16BIT, 24BIT, 32BIT or RGBA, that image_check() accepts; zeros for any other. */
struct content_guess content_guess(const struct image *image);

/*
 * True if QUIC would save enough over LZ (or LZ4) to be worth its time. False for text, drawings, and noise that no codec
 * makes small.
 */
bool content_is_gradual(const struct image *image);

#endif
