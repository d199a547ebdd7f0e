#include "base/error.h"
#include "tests/lib/trace_parser.h"

#include <errno.h>

#define MAX_SURFACES 65536
#define MAX_HEADS    64

/* --- records --- */

static const uint8_t *take_surface(struct parser *p, struct trace_surface *t)
{
    const uint8_t *data;

    reader_copy(&p->r, t, sizeof(*t));
    data = reader_bytes(&p->r, t->data_size);
    if (t->id >= MAX_SURFACES || !t->width || !t->height || t->width > TRACE_MAX_DIMENSION || t->height > TRACE_MAX_DIMENSION ||
        t->stride <= 0 || t->stride > TRACE_MAX_DIMENSION * 4 ||
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

    if (count > MAX_HEADS) {
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
    u->area = trace_take_rect(p);
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
    [TRACE_DRAW] = trace_take_draw,
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

/* The next record; -ENODATA: that was all. */
static int take_record(struct parser *p, struct reader *r, struct trace_record *record, uint64_t *slice_end)
{
    const uint8_t *payload;

    if (reader_left(r) < sizeof(*record))
        return -ENODATA;
    reader_copy(r, record, sizeof(*record));
    payload = reader_bytes(r, record->length);
    if (!payload)
        return fail(-EINVAL, "the trace ends in the middle of a record");
    if (!p->playing && !is_setup(record->type)) {
        p->playing = true;
        p->s->setup = p->s->count;
        p->s->dirty = false;
    }
    if (p->playing)
        cut(p, record->time_us, slice_end);
    reader_init(&p->r, payload, record->length);
    if (record->type < TRACE_TYPES && takers[record->type])
        takers[record->type](p, record->time_us);
    return p->r.bad ? fail(-EINVAL, "a record of type %u is broken", record->type) : 0;
}

static int parse(struct trace *t, const struct trace_options *options)
{
    struct parser p = {&t->script, options};
    struct trace_record record = {0};
    struct trace_header header;
    uint64_t slice_end = 0;
    struct reader r;
    int err = 0;

    reader_init(&r, t->file.data, t->file.size);
    reader_copy(&r, &header, sizeof(header));
    if (r.bad || memcmp(header.magic, TRACE_MAGIC, 8) || header.version != TRACE_VERSION)
        return fail(-EINVAL, "this is no trace of version %u", TRACE_VERSION);
    while (!err)
        err = take_record(&p, &r, &record, &slice_end);
    if (err != -ENODATA)
        return err;
    if (!t->script.screen.width)
        return fail(-EINVAL, "the trace has no screen");
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
