#include "devices/ide/ide_private.h"

#include <string.h>

#define SECTORS_28 (1ull << 28)

/* What a row of the table is for, and how its sectors go. */
enum { FOR_DISK = 1, FOR_CDROM = 2, FOR_BOTH = 3 };
enum { BY_EXT = 1, BY_DMA = 2, BY_BLOCKS = 4, TO_MEDIUM = 8, DURABLE = 16, UNSEEN = 32 };

struct ata_command {
    void (*run)(struct ide_drive *drive, unsigned how);
    uint8_t drives, how;
};

/* --- ends --- */

void ata_abort(struct ide_drive *drive, uint8_t error)
{
    ide_complete(drive, ATA_READY | ATA_ERR, error);
}

static void succeed(struct ide_drive *drive)
{
    ide_complete(drive, ATA_READY, 0);
}

static void put_lba28(struct ide_drive *drive, uint64_t lba)
{
    struct ide_taskfile *tf = &drive->taskfile;
    struct ide_channel *channel = drive->channel;

    tf->lba[0][0] = (uint8_t)lba;
    tf->lba[1][0] = (uint8_t)(lba >> 8);
    tf->lba[2][0] = (uint8_t)(lba >> 16);
    channel->device = (uint8_t)((channel->device & 0xf0) | (lba >> 24 & 0x0f));
}

static void put_lba48(struct ide_drive *drive, uint64_t lba)
{
    unsigned i;

    for (i = 0; i < 3; i++) {
        drive->taskfile.lba[i][0] = (uint8_t)(lba >> 8 * i);
        drive->taskfile.lba[i][1] = (uint8_t)(lba >> (24 + 8 * i));
    }
}

static void put_chs(struct ide_drive *drive, uint64_t lba)
{
    const struct ide_geometry *g = &drive->geometry;
    uint64_t track = lba / g->sectors, cylinder = track / g->heads;

    put_lba28(drive, (lba % g->sectors + 1) | (cylinder & 0xffff) << 8 | (track % g->heads) << 24);
}

/* Where it stopped, in the terms in which the command said where to start. */
static void put_address(struct ide_drive *drive)
{
    const struct ide_transfer *t = &drive->transfer;

    if (t->ext)
        put_lba48(drive, t->lba);
    else if (drive->channel->device & ATA_LBA)
        put_lba28(drive, t->lba);
    else
        put_chs(drive, t->lba);
}

/* After a PIO read the host has taken the last block and waits for nothing. */
static void ata_ended(struct ide_drive *drive)
{
    const struct ide_transfer *t = &drive->transfer;

    if (t->after == IDE_AFTER_TRIM) {
        ata_trim(drive);
    } else if (t->to_host && !t->dma && !t->silent) {
        drive->phase = IDE_IDLE;
        drive->status = ATA_READY;
        drive->error = 0;
    } else {
        succeed(drive);
    }
}

static void ata_fault(struct ide_drive *drive, enum ide_fault fault)
{
    static const uint8_t errors[] = {
        [IDE_FAULT_READ] = ATA_UNC, [IDE_FAULT_WRITE] = ATA_ABRT, [IDE_FAULT_DMA] = ATA_ICRC | ATA_ABRT};

    if (drive->transfer.medium)
        put_address(drive);
    ata_abort(drive, errors[fault]);
}

static void ata_drq(struct ide_drive *drive UNUSED)
{
}

static void ata_reset(struct ide_drive *drive, bool hard)
{
    if (hard)
        ata_reset_features(drive);
}

const struct ide_model ata_model = {
    .signature = {0, 0},
    .reset_status = ATA_READY,
    .block = DISK_SECTOR,
    .drq = ata_drq,
    .ended = ata_ended,
    .fault = ata_fault,
    .reset = ata_reset,
};

void ata_send(struct ide_drive *drive, uint32_t size)
{
    ide_transfer(drive, &(struct ide_transfer){.to_host = true, .drq_size = DISK_SECTOR, .end = size});
}

/* --- where --- */

static uint64_t taskfile_lba(const struct ide_taskfile *tf, unsigned previous)
{
    return tf->lba[0][previous] | (uint64_t)tf->lba[1][previous] << 8 | (uint64_t)tf->lba[2][previous] << 16;
}

static bool chs_to_lba(const struct ide_drive *drive, uint64_t *lba)
{
    const struct ide_geometry *g = &drive->geometry;
    unsigned sector = drive->taskfile.lba[0][0], head = drive->channel->device & 0x0f;
    unsigned cylinder = (unsigned)(taskfile_lba(&drive->taskfile, 0) >> 8);

    if (!sector || sector > g->sectors || head >= g->heads)
        return false;
    *lba = ((uint64_t)cylinder * g->heads + head) * g->sectors + sector - 1;
    return true;
}

/* The sectors that the registers name; false if there are no such. */
static bool find_sectors(const struct ide_drive *drive, bool ext, uint64_t *lba, uint32_t *count)
{
    const struct ide_taskfile *tf = &drive->taskfile;
    uint64_t all = ide_blocks(drive);

    *lba = taskfile_lba(tf, 0);
    *count = tf->count[0];
    if (ext) {
        *lba |= taskfile_lba(tf, 1) << 24;
        *count |= (uint32_t)tf->count[1] << 8;
    } else if (drive->channel->device & ATA_LBA) {
        *lba |= (uint64_t)(drive->channel->device & 0x0f) << 24;
    } else if (!chs_to_lba(drive, lba)) {
        return false;
    }
    if (!*count)
        *count = ext ? 65536 : 256;
    return *lba < all && *count <= all - *lba;
}

/* --- commands --- */

static void transfer_sectors(struct ide_drive *drive, unsigned how)
{
    uint32_t sectors = how & BY_BLOCKS ? drive->multiple : 1;
    struct ide_transfer t = {
        .to_host = !(how & TO_MEDIUM),
        .dma = how & BY_DMA,
        .medium = true,
        .silent = how & UNSEEN,
        .quiet = how & TO_MEDIUM,
        .ext = how & BY_EXT,
        .sync = (how & TO_MEDIUM) && ((how & DURABLE) || !drive->write_cache),
        .unit = DISK_SECTOR,
        .drq_size = sectors * DISK_SECTOR,
    };

    if (!sectors)
        ata_abort(drive, ATA_ABRT);
    else if (!find_sectors(drive, how & BY_EXT, &t.lba, &t.left))
        ata_abort(drive, ATA_IDNF);
    else
        ide_transfer(drive, &t);
}

static void seek(struct ide_drive *drive, unsigned how UNUSED)
{
    uint64_t lba;
    uint32_t count;

    drive->taskfile.count[0] = 1;
    if (find_sectors(drive, false, &lba, &count))
        succeed(drive);
    else
        ata_abort(drive, ATA_IDNF);
}

static void flush(struct ide_drive *drive, unsigned how UNUSED)
{
    drive->transfer = (struct ide_transfer){0};
    if (drive->kind == IDE_DISK)
        ide_flush(drive);
    else
        succeed(drive);
}

static void trim(struct ide_drive *drive, unsigned how UNUSED)
{
    uint32_t blocks = drive->taskfile.count[0] | (uint32_t)drive->taskfile.count[1] << 8;

    if (!(drive->taskfile.features[0] & 1) || !blocks || blocks > IDE_TRIM_BLOCKS)
        ata_abort(drive, ATA_ABRT);
    else
        ide_transfer(drive, &(struct ide_transfer){.dma = true, .after = IDE_AFTER_TRIM, .end = blocks * DISK_SECTOR});
}

static void read_native_max(struct ide_drive *drive, unsigned how)
{
    uint64_t last = ide_blocks(drive) - 1;

    if (how & BY_EXT)
        put_lba48(drive, last);
    else
        put_lba28(drive, MIN(last, SECTORS_28 - 1));
    succeed(drive);
}

static void check_power_mode(struct ide_drive *drive, unsigned how UNUSED)
{
    drive->taskfile.count[0] = 0xff; /* active or idle: it is never anything else */
    succeed(drive);
}

static void nothing(struct ide_drive *drive, unsigned how UNUSED)
{
    succeed(drive);
}

/* IDENTIFY DEVICE or READ SECTORS to a packet device: this is how old hosts find out (ATA-7 9.9, 9.12). */
static void identify(struct ide_drive *drive, unsigned how UNUSED)
{
    if (drive->kind == IDE_CDROM) {
        ide_put_signature(drive);
        ata_abort(drive, ATA_ABRT);
        return;
    }
    ata_identify(drive);
    ata_send(drive, DISK_SECTOR);
}

static void read_sectors(struct ide_drive *drive, unsigned how)
{
    if (drive->kind == IDE_CDROM)
        identify(drive, how);
    else
        transfer_sectors(drive, how);
}

static void identify_packet(struct ide_drive *drive, unsigned how UNUSED)
{
    ata_identify(drive);
    ata_send(drive, DISK_SECTOR);
}

static void packet(struct ide_drive *drive, unsigned how UNUSED)
{
    ide_transfer(
        drive, &(struct ide_transfer){
                   .quiet = true, .after = IDE_AFTER_PACKET, .drq_size = ATAPI_PACKET_SIZE, .end = ATAPI_PACKET_SIZE});
}

static void set_features(struct ide_drive *drive, unsigned how UNUSED)
{
    ata_set_features(drive);
}

static void set_parameters(struct ide_drive *drive, unsigned how UNUSED)
{
    ata_set_parameters(drive);
}

static void set_multiple(struct ide_drive *drive, unsigned how UNUSED)
{
    ata_set_multiple(drive);
}

/* ACS-2, 7; what older hosts still use of ATA-1 to ATA-7. Everything else is aborted. */
static const struct ata_command commands[256] = {
    [0x06] = {trim, FOR_DISK, BY_EXT | BY_DMA}, /* DATA SET MANAGEMENT */
    [0x10 ... 0x1f] = {nothing, FOR_DISK},      /* RECALIBRATE */
    [0x20] = {read_sectors, FOR_BOTH},
    [0x21] = {transfer_sectors, FOR_DISK}, /* ... without retry */
    [0x24] = {transfer_sectors, FOR_DISK, BY_EXT},
    [0x25] = {transfer_sectors, FOR_DISK, BY_EXT | BY_DMA},
    [0x27] = {read_native_max, FOR_DISK, BY_EXT},
    [0x29] = {transfer_sectors, FOR_DISK, BY_EXT | BY_BLOCKS}, /* READ MULTIPLE EXT */
    [0x30] = {transfer_sectors, FOR_DISK, TO_MEDIUM},
    [0x31] = {transfer_sectors, FOR_DISK, TO_MEDIUM},
    [0x34] = {transfer_sectors, FOR_DISK, TO_MEDIUM | BY_EXT},
    [0x35] = {transfer_sectors, FOR_DISK, TO_MEDIUM | BY_EXT | BY_DMA},
    [0x39] = {transfer_sectors, FOR_DISK, TO_MEDIUM | BY_EXT | BY_BLOCKS},
    [0x3d] = {transfer_sectors, FOR_DISK, TO_MEDIUM | BY_EXT | BY_DMA | DURABLE}, /* WRITE DMA FUA EXT */
    [0x40] = {transfer_sectors, FOR_DISK, UNSEEN},                                /* READ VERIFY */
    [0x41] = {transfer_sectors, FOR_DISK, UNSEEN},
    [0x42] = {transfer_sectors, FOR_DISK, UNSEEN | BY_EXT},
    [0x70 ... 0x7f] = {seek, FOR_DISK},
    [0x91] = {set_parameters, FOR_DISK},
    [0x94] = {flush, FOR_BOTH},   /* STANDBY IMMEDIATE, as ATA-1 to 3 have it */
    [0x95] = {nothing, FOR_BOTH}, /* IDLE IMMEDIATE */
    [0x96] = {flush, FOR_BOTH},   /* STANDBY */
    [0x97] = {nothing, FOR_BOTH}, /* IDLE */
    [0x98] = {check_power_mode, FOR_BOTH},
    [0x99] = {flush, FOR_BOTH}, /* SLEEP */
    [0xa0] = {packet, FOR_CDROM},
    [0xa1] = {identify_packet, FOR_CDROM},
    [0xc4] = {transfer_sectors, FOR_DISK, BY_BLOCKS},
    [0xc5] = {transfer_sectors, FOR_DISK, TO_MEDIUM | BY_BLOCKS},
    [0xc6] = {set_multiple, FOR_DISK},
    [0xc8] = {transfer_sectors, FOR_DISK, BY_DMA},
    [0xc9] = {transfer_sectors, FOR_DISK, BY_DMA},
    [0xca] = {transfer_sectors, FOR_DISK, TO_MEDIUM | BY_DMA},
    [0xcb] = {transfer_sectors, FOR_DISK, TO_MEDIUM | BY_DMA},
    [0xce] = {transfer_sectors, FOR_DISK, TO_MEDIUM | BY_EXT | BY_BLOCKS | DURABLE}, /* WRITE MULTIPLE FUA EXT */
    [0xe0] = {flush, FOR_BOTH},                                                      /* STANDBY IMMEDIATE */
    [0xe1] = {nothing, FOR_BOTH},
    [0xe2] = {flush, FOR_BOTH},
    [0xe3] = {nothing, FOR_BOTH},
    [0xe5] = {check_power_mode, FOR_BOTH},
    [0xe6] = {flush, FOR_BOTH},
    [0xe7] = {flush, FOR_DISK}, /* FLUSH CACHE */
    [0xea] = {flush, FOR_DISK},
    [0xec] = {identify, FOR_BOTH},
    [0xef] = {set_features, FOR_BOTH},
    [0xf8] = {read_native_max, FOR_DISK},
};

void ide_command(struct ide_drive *drive, uint8_t code)
{
    const struct ata_command *command = &commands[code];

    if (command->drives & (drive->kind == IDE_CDROM ? FOR_CDROM : FOR_DISK))
        command->run(drive, command->how);
    else
        ata_abort(drive, ATA_ABRT);
}
