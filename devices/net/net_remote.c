#include "devices/net/net_remote.h"

#include "base/log.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUFFER    (1024 * 1024) /* in the kernel, if it lets us */
#define MIN_FRAME 14
#define PER_EVENT 64            /* frames, so that others in the loop have their turn */
#define WAIT_MS   100           /* for a process that does not keep up */

/* One end: frames that come go to `front` or to `net`. */
struct remote {
    struct net net; /* the machine's end */
    struct net *served; /* the other's */
    int fd;
    uv_poll_t *poll; /* libuv frees it late, so it lives on the heap */
    bool held; /* the card has no room for the message below */
    size_t size;
    struct virtio_net_hdr header;
    uint8_t frame[NET_MAX_FRAME];
};

static void ready(uv_poll_t *poll, int status, int events);

static void free_poll(uv_handle_t *handle)
{
    free(handle);
}

static int open_end(struct remote *r, struct loop *loop, int fd)
{
    static const int size = BUFFER;
    int err;

    r->fd = fd;
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    r->poll = malloc(sizeof(*r->poll));
    if (!r->poll)
        return -ENOMEM;
    err = uv_poll_init(&loop->uv, r->poll, fd);
    if (err) {
        free(r->poll);
        r->poll = NULL;
        return err;
    }
    r->poll->data = r;
    return uv_poll_start(r->poll, UV_READABLE, ready);
}

static void close_end(struct remote *r)
{
    if (r->poll)
        uv_close((uv_handle_t *)r->poll, free_poll);
    close(r->fd);
    free(r);
}

/* -EAGAIN: there is no room. */
static int put(int fd, const struct virtio_net_hdr *header, const struct iovec *iov, unsigned count)
{
    struct iovec all[IOV_MAX] = {{(void *)header, sizeof(*header)}};
    const struct msghdr msg = {.msg_iov = all, .msg_iovlen = count + 1};

    if (count >= IOV_MAX)
        return -EINVAL;
    memcpy(all + 1, iov, count * sizeof(*iov));
    return sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

/* The next message: 1, 0: there is none now, or -errno: nobody is there. */
static int take(struct remote *r)
{
    struct iovec parts[] = {{&r->header, sizeof(r->header)}, {r->frame, sizeof(r->frame)}};
    struct msghdr msg = {.msg_iov = parts, .msg_iovlen = ARRAY_SIZE(parts)};
    ssize_t n = recvmsg(r->fd, &msg, MSG_DONTWAIT);

    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    if (n == 0)
        return -EPIPE;
    if ((size_t)n < sizeof(r->header))
        return -EPROTO;
    r->size = (size_t)n - sizeof(r->header);
    return 1;
}

/* --- the machine's end --- */

static bool deliver(struct remote *r)
{
    const struct net_front_ops *front = r->net.front_ops;

    return !front || front->receive(r->net.front, 0, &r->header, r->frame, r->size);
}

static void receive_frames(struct remote *r)
{
    int came = 1;

    for (unsigned i = 0; i < PER_EVENT && came > 0 && !r->held; i++) {
        came = take(r);
        r->held = came > 0 && !deliver(r);
    }
    if (came < 0)
        log_once(LOG_ERROR, "net: the network's process has ended; the guest has no network any more");
    if (came < 0 || r->held)
        uv_poll_stop(r->poll);
}

static void remote_accept_input(struct net *net, unsigned queue UNUSED)
{
    struct remote *r = container_of(net, struct remote, net);

    if (!r->held || !deliver(r))
        return;
    r->held = false;
    uv_poll_start(r->poll, UV_READABLE, ready);
}

static void remote_send(struct net *net, unsigned queue UNUSED, const struct virtio_net_hdr *header,
                        const struct iovec *iov, unsigned count)
{
    struct remote *r = container_of(net, struct remote, net);
    int err = put(r->fd, header, iov, count);

    if (err == -EAGAIN && poll(&(struct pollfd){.fd = r->fd, .events = POLLOUT}, 1, WAIT_MS) > 0)
        err = put(r->fd, header, iov, count);
    if (err)
        log_once(LOG_WARN, "net: the network's process does not take frames: %s", strerror(-err));
}

/* Its frames never left this computer: a guest that can be told need not sum them up again. */
static void remote_set_offloads(struct net *net UNUSED, unsigned offloads UNUSED)
{
}

static void remote_destroy(struct net *net)
{
    close_end(container_of(net, struct remote, net));
}

static const struct net_ops remote_ops = {
    .send = remote_send,
    .accept_input = remote_accept_input,
    .set_offloads = remote_set_offloads,
    .destroy = remote_destroy,
};

int net_remote_create(struct net **net, struct loop *loop, const struct net *like, int fd)
{
    struct remote *r = calloc(1, sizeof(*r));
    int err;

    if (!r) {
        close(fd);
        return -ENOMEM;
    }
    r->net = (struct net){.ops = &remote_ops,
                          .send_offloads = like->send_offloads,
                          .receive_offloads = like->receive_offloads,
                          .mtu = like->mtu};
    err = open_end(r, loop, fd);
    if (err)
        close_end(r);
    else
        *net = &r->net;
    return err;
}

/* --- the other --- */

static bool serve_receive(void *front, unsigned queue UNUSED, const struct virtio_net_hdr *header, const uint8_t *frame,
                          size_t size)
{
    struct remote *r = front;
    int err = put(r->fd, header, &(struct iovec){(void *)frame, size}, 1);

    if (err == -EAGAIN)
        uv_poll_start(r->poll, UV_READABLE | UV_WRITABLE, ready);
    return err != -EAGAIN;
}

static const struct net_front_ops serve_ops = {.receive = serve_receive};

static void end_serving(struct remote *r)
{
    net_destroy(r->served);
    close_end(r);
}

static void serve_frames(struct remote *r)
{
    int came = 1;

    for (unsigned i = 0; i < PER_EVENT && came > 0; i++) {
        came = take(r);
        /* The machine has looked at it; but it may be the guest's by now. */
        if (came > 0 && r->size >= MIN_FRAME && net_header_is_good(&r->header, r->served->send_offloads, r->size))
            r->served->ops->send(r->served, 0, &r->header, &(struct iovec){r->frame, r->size}, 1);
    }
    if (came < 0)
        end_serving(r);
}

int net_serve(struct net *net, struct loop *loop, int fd)
{
    struct remote *r = calloc(1, sizeof(*r));
    int err;

    if (!r) {
        net_destroy(net);
        close(fd);
        return -ENOMEM;
    }
    r->served = net;
    err = open_end(r, loop, fd);
    if (err) {
        net_destroy(net);
        close_end(r);
        return err;
    }
    net->front = r;
    net->front_ops = &serve_ops;
    /* What the card at the other end does not want to hear is left out there. */
    if (net->ops->set_offloads)
        net->ops->set_offloads(net, net->receive_offloads);
    return 0;
}

/* --- both --- */

static void ready(uv_poll_t *poll, int status UNUSED, int events)
{
    struct remote *r = poll->data;

    if (!r->served) {
        receive_frames(r);
        return;
    }
    if (events & UV_WRITABLE) {
        uv_poll_start(poll, UV_READABLE, ready);
        r->served->ops->accept_input(r->served, 0);
    }
    if (events & UV_READABLE || events == 0)
        serve_frames(r);
}
