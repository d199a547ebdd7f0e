#include "canvas/canvas.h"

#include "canvas/raster.h"

#include <errno.h>
#include <spice/enums.h>
#include <stdlib.h>

static const struct {
    uint32_t surface;
    pixman_format_code_t pixman;
} formats[] = {
    {SPICE_SURFACE_FMT_32_xRGB, PIXMAN_x8r8g8b8}, {SPICE_SURFACE_FMT_32_ARGB, PIXMAN_a8r8g8b8},
    {SPICE_SURFACE_FMT_16_565, PIXMAN_r5g6b5},    {SPICE_SURFACE_FMT_16_555, PIXMAN_x1r5g5b5},
    {SPICE_SURFACE_FMT_8_A, PIXMAN_a8},           {SPICE_SURFACE_FMT_1_A, PIXMAN_a1},
};

pixman_format_code_t canvas_pixman_format(uint32_t surface_format)
{
    for (size_t i = 0; i < ARRAY_SIZE(formats); i++)
        if (formats[i].surface == surface_format)
            return formats[i].pixman;
    return 0;
}

int canvas_create(struct canvas **canvas, uint32_t format, uint32_t width, uint32_t height)
{
    pixman_format_code_t pixman = canvas_pixman_format(format);
    struct canvas *c;

    if (!pixman || !width || !height || width > CANVAS_MAX_SIZE || height > CANVAS_MAX_SIZE)
        return -EINVAL;
    c = malloc(sizeof(*c));
    if (!c)
        return -ENOMEM;
    *c = (struct canvas){
        .format = format,
        .width = width,
        .height = height,
        .stride = DIV_ROUND_UP(width * PIXMAN_FORMAT_BPP(pixman), 32) * 4,
    };
    c->pixels = calloc(height, c->stride);
    if (c->pixels)
        c->image = pixman_image_create_bits_no_clear(pixman, (int)width, (int)height,
                                                     (uint32_t *)c->pixels, (int)c->stride);
    if (!c->image) {
        free(c->pixels);
        free(c);
        return -ENOMEM;
    }
    *canvas = c;
    return 0;
}

void canvas_destroy(struct canvas *canvas)
{
    if (!canvas)
        return;
    pixman_image_unref(canvas->image);
    free(canvas->pixels);
    free(canvas);
}

struct rect canvas_bounds(const struct canvas *canvas)
{
    return (struct rect){0, 0, (int32_t)canvas->width, (int32_t)canvas->height};
}

int canvas_region(pixman_region32_t *region, const struct rect *rects, size_t count)
{
    pixman_box32_t *boxes = malloc(MAX(count, 1) * sizeof(*boxes));
    size_t n = 0;
    bool ok;

    if (!boxes)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        const struct rect *r = &rects[i];

        if (!rect_empty(r))
            boxes[n++] = (pixman_box32_t){r->left, r->top, r->right, r->bottom};
    }
    ok = pixman_region32_init_rects(region, boxes, (int)n);
    free(boxes);
    return ok ? 0 : -ENOMEM;
}

/*
 * rop3 codes: bit (P << 2 | S << 1 | D) is the result for pattern (brush) bit P, source bit S, destination bit D.
 * PATTERN, SOURCE and DEST are the codes that give one of the three back.
 */
enum { PATTERN = 0xf0, SOURCE = 0xcc, DEST = 0xaa };

/* A SPICE descriptor names one operation on two inputs, each of which may be inverted first. */
static uint8_t rop3_code(uint16_t rop, uint8_t a, uint16_t invers_a, uint8_t b, uint16_t invers_b)
{
    uint8_t code = a;

    if (rop & invers_a)
        code = a = (uint8_t)~a;
    if (rop & invers_b)
        b = (uint8_t)~b;
    if (rop & SPICE_ROPD_OP_PUT)
        code = a;
    else if (rop & SPICE_ROPD_OP_OR)
        code = a | b;
    else if (rop & SPICE_ROPD_OP_AND)
        code = a & b;
    else if (rop & SPICE_ROPD_OP_XOR)
        code = a ^ b;
    else if (rop & SPICE_ROPD_OP_BLACKNESS)
        return 0x00;
    else if (rop & SPICE_ROPD_OP_WHITENESS)
        return 0xff;
    else if (rop & SPICE_ROPD_OP_INVERS)
        return (uint8_t)~DEST;
    return rop & SPICE_ROPD_INVERS_RES ? (uint8_t)~code : code;
}

int canvas_fill(struct canvas *c, const struct canvas_target *t, const struct canvas_brush *brush,
                uint16_t rop)
{
    return raster_draw(
        c, t, NULL, brush,
        rop3_code(rop, PATTERN, SPICE_ROPD_INVERS_BRUSH, DEST, SPICE_ROPD_INVERS_DEST));
}

int canvas_copy(struct canvas *c, const struct canvas_target *t, const struct canvas_source *src,
                uint16_t rop)
{
    return raster_draw(c, t, src, NULL,
                       rop3_code(rop, SOURCE, SPICE_ROPD_INVERS_SRC, DEST, SPICE_ROPD_INVERS_DEST));
}

int canvas_opaque(struct canvas *c, const struct canvas_target *t, const struct canvas_source *src,
                  const struct canvas_brush *brush, uint16_t rop)
{
    uint8_t code = rop3_code(rop, PATTERN, SPICE_ROPD_INVERS_BRUSH, SOURCE, SPICE_ROPD_INVERS_SRC);

    /* INVERS inverts what is below the brush: here the picture. */
    return raster_draw(c, t, src, brush, code == (uint8_t)~DEST ? (uint8_t)~SOURCE : code);
}

int canvas_rop3(struct canvas *c, const struct canvas_target *t, const struct canvas_source *src,
                const struct canvas_brush *brush, uint8_t rop3)
{
    return raster_draw(c, t, src, brush, rop3);
}
