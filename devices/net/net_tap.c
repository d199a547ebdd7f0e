/* A tap interface of the host: frames go in and out as they are, with a header that says what is left to do with them. */
#include "backend/net.h"

#include "base/error.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static const int calls[] = {SCMP_SYS(sendmsg), SCMP_SYS(recvmsg), SCMP_SYS(setsockopt), SCMP_SYS(socketpair),
                            SCMP_SYS(readv), SCMP_SYS(writev), SANDBOX_END};
static const struct sandbox_ioctl ioctls[] = {SANDBOX_IOCTL(TUNSETOFFLOAD), SANDBOX_IOCTL(TUNSETQUEUE), {0}};
const struct sandbox_calls net_sandbox = {.name = "networks", .calls = calls, .ioctls = ioctls};

#define FRAMES_A_TURN 64 /* so that other events get theirs */

/* Linux 6.2, not in older headers. */
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

struct net_tap;

struct tap_queue {
    struct net_tap *tap;
    unsigned index;
    int fd;
    bool attached; /* the interface gives frames to it */
    uv_poll_t *poll; /* libuv frees it late, so it lives on the heap */
    /* The frame that the card had no room for: it is tried again. */
    size_t waiting;
    struct virtio_net_hdr header;
    uint8_t frame[NET_MAX_FRAME];
};

struct net_tap {
    struct net net;
    struct tap_queue *queues;
};

/* --- frames --- */

static bool deliver(struct tap_queue *q)
{
    struct net *net = &q->tap->net;

    if (net->front_ops && !net->front_ops->receive(net->front, q->index, &q->header, q->frame, q->waiting))
        return false;
    q->waiting = 0;
    return true;
}

/* The next frame of the interface; false: there is none now. */
static bool read_frame(struct tap_queue *q)
{
    const struct iovec iov[] = {{&q->header, sizeof(q->header)}, {q->frame, sizeof(q->frame)}};
    ssize_t n = readv(q->fd, iov, 2);

    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        log_error("tap: %s; the guest's network is cut", strerror(errno));
        uv_poll_stop(q->poll);
    }
    if (n < (ssize_t)sizeof(q->header) + 14)
        return false;
    q->waiting = (size_t)n - sizeof(q->header);
    return true;
}

static void ready(uv_poll_t *poll, int status UNUSED, int events UNUSED)
{
    struct tap_queue *q = poll->data;
    unsigned budget;

    for (budget = FRAMES_A_TURN; budget; budget--) {
        if (!q->waiting && !read_frame(q))
            return;
        if (!deliver(q)) {
            uv_poll_stop(poll); /* until accept_input */
            return;
        }
    }
}

static void tap_accept_input(struct net *net, unsigned queue)
{
    struct net_tap *tap = container_of(net, struct net_tap, net);
    struct tap_queue *q = &tap->queues[queue];

    if (!q->waiting || deliver(q))
        uv_poll_start(q->poll, UV_READABLE, ready);
}

/* A full queue drops the frame, as a wire would; so does a header that the kernel finds wrong. */
static void tap_send(struct net *net, unsigned queue, const struct virtio_net_hdr *header,
                     const struct iovec *iov, unsigned count)
{
    struct net_tap *tap = container_of(net, struct net_tap, net);
    struct iovec all[IOV_MAX] = {{(void *)header, sizeof(*header)}};

    if (count >= IOV_MAX)
        return;
    memcpy(all + 1, iov, count * sizeof(*iov));
    if (writev(tap->queues[queue].fd, all, (int)count + 1) < 0 && errno != EAGAIN)
        log_once(LOG_WARN, "tap: a frame is lost: %s", strerror(errno));
}

/* --- what the guest agreed to --- */

static const struct {
    unsigned net, tun;
} offload_bits[] = {
    {NET_CSUM, TUN_F_CSUM},   {NET_TSO4, TUN_F_TSO4}, {NET_TSO6, TUN_F_TSO6},
    {NET_ECN, TUN_F_TSO_ECN}, {NET_UFO, TUN_F_UFO},   {NET_USO, TUN_F_USO4 | TUN_F_USO6},
};

static int set_offloads(int fd, unsigned offloads)
{
    unsigned long bits = 0;
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(offload_bits); i++)
        bits |= offloads & offload_bits[i].net ? offload_bits[i].tun : 0;
    return ioctl(fd, TUNSETOFFLOAD, bits);
}

/* They are the interface's, whichever queue sets them. */
static void tap_set_offloads(struct net *net, unsigned offloads)
{
    struct net_tap *tap = container_of(net, struct net_tap, net);

    if (set_offloads(tap->queues[0].fd, offloads) != 0)
        log_once(LOG_WARN, "tap: offloads 0x%x: %s", offloads, strerror(errno));
}

static unsigned probe_offloads(int fd)
{
    static const unsigned sets[] = {
        NET_CSUM | NET_TSO4 | NET_TSO6 | NET_ECN | NET_UFO | NET_USO,
        NET_CSUM | NET_TSO4 | NET_TSO6 | NET_ECN | NET_UFO,
        NET_CSUM | NET_TSO4 | NET_TSO6 | NET_ECN,
    };
    unsigned found = 0, i;

    for (i = 0; i < ARRAY_SIZE(sets) && !found; i++)
        if (set_offloads(fd, sets[i]) == 0)
            found = sets[i];
    set_offloads(fd, 0);
    return found;
}

static void attach_queue(struct tap_queue *q, bool attach)
{
    struct ifreq request = {.ifr_flags = attach ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE};

    if (q->attached == attach)
        return;
    if (ioctl(q->fd, TUNSETQUEUE, &request) != 0) {
        log_once(LOG_WARN, "tap: queue %u: %s", q->index, strerror(errno));
        return;
    }
    q->attached = attach;
    q->waiting = 0;
    if (attach)
        uv_poll_start(q->poll, UV_READABLE, ready);
    else
        uv_poll_stop(q->poll);
}

static void tap_set_queues(struct net *net, unsigned queues)
{
    struct net_tap *tap = container_of(net, struct net_tap, net);
    unsigned i;

    for (i = 1; i < net->queues; i++)
        attach_queue(&tap->queues[i], i < queues);
}

/* --- life --- */

static void free_poll(uv_handle_t *handle)
{
    free(handle);
}

static void tap_destroy(struct net *net)
{
    struct net_tap *tap = container_of(net, struct net_tap, net);
    unsigned i;

    for (i = 0; i < net->queues; i++) {
        struct tap_queue *q = &tap->queues[i];

        if (q->poll)
            uv_close((uv_handle_t *)q->poll, free_poll);
        if (q->fd >= 0)
            close(q->fd);
    }
    free(tap->queues);
    free(tap);
}

static const struct net_ops tap_ops = {
    .send = tap_send,
    .accept_input = tap_accept_input,
    .set_offloads = tap_set_offloads,
    .set_queues = tap_set_queues,
    .destroy = tap_destroy,
};

static int attach_interface(int fd, const char *interface, int extra_flags)
{
    struct ifreq request = {.ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | extra_flags)};

    strcpy(request.ifr_name, interface);
    return ioctl(fd, TUNSETIFF, &request) == 0 ? 0 : -errno;
}

/* An interface made for several queues wants that said, also where one is used. */
static int attach_one(int fd, const char *interface, bool several)
{
    int size = sizeof(struct virtio_net_hdr);
    int err = several ? -EINVAL : attach_interface(fd, interface, 0);

    if (err == -EINVAL)
        err = attach_interface(fd, interface, IFF_MULTI_QUEUE);
    if (!err && ioctl(fd, TUNSETVNETHDRSZ, &size) != 0)
        err = -errno;
    return err;
}

static int open_queue(const char *interface, bool several)
{
    int err, fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

    if (fd < 0)
        return fail(-errno, "--net tap=%s: /dev/net/tun: %s", interface, strerror(errno));
    err = attach_one(fd, interface, several);
    if (!err)
        return fd;
    close(fd);
    if (several && err == -EINVAL)
        return fail(err,
                    "--net tap=%s: it has one queue; make it with several: ip tuntap add %s mode "
                    "tap multi_queue, or leave out queues=",
                    interface, interface);
    return fail(err, "--net tap=%s: %s; it must be a tap interface that you may use and nobody else does",
                interface, strerror(-err));
}

/* What a guest should know of an interface that is not like any other. */
static unsigned interface_mtu(const char *interface)
{
    struct ifreq request = {0};
    int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    unsigned mtu = 0;

    strcpy(request.ifr_name, interface);
    if (s >= 0 && ioctl(s, SIOCGIFMTU, &request) == 0 && request.ifr_mtu != 1500 &&
        request.ifr_mtu >= 68 && request.ifr_mtu <= 65535)
        mtu = (unsigned)request.ifr_mtu;
    if (s >= 0)
        close(s);
    return mtu;
}

static int start_queue(struct tap_queue *q, struct loop *loop)
{
    int err;

    q->poll = malloc(sizeof(*q->poll));
    if (!q->poll)
        return -ENOMEM;
    err = uv_poll_init(&loop->uv, q->poll, q->fd);
    if (err) {
        free(q->poll);
        q->poll = NULL;
        return err;
    }
    q->poll->data = q;
    return uv_poll_start(q->poll, UV_READABLE, ready);
}

static int open_queues(struct net_tap *tap, struct loop *loop, const char *interface)
{
    unsigned i;
    int err = 0;

    for (i = 0; i < tap->net.queues; i++)
        tap->queues[i] = (struct tap_queue){.tap = tap, .index = i, .fd = -1, .attached = true};
    for (i = 0; i < tap->net.queues && !err; i++) {
        tap->queues[i].fd = open_queue(interface, tap->net.queues > 1);
        err = tap->queues[i].fd < 0 ? tap->queues[i].fd : start_queue(&tap->queues[i], loop);
    }
    return err;
}

int net_tap_create(struct net **net, struct loop *loop, const char *interface, unsigned queues)
{
    struct net_tap *tap;
    int err;

    if (strlen(interface) >= IFNAMSIZ)
        return fail(-EINVAL, "--net tap=%s: the name is longer than an interface's can be", interface);
    /* Opening it would make it, unconnected to anything: not what was meant. */
    if (!if_nametoindex(interface))
        return fail(-ENODEV,
                    "--net tap=%s: there is no such interface; make it: ip tuntap add %s mode tap "
                    "user $USER",
                    interface, interface);
    tap = calloc(1, sizeof(*tap));
    if (!tap)
        return -ENOMEM;
    tap->net = (struct net){.ops = &tap_ops, .queues = MAX(queues, 1)};
    tap->queues = calloc(tap->net.queues, sizeof(*tap->queues));
    err = tap->queues ? open_queues(tap, loop, interface) : -ENOMEM;
    if (err) {
        if (!tap->queues)
            tap->net.queues = 0;
        tap_destroy(&tap->net);
        return err;
    }
    tap->net.receive_offloads = tap->net.send_offloads = probe_offloads(tap->queues[0].fd);
    tap->net.mtu = interface_mtu(interface);
    *net = &tap->net;
    return 0;
}
