/*
 * net.h - the seam between a network card and a network.
 *
 * Thread: the main loop, both ways. Frames are Ethernet, without FCS, 14..NET_MAX_FRAME bytes.
 */
#ifndef BACKEND_NET_H
#define BACKEND_NET_H

#include "base/loop.h"

#include <sys/uio.h>

#define NET_MAX_FRAME 65550

struct net;

/* Implemented by the card. */
struct net_front_ops {
    /* Whether it would take a frame now. */
    bool (*can_receive)(void *front);
    /* A frame for the guest; false: no room, it was dropped. */
    bool (*receive)(void *front, const uint8_t *frame, size_t size);
};

/* Implemented by the network: user (libslirp), tap. */
struct net_ops {
    /* A frame from the guest; the network copies what it keeps. */
    void (*send)(struct net *net, const struct iovec *iov, unsigned count);
    /* The card takes frames again after can_receive() said no. */
    void (*accept_input)(struct net *net);
    void (*destroy)(struct net *net);
};

struct net {
    const struct net_ops *ops;
    const struct net_front_ops *front_ops; /* NULL: no card yet */
    void *front;
};

/* --forward tcp:HOST:PORT-:PORT */
struct net_forward {
    bool udp;
    char host[64]; /* address to listen on; "" is 127.0.0.1 */
    uint16_t host_port, guest_port;
};

/* "tcp:[HOST]:PORT-[GUEST]:PORT"; errors come with fail_text(). */
int net_parse_forward(struct net_forward *forward, const char *text);
int net_user_create(struct net **net, struct loop *loop, const struct net_forward *forwards, size_t count);
int net_tap_create(struct net **net, struct loop *loop, const char *interface);
void net_destroy(struct net *net); /* NULL is fine */

#endif
