#include "canvas/picture.h"

#include <errno.h>
#include <spice/enums.h>
#include <string.h>

static pixman_image_t *create(pixman_format_code_t format, uint32_t width, uint32_t height)
{
    return pixman_image_create_bits_no_clear(format, (int)width, (int)height, NULL, 0);
}

int picture_create(uint8_t format, uint32_t width, uint32_t height, pixman_image_t **picture,
                   struct image *view)
{
    pixman_format_code_t pixman = PIXMAN_x8r8g8b8;
    int err;

    *view = (struct image){NULL, width, height, 0, SPICE_BITMAP_FMT_32BIT};
    if (format == SPICE_BITMAP_FMT_RGBA) {
        pixman = PIXMAN_a8r8g8b8;
        view->format = format;
    } else if (format == SPICE_BITMAP_FMT_8BIT_A) {
        pixman = PIXMAN_a8;
        view->format = format;
    }
    view->stride = (uint32_t)image_row_bytes(view->format, width);
    err = image_check(view);
    if (err)
        return err;
    *picture = create(pixman, width, height);
    if (!*picture)
        return -ENOMEM;
    view->data = (uint8_t *)pixman_image_get_data(*picture);
    view->stride = (uint32_t)pixman_image_get_stride(*picture);
    return 0;
}

static const uint8_t *row_of(const struct image *bitmap, bool top_down, uint32_t y)
{
    return image_row(bitmap, top_down ? y : bitmap->height - 1 - y);
}

static uint32_t color_from_16bit(uint32_t c, bool is_565)
{
    uint32_t r = is_565 ? c >> 11 & 31 : c >> 10 & 31, b = c & 31;
    uint32_t g = is_565 ? (c >> 5 & 63) << 2 | (c >> 9 & 3) : (c >> 5 & 31) << 3 | (c >> 7 & 7);

    return (r << 3 | r >> 2) << 16 | g << 8 | (b << 3 | b >> 2);
}

void picture_palette_colors(uint32_t *colors, size_t count, uint32_t surface_format)
{
    bool is_565 = surface_format == SPICE_SURFACE_FMT_16_565;

    for (size_t i = 0; i < count && (is_565 || surface_format == SPICE_SURFACE_FMT_16_555); i++)
        colors[i] = color_from_16bit(colors[i], is_565);
}

int picture_from_bitmap(const struct image *bitmap, bool top_down, const struct palette *palette,
                        pixman_image_t **picture)
{
    static const struct palette black = {NULL, 0};
    struct image view;
    int err = image_check(bitmap);

    if (!err)
        err = picture_create(bitmap->format, bitmap->width, bitmap->height, picture, &view);
    if (err)
        return err;
    for (uint32_t y = 0; y < bitmap->height; y++) {
        const uint8_t *from = row_of(bitmap, top_down, y);

        if (view.format == bitmap->format)
            memcpy(image_row(&view, y), from, image_row_bytes(view.format, view.width));
        else
            image_row_to_rgb32(image_row(&view, y), from, bitmap->format, bitmap->width,
                               palette ? palette : &black);
    }
    return 0;
}

static uint8_t reverse_bits(uint8_t b)
{
    b = (uint8_t)(b >> 4 | b << 4);
    b = (uint8_t)((b & 0xcc) >> 2 | (b & 0x33) << 2);
    return (uint8_t)((b & 0xaa) >> 1 | (b & 0x55) << 1);
}

int picture_mask(const struct image *bitmap, bool top_down, bool invert, pixman_image_t **mask)
{
    bool reverse =
        bitmap->format == SPICE_BITMAP_FMT_1BIT_BE; /* pixman has the first pixel in the low bit */
    size_t bytes = image_row_bytes(bitmap->format, bitmap->width);
    int err = image_check(bitmap);

    if (err || (bitmap->format != SPICE_BITMAP_FMT_1BIT_LE && !reverse))
        return -EINVAL;
    *mask = create(PIXMAN_a1, bitmap->width, bitmap->height);
    if (!*mask)
        return -ENOMEM;
    for (uint32_t y = 0; y < bitmap->height; y++) {
        const uint8_t *from = row_of(bitmap, top_down, y);
        uint8_t *to = (uint8_t *)pixman_image_get_data(*mask) +
                      (size_t)y * (size_t)pixman_image_get_stride(*mask);

        memset(to, 0, (size_t)pixman_image_get_stride(*mask));
        for (size_t i = 0; i < bytes; i++)
            to[i] = (reverse ? reverse_bits(from[i]) : from[i]) ^ (invert ? 0xff : 0);
    }
    return 0;
}
