#include "client/cursor_channel.h"

#include "base/error.h"
#include "client/cursor_shape.h"
#include "client/session.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define CACHE_SIZE 256 /* the server keeps as many at most */

struct cached_cursor {
    uint64_t id;
    struct cursor_shape shape; /* pixels == NULL: the place is free */
};

struct cursor_channel {
    struct channel base;
    struct cached_cursor cache[CACHE_SIZE];
};

static struct cached_cursor *cache_find(struct cursor_channel *cc, uint64_t id)
{
    for (size_t i = 0; i < CACHE_SIZE; i++)
        if (cc->cache[i].shape.pixels && cc->cache[i].id == id)
            return &cc->cache[i];
    return NULL;
}

static void cache_drop(struct cached_cursor *entry)
{
    free(entry->shape.pixels);
    entry->shape.pixels = NULL;
}

static void cache_clear(struct cursor_channel *cc)
{
    for (size_t i = 0; i < CACHE_SIZE; i++)
        cache_drop(&cc->cache[i]);
}

static int copy_shape(const struct cursor_shape *from, struct cursor_shape *to)
{
    size_t size = (size_t)from->width * from->height * 4;

    *to = *from;
    to->pixels = malloc(size);
    if (!to->pixels)
        return -ENOMEM;
    memcpy(to->pixels, from->pixels, size);
    return 0;
}

static int cache_add(struct cursor_channel *cc, uint64_t id, const struct cursor_shape *shape)
{
    struct cached_cursor *entry = cache_find(cc, id);

    for (size_t i = 0; !entry && i < CACHE_SIZE; i++)
        if (!cc->cache[i].shape.pixels)
            entry = &cc->cache[i];
    if (!entry)
        return fail(-E2BIG, "more than %d cursors are to be kept", CACHE_SIZE);
    cache_drop(entry);
    entry->id = id;
    return copy_shape(shape, &entry->shape);
}

static int get_shape(struct cursor_channel *cc, const struct spice_cursor *c,
                     struct cursor_shape *shape)
{
    struct cached_cursor *cached;
    int err;

    *shape = (struct cursor_shape){0};
    if (c->flags & SPICE_CURSOR_FLAGS_NONE)
        return 0;
    if (c->flags & SPICE_CURSOR_FLAGS_FROM_CACHE) {
        cached = cache_find(cc, c->unique);
        return cached ? copy_shape(&cached->shape, shape)
                      : fail(-EBADMSG, "cursor %" PRIx64 " is not in the cache", c->unique);
    }
    err = cursor_shape_decode(c, shape);
    if (err)
        return fail(err, "cursor of type %u, %ux%u, %u bytes is not possible", c->type, c->width,
                    c->height, c->data_size);
    if (c->flags & SPICE_CURSOR_FLAGS_CACHE_ME)
        err = cache_add(cc, c->unique, shape);
    if (err)
        free(shape->pixels);
    return err;
}

static int set_cursor(struct channel *c, const struct spice_cursor *cursor,
                      struct spice_point16 position, bool visible)
{
    struct cursor_channel *cc = container_of(c, struct cursor_channel, base);
    struct screen *screen = c->session->screen;
    struct screen_display *shown = &screen->displays[c->id];
    struct cursor_shape shape;
    int err = get_shape(cc, cursor, &shape);

    if (err)
        return err;
    screen_lock(screen);
    /* A SET without a shape shows the one before. */
    if (shape.pixels)
        screen_set_cursor(shown, &shape);
    shown->cursor_x = position.x;
    shown->cursor_y = position.y;
    shown->cursor_visible = visible;
    screen_unlock(screen);
    screen_wake(screen);
    return 0;
}

static void hide(struct channel *c)
{
    struct screen *screen = c->session->screen;

    screen_lock(screen);
    screen->displays[c->id].cursor_visible = false;
    screen_unlock(screen);
    screen_wake(screen);
}

static int handle_init(struct channel *c, const void *msg)
{
    const struct spice_msg_cursor_init *m = msg;

    return set_cursor(c, &m->cursor, m->position, m->visible);
}

static int handle_set(struct channel *c, const void *msg)
{
    const struct spice_msg_cursor_set *m = msg;

    return set_cursor(c, &m->cursor, m->position, m->visible);
}

static int handle_move(struct channel *c, const void *msg)
{
    const struct spice_msg_cursor_move *m = msg;
    struct screen *screen = c->session->screen;
    struct screen_display *shown = &screen->displays[c->id];

    screen_lock(screen);
    shown->cursor_x = m->position.x;
    shown->cursor_y = m->position.y;
    shown->cursor_visible = true;
    screen_unlock(screen);
    screen_wake(screen);
    return 0;
}

static int handle_hide(struct channel *c, const void *msg UNUSED)
{
    hide(c);
    return 0;
}

static int handle_reset(struct channel *c, const void *msg UNUSED)
{
    cache_clear(container_of(c, struct cursor_channel, base));
    hide(c);
    return 0;
}

static int handle_inval_one(struct channel *c, const void *msg)
{
    const struct spice_msg_inval_one *m = msg;
    struct cached_cursor *entry = cache_find(container_of(c, struct cursor_channel, base), m->id);

    if (entry)
        cache_drop(entry);
    return 0;
}

static int handle_inval_all(struct channel *c, const void *msg UNUSED)
{
    cache_clear(container_of(c, struct cursor_channel, base));
    return 0;
}

static const struct channel_handler handlers[] = {
    {SPICE_MSG_CURSOR_INIT, handle_init},
    {SPICE_MSG_CURSOR_RESET, handle_reset},
    {SPICE_MSG_CURSOR_SET, handle_set},
    {SPICE_MSG_CURSOR_MOVE, handle_move},
    {SPICE_MSG_CURSOR_HIDE, handle_hide},
    {SPICE_MSG_CURSOR_INVAL_ONE, handle_inval_one},
    {SPICE_MSG_CURSOR_INVAL_ALL, handle_inval_all},
};

static void cursor_destroy(struct channel *c)
{
    struct cursor_channel *cc = container_of(c, struct cursor_channel, base);

    cache_clear(cc);
    channel_fini(c);
    free(cc);
}

static const struct channel_ops ops = {
    .type = SPICE_CHANNEL_CURSOR,
    .tables = {{handlers, ARRAY_SIZE(handlers)}},
    .destroy = cursor_destroy,
};

int cursor_channel_open(struct session *s, uint8_t id, struct channel **channel)
{
    struct cursor_channel *cc = calloc(1, sizeof(*cc));
    int err = cc ? channel_connect(&cc->base, s, &ops, id, -1) : -ENOMEM;

    if (err)
        free(cc);
    else
        *channel = &cc->base;
    return err;
}
