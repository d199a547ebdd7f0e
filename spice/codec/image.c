#include "spice/codec/image.h"

#include "base/bytes.h"

#include <errno.h>

static const uint8_t bits_per_pixel[SPICE_BITMAP_FMT_ENUM_END] = {
    [SPICE_BITMAP_FMT_1BIT_LE] = 1, [SPICE_BITMAP_FMT_1BIT_BE] = 1, [SPICE_BITMAP_FMT_4BIT_LE] = 4,
    [SPICE_BITMAP_FMT_4BIT_BE] = 4, [SPICE_BITMAP_FMT_8BIT] = 8,    [SPICE_BITMAP_FMT_16BIT] = 16,
    [SPICE_BITMAP_FMT_24BIT] = 24,  [SPICE_BITMAP_FMT_32BIT] = 32,  [SPICE_BITMAP_FMT_RGBA] = 32,
    [SPICE_BITMAP_FMT_8BIT_A] = 8,
};

size_t image_row_bytes(uint8_t format, uint32_t width)
{
    if (format >= ARRAY_SIZE(bits_per_pixel))
        return 0;
    return DIV_ROUND_UP((size_t)width * bits_per_pixel[format], 8);
}

bool image_is_indexed(uint8_t format)
{
    return format >= SPICE_BITMAP_FMT_1BIT_LE && format <= SPICE_BITMAP_FMT_8BIT;
}

int image_check(const struct image *image)
{
    size_t row = image_row_bytes(image->format, image->width);

    if (!row || !image->height || image->width > IMAGE_MAX_SIDE || image->height > IMAGE_MAX_SIDE)
        return -EINVAL;
    if (image->stride < row || row * image->height > IMAGE_MAX_BYTES)
        return -EINVAL;
    return 0;
}

static void indexed_to_rgb32(uint8_t *to, const uint8_t *from, uint8_t format, uint32_t width,
                             const struct palette *palette)
{
    unsigned bits = bits_per_pixel[format], per_byte = 8 / bits;
    bool high_first = format == SPICE_BITMAP_FMT_1BIT_BE || format == SPICE_BITMAP_FMT_4BIT_BE;

    for (uint32_t x = 0; x < width; x++) {
        unsigned place = x % per_byte;
        unsigned shift = bits * (high_first ? per_byte - 1 - place : place);
        unsigned index = from[x / per_byte] >> shift & ((1u << bits) - 1);

        store_le32(to + 4 * x, index < palette->count ? palette->entries[index] & 0xffffff : 0);
    }
}

static inline uint32_t rgb16_to_rgb32(uint32_t v)
{
    uint32_t wide = (v & 0x7c00) << 9 | (v & 0x3e0) << 6 | (v & 0x1f) << 3;

    return wide | (wide >> 5 & 0x070707);
}

void image_row_to_rgb32(uint8_t *to, const uint8_t *from, uint8_t format, uint32_t width,
                        const struct palette *palette)
{
    switch (format) {
    case SPICE_BITMAP_FMT_16BIT:
        for (uint32_t x = 0; x < width; x++)
            store_le32(to + 4 * x, rgb16_to_rgb32(load_le16(from + 2 * x)));
        break;
    case SPICE_BITMAP_FMT_24BIT:
        for (uint32_t x = 0; x < width; x++)
            store_le32(to + 4 * x, from[3 * x] | from[3 * x + 1] << 8 | from[3 * x + 2] << 16);
        break;
    case SPICE_BITMAP_FMT_32BIT:
        for (uint32_t x = 0; x < width; x++)
            store_le32(to + 4 * x, load_le32(from + 4 * x) & 0xffffff);
        break;
    case SPICE_BITMAP_FMT_RGBA:
        memmove(to, from, 4 * (size_t)width);
        break;
    case SPICE_BITMAP_FMT_8BIT_A:
        memset(to, 0, 4 * (size_t)width);
        break;
    default:
        indexed_to_rgb32(to, from, format, width, palette);
    }
}

void image_copy_rows(const struct image *to, const uint8_t *from, ptrdiff_t from_stride)
{
    size_t row = image_row_bytes(to->format, to->width);

    for (uint32_t y = 0; y < to->height; y++, from += from_stride)
        memcpy(image_row(to, y), from, row);
}
