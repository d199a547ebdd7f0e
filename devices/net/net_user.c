/*
 * A network of the guest's own, in user space (libslirp): 10.0.2.0/24 and fec0::/64, the guest is 10.0.2.15 by DHCP, the
 * host's resolver answers at 10.0.2.3 and fec0::3, and the outside is reached through the host's sockets.
 *
 * The guest must not reach what listens on the host's loopback: 10.0.2.2 and fec0::2 lead nowhere, and frames for loopback
 * addresses are dropped, since a host's socket would take them home.
 */
#include "base/bytes.h"
#include "base/error.h"
#include "base/log.h"
#include "devices/net/net_user_private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_QUEUED 512 /* frames that wait for the guest; more are dropped, and sent again by TCP */

/*
 * libslirp ends TCP itself, so segments may be large: fewer frames for the same bytes. It has no window scaling, and a
 * window of 64 KiB should hold a few: with the largest possible ones a receiver stalls. This one fits into four pages of
 * the guest's, header included.
 */
#define MTU 16000

/* --- frames --- */

static bool deliver(struct net_user *user, const uint8_t *frame, size_t size)
{
    const struct net_front_ops *front = user->net.front_ops;

    return !front || front->receive(user->net.front, 0, &user->header, frame, size);
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

    user_forward_received(user, frame, size);
    if (user->queued || !deliver(user, frame, size))
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

static void user_accept_input(struct net *net, unsigned queue UNUSED)
{
    struct net_user *user = container_of(net, struct net_user, net);
    struct queued_frame *q;

    while ((q = STAILQ_FIRST(&user->queue)) && deliver(user, q->data, q->size))
        drop_first(user);
}

/* 127.0.0.0/8, and 0.0.0.0/8, which Linux takes for the host itself. */
static bool is_loopback4(const uint8_t *destination)
{
    return destination[0] == 127 || destination[0] == 0;
}

/* ::1, :: likewise, and IPv4's addresses in the clothes of IPv6: 96 bits of zeroes, or 80 and 16 ones. */
static bool is_loopback6(const uint8_t *destination)
{
    static const uint8_t zeroes[10];

    return memcmp(destination, zeroes, sizeof(zeroes)) == 0 &&
           (load_be16(destination + 10) == 0 || load_be16(destination + 10) == 0xffff);
}

static bool is_loopback(const uint8_t *frame, size_t size)
{
    enum { ETHERTYPE = 12, DESTINATION4 = 14 + 16, DESTINATION6 = 14 + 24 };

    switch (size >= DESTINATION4 + 4 ? load_be16(frame + ETHERTYPE) : 0) {
    case 0x0800:
        return is_loopback4(frame + DESTINATION4);
    case 0x86dd:
        return size < DESTINATION6 + 16 || is_loopback6(frame + DESTINATION6);
    default:
        return false;
    }
}

/* The sum that the guest's stack left to us: of all from csum_start on, with the pseudo header's in its place. */
static void complete_checksum(uint8_t *frame, size_t size, const struct virtio_net_hdr *header)
{
    const uint8_t *p = frame + header->csum_start, *end = frame + size;
    uint64_t sum = 0;

    for (; end - p >= 4; p += 4)
        sum += load_le32(p);
    for (; end - p >= 2; p += 2)
        sum += load_le16(p);
    sum += p < end ? *p : 0;
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    sum = sum == 0xffff ? 0xffff : ~sum & 0xffff; /* 0 would mean that UDP has none */
    store_le16(frame + header->csum_start + header->csum_offset, (uint16_t)sum);
}

/* The frame is copied out of the guest's memory, which may change, before anything looks at it. */
static void user_send(struct net *net, unsigned queue UNUSED, const struct virtio_net_hdr *header,
                      const struct iovec *iov, unsigned count)
{
    struct net_user *user = container_of(net, struct net_user, net);
    size_t size = 0;
    unsigned i;

    for (i = 0; i < count; i++) {
        size_t n = MIN(iov[i].iov_len, sizeof(user->frame) - size);

        memcpy(user->frame + size, iov[i].iov_base, n);
        size += n;
    }
    /* First, since where it is written is the guest's choice. */
    if (header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
        complete_checksum(user->frame, size, header);
    if (is_loopback(user->frame, size)) {
        log_once(LOG_WARN, "net: the guest sent to a loopback address; such frames are dropped");
        return;
    }
    if (user_forward_answers(user, user->frame, size))
        return;
    slirp_input(user->slirp, user->frame, (int)size);
    user->stale = true;
}

/* libslirp's packets never left this computer: a guest that can be told need not sum them up again. */
static void user_set_offloads(struct net *net, unsigned offloads)
{
    struct net_user *user = container_of(net, struct net_user, net);

    user->header.flags = offloads & NET_CSUM ? VIRTIO_NET_HDR_F_DATA_VALID : 0;
}

static void guest_error(const char *message, void *opaque UNUSED)
{
    log_once(LOG_WARN, "net: the guest erred: %s", message);
}

static SlirpCb all_callbacks(void)
{
    SlirpCb callbacks = user_event_callbacks;

    callbacks.send_packet = send_packet;
    callbacks.guest_error = guest_error;
    return callbacks;
}

/* --- life --- */

static void user_destroy(struct net *net)
{
    struct net_user *user = container_of(net, struct net_user, net);

    if (user->slirp)
        slirp_cleanup(user->slirp);
    user_events_fini(user);
    user_forward_fini(user);
    while (user->queued)
        drop_first(user);
    free(user);
}

static const struct net_ops user_ops = {
    .send = user_send,
    .accept_input = user_accept_input,
    .set_offloads = user_set_offloads,
    .destroy = user_destroy,
};

static int start_slirp(struct net_user *user, const struct net_user_options *options)
{
    static const char *const hostname = "guest";
    static SlirpCb callbacks; /* libslirp keeps a pointer to them; all networks have the same */
    SlirpConfig config = {
        .version = 4,
        .restricted = options->restricted,
        .in_enabled = true,
        .vnetwork.s_addr = htonl(0x0a000200),
        .vnetmask.s_addr = htonl(0xffffff00),
        .vhost.s_addr = htonl(0x0a000202),
        .vdhcp_start.s_addr = htonl(0x0a00020f),
        .vnameserver.s_addr = htonl(0x0a000203),
        .in6_enabled = !options->no_ipv6,
        .vprefix_len = 64,
        .vhostname = options->hostname ? options->hostname : hostname,
        .tftp_path = options->tftp,
        .bootfile = options->bootfile,
        .if_mtu = MTU,
        .if_mru = MTU,
        .disable_host_loopback = true,
    };

    inet_pton(AF_INET6, "fec0::", &config.vprefix_addr6);
    inet_pton(AF_INET6, "fec0::2", &config.vhost6);
    inet_pton(AF_INET6, "fec0::3", &config.vnameserver6);
    callbacks = all_callbacks();
    user->slirp = slirp_new(&config, &callbacks, user);
    return user->slirp ? 0 : fail(-EINVAL, "--net user: libslirp cannot start");
}

int net_user_create(struct net **net, struct loop *loop, const struct net_user_options *options)
{
    struct net_user *user = calloc(1, sizeof(*user));
    size_t i;
    int err;

    if (!user)
        return -ENOMEM;
    user->net = (struct net){.ops = &user_ops,
                             .send_offloads = NET_CSUM | NET_TSO4 | NET_TSO6 | NET_ECN,
                             .receive_offloads = NET_CSUM,
                             .mtu = MTU};
    user->loop = loop;
    user->stale = true;
    user->epoll = -1;
    STAILQ_INIT(&user->queue);
    err = user_events_init(user);
    if (!err)
        err = start_slirp(user, options);
    for (i = 0; !err && i < options->forward_count; i++)
        err = user_forward_add(user, &options->forwards[i]);
    if (err) {
        user_destroy(&user->net);
        return err;
    }
    *net = &user->net;
    return 0;
}
