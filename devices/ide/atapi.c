#include "devices/ide/ide_private.h"

#include <linux/cdrom.h>
#include <string.h>

/* Sense (SPC-3, 4.5.6; MMC-5, annex F). */
#define MEDIUM_ERROR    0x03, 0x11, 0x00 /* unrecovered read error */
#define ABORTED         0x0b, 0x4b, 0x00 /* data phase error */
#define BAD_OPCODE      0x05, 0x20, 0x00
#define NOT_READY(open) 0x02, 0x3a, ((open) ? 0x02 : 0x01)
#define OUT_OF_RANGE    0x05, 0x21, 0x00

#define BYTE_COUNT_MAX 0xfffe

/* --- ends --- */

static void put_byte_count(struct ide_drive *drive, uint32_t n)
{
    drive->taskfile.lba[1][0] = (uint8_t)n;
    drive->taskfile.lba[2][0] = (uint8_t)(n >> 8);
}

void atapi_succeed(struct ide_drive *drive)
{
    drive->cdrom.key = drive->cdrom.asc = drive->cdrom.ascq = 0;
    drive->taskfile.count[0] = ATAPI_CD | ATAPI_IO;
    ide_complete(drive, ATA_READY, 0);
}

void atapi_fail(struct ide_drive *drive, uint8_t key, uint8_t asc, uint8_t ascq)
{
    drive->cdrom.key = key;
    drive->cdrom.asc = asc;
    drive->cdrom.ascq = ascq;
    drive->taskfile.count[0] = ATAPI_CD | ATAPI_IO;
    ide_complete(drive, ATA_READY | ATA_ERR, (uint8_t)(key << 4));
}

static void atapi_drq(struct ide_drive *drive)
{
    const struct ide_transfer *t = &drive->transfer;

    if (t->after == IDE_AFTER_PACKET) {
        drive->taskfile.count[0] = ATAPI_CD;
        return;
    }
    drive->taskfile.count[0] = ATAPI_IO;
    put_byte_count(drive, t->drq_end - t->at);
}

static void execute(struct ide_drive *drive);

static void atapi_ended(struct ide_drive *drive)
{
    if (drive->transfer.after == IDE_AFTER_PACKET)
        execute(drive);
    else if (drive->transfer.to_host)
        atapi_succeed(drive);
    else
        ide_complete(drive, ATA_READY, 0); /* an ATA command */
}

static void atapi_fault(struct ide_drive *drive, enum ide_fault fault)
{
    if (fault == IDE_FAULT_READ)
        atapi_fail(drive, MEDIUM_ERROR);
    else
        atapi_fail(drive, ABORTED);
}

static void atapi_reset(struct ide_drive *drive, bool hard)
{
    if (hard)
        ata_reset_features(drive);
    cdrom_reset(drive, hard);
}

const struct ide_model atapi_model = {
    .signature = {0x14, 0xeb},
    .reset_status = 0, /* DRDY comes with the first command (ATA-7, 9.12) */
    .block = CDROM_BLOCK,
    .drq = atapi_drq,
    .ended = atapi_ended,
    .fault = atapi_fault,
    .reset = atapi_reset,
};

/* --- data --- */

/* How the host wants it was said with the PACKET command: by DMA, or in blocks of what the byte count allows. */
static void answer(struct ide_drive *drive, struct ide_transfer *t, uint64_t total)
{
    const struct ide_taskfile *tf = &drive->taskfile;
    uint32_t limit = tf->lba[1][0] | (uint32_t)tf->lba[2][0] << 8;

    if (!total) {
        atapi_succeed(drive);
        return;
    }
    if (!limit || limit > BYTE_COUNT_MAX)
        limit = BYTE_COUNT_MAX;
    if (total > limit) /* only the last block may be odd */
        limit = MAX(limit & ~1u, 2);
    t->to_host = true;
    t->dma = tf->features[0] & 1;
    t->drq_size = limit;
    ide_transfer(drive, t);
}

void atapi_send(struct ide_drive *drive, uint32_t size, uint32_t limit)
{
    struct ide_transfer t = {.end = MIN(size, limit)};

    answer(drive, &t, t.end);
}

void atapi_send_blocks(struct ide_drive *drive, uint32_t lba, uint32_t count, uint8_t parts)
{
    uint64_t all = ide_blocks(drive);
    struct ide_transfer t = {
        .medium = true, .lba = lba, .left = count, .unit = parts ? atapi_raw_size(parts) : CDROM_BLOCK, .parts = parts};

    if (lba > all || count > all - lba)
        atapi_fail(drive, OUT_OF_RANGE);
    else
        answer(drive, &t, (uint64_t)count * t.unit);
}

/* --- packet commands --- */

enum { WITHOUT_MEDIUM = 0, NEEDS_MEDIUM = 1, DESPITE_ATTENTION = 2 };

struct packet_command {
    packet_fn *run;
    uint8_t when;
};

static void test_unit_ready(struct ide_drive *drive, const uint8_t *packet UNUSED)
{
    atapi_succeed(drive);
}

static const struct packet_command packets[256] = {
    [GPCMD_TEST_UNIT_READY] = {test_unit_ready, NEEDS_MEDIUM},
    [GPCMD_REQUEST_SENSE] = {cdrom_request_sense, DESPITE_ATTENTION},
    [GPCMD_INQUIRY] = {atapi_inquiry, DESPITE_ATTENTION},
    [GPCMD_START_STOP_UNIT] = {cdrom_start_stop, WITHOUT_MEDIUM},
    [GPCMD_PREVENT_ALLOW_MEDIUM_REMOVAL] = {cdrom_prevent_allow, WITHOUT_MEDIUM},
    [GPCMD_READ_CDVD_CAPACITY] = {atapi_read_capacity, NEEDS_MEDIUM},
    [GPCMD_READ_10] = {atapi_read_10, NEEDS_MEDIUM},
    [GPCMD_SEEK] = {atapi_seek, NEEDS_MEDIUM},
    [GPCMD_READ_TOC_PMA_ATIP] = {atapi_read_toc, NEEDS_MEDIUM},
    [GPCMD_GET_CONFIGURATION] = {atapi_get_configuration, DESPITE_ATTENTION},
    [GPCMD_GET_EVENT_STATUS_NOTIFICATION] = {cdrom_get_event, DESPITE_ATTENTION},
    [GPCMD_READ_DISC_INFO] = {atapi_read_disc_info, NEEDS_MEDIUM},
    [GPCMD_READ_TRACK_RZONE_INFO] = {atapi_read_track_info, NEEDS_MEDIUM},
    [GPCMD_MODE_SENSE_10] = {atapi_mode_sense, WITHOUT_MEDIUM},
    [GPCMD_READ_12] = {atapi_read_12, NEEDS_MEDIUM},
    [GPCMD_READ_DVD_STRUCTURE] = {atapi_read_dvd_structure, NEEDS_MEDIUM},
    [GPCMD_READ_CD_MSF] = {atapi_read_cd_msf, NEEDS_MEDIUM},
    [GPCMD_SET_SPEED] = {test_unit_ready, NEEDS_MEDIUM}, /* it is as fast as it is */
    [GPCMD_MECHANISM_STATUS] = {atapi_mechanism_status, WITHOUT_MEDIUM},
    [GPCMD_READ_CD] = {atapi_read_cd, NEEDS_MEDIUM},
};

static void execute(struct ide_drive *drive)
{
    uint8_t packet[ATAPI_PACKET_SIZE];
    const struct packet_command *command;

    memcpy(packet, drive->buffer, sizeof(packet)); /* the buffer is the answer's */
    command = &packets[packet[0]];
    if (!(command->when & DESPITE_ATTENTION) && !cdrom_no_attention(drive))
        return;
    if (!command->run)
        atapi_fail(drive, BAD_OPCODE);
    else if ((command->when & NEEDS_MEDIUM) && !cdrom_ready(drive))
        atapi_fail(drive, NOT_READY(drive->cdrom.tray_open));
    else
        command->run(drive, packet);
}
