#include "canvas/canvas.h"
#include "canvas/raster.h"

#include <errno.h>
#include <spice/enums.h>
#include <stdlib.h>

#define MAX_PLACE 32767 /* pixman's coordinates, see struct canvas_layer */

/* One pixman_image_composite32() call, clipped by the region. */
struct blend {
    pixman_op_t op;
    pixman_image_t *src, *mask; /* mask may be NULL */
    pixman_image_t *dest;       /* the canvas, or another view of its memory */
    int32_t src_dx, src_dy, mask_dx, mask_dy;
};

static int blend_region(struct canvas *c UNUSED, const pixman_region32_t *region, void *arg)
{
    const struct blend *b = arg;
    pixman_box32_t *e = pixman_region32_extents((pixman_region32_t *)region);

    pixman_image_set_clip_region32(b->dest, (pixman_region32_t *)region);
    pixman_image_composite32(b->op, b->src, b->mask, b->dest, e->x1 + b->src_dx, e->y1 + b->src_dy,
                             e->x1 + b->mask_dx, e->y1 + b->mask_dy, e->x1, e->y1, e->x2 - e->x1,
                             e->y2 - e->y1);
    pixman_image_set_clip_region32(b->dest, NULL);
    return 0;
}

/* The canvas' memory with or without alpha. */
static pixman_image_t *open_dest(struct canvas *c, bool has_alpha)
{
    pixman_format_code_t format = pixman_image_get_format(c->image);

    if (PIXMAN_FORMAT_BPP(format) != 32)
        return pixman_image_ref(c->image);
    return pixman_image_create_bits_no_clear(has_alpha ? PIXMAN_a8r8g8b8 : PIXMAN_x8r8g8b8,
                                             (int)c->width, (int)c->height, (uint32_t *)c->pixels,
                                             (int)c->stride);
}

static pixman_image_t *solid(uint16_t r, uint16_t g, uint16_t b, uint16_t a)
{
    return pixman_image_create_solid_fill(&(pixman_color_t){r, g, b, a});
}

int canvas_alpha_blend(struct canvas *c, const struct canvas_target *t,
                       const struct canvas_source *src, uint8_t alpha, bool dest_has_alpha)
{
    struct blend b = {.op = PIXMAN_OP_OVER};
    int err = raster_check_source(src);

    if (err || rect_empty(&t->box) || alpha == 0)
        return err;
    err = raster_open_source(c, t, src, &b.src, &b.src_dx, &b.src_dy);
    if (err)
        return err;
    b.mask = alpha == 0xff ? NULL : solid(0, 0, 0, (uint16_t)(alpha * 0x101));
    b.dest = open_dest(c, dest_has_alpha || c->format == SPICE_SURFACE_FMT_32_ARGB);
    err = b.dest && (b.mask || alpha == 0xff) ? raster_for_region(c, t, blend_region, &b) : -ENOMEM;
    if (b.dest)
        pixman_image_unref(b.dest);
    if (b.mask)
        pixman_image_unref(b.mask);
    pixman_image_unref(b.src);
    return err;
}

/* What of a colour is left in the canvas: pixels that become the same there are the same. */
static uint32_t significant_bits(const struct canvas *c)
{
    return c->format == SPICE_SURFACE_FMT_16_555 ? 0xf8f8f8 : c->format == SPICE_SURFACE_FMT_16_565 ? 0xf8fcf8 : 0xffffff;
}

/* The picture in a form whose pixels can be compared with the key: a8r8g8b8, with alpha 0 where they are equal. */
static pixman_image_t *keyed_copy(pixman_image_t *image, const struct rect *area, uint32_t key, uint32_t bits)
{
    int width = area->right - area->left, height = area->bottom - area->top;
    pixman_image_t *copy =
        pixman_image_create_bits_no_clear(PIXMAN_a8r8g8b8, width, height, NULL, 0);
    uint32_t *p;
    size_t n;

    if (!copy)
        return NULL;
    pixman_image_composite32(PIXMAN_OP_SRC, image, NULL, copy, area->left, area->top, 0, 0, 0, 0,
                             width, height);
    p = pixman_image_get_data(copy);
    n = (size_t)pixman_image_get_stride(copy) / 4 * (size_t)height;
    for (size_t i = 0; i < n; i++)
        p[i] = (p[i] ^ key) & bits ? p[i] | 0xff000000 : 0;
    return copy;
}

int canvas_transparent(struct canvas *c, const struct canvas_target *t,
                       const struct canvas_source *src, uint32_t key)
{
    struct canvas_source keyed = {.scale_mode = SPICE_IMAGE_SCALE_MODE_NEAREST};
    struct rect area;
    int err = raster_check_source(src);

    if (err)
        return err;
    area = src->area;
    keyed.image = keyed_copy(src->image, &area, key, significant_bits(c));
    if (!keyed.image)
        return -ENOMEM;
    keyed.area = (struct rect){0, 0, area.right - area.left, area.bottom - area.top};
    err = canvas_alpha_blend(c, t, &keyed, 0xff, true);
    pixman_image_unref(keyed.image);
    return err;
}

static pixman_format_code_t layer_format(const struct canvas_layer *layer)
{
    pixman_format_code_t format = pixman_image_get_format(layer->image);

    return layer->opaque && format == PIXMAN_a8r8g8b8 ? PIXMAN_x8r8g8b8 : format;
}

/* A view with the layer's attributes; of a copy, if the picture is the canvas itself. */
static pixman_image_t *open_layer(const struct canvas *c, const struct canvas_layer *layer)
{
    int width = pixman_image_get_width(layer->image),
        height = pixman_image_get_height(layer->image);
    bool own = raster_is_canvas(c, layer->image);
    pixman_image_t *view = pixman_image_create_bits_no_clear(
        layer_format(layer), width, height, own ? NULL : pixman_image_get_data(layer->image),
        own ? 0 : pixman_image_get_stride(layer->image));

    if (!view)
        return NULL;
    if (own)
        pixman_image_composite32(PIXMAN_OP_SRC, layer->image, NULL, view, 0, 0, 0, 0, 0, 0, width,
                                 height);
    pixman_image_set_filter(view, layer->filter, NULL, 0);
    pixman_image_set_repeat(view, layer->repeat);
    pixman_image_set_component_alpha(view, layer->component_alpha);
    if (!layer->transform || pixman_image_set_transform(view, layer->transform))
        return view;
    pixman_image_unref(view);
    return NULL;
}

static bool layer_is_sane(const struct canvas_layer *layer)
{
    return abs(layer->x) <= MAX_PLACE && abs(layer->y) <= MAX_PLACE &&
           layer->filter <= PIXMAN_FILTER_BILINEAR && layer->repeat <= PIXMAN_REPEAT_REFLECT;
}

static bool composite_is_sane(const struct canvas_target *t, pixman_op_t op,
                              const struct canvas_layer *src, const struct canvas_layer *mask)
{
    /* Up to the disjoint and conjoint ones and the PDF blend modes; the numbers between mean nothing. */
    bool known = op <= PIXMAN_OP_SATURATE ||
                 (op >= PIXMAN_OP_DISJOINT_CLEAR && op <= PIXMAN_OP_DISJOINT_XOR) ||
                 (op >= PIXMAN_OP_CONJOINT_CLEAR && op <= PIXMAN_OP_CONJOINT_XOR) ||
                 (op >= PIXMAN_OP_MULTIPLY && op <= PIXMAN_OP_HSL_LUMINOSITY);

    return known && src->image && layer_is_sane(src) && (!mask->image || layer_is_sane(mask)) &&
           abs(t->box.left / 2) < MAX_PLACE / 2 && abs(t->box.top / 2) < MAX_PLACE / 2;
}

int canvas_composite(struct canvas *c, const struct canvas_target *t, pixman_op_t op,
                     const struct canvas_layer *src, const struct canvas_layer *mask,
                     bool dest_opaque)
{
    struct blend b = {.op = op};
    int err = -ENOMEM;

    if (!composite_is_sane(t, op, src, mask))
        return -EINVAL;
    b.src_dx = src->x - t->box.left;
    b.src_dy = src->y - t->box.top;
    b.mask_dx = mask->x - t->box.left;
    b.mask_dy = mask->y - t->box.top;
    b.src = open_layer(c, src);
    b.mask = mask->image ? open_layer(c, mask) : NULL;
    b.dest = dest_opaque ? open_dest(c, false) : pixman_image_ref(c->image);
    if (b.src && b.dest && (b.mask || !mask->image))
        err = raster_for_region(c, t, blend_region, &b);
    if (b.src)
        pixman_image_unref(b.src);
    if (b.mask)
        pixman_image_unref(b.mask);
    if (b.dest)
        pixman_image_unref(b.dest);
    return err;
}
