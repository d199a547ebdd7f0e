/* qxl_memslot.c - guest addresses: slot number, generation and offset, and what may be reached through them. */
#include "devices/qxl/qxl_device.h"

#include <errno.h>
#include <stdlib.h>

#define SLOT_SHIFT       56
#define GENERATION_SHIFT 48
#define OFFSET_MASK      ((1ULL << GENERATION_SHIFT) - 1)

static const uint8_t memory_bars[QXL_MEMORY_BARS] = {QXL_RAM_RANGE_INDEX, QXL_VRAM_RANGE_INDEX, QXL_VRAM64_BAR};

void qxl_find_bars(const struct qxl *q, uint64_t bars[QXL_MEMORY_BARS])
{
    for (unsigned i = 0; i < QXL_MEMORY_BARS; i++)
        bars[i] = pci_bar_address(&q->pci, memory_bars[i]);
}

void qxl_slot_add(struct qxl *q, uint32_t id, const QXLMemSlot *slot, const uint64_t bars[QXL_MEMORY_BARS],
                  uint64_t delta)
{
    const uint64_t sizes[] = {q->ram.size, q->vram32.size, q->vram.size};
    struct ram *const rams[] = {&q->ram, &q->vram, &q->vram};
    uint64_t start = slot->mem_start, end = slot->mem_end;

    if (id >= QXL_SLOTS || q->slots[id].active || start > end) {
        qxl_bug(q, "memory slot %u cannot be added", id);
        return;
    }
    for (unsigned n = 0; n < ARRAY_SIZE(rams); n++) {
        uint64_t base = bars[n];

        if (base == UINT64_MAX || start < base || end > base + sizes[n])
            continue;
        q->slots[id] = (struct qxl_slot){true, rams[n], start - base, end - start, delta};
        return;
    }
    qxl_bug(q, "memory slot %u lies outside of the device's memory", id);
}

void qxl_slot_delete(struct qxl *q, uint32_t id)
{
    if (id >= QXL_SLOTS)
        qxl_bug(q, "there is no memory slot %u to delete", id);
    else
        q->slots[id].active = false;
}

void *qxl_pointer(struct qxl *q, QXLPHYSICAL addr, uint64_t size)
{
    unsigned id = addr >> SLOT_SHIFT, generation = addr >> GENERATION_SHIFT & 0xff;
    uint64_t offset = addr & OFFSET_MASK;
    const struct qxl_slot *slot;

    if (id >= QXL_SLOTS || generation != q->rom->slot_generation)
        return NULL;
    slot = &q->slots[id];
    if (!slot->active || offset < slot->delta)
        return NULL;
    offset -= slot->delta;
    if (offset > slot->size || size > slot->size - offset)
        return NULL;
    return slot->ram->host + slot->start + offset;
}

int qxl_read(struct qxl *q, QXLPHYSICAL addr, void *to, uint64_t size)
{
    const void *from = qxl_pointer(q, addr, size);

    if (!from)
        return -EFAULT;
    guest_copy(to, from, size);
    return 0;
}

int qxl_write(struct qxl *q, QXLPHYSICAL addr, const void *from, uint64_t size)
{
    void *to = qxl_pointer(q, addr, size);

    if (!to)
        return -EFAULT;
    guest_copy(to, from, size);
    return 0;
}

static int copy_chunks(struct qxl *q, QXLPHYSICAL addr, uint64_t size, uint8_t *data)
{
    QXLDataChunk chunk;

    /* A list that is a ring ends by its bytes, or, if they are none, by its count. */
    for (unsigned i = 0; i < QXL_MAX_CHUNKS && size; i++) {
        uint64_t n;

        if (!addr || qxl_read(q, addr, &chunk, sizeof(chunk)))
            return -EFAULT;
        n = MIN(chunk.data_size, size);
        if (qxl_read(q, addr + sizeof(chunk), data, n))
            return -EFAULT;
        data += n;
        size -= n;
        addr = chunk.next_chunk;
    }
    return size ? -EINVAL : 0;
}

int qxl_read_chunks(struct qxl *q, QXLPHYSICAL addr, uint64_t size, uint8_t **data)
{
    int err;

    if (size > MAX(q->ram.size, q->vram.size))
        return -EINVAL;
    *data = malloc(MAX(size, 1));
    if (!*data)
        return -ENOMEM;
    err = copy_chunks(q, addr, size, *data);
    if (err) {
        free(*data);
        *data = NULL;
    }
    return err;
}
