/*
 * virtio.h - what all virtio devices share (virtio 1.2 over PCI, transitional: 2.1, 2.2.3, 4.1).
 *
 * A model embeds `struct virtio_device`, fills in what it is, and gets its buffers in ops->run(). The life of a queue:
 *
 *     configured   the guest writes its registers                     owned by vCPU threads, under the device lock
 *     live         enabled, and DRIVER_OK (legacy: has an address)    owned by the device's loop
 *     configured   again after a reset, once no request is in flight
 *
 * Thread: a device runs in the main loop, and then everything is under the device lock; or it has a loop of its own
 * (another thread), and then what the loop owns is touched without any lock: notification by ioeventfd, run(),
 * completion, interrupt by irqfd. That thread must never wait for the device lock, because a vCPU that resets the
 * device holds it while it waits for the requests in flight.
 */
#ifndef DEVICES_VIRTIO_VIRTIO_H
#define DEVICES_VIRTIO_VIRTIO_H

#include "devices/virtio/virtqueue.h"
#include "vmm/pci.h"

#include <semaphore.h>

#define VIRTIO_MAX_QUEUES 40
#define VIRTIO_MAX_CONFIG 128 /* bytes of device configuration space */

struct virtio_device;
struct virtio_queue;

struct virtio_ops {
    uint16_t type;       /* 5: 1 network, 2 block, 4 entropy... */
    uint16_t pci_device; /* transitional PCI device id, 0x1000.. */
    uint32_t pci_class;
    /* In the device's loop: take what is in the queue. Called after each notification and when it goes live. */
    void (*run)(struct virtio_device *device, struct virtio_queue *queue);
    /* In the device's loop, before the first queue goes live: features are settled. May be NULL. */
    void (*start)(struct virtio_device *device);
    /* In the device's loop, after a reset: no queue is live, no request in flight. May be NULL. */
    void (*reset)(struct virtio_device *device);
    /* The driver writes to [offset, offset + width) of the configuration. Under the device lock. NULL: it may not. */
    void (*config_written)(struct virtio_device *device, unsigned offset, uint32_t value,
                           unsigned width);
};

struct virtio_queue {
    struct virtio_device *device;
    unsigned index;
    uint16_t max_size;
    /* Registers, under the device lock. */
    uint16_t size;
    uint64_t desc, avail, used;
    bool enabled;
    uint16_t vector; /* atomic */
    struct notifier kick;
    bool notifier_on[2]; /* the kick is known to the bus: legacy port, modern memory */
    /* The loop's. */
    bool live;
    struct virtqueue vq;
};

struct virtio_device {
    struct pci_device pci; /* first */
    const struct virtio_ops *ops;
    struct loop *loop;
    bool threaded;                     /* loop is not the main loop */
    uint64_t offered;                  /* features */
    uint8_t config[VIRTIO_MAX_CONFIG]; /* what the driver reads; after create by virtio_set_config() */
    unsigned config_size;
    struct virtio_queue queues[VIRTIO_MAX_QUEUES];
    unsigned queue_count;

    /* Registers, under the device lock. */
    uint8_t status;
    uint64_t features; /* the driver's; fixed while a queue is live */
    uint32_t device_feature_select, driver_feature_select;
    uint16_t queue_select, config_vector;
    struct region legacy_region, modern_region;
    uint64_t notifier_base[2]; /* where the kicks are known to the bus; UINT64_MAX: nowhere */
    uint8_t window_cap;        /* VIRTIO_PCI_CAP_PCI_CFG's place in configuration space */

    /* Any thread, atomic. */
    uint8_t isr;
    bool broken, msix_on;
    uint64_t pending_vectors;
    uint8_t config_generation; /* counts changes */
    struct notifier interrupt; /* in the main loop: raise what isr and pending_vectors say */

    /* The loop's. */
    unsigned in_flight;
    bool draining;
    sem_t drained;
};

/* --- for models --- */

/* Before: ops, loop (NULL: the main loop), offered, config. After: virtio_add_queue(). The model's device_ops use the
 * functions below; its own destroy calls virtio_fini(). On error nothing is left behind. */
int virtio_init(struct virtio_device *device, const struct device_ops *device_ops,
                struct machine *machine, uint8_t devfn, const uint16_t *queue_sizes,
                unsigned queue_count);
/* Waits for requests in flight: the device's loop must be running still (or be the caller's own). */
void virtio_fini(struct virtio_device *device);
void virtio_reset(struct device *device);
/* Both also for the model: a device without state of its own uses them as they are. */
void virtio_save(struct device *device, struct writer *w);
int virtio_load(struct device *device, struct reader *r, uint32_t version);
void virtio_resume(struct device *device);

bool virtio_has(const struct virtio_device *device, unsigned feature); /* negotiated */

/* Any thread: change what the driver reads; and tell it, by a configuration interrupt. */
void virtio_set_config(struct virtio_device *device, unsigned offset, const void *data,
                       unsigned size);
void virtio_config_changed(struct virtio_device *device);

/* Call fn(arg) in the device's loop and wait for it; under the device lock. */
void virtio_in_loop(struct virtio_device *device, void (*fn)(void *arg), void *arg);
/* Around what a back end's callback, in the device's loop, does to queues. */
void virtio_enter(struct virtio_device *device);
void virtio_leave(struct virtio_device *device);

/* In the device's loop: */
/* Interrupt the driver if it wants to hear of what was pushed. */
void virtio_interrupt(struct virtio_queue *queue);
/* The guest has broken the rules: no more service until it resets the device (2.1.2). */
void virtio_break(struct virtio_device *device);
/* A request that outlives run() was taken, or completed (after its push). Only for devices with a loop of their own. */
void virtio_begin(struct virtio_device *device);
void virtio_end(struct virtio_device *device);
/* Call run() soon again, from the loop. */
void virtio_kick(struct virtio_queue *queue);

/* --- between virtio.c and virtio_pci.c --- */

int virtio_pci_init(struct virtio_device *device, const struct device_ops *device_ops,
                    struct machine *machine, uint8_t devfn);
/* Tell the bus where the guest's notifications are written now (or nowhere, when `gone`). */
void virtio_pci_place_notifiers(struct virtio_device *device, bool gone);

/* Under the device lock, not in the device's loop unless that is the main loop. */
void virtio_set_status(struct virtio_device *device, uint8_t status);
void virtio_set_features(struct virtio_device *device, uint64_t features);
/* The registers of this queue are complete. */
void virtio_enable_queue(struct virtio_queue *queue);
uint8_t virtio_get_status(const struct virtio_device *device);
/* Read and clear; lowers INTx. */
uint8_t virtio_take_isr(struct virtio_device *device);
bool virtio_is_modern(const struct virtio_device *device);

#endif
