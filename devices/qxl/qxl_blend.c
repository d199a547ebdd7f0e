/* qxl_blend.c - drawing with transparency: colour keys, alpha, XRender's composite. */
#include "devices/qxl/qxl_draw.h"

#include <errno.h>
#include <spice/enums.h>

int qxl_draw_transparent(struct draw *w)
{
    const QXLTransparent *t = &w->d.u.transparent;
    int err = qxl_open_source(w, t->src_bitmap, &t->src_area, SPICE_IMAGE_SCALE_MODE_NEAREST);

    return err ? err : canvas_transparent(w->canvas, &w->target, &w->src, t->true_color);
}

int qxl_draw_alpha_blend(struct draw *w)
{
    const QXLAlphaBlend *a = &w->d.u.alpha_blend;
    int err = qxl_open_source(w, a->src_bitmap, &a->src_area, SPICE_IMAGE_SCALE_MODE_NEAREST);

    return err ? err
               : canvas_alpha_blend(w->canvas, &w->target, &w->src, a->alpha,
                                    a->alpha_flags & SPICE_ALPHA_FLAGS_DEST_HAS_ALPHA);
}

static unsigned flag_field(uint32_t flags, unsigned lowest, unsigned bits)
{
    return flags / lowest & ((1u << bits) - 1);
}

static int read_transform(struct draw *w, QXLPHYSICAL addr, struct canvas_layer *layer,
                          pixman_transform_t *m)
{
    QXLTransform t;

    if (!addr)
        return 0;
    if (qxl_read(w->q, addr, &t, sizeof(t)))
        return -EFAULT;
    *m = (pixman_transform_t){
        {{t.t00, t.t01, t.t02}, {t.t10, t.t11, t.t12}, {0, 0, pixman_fixed_1}}};
    layer->transform = m;
    return 0;
}

/* The command's mask is a picture, and so kept in the place of a brush's pattern. */
static int open_layers(struct draw *w, const QXLComposite *c, struct canvas_layer *src,
                       struct canvas_layer *mask)
{
    int err = qxl_picture_open(w->q, &w->source, c->src, w->canvas->format);

    if (!err && c->mask)
        err = qxl_picture_open(w->q, &w->pattern, c->mask, w->canvas->format);
    src->image = w->source.image;
    mask->image = w->pattern.image;
    return err;
}

int qxl_draw_composite(struct draw *w)
{
    const QXLComposite *c = &w->d.u.composite;
    pixman_transform_t src_transform, mask_transform;
    struct canvas_layer src = {
        .x = c->src_origin.x,
        .y = c->src_origin.y,
        .filter = flag_field(c->flags, SPICE_COMPOSITE_SRC_FILTER0, 3),
        .repeat = flag_field(c->flags, SPICE_COMPOSITE_SRC_REPEAT0, 2),
        .opaque = c->flags & SPICE_COMPOSITE_SOURCE_OPAQUE,
    };
    struct canvas_layer mask = {
        .x = c->mask_origin.x,
        .y = c->mask_origin.y,
        .filter = flag_field(c->flags, SPICE_COMPOSITE_MASK_FILTER0, 3),
        .repeat = flag_field(c->flags, SPICE_COMPOSITE_MASK_REPEAT0, 2),
        .opaque = c->flags & SPICE_COMPOSITE_MASK_OPAQUE,
        .component_alpha = c->flags & SPICE_COMPOSITE_COMPONENT_ALPHA,
    };
    int err = open_layers(w, c, &src, &mask);

    if (!err)
        err = read_transform(w, c->src_transform, &src, &src_transform);
    if (!err)
        err = read_transform(w, c->mask_transform, &mask, &mask_transform);
    return err ? err
               : canvas_composite(w->canvas, &w->target,
                                  flag_field(c->flags, SPICE_COMPOSITE_OP0, 8), &src, &mask,
                                  c->flags & SPICE_COMPOSITE_DEST_OPAQUE);
}
