/*
 * board_plug.h - devices that come and go while the machine runs: back ends (disk images, networks) with a name each, and
 * PCI devices in front of them, in the slots of devices/platform/pci_hotplug.h.
 *
 * A back end outlives its device, as with QEMU: it is removed by itself, and a disk is flushed and closed only then. A
 * device goes when the guest ejects it, or at a reset once it was asked to go:
 *
 *     plugged --board_unplug()--> asked --the guest ejects--> drawn --main loop, vCPUs stopped--> destroyed
 *        '--------------------------------^ it may do so unasked
 *
 * From "drawn" on it is in no slot and answers nowhere (pci_unplug()).
 *
 * Thread: the main loop's. Errors come with fail_text(), in QEMU's words where it has any.
 */
#ifndef VMM_BOARD_PLUG_H
#define VMM_BOARD_PLUG_H

#include "vmm/board.h"

#define BOARD_MAX_SERIAL 20

enum board_backend { BOARD_DISK, BOARD_NET };

/* Opens the image now. */
int board_add_disk(struct board *board, const char *id, const struct disk_options *options);
/* A user network of its own: of the options only restricted and no_ipv6. */
int board_add_net(struct board *board, const char *id, const struct net_user_options *options);
/* -EBUSY while a device has it. A disk that loses data at its end is an error, and gone. */
int board_remove_backend(struct board *board, enum board_backend kind, const char *id);

struct board_device {
    const char *id;
    enum board_backend kind; /* of its back end: virtio-blk or virtio-net */
    const char *backend;
    unsigned slot;      /* 0: the first that is free */
    const char *serial; /* of a disk; NULL: none */
    unsigned queues;    /* of a disk; 0: one for each CPU */
    const uint8_t *mac; /* of a card; NULL: made from the names of machine and device */
};

int board_plug(struct board *board, const struct board_device *device);
/* Asks the guest. Whether it does is its business: board_on_unplugged() tells. */
int board_unplug(struct board *board, const char *id);
/* fn: the device has been destroyed. */
void board_on_unplugged(struct board *board, void (*fn)(void *opaque, const char *id), void *opaque);

#endif
