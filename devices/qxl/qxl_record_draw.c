/*
 * qxl_record_draw.c - a record of a drawing command.
 *
 * The command is written as the guest gave it, with its bitmaps as one piece each. What the format has no words for - text,
 * lines, pictures that the guest compressed - is written as a copy of the pixels that it led to.
 */
#include "devices/qxl/qxl_record.h"

#include <errno.h>
#include <spice/enums.h>
#include <stdlib.h>

#define MAX_COLORS 256

struct recorder {
    struct qxl *q;
    struct trace_writer *t;
    struct writer *w; /* t->record */
};

/* --- parts --- */

static void put_rect(struct writer *w, const QXLRect *r)
{
    const struct trace_rect t = {r->left, r->top, r->right, r->bottom};

    writer_bytes(w, &t, sizeof(t));
}

static void put_box(struct writer *w, const pixman_box32_t *b)
{
    const struct trace_rect t = {b->x1, b->y1, b->x2, b->y2};

    writer_bytes(w, &t, sizeof(t));
}

static void put_no_image(struct writer *w)
{
    const struct trace_image t = {.size = 8, .kind = TRACE_IMAGE_NONE};

    writer_bytes(w, &t, 8);
}

static int put_palette(struct recorder *r, QXLPHYSICAL addr, struct trace_image *t)
{
    uint32_t colors[MAX_COLORS];
    QXLPalette p;

    if (qxl_read(r->q, addr, &p, sizeof(p)))
        return -EFAULT;
    t->colors = MIN(p.num_ents, MAX_COLORS);
    t->palette_id = p.unique;
    if (qxl_read(r->q, addr + sizeof(p), colors, t->colors * sizeof(*colors)))
        return -EFAULT;
    writer_bytes(r->w, colors, t->colors * sizeof(*colors));
    trace_align(r->t);
    return 0;
}

/* Rows, without what may lie between them; a row is `from` bytes in memory and `to` bytes in the file. */
static void put_rows(struct writer *w, const uint8_t *rows, uint32_t from, uint32_t to, uint32_t bytes,
                     uint32_t height)
{
    uint8_t *p = writer_extend(w, (size_t)to * height);

    for (uint32_t y = 0; p && y < height; y++, p += to) {
        guest_copy(p, rows + (size_t)y * from, bytes);
        memset(p + bytes, 0, to - bytes);
    }
}

static int put_pixels(struct recorder *r, const QXLBitmap *b, uint32_t stride)
{
    uint64_t size = (uint64_t)b->stride * b->y;
    const uint8_t *rows;
    uint8_t *buffer = NULL;
    int err = 0;

    if (b->flags & QXL_BITMAP_DIRECT)
        rows = qxl_pointer(r->q, b->data, size);
    else
        err = qxl_read_chunks(r->q, b->data, size, &buffer), rows = buffer;
    if (err || !rows)
        return err ? err : -EFAULT;
    put_rows(r->w, rows, b->stride, stride, qxl_bitmap_row(b), b->y);
    trace_align(r->t);
    free(buffer);
    return 0;
}

static int put_bitmap(struct recorder *r, const QXLImageDescriptor *d, QXLPHYSICAL addr)
{
    size_t start = r->w->size;
    struct trace_image t;
    QXLBitmap b;
    int err = 0;

    if (qxl_read(r->q, addr, &b, sizeof(b)))
        return -EFAULT;
    if (!qxl_bitmap_row(&b))
        return -EINVAL;
    t = (struct trace_image){.kind = TRACE_IMAGE_BITMAP,
                             .flags = d->flags,
                             .format = b.format,
                             .bitmap_flags = b.flags,
                             .id = d->id,
                             .width = b.x,
                             .height = b.y,
                             .stride = ALIGN_UP(qxl_bitmap_row(&b), 4),
                             .guest_stride = b.stride};
    t.data_size = t.stride * t.height;
    writer_bytes(r->w, &t, sizeof(t));
    if (b.palette)
        err = put_palette(r, b.palette, &t);
    if (!err)
        err = put_pixels(r, &b, t.stride);
    t.size = r->w->size - start;
    if (!err && !r->w->bad)
        memcpy(r->w->data + start, &t, sizeof(t)); /* what is known now */
    return err;
}

static int put_image(struct recorder *r, QXLPHYSICAL addr)
{
    struct trace_image t = {.size = sizeof(t), .kind = TRACE_IMAGE_SURFACE};
    QXLImageDescriptor d;
    QXLSurfaceId id;

    if (!addr) {
        put_no_image(r->w);
        return 0;
    }
    if (qxl_read(r->q, addr, &d, sizeof(d)))
        return -EFAULT;
    if (d.type == SPICE_IMAGE_TYPE_BITMAP)
        return put_bitmap(r, &d, addr + sizeof(d));
    if (d.type != SPICE_IMAGE_TYPE_SURFACE)
        return -ENOTSUP;
    if (qxl_read(r->q, addr + sizeof(d), &id, sizeof(id)))
        return -EFAULT;
    t.id = d.id;
    t.flags = d.flags;
    t.width = d.width;
    t.height = d.height;
    t.guest_stride = id.surface_id;
    writer_bytes(r->w, &t, sizeof(t));
    return 0;
}

static int put_mask(struct recorder *r, const QXLQMask *m)
{
    const struct trace_mask t = {.flags = m->flags, .x = m->pos.x, .y = m->pos.y};

    writer_bytes(r->w, &t, sizeof(t));
    return put_image(r, m->bitmap);
}

static int put_brush(struct recorder *r, const QXLBrush *b)
{
    struct trace_brush t = {.type = b->type};

    if (b->type == SPICE_BRUSH_TYPE_PATTERN) {
        t.x = b->u.pattern.pos.x;
        t.y = b->u.pattern.pos.y;
    } else {
        t.color = b->u.color;
    }
    writer_bytes(r->w, &t, sizeof(t));
    return b->type == SPICE_BRUSH_TYPE_PATTERN ? put_image(r, b->u.pattern.pat) : 0;
}

static int put_transform(struct recorder *r, QXLPHYSICAL addr)
{
    QXLTransform t;

    if (!addr)
        return 0;
    if (qxl_read(r->q, addr, &t, sizeof(t)))
        return -EFAULT;
    writer_bytes(r->w, &t, sizeof(t));
    return 0;
}

/* --- bodies --- */

static int body_nothing(struct recorder *r UNUSED, const QXLDrawable *d UNUSED)
{
    return 0;
}

static int body_fill(struct recorder *r, const QXLDrawable *d)
{
    int err = put_brush(r, &d->u.fill.brush);

    writer_u32(r->w, d->u.fill.rop_descriptor);
    writer_u32(r->w, 0);
    return err ? err : put_mask(r, &d->u.fill.mask);
}

static int body_copy(struct recorder *r, const QXLDrawable *d)
{
    const QXLCopy *c = &d->u.copy;
    int err = put_image(r, c->src_bitmap);

    put_rect(r->w, &c->src_area);
    writer_u32(r->w, c->rop_descriptor);
    writer_u32(r->w, c->scale_mode);
    return err ? err : put_mask(r, &c->mask);
}

static int body_opaque(struct recorder *r, const QXLDrawable *d)
{
    const QXLOpaque *o = &d->u.opaque;
    int err = put_image(r, o->src_bitmap);

    put_rect(r->w, &o->src_area);
    if (!err)
        err = put_brush(r, &o->brush);
    writer_u32(r->w, o->rop_descriptor);
    writer_u32(r->w, o->scale_mode);
    return err ? err : put_mask(r, &o->mask);
}

static int body_rop3(struct recorder *r, const QXLDrawable *d)
{
    const QXLRop3 *o = &d->u.rop3;
    int err = put_image(r, o->src_bitmap);

    put_rect(r->w, &o->src_area);
    if (!err)
        err = put_brush(r, &o->brush);
    writer_u32(r->w, o->rop3);
    writer_u32(r->w, o->scale_mode);
    return err ? err : put_mask(r, &o->mask);
}

static int body_copy_bits(struct recorder *r, const QXLDrawable *d)
{
    writer_u32(r->w, d->u.copy_bits.src_pos.x);
    writer_u32(r->w, d->u.copy_bits.src_pos.y);
    return 0;
}

static int body_mask(struct recorder *r, const QXLDrawable *d)
{
    return put_mask(r, &d->u.blackness.mask);
}

static int body_transparent(struct recorder *r, const QXLDrawable *d)
{
    int err = put_image(r, d->u.transparent.src_bitmap);

    put_rect(r->w, &d->u.transparent.src_area);
    writer_u32(r->w, d->u.transparent.src_color);
    writer_u32(r->w, d->u.transparent.true_color);
    return err;
}

static int body_alpha_blend(struct recorder *r, const QXLDrawable *d)
{
    int err = put_image(r, d->u.alpha_blend.src_bitmap);

    put_rect(r->w, &d->u.alpha_blend.src_area);
    writer_u32(r->w, d->u.alpha_blend.alpha_flags);
    writer_u32(r->w, d->u.alpha_blend.alpha);
    return err;
}

static int body_composite(struct recorder *r, const QXLDrawable *d)
{
    const QXLComposite *c = &d->u.composite;
    const struct trace_composite t = {
        .flags = c->flags,
        .parts = (c->src_transform ? TRACE_PART_SRC_TRANSFORM : 0) | (c->mask ? TRACE_PART_MASK : 0) |
                 (c->mask_transform ? TRACE_PART_MASK_TRANSFORM : 0),
        .src_x = c->src_origin.x,
        .src_y = c->src_origin.y,
        .mask_x = c->mask_origin.x,
        .mask_y = c->mask_origin.y,
    };
    int err;

    writer_bytes(r->w, &t, sizeof(t));
    err = put_image(r, c->src);
    if (!err)
        err = put_transform(r, c->src_transform);
    if (!err && c->mask)
        err = put_image(r, c->mask);
    return err ? err : put_transform(r, c->mask_transform);
}

static int (*const bodies[])(struct recorder *r, const QXLDrawable *d) = {
    [QXL_DRAW_NOP] = body_nothing,
    [QXL_DRAW_FILL] = body_fill,
    [QXL_DRAW_OPAQUE] = body_opaque,
    [QXL_DRAW_COPY] = body_copy,
    [QXL_COPY_BITS] = body_copy_bits,
    [QXL_DRAW_BLEND] = body_copy,
    [QXL_DRAW_BLACKNESS] = body_mask,
    [QXL_DRAW_WHITENESS] = body_mask,
    [QXL_DRAW_INVERS] = body_mask,
    [QXL_DRAW_ROP3] = body_rop3,
    [QXL_DRAW_TRANSPARENT] = body_transparent,
    [QXL_DRAW_ALPHA_BLEND] = body_alpha_blend,
    [QXL_DRAW_COMPOSITE] = body_composite,
};

/* --- the record --- */

static struct trace_rect box_of(const QXLRect *r)
{
    return (struct trace_rect){r->left, r->top, r->right, r->bottom};
}

/* What all commands have. Clip rectangles are those that count: together they are the guest's. */
static void put_head(struct recorder *r, const struct draw *w)
{
    int clips = 0;
    const pixman_box32_t *boxes =
        w->target.clip ? pixman_region32_rectangles((pixman_region32_t *)w->target.clip, &clips) : NULL;
    struct trace_draw t = {.surface = w->d.surface_id,
                           .op = w->d.type,
                           .effect = w->d.effect,
                           .clip_type = w->target.clip ? SPICE_CLIP_TYPE_RECTS : SPICE_CLIP_TYPE_NONE,
                           .self_bitmap = w->d.self_bitmap != 0,
                           .box = box_of(&w->d.bbox),
                           .mm_time = w->d.mm_time,
                           .clips = clips,
                           .self_bitmap_area = box_of(&w->d.self_bitmap_area)};

    for (unsigned i = 0; i < ARRAY_SIZE(t.surfaces_dest); i++) {
        t.surfaces_dest[i] = w->d.surfaces_dest[i];
        t.surfaces_rects[i] = box_of(&w->d.surfaces_rects[i]);
    }
    writer_bytes(r->w, &t, sizeof(t));
    for (int i = 0; i < clips; i++)
        put_box(r->w, &boxes[i]);
}

static int put_command(struct recorder *r, const struct draw *w)
{
    if (w->d.type >= ARRAY_SIZE(bodies) || !bodies[w->d.type])
        return -ENOTSUP;
    put_head(r, w);
    return bodies[w->d.type](r, &w->d);
}

static uint8_t bitmap_format(uint32_t surface_format)
{
    switch (surface_format) {
    case SPICE_SURFACE_FMT_8_A:
        return SPICE_BITMAP_FMT_8BIT_A;
    case SPICE_SURFACE_FMT_16_555:
    case SPICE_SURFACE_FMT_16_565:
        return SPICE_BITMAP_FMT_16BIT;
    case SPICE_SURFACE_FMT_32_ARGB:
        return SPICE_BITMAP_FMT_RGBA;
    case SPICE_SURFACE_FMT_32_xRGB:
        return SPICE_BITMAP_FMT_32BIT;
    default:
        return 0;
    }
}

/* A copy of what is on the surface now, where the command drew; -ENOTSUP: its pixels are less than a byte. */
static int put_result(struct recorder *r, const struct draw *w)
{
    const struct canvas *c = w->canvas;
    struct rect bounds = canvas_bounds(c), box = rect_intersect(&w->target.box, &bounds);
    uint32_t width = MAX(0, box.right - box.left), height = MAX(0, box.bottom - box.top);
    QXLBitmap b = {.format = bitmap_format(c->format), .x = width, .y = height, .stride = c->stride};
    const QXLRect area = {.right = (int32_t)width, .bottom = (int32_t)height};
    const QXLQMask no_mask = {0};
    struct trace_image t;
    struct draw copy = *w;
    uint32_t row;

    if (!b.format || rect_empty(&box))
        return -ENOTSUP;
    row = qxl_bitmap_row(&b);
    t = (struct trace_image){.kind = TRACE_IMAGE_BITMAP,
                             .format = b.format,
                             .bitmap_flags = QXL_BITMAP_DIRECT | QXL_BITMAP_TOP_DOWN,
                             .width = width,
                             .height = height,
                             .stride = ALIGN_UP(row, 4),
                             .guest_stride = ALIGN_UP(row, 4)};
    t.data_size = t.stride * height;
    t.size = sizeof(t) + ALIGN_UP(t.data_size, TRACE_ALIGN);
    copy.d.type = QXL_DRAW_COPY;
    copy.d.self_bitmap = 0;
    copy.d.bbox = (QXLRect){.left = box.left, .top = box.top, .right = box.right, .bottom = box.bottom};
    put_head(r, &copy);
    writer_bytes(r->w, &t, sizeof(t));
    put_rows(r->w, c->pixels + (size_t)box.top * c->stride + (size_t)box.left * row / width, c->stride, t.stride, row,
             height);
    trace_align(r->t);
    put_rect(r->w, &area);
    writer_u32(r->w, SPICE_ROPD_OP_PUT);
    writer_u32(r->w, 0);
    return put_mask(r, &no_mask);
}

void qxl_record_draw(const struct draw *w)
{
    struct recorder r = {w->q, &w->q->trace, &w->q->trace.record};

    if (r.t->fd < 0)
        return;
    trace_begin(r.t, TRACE_DRAW);
    if (put_command(&r, w)) {
        trace_begin(r.t, TRACE_DRAW); /* anew */
        if (put_result(&r, w))
            return;
    }
    trace_end(r.t);
}
