#include "canvas/canvas.h"
#include "canvas/raster.h"

#include <errno.h>
#include <spice/enums.h>
#include <stdlib.h>
#include <string.h>

#define MAX_GLYPH_PLACE (1 << 20) /* farther away nothing is drawn */

static bool glyph_box(const struct canvas_glyph *g, struct rect *box)
{
    if (abs(g->x / 2) > MAX_GLYPH_PLACE / 2 || abs(g->y / 2) > MAX_GLYPH_PLACE / 2 ||
        g->width > CANVAS_MAX_SIZE || g->height > CANVAS_MAX_SIZE)
        return false;
    *box = (struct rect){g->x, g->y, g->x + (int32_t)g->width, g->y + (int32_t)g->height};
    return true;
}

/* What of the surface the glyphs touch. */
static struct rect text_box(const struct canvas *c, const struct canvas_target *t,
                            const struct canvas_text *text)
{
    struct rect bounds = canvas_bounds(c), all = {0}, box;

    for (size_t i = 0; i < text->count; i++)
        if (glyph_box(&text->glyphs[i], &box))
            all = rect_union(&all, &box);
    all = rect_intersect(&all, &bounds);
    return rect_intersect(&all, &t->box);
}

/* Coverage of one pixel in 8 bits. Four bits are the high ones of eight. */
static uint8_t coverage(const uint8_t *row, unsigned bits, uint32_t x)
{
    switch (bits) {
    case 1:
        return row[x / 8] << (x % 8) & 0x80 ? 0xff : 0;
    case 4:
        return (uint8_t)(x & 1 ? row[x / 2] << 4 : row[x / 2] & 0xf0);
    default:
        return row[x];
    }
}

static void put_pixel(pixman_image_t *mask, int x, int y, uint8_t value)
{
    uint8_t *row =
        (uint8_t *)pixman_image_get_data(mask) + (ptrdiff_t)y * pixman_image_get_stride(mask);

    if (pixman_image_get_format(mask) == PIXMAN_a8)
        row[x] = MAX(row[x], value);
    else if (value)
        row[x / 8] |= (uint8_t)(1 << (x % 8));
}

static void put_glyph(pixman_image_t *mask, const struct rect *area, const struct canvas_glyph *g,
                      const struct canvas_text *text)
{
    size_t stride = DIV_ROUND_UP((size_t)g->width * text->bits, 8);
    struct rect box, part;

    if (!glyph_box(g, &box))
        return;
    part = rect_intersect(&box, area);
    for (int32_t y = part.top; y < part.bottom; y++) {
        uint32_t line = (uint32_t)(y - box.top);
        const uint8_t *row = g->bits + (text->top_down ? line : g->height - 1 - line) * stride;

        for (int32_t x = part.left; x < part.right; x++)
            put_pixel(mask, x - area->left, y - area->top,
                      coverage(row, text->bits, (uint32_t)(x - box.left)));
    }
}

/* A solid colour is a picture of one pixel, repeated, in the surface's format but for its alpha. */
static pixman_image_t *open_brush(const struct canvas *c, const struct canvas_brush *brush,
                                  const struct rect *area, struct canvas_layer *layer)
{
    pixman_format_code_t format = pixman_image_get_format(c->image);
    pixman_image_t *pixel;

    *layer = (struct canvas_layer){.repeat = PIXMAN_REPEAT_NORMAL};
    if (brush->type == SPICE_BRUSH_TYPE_PATTERN && brush->pattern) {
        layer->x =
            (area->left - brush->x % CANVAS_MAX_SIZE) % pixman_image_get_width(brush->pattern);
        layer->y =
            (area->top - brush->y % CANVAS_MAX_SIZE) % pixman_image_get_height(brush->pattern);
        return pixman_image_ref(brush->pattern);
    }
    pixel = pixman_image_create_bits(format == PIXMAN_a8r8g8b8 ? PIXMAN_x8r8g8b8 : format, 1, 1,
                                     NULL, 0);
    if (pixel)
        *pixman_image_get_data(pixel) = brush->color;
    return pixel;
}

static int blend_text(struct canvas *c, const struct canvas_target *t, const struct rect *area,
                      pixman_image_t *mask, const struct canvas_brush *brush)
{
    struct canvas_target target = {.box = *area, .clip = t->clip};
    struct canvas_layer src, through = {.image = mask};
    int err;

    src.image = NULL;
    pixman_image_t *image = open_brush(c, brush, area, &src);

    if (!image)
        return -ENOMEM;
    src.image = image;
    err = canvas_composite(c, &target, PIXMAN_OP_OVER, &src, &through, false);
    pixman_image_unref(image);
    return err;
}

int canvas_text(struct canvas *c, const struct canvas_target *t, const struct canvas_text *text,
                const struct canvas_brush *brush, uint16_t rop)
{
    struct rect area = text_box(c, t, text);
    struct canvas_target target = {.box = area, .clip = t->clip};
    int err;

    if (text->bits != 1 && text->bits != 4 && text->bits != 8)
        return -EINVAL;
    if (rect_empty(&area) || brush->type == SPICE_BRUSH_TYPE_NONE)
        return 0;
    target.mask = pixman_image_create_bits(text->bits == 1 ? PIXMAN_a1 : PIXMAN_a8,
                                           area.right - area.left, area.bottom - area.top, NULL, 0);
    if (!target.mask)
        return -ENOMEM;
    for (size_t i = 0; i < text->count; i++)
        put_glyph(target.mask, &area, &text->glyphs[i], text);
    err = text->bits == 1 ? canvas_fill(c, &target, brush, rop)
                          : blend_text(c, t, &area, target.mask, brush);
    pixman_image_unref(target.mask);
    return err;
}
