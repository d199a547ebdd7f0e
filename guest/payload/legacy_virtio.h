/*
 * legacy_virtio.h - virtio devices by their legacy registers (virtio 1.2, section 4.1.4.10), polled, one chain at a time
 * on each queue.
 */
#ifndef PAYLOAD_LEGACY_VIRTIO_H
#define PAYLOAD_LEGACY_VIRTIO_H

#include "payload.h"

#define LEGACY_QUEUES     2
#define LEGACY_QUEUE_ROOM 0x10000 /* memory that a queue takes at most */

enum { VIRTIO_NET = 0x1000, VIRTIO_BLK = 0x1001 };
enum { VIRTIO_BLK_FLUSH = 9 };
enum { VIRTQ_NEXT = 1, VIRTQ_WRITE = 2 };

struct virtq_descriptor {
    uint64_t address;
    uint32_t length;
    uint16_t flags, next;
};

struct legacy_virtio {
    uint16_t ports;
    struct {
        struct virtq_descriptor *desc;
        volatile uint16_t *avail, *used; /* flags, index, ring */
        uint16_t length;
    } queue[LEGACY_QUEUES];
};

/* The first such device, reset, with these features. False: there is none. */
bool legacy_virtio_start(struct legacy_virtio *v, uint16_t device, uint32_t features);
/* Queue n in zeroed memory at `memory`, a multiple of 4096; the device then works. False: it has no such queue. */
bool legacy_virtio_queue(struct legacy_virtio *v, unsigned n, uint32_t memory);
/* Make the chain that begins with descriptor `head` available. */
void legacy_virtio_give(struct legacy_virtio *v, unsigned n, uint16_t head);
/* Whether the last one is used. */
bool legacy_virtio_done(const struct legacy_virtio *v, unsigned n);

#endif
