#include "tests/reference/core.h"

#include <fcntl.h>
#include <stdlib.h>

static struct loop *loop; /* the server's callbacks do not say which */

struct SpiceTimer {
    uv_timer_t uv;
    SpiceTimerFunc fn;
    void *opaque;
};

struct SpiceWatch {
    uv_poll_t uv;
    SpiceWatchFunc fn;
    void *opaque;
    int fd;
};

static SpiceTimer *timer_add(SpiceTimerFunc fn, void *opaque)
{
    SpiceTimer *t = calloc(1, sizeof(*t));

    uv_timer_init(&loop->uv, &t->uv);
    t->fn = fn;
    t->opaque = opaque;
    return t;
}

static void on_timer(uv_timer_t *uv)
{
    SpiceTimer *t = container_of(uv, SpiceTimer, uv);

    t->fn(t->opaque);
}

static void timer_start(SpiceTimer *t, uint32_t ms)
{
    uv_timer_start(&t->uv, on_timer, ms, 0);
}

static void timer_cancel(SpiceTimer *t)
{
    uv_timer_stop(&t->uv);
}

static void free_handle(uv_handle_t *handle)
{
    free(handle);
}

static void timer_remove(SpiceTimer *t)
{
    uv_close((uv_handle_t *)&t->uv, free_handle);
}

static void on_watch(uv_poll_t *uv, int status, int events)
{
    SpiceWatch *w = container_of(uv, SpiceWatch, uv);
    int mask = 0;

    if (status < 0 || events & UV_READABLE)
        mask |= SPICE_WATCH_EVENT_READ;
    if (events & UV_WRITABLE)
        mask |= SPICE_WATCH_EVENT_WRITE;
    w->fn(w->fd, mask, w->opaque);
}

static void watch_update(SpiceWatch *w, int mask)
{
    int events = (mask & SPICE_WATCH_EVENT_READ ? UV_READABLE : 0) |
                 (mask & SPICE_WATCH_EVENT_WRITE ? UV_WRITABLE : 0);

    if (events)
        uv_poll_start(&w->uv, events, on_watch);
    else
        uv_poll_stop(&w->uv);
}

static SpiceWatch *watch_add(int fd, int mask, SpiceWatchFunc fn, void *opaque)
{
    SpiceWatch *w = calloc(1, sizeof(*w));
    int flags = fcntl(fd, F_GETFL);

    uv_poll_init(&loop->uv, &w->uv, fd);
    /* Libuv makes it non-blocking. The server's threads talk through a pair that it reads as one that waits; it loses
     * its place in that, and calls what it finds there, when it is told "not yet" between two halves of a message. */
    fcntl(fd, F_SETFL, flags);
    w->fd = fd;
    w->fn = fn;
    w->opaque = opaque;
    watch_update(w, mask);
    return w;
}

static void watch_remove(SpiceWatch *w)
{
    uv_poll_stop(&w->uv);
    uv_close((uv_handle_t *)&w->uv, free_handle);
}

static SpiceCoreInterface core = {
    .base = {SPICE_INTERFACE_CORE, "loop", SPICE_INTERFACE_CORE_MAJOR, SPICE_INTERFACE_CORE_MINOR},
    .timer_add = timer_add,
    .timer_start = timer_start,
    .timer_cancel = timer_cancel,
    .timer_remove = timer_remove,
    .watch_add = watch_add,
    .watch_update_mask = watch_update,
    .watch_remove = watch_remove,
};

SpiceCoreInterface *core_on_loop(struct loop *l)
{
    loop = l;
    return &core;
}
