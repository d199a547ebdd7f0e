/*
 * virtio_blk.h - the virtio block device (virtio 1.2, 5.2) on backend/disk.h: up to 16 queues, a write cache that the
 * driver may switch off.
 *
 * Everything but register access happens in the disk's own loop, which must be another thread than the main loop's:
 * notification, disk requests, completion and interrupt go without the device lock.
 */
#ifndef DEVICES_VIRTIO_VIRTIO_BLK_H
#define DEVICES_VIRTIO_VIRTIO_BLK_H

#include "backend/disk.h"
#include "vmm/device.h"

#define VIRTIO_BLK_MAX_QUEUES 16

struct virtio_blk_options {
    struct disk *disk; /* the caller's; closed (in its loop) after the device is destroyed */
    struct loop
        *loop; /* the disk's, running in a thread of its own until the device is destroyed */
    const char
        *serial; /* at most 20 bytes are seen; NULL: none. /dev/disk/by-id/virtio-SERIAL in Linux */
    unsigned queues; /* 0: one; each has its interrupt, so as many as CPUs serve them best */
};

int virtio_blk_create(struct machine *machine, uint8_t devfn,
                      const struct virtio_blk_options *options);

#endif
