#include "vmm/bus.h"

#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BUS_MAX_REGIONS 256
#define BUS_MAX_NOTIFIERS 256

struct bus_notifier {
    uint64_t addr, value;
    unsigned width;
    bool match;
    struct notifier *notifier;
};

struct bus {
    const char *name;
    uint64_t limit;
    pthread_mutex_t *device_lock;
    const struct bus_backend *backend;
    void *opaque;
    pthread_rwlock_t lock; /* guards the two tables below */
    struct region *regions[BUS_MAX_REGIONS]; /* newest first */
    unsigned region_count;
    struct bus_notifier notifiers[BUS_MAX_NOTIFIERS];
    unsigned notifier_count; /* atomic: a first look goes without the lock */
};

struct bus *bus_create(const char *name, uint64_t limit, pthread_mutex_t *device_lock,
                       const struct bus_backend *backend, void *opaque)
{
    struct bus *bus = calloc(1, sizeof(*bus));

    if (!bus)
        return NULL;
    bus->name = name;
    bus->limit = limit;
    bus->device_lock = device_lock;
    bus->backend = backend;
    bus->opaque = opaque;
    pthread_rwlock_init(&bus->lock, NULL);
    return bus;
}

void bus_destroy(struct bus *bus)
{
    if (!bus)
        return;
    pthread_rwlock_destroy(&bus->lock);
    free(bus);
}

static void collect_writes(struct bus *bus, const struct region *region, bool on)
{
    if (region->flags & REGION_LATE && bus->backend && bus->backend->late)
        bus->backend->late(bus->opaque, bus, region->base, region->size, on);
}

int bus_map(struct bus *bus, struct region *region, uint64_t base)
{
    int err = 0;

    pthread_rwlock_wrlock(&bus->lock);
    if (region->mapped)
        err = -EBUSY;
    else if (base > bus->limit || region->size > bus->limit - base)
        err = -ERANGE;
    else if (bus->region_count == BUS_MAX_REGIONS)
        err = -ENOSPC;
    if (!err) {
        memmove(&bus->regions[1], &bus->regions[0], bus->region_count * sizeof(bus->regions[0]));
        bus->regions[0] = region;
        bus->region_count++;
        region->base = base;
        region->mapped = true;
    }
    pthread_rwlock_unlock(&bus->lock);
    if (!err)
        collect_writes(bus, region, true);
    return err;
}

void bus_unmap(struct bus *bus, struct region *region)
{
    unsigned i;

    if (region->mapped)
        collect_writes(bus, region, false);
    pthread_rwlock_wrlock(&bus->lock);
    for (i = 0; i < bus->region_count; i++) {
        if (bus->regions[i] != region)
            continue;
        bus->region_count--;
        memmove(&bus->regions[i], &bus->regions[i + 1],
                (bus->region_count - i) * sizeof(bus->regions[0]));
        region->mapped = false;
        break;
    }
    pthread_rwlock_unlock(&bus->lock);
}

int bus_add_notifier(struct bus *bus, uint64_t addr, unsigned width, bool match, uint64_t value,
                     struct notifier *notifier)
{
    int err = 0;

    if (bus->backend && bus->backend->ioeventfd)
        return bus->backend->ioeventfd(bus->opaque, bus, addr, width, notifier->fd, match, value, true);
    pthread_rwlock_wrlock(&bus->lock);
    if (bus->notifier_count == BUS_MAX_NOTIFIERS)
        err = -ENOSPC;
    else
        bus->notifiers[__atomic_fetch_add(&bus->notifier_count, 1, __ATOMIC_RELEASE)] =
            (struct bus_notifier){addr, value, width, match, notifier};
    pthread_rwlock_unlock(&bus->lock);
    return err;
}

void bus_remove_notifier(struct bus *bus, uint64_t addr, unsigned width, bool match, uint64_t value,
                         struct notifier *notifier)
{
    unsigned i;

    if (bus->backend && bus->backend->ioeventfd) {
        bus->backend->ioeventfd(bus->opaque, bus, addr, width, notifier->fd, match, value, false);
        return;
    }
    pthread_rwlock_wrlock(&bus->lock);
    for (i = 0; i < bus->notifier_count; i++) {
        struct bus_notifier *n = &bus->notifiers[i];

        if (n->notifier == notifier && n->addr == addr && n->value == value && n->match == match) {
            *n = bus->notifiers[__atomic_sub_fetch(&bus->notifier_count, 1, __ATOMIC_RELEASE)];
            break;
        }
    }
    pthread_rwlock_unlock(&bus->lock);
}

/* True if a notifier took the write. */
static bool notify(struct bus *bus, uint64_t addr, uint64_t value, unsigned width)
{
    bool taken = false;
    unsigned i;

    if (!__atomic_load_n(&bus->notifier_count, __ATOMIC_ACQUIRE))
        return false;
    pthread_rwlock_rdlock(&bus->lock);
    for (i = 0; i < bus->notifier_count && !taken; i++) {
        const struct bus_notifier *n = &bus->notifiers[i];

        if (n->addr != addr || (n->width && n->width != width) || (n->match && n->value != value))
            continue;
        notifier_signal(n->notifier);
        taken = true;
    }
    pthread_rwlock_unlock(&bus->lock);
    return taken;
}

/*
 * The newest region that holds addr, and how many bytes of the access lie in it: where the access starts decides (a
 * dword at port 0xcf8 is PCI's although a byte at 0xcf9 is the reset register's). NULL, and how many bytes lie in
 * nothing, at least one.
 */
static struct region *find_region(struct bus *bus, uint64_t addr, unsigned width, unsigned *inside)
{
    struct region *found = NULL;
    uint64_t gap = width;
    unsigned i;

    pthread_rwlock_rdlock(&bus->lock);
    for (i = 0; i < bus->region_count && !found; i++) {
        struct region *region = bus->regions[i];

        if (addr - region->base < region->size) {
            gap = MIN(width, region->size - (addr - region->base));
            found = region;
        } else if (region->base > addr) {
            gap = MIN(gap, region->base - addr);
        }
    }
    pthread_rwlock_unlock(&bus->lock);
    *inside = (unsigned)gap;
    return found;
}

static unsigned min_width(const struct region *region)
{
    return region->ops->min_width ? region->ops->min_width : 1;
}

static unsigned max_width(const struct region *region)
{
    return region->ops->max_width ? region->ops->max_width : 4;
}

/* The widest naturally aligned power of two that fits into `left` bytes at offset. */
static unsigned piece_width(const struct region *region, uint64_t offset, unsigned left)
{
    unsigned width = max_width(region);

    while (width > left || !IS_ALIGNED(offset, width))
        width /= 2;
    return width;
}

static void region_read(struct region *region, uint64_t offset, uint8_t *data, unsigned left)
{
    while (left) {
        unsigned width = piece_width(region, offset, left);
        unsigned wide = MAX(width, min_width(region));
        uint64_t start = ALIGN_DOWN(offset, (uint64_t)wide);
        uint64_t value = region->ops->read ? region->ops->read(region->opaque, start, wide) : ~0ULL;

        value >>= 8 * (offset - start);
        memcpy(data, &value, width);
        offset += width;
        data += width;
        left -= width;
    }
}

static void region_write(struct region *region, uint64_t offset, const uint8_t *data, unsigned left)
{
    while (left) {
        unsigned width = piece_width(region, offset, left);
        uint64_t value = 0;

        memcpy(&value, data, width);
        if (width < min_width(region))
            log_once(LOG_DEBUG, "%s: a guest's write of %u bytes is too narrow", region->name, width);
        else if (region->ops->write)
            region->ops->write(region->opaque, offset, value, width);
        offset += width;
        data += width;
        left -= width;
    }
}

/* `count` accesses at one address, which all lie in the region. */
static void region_access(struct bus *bus, struct region *region, uint64_t addr, uint8_t *data,
                          unsigned width, unsigned count, bool write)
{
    bool lock = !(region->flags & REGION_UNLOCKED);

    if (lock)
        pthread_mutex_lock(bus->device_lock);
    for (; count; count--, data += width) {
        /* Another CPU may have moved the region while this one waited for the lock, or a callback has. */
        bool there = region->mapped && addr - region->base < region->size;

        if (there && write)
            region_write(region, addr - region->base, data, width);
        else if (there)
            region_read(region, addr - region->base, data, width);
        else if (!write)
            memset(data, 0xff, width);
    }
    if (lock)
        pthread_mutex_unlock(bus->device_lock);
}

void bus_read(struct bus *bus, uint64_t addr, void *data, unsigned width)
{
    uint8_t *p = data;

    while (width) {
        unsigned inside;
        struct region *region = find_region(bus, addr, width, &inside);

        if (region)
            region_access(bus, region, addr, p, inside, 1, false);
        else
            memset(p, 0xff, inside);
        addr += inside;
        p += inside;
        width -= inside;
    }
}

void bus_write(struct bus *bus, uint64_t addr, const void *data, unsigned width)
{
    uint8_t bytes[8];
    uint64_t value = 0;
    unsigned done = 0;

    memcpy(&value, data, width);
    if (notify(bus, addr, value, width))
        return;
    memcpy(bytes, data, width);
    while (done < width) {
        unsigned inside;
        struct region *region = find_region(bus, addr + done, width - done, &inside);

        if (region)
            region_access(bus, region, addr + done, bytes + done, inside, 1, true);
        done += inside;
    }
}

/* The region that all accesses of a string go to, or NULL: they are to be made one by one. */
static struct region *string_region(struct bus *bus, uint64_t addr, unsigned width, unsigned count)
{
    unsigned inside;
    struct region *region = count > 1 ? find_region(bus, addr, width, &inside) : NULL;

    return region && inside == width ? region : NULL;
}

void bus_read_string(struct bus *bus, uint64_t addr, void *data, unsigned width, unsigned count)
{
    struct region *region = string_region(bus, addr, width, count);
    uint8_t *p = data;

    if (region)
        region_access(bus, region, addr, p, width, count, false);
    else
        for (; count; count--, p += width)
            bus_read(bus, addr, p, width);
}

void bus_write_string(struct bus *bus, uint64_t addr, const void *data, unsigned width, unsigned count)
{
    bool notifies = __atomic_load_n(&bus->notifier_count, __ATOMIC_ACQUIRE);
    struct region *region = notifies ? NULL : string_region(bus, addr, width, count);
    const uint8_t *p = data;

    if (region)
        region_access(bus, region, addr, (uint8_t *)p, width, count, true);
    else
        for (; count; count--, p += width)
            bus_write(bus, addr, p, width);
}

/* --- late writes --- */

static void settle(struct bus *bus)
{
    struct late_write write;

    /* Dropped only when it is done: whoever finds none left relies on that. */
    for (; bus->backend->next_late(bus->opaque, &write); bus->backend->drop_late(bus->opaque))
        bus_write(bus, write.addr, write.data, write.width);
    pthread_mutex_unlock(bus->device_lock);
}

/* Without the lock: what this thread's guest has written is seen, and of others' it does not matter. */
static bool anything_late(const struct bus *bus)
{
    return bus->backend && bus->backend->next_late && bus->backend->next_late(bus->opaque, NULL);
}

void bus_settle(struct bus *bus)
{
    if (!anything_late(bus))
        return;
    pthread_mutex_lock(bus->device_lock);
    settle(bus);
}

void bus_try_settle(struct bus *bus)
{
    if (anything_late(bus) && pthread_mutex_trylock(bus->device_lock) == 0)
        settle(bus);
}
