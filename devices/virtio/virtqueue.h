/*
 * virtqueue.h - split virtqueues, the device's side (virtio 1.2, 2.7).
 *
 * Everything in the rings belongs to a guest that may change it at any time: each word is read once, checked, then used.
 * A ring that makes no sense is `broken`: no more buffers come out of it, and the device tells the driver (see virtio.h).
 *
 * Thread: one at a time, the one that owns the queue now.
 */
#ifndef DEVICES_VIRTIO_VIRTQUEUE_H
#define DEVICES_VIRTIO_VIRTQUEUE_H

#include "vmm/memory.h"

#include <sys/uio.h>

#define VIRTQ_MAX_SIZE 1024 /* descriptors of a ring, of an indirect table, and of a chain in all */
#define VIRTQ_MAX_IOV  1024 /* pieces of host memory that a chain may come to */

struct virtqueue {
    struct memory *memory;
    const char *name; /* of the device, for messages */
    uint16_t size;    /* power of two, at most VIRTQ_MAX_SIZE */
    gpa_t desc, avail, used;
    bool event_idx, indirect; /* negotiated */
    bool broken;
    bool signalled_valid;
    uint16_t last_avail; /* index of the next buffer to take */
    uint16_t used_next;  /* index of the next buffer to give back */
    uint16_t signalled; /* used_next when the driver was last asked whether it wants an interrupt */
};

/* One chain of descriptors as host memory: first what the device reads, then what it writes. */
struct virtq_buffer {
    uint16_t head; /* its name in virtq_push */
    unsigned out_count, in_count;
    size_t out_bytes, in_bytes;
    struct iovec iov[VIRTQ_MAX_IOV];
};

/* Checks size and alignment (2.7: 16, 2, 4 bytes); indices start at 0. -EINVAL if the ring cannot be. */
int virtq_start(struct virtqueue *q);

/* How many buffers wait, 0..size; 0 if broken. */
unsigned virtq_available(struct virtqueue *q);
/* 1: there is one; 0: none now; -EINVAL: the queue is broken (now or already). */
int virtq_pop(struct virtqueue *q, struct virtq_buffer *buffer);
/* Undo the last n virtq_pop(). */
void virtq_unpop(struct virtqueue *q, unsigned n);
/* Give a buffer back, `written` bytes of it filled in. Seen by the driver at once. */
void virtq_push(struct virtqueue *q, uint16_t head, uint32_t written);
/* Fill in the used entry `ahead` places from now without showing it; virtq_publish() shows the next n. */
void virtq_fill(struct virtqueue *q, unsigned ahead, uint16_t head, uint32_t written);
void virtq_publish(struct virtqueue *q, unsigned n);
/* Whether the driver wants an interrupt for what was pushed since it was last asked. */
bool virtq_should_interrupt(struct virtqueue *q);
/* Whether the driver is to notify of buffers that are not there yet. After turning it on look at virtq_available() again. */
void virtq_enable_notification(struct virtqueue *q, bool on);

/* Copy between bytes and a list of pieces, from `offset` on; returns how many bytes, fewer at the list's end. */
size_t iov_read(const struct iovec *iov, unsigned count, size_t offset, void *data, size_t size);
size_t iov_write(const struct iovec *iov, unsigned count, size_t offset, const void *data,
                 size_t size);
/* The pieces of `iov` in [offset, offset + size) go to `part`, which has room for `count`; returns how many. */
unsigned iov_slice(struct iovec *part, const struct iovec *iov, unsigned count, size_t offset,
                   size_t size);

#endif
