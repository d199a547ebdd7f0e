/*
 * virtio_rng.h - the virtio entropy device (virtio 1.2, 5.4): the host's getrandom(), so much a second.
 */
#ifndef DEVICES_VIRTIO_VIRTIO_RNG_H
#define DEVICES_VIRTIO_VIRTIO_RNG_H

#include "vmm/device.h"

#define VIRTIO_RNG_RATE MIB(1) /* bytes a second, unless told */

/* rate: bytes a second that the guest may take, 0 for VIRTIO_RNG_RATE. */
int virtio_rng_create(struct machine *machine, uint8_t devfn, uint64_t rate);

#endif
