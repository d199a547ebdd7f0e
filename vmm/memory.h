/*
 * memory.h - guest physical memory.
 *
 * RAM blocks are host memory mapped into the guest's physical address space; a block never overlaps another.
 * Everything else in that space is MMIO (bus.h) or nothing. Device DMA goes through here and so reaches RAM only: an
 * address that is a BAR's registers, a hole or the end of RAM is an error, never a recursion into a device.
 *
 * Thread: mapping changes under the device lock; look-ups from any thread. The host memory of a block stays valid
 * until ram_fini(), whether it is mapped or not; the guest may change it at any time, so copy before you check.
 */
#ifndef VMM_MEMORY_H
#define VMM_MEMORY_H

#include "base/base.h"

#include <pthread.h>

typedef uint64_t gpa_t; /* guest physical address */

#define MEMORY_MAX_BLOCKS 64

enum {
    RAM_READ_ONLY = 1, /* for the guest: ROM. Guest writes are dropped */
    RAM_LOG_DIRTY = 2, /* keep track of the pages that the guest wrote */
    RAM_DISCARD = 4,   /* the guest may give pages of it back: memory_discard() */
};

struct ram {
    const char *name;
    uint8_t *host; /* page aligned, zeroed at first */
    size_t size;   /* multiple of 4096 */
    unsigned flags;
    /* memory.c's: */
    bool mapped;
    gpa_t base;
    unsigned slot;
};

struct memory;

/* What KVM (or a test) does with the blocks; NULL members are skipped. */
struct memory_backend {
    int (*map)(void *opaque, struct ram *ram, bool mapped);
    /* One bit a page; the log is cleared. */
    int (*fetch_dirty)(void *opaque, struct ram *ram, unsigned long *bitmap);
};

struct memory *memory_create(const struct memory_backend *backend, void *opaque);
void memory_destroy(struct memory *memory);

int ram_init(struct ram *ram, const char *name, size_t size, unsigned flags);
/*
 * The same for main memory that will lie at `base`; it is RAM_DISCARD. The host may give it huge pages; it is placed so that these are huge
 * pages of the guest too, which KVM can map as such.
 */
int ram_init_huge(struct ram *ram, const char *name, size_t size, gpa_t base);
void ram_fini(struct ram *ram); /* unmapped before */

int memory_map_ram(struct memory *memory, struct ram *ram, gpa_t base);
void memory_unmap_ram(struct memory *memory, struct ram *ram);
/*
 * Bits of pages written since the last call are set in bitmap (size / 4096 bits, caller's, cleared first). Without a
 * back end that knows, all bits are set: the caller must compare.
 */
void memory_fetch_dirty(struct memory *memory, struct ram *ram, unsigned long *bitmap);

/* Copies; 0, or -EFAULT if a byte of the range is not RAM (then nothing of a write, any part of a read, was done). */
int memory_read(struct memory *memory, gpa_t addr, void *data, size_t size);
int memory_write(struct memory *memory, gpa_t addr, const void *data, size_t size);
/* Direct access: the host address if all of [addr, addr + size) lies in one writable block, else NULL. */
void *memory_pointer(struct memory *memory, gpa_t addr, size_t size);
/* Like memory_pointer, also in a RAM_READ_ONLY block. */
const void *memory_const_pointer(struct memory *memory, gpa_t addr, size_t size);
/*
 * Give the whole pages in [host, host + size), which a pointer above led to, back to the host; they read as zeroes
 * afterwards. Returns how many bytes were given back: what lies in a block that is RAM_DISCARD.
 */
size_t memory_discard(struct memory *memory, void *host, size_t size);

#endif
