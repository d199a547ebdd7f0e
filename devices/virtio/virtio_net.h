/*
 * virtio_net.h - the virtio network device (virtio 1.2, 5.1) on backend/net.h: mergeable receive buffers, the offloads
 * that the network can take or give, a control queue, as many pairs of queues as the network has.
 *
 * Everything but register access happens in the network's loop.
 */
#ifndef DEVICES_VIRTIO_VIRTIO_NET_H
#define DEVICES_VIRTIO_VIRTIO_NET_H

#include "backend/net.h"
#include "vmm/device.h"

struct virtio_net;

struct virtio_net_options {
    struct net *net; /* the caller's; destroyed after the device. NULL: the cable is out */
    uint8_t mac[6];
    const char *rom; /* file of an option ROM that boots from the network; NULL: none */
    struct loop *loop; /* the network's, running until the device is destroyed; NULL: the main loop */
};

/* created: for the calls below, may be NULL; the machine owns the device. */
int virtio_net_create(struct machine *machine, uint8_t devfn,
                      const struct virtio_net_options *options, struct virtio_net **created);

/* Plug the cable in, or pull it: frames are lost both ways. In the main loop's thread. */
void virtio_net_set_link(struct virtio_net *net, bool up);

#endif
