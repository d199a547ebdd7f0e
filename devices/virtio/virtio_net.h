/*
 * virtio_net.h - the virtio network device (virtio 1.2, 5.1) on backend/net.h: one pair of queues, mergeable receive
 * buffers, no offloads. Thread: the main loop.
 */
#ifndef DEVICES_VIRTIO_VIRTIO_NET_H
#define DEVICES_VIRTIO_VIRTIO_NET_H

#include "backend/net.h"
#include "vmm/device.h"

struct virtio_net_options {
    struct net *net; /* the caller's; destroyed after the device. NULL: the cable is out */
    uint8_t mac[6];
    const char *rom; /* file of an option ROM that boots from the network; NULL: none */
};

int virtio_net_create(struct machine *machine, uint8_t devfn,
                      const struct virtio_net_options *options);

#endif
