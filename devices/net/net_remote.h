/*
 * net_remote.h - a network in another process: its two ends of a socket (AF_UNIX, SOCK_SEQPACKET).
 *
 * A message is a frame behind its header (struct virtio_net_hdr), either way. Who sends to the guest waits for room, as for a
 * card; the guest's frames wait a moment, then are dropped as on a wire.
 *
 * Thread: the loop's.
 */
#ifndef DEVICES_NET_NET_REMOTE_H
#define DEVICES_NET_NET_REMOTE_H

#include "backend/net.h"

/* The machine's end: a network that can do what `like` can. fd is its own, also where it fails. 0 or -errno. */
int net_remote_create(struct net **net, struct loop *loop, const struct net *like, int fd);

/* The other: a card for `net`, which ends when the machine's end does. Both are its own, also where it fails. */
int net_serve(struct net *net, struct loop *loop, int fd);

#endif
