/*
 * image.h - a picture in memory, as the codecs of this folder take and give it.
 *
 * Rows run from top to bottom, `stride` bytes apart. Formats are the wire's own (SPICE_BITMAP_FMT_*, spice/enums.h):
 *
 *   1BIT_LE, 1BIT_BE, 4BIT_LE, 4BIT_BE, 8BIT   indexes into a palette; the first pixel is in the low (LE) or high (BE) bits
 *   16BIT   x1r5g5b5, little-endian          24BIT   b, g, r
 *   32BIT   b, g, r, ignored                  RGBA    b, g, r, alpha (premultiplied)
 *   8BIT_A  alpha alone
 *
 * All codecs: an encoder appends to the caller's writer and leaves it as it was on failure: -ENOSPC (it would exceed the
 * writer's max), -ENOMEM, or -EINVAL (a format or size the codec has no form for). A decoder fills the caller's image, whose
 * width and height must be those of the stream; -EBADMSG means a malformed stream (the image then holds arbitrary pixels),
 * -EINVAL an image that cannot hold what the stream has. No state is global; a context belongs to one thread at a time.
 */
#ifndef SPICE_CODEC_IMAGE_H
#define SPICE_CODEC_IMAGE_H

#include "base/base.h"

#include <spice/enums.h>

#define IMAGE_MAX_SIDE  16384
#define IMAGE_MAX_BYTES MIB(256) /* of the rows of one picture, without padding */

struct image {
    uint8_t *data; /* borrowed */
    uint32_t width, height;
    uint32_t stride; /* bytes, at least image_row_bytes() */
    uint8_t format;  /* SPICE_BITMAP_FMT_* */
};

/* Colours of an indexed picture, 0x00rrggbb; an index past `count` is drawn as black. */
struct palette {
    const uint32_t *entries;
    uint32_t count;
};

/* Bytes that the pixels of a row take; 0 for an unknown format. */
size_t image_row_bytes(uint8_t format, uint32_t width);
bool image_is_indexed(uint8_t format);
/* 0, or -EINVAL for a size of 0, one over the limits, a stride too short, an unknown format. */
int image_check(const struct image *image);

static inline uint8_t *image_row(const struct image *image, uint32_t y)
{
    return image->data + (size_t)y * image->stride;
}

/*
 * One row of `format` into one of 32BIT, the fourth byte 0 (for RGBA: kept). The palette is needed for indexed formats
 * alone. 8BIT_A has no such form: the row becomes 0.
 */
void image_row_to_rgb32(uint8_t *to, const uint8_t *from, uint8_t format, uint32_t width,
                        const struct palette *palette);
/* Copy rows of equal width and format; from_stride may be negative (from then is the last row of its memory). */
void image_copy_rows(const struct image *to, const uint8_t *from, ptrdiff_t from_stride);

#endif
