/* trace_draw.c - drawing commands with their pictures, from the recording into the script. */
#include "tests/lib/trace_parser.h"

#define MAX_CLIPS 65536

/* --- parts of commands. What is wrong with them sets the reader's `bad`. --- */

static uint64_t copy_to_script(struct parser *p, const void *data, size_t size)
{
    return (uintptr_t)memcpy(script_alloc(p->s, size), data, size);
}

QXLRect trace_take_rect(struct parser *p)
{
    QXLRect r;

    r.left = (int32_t)reader_u32(&p->r);
    r.top = (int32_t)reader_u32(&p->r);
    r.right = (int32_t)reader_u32(&p->r);
    r.bottom = (int32_t)reader_u32(&p->r);
    return r;
}

static QXLRect to_rect(const struct trace_rect *t)
{
    return (QXLRect){.left = t->left, .top = t->top, .right = t->right, .bottom = t->bottom};
}

static bool image_possible(const struct trace_image *t)
{
    uint32_t row = bitmap_row(t->format, t->width);

    return t->width && t->height && t->width <= TRACE_MAX_DIMENSION && t->height <= TRACE_MAX_DIMENSION && row && t->colors <= 256 &&
           t->stride >= row && (uint64_t)t->stride * t->height <= t->data_size;
}

/*
 * The rows apart as the guest had them. What lay between them was not recorded; here it is the row's own start again, as
 * a picture that was there before would have left it.
 */
static const uint8_t *spread_rows(struct parser *p, const struct trace_image *t, const uint8_t *data)
{
    uint8_t *to = script_alloc(p->s, (size_t)t->guest_stride * t->height);
    uint32_t gap = t->guest_stride - t->stride;

    for (uint32_t y = 0; y < t->height; y++) {
        uint8_t *row = to + (size_t)y * t->guest_stride;

        memcpy(row, data + (size_t)y * t->stride, t->stride);
        memcpy(row + t->stride, row, MIN(gap, t->stride));
    }
    return to;
}

static void take_bitmap(struct parser *p, const struct trace_image *t, QXLImage *i)
{
    const uint8_t *palette = reader_bytes(&p->r, ALIGN_UP(MIN(t->colors, 256) * 4, TRACE_ALIGN));
    const uint8_t *data = reader_bytes(&p->r, ALIGN_UP((size_t)t->data_size, TRACE_ALIGN));

    if (!palette || !data || !image_possible(t)) {
        p->r.bad = true;
        return;
    }
    i->bitmap = (QXLBitmap){.format = t->format, .flags = t->bitmap_flags | QXL_BITMAP_DIRECT, .x = t->width,
                            .y = t->height, .stride = t->stride, .data = (uintptr_t)data};
    if (t->colors) {
        QXLPalette *q = script_alloc(p->s, sizeof(*q) + t->colors * 4);

        q->unique = t->palette_id;
        q->num_ents = t->colors;
        memcpy(q->ents, palette, t->colors * 4);
        i->bitmap.palette = (uintptr_t)q;
    }
    if (p->options->guest_stride && t->guest_stride > t->stride && t->guest_stride <= TRACE_MAX_DIMENSION * 4) {
        i->bitmap.stride = t->guest_stride;
        i->bitmap.data = (uintptr_t)spread_rows(p, t, data);
    }
}

static uint64_t take_image(struct parser *p)
{
    struct trace_image t = {0};
    QXLImage *i;

    reader_copy(&p->r, &t, 8);
    if (t.kind == TRACE_IMAGE_NONE)
        return 0;
    reader_copy(&p->r, (uint8_t *)&t + 8, sizeof(t) - 8);
    i = script_alloc(p->s, sizeof(*i));
    i->descriptor = (QXLImageDescriptor){.id = t.id, .flags = t.flags, .width = t.width, .height = t.height};
    if (t.kind == TRACE_IMAGE_SURFACE) {
        i->descriptor.type = SPICE_IMAGE_TYPE_SURFACE;
        i->surface_image.surface_id = t.guest_stride;
    } else {
        i->descriptor.type = SPICE_IMAGE_TYPE_BITMAP;
        take_bitmap(p, &t, i);
    }
    return (uintptr_t)i;
}

static QXLQMask take_mask(struct parser *p)
{
    struct trace_mask t;
    QXLQMask mask;

    reader_copy(&p->r, &t, sizeof(t));
    mask = (QXLQMask){.flags = t.flags, .pos = {t.x, t.y}};
    mask.bitmap = take_image(p);
    return mask;
}

static QXLBrush take_brush(struct parser *p)
{
    struct trace_brush t;
    QXLBrush brush = {0};

    reader_copy(&p->r, &t, sizeof(t));
    brush.type = t.type;
    if (t.type == SPICE_BRUSH_TYPE_SOLID)
        brush.u.color = t.color;
    if (t.type == SPICE_BRUSH_TYPE_PATTERN)
        brush.u.pattern = (QXLPattern){.pat = take_image(p), .pos = {t.x, t.y}};
    return brush;
}

static uint64_t take_transform(struct parser *p)
{
    const uint8_t *data = reader_bytes(&p->r, sizeof(QXLTransform));

    return data ? copy_to_script(p, data, sizeof(QXLTransform)) : 0;
}

/* --- bodies: the fields in their order --- */

static void body_fill(struct parser *p, QXLDrawable *d)
{
    d->u.fill.brush = take_brush(p);
    d->u.fill.rop_descriptor = reader_u32(&p->r);
    reader_u32(&p->r);
    d->u.fill.mask = take_mask(p);
}

static void body_copy(struct parser *p, QXLDrawable *d)
{
    d->u.copy.src_bitmap = take_image(p);
    d->u.copy.src_area = trace_take_rect(p);
    d->u.copy.rop_descriptor = reader_u32(&p->r);
    d->u.copy.scale_mode = reader_u32(&p->r);
    d->u.copy.mask = take_mask(p);
}

static void body_opaque(struct parser *p, QXLDrawable *d)
{
    d->u.opaque.src_bitmap = take_image(p);
    d->u.opaque.src_area = trace_take_rect(p);
    d->u.opaque.brush = take_brush(p);
    d->u.opaque.rop_descriptor = reader_u32(&p->r);
    d->u.opaque.scale_mode = reader_u32(&p->r);
    d->u.opaque.mask = take_mask(p);
}

static void body_rop3(struct parser *p, QXLDrawable *d)
{
    d->u.rop3.src_bitmap = take_image(p);
    d->u.rop3.src_area = trace_take_rect(p);
    d->u.rop3.brush = take_brush(p);
    d->u.rop3.rop3 = reader_u32(&p->r);
    d->u.rop3.scale_mode = reader_u32(&p->r);
    d->u.rop3.mask = take_mask(p);
}

static void body_copy_bits(struct parser *p, QXLDrawable *d)
{
    d->u.copy_bits.src_pos.x = (int32_t)reader_u32(&p->r);
    d->u.copy_bits.src_pos.y = (int32_t)reader_u32(&p->r);
}

static void body_mask(struct parser *p, QXLDrawable *d)
{
    d->u.blackness.mask = take_mask(p);
}

static void body_transparent(struct parser *p, QXLDrawable *d)
{
    d->u.transparent.src_bitmap = take_image(p);
    d->u.transparent.src_area = trace_take_rect(p);
    d->u.transparent.src_color = reader_u32(&p->r);
    d->u.transparent.true_color = reader_u32(&p->r);
}

static void body_alpha_blend(struct parser *p, QXLDrawable *d)
{
    d->u.alpha_blend.src_bitmap = take_image(p);
    d->u.alpha_blend.src_area = trace_take_rect(p);
    d->u.alpha_blend.alpha_flags = reader_u32(&p->r);
    d->u.alpha_blend.alpha = reader_u32(&p->r);
}

static void body_composite(struct parser *p, QXLDrawable *d)
{
    QXLComposite *c = &d->u.composite;
    struct trace_composite t;

    reader_copy(&p->r, &t, sizeof(t));
    *c = (QXLComposite){
        .flags = t.flags, .src_origin = {t.src_x, t.src_y}, .mask_origin = {t.mask_x, t.mask_y}};
    c->src = take_image(p);
    if (t.parts & TRACE_PART_SRC_TRANSFORM)
        c->src_transform = take_transform(p);
    if (t.parts & TRACE_PART_MASK)
        c->mask = take_image(p);
    if (t.parts & TRACE_PART_MASK_TRANSFORM)
        c->mask_transform = take_transform(p);
}

static void body_nothing(struct parser *p UNUSED, QXLDrawable *d UNUSED)
{
}

static void (*const bodies[])(struct parser *p, QXLDrawable *d) = {
    [QXL_DRAW_NOP] = body_nothing,         [QXL_DRAW_FILL] = body_fill,
    [QXL_DRAW_OPAQUE] = body_opaque,       [QXL_DRAW_COPY] = body_copy,
    [QXL_COPY_BITS] = body_copy_bits,      [QXL_DRAW_BLEND] = body_copy,
    [QXL_DRAW_BLACKNESS] = body_mask,      [QXL_DRAW_WHITENESS] = body_mask,
    [QXL_DRAW_INVERS] = body_mask,         [QXL_DRAW_ROP3] = body_rop3,
    [QXL_DRAW_TRANSPARENT] = body_transparent,
    [QXL_DRAW_ALPHA_BLEND] = body_alpha_blend, [QXL_DRAW_COMPOSITE] = body_composite,
};

static void take_clips(struct parser *p, const struct trace_draw *t, QXLDrawable *d)
{
    size_t size = t->clips * sizeof(QXLRect);
    QXLClipRects *clip;

    d->clip.type = t->clip_type;
    if (t->clips > MAX_CLIPS) {
        p->r.bad = true;
        return;
    }
    clip = script_alloc(p->s, sizeof(*clip) + size);
    clip->num_rects = t->clips;
    clip->chunk.data_size = size;
    for (uint32_t i = 0; i < t->clips; i++) {
        QXLRect r = trace_take_rect(p);

        memcpy(clip->chunk.data + i * sizeof(r), &r, sizeof(r));
    }
    if (t->clip_type == SPICE_CLIP_TYPE_RECTS)
        d->clip.data = (uintptr_t)clip;
}

/* The guest's clock is left out: it means nothing when the drawing is played. */
void trace_take_draw(struct parser *p, uint64_t us)
{
    struct trace_draw t;
    QXLDrawable *d;

    reader_copy(&p->r, &t, sizeof(t));
    d = script_drawable(p->s, t.op, to_rect(&t.box));
    d->surface_id = t.surface;
    d->effect = t.effect;
    d->self_bitmap = t.self_bitmap;
    d->self_bitmap_area = to_rect(&t.self_bitmap_area);
    for (unsigned i = 0; i < ARRAY_SIZE(t.surfaces_rects); i++) {
        d->surfaces_dest[i] = t.surfaces_dest[i];
        d->surfaces_rects[i] = to_rect(&t.surfaces_rects[i]);
    }
    take_clips(p, &t, d);
    if (t.op < ARRAY_SIZE(bodies) && bodies[t.op])
        bodies[t.op](p, d);
    else
        p->r.bad = true;
    if (!p->r.bad)
        script_add(p->s, us, STEP_DRAW, d);
}
