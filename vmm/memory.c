#include "vmm/memory.h"

#include "base/error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define HUGE_PAGE MIB(2)

struct memory {
    const struct memory_backend *backend;
    void *opaque;
    pthread_rwlock_t lock; /* guards the map */
    struct ram *blocks[MEMORY_MAX_BLOCKS]; /* sorted by base */
    unsigned count;
    uint64_t slots_used; /* bit n: slot n is taken */
};

static_assert(MEMORY_MAX_BLOCKS <= 64, "slots_used is one word");

struct memory *memory_create(const struct memory_backend *backend, void *opaque)
{
    static const struct memory_backend none;
    struct memory *memory = calloc(1, sizeof(*memory));

    if (!memory)
        return NULL;
    memory->backend = backend ? backend : &none;
    memory->opaque = opaque;
    pthread_rwlock_init(&memory->lock, NULL);
    return memory;
}

void memory_destroy(struct memory *memory)
{
    if (!memory)
        return;
    pthread_rwlock_destroy(&memory->lock);
    free(memory);
}

static uint8_t *reserve(size_t size)
{
    void *host = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return host == MAP_FAILED ? NULL : host;
}

static int ram_init_with(struct ram *ram, const char *name, size_t size, unsigned flags, uint8_t *host)
{
    *ram = (struct ram){.name = name, .host = host, .size = size, .flags = flags};
    if (!host)
        return fail(-ENOMEM, "cannot reserve %zu MiB for %s: %s; ask for less memory", size >> 20, name,
                    strerror(errno));
    /* The guest's memory is not ours to dump. */
    madvise(host, size, MADV_DONTDUMP);
    return 0;
}

int ram_init(struct ram *ram, const char *name, size_t size, unsigned flags)
{
    return ram_init_with(ram, name, size, flags, reserve(size));
}

int ram_init_huge(struct ram *ram, const char *name, size_t size, gpa_t base)
{
    uint8_t *all = reserve(size + HUGE_PAGE);
    size_t head = all ? (base - (uintptr_t)all) % HUGE_PAGE : 0;
    int err = ram_init_with(ram, name, size, RAM_DISCARD, all ? all + head : NULL);

    if (err)
        return err;
    if (head)
        munmap(all, head);
    munmap(ram->host + size, HUGE_PAGE - head);
    madvise(ram->host, size, MADV_HUGEPAGE);
    return 0;
}

void ram_fini(struct ram *ram)
{
    if (ram->host)
        munmap(ram->host, ram->size);
    ram->host = NULL;
}

/* The index of the first block that ends after addr. */
static unsigned find_block(const struct memory *memory, gpa_t addr)
{
    unsigned low = 0, high = memory->count;

    while (low < high) {
        unsigned middle = (low + high) / 2;
        const struct ram *ram = memory->blocks[middle];

        if (addr - ram->base < ram->size || addr < ram->base)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static int insert_block(struct memory *memory, struct ram *ram, gpa_t base)
{
    unsigned at = find_block(memory, base);

    if (memory->count == MEMORY_MAX_BLOCKS)
        return -ENOSPC;
    if (base + ram->size < base || (at < memory->count && memory->blocks[at]->base < base + ram->size))
        return -EEXIST;
    memmove(&memory->blocks[at + 1], &memory->blocks[at],
            (memory->count - at) * sizeof(memory->blocks[0]));
    memory->blocks[at] = ram;
    memory->count++;
    ram->base = base;
    ram->mapped = true;
    ram->slot = (unsigned)__builtin_ctzll(~memory->slots_used);
    memory->slots_used |= 1ULL << ram->slot;
    return 0;
}

static void remove_block(struct memory *memory, struct ram *ram)
{
    unsigned at = find_block(memory, ram->base);

    memory->count--;
    memmove(&memory->blocks[at], &memory->blocks[at + 1],
            (memory->count - at) * sizeof(memory->blocks[0]));
    memory->slots_used &= ~(1ULL << ram->slot);
    ram->mapped = false;
}

int memory_map_ram(struct memory *memory, struct ram *ram, gpa_t base)
{
    int err;

    pthread_rwlock_wrlock(&memory->lock);
    err = insert_block(memory, ram, base);
    if (!err && memory->backend->map) {
        err = memory->backend->map(memory->opaque, ram, true);
        if (err)
            remove_block(memory, ram);
    }
    pthread_rwlock_unlock(&memory->lock);
    return err;
}

void memory_unmap_ram(struct memory *memory, struct ram *ram)
{
    if (!ram->mapped)
        return;
    pthread_rwlock_wrlock(&memory->lock);
    if (memory->backend->map)
        memory->backend->map(memory->opaque, ram, false);
    remove_block(memory, ram);
    pthread_rwlock_unlock(&memory->lock);
}

void memory_fetch_dirty(struct memory *memory, struct ram *ram, unsigned long *bitmap)
{
    size_t bytes = DIV_ROUND_UP(ram->size / 4096, 8 * sizeof(long)) * sizeof(long);

    memset(bitmap, 0, bytes);
    pthread_rwlock_rdlock(&memory->lock); /* a block being moved has no slot to ask about */
    if (ram->mapped && (!memory->backend->fetch_dirty ||
                        memory->backend->fetch_dirty(memory->opaque, ram, bitmap) != 0))
        memset(bitmap, 0xff, bytes);
    pthread_rwlock_unlock(&memory->lock);
}

/* The block that holds addr, or NULL. The map's lock is held. */
static struct ram *block_at(const struct memory *memory, gpa_t addr)
{
    unsigned at = find_block(memory, addr);

    return at < memory->count && addr >= memory->blocks[at]->base ? memory->blocks[at] : NULL;
}

static const void *pointer_at(struct memory *memory, gpa_t addr, size_t size, bool writable)
{
    const void *p = NULL;
    struct ram *ram;

    pthread_rwlock_rdlock(&memory->lock);
    ram = block_at(memory, addr);
    if (ram && size <= ram->size - (addr - ram->base) && !(writable && (ram->flags & RAM_READ_ONLY)))
        p = ram->host + (addr - ram->base);
    pthread_rwlock_unlock(&memory->lock);
    return p;
}

void *memory_pointer(struct memory *memory, gpa_t addr, size_t size)
{
    return (void *)pointer_at(memory, addr, size, true);
}

const void *memory_const_pointer(struct memory *memory, gpa_t addr, size_t size)
{
    return pointer_at(memory, addr, size, false);
}

/* Whether all of the range is RAM that may be accessed so. The map's lock is held. */
static bool range_is_ram(const struct memory *memory, gpa_t addr, size_t size, bool writable)
{
    while (size) {
        const struct ram *ram = block_at(memory, addr);
        size_t left;

        if (!ram || (writable && (ram->flags & RAM_READ_ONLY)))
            return false;
        left = ram->size - (addr - ram->base);
        if (left >= size)
            return true;
        addr += left;
        size -= left;
    }
    return true;
}

static int copy_range(struct memory *memory, gpa_t addr, uint8_t *data, size_t size, bool write)
{
    int err = 0;

    pthread_rwlock_rdlock(&memory->lock);
    if (!range_is_ram(memory, addr, size, write))
        err = -EFAULT;
    while (!err && size) {
        struct ram *ram = block_at(memory, addr);
        uint8_t *p = ram->host + (addr - ram->base);
        size_t n = MIN(size, ram->size - (addr - ram->base));

        memcpy(write ? p : data, write ? data : p, n);
        addr += n;
        data += n;
        size -= n;
    }
    pthread_rwlock_unlock(&memory->lock);
    return err;
}

int memory_read(struct memory *memory, gpa_t addr, void *data, size_t size)
{
    return copy_range(memory, addr, data, size, false);
}

int memory_write(struct memory *memory, gpa_t addr, const void *data, size_t size)
{
    return copy_range(memory, addr, (uint8_t *)data, size, true);
}

/* The block that this byte of the host's lies in, or NULL. The map's lock is held. */
static const struct ram *block_of(const struct memory *memory, const uint8_t *host)
{
    unsigned i;

    for (i = 0; i < memory->count; i++)
        if (host >= memory->blocks[i]->host && host < memory->blocks[i]->host + memory->blocks[i]->size)
            return memory->blocks[i];
    return NULL;
}

size_t memory_discard(struct memory *memory, void *host, size_t size)
{
    uint8_t *start = (uint8_t *)ALIGN_UP((uintptr_t)host, 4096);
    uint8_t *end = (uint8_t *)(((uintptr_t)host + size) & ~(uintptr_t)4095);
    const struct ram *ram;
    size_t done = 0;

    pthread_rwlock_rdlock(&memory->lock);
    /* Blocks may be neighbours in the host's memory: each by itself. */
    while (start < end && (ram = block_of(memory, start))) {
        size_t n = MIN((size_t)(end - start), (size_t)(ram->host + ram->size - start));

        if ((ram->flags & RAM_DISCARD) && madvise(start, n, MADV_DONTNEED) == 0)
            done += n;
        start += n;
    }
    pthread_rwlock_unlock(&memory->lock);
    return done;
}
