/* qxl_record.c - records of everything but drawing. */
#include "devices/qxl/qxl_record.h"

#include <spice/enums.h>

/* It begins with the first primary surface; before that there is nothing to see. */
static bool recording(const struct qxl *q)
{
    return q->trace.fd >= 0 && q->trace.started;
}

void qxl_record_event(struct qxl *q, enum trace_type type)
{
    if (recording(q))
        trace_put(&q->trace, type, NULL, 0);
}

/* --- surfaces --- */

static void put_surface(struct qxl *q, uint32_t id)
{
    const struct qxl_surface *s = &q->surfaces[id];
    struct trace_surface t = {.id = id,
                              .format = s->canvas->format,
                              .width = s->canvas->width,
                              .height = s->canvas->height,
                              .stride = (int32_t)s->canvas->stride,
                              .flags = 1,
                              .data_size = s->canvas->stride * s->canvas->height};

    trace_note_surface(&q->trace, id);
    trace_begin(&q->trace, id ? TRACE_SURFACE_CREATE : TRACE_PRIMARY_CREATE);
    writer_bytes(&q->trace.record, &t, sizeof(t));
    writer_bytes(&q->trace.record, s->canvas->pixels, t.data_size);
    trace_end(&q->trace);
}

void qxl_record_surface(struct qxl *q, uint32_t id)
{
    if (recording(q)) {
        put_surface(q, id);
        return;
    }
    if (q->trace.fd < 0 || id != 0)
        return;
    put_surface(q, 0);
    for (id = 1; id < QXL_SURFACES; id++)
        if (qxl_surface(q, id))
            put_surface(q, id);
}

void qxl_record_surface_end(struct qxl *q, uint32_t id)
{
    struct trace_surface t = {.id = id};

    if (!recording(q))
        return;
    if (id)
        trace_put(&q->trace, TRACE_SURFACE_DESTROY, &t, sizeof(t));
    else
        qxl_record_event(q, TRACE_PRIMARY_DESTROY);
}

void qxl_record_update(struct qxl *q, uint32_t surface, const QXLRect *area, uint32_t kind)
{
    struct trace_update t = {surface, kind, {area->left, area->top, area->right, area->bottom}};

    if (recording(q))
        trace_put(&q->trace, TRACE_UPDATE_AREA, &t, sizeof(t));
}

/* --- heads --- */

void qxl_record_heads(struct qxl *q)
{
    const struct display *d = &q->head.display;

    if (!recording(q))
        return;
    trace_begin(&q->trace, TRACE_MONITORS_CONFIG);
    writer_u32(&q->trace.record, d->head_count);
    writer_u32(&q->trace.record, DISPLAY_MAX_HEADS);
    for (size_t i = 0; i < d->head_count; i++) {
        const struct display_head *h = &d->heads[i];
        struct trace_head t = {.id = h->id, .width = h->width, .height = h->height, .x = h->x, .y = h->y};

        writer_bytes(&q->trace.record, &t, sizeof(t));
    }
    trace_end(&q->trace);
}

/* --- the cursor --- */

static void put_shape(struct qxl *q, const struct trace_cursor *t, const void *data)
{
    trace_begin(&q->trace, TRACE_CURSOR_SET);
    writer_bytes(&q->trace.record, t, sizeof(*t));
    writer_bytes(&q->trace.record, data, t->data_size);
    trace_end(&q->trace);
}

void qxl_record_shape(struct qxl *q, const QXLCursorCmd *c, const QXLCursorHeader *h, const void *data,
                      uint32_t size)
{
    struct trace_cursor t = {.x = c->u.set.position.x,
                             .y = c->u.set.position.y,
                             .visible = c->u.set.visible,
                             .type = h->type,
                             .unique = h->unique,
                             .width = h->width,
                             .height = h->height,
                             .hot_x = h->hot_spot_x,
                             .hot_y = h->hot_spot_y,
                             .data_size = size};

    if (recording(q))
        put_shape(q, &t, data);
}

void qxl_record_cursor(struct qxl *q, const QXLCursorCmd *c)
{
    const int32_t place[2] = {c->u.position.x, c->u.position.y};
    const uint32_t trail[2] = {c->u.trail.length, c->u.trail.frequency};

    if (!recording(q))
        return;
    if (c->type == QXL_CURSOR_MOVE)
        trace_put(&q->trace, TRACE_CURSOR_MOVE, place, sizeof(place));
    else if (c->type == QXL_CURSOR_HIDE)
        qxl_record_event(q, TRACE_CURSOR_HIDE);
    else if (c->type == QXL_CURSOR_TRAIL)
        trace_put(&q->trace, TRACE_CURSOR_TRAIL, trail, sizeof(trail));
}

/* --- after loading --- */

static void record_cursor_shown(struct qxl *q)
{
    const struct display *d = &q->head.display;
    const struct display_cursor *c = &d->cursor;
    struct trace_cursor t = {.x = d->cursor_x,
                             .y = d->cursor_y,
                             .visible = d->cursor_visible,
                             .type = c->type == DISPLAY_CURSOR_MONO ? SPICE_CURSOR_TYPE_MONO
                                                                    : SPICE_CURSOR_TYPE_ALPHA,
                             .width = c->width,
                             .height = c->height,
                             .hot_x = c->hot_x,
                             .hot_y = c->hot_y,
                             .data_size = (uint32_t)c->size};

    if (c->data)
        put_shape(q, &t, c->data);
}

void qxl_record_loaded(struct qxl *q)
{
    if (!recording(q))
        return;
    qxl_record_heads(q);
    record_cursor_shown(q);
}
