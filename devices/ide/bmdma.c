#include "devices/ide/ide_private.h"

#include "base/log.h"

#include <errno.h>
#include <linux/pci_regs.h>

/* Registers of a channel (82371SB, 2.6). */
enum { BM_COMMAND = 0, BM_STATUS = 2, BM_TABLE = 4, BM_REGISTERS = 8 };
enum { BM_START = 0x01, BM_TO_MEMORY = 0x08 };
enum { BM_ACTIVE = 0x01, BM_ERROR = 0x02, BM_INTERRUPT = 0x04, BM_DRIVES = 0x60 };

/* A table lies in one piece of 64 KiB: its descriptors, without an end, are no more than this. */
#define PRD_MAX 8192
#define PRD_END 0x80000000u

static struct ide_channel *channel_at(void *opaque, uint64_t offset)
{
    return &((struct ide *)opaque)->channels[offset / BM_REGISTERS];
}

static uint64_t bmdma_read(void *opaque, uint64_t offset, unsigned width UNUSED)
{
    const struct ide_bmdma *bm = &channel_at(opaque, offset)->bmdma;
    unsigned reg = offset % BM_REGISTERS;

    if (reg == BM_COMMAND)
        return bm->command;
    if (reg == BM_STATUS)
        return bm->status;
    return reg >= BM_TABLE ? bm->table >> 8 * (reg - BM_TABLE) & 0xff : 0;
}

static void start(struct ide_channel *channel)
{
    struct ide_bmdma *bm = &channel->bmdma;
    unsigned i;

    bm->status |= BM_ACTIVE;
    bm->next = bm->table;
    bm->count = bm->left = 0;
    bm->last = false;
    for (i = 0; i < IDE_DRIVES; i++)
        ide_transfer_dma(&channel->drives[i]);
}

static void write_command(struct ide_channel *channel, uint8_t value)
{
    struct ide_bmdma *bm = &channel->bmdma;
    uint8_t old = bm->command;

    bm->command = value & (BM_START | BM_TO_MEMORY);
    if (!(value & BM_START))
        bm->status &= (uint8_t)~BM_ACTIVE;
    else if (!(old & BM_START))
        start(channel);
}

static void bmdma_write(void *opaque, uint64_t offset, uint64_t value, unsigned width UNUSED)
{
    struct ide_channel *channel = channel_at(opaque, offset);
    struct ide_bmdma *bm = &channel->bmdma;
    unsigned reg = offset % BM_REGISTERS;

    if (reg == BM_COMMAND) {
        write_command(channel, (uint8_t)value);
    } else if (reg == BM_STATUS) {
        bm->status &= (uint8_t) ~(value & (BM_ERROR | BM_INTERRUPT));
        bm->status = (uint8_t)((bm->status & ~BM_DRIVES) | (value & BM_DRIVES));
    } else if (reg >= BM_TABLE) {
        unsigned shift = 8 * (reg - BM_TABLE);

        bm->table = (bm->table & ~(0xffu << shift)) | (uint32_t)value << shift;
        bm->table &= ~3u;
    }
}

const struct region_ops ide_bmdma_ops = {.read = bmdma_read, .write = bmdma_write, .max_width = 1};

/* --- descriptors --- */

static bool is_master(const struct ide_channel *channel)
{
    return load_le16(channel->ide->pci.config + PCI_COMMAND) & PCI_COMMAND_MASTER;
}

static int next_descriptor(struct ide_channel *channel)
{
    struct ide_bmdma *bm = &channel->bmdma;
    uint8_t prd[8];

    if (bm->count++ == PRD_MAX || memory_read(channel->ide->pci.base.machine->memory, bm->next, prd, sizeof(prd)))
        return -EIO;
    bm->next += sizeof(prd);
    bm->addr = load_le32(prd) & ~1u;
    bm->left = load_le32(prd + 4) & 0xfffe;
    if (!bm->left)
        bm->left = 0x10000;
    bm->last = load_le32(prd + 4) & PRD_END;
    return 0;
}

static int move(struct ide_channel *channel, uint8_t *data, uint32_t n, bool to_host)
{
    struct ide_bmdma *bm = &channel->bmdma;
    struct memory *memory = channel->ide->pci.base.machine->memory;
    int err = to_host ? memory_write(memory, bm->addr, data, n) : memory_read(memory, bm->addr, data, n);

    bm->addr += n;
    bm->left -= n;
    if (!bm->left && bm->last)
        bm->status &= (uint8_t)~BM_ACTIVE;
    return err;
}

int64_t ide_bmdma_transfer(struct ide_channel *channel, uint8_t *data, uint32_t n, bool to_host)
{
    struct ide_bmdma *bm = &channel->bmdma;
    uint32_t moved = 0;
    int err = 0;

    if (!(bm->status & BM_ACTIVE))
        return 0;
    if (!is_master(channel) || to_host != !!(bm->command & BM_TO_MEMORY))
        err = -EIO;
    while (!err && moved < n && (bm->status & BM_ACTIVE)) {
        uint32_t part;

        err = bm->left ? 0 : next_descriptor(channel);
        if (err)
            break;
        part = MIN(n - moved, bm->left);
        err = move(channel, data + moved, part, to_host);
        moved += part;
    }
    if (!err)
        return moved;
    log_once(LOG_WARN,
             "ide: a descriptor table of the guest's leads out of its memory, has no end, or goes the wrong way");
    bm->status = (uint8_t)((bm->status & ~BM_ACTIVE) | BM_ERROR);
    return -EIO;
}

void ide_bmdma_interrupt(struct ide_channel *channel)
{
    channel->bmdma.status |= BM_INTERRUPT;
}

/* --- life --- */

void ide_bmdma_reset(struct ide_bmdma *bm)
{
    *bm = (struct ide_bmdma){0};
}

void ide_bmdma_save(const struct ide_bmdma *bm, struct writer *w)
{
    writer_u8(w, bm->command);
    writer_u8(w, bm->status);
    writer_u8(w, bm->last);
    writer_u32(w, bm->table);
    writer_u32(w, bm->next);
    writer_u32(w, bm->count);
    writer_u32(w, bm->addr);
    writer_u32(w, bm->left);
}

/* Any values are safe: each descriptor, and what it leads to, is checked when it is used. */
void ide_bmdma_load(struct ide_bmdma *bm, struct reader *r)
{
    bm->command = reader_u8(r) & (BM_START | BM_TO_MEMORY);
    bm->status = reader_u8(r) & (BM_ACTIVE | BM_ERROR | BM_INTERRUPT | BM_DRIVES);
    bm->last = reader_u8(r) & 1;
    bm->table = reader_u32(r) & ~3u;
    bm->next = reader_u32(r);
    bm->count = reader_u32(r);
    bm->addr = reader_u32(r);
    bm->left = reader_u32(r);
    bm->count = MIN(bm->count, PRD_MAX);
    bm->left = MIN(bm->left, 0x10000);
}
