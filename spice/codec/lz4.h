/*
 * lz4.h - SPICE_IMAGE_TYPE_LZ4.
 *
 * The stream: a byte (1: top-down), a byte (SPICE_BITMAP_FMT_*: 16BIT, 24BIT, 32BIT or RGBA), then blocks of a big-endian
 * length and LZ4 data of some whole rows without padding. A block may refer to what earlier ones held. libspice-server also
 * sends 8BIT_A, which spice-gtk does not know: it is read, but not written.
 */
#ifndef SPICE_CODEC_LZ4_H
#define SPICE_CODEC_LZ4_H

#include "base/bytes.h"
#include "spice/codec/image.h"

struct lz4;

struct lz4 *lz4_create(void);
void lz4_destroy(struct lz4 *lz4);

/* acceleration: 1 compresses best; larger is faster (lz4.h of liblz4). */
int lz4_encode(struct lz4 *lz4, struct writer *w, const struct image *image, int acceleration);
/* The image's format is the stream's own, or 32BIT for 16BIT and 24BIT. */
int lz4_decode(struct lz4 *lz4, const void *data, size_t size, const struct image *image);
/* The format a stream claims; -EBADMSG for one that cannot be. */
int lz4_peek(const void *data, size_t size, uint8_t *format);

#endif
