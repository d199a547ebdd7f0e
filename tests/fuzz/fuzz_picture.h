/* fuzz_picture.h - the first five bytes of an input choose the picture a codec is asked for; the rest is the stream. */
#ifndef TESTS_FUZZ_FUZZ_PICTURE_H
#define TESTS_FUZZ_FUZZ_PICTURE_H

#include "spice/codec/image.h"

#include <stdlib.h>

#define FUZZ_PICTURE_BYTES 5

/* An image of up to 512x512 on the heap (free image->data), its stride as short as can be. False for too short an input. */
static inline bool fuzz_picture(const uint8_t **data, size_t *size, struct image *image)
{
    const uint8_t *p = *data;

    if (*size < FUZZ_PICTURE_BYTES)
        return false;
    *image = (struct image){.width = 1 + ((p[0] | p[1] << 8) & 511),
                            .height = 1 + ((p[2] | p[3] << 8) & 511),
                            .format = p[4] % SPICE_BITMAP_FMT_ENUM_END};
    image->stride = (uint32_t)image_row_bytes(image->format, image->width);
    image->data = malloc((size_t)image->stride * image->height + 1);
    *data += FUZZ_PICTURE_BYTES;
    *size -= FUZZ_PICTURE_BYTES;
    return image->data != NULL;
}

#endif
