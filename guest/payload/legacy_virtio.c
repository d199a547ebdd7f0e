#include "legacy_virtio.h"

#define VENDOR        0x1af4
#define IO_AND_MASTER 5

enum {
    DRIVER_FEATURES = 4,
    QUEUE_PFN = 8,
    QUEUE_LENGTH = 12,
    QUEUE_SELECT = 14,
    QUEUE_NOTIFY = 16,
    STATUS = 18
};

bool legacy_virtio_start(struct legacy_virtio *v, uint16_t device, uint32_t features)
{
    int devfn = pci_find(VENDOR, device);

    if (devfn < 0)
        return false;
    pci_write((unsigned)devfn, 4, pci_read((unsigned)devfn, 4, 2) | IO_AND_MASTER, 2);
    v->ports = (uint16_t)pci_bar((unsigned)devfn, 0);
    outb(v->ports + STATUS, 0);
    outb(v->ports + STATUS, 3);
    outl(v->ports + DRIVER_FEATURES, features);
    return true;
}

bool legacy_virtio_queue(struct legacy_virtio *v, unsigned n, uint32_t memory)
{
    uint16_t length;

    outw(v->ports + QUEUE_SELECT, (uint16_t)n);
    length = inw(v->ports + QUEUE_LENGTH);
    if (!length)
        return false;
    memset((void *)(uintptr_t)memory, 0, LEGACY_QUEUE_ROOM);
    v->queue[n].length = length;
    v->queue[n].desc = (struct virtq_descriptor *)(uintptr_t)memory;
    v->queue[n].avail = (volatile uint16_t *)(uintptr_t)(memory + 16 * length);
    v->queue[n].used =
        (volatile uint16_t *)(((uintptr_t)v->queue[n].avail + 6 + 2 * length + 4095) & ~4095ull);
    v->queue[n].avail[0] = 1; /* no interrupts */
    outl(v->ports + QUEUE_PFN, memory / 4096);
    outb(v->ports + STATUS, 7);
    return true;
}

void legacy_virtio_give(struct legacy_virtio *v, unsigned n, uint16_t head)
{
    volatile uint16_t *avail = v->queue[n].avail;

    avail[2 + avail[1] % v->queue[n].length] = head;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    avail[1]++;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    outw(v->ports + QUEUE_NOTIFY, (uint16_t)n);
}

bool legacy_virtio_done(const struct legacy_virtio *v, unsigned n)
{
    bool done = v->queue[n].used[1] == v->queue[n].avail[1];

    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return done;
}
