/*
 * quic.h - QUIC pictures (SPICE_IMAGE_TYPE_QUIC): lossless, for gradual content.
 *
 * The algorithm is Starosolski's SFALIC with runs: each sample is predicted from its left and upper neighbours, the
 * folded difference is written in one of eight Golomb-Rice codes chosen by the difference before it, and the choice is
 * learnt. The stream is 32-bit little-endian words, filled from their high bits: "QUIC", version 0, type, width, height,
 * the codes, one word of zeros.
 *
 * Formats: 16BIT, 24BIT, 32BIT, RGBA, and 8BIT_A for the type GRAY.
 */
#ifndef SPICE_CODEC_QUIC_H
#define SPICE_CODEC_QUIC_H

#include "base/bytes.h"
#include "spice/codec/image.h"

enum quic_type { QUIC_GRAY = 1, QUIC_RGB16, QUIC_RGB24, QUIC_RGB32, QUIC_RGBA, QUIC_TYPE_END };

struct quic;

struct quic *quic_create(void);
void quic_destroy(struct quic *quic);

int quic_encode(struct quic *quic, struct writer *w, const struct image *image);
/* The image's format is the stream's own, or 32BIT for 16BIT and 24BIT. */
int quic_decode(struct quic *quic, const void *data, size_t size, const struct image *image);
/* Width, height and format that a stream claims. -EBADMSG if it has no sound header. */
int quic_peek(const void *data, size_t size, struct image *shape);

#endif
