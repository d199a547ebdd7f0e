/*
 * blk_driver.h - a virtio-blk driver for device tests: a machine with one disk in memory, whose timing and errors the test
 * controls, and requests as drivers make them. Everything but the disk belongs to the test's thread.
 */
#ifndef TESTS_BLK_DRIVER_H
#define TESTS_BLK_DRIVER_H

#include "backend/disk.h"
#include "tests/lib/fake_machine.h"
#include "tests/lib/virtio_driver.h"

#define BLK_DEVFN        PCI_DEVFN(6, 0)
#define BLK_DISK_SIZE    MIB(4)
#define BLK_MAX_HELD     512
#define BLK_ALL_FEATURES (~0ULL)

/* A disk in memory. Requests complete a moment later, in reverse order; or wait until they are let go. */
struct fake_disk {
    struct disk disk;
    struct loop loop;
    uint8_t data[BLK_DISK_SIZE];
    uv_async_t wake;
    bool hold;              /* atomic */
    int error, flush_error; /* atomic: what requests end with */
    struct disk_request *held[BLK_MAX_HELD];
    unsigned held_count; /* atomic for readers */
    unsigned flushes, discards, zeroes, unmaps;
};

struct blk_rig {
    struct fake_machine m;
    struct fake_disk disk;
    struct driver d;
    struct driver_queue q;
    gpa_t headers, statuses; /* 16 bytes and a byte for each descriptor */
};

/* queues: 1 to 64. irqfd: interrupts may bypass the device lock. */
struct blk_rig *blk_create_with_queues(bool read_only, bool irqfd, unsigned queues);
struct blk_rig *blk_create(bool read_only, bool irqfd);
/* As a driver starts the device, with the features of these that it offers. */
void blk_configure(struct blk_rig *f, enum driver_interface interface, bool msix,
                   uint64_t features);
/* Created and configured, writable, with irqfds. */
struct blk_rig *blk_start(enum driver_interface interface, bool msix, uint64_t features);
void blk_stop(struct blk_rig *f);

/* Make a request of a header, up to 254 pieces of data and a status byte available; returns its head. */
uint16_t blk_request(struct blk_rig *f, uint32_t type, uint64_t sector,
                     const struct driver_buffer *data, unsigned count, bool indirect);
uint8_t blk_status(struct blk_rig *f, uint16_t head);
/* The whole way of one request; returns its status. */
uint8_t blk_run(struct blk_rig *f, uint32_t type, uint64_t sector, const struct driver_buffer *data,
                unsigned count, uint32_t expected_written);
uint8_t blk_run_one(struct blk_rig *f, uint32_t type, uint64_t sector, gpa_t addr, uint32_t size);

#endif
