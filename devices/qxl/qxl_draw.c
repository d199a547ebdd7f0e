/* qxl_draw.c - drawing commands: copied from the guest once, turned into operations of canvas/. */
#include "base/log.h"
#include "devices/qxl/qxl_draw.h"
#include "devices/qxl/qxl_draw.h"

#include <errno.h>
#include <spice/enums.h>
#include <stdlib.h>

int qxl_to_rect(struct rect *r, const QXLRect *q)
{
    *r = (struct rect){q->left, q->top, q->right, q->bottom};
    if (r->left > r->right || r->top > r->bottom || r->left < -QXL_MAX_COORDINATE ||
        r->top < -QXL_MAX_COORDINATE || r->right > QXL_MAX_COORDINATE ||
        r->bottom > QXL_MAX_COORDINATE)
        return -EINVAL;
    return 0;
}

static int make_region(struct draw *w, const QXLRect *rects, uint32_t count)
{
    struct rect *converted = malloc(MAX(count, 1) * sizeof(*converted));
    uint32_t n = 0;
    int err;

    if (!converted)
        return -ENOMEM;
    for (uint32_t i = 0; i < count; i++)
        if (qxl_to_rect(&converted[n], &rects[i]) == 0)
            n++;
    err = canvas_region(&w->clip, converted, n);
    free(converted);
    if (!err)
        w->target.clip = &w->clip;
    return err;
}

static int open_clip(struct draw *w)
{
    QXLPHYSICAL addr = w->d.clip.data;
    QXLClipRects clip;
    uint8_t *rects;
    int err;

    if (w->d.clip.type != SPICE_CLIP_TYPE_RECTS)
        return 0;
    if (qxl_read(w->q, addr, &clip, sizeof(clip)))
        return -EFAULT;
    if (clip.num_rects > QXL_MAX_CLIPS)
        return -EINVAL;
    err = qxl_read_chunks(w->q, addr + offsetof(QXLClipRects, chunk),
                          clip.num_rects * sizeof(QXLRect), &rects);
    if (err)
        return err;
    err = make_region(w, (const QXLRect *)rects, clip.num_rects);
    free(rects);
    return err;
}

static int open_mask(struct draw *w, const QXLQMask *mask)
{
    int err;

    if (!mask->bitmap)
        return 0;
    err = qxl_mask_open(w->q, &w->mask, mask->bitmap, mask->flags & SPICE_MASK_FLAGS_INVERS);
    w->target.mask = w->mask.image;
    w->target.mask_x = mask->pos.x;
    w->target.mask_y = mask->pos.y;
    return err;
}

/* The part of the destination that the command keeps as its own picture. */
static int open_self(struct draw *w)
{
    struct rect area, bounds = canvas_bounds(w->canvas);
    int err = qxl_to_rect(&area, &w->d.self_bitmap_area);

    area = rect_intersect(&area, &bounds);
    if (err || rect_empty(&area))
        return -EINVAL;
    w->source.image =
        pixman_image_create_bits(pixman_image_get_format(w->canvas->image), area.right - area.left,
                                 area.bottom - area.top, NULL, 0);
    if (!w->source.image)
        return -ENOMEM;
    pixman_image_composite32(PIXMAN_OP_SRC, w->canvas->image, NULL, w->source.image, area.left,
                             area.top, 0, 0, 0, 0, area.right - area.left, area.bottom - area.top);
    return 0;
}

int qxl_open_source(struct draw *w, QXLPHYSICAL addr, const QXLRect *area, uint8_t scale_mode)
{
    int err = qxl_to_rect(&w->src.area, area);

    if (!err)
        err = !addr && w->d.self_bitmap
                  ? open_self(w)
                  : qxl_picture_open(w->q, &w->source, addr, w->canvas->format);
    w->src.image = w->source.image;
    w->src.scale_mode = scale_mode;
    return err;
}

int qxl_open_brush(struct draw *w, const QXLBrush *brush)
{
    int err = 0;

    w->brush = (struct canvas_brush){.type = brush->type, .color = brush->u.color};
    if (brush->type == SPICE_BRUSH_TYPE_PATTERN) {
        err = qxl_picture_open(w->q, &w->pattern, brush->u.pattern.pat, w->canvas->format);
        w->brush.pattern = w->pattern.image;
        w->brush.x = brush->u.pattern.pos.x;
        w->brush.y = brush->u.pattern.pos.y;
    }
    return err;
}

/* --- the operations --- */

static int draw_fill(struct draw *w)
{
    const QXLFill *f = &w->d.u.fill;
    int err = qxl_open_brush(w, &f->brush);

    if (!err)
        err = open_mask(w, &f->mask);
    return err ? err : canvas_fill(w->canvas, &w->target, &w->brush, f->rop_descriptor);
}

static int draw_copy(struct draw *w)
{
    const QXLCopy *c = &w->d.u.copy;
    int err = qxl_open_source(w, c->src_bitmap, &c->src_area, c->scale_mode);

    if (!err)
        err = open_mask(w, &c->mask);
    return err ? err : canvas_copy(w->canvas, &w->target, &w->src, c->rop_descriptor);
}

static int draw_opaque(struct draw *w)
{
    const QXLOpaque *o = &w->d.u.opaque;
    int err = qxl_open_source(w, o->src_bitmap, &o->src_area, o->scale_mode);

    if (!err)
        err = qxl_open_brush(w, &o->brush);
    if (!err)
        err = open_mask(w, &o->mask);
    return err ? err : canvas_opaque(w->canvas, &w->target, &w->src, &w->brush, o->rop_descriptor);
}

static int draw_copy_bits(struct draw *w)
{
    const QXLPoint *p = &w->d.u.copy_bits.src_pos;

    return canvas_copy_bits(w->canvas, &w->target, p->x, p->y);
}

static int draw_rop3(struct draw *w)
{
    const QXLRop3 *r = &w->d.u.rop3;
    int err = qxl_open_source(w, r->src_bitmap, &r->src_area, r->scale_mode);

    if (!err)
        err = qxl_open_brush(w, &r->brush);
    if (!err)
        err = open_mask(w, &r->mask);
    return err ? err : canvas_rop3(w->canvas, &w->target, &w->src, &w->brush, r->rop3);
}

static int draw_constant(struct draw *w, uint16_t rop)
{
    int err = open_mask(w, &w->d.u.blackness.mask);

    return err ? err : canvas_fill(w->canvas, &w->target, NULL, rop);
}

static int draw_blackness(struct draw *w)
{
    return draw_constant(w, SPICE_ROPD_OP_BLACKNESS);
}

static int draw_whiteness(struct draw *w)
{
    return draw_constant(w, SPICE_ROPD_OP_WHITENESS);
}

static int draw_invers(struct draw *w)
{
    return draw_constant(w, SPICE_ROPD_OP_INVERS);
}

static int (*const operations[])(struct draw *w) = {
    [QXL_DRAW_FILL] = draw_fill,
    [QXL_DRAW_OPAQUE] = draw_opaque,
    [QXL_DRAW_COPY] = draw_copy,
    [QXL_COPY_BITS] = draw_copy_bits,
    [QXL_DRAW_BLEND] = draw_copy,
    [QXL_DRAW_BLACKNESS] = draw_blackness,
    [QXL_DRAW_WHITENESS] = draw_whiteness,
    [QXL_DRAW_INVERS] = draw_invers,
    [QXL_DRAW_ROP3] = draw_rop3,
    [QXL_DRAW_STROKE] = qxl_draw_stroke,
    [QXL_DRAW_TEXT] = qxl_draw_text,
    [QXL_DRAW_TRANSPARENT] = qxl_draw_transparent,
    [QXL_DRAW_ALPHA_BLEND] = qxl_draw_alpha_blend,
    [QXL_DRAW_COMPOSITE] = qxl_draw_composite,
};

/* --- the command --- */

static int run_operation(struct draw *w)
{
    uint8_t type = w->d.type;

    if (type == QXL_DRAW_NOP)
        return 0;
    if (type >= ARRAY_SIZE(operations) || !operations[type]) {
        log_once(LOG_WARN, "qxl: the guest asks for drawing operation %u, which is not supported",
                 type);
        return -ENOTSUP;
    }
    return operations[type](w);
}

/* --- what others depend on --- */

struct rect qxl_draw_box(const struct draw *w)
{
    const pixman_box32_t *b = pixman_region32_extents((pixman_region32_t *)&w->place);

    return (struct rect){b->x1, b->y1, b->x2, b->y2};
}

void qxl_draw_narrow(struct draw *w, const struct rect *r)
{
    pixman_region32_intersect_rect(&w->place, &w->place, r->left, r->top, r->right - r->left, r->bottom - r->top);
    w->target.clip = &w->place;
}

struct canvas_point qxl_draw_source(const struct draw *w)
{
    const QXLPoint *from = &w->d.u.copy_bits.src_pos;

    return (struct canvas_point){from->x - w->target.box.left, from->y - w->target.box.top};
}

static bool is_one_rect(const struct draw *w)
{
    return pixman_region32_n_rects((pixman_region32_t *)&w->place) == 1;
}

static bool is_move(const struct draw *w)
{
    const struct rect to = qxl_draw_box(w);
    const QXLPoint *from = &w->d.u.copy_bits.src_pos;
    int64_t dx = (int64_t)from->x - w->target.box.left, dy = (int64_t)from->y - w->target.box.top;

    return is_one_rect(w) && to.left + dx >= 0 && to.right + dx <= w->canvas->width && to.top + dy >= 0 &&
           to.bottom + dy <= w->canvas->height;
}

/* The picture is not a surface, which earlier commands may draw on. */
static bool read_picture(const struct draw *w, QXLPHYSICAL addr, QXLImageDescriptor *image)
{
    return addr && qxl_read(w->q, addr, image, sizeof(*image)) == 0 && image->type != SPICE_IMAGE_TYPE_SURFACE;
}

/* Whether the copy cannot fail but by a picture that is not what it says. */
static bool copies_all(const struct draw *w, const QXLImageDescriptor *image)
{
    const QXLRect *from = &w->d.u.copy.src_area, *to = &w->d.bbox;

    return w->d.u.copy.rop_descriptor == SPICE_ROPD_OP_PUT && image->type == SPICE_IMAGE_TYPE_BITMAP &&
           from->left >= 0 && from->top >= 0 && from->right <= (int64_t)image->width &&
           from->bottom <= (int64_t)image->height &&
           (int64_t)from->right - from->left == (int64_t)to->right - to->left &&
           (int64_t)from->bottom - from->top == (int64_t)to->bottom - to->top;
}

static enum draw_kind copy_kind(const struct draw *w)
{
    const QXLCopy *c = &w->d.u.copy;
    QXLImageDescriptor image;

    if (c->mask.bitmap || w->d.self_bitmap || !read_picture(w, c->src_bitmap, &image))
        return DRAW_ANY;
    return copies_all(w, &image) ? DRAW_COVERS : DRAW_BLENDS;
}

static enum draw_kind fill_kind(const struct draw *w)
{
    const QXLFill *f = &w->d.u.fill;

    if (f->mask.bitmap || f->brush.type != SPICE_BRUSH_TYPE_SOLID)
        return DRAW_ANY;
    return f->rop_descriptor == SPICE_ROPD_OP_PUT ? DRAW_COVERS : DRAW_BLENDS;
}

static enum draw_kind constant_kind(const struct draw *w)
{
    if (w->d.u.blackness.mask.bitmap)
        return DRAW_ANY;
    return w->d.type == QXL_DRAW_INVERS ? DRAW_BLENDS : DRAW_COVERS;
}

static enum draw_kind text_kind(const struct draw *w)
{
    const QXLText *t = &w->d.u.text;

    return t->fore_brush.type == SPICE_BRUSH_TYPE_PATTERN || t->back_brush.type == SPICE_BRUSH_TYPE_PATTERN
               ? DRAW_ANY
               : DRAW_BLENDS;
}

static enum draw_kind kind_of(const struct draw *w)
{
    switch (w->d.type) {
    case QXL_DRAW_FILL:
        return fill_kind(w);
    case QXL_DRAW_COPY:
    case QXL_DRAW_BLEND:
        return copy_kind(w);
    case QXL_DRAW_BLACKNESS:
    case QXL_DRAW_WHITENESS:
    case QXL_DRAW_INVERS:
        return constant_kind(w);
    case QXL_DRAW_TEXT:
        return text_kind(w);
    case QXL_COPY_BITS:
        return is_move(w) ? DRAW_MOVES : DRAW_ANY;
    default:
        return DRAW_ANY;
    }
}

/* --- the command's life --- */

/* The first drivers' commands: no surfaces, and a smaller ALPHA_BLEND. */
static int read_compat(struct qxl *q, QXLPHYSICAL addr, QXLDrawable *d)
{
    static_assert(sizeof(((QXLCompatDrawable *)0)->u) <= sizeof(d->u),
                  "the new body holds any old one");
    QXLCompatDrawable c;

    if (qxl_read(q, addr, &c, sizeof(c)))
        return -EFAULT;
    *d = (QXLDrawable){.release_info = c.release_info,
                       .effect = c.effect,
                       .type = c.type,
                       .self_bitmap = c.bitmap_offset != 0,
                       .self_bitmap_area = c.bitmap_area,
                       .bbox = c.bbox,
                       .clip = c.clip,
                       .mm_time = c.mm_time};
    memcpy(&d->u, &c.u, sizeof(c.u));
    if (c.type == QXL_DRAW_ALPHA_BLEND)
        d->u.alpha_blend = (QXLAlphaBlend){.alpha = c.u.alpha_blend.alpha,
                                           .src_bitmap = c.u.alpha_blend.src_bitmap,
                                           .src_area = c.u.alpha_blend.src_area};
    return 0;
}

static int read_drawable(struct qxl *q, QXLPHYSICAL addr, QXLDrawable *d)
{
    if (q->mode == QXL_MODE_COMPAT)
        return read_compat(q, addr, d);
    return qxl_read(q, addr, d, sizeof(*d)) ? -EFAULT : 0;
}

static void find_place(struct draw *w)
{
    struct rect bounds = canvas_bounds(w->canvas), box = rect_intersect(&w->target.box, &bounds);

    if (rect_empty(&box))
        return;
    pixman_region32_fini(&w->place);
    pixman_region32_init_rect(&w->place, box.left, box.top, box.right - box.left, box.bottom - box.top);
    if (w->target.clip)
        pixman_region32_intersect(&w->place, &w->place, &w->clip);
}

int qxl_draw_take(struct draw *w, struct qxl *q, QXLPHYSICAL addr)
{
    struct qxl_surface *s;
    int err;

    *w = (struct draw){.q = q, .addr = addr};
    pixman_region32_init(&w->clip);
    pixman_region32_init(&w->place);
    err = read_drawable(q, addr, &w->d);
    if (err)
        return err;
    s = qxl_surface(q, w->d.surface_id);
    if (!s)
        return -EINVAL;
    w->canvas = s->canvas;
    err = qxl_to_rect(&w->target.box, &w->d.bbox);
    if (!err)
        err = open_clip(w);
    if (err)
        return err;
    find_place(w);
    w->kind = kind_of(w);
    return 0;
}

static void note_damage(struct draw *w, pixman_region32_t *region)
{
    if (pixman_region32_not_empty(region))
        qxl_surface_drawn(w->q, w->d.surface_id, region);
}

int qxl_draw_move(struct draw *w, pixman_region32_t *region, struct canvas_point from, bool tell)
{
    const pixman_box32_t *box = pixman_region32_extents(region);
    const struct canvas_target target = {{box->x1, box->y1, box->x2, box->y2}, .clip = region};
    bool hint = tell && w->d.surface_id == 0 && pixman_region32_n_rects(region) == 1;
    int err = canvas_copy_bits(w->canvas, &target, box->x1 + from.x, box->y1 + from.y);

    if (hint)
        qxl_report_damage(w->q); /* what was drawn before has moved too */
    note_damage(w, region);
    if (hint && !err)
        qxl_report_moved(w->q, -from.x, -from.y);
    return err;
}

int qxl_draw_run(struct draw *w)
{
    int err = run_operation(w);

    note_damage(w, &w->place);
    return err;
}

void qxl_draw_close(struct draw *w)
{
    qxl_picture_close(&w->source);
    qxl_picture_close(&w->pattern);
    qxl_picture_close(&w->mask);
    pixman_region32_fini(&w->clip);
    pixman_region32_fini(&w->place);
}

void qxl_draw_end(struct draw *w, int err)
{
    qxl_draw_close(w);
    if (err == -EFAULT) {
        qxl_bug(w->q, "a drawing command refers to memory outside of its slot");
        return;
    }
    if (err)
        log_once(LOG_DEBUG, "qxl: a drawing command of type %u is not possible", w->d.type);
    qxl_release(w->q, w->addr);
}
