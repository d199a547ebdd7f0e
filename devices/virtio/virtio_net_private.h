/* What virtio_net.c, virtio_net_receive.c and virtio_net_control.c share. */
#ifndef DEVICES_VIRTIO_VIRTIO_NET_PRIVATE_H
#define DEVICES_VIRTIO_VIRTIO_NET_PRIVATE_H

#include "devices/virtio/net_filter.h"
#include "devices/virtio/virtio.h"
#include "devices/virtio/virtio_net.h"

#include <linux/virtio_net.h>

/* Virtio 1.2, not in older headers. */
#ifndef VIRTIO_NET_F_GUEST_USO4
#define VIRTIO_NET_F_GUEST_USO4 54
#define VIRTIO_NET_F_GUEST_USO6 55
#define VIRTIO_NET_F_HOST_USO   56
#endif

struct virtio_net {
    struct virtio_device virtio;
    struct net *net;
    unsigned pairs; /* of queues, as offered */
    uint8_t mac[6]; /* until the driver changes it */
    bool link_up;   /* atomic */
    /* The loop's: */
    unsigned used_pairs; /* by the driver */
    unsigned offloads;   /* that the driver takes, NET_* */
    uint32_t starved;    /* bit n: the network waits for buffers in pair n */
    uint32_t answered;   /* ... has received frames that the driver does not know of yet */
    bool sending;        /* the network answers from within: an interrupt now would only take the CPU away */
    struct net_filter filter;
    struct virtq_buffer rx_buffer, tx_buffer; /* two: a frame that is sent may be answered at once */
    struct iovec frame[VIRTQ_MAX_IOV];
};

/* The control queue comes after the pairs that the driver knows of (5.1.2). */
static inline unsigned net_control_queue(const struct virtio_net *n)
{
    return 2 * (virtio_has(&n->virtio, VIRTIO_NET_F_MQ) ? n->pairs : 1);
}

/* Bytes of the header before each frame. */
size_t net_header_size(const struct virtio_net *n);
/* The driver's features that stand for NET_* bits of what it receives. */
unsigned net_guest_offloads(uint64_t features);
/* In the loop: begin with what the driver negotiated, or what it asks for later. */
void net_set_offloads(struct virtio_net *n, unsigned offloads);
void net_set_pairs(struct virtio_net *n, unsigned pairs);
/* Write link and announcement to the configuration. */
void net_set_status(struct virtio_net *n, bool announce);

/* virtio_net_receive.c: struct net_front_ops */
void net_tell_received(struct virtio_net *n);
bool net_receive(void *front, unsigned pair, const struct virtio_net_hdr *header,
                 const uint8_t *frame, size_t size);

/* virtio_net_control.c */
void net_run_control(struct virtio_net *n, struct virtio_queue *q);

#endif
