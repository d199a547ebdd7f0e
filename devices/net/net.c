#include "backend/net.h"

#include "base/error.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int bad_forward(const char *text, const char *reason)
{
    return fail(-EINVAL, "%s: %s; write tcp:[ADDRESS]:PORT-:PORT, as in tcp::2222-:22",
                text, reason);
}

static int parse_port(uint16_t *port, const char *text, const char *end)
{
    unsigned long value = 0;
    const char *p;

    for (p = text; p < end; p++) {
        if (*p < '0' || *p > '9' || value > 65535)
            return -EINVAL;
        value = value * 10 + (unsigned long)(*p - '0');
    }
    if (text == end || value == 0 || value > 65535)
        return -EINVAL;
    *port = (uint16_t)value;
    return 0;
}

static int parse_host(struct net_forward *forward, const char *host, size_t size)
{
    struct in_addr addr;

    if (size >= sizeof(forward->host))
        return -EINVAL;
    memcpy(forward->host, host, size);
    forward->host[size] = '\0';
    return size && inet_pton(AF_INET, forward->host, &addr) != 1 ? -EINVAL : 0;
}

int net_parse_forward(struct net_forward *forward, const char *text)
{
    const char *host, *port, *dash, *guest;

    *forward = (struct net_forward){.udp = strncmp(text, "udp:", 4) == 0};
    if (!forward->udp && strncmp(text, "tcp:", 4) != 0)
        return bad_forward(text, "it must begin with 'tcp:' or 'udp:'");
    host = text + 4;
    port = strchr(host, ':');
    dash = port ? strchr(port, '-') : NULL;
    guest = dash ? strchr(dash, ':') : NULL;
    if (!guest)
        return bad_forward(text, "a part is missing");
    if (parse_host(forward, host, (size_t)(port - host)) != 0)
        return bad_forward(text, "the host address is not an IPv4 address");
    if (parse_port(&forward->host_port, port + 1, dash) != 0)
        return bad_forward(text, "the host port must be 1 to 65535");
    if (guest != dash + 1)
        return bad_forward(text, "the guest has no address to choose");
    if (parse_port(&forward->guest_port, guest + 1, guest + strlen(guest)) != 0)
        return bad_forward(text, "the guest port must be 1 to 65535");
    return 0;
}

int net_parse_mac(uint8_t mac[6], const char *text)
{
    unsigned part[6], i;
    int end = 0;

    if (strspn(text, "0123456789abcdefABCDEF:") != 17 || sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &part[0], &part[1], &part[2], &part[3], &part[4],
               &part[5], &end) != 6 ||
        text[17] || end != 17)
        return fail(-EINVAL, "'%s' is not an address such as 52:54:00:12:34:56", text);
    if (part[0] & 1)
        return fail(-EINVAL, "'%s' is the address of a group; its first byte must be even", text);
    for (i = 0; i < 6; i++)
        mac[i] = (uint8_t)part[i];
    return 0;
}

/* 52:54:00 is what virtual machines have; FNV-1a spreads the rest. */
void net_default_mac(uint8_t mac[6], const char *name)
{
    uint32_t hash = 2166136261u;

    for (; *name; name++)
        hash = (hash ^ (uint8_t)*name) * 16777619u;
    hash ^= hash >> 24;
    mac[0] = 0x52;
    mac[1] = 0x54;
    mac[2] = 0x00;
    mac[3] = (uint8_t)(hash >> 16);
    mac[4] = (uint8_t)(hash >> 8);
    mac[5] = (uint8_t)hash;
}

void net_destroy(struct net *net)
{
    if (net)
        net->ops->destroy(net);
}

unsigned net_offloads_of(const struct virtio_net_hdr *h)
{
    unsigned offloads = h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM ? NET_CSUM : 0;

    if (h->gso_type & VIRTIO_NET_HDR_GSO_ECN)
        offloads |= NET_ECN;
    switch (h->gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
    case VIRTIO_NET_HDR_GSO_NONE:
        return offloads;
    case VIRTIO_NET_HDR_GSO_TCPV4:
        return offloads | NET_TSO4;
    case VIRTIO_NET_HDR_GSO_TCPV6:
        return offloads | NET_TSO6;
    case VIRTIO_NET_HDR_GSO_UDP:
        return offloads | NET_UFO;
    case VIRTIO_NET_HDR_GSO_UDP_L4:
        return offloads | NET_USO;
    default:
        return ~0u;
    }
}

bool net_header_is_good(const struct virtio_net_hdr *h, unsigned offloads, size_t size)
{
    if (net_offloads_of(h) & ~offloads)
        return false;
    if ((h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) &&
        (size_t)h->csum_start + h->csum_offset + sizeof(uint16_t) > size)
        return false;
    return h->gso_type == VIRTIO_NET_HDR_GSO_NONE || (h->gso_size && h->hdr_len <= size);
}
