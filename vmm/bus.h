/*
 * bus.h - port I/O and memory-mapped registers.
 *
 * A device describes a block of registers as a `struct region` and maps it on a bus. The bus splits accesses wider
 * than `max_width`, reads wider for accesses narrower than `min_width` (such writes are dropped), and answers all ones
 * where nothing is mapped. Devices so see clean accesses: naturally aligned within the region's width, fully inside it.
 *
 * Thread: dispatch from any vCPU thread. The bus takes the device lock around a callback, unless the region is
 * REGION_UNLOCKED. Mapping changes are made under the device lock, never from inside a REGION_UNLOCKED callback.
 */
#ifndef VMM_BUS_H
#define VMM_BUS_H

#include "base/loop.h"

enum {
    REGION_UNLOCKED = 1,
    /* Writes may be collected where that is cheaper; see bus_settle(). For memory, not for what acts on a write. */
    REGION_LATE = 2,
};

struct region_ops {
    uint64_t (*read)(void *opaque, uint64_t offset, unsigned width);
    void (*write)(void *opaque, uint64_t offset, uint64_t value, unsigned width);
    uint8_t min_width, max_width; /* bytes: 1, 2, 4, 8; 0 means 1 and 4 */
};

struct region {
    const char *name;
    const struct region_ops *ops;
    void *opaque;
    uint64_t size;
    unsigned flags;
    /* bus.c's: */
    bool mapped;
    uint64_t base;
};

struct bus;

struct late_write {
    uint64_t addr;
    unsigned width;
    uint8_t data[8];
};

/* What KVM does instead of the bus; each may be NULL. */
struct bus_backend {
    int (*ioeventfd)(void *opaque, struct bus *bus, uint64_t addr, unsigned width, int fd, bool match,
                     uint64_t value, bool add);
    /* Collect the writes of REGION_LATE, or no longer. */
    void (*late)(void *opaque, struct bus *bus, uint64_t base, uint64_t size, bool on);
    /* The oldest one of all; false: there is none. With write NULL (then from any thread) only whether there is one. */
    bool (*next_late)(void *opaque, struct late_write *write);
    /* It has been carried out. */
    void (*drop_late)(void *opaque);
};

struct bus *bus_create(const char *name, uint64_t limit, pthread_mutex_t *device_lock,
                       const struct bus_backend *backend, void *opaque);
void bus_destroy(struct bus *bus);

/* An overlap with another region is allowed: the one mapped last wins. */
int bus_map(struct bus *bus, struct region *region, uint64_t base);
void bus_unmap(struct bus *bus, struct region *region);

/* A write of `width` bytes at addr signals the notifier and is seen by nobody else; with match, only of this value. */
int bus_add_notifier(struct bus *bus, uint64_t addr, unsigned width, bool match, uint64_t value,
                     struct notifier *notifier);
void bus_remove_notifier(struct bus *bus, uint64_t addr, unsigned width, bool match, uint64_t value,
                         struct notifier *notifier);

/* An access as the CPU makes it: 1, 2, 4 or 8 bytes at any address. */
void bus_read(struct bus *bus, uint64_t addr, void *data, unsigned width);
void bus_write(struct bus *bus, uint64_t addr, const void *data, unsigned width);
/*
 * Carries out the late writes that have been collected. A vCPU thread does so whenever it comes from the guest, so that all
 * accesses keep their order. Who looks at the memory meanwhile tries too: in vain, if somebody has the device lock, who
 * may be waiting for the caller.
 */
void bus_settle(struct bus *bus);
void bus_try_settle(struct bus *bus);
/* A string instruction: `count` accesses at the same address, one value after the other in data. */
void bus_read_string(struct bus *bus, uint64_t addr, void *data, unsigned width, unsigned count);
void bus_write_string(struct bus *bus, uint64_t addr, const void *data, unsigned width, unsigned count);

#endif
