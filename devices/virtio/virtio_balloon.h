/*
 * virtio_balloon.h - the virtio memory balloon (virtio 1.2, 5.5): memory that the guest does not use goes back to the
 * host. The guest reports free memory by itself (VIRTIO_BALLOON_F_REPORTING); and the host may ask for more, by a
 * target, which the driver meets as far as it can and gives up when the guest runs out of memory.
 *
 * Only RAM of memory blocks that are RAM_DISCARD is ever given back.
 */
#ifndef DEVICES_VIRTIO_VIRTIO_BALLOON_H
#define DEVICES_VIRTIO_VIRTIO_BALLOON_H

#include "vmm/device.h"

struct virtio_balloon;

struct virtio_balloon_options {
    uint64_t memory; /* bytes that the guest has */
    struct loop *loop; /* running until the device is destroyed; NULL: the main loop */
};

/* In the order of the specification's tags (5.5.6.3); bytes and counts since the guest's start. */
enum balloon_stat {
    BALLOON_SWAP_IN,
    BALLOON_SWAP_OUT,
    BALLOON_MAJOR_FAULTS,
    BALLOON_MINOR_FAULTS,
    BALLOON_FREE,
    BALLOON_TOTAL,
    BALLOON_AVAILABLE,
    BALLOON_CACHES,
    BALLOON_HUGE_ALLOCATIONS,
    BALLOON_HUGE_FAILURES,
    BALLOON_STATS,
};

#define BALLOON_UNKNOWN UINT64_MAX

struct balloon_stats {
    uint64_t actual;   /* bytes that the guest has: its memory less what is in the balloon */
    uint64_t target;   /* bytes that it is to have */
    uint64_t returned; /* bytes given back since the start; the guest may have taken them again */
    uint64_t updated;  /* machine_clock() of the values below; 0: the driver has not told any */
    uint64_t value[BALLOON_STATS]; /* BALLOON_UNKNOWN: not told */
};

/* created: for the calls below, may be NULL; the machine owns the device. */
int virtio_balloon_create(struct machine *machine, uint8_t devfn,
                          const struct virtio_balloon_options *options,
                          struct virtio_balloon **created);

/* Both in the main loop's thread. */
/* How much memory the guest is to have: more than its memory means all of it. */
void virtio_balloon_set_target(struct virtio_balloon *balloon, uint64_t bytes);
/* What is known now; the driver is asked for new values, which a later call will see. */
void virtio_balloon_stats(struct virtio_balloon *balloon, struct balloon_stats *stats);

#endif
