/* libslirp in a loop: its clock, its timers, and the descriptors that it waits for. */
#include "devices/net/net_user_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

/* --- clock and timers --- */

static int64_t clock_get_ns(void *opaque UNUSED)
{
    return (int64_t)uv_hrtime();
}

struct slirp_timer {
    uv_timer_t uv; /* first */
    struct net_user *user;
    SlirpTimerCb fn;
    void *opaque;
};

static void slirp_timer_fired(uv_timer_t *uv)
{
    struct slirp_timer *timer = container_of(uv, struct slirp_timer, uv);

    timer->user->stale = true;
    timer->fn(timer->opaque);
}

static void *timer_new(SlirpTimerCb fn, void *fn_opaque, void *opaque)
{
    struct net_user *user = opaque;
    struct slirp_timer *timer = calloc(1, sizeof(*timer));

    if (!timer)
        abort(); /* at start only; libslirp takes no NULL */
    uv_timer_init(&user->loop->uv, &timer->uv);
    timer->user = user;
    timer->fn = fn;
    timer->opaque = fn_opaque;
    return timer;
}

static void free_handle(uv_handle_t *handle)
{
    free(handle);
}

static void timer_free(void *timer, void *opaque UNUSED)
{
    uv_close(timer, free_handle);
}

static void timer_mod(void *opaque_timer, int64_t expire_ms, void *opaque UNUSED)
{
    struct slirp_timer *timer = opaque_timer;
    int64_t now = (int64_t)(uv_hrtime() / 1000000);

    uv_update_time(&timer->user->loop->uv);
    uv_timer_start(&timer->uv, slirp_timer_fired, (uint64_t)MAX(expire_ms - now, 0), 0);
}

/* --- descriptors --- */

static const struct {
    int slirp;
    short poll;
} event_names[] = {
    {SLIRP_POLL_IN, POLLIN},   {SLIRP_POLL_OUT, POLLOUT}, {SLIRP_POLL_PRI, POLLPRI},
    {SLIRP_POLL_ERR, POLLERR}, {SLIRP_POLL_HUP, POLLHUP},
};

static short to_poll(int slirp)
{
    short events = 0;
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(event_names); i++)
        events |= slirp & event_names[i].slirp ? event_names[i].poll : 0;
    return events;
}

static int from_poll(short events)
{
    int slirp = 0;
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(event_names); i++)
        slirp |= events & event_names[i].poll ? event_names[i].slirp : 0;
    return slirp;
}

static struct watched *watched(struct net_user *user, int fd)
{
    struct watched *more;
    int count = fd + fd / 2 + 64;

    if (fd < user->watched_count)
        return &user->watched[fd];
    more = realloc(user->watched, (size_t)count * sizeof(*more));
    if (!more)
        return NULL;
    memset(more + user->watched_count, 0, (size_t)(count - user->watched_count) * sizeof(*more));
    user->watched = more;
    user->watched_count = count;
    return &more[fd];
}

/* The system is only asked for what changes: with a request and its answer nothing does. */
static void watch(struct net_user *user, struct watched *w, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};

    if (w->events == events)
        return;
    if (!events)
        epoll_ctl(user->epoll, EPOLL_CTL_DEL, fd, NULL);
    else if (!w->events || epoll_ctl(user->epoll, EPOLL_CTL_MOD, fd, &event) != 0)
        epoll_ctl(user->epoll, EPOLL_CTL_ADD, fd, &event);
    w->events = events;
}

/* EPOLLIN and its kin have the values of POLLIN and its kin. */
static int add_poll(int fd, int events, void *opaque)
{
    struct net_user *user = opaque;
    struct watched *w = user->fd_count < MAX_DESCRIPTORS ? watched(user, fd) : NULL;

    if (!w)
        return -1;
    user->fds[user->fd_count] = (struct pollfd){.fd = fd, .events = to_poll(events)};
    w->wanted = true;
    w->index = user->fd_count;
    watch(user, w, fd, (uint32_t)user->fds[user->fd_count].events);
    return (int)user->fd_count++;
}

/* What libslirp waits for now, and no more. */
static void fill(struct net_user *user, uint32_t *timeout)
{
    unsigned i, count = user->fd_count;

    for (i = 0; i < count; i++) {
        user->before[i] = user->fds[i].fd;
        user->watched[user->fds[i].fd].wanted = false;
    }
    user->fd_count = 0;
    slirp_pollfds_fill(user->slirp, timeout, add_poll, user);
    for (i = 0; i < count; i++) {
        struct watched *w = &user->watched[user->before[i]];

        if (!w->wanted)
            watch(user, w, user->before[i], 0);
    }
}

/* Taken: what came is told once. */
static int get_revents(int index, void *opaque)
{
    struct net_user *user = opaque;
    short revents = 0;

    if (index >= 0 && (unsigned)index < user->fd_count) {
        revents = user->fds[index].revents;
        user->fds[index].revents = 0;
    }
    return from_poll(revents);
}

/* A number may come back as another socket: nothing is known of it. */
static void forget_fd(struct net_user *user, int fd)
{
    if (fd < user->watched_count)
        user->watched[fd].events = 0;
    user->stale = true;
}

static void register_fd(int fd, void *opaque)
{
    forget_fd(opaque, fd);
}

static void unregister_fd(int fd, void *opaque)
{
    struct net_user *user = opaque;

    epoll_ctl(user->epoll, EPOLL_CTL_DEL, fd, NULL);
    forget_fd(user, fd);
}

static void notify(void *opaque)
{
    struct net_user *user = opaque;

    user->stale = true;
}

const SlirpCb user_event_callbacks = {
    .clock_get_ns = clock_get_ns,
    .timer_new = timer_new,
    .timer_free = timer_free,
    .timer_mod = timer_mod,
    .register_poll_fd = register_fd,
    .unregister_poll_fd = unregister_fd,
    .notify = notify,
};

/* --- the loop --- */

/* Of more descriptors than this the next turn of the loop serves the others. */
static void serve(struct net_user *user)
{
    struct epoll_event ready[64];
    int i, count = epoll_wait(user->epoll, ready, ARRAY_SIZE(ready), 0);

    for (i = 0; i < count; i++)
        user->fds[user->watched[ready[i].data.fd].index].revents = (short)ready[i].events;
    user->stale = true;
    slirp_pollfds_poll(user->slirp, count < 0, get_revents, user);
}

static void descriptors_ready(uv_poll_t *handle, int status UNUSED, int events UNUSED)
{
    serve(handle->data);
}

static void time_is_up(uv_timer_t *handle)
{
    serve(handle->data);
}

/* Before the loop sleeps: what is libslirp waiting for? */
static void before_sleep(uv_prepare_t *handle)
{
    struct net_user *user = handle->data;
    uint32_t timeout = UINT32_MAX;

    if (!user->stale)
        return;
    user->stale = false;
    fill(user, &timeout);
    if (timeout == UINT32_MAX)
        uv_timer_stop(user->timer);
    else
        uv_timer_start(user->timer, time_is_up, timeout, 0);
}

/* --- life --- */

static void close_handle(void *handle)
{
    if (handle)
        uv_close(handle, free_handle);
}

void user_events_fini(struct net_user *user)
{
    close_handle(user->poll);
    close_handle(user->timer);
    close_handle(user->prepare);
    if (user->epoll >= 0)
        close(user->epoll);
    free(user->watched);
}

int user_events_init(struct net_user *user)
{
    struct uv_loop_s *uv = &user->loop->uv;

    user->epoll = epoll_create1(EPOLL_CLOEXEC);
    user->timer = malloc(sizeof(*user->timer));
    user->prepare = malloc(sizeof(*user->prepare));
    if (user->timer)
        uv_timer_init(uv, user->timer);
    if (user->prepare)
        uv_prepare_init(uv, user->prepare);
    if (user->epoll < 0 || !user->timer || !user->prepare)
        return -ENOMEM;
    user->poll = malloc(sizeof(*user->poll));
    if (!user->poll || uv_poll_init(uv, user->poll, user->epoll) != 0) {
        free(user->poll);
        user->poll = NULL;
        return -ENOMEM;
    }
    user->poll->data = user->timer->data = user->prepare->data = user;
    uv_poll_start(user->poll, UV_READABLE, descriptors_ready);
    uv_prepare_start(user->prepare, before_sleep);
    return 0;
}
