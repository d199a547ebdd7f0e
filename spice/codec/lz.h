/*
 * lz.h - LZ pictures: SPICE_IMAGE_TYPE_LZ_RGB, LZ_PLT, and the alpha plane of JPEG_ALPHA.
 *
 * The stream: seven big-endian words ("  ZL", version 1.1, type, width, height, row bytes or pixels' bytes, top-down), then
 * literals and matches counted in pixels (bytes for indexed types), without regard to rows:
 *
 *   0..31 = n            n + 1 literal pixels follow
 *   LLL ddddd            a match of L + bias pixels; L = 7: more bytes are added, up to and including the first below 255
 *   dddddddd             distance - 1; 13 ones: two more bytes, added to 8191
 *
 * The bias is 0 for 24 and 32 bits, 1 for 16 bits, 2 for bytes. RGBA is the colours' stream, then the alpha bytes'.
 */
#ifndef SPICE_CODEC_LZ_H
#define SPICE_CODEC_LZ_H

#include "base/bytes.h"
#include "spice/codec/image.h"

enum lz_type {
    LZ_TYPE_PLT1_LE = 1,
    LZ_TYPE_PLT1_BE,
    LZ_TYPE_PLT4_LE,
    LZ_TYPE_PLT4_BE,
    LZ_TYPE_PLT8,
    LZ_TYPE_RGB16,
    LZ_TYPE_RGB24,
    LZ_TYPE_RGB32,
    LZ_TYPE_RGBA,
    LZ_TYPE_XXXA, /* the alpha of four-byte pixels */
    LZ_TYPE_A8,
    LZ_TYPE_END
};

struct lz;

struct lz *lz_create(void);
void lz_destroy(struct lz *lz);

int lz_encode(struct lz *lz, struct writer *w, const struct image *image);
/* The alpha bytes of an RGBA image, as LZ_TYPE_XXXA. */
int lz_encode_alpha(struct lz *lz, struct writer *w, const struct image *image);

/*
 * The image's format is the stream's own, or 32BIT for any but RGBA, XXXA and A8 (an indexed one then needs a palette,
 * else NULL). For 32BIT the fourth byte becomes 0.
 */
int lz_decode(struct lz *lz, const void *data, size_t size, const struct image *image,
              const struct palette *palette);
/* An LZ_TYPE_XXXA stream into the fourth bytes of an RGBA image; the others stay. */
int lz_decode_alpha(struct lz *lz, const void *data, size_t size, const struct image *image);
/* Width, height and format that a stream claims (data and stride are not set). -EBADMSG if it has no sound header. */
int lz_peek(const void *data, size_t size, struct image *shape);

#endif
