#include "client/display_draw.h"

#include "base/error.h"
#include "client/display_moves.h"

#include <errno.h>

/* Also a surface can be a picture. */
static int get_picture(struct draw *w, const struct spice_image *image, pixman_image_t **picture)
{
    struct canvas *surface;
    int err;

    if (!image)
        return fail(-EBADMSG, "a picture is missing");
    if (image->type == SPICE_IMAGE_TYPE_SURFACE) {
        surface = display_surface(w->d, image->surface_id);
        if (!surface)
            return -EBADMSG;
        *picture = pixman_image_ref(surface->image);
    } else {
        err = pictures_get(w->d->pictures, image, w->c->format, picture);
        if (err)
            return err;
    }
    w->pictures[w->picture_count++] = *picture;
    return 0;
}

static int get_mask(struct draw *w, const struct spice_mask *mask)
{
    int err;

    if (!mask || !mask->bitmap)
        return 0;
    err = pictures_get_mask(w->d->pictures, mask->bitmap, mask->flags & SPICE_MASK_FLAGS_INVERS,
                            &w->t.mask);
    if (err)
        return err;
    w->t.mask_x = mask->pos.x;
    w->t.mask_y = mask->pos.y;
    w->pictures[w->picture_count++] = w->t.mask;
    return 0;
}

int draw_open(struct draw *w, struct channel *c, const struct spice_display_base *base,
              const struct spice_mask *mask)
{
    bool clipped;
    int err;

    *w = (struct draw){.d = to_display(c), .t.box = base->box};
    err = display_clip(&base->clip, &w->clip, &clipped);
    if (err) {
        pixman_region32_init(&w->clip);
        return err;
    }
    if (clipped)
        w->t.clip = &w->clip;
    w->c = display_surface(w->d, base->surface_id);
    return w->c ? get_mask(w, mask) : -EBADMSG;
}

int draw_close(struct draw *w, int err)
{
    for (size_t i = 0; i < w->picture_count; i++)
        pixman_image_unref(w->pictures[i]);
    pixman_region32_fini(&w->clip);
    if (err == -EINVAL)
        fail(err, "the box %d,%d to %d,%d or what is to be drawn there is not possible",
             w->t.box.left, w->t.box.top, w->t.box.right, w->t.box.bottom);
    return err;
}

static int get_source(struct draw *w, const struct spice_image *image, const struct rect *area,
                      uint8_t scale_mode, struct canvas_source *src)
{
    *src = (struct canvas_source){NULL, *area, scale_mode};
    return get_picture(w, image, &src->image);
}

int draw_get_brush(struct draw *w, const struct spice_brush *brush, struct canvas_brush *out)
{
    *out = (struct canvas_brush){brush->type, brush->color, NULL, brush->pattern_pos.x,
                                 brush->pattern_pos.y};
    return brush->type == SPICE_BRUSH_TYPE_PATTERN ? get_picture(w, brush->pattern, &out->pattern)
                                                   : 0;
}

static int draw_fill(struct channel *c, const void *msg)
{
    const struct spice_msg_display_draw_fill *m = msg;
    struct canvas_brush brush;
    struct draw w;
    int err = draw_open(&w, c, &m->base, &m->mask);

    if (!err)
        err = draw_get_brush(&w, &m->brush, &brush);
    if (!err) {
        display_begin(w.d, w.c);
        err = canvas_fill(w.c, &w.t, &brush, m->rop);
        display_end(w.d, w.c, &w.t);
    }
    return draw_close(&w, err);
}

static int draw_opaque(struct channel *c, const void *msg)
{
    const struct spice_msg_display_draw_opaque *m = msg;
    struct canvas_source src;
    struct canvas_brush brush;
    struct draw w;
    int err = draw_open(&w, c, &m->base, &m->mask);

    if (!err)
        err = get_source(&w, m->src, &m->src_area, m->scale_mode, &src);
    if (!err)
        err = draw_get_brush(&w, &m->brush, &brush);
    if (!err) {
        display_begin(w.d, w.c);
        err = canvas_opaque(w.c, &w.t, &src, &brush, m->rop);
        display_end(w.d, w.c, &w.t);
    }
    return draw_close(&w, err);
}

static int draw_copy(struct channel *c, const void *msg)
{
    const struct spice_msg_display_draw_copy *m = msg;
    struct canvas_source src;
    struct draw w;
    int err = draw_open(&w, c, &m->base, &m->mask);

    if (!err)
        err = get_source(&w, m->src, &m->src_area, m->scale_mode, &src);
    if (!err && m->src->type != SPICE_IMAGE_TYPE_SURFACE && display_moves_add_copy(w.d->moves, &w, &src, m->rop))
        return 0;
    if (!err) {
        display_begin(w.d, w.c);
        err = canvas_copy(w.c, &w.t, &src, m->rop);
        display_end(w.d, w.c, &w.t);
    }
    return draw_close(&w, err);
}

static int draw_copy_bits(struct channel *c, const void *msg)
{
    const struct spice_msg_display_copy_bits *m = msg;
    struct draw w;
    int err = draw_open(&w, c, &m->base, NULL);

    if (!err && display_moves_add(w.d->moves, &w, m->src_pos.x, m->src_pos.y))
        return 0;
    if (!err) {
        display_begin(w.d, w.c);
        err = canvas_copy_bits(w.c, &w.t, m->src_pos.x, m->src_pos.y);
        display_end(w.d, w.c, &w.t);
    }
    return draw_close(&w, err);
}

static int draw_masked(struct channel *c, const struct spice_msg_display_draw_masked *m,
                       uint16_t rop)
{
    struct draw w;
    int err = draw_open(&w, c, &m->base, &m->mask);

    if (!err) {
        display_begin(w.d, w.c);
        err = canvas_fill(w.c, &w.t, NULL, rop);
        display_end(w.d, w.c, &w.t);
    }
    return draw_close(&w, err);
}

static int draw_blackness(struct channel *c, const void *msg)
{
    return draw_masked(c, msg, SPICE_ROPD_OP_BLACKNESS);
}

static int draw_whiteness(struct channel *c, const void *msg)
{
    return draw_masked(c, msg, SPICE_ROPD_OP_WHITENESS);
}

static int draw_invers(struct channel *c, const void *msg)
{
    return draw_masked(c, msg, SPICE_ROPD_OP_INVERS);
}

static int draw_rop3(struct channel *c, const void *msg)
{
    const struct spice_msg_display_draw_rop3 *m = msg;
    struct canvas_source src;
    struct canvas_brush brush;
    struct draw w;
    int err = draw_open(&w, c, &m->base, &m->mask);

    if (!err)
        err = get_source(&w, m->src, &m->src_area, m->scale_mode, &src);
    if (!err)
        err = draw_get_brush(&w, &m->brush, &brush);
    if (!err) {
        display_begin(w.d, w.c);
        err = canvas_rop3(w.c, &w.t, &src, &brush, m->rop3);
        display_end(w.d, w.c, &w.t);
    }
    return draw_close(&w, err);
}

static int draw_transparent(struct channel *c, const void *msg)
{
    const struct spice_msg_display_draw_transparent *m = msg;
    struct canvas_source src;
    struct draw w;
    int err = draw_open(&w, c, &m->base, NULL);

    if (!err)
        err = get_source(&w, m->src, &m->src_area, SPICE_IMAGE_SCALE_MODE_NEAREST, &src);
    if (!err) {
        display_begin(w.d, w.c);
        err = canvas_transparent(w.c, &w.t, &src, m->true_color);
        display_end(w.d, w.c, &w.t);
    }
    return draw_close(&w, err);
}

static int draw_alpha_blend(struct channel *c, const void *msg)
{
    const struct spice_msg_display_draw_alpha_blend *m = msg;
    struct canvas_source src;
    struct draw w;
    int err = draw_open(&w, c, &m->base, NULL);

    if (!err)
        err = get_source(&w, m->src, &m->src_area, SPICE_IMAGE_SCALE_MODE_NEAREST, &src);
    if (!err) {
        display_begin(w.d, w.c);
        err = canvas_alpha_blend(w.c, &w.t, &src, m->alpha,
                                 m->alpha_flags & SPICE_ALPHA_FLAGS_DEST_HAS_ALPHA);
        display_end(w.d, w.c, &w.t);
    }
    return draw_close(&w, err);
}

static pixman_transform_t transform_of(const struct spice_transform *t)
{
    return (pixman_transform_t){
        {{t->t00, t->t01, t->t02}, {t->t10, t->t11, t->t12}, {0, 0, pixman_fixed_1}}};
}

/* The fields of a composite's flags: where they begin, how many bits they have. */
static unsigned flag_field(uint32_t flags, unsigned lowest, unsigned bits)
{
    return flags / lowest & ((1u << bits) - 1);
}

static int draw_composite(struct channel *c, const void *msg)
{
    const struct spice_msg_display_draw_composite *m = msg;
    pixman_transform_t src_transform = transform_of(&m->src_transform);
    pixman_transform_t mask_transform = transform_of(&m->mask_transform);
    struct canvas_layer src = {
        .x = m->src_origin.x,
        .y = m->src_origin.y,
        .filter = flag_field(m->flags, SPICE_COMPOSITE_SRC_FILTER0, 3),
        .repeat = flag_field(m->flags, SPICE_COMPOSITE_SRC_REPEAT0, 2),
        .transform = m->flags & SPICE_COMPOSITE_HAS_SRC_TRANSFORM ? &src_transform : NULL,
        .opaque = m->flags & SPICE_COMPOSITE_SOURCE_OPAQUE,
    };
    struct canvas_layer mask = {
        .x = m->mask_origin.x,
        .y = m->mask_origin.y,
        .filter = flag_field(m->flags, SPICE_COMPOSITE_MASK_FILTER0, 3),
        .repeat = flag_field(m->flags, SPICE_COMPOSITE_MASK_REPEAT0, 2),
        .transform = m->flags & SPICE_COMPOSITE_HAS_MASK_TRANSFORM ? &mask_transform : NULL,
        .opaque = m->flags & SPICE_COMPOSITE_MASK_OPAQUE,
        .component_alpha = m->flags & SPICE_COMPOSITE_COMPONENT_ALPHA,
    };
    struct draw w;
    int err = draw_open(&w, c, &m->base, NULL);

    if (!err)
        err = get_picture(&w, m->src, &src.image);
    if (!err && (m->flags & SPICE_COMPOSITE_HAS_MASK))
        err = get_picture(&w, m->mask, &mask.image);
    if (!err) {
        display_begin(w.d, w.c);
        err = canvas_composite(w.c, &w.t, flag_field(m->flags, SPICE_COMPOSITE_OP0, 8), &src, &mask,
                               m->flags & SPICE_COMPOSITE_DEST_OPAQUE);
        display_end(w.d, w.c, &w.t);
    }
    return draw_close(&w, err);
}

const struct channel_handler display_draw_handlers[DISPLAY_DRAW_HANDLERS] = {
    {SPICE_MSG_DISPLAY_COPY_BITS, draw_copy_bits},
    {SPICE_MSG_DISPLAY_DRAW_FILL, draw_fill},
    {SPICE_MSG_DISPLAY_DRAW_OPAQUE, draw_opaque},
    {SPICE_MSG_DISPLAY_DRAW_COPY, draw_copy},
    {SPICE_MSG_DISPLAY_DRAW_BLEND, draw_copy},
    {SPICE_MSG_DISPLAY_DRAW_BLACKNESS, draw_blackness},
    {SPICE_MSG_DISPLAY_DRAW_WHITENESS, draw_whiteness},
    {SPICE_MSG_DISPLAY_DRAW_INVERS, draw_invers},
    {SPICE_MSG_DISPLAY_DRAW_ROP3, draw_rop3},
    {SPICE_MSG_DISPLAY_DRAW_STROKE, display_draw_stroke},
    {SPICE_MSG_DISPLAY_DRAW_TEXT, display_draw_text},
    {SPICE_MSG_DISPLAY_DRAW_TRANSPARENT, draw_transparent},
    {SPICE_MSG_DISPLAY_DRAW_ALPHA_BLEND, draw_alpha_blend},
    {SPICE_MSG_DISPLAY_DRAW_COMPOSITE, draw_composite},
};
