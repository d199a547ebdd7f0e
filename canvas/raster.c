#include "canvas/raster.h"

#include <errno.h>
#include <spice/enums.h>
#include <stdlib.h>
#include <string.h>

#define MASK_BAND                                                                                  \
    64 /* rows of a mask made into a region at a time: bounds the number of its rectangles */
#define TILE_PIXELS (64 * 1024) /* combined at a time where pixman has no operation for it */
#define MAX_SCALED  32767       /* pixman's fixed point numbers end there */
#define MAX_ORIGIN  (1 << 24)   /* a box that begins farther away than this is nonsense */

static int region_of_box(const struct canvas *c, const struct canvas_target *t,
                         pixman_region32_t *region)
{
    struct rect bounds = canvas_bounds(c), box = rect_intersect(&t->box, &bounds);

    if (rect_empty(&box)) {
        pixman_region32_init(region);
        return 0;
    }
    pixman_region32_init_rect(region, box.left, box.top, (unsigned)(box.right - box.left),
                              (unsigned)(box.bottom - box.top));
    if (t->clip && !pixman_region32_intersect(region, region, t->clip)) {
        pixman_region32_fini(region);
        return -ENOMEM;
    }
    return 0;
}

/* Draw where rows first..first+rows of the mask are 1. */
static int draw_mask_band(struct canvas *c, const struct canvas_target *t, raster_draw_fn *draw,
                          void *arg, const pixman_region32_t *all, int first, int rows)
{
    int stride = pixman_image_get_stride(t->mask), width = pixman_image_get_width(t->mask);
    uint32_t *bits = pixman_image_get_data(t->mask) + (ptrdiff_t)first * (stride / 4);
    pixman_image_t *band = pixman_image_create_bits_no_clear(PIXMAN_a1, width, rows, bits, stride);
    pixman_region32_t region;
    int err = 0;

    if (!band)
        return -ENOMEM;
    pixman_region32_init_from_image(&region, band);
    pixman_region32_translate(&region, t->box.left - t->mask_x, t->box.top - t->mask_y + first);
    if (!pixman_region32_intersect(&region, &region, all))
        err = -ENOMEM;
    else if (pixman_region32_not_empty(&region))
        err = draw(c, &region, arg);
    pixman_region32_fini(&region);
    pixman_image_unref(band);
    return err;
}

static bool mask_is_sane(const struct canvas_target *t)
{
    return pixman_image_get_format(t->mask) == PIXMAN_a1 && abs(t->mask_x / 2) < CANVAS_MAX_SIZE &&
           abs(t->mask_y / 2) < CANVAS_MAX_SIZE && abs(t->box.left / 2) < CANVAS_MAX_SIZE &&
           abs(t->box.top / 2) < CANVAS_MAX_SIZE;
}

int raster_for_region(struct canvas *c, const struct canvas_target *t, raster_draw_fn *draw,
                      void *arg)
{
    pixman_region32_t region;
    int err = 0;

    if (t->mask && !mask_is_sane(t))
        return -EINVAL;
    err = region_of_box(c, t, &region);
    if (err)
        return err;
    if (!t->mask) {
        if (pixman_region32_not_empty(&region))
            err = draw(c, &region, arg);
    } else {
        int height = pixman_image_get_height(t->mask);

        for (int y = 0; y < height && !err; y += MASK_BAND)
            err = draw_mask_band(c, t, draw, arg, &region, y, MIN(MASK_BAND, height - y));
    }
    pixman_region32_fini(&region);
    return err;
}

int raster_check_source(const struct canvas_source *src)
{
    if (!src || !src->image || rect_empty(&src->area) || src->area.left < 0 || src->area.top < 0 ||
        src->area.right > pixman_image_get_width(src->image) ||
        src->area.bottom > pixman_image_get_height(src->image))
        return -EINVAL;
    return 0;
}

/* A view of the source's memory, so that a transform does not stay behind on the caller's picture. */
static pixman_image_t *view_of(pixman_image_t *image)
{
    return pixman_image_create_bits_no_clear(
        pixman_image_get_format(image), pixman_image_get_width(image),
        pixman_image_get_height(image), pixman_image_get_data(image),
        pixman_image_get_stride(image));
}

bool raster_is_canvas(const struct canvas *c, pixman_image_t *image)
{
    return pixman_image_get_data(image) == (uint32_t *)c->pixels;
}

static pixman_image_t *copy_of(pixman_image_t *image, const struct rect *area)
{
    int width = area->right - area->left, height = area->bottom - area->top;
    pixman_image_t *copy =
        pixman_image_create_bits_no_clear(pixman_image_get_format(image), width, height, NULL, 0);

    if (copy)
        pixman_image_composite32(PIXMAN_OP_SRC, image, NULL, copy, area->left, area->top, 0, 0, 0,
                                 0, width, height);
    return copy;
}

static int scale(pixman_image_t *image, const struct rect *area, const struct rect *box,
                 uint32_t mode)
{
    int64_t width = (int64_t)box->right - box->left, height = (int64_t)box->bottom - box->top;
    pixman_transform_t m;

    if (width > MAX_SCALED || height > MAX_SCALED)
        return -EINVAL;
    pixman_transform_init_scale(
        &m, (pixman_fixed_t)(((int64_t)(area->right - area->left) << 16) / width),
        (pixman_fixed_t)(((int64_t)(area->bottom - area->top) << 16) / height));
    m.matrix[0][2] = pixman_int_to_fixed(area->left);
    m.matrix[1][2] = pixman_int_to_fixed(area->top);
    if (!pixman_image_set_transform(image, &m))
        return -ENOMEM;
    pixman_image_set_filter(
        image, mode == SPICE_IMAGE_SCALE_MODE_NEAREST ? PIXMAN_FILTER_NEAREST : PIXMAN_FILTER_GOOD,
        NULL, 0);
    pixman_image_set_repeat(image, PIXMAN_REPEAT_PAD);
    return 0;
}

int raster_open_source(const struct canvas *c, const struct canvas_target *t,
                       const struct canvas_source *src, pixman_image_t **image, int32_t *dx,
                       int32_t *dy)
{
    struct rect area = src->area;
    bool same_size = (int64_t)area.right - area.left == (int64_t)t->box.right - t->box.left &&
                     (int64_t)area.bottom - area.top == (int64_t)t->box.bottom - t->box.top;
    int err = 0;

    if (abs(t->box.left / 2) > MAX_ORIGIN / 2 || abs(t->box.top / 2) > MAX_ORIGIN / 2)
        return -EINVAL;
    if (raster_is_canvas(c, src->image)) {
        *image = copy_of(src->image, &area);
        area = (struct rect){0, 0, area.right - area.left, area.bottom - area.top};
    } else {
        *image = same_size ? pixman_image_ref(src->image) : view_of(src->image);
    }
    if (!*image)
        return -ENOMEM;
    if (!same_size)
        err = scale(*image, &area, &t->box, src->scale_mode);
    if (err)
        pixman_image_unref(*image);
    *dx = (same_size ? area.left : 0) - t->box.left;
    *dy = (same_size ? area.top : 0) - t->box.top;
    return err;
}

/* What one ternary operation draws with. */
struct raster {
    uint8_t rop3;
    pixman_image_t *source;
    int32_t source_dx, source_dy;
    const struct canvas_brush *brush;
    pixman_image_t *pattern; /* repeats */
    pixman_image_t *tile[3]; /* destination, source, brush: scratch */
};

/* pixman has the operation for the code 'source' already. */
static void put_source(struct canvas *c, const pixman_region32_t *region, const struct raster *r)
{
    pixman_box32_t *e = pixman_region32_extents((pixman_region32_t *)region);

    pixman_image_set_clip_region32(c->image, (pixman_region32_t *)region);
    pixman_image_composite32(PIXMAN_OP_SRC, r->source, NULL, c->image, e->x1 + r->source_dx,
                             e->y1 + r->source_dy, 0, 0, e->x1, e->y1, e->x2 - e->x1,
                             e->y2 - e->y1);
    pixman_image_set_clip_region32(c->image, NULL);
}

static void fill_row_1bpp(uint8_t *row, int x1, int x2, bool value)
{
    for (int x = x1; x < x2; x++) {
        uint8_t bit = (uint8_t)(1 << (x & 7));

        row[x >> 3] = value ? row[x >> 3] | bit : row[x >> 3] & (uint8_t)~bit;
    }
}

static void put_color(struct canvas *c, const pixman_region32_t *region, uint32_t color)
{
    int count, bpp = PIXMAN_FORMAT_BPP(pixman_image_get_format(c->image));
    const pixman_box32_t *b = pixman_region32_rectangles((pixman_region32_t *)region, &count);

    for (; count > 0; count--, b++) {
        if (bpp > 1)
            pixman_fill((uint32_t *)c->pixels, (int)(c->stride / 4), bpp, b->x1, b->y1,
                        b->x2 - b->x1, b->y2 - b->y1, color);
        else
            for (int y = b->y1; y < b->y2; y++)
                fill_row_1bpp(c->pixels + (size_t)y * c->stride, b->x1, b->x2, color & 1);
    }
}

/* The minterms of the operation, word by word; the tiles have one format and stride. */
static void combine(uint8_t rop3, uint32_t *dest, const uint32_t *src, const uint32_t *brush,
                    size_t words)
{
    uint32_t m[8];

    for (size_t i = 0; i < ARRAY_SIZE(m); i++)
        m[i] = rop3 >> i & 1 ? ~0u : 0;
    for (size_t i = 0; i < words; i++) {
        uint32_t p = brush[i], s = src[i], d = dest[i];
        uint32_t without = (s & ((d & m[3]) | (~d & m[2]))) | (~s & ((d & m[1]) | (~d & m[0])));
        uint32_t with = (s & ((d & m[7]) | (~d & m[6]))) | (~s & ((d & m[5]) | (~d & m[4])));

        dest[i] = (p & with) | (~p & without);
    }
}

static void fetch(pixman_image_t *tile, pixman_image_t *image, int x, int y, int w, int h)
{
    pixman_image_composite32(PIXMAN_OP_SRC, image, NULL, tile, x, y, 0, 0, 0, 0, w, h);
}

static void fetch_brush(const struct raster *r, int x, int y, int w, int h)
{
    pixman_image_t *tile = r->tile[2];

    if (r->pattern) {
        fetch(tile, r->pattern, x - r->brush->x, y - r->brush->y, w, h);
        return;
    }
    if (!r->brush)
        return;
    if (PIXMAN_FORMAT_BPP(pixman_image_get_format(tile)) == 1)
        memset(pixman_image_get_data(tile), r->brush->color & 1 ? 0xff : 0,
               (size_t)pixman_image_get_stride(tile) * (size_t)h);
    else
        pixman_fill(pixman_image_get_data(tile), pixman_image_get_stride(tile) / 4,
                    PIXMAN_FORMAT_BPP(pixman_image_get_format(tile)), 0, 0, w, h, r->brush->color);
}

static void draw_tile(struct canvas *c, const struct raster *r, int x, int y, int w, int h)
{
    size_t words = (size_t)pixman_image_get_stride(r->tile[0]) / 4 * (size_t)h;

    fetch(r->tile[0], c->image, x, y, w, h);
    if (r->source)
        fetch(r->tile[1], r->source, x + r->source_dx, y + r->source_dy, w, h);
    fetch_brush(r, x, y, w, h);
    combine(r->rop3, pixman_image_get_data(r->tile[0]), pixman_image_get_data(r->tile[1]),
            pixman_image_get_data(r->tile[2]), words);
    pixman_image_composite32(PIXMAN_OP_SRC, r->tile[0], NULL, c->image, 0, 0, 0, 0, x, y, w, h);
}

static void draw_box(struct canvas *c, const struct raster *r, const pixman_box32_t *b)
{
    int rows = pixman_image_get_height(r->tile[0]);

    for (int y = b->y1; y < b->y2; y += rows)
        draw_tile(c, r, b->x1, y, b->x2 - b->x1, MIN(rows, b->y2 - y));
}

static void close_tiles(struct raster *r)
{
    for (size_t i = 0; i < ARRAY_SIZE(r->tile); i++)
        if (r->tile[i])
            pixman_image_unref(r->tile[i]);
}

static int open_tiles(struct canvas *c, const pixman_region32_t *region, struct raster *r)
{
    pixman_box32_t *e = pixman_region32_extents((pixman_region32_t *)region);
    int width = e->x2 - e->x1, rows = CLAMP(TILE_PIXELS / width, 1, e->y2 - e->y1);

    for (size_t i = 0; i < ARRAY_SIZE(r->tile); i++) {
        /* Cleared: what an operation does not depend on is read all the same. */
        r->tile[i] =
            pixman_image_create_bits(pixman_image_get_format(c->image), width, rows, NULL, 0);
        if (!r->tile[i]) {
            close_tiles(r);
            return -ENOMEM;
        }
    }
    return 0;
}

static int draw_region(struct canvas *c, const pixman_region32_t *region, void *arg)
{
    struct raster *r = arg;
    const pixman_box32_t *b;
    int count, err;

    if (r->rop3 == 0x00 || r->rop3 == 0xff) {
        put_color(c, region, r->rop3 ? ~0u : 0);
        return 0;
    }
    if (r->rop3 == 0xf0 && !r->pattern) {
        put_color(c, region, r->brush->color);
        return 0;
    }
    if (r->rop3 == 0xcc) {
        put_source(c, region, r);
        return 0;
    }
    memset(r->tile, 0, sizeof(r->tile));
    err = open_tiles(c, region, r);
    if (err)
        return err;
    b = pixman_region32_rectangles((pixman_region32_t *)region, &count);
    for (; count > 0; count--, b++)
        draw_box(c, r, b);
    close_tiles(r);
    return 0;
}

static pixman_image_t *copy_whole(pixman_image_t *image)
{
    return copy_of(image, &(struct rect){0, 0, pixman_image_get_width(image), pixman_image_get_height(image)});
}

int canvas_hold_pattern(const struct canvas *c, struct canvas_brush *brush, pixman_image_t **held)
{
    *held = NULL;
    if (brush->type != SPICE_BRUSH_TYPE_PATTERN || !brush->pattern || !raster_is_canvas(c, brush->pattern))
        return 0;
    brush->pattern = *held = copy_whole(brush->pattern);
    return *held ? 0 : -ENOMEM;
}

/* No brush counts as one of colour 0. */
static int open_brush(const struct canvas *c, const struct canvas_brush *brush, struct raster *r)
{
    static const struct canvas_brush zero = {.type = SPICE_BRUSH_TYPE_SOLID};

    if (!brush)
        return -EINVAL;
    r->brush = brush->type == SPICE_BRUSH_TYPE_NONE ? &zero : brush;
    if (r->brush->type == SPICE_BRUSH_TYPE_SOLID)
        return 0;
    if (brush->type != SPICE_BRUSH_TYPE_PATTERN || !brush->pattern ||
        abs(brush->x / 2) >= CANVAS_MAX_SIZE || abs(brush->y / 2) >= CANVAS_MAX_SIZE)
        return -EINVAL;
    r->pattern = raster_is_canvas(c, brush->pattern) ? copy_whole(brush->pattern) : view_of(brush->pattern);
    if (!r->pattern)
        return -ENOMEM;
    pixman_image_set_repeat(r->pattern, PIXMAN_REPEAT_NORMAL);
    return 0;
}

int raster_draw(struct canvas *c, const struct canvas_target *t, const struct canvas_source *src,
                const struct canvas_brush *brush, uint8_t rop3)
{
    bool needs_brush = (rop3 >> 4) != (rop3 & 0x0f);
    bool needs_source = (rop3 >> 2 & 0x33) != (rop3 & 0x33);
    struct raster r = {.rop3 = rop3};
    int err = 0;

    if (rect_empty(&t->box) || rop3 == 0xaa)
        return 0;
    if (needs_source) {
        err = raster_check_source(src);
        if (!err)
            err = raster_open_source(c, t, src, &r.source, &r.source_dx, &r.source_dy);
        if (err)
            return err;
    }
    if (needs_brush)
        err = open_brush(c, brush, &r);
    if (!err)
        err = raster_for_region(c, t, draw_region, &r);
    if (r.pattern)
        pixman_image_unref(r.pattern);
    if (r.source)
        pixman_image_unref(r.source);
    return err;
}
