/*
 * net.h - the seam between a network card and a network.
 *
 * Thread: the loop given at creation, both ways. Frames are Ethernet, without FCS, 14..NET_MAX_FRAME bytes. A frame comes
 * with a header (struct virtio_net_hdr, virtio 1.2, 5.1.6, without num_buffers) that says what is left to do with it:
 * a checksum to complete, a payload to cut into packets. What may be left to the other side is agreed on before, as
 * a set of NET_* bits for each direction.
 */
#ifndef BACKEND_NET_H
#define BACKEND_NET_H

#include "base/loop.h"

#include <linux/virtio_net.h>
#include <sys/uio.h>

/* Virtio 1.2, not in older headers. */
#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

#define NET_MAX_FRAME  (14 + 4 + 65535) /* Ethernet, a VLAN tag, the longest IP packet */
#define NET_MAX_QUEUES 16

enum {
    NET_CSUM = 1, /* a checksum; the others need it */
    NET_TSO4 = 2, /* TCP over IPv4, ... */
    NET_TSO6 = 4,
    NET_ECN = 8, /* ... with ECN's bits in it */
    NET_UFO = 16, /* UDP by IP fragments */
    NET_USO = 32, /* UDP by several packets, over either IP */
};

struct net;

extern const struct sandbox_calls net_sandbox; /* what a network calls in its loop, but for libslirp */

/* Implemented by the card. */
struct net_front_ops {
    /* A frame for the guest. false: there is no room now; accept_input() will say when to try again. */
    bool (*receive)(void *front, unsigned queue, const struct virtio_net_hdr *header,
                    const uint8_t *frame, size_t size);
};

/* Implemented by the network: user (libslirp), tap. */
struct net_ops {
    /* A frame from the guest; the network copies what it keeps. */
    void (*send)(struct net *net, unsigned queue, const struct virtio_net_hdr *header,
                 const struct iovec *iov, unsigned count);
    /* The card takes frames again after receive() refused one. */
    void (*accept_input)(struct net *net, unsigned queue);
    /* What receive() may leave to the guest: some of receive_offloads. NULL: the network has none. */
    void (*set_offloads)(struct net *net, unsigned offloads);
    /* How many pairs of queues the guest uses: 1..queues. NULL: the network has one. */
    void (*set_queues)(struct net *net, unsigned queues);
    void (*destroy)(struct net *net);
};

struct net {
    const struct net_ops *ops;
    unsigned send_offloads, receive_offloads; /* what it can */
    unsigned queues; /* pairs; 0 means 1 */
    unsigned mtu;    /* bytes of an IP packet, for the guest to know; 0: 1500, or what it likes */
    const struct net_front_ops *front_ops; /* NULL: no card yet */
    void *front;
};

/* --forward tcp|udp:HOST:PORT-:PORT */
struct net_forward {
    bool udp;
    char host[64]; /* address to listen on; "" is 127.0.0.1 */
    uint16_t host_port, guest_port;
};

/* Strings are the caller's, for as long as the network lives; NULL: none. */
struct net_user_options {
    const struct net_forward *forwards;
    size_t forward_count;
    const char *hostname; /* DHCP gives it to the guest */
    const char *tftp;     /* a folder whose files the guest may read by TFTP... */
    const char *bootfile; /* ... and the one that DHCP names for a boot from the network */
    bool restricted;      /* the guest reaches nothing; forwards still lead in */
    bool no_ipv6;
};

/* "tcp|udp:[HOST]:PORT-:PORT"; errors come with fail_text(). */
int net_parse_forward(struct net_forward *forward, const char *text);
/* "52:54:00:12:34:56", of one card (not a group). */
int net_parse_mac(uint8_t mac[6], const char *text);
/* 52:54:00 and 24 bits of a machine's name: the same at each start, and another machine's differs. */
void net_default_mac(uint8_t mac[6], const char *name);

/* What a frame leaves to do; all bits if that is nothing known. */
unsigned net_offloads_of(const struct virtio_net_hdr *header);
/* A header is the sender's word: it leaves only what `offloads` has, and only inside a frame of `size` bytes. */
bool net_header_is_good(const struct virtio_net_hdr *header, unsigned offloads, size_t size);

int net_user_create(struct net **net, struct loop *loop, const struct net_user_options *options);
/* The interface exists already; queues > 1 if it was made for several. */
int net_tap_create(struct net **net, struct loop *loop, const char *interface, unsigned queues);
void net_destroy(struct net *net); /* NULL is fine */

#endif
