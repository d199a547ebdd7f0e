/*
 * A network of the guest's own, in user space (libslirp): 10.0.2.0/24, the guest is 10.0.2.15 by DHCP, the host's
 * resolver answers at 10.0.2.3, and the outside is reached through the host's sockets.
 *
 * The guest must not reach what listens on the host's loopback: 10.0.2.2 leads nowhere, and frames for loopback
 * addresses are dropped, since a host's socket would take them home.
 */
#include "backend/net.h"

#include "base/bytes.h"
#include "base/error.h"
#include "base/log.h"

#include <errno.h>
#include <poll.h>
#include <slirp/libslirp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <unistd.h>

#define MAX_QUEUED      512 /* frames that wait for the guest; more are dropped, and sent again by TCP */
#define MAX_DESCRIPTORS 4096 /* sockets looked at; more wait */

struct queued_frame {
    STAILQ_ENTRY(queued_frame) link;
    size_t size;
    uint8_t data[];
};

struct net_user {
    struct net net;
    struct loop *loop;
    Slirp *slirp;
    STAILQ_HEAD(, queued_frame) queue;
    unsigned queued;
    /* What libslirp waits for. The descriptors lie in an epoll of their own: it tells when to look at them. */
    struct pollfd fds[MAX_DESCRIPTORS];
    unsigned fd_count;
    int epoll;
    bool stale; /* fds must be asked for again before the loop sleeps */
    /* libuv frees these late, so they live on the heap. */
    uv_poll_t *poll;
    uv_timer_t *timer;
    uv_prepare_t *prepare;
    uint8_t frame[NET_MAX_FRAME];
};

/* --- frames --- */

static bool deliver(struct net_user *user, const uint8_t *frame, size_t size)
{
    const struct net_front_ops *front = user->net.front_ops;

    if (!front || !front->can_receive(user->net.front))
        return false;
    front->receive(user->net.front, frame, size);
    return true;
}

static void enqueue(struct net_user *user, const uint8_t *frame, size_t size)
{
    struct queued_frame *q = user->queued < MAX_QUEUED ? malloc(sizeof(*q) + size) : NULL;

    if (!q)
        return;
    q->size = size;
    memcpy(q->data, frame, size);
    STAILQ_INSERT_TAIL(&user->queue, q, link);
    user->queued++;
}

static ssize_t send_packet(const void *frame, size_t size, void *opaque)
{
    struct net_user *user = opaque;

    if (user->net.front_ops && (user->queued || !deliver(user, frame, size)))
        enqueue(user, frame, size);
    return (ssize_t)size;
}

static void drop_first(struct net_user *user)
{
    struct queued_frame *q = STAILQ_FIRST(&user->queue);

    STAILQ_REMOVE_HEAD(&user->queue, link);
    user->queued--;
    free(q);
}

static void user_accept_input(struct net *net)
{
    struct net_user *user = container_of(net, struct net_user, net);
    struct queued_frame *q;

    while ((q = STAILQ_FIRST(&user->queue)) && deliver(user, q->data, q->size))
        drop_first(user);
}

/* 127.0.0.0/8, and 0.0.0.0/8, which Linux takes for the host itself. */
static bool is_loopback(const uint8_t *frame, size_t size)
{
    enum { ETHERTYPE = 12, DESTINATION = 14 + 16 };

    return size > DESTINATION && load_be16(frame + ETHERTYPE) == 0x0800 &&
           (frame[DESTINATION] == 127 || frame[DESTINATION] == 0);
}

static void user_send(struct net *net, const struct iovec *iov, unsigned count)
{
    struct net_user *user = container_of(net, struct net_user, net);
    size_t size = 0;
    unsigned i;

    for (i = 0; i < count; i++) {
        size_t n = MIN(iov[i].iov_len, sizeof(user->frame) - size);

        memcpy(user->frame + size, iov[i].iov_base, n);
        size += n;
    }
    if (is_loopback(user->frame, size)) {
        log_once(LOG_WARN, "net: the guest sent to a loopback address; such frames are dropped");
        return;
    }
    slirp_input(user->slirp, user->frame, (int)size);
    user->stale = true;
}

/* --- libslirp's clock and timers --- */

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

/* --- libslirp's descriptors --- */

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

/* Level-triggered, once: a descriptor that nobody serves any more cannot keep the loop awake. */
static void watch(struct net_user *user, const struct pollfd *fd)
{
    /* EPOLLIN and its kin have the values of POLLIN and its kin. */
    struct epoll_event event = {.events = (uint32_t)fd->events | EPOLLONESHOT, .data.fd = fd->fd};

    if (epoll_ctl(user->epoll, EPOLL_CTL_MOD, fd->fd, &event) != 0)
        epoll_ctl(user->epoll, EPOLL_CTL_ADD, fd->fd, &event);
}

static int add_poll(int fd, int events, void *opaque)
{
    struct net_user *user = opaque;

    if (user->fd_count == MAX_DESCRIPTORS)
        return -1;
    user->fds[user->fd_count] = (struct pollfd){.fd = fd, .events = to_poll(events)};
    watch(user, &user->fds[user->fd_count]);
    return (int)user->fd_count++;
}

static int get_revents(int index, void *opaque)
{
    struct net_user *user = opaque;

    return index >= 0 && (unsigned)index < user->fd_count ? from_poll(user->fds[index].revents) : 0;
}

static void register_fd(int fd UNUSED, void *opaque)
{
    struct net_user *user = opaque;

    user->stale = true;
}

static void unregister_fd(int fd, void *opaque)
{
    struct net_user *user = opaque;

    epoll_ctl(user->epoll, EPOLL_CTL_DEL, fd, NULL);
    user->stale = true;
}

static void notify(void *opaque)
{
    struct net_user *user = opaque;

    user->stale = true;
}

static void guest_error(const char *message, void *opaque UNUSED)
{
    log_once(LOG_WARN, "net: the guest erred: %s", message);
}

static const SlirpCb callbacks = {
    .send_packet = send_packet,
    .guest_error = guest_error,
    .clock_get_ns = clock_get_ns,
    .timer_new = timer_new,
    .timer_free = timer_free,
    .timer_mod = timer_mod,
    .register_poll_fd = register_fd,
    .unregister_poll_fd = unregister_fd,
    .notify = notify,
};

/* --- the loop --- */

static void serve(struct net_user *user)
{
    int err = poll(user->fds, user->fd_count, 0) < 0;

    user->stale = true;
    slirp_pollfds_poll(user->slirp, err, get_revents, user);
}

static void descriptors_ready(uv_poll_t *handle, int status UNUSED, int events UNUSED)
{
    struct net_user *user = handle->data;
    struct epoll_event ready[64];

    /* Taken out, so that the epoll itself is quiet until they are armed again. */
    while (epoll_wait(user->epoll, ready, ARRAY_SIZE(ready), 0) == ARRAY_SIZE(ready))
        ;
    serve(user);
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
    user->fd_count = 0;
    slirp_pollfds_fill(user->slirp, &timeout, add_poll, user);
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

static void user_destroy(struct net *net)
{
    struct net_user *user = container_of(net, struct net_user, net);

    if (user->slirp)
        slirp_cleanup(user->slirp);
    close_handle(user->poll);
    close_handle(user->timer);
    close_handle(user->prepare);
    if (user->epoll >= 0)
        close(user->epoll);
    while (user->queued)
        drop_first(user);
    free(user);
}

static const struct net_ops user_ops = {
    .send = user_send,
    .accept_input = user_accept_input,
    .destroy = user_destroy,
};

static int start_slirp(struct net_user *user)
{
    static const char *const hostname = "guest";
    const SlirpConfig config = {
        .version = 4,
        .in_enabled = true,
        .vnetwork.s_addr = htonl(0x0a000200),
        .vnetmask.s_addr = htonl(0xffffff00),
        .vhost.s_addr = htonl(0x0a000202),
        .vdhcp_start.s_addr = htonl(0x0a00020f),
        .vnameserver.s_addr = htonl(0x0a000203),
        .vhostname = hostname,
        .disable_host_loopback = true,
    };

    user->slirp = slirp_new(&config, &callbacks, user);
    return user->slirp ? 0 : fail(-EINVAL, "--net user: libslirp cannot start");
}

static int add_forward(struct net_user *user, const struct net_forward *f)
{
    struct sockaddr_in host = {.sin_family = AF_INET, .sin_port = htons(f->host_port)};
    struct sockaddr_in guest = {.sin_family = AF_INET, .sin_port = htons(f->guest_port)};
    const char *address = f->host[0] ? f->host : "127.0.0.1";
    int err;

    if (inet_pton(AF_INET, address, &host.sin_addr) != 1)
        return fail(-EINVAL, "--forward: '%s' is not an IPv4 address", address);
    if (slirp_add_hostxfwd(user->slirp, (struct sockaddr *)&host, sizeof(host),
                           (struct sockaddr *)&guest, sizeof(guest),
                           f->udp ? SLIRP_HOSTFWD_UDP : 0) == 0)
        return 0;
    err = errno ? -errno : -EINVAL;
    return fail(err, "--forward: cannot listen on %s port %u of %s: %s; choose another port",
                f->udp ? "UDP" : "TCP", f->host_port, address, strerror(-err));
}

static int watch_loop(struct net_user *user)
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

int net_user_create(struct net **net, struct loop *loop, const struct net_forward *forwards,
                    size_t count)
{
    struct net_user *user = calloc(1, sizeof(*user));
    size_t i;
    int err;

    if (!user)
        return -ENOMEM;
    user->net.ops = &user_ops;
    user->loop = loop;
    user->stale = true;
    user->epoll = -1;
    STAILQ_INIT(&user->queue);
    err = watch_loop(user);
    if (!err)
        err = start_slirp(user);
    for (i = 0; !err && i < count; i++)
        err = add_forward(user, &forwards[i]);
    if (err) {
        user_destroy(&user->net);
        return err;
    }
    *net = &user->net;
    return 0;
}
