#include "client/cursor_shape.h"

#include "spice/codec/image.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define OPAQUE 0xff000000u

/*
 * Mono and colour cursors have a mask: where its bit is 1 the colour is combined by XOR with what is below. Black leaves it
 * as it is. Inverting cannot be had from a system's cursor: such pixels become a pattern that shows on any ground.
 */
static uint32_t masked_pixel(uint32_t color, bool mask, uint32_t x, uint32_t y)
{
    color &= 0xffffff;
    if (!mask)
        return OPAQUE | color;
    if (color == 0)
        return 0;
    return OPAQUE | ((x ^ y) & 1 ? 0xffffff : 0);
}

static bool bit_at(const uint8_t *bits, uint32_t width, uint32_t x, uint32_t y)
{
    return bits[(size_t)y * ((width + 7) / 8) + x / 8] << (x % 8) & 0x80;
}

/* Where the parts of a cursor's data are; colours first, then a palette, then the mask. */
struct layout {
    uint8_t format; /* SPICE_BITMAP_FMT_* of the colours */
    size_t row, colors, palette, mask, total;
};

static const uint8_t formats[SPICE_CURSOR_TYPE_ENUM_END] = {
    [SPICE_CURSOR_TYPE_ALPHA] = SPICE_BITMAP_FMT_RGBA,
    [SPICE_CURSOR_TYPE_MONO] = SPICE_BITMAP_FMT_1BIT_BE,
    [SPICE_CURSOR_TYPE_COLOR4] = SPICE_BITMAP_FMT_4BIT_BE,
    [SPICE_CURSOR_TYPE_COLOR8] = SPICE_BITMAP_FMT_8BIT,
    [SPICE_CURSOR_TYPE_COLOR16] = SPICE_BITMAP_FMT_16BIT,
    [SPICE_CURSOR_TYPE_COLOR24] = SPICE_BITMAP_FMT_24BIT,
    [SPICE_CURSOR_TYPE_COLOR32] = SPICE_BITMAP_FMT_32BIT,
};

static int lay_out(const struct spice_cursor *c, struct layout *l)
{
    size_t mask = (size_t)(c->width + 7u) / 8 * c->height;

    if (c->type >= ARRAY_SIZE(formats) || !c->width || !c->height || c->width > SCREEN_MAX_CURSOR ||
        c->height > SCREEN_MAX_CURSOR)
        return -EINVAL;
    *l = (struct layout){.format = formats[c->type]};
    l->row = image_row_bytes(l->format, c->width);
    l->palette = l->colors + l->row * c->height;
    l->mask = l->palette;
    if (c->type == SPICE_CURSOR_TYPE_COLOR4)
        l->mask += 16 * 4;
    if (c->type == SPICE_CURSOR_TYPE_COLOR8)
        l->mask += 256 * 4;
    if (c->type == SPICE_CURSOR_TYPE_MONO) {
        /* The AND mask comes first here, then the XOR bits. */
        l->mask = 0;
        l->colors = mask;
        l->palette = 2 * mask;
    }
    l->total = c->type == SPICE_CURSOR_TYPE_ALPHA  ? l->mask
               : c->type == SPICE_CURSOR_TYPE_MONO ? 2 * mask
                                                   : l->mask + mask;
    return c->data_size < l->total ? -EINVAL : 0;
}

static void read_palette(const struct spice_cursor *c, const struct layout *l,
                         uint32_t entries[256], struct palette *palette)
{
    static const uint32_t black_and_white[] = {0, 0xffffff};

    *palette = (struct palette){entries, 0};
    if (c->type == SPICE_CURSOR_TYPE_MONO)
        *palette = (struct palette){black_and_white, 2};
    else if (image_is_indexed(l->format))
        palette->count = (uint32_t)((l->mask - l->palette) / 4);
    for (uint32_t i = 0; palette->entries == entries && i < palette->count; i++)
        entries[i] = load_le32(c->data + l->palette + i * 4);
}

static void decode_row(const struct spice_cursor *c, const struct layout *l,
                       const struct palette *palette, uint32_t y, uint32_t *to)
{
    image_row_to_rgb32((uint8_t *)to, c->data + l->colors + y * l->row, l->format, c->width,
                       palette);
    if (c->type == SPICE_CURSOR_TYPE_ALPHA)
        return;
    for (uint32_t x = 0; x < c->width; x++)
        to[x] = masked_pixel(to[x], bit_at(c->data + l->mask, c->width, x, y), x, y);
}

int cursor_shape_decode(const struct spice_cursor *c, struct cursor_shape *shape)
{
    uint32_t entries[256];
    struct palette palette;
    struct layout l;
    int err = lay_out(c, &l);

    if (err)
        return err;
    *shape = (struct cursor_shape){c->width, c->height, MIN(c->hot_x, c->width - 1u),
                                   MIN(c->hot_y, c->height - 1u)};
    shape->pixels = malloc((size_t)c->width * c->height * 4);
    if (!shape->pixels)
        return -ENOMEM;
    read_palette(c, &l, entries, &palette);
    for (uint32_t y = 0; y < c->height; y++)
        decode_row(c, &l, &palette, y, shape->pixels + (size_t)y * c->width);
    return 0;
}
