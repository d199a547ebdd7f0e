/* A tap interface of the host: frames go in and out as they are. */
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
#include <unistd.h>

#define FRAMES_A_TURN 64 /* so that other events get theirs */

struct net_tap {
    struct net net;
    int fd;
    uv_poll_t *poll; /* libuv frees it late, so it lives on the heap */
    uint8_t frame[NET_MAX_FRAME];
};

static bool can_receive(const struct net_tap *tap)
{
    return tap->net.front_ops && tap->net.front_ops->can_receive(tap->net.front);
}

static void ready(uv_poll_t *poll, int status UNUSED, int events UNUSED)
{
    struct net_tap *tap = poll->data;
    unsigned budget;

    for (budget = FRAMES_A_TURN; budget; budget--) {
        ssize_t n;

        if (!can_receive(tap)) {
            uv_poll_stop(tap->poll); /* until accept_input */
            return;
        }
        n = read(tap->fd, tap->frame, sizeof(tap->frame));
        if (n < 0 && errno != EAGAIN && errno != EINTR) {
            log_error("tap: %s; the guest's network is cut", strerror(errno));
            uv_poll_stop(tap->poll);
        }
        if (n < 14)
            return;
        tap->net.front_ops->receive(tap->net.front, tap->frame, (size_t)n);
    }
}

static void tap_accept_input(struct net *net)
{
    struct net_tap *tap = container_of(net, struct net_tap, net);

    uv_poll_start(tap->poll, UV_READABLE, ready);
}

/* A full queue drops the frame, as a wire would. */
static void tap_send(struct net *net, const struct iovec *iov, unsigned count)
{
    struct net_tap *tap = container_of(net, struct net_tap, net);

    if (writev(tap->fd, iov, (int)count) < 0 && errno != EAGAIN)
        log_once(LOG_WARN, "tap: a frame is lost: %s", strerror(errno));
}

static void free_poll(uv_handle_t *handle)
{
    free(handle);
}

static void tap_destroy(struct net *net)
{
    struct net_tap *tap = container_of(net, struct net_tap, net);

    uv_poll_stop(tap->poll);
    uv_close((uv_handle_t *)tap->poll, free_poll);
    close(tap->fd);
    free(tap);
}

static const struct net_ops tap_ops = {
    .send = tap_send,
    .accept_input = tap_accept_input,
    .destroy = tap_destroy,
};

static int open_tap(const char *interface)
{
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
    int fd, err;

    if (strlen(interface) >= sizeof(request.ifr_name))
        return fail(-EINVAL, "--net tap=%s: the name is longer than an interface's can be",
                    interface);
    /* Opening it would make it, unconnected to anything: not what was meant. */
    if (!if_nametoindex(interface))
        return fail(-ENODEV,
                    "--net tap=%s: there is no such interface; make it: ip tuntap add %s mode tap "
                    "user $USER",
                    interface, interface);
    fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return fail(-errno, "--net tap=%s: /dev/net/tun: %s", interface, strerror(errno));
    strcpy(request.ifr_name, interface);
    if (ioctl(fd, TUNSETIFF, &request) == 0)
        return fd;
    err = -errno;
    close(fd);
    return fail(
        err, "--net tap=%s: %s; it must be a tap interface that you may use and nobody else does",
        interface, strerror(-err));
}

int net_tap_create(struct net **net, struct loop *loop, const char *interface)
{
    struct net_tap *tap = calloc(1, sizeof(*tap));
    uv_poll_t *poll = malloc(sizeof(*poll));
    int err = -ENOMEM;

    if (!tap || !poll)
        goto failed;
    tap->fd = err = open_tap(interface);
    if (err < 0)
        goto failed;
    err = uv_poll_init(&loop->uv, poll, tap->fd);
    if (err) {
        close(tap->fd);
        goto failed;
    }
    poll->data = tap;
    tap->poll = poll;
    tap->net.ops = &tap_ops;
    uv_poll_start(poll, UV_READABLE, ready);
    *net = &tap->net;
    return 0;

failed:
    free(poll);
    free(tap);
    return err;
}
