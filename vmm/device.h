/*
 * device.h - what a device model is, and what it may use of the machine.
 *
 * A model is one file with one const `struct device_ops` at its end. The board creates it with the model's own
 * NAME_create(machine, config) and keeps it in the machine's list; reset, save, load and destroy go over that list in
 * order of creation (destroy in reverse).
 *
 * Thread: create, reset, save, load and destroy run in the main loop's thread with the device lock held and, but for
 * create, with the vCPUs stopped. Register callbacks run in vCPU threads with the device lock held. A callback from a
 * loop (timer, notifier, back end) takes the lock itself by machine_lock().
 */
#ifndef VMM_DEVICE_H
#define VMM_DEVICE_H

#include "base/bytes.h"
#include "base/loop.h"
#include "vmm/bus.h"
#include "vmm/irq.h"
#include "vmm/memory.h"

#include <sys/queue.h>

struct device;
struct pci_bus;

struct device_ops {
    const char *name;
    uint32_t version; /* of the saved state */
    void (*reset)(struct device *device);
    /*
     * Write all state that a guest could notice, after all that is in flight has ended; nothing new is begun until
     * resume. load gets what save wrote, of `version` or older. NULL: stateless.
     */
    void (*save)(struct device *device, struct writer *w);
    int (*load)(struct device *device, struct reader *r, uint32_t version);
    /* The machine goes on after save or load: what these stopped is started. NULL: nothing was. */
    void (*resume)(struct device *device);
    /*
     * The host may be able to do now what it could not: requests that were kept for this are tried again
     * (backend/disk.h). Without the device lock; the vCPUs may run. NULL: nothing is kept.
     */
    void (*retry)(struct device *device);
    void (*destroy)(struct device *device);
};

/* First member of each device model's struct. */
struct device {
    const struct device_ops *ops;
    struct machine *machine;
    TAILQ_ENTRY(device) link;
};

enum machine_request {
    MACHINE_RESET,    /* the guest asked for a reset (0xcf9, 0x64, triple fault...) */
    MACHINE_POWEROFF, /* ACPI S5 */
    MACHINE_CRASH,    /* the guest says it panicked */
    MACHINE_PAUSE,    /* its watchdog wants it to stand still */
};

struct machine {
    struct memory *memory;
    struct bus *pio, *mmio;
    struct pci_bus *pci; /* vmm/pci.h */
    struct loop *loop;   /* the main loop */
    pthread_mutex_t lock; /* the device lock; recursive */
    /* Global system interrupt n: 0-15 as on a PC (PIC and IOAPIC), 16-23 IOAPIC only. Any thread. */
    struct irq (*gsi)(struct machine *machine, unsigned n);
    /* Whether the interval timer drives IRQ 0, or something else does. NULL: there is none. Device lock held. */
    void (*pit_interrupts)(struct machine *machine, bool on);
    /* Any thread; the main loop acts on it soon after. */
    void (*request)(struct machine *machine, enum machine_request what);
    /* MSI: fire one now, or have an eventfd fire it (irqfd) until removed. Any thread. */
    void (*msi_send)(struct machine *machine, uint64_t addr, uint32_t data);
    int (*msi_eventfd)(struct machine *machine, uint64_t addr, uint32_t data, int fd, int *route);
    void (*msi_eventfd_remove)(struct machine *machine, int fd, int route);
    TAILQ_HEAD(device_list, device) devices;
    uint64_t clock_offset; /* see machine_clock() */
    uint64_t paused_at;    /* 0: running */
};

static inline void machine_lock(struct machine *machine)
{
    pthread_mutex_lock(&machine->lock);
}

static inline void machine_unlock(struct machine *machine)
{
    pthread_mutex_unlock(&machine->lock);
}

/* Nanoseconds that the guest could have run: CLOCK_MONOTONIC less pauses, from 0 at the first start. Any thread. */
uint64_t machine_clock(struct machine *machine);
/* The machine's owner calls these when the vCPUs start and stop. */
void machine_clock_start(struct machine *machine);
void machine_clock_stop(struct machine *machine);
/* While it stands still: it was saved at this time. */
void machine_clock_set(struct machine *machine, uint64_t time);

/* For a device's create: fills in the base and enters it into the machine's list. */
void device_init(struct device *device, const struct device_ops *ops, struct machine *machine);
/* Takes it off the list and frees it. As for all destroying, device lock held and vCPUs stopped. */
void device_destroy(struct device *device);

#endif
