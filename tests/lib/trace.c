#include "tests/lib/trace.h"

#include "base/bytes.h"
#include "base/error.h"
#include "devices/qxl/trace_format.h"

#include <errno.h>

#define MAX_CLIPS     65536
#define MAX_SURFACES  65536
#define MAX_DIMENSION 32768

/* --- parts of commands. What is wrong with them sets the reader's `bad`. --- */

struct parser {
    struct script *s;
    const struct trace_options *options;
    struct reader r; /* of a record's payload */
};

static uint64_t copy_to_script(struct parser *p, const void *data, size_t size)
{
    return (uintptr_t)memcpy(script_alloc(p->s, size), data, size);
}

static QXLRect take_rect(struct parser *p)
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

    return t->width && t->height && t->width <= MAX_DIMENSION && t->height <= MAX_DIMENSION && row && t->colors <= 256 &&
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
    if (p->options->guest_stride && t->guest_stride > t->stride && t->guest_stride <= MAX_DIMENSION * 4) {
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
    d->u.copy.src_area = take_rect(p);
    d->u.copy.rop_descriptor = reader_u32(&p->r);
    d->u.copy.scale_mode = reader_u32(&p->r);
    d->u.copy.mask = take_mask(p);
}

static void body_opaque(struct parser *p, QXLDrawable *d)
{
    d->u.opaque.src_bitmap = take_image(p);
    d->u.opaque.src_area = take_rect(p);
    d->u.opaque.brush = take_brush(p);
    d->u.opaque.rop_descriptor = reader_u32(&p->r);
    d->u.opaque.scale_mode = reader_u32(&p->r);
    d->u.opaque.mask = take_mask(p);
}

static void body_rop3(struct parser *p, QXLDrawable *d)
{
    d->u.rop3.src_bitmap = take_image(p);
    d->u.rop3.src_area = take_rect(p);
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
    d->u.transparent.src_area = take_rect(p);
    d->u.transparent.src_color = reader_u32(&p->r);
    d->u.transparent.true_color = reader_u32(&p->r);
}

static void body_alpha_blend(struct parser *p, QXLDrawable *d)
{
    d->u.alpha_blend.src_bitmap = take_image(p);
    d->u.alpha_blend.src_area = take_rect(p);
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

/* --- records --- */

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
        QXLRect r = take_rect(p);

        memcpy(clip->chunk.data + i * sizeof(r), &r, sizeof(r));
    }
    if (t->clip_type == SPICE_CLIP_TYPE_RECTS)
        d->clip.data = (uintptr_t)clip;
}

/* The guest's clock is left out: it means nothing when the drawing is played. */
static void take_draw(struct parser *p, uint64_t us)
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

static const uint8_t *take_surface(struct parser *p, struct trace_surface *t)
{
    const uint8_t *data;

    reader_copy(&p->r, t, sizeof(*t));
    data = reader_bytes(&p->r, t->data_size);
    if (t->id >= MAX_SURFACES || !t->width || !t->height || t->width > MAX_DIMENSION || t->height > MAX_DIMENSION ||
        t->stride <= 0 || t->stride > MAX_DIMENSION * 4 ||
        (t->data_size && t->data_size != (uint64_t)t->stride * t->height))
        p->r.bad = true;
    return data;
}

static void take_primary(struct parser *p, uint64_t us)
{
    struct script_primary *q;
    struct trace_surface t;
    const uint8_t *data = take_surface(p, &t);

    if (p->r.bad)
        return;
    q = script_alloc(p->s, sizeof(*q));
    *q = (struct script_primary){t.width, t.height, t.format, t.stride, NULL};
    q->pixels = script_alloc(p->s, (size_t)t.stride * t.height);
    memcpy(q->pixels, data, t.data_size);
    script_add(p->s, us, STEP_PRIMARY, q);
}

static void take_surface_create(struct parser *p, uint64_t us)
{
    struct trace_surface t;
    const uint8_t *data = take_surface(p, &t);
    QXLSurfaceCmd *c;

    if (p->r.bad)
        return;
    c = script_alloc(p->s, sizeof(*c));
    c->surface_id = t.id;
    c->type = QXL_SURFACE_CMD_CREATE;
    c->flags = t.flags & 1 ? QXL_SURF_FLAG_KEEP_DATA : 0;
    c->u.surface_create = (QXLSurface){.format = t.format, .width = t.width, .height = t.height, .stride = t.stride};
    c->u.surface_create.data = (uintptr_t)script_alloc(p->s, (size_t)t.stride * t.height);
    memcpy(script_pointer(c->u.surface_create.data), data, t.data_size);
    script_add(p->s, us, STEP_SURFACE, c);
}

static void take_surface_destroy(struct parser *p, uint64_t us)
{
    QXLSurfaceCmd *c = script_alloc(p->s, sizeof(*c));

    c->surface_id = reader_u32(&p->r);
    c->type = QXL_SURFACE_CMD_DESTROY;
    if (c->surface_id == 0 || c->surface_id >= MAX_SURFACES)
        p->r.bad = true;
    else
        script_add(p->s, us, STEP_SURFACE, c);
}

static void take_cursor_set(struct parser *p, uint64_t us)
{
    QXLCursorCmd *c = script_alloc(p->s, sizeof(*c));
    struct trace_cursor t;
    const uint8_t *data;
    QXLCursor *shape;

    reader_copy(&p->r, &t, sizeof(t));
    data = reader_bytes(&p->r, t.data_size);
    if (!data)
        return;
    shape = script_alloc(p->s, sizeof(*shape) + t.data_size);
    shape->header = (QXLCursorHeader){t.unique, t.type, t.width, t.height, t.hot_x, t.hot_y};
    shape->data_size = shape->chunk.data_size = t.data_size;
    memcpy(shape->chunk.data, data, t.data_size);
    c->type = QXL_CURSOR_SET;
    c->u.set.position = (QXLPoint16){t.x, t.y};
    c->u.set.visible = t.visible;
    c->u.set.shape = (uintptr_t)shape;
    script_add(p->s, us, STEP_CURSOR, c);
}

static void take_cursor_move(struct parser *p, uint64_t us)
{
    QXLCursorCmd *c = script_alloc(p->s, sizeof(*c));

    c->type = QXL_CURSOR_MOVE;
    c->u.position.x = reader_u32(&p->r);
    c->u.position.y = reader_u32(&p->r);
    script_add(p->s, us, STEP_CURSOR, c);
}

static void take_cursor_hide(struct parser *p, uint64_t us)
{
    QXLCursorCmd *c = script_alloc(p->s, sizeof(*c));

    c->type = QXL_CURSOR_HIDE;
    script_add(p->s, us, STEP_CURSOR, c);
}

static void take_cursor_trail(struct parser *p, uint64_t us)
{
    QXLCursorCmd *c = script_alloc(p->s, sizeof(*c));

    c->type = QXL_CURSOR_TRAIL;
    c->u.trail.length = reader_u32(&p->r);
    c->u.trail.frequency = reader_u32(&p->r);
    script_add(p->s, us, STEP_CURSOR, c);
}

static void take_monitors(struct parser *p, uint64_t us)
{
    uint32_t count = reader_u32(&p->r), max = reader_u32(&p->r);
    QXLMonitorsConfig *m;

    if (count > 64) {
        p->r.bad = true;
        return;
    }
    m = script_alloc(p->s, sizeof(*m) + count * sizeof(m->heads[0]));
    m->count = count;
    m->max_allowed = max;
    for (uint32_t i = 0; i < count; i++) {
        struct trace_head t;

        reader_copy(&p->r, &t, sizeof(t));
        m->heads[i] = (QXLHead){t.id, t.surface, t.width, t.height, t.x, t.y, t.flags};
    }
    script_add(p->s, us, STEP_MONITORS, m);
}

static void take_update(struct parser *p, uint64_t us)
{
    struct script_update *u = script_alloc(p->s, sizeof(*u));
    uint32_t kind;

    u->surface = reader_u32(&p->r);
    kind = reader_u32(&p->r);
    u->area = take_rect(p);
    if (!(kind & TRACE_UPDATE_UNKNOWN))
        script_add(p->s, us, STEP_UPDATE_AREA, u);
}

static void take_cursor_reset(struct parser *p, uint64_t us)
{
    script_add(p->s, us, STEP_CURSOR_RESET, NULL);
}

static void take_flush(struct parser *p, uint64_t us)
{
    script_add(p->s, us, STEP_FLUSH, NULL);
}

static void take_image_cache_reset(struct parser *p, uint64_t us)
{
    script_add(p->s, us, STEP_RESET_IMAGE_CACHE, NULL);
}

static void take_oom(struct parser *p, uint64_t us)
{
    script_add(p->s, us, STEP_OOM, NULL);
}

/* Marks are for people. A surface's end before the next one's begin changes nothing that can be seen. */
static void (*const takers[TRACE_TYPES])(struct parser *p, uint64_t us) = {
    [TRACE_PRIMARY_CREATE] = take_primary,
    [TRACE_SURFACE_CREATE] = take_surface_create,
    [TRACE_SURFACE_DESTROY] = take_surface_destroy,
    [TRACE_DRAW] = take_draw,
    [TRACE_CURSOR_SET] = take_cursor_set,
    [TRACE_CURSOR_MOVE] = take_cursor_move,
    [TRACE_CURSOR_HIDE] = take_cursor_hide,
    [TRACE_CURSOR_TRAIL] = take_cursor_trail,
    [TRACE_CURSOR_RESET] = take_cursor_reset,
    [TRACE_MONITORS_CONFIG] = take_monitors,
    [TRACE_UPDATE_AREA] = take_update,
    [TRACE_FLUSH_SURFACES] = take_flush,
    [TRACE_RESET_IMAGE_CACHE] = take_image_cache_reset,
    [TRACE_OOM] = take_oom,
};

/* What a snapshot, with which a trace begins, consists of. */
static bool is_setup(uint16_t type)
{
    return type == TRACE_PRIMARY_CREATE || type == TRACE_SURFACE_CREATE || type == TRACE_MONITORS_CONFIG ||
           type == TRACE_CURSOR_SET;
}

static void cut(struct parser *p, uint64_t us, uint64_t *slice_end)
{
    uint64_t length = p->options->slice_us;

    if (!length || us < *slice_end)
        return;
    if (p->s->dirty)
        script_end_slice(p->s, us);
    *slice_end = (us / length + 1) * length;
}

static int parse(struct trace *t, const struct trace_options *options)
{
    struct parser p = {&t->script, options, {0}};
    struct trace_record record = {0};
    struct trace_header header;
    uint64_t slice_end = 0;
    bool setup = true;
    struct reader r;

    reader_init(&r, t->file.data, t->file.size);
    reader_copy(&r, &header, sizeof(header));
    if (r.bad || memcmp(header.magic, TRACE_MAGIC, 8) || header.version != TRACE_VERSION)
        return fail(-EINVAL, "this is no trace of version %u", TRACE_VERSION);
    while (reader_left(&r) >= sizeof(record)) {
        const uint8_t *payload;

        reader_copy(&r, &record, sizeof(record));
        payload = reader_bytes(&r, record.length);
        if (!payload)
            break;
        if (setup && !is_setup(record.type)) {
            setup = false;
            t->script.setup = t->script.count;
            t->script.dirty = false;
        }
        if (!setup)
            cut(&p, record.time_us, &slice_end);
        reader_init(&p.r, payload, record.length);
        if (record.type < TRACE_TYPES && takers[record.type])
            takers[record.type](&p, record.time_us);
        if (p.r.bad)
            return fail(-EINVAL, "a record of type %u, at byte %zu, is broken", record.type,
                        (size_t)(payload - t->file.data));
    }
    if (r.bad || !t->script.screen.width)
        return fail(-EINVAL, "the trace has no screen, or ends in the middle of a record");
    if (!options->no_marker)
        script_end_slice(&t->script, record.time_us);
    return 0;
}

int trace_open(struct trace *t, const char *path, const struct trace_options *options)
{
    int err;

    *t = (struct trace){0};
    err = script_init(&t->script);
    if (!err)
        err = mapped_file_open(&t->file, path);
    if (!err) {
        err = parse(t, options);
        if (err)
            err = fail_prefix(err, "trace '%s'", path);
    }
    if (err)
        trace_close(t);
    return err;
}

void trace_close(struct trace *t)
{
    mapped_file_close(&t->file);
    script_fini(&t->script);
    *t = (struct trace){0};
}
