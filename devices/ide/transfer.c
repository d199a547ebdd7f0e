#include "devices/ide/ide_private.h"

#include "base/log.h"

#include <string.h>

static void go_on(struct ide_drive *drive);

/* --- between the buffer and the host --- */

static void offer_block(struct ide_drive *drive)
{
    struct ide_transfer *t = &drive->transfer;

    t->drq_end = MIN(t->at + t->drq_size, t->end);
    drive->phase = IDE_PIO;
    drive->status = ATA_READY | ATA_DRQ;
    drive->model->drq(drive);
    if (!t->quiet)
        ide_interrupt(drive);
    t->quiet = false;
}

static void run_dma(struct ide_drive *drive)
{
    struct ide_transfer *t = &drive->transfer;
    int64_t moved;

    drive->phase = IDE_DMA;
    drive->status = ATA_READY | ATA_DRQ;
    moved = ide_bmdma_transfer(drive->channel, drive->buffer + t->at, t->end - t->at, t->to_host);
    if (moved < 0) {
        drive->model->fault(drive, IDE_FAULT_DMA);
        return;
    }
    t->at += (uint32_t)moved;
    if (t->at == t->end)
        go_on(drive);
}

void ide_transfer_dma(struct ide_drive *drive)
{
    if (drive->phase == IDE_DMA)
        run_dma(drive);
}

/* How many of the next `width` bytes belong to the block; the last one may be cut by an odd length. */
static unsigned step(struct ide_drive *drive, unsigned width)
{
    return MIN(width, drive->transfer.drq_end - drive->transfer.at);
}

static void stepped(struct ide_drive *drive, unsigned n)
{
    struct ide_transfer *t = &drive->transfer;

    t->at += n;
    if (t->at == t->drq_end)
        go_on(drive);
}

uint32_t ide_data_read(struct ide_drive *drive, unsigned width)
{
    uint32_t value = 0;
    unsigned n;

    if (drive->phase != IDE_PIO || !drive->transfer.to_host)
        return 0;
    n = step(drive, width);
    memcpy(&value, drive->buffer + drive->transfer.at, n);
    stepped(drive, n);
    return value;
}

void ide_data_write(struct ide_drive *drive, uint32_t value, unsigned width)
{
    unsigned n;

    if (drive->phase != IDE_PIO || drive->transfer.to_host)
        return;
    n = step(drive, width);
    memcpy(drive->buffer + drive->transfer.at, &value, n);
    stepped(drive, n);
}

/* --- between the buffer and the medium --- */

static uint32_t chunk_of(const struct ide_transfer *t, uint32_t block)
{
    return t->single ? 1 : MIN(t->left, IDE_BUFFER / MAX(t->unit, block));
}

/* Blocks that are to be made raw are read to the buffer's end. */
static void fetch(struct ide_drive *drive)
{
    struct ide_transfer *t = &drive->transfer;
    uint32_t block = drive->model->block;

    t->chunk = chunk_of(t, block);
    ide_io_submit(drive, DISK_READ, t->lba * block, drive->buffer + (t->parts ? IDE_BUFFER - t->chunk * block : 0),
                  (uint64_t)t->chunk * block);
}

static void fetched(struct ide_drive *drive)
{
    struct ide_transfer *t = &drive->transfer;

    if (t->parts)
        atapi_make_raw(drive);
    t->lba += t->chunk;
    t->left -= t->chunk;
    t->at = 0;
    t->end = t->silent ? 0 : t->chunk * t->unit;
    go_on(drive);
}

static void gather(struct ide_drive *drive)
{
    struct ide_transfer *t = &drive->transfer;

    t->chunk = chunk_of(t, drive->model->block);
    t->at = 0;
    t->end = t->chunk * t->unit;
    go_on(drive);
}

static void store(struct ide_drive *drive)
{
    struct ide_transfer *t = &drive->transfer;

    ide_io_submit(drive, DISK_WRITE, t->lba * t->unit, drive->buffer, t->end);
}

static void stored(struct ide_drive *drive)
{
    struct ide_transfer *t = &drive->transfer;

    t->lba += t->chunk;
    t->left -= t->chunk;
    t->at = t->end = 0;
    go_on(drive);
}

/* --- what comes next --- */

void ide_flush(struct ide_drive *drive)
{
    ide_io_submit(drive, DISK_FLUSH, 0, NULL, 0);
}

static void go_on(struct ide_drive *drive)
{
    struct ide_transfer *t = &drive->transfer;

    if (t->at < t->end && t->dma)
        run_dma(drive);
    else if (t->at < t->end)
        offer_block(drive);
    else if (t->medium && !t->to_host && t->end)
        store(drive);
    else if (t->left)
        t->to_host ? fetch(drive) : gather(drive);
    else if (t->sync)
        ide_flush(drive);
    else
        drive->model->ended(drive);
}

void ide_transfer(struct ide_drive *drive, const struct ide_transfer *transfer)
{
    drive->transfer = *transfer;
    go_on(drive);
}

/* A longer read that fails is done again block by block, so that all before the bad one gets through. */
static bool try_singly(struct ide_drive *drive)
{
    struct ide_transfer *t = &drive->transfer;

    if (t->single || t->chunk == 1)
        return false;
    t->single = true;
    fetch(drive);
    return true;
}

void ide_transfer_io_ended(struct ide_drive *drive, int result)
{
    enum disk_op op = drive->request.op;

    drive->phase = IDE_IDLE;
    if (result && op == DISK_READ && try_singly(drive))
        return;
    if (result && op != DISK_DISCARD) { /* that is a hint */
        log_once(LOG_WARN, "ide: a request failed: %s; the guest sees an error", strerror(-result));
        drive->model->fault(drive, op == DISK_READ ? IDE_FAULT_READ : IDE_FAULT_WRITE);
        return;
    }
    switch (op) {
    case DISK_READ:
        fetched(drive);
        return;
    case DISK_WRITE:
        stored(drive);
        return;
    case DISK_DISCARD:
        ata_trim_next(drive);
        return;
    default:
        drive->model->ended(drive);
    }
}
