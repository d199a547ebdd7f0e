#include "backend/display.h"

#include <stdlib.h>
#include <string.h>

#define FOR_EACH_SINK(d, op, ...)                                                                  \
    do {                                                                                           \
        struct display_sink *sink_;                                                                \
        TAILQ_FOREACH(sink_, &(d)->sinks, link)                                                    \
            if (sink_->ops->op)                                                                    \
                sink_->ops->op(sink_ __VA_OPT__(, ) __VA_ARGS__);                                  \
    } while (0)

void display_init(struct display *d, struct loop *loop, unsigned id, const struct display_device_ops *ops,
                  void *device)
{
    *d = (struct display){.loop = loop, .ops = ops, .device = device, .id = id, .max_heads = 1, .outputs = 1};
    TAILQ_INIT(&d->sinks);
}

void display_fini(struct display *d)
{
    free((void *)d->cursor.data);
    d->cursor.data = NULL;
}

static const struct display_surface *current_surface(const struct display *d)
{
    return d->surface.pixels ? &d->surface : NULL;
}

void display_add_sink(struct display *d, struct display_sink *sink)
{
    bool first = TAILQ_EMPTY(&d->sinks);

    TAILQ_INSERT_TAIL(&d->sinks, sink, link);
    if (first && d->ops && d->ops->watched)
        d->ops->watched(d->device, true);
    if (sink->ops->surface)
        sink->ops->surface(sink, current_surface(d));
    if (sink->ops->heads)
        sink->ops->heads(sink, d->heads, d->head_count);
    if (sink->ops->takes_heads)
        sink->ops->takes_heads(sink, d->takes_heads);
    if (sink->ops->cursor)
        sink->ops->cursor(sink, d->cursor.data ? &d->cursor : NULL);
    if (sink->ops->cursor_move)
        sink->ops->cursor_move(sink, d->cursor_x, d->cursor_y, d->cursor_visible);
}

void display_remove_sink(struct display *d, struct display_sink *sink)
{
    TAILQ_REMOVE(&d->sinks, sink, link);
    if (TAILQ_EMPTY(&d->sinks) && d->ops && d->ops->watched)
        d->ops->watched(d->device, false);
}

void display_set_surface(struct display *d, const struct display_surface *surface)
{
    d->surface = surface ? *surface : (struct display_surface){0};
    FOR_EACH_SINK(d, surface, current_surface(d));
}

void display_damage(struct display *d, const struct rect *rects, size_t count)
{
    if (count)
        FOR_EACH_SINK(d, damage, rects, count);
}

void display_waiting(struct display *d)
{
    FOR_EACH_SINK(d, waiting);
}

void display_draw(struct display *d)
{
    if (d->ops && d->ops->draw)
        d->ops->draw(d->device);
}

void display_moved(struct display *d, const struct rect *to, int32_t dx, int32_t dy)
{
    struct display_sink *sink;

    TAILQ_FOREACH (sink, &d->sinks, link)
        if (sink->ops->moved)
            sink->ops->moved(sink, to, dx, dy);
        else if (sink->ops->damage)
            sink->ops->damage(sink, to, 1);
}

void display_set_cursor(struct display *d, const struct display_cursor *cursor)
{
    uint8_t *copy = NULL;

    if (cursor) {
        copy = malloc(cursor->size);
        if (!copy)
            return;
        memcpy(copy, cursor->data, cursor->size);
    }
    free((void *)d->cursor.data);
    d->cursor = cursor ? *cursor : (struct display_cursor){0};
    d->cursor.data = copy;
    FOR_EACH_SINK(d, cursor, copy ? &d->cursor : NULL);
}

void display_move_cursor(struct display *d, int32_t x, int32_t y, bool visible)
{
    d->cursor_x = x;
    d->cursor_y = y;
    d->cursor_visible = visible;
    FOR_EACH_SINK(d, cursor_move, x, y, visible);
}

void display_set_heads(struct display *d, const struct display_head *heads, size_t count, size_t max)
{
    d->head_count = MIN(count, ARRAY_SIZE(d->heads));
    d->max_heads = CLAMP(max, MAX(d->head_count, 1), ARRAY_SIZE(d->heads));
    memcpy(d->heads, heads, d->head_count * sizeof(*heads));
    FOR_EACH_SINK(d, heads, d->heads, d->head_count);
}

void display_set_takes_heads(struct display *d, bool on)
{
    if (d->takes_heads == on)
        return;
    d->takes_heads = on;
    FOR_EACH_SINK(d, takes_heads, on);
}
