/*
 * Ports of the host that lead into the guest. libslirp does it all but one thing: what this computer itself sends to a
 * UDP port comes to the guest from 10.0.2.2, and a guest may send nothing to 10.0.2.2, since that would be the host's
 * loopback. Its answers go out here, to those ports of this computer that have spoken to it, and from nowhere else.
 */
#include "base/bytes.h"
#include "base/error.h"
#include "devices/net/net_user_private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define HOST_ADDRESS 0x0a000202

struct user_forward {
    uint16_t guest_port;
    struct sockaddr_in host;
    int fd;                   /* libslirp's socket; -1: not looked for yet */
    uint8_t spoke[65536 / 8]; /* the ports of this computer that sent something */
};

/* The parts of an IPv4 packet of UDP that is whole. */
struct datagram {
    uint32_t source, destination;
    uint16_t source_port, destination_port;
    const uint8_t *data;
    size_t size;
};

static bool parse(struct datagram *d, const uint8_t *frame, size_t size)
{
    const uint8_t *ip = frame + 14, *udp;
    size_t header, total, length;

    if (size < 14 + 20 || load_be16(frame + 12) != 0x0800 || ip[0] >> 4 != 4 || ip[9] != IPPROTO_UDP ||
        (load_be16(ip + 6) & 0x3fff))
        return false;
    header = 4u * (ip[0] & 15);
    total = load_be16(ip + 2);
    if (header < 20 || total < header + 8 || total > size - 14)
        return false;
    udp = ip + header;
    length = load_be16(udp + 4);
    if (length < 8 || length > total - header)
        return false;
    *d = (struct datagram){.source = load_be32(ip + 12),
                           .destination = load_be32(ip + 16),
                           .source_port = load_be16(udp),
                           .destination_port = load_be16(udp + 2),
                           .data = udp + 8,
                           .size = length - 8};
    return true;
}

static struct user_forward *find(struct net_user *user, uint16_t guest_port)
{
    unsigned i;

    for (i = 0; i < user->forward_count; i++)
        if (user->forwards[i].guest_port == guest_port)
            return &user->forwards[i];
    return NULL;
}

void user_forward_received(struct net_user *user, const uint8_t *frame, size_t size)
{
    struct user_forward *f;
    struct datagram d;

    if (!user->forward_count || !parse(&d, frame, size) || d.source != HOST_ADDRESS)
        return;
    f = find(user, d.destination_port);
    if (f)
        f->spoke[d.source_port / 8] |= (uint8_t)(1u << d.source_port % 8);
}

/* Among those that libslirp waits for; it keeps it open. */
static int find_socket(const struct net_user *user, const struct sockaddr_in *host)
{
    unsigned i;

    for (i = 0; i < user->fd_count; i++) {
        struct sockaddr_in a = {0};
        socklen_t size = sizeof(a), type_size = sizeof(int);
        int type = 0, fd = user->fds[i].fd;

        if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_size) == 0 && type == SOCK_DGRAM &&
            getsockname(fd, (struct sockaddr *)&a, &size) == 0 && a.sin_family == AF_INET &&
            a.sin_port == host->sin_port && a.sin_addr.s_addr == host->sin_addr.s_addr)
            return fd;
    }
    return -1;
}

bool user_forward_answers(struct net_user *user, const uint8_t *frame, size_t size)
{
    struct sockaddr_in peer = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct user_forward *f;
    struct datagram d;

    if (!user->forward_count || !parse(&d, frame, size) || d.destination != HOST_ADDRESS)
        return false;
    f = find(user, d.source_port);
    if (!f || !(f->spoke[d.destination_port / 8] >> d.destination_port % 8 & 1))
        return false;
    if (f->fd < 0)
        f->fd = find_socket(user, &f->host);
    peer.sin_port = htons(d.destination_port);
    sendto(f->fd, d.data, d.size, MSG_DONTWAIT | MSG_NOSIGNAL, (struct sockaddr *)&peer, sizeof(peer));
    return true;
}

static int remember(struct net_user *user, uint16_t guest_port, const struct sockaddr_in *host)
{
    struct user_forward *all = reallocarray(user->forwards, user->forward_count + 1, sizeof(*all));

    if (!all)
        return -ENOMEM;
    user->forwards = all;
    all[user->forward_count++] = (struct user_forward){guest_port, *host, .fd = -1};
    return 0;
}

int user_forward_add(struct net_user *user, const struct net_forward *f)
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
        return f->udp ? remember(user, f->guest_port, &host) : 0;
    err = errno ? -errno : -EINVAL;
    return fail(err, "--forward: cannot listen on %s port %u of %s: %s; choose another port",
                f->udp ? "UDP" : "TCP", f->host_port, address, strerror(-err));
}

void user_forward_fini(struct net_user *user)
{
    free(user->forwards);
}
