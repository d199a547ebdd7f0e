/*
 * virtio_driver.h - a virtio driver for device tests: finds the device by its PCI capabilities, negotiates, lays out
 * rings in the fake machine's RAM and works them register by register, as a guest's kernel does.
 */
#ifndef TESTS_VIRTIO_DRIVER_H
#define TESTS_VIRTIO_DRIVER_H

#include "tests/lib/fake_machine.h"

#include <linux/virtio_ring.h>

#define DRIVER_MSI_ADDR 0xfee00000u
#define DRIVER_MSI_DATA 0x40 /* + vector */

enum driver_interface { DRIVER_LEGACY, DRIVER_MODERN };

struct driver {
    struct fake_machine *m;
    uint8_t devfn;
    enum driver_interface interface;
    bool msix;
    uint16_t port;                        /* legacy registers */
    uint64_t common, isr, config, notify; /* modern structures */
    uint32_t notify_multiplier;
    uint64_t features; /* negotiated */
    gpa_t next_page;   /* of the allocator */
};

struct driver_queue {
    struct driver *d;
    unsigned index;
    uint16_t size, free_head, free_count, last_used, avail_idx, notified;
    gpa_t desc_addr, avail_addr, used_addr;
    struct vring_desc *desc;
    struct vring_avail *avail;
    struct vring_used *used;
    uint64_t notify_addr;
    unsigned kicks; /* notifications that were really made */
};

/* A piece of guest memory for a request. */
struct driver_buffer {
    gpa_t addr;
    uint32_t size;
    bool in; /* the device writes it */
};

/* Sets up the BARs, resets the device, and (msix) fills and enables the vector table. */
void driver_init(struct driver *d, struct fake_machine *m, uint8_t devfn,
                 enum driver_interface interface, bool msix);
/* Accepts what is offered of `wanted`; false if the device refuses. Status is then FEATURES_OK (legacy: DRIVER). */
bool driver_negotiate(struct driver *d, uint64_t wanted);
uint64_t driver_offered(struct driver *d);
void driver_setup_queue(struct driver *d, struct driver_queue *q, unsigned index, uint16_t size);
void driver_ok(struct driver *d); /* sets DRIVER_OK */
void driver_reset(struct driver *d);
uint8_t driver_status(struct driver *d);
void driver_set_status(struct driver *d, uint8_t status);
uint8_t driver_isr(struct driver *d); /* reads, and so clears */
uint64_t driver_config(struct driver *d, unsigned offset, unsigned width);

/* Fresh zeroed guest memory, page aligned; never given back. */
gpa_t driver_alloc(struct driver *d, size_t size);
void *driver_pointer(struct driver *d, gpa_t addr);

/* Make a request of these buffers available; returns its head. With `table` (memory for it) indirectly. */
uint16_t driver_add(struct driver_queue *q, const struct driver_buffer *buffers, unsigned count,
                    gpa_t table);
/* Make descriptor `head` available, whatever it says. */
void driver_publish(struct driver_queue *q, uint16_t head);
/* Notify if the device wants it, as Linux' virtqueue_kick(); returns whether it did. */
bool driver_kick(struct driver_queue *q);
void driver_notify(struct driver_queue *q); /* in any case */
/* The next used entry, its descriptors freed; false: none yet. */
bool driver_take_used(struct driver_queue *q, uint16_t *head, uint32_t *written);
/* The same, waiting (the main loop runs) at most 5 s. */
bool driver_wait_used(struct driver_queue *q, uint16_t *head, uint32_t *written);
/* Ask for an interrupt at the next used entry. */
void driver_enable_interrupt(struct driver_queue *q);

#endif
