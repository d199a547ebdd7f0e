/* What a host sets in a drive, and TRIM. */
#include "devices/ide/ide_private.h"

#define TRIM_RANGE 8 /* bytes: 48 bits of address, 16 of length */

/* --- SET FEATURES (ACS-2, 7.45) --- */

enum feature { UNKNOWN, IGNORED, CACHE_ON, CACHE_OFF, TRANSFER_MODE };

static const uint8_t features[256] = {
    [0x02] = CACHE_ON,  [0x03] = TRANSFER_MODE, [0x55] = IGNORED, /* read look-ahead off */
    [0x66] = IGNORED,                     /* keep all this over a soft reset: it is kept anyway */
    [0x82] = CACHE_OFF, [0xaa] = IGNORED, /* read look-ahead on */
    [0xcc] = IGNORED,                     /* go back to defaults at a soft reset */
};

#define MODE_PIO_MAX   0x0c /* flow control, mode 4 */
#define MODE_MWDMA     0x20
#define MODE_MWDMA_MAX 0x22
#define MODE_UDMA      0x40
#define MODE_UDMA_MAX  0x45

/* They differ in nothing but in what IDENTIFY says then. */
static bool set_transfer_mode(struct ide_drive *drive)
{
    uint8_t mode = drive->taskfile.count[0];
    bool known = mode <= 1 || (mode >= 8 && mode <= MODE_PIO_MAX) || (mode >= MODE_MWDMA && mode <= MODE_MWDMA_MAX) ||
                 (mode >= MODE_UDMA && mode <= MODE_UDMA_MAX);

    if (known && mode >= MODE_MWDMA)
        drive->transfer_mode = mode;
    return known;
}

void ata_set_features(struct ide_drive *drive)
{
    enum feature feature = features[drive->taskfile.features[0]];
    bool known = feature != UNKNOWN;

    if (feature == TRANSFER_MODE)
        known = set_transfer_mode(drive);
    if (drive->kind == IDE_CDROM && (feature == CACHE_ON || feature == CACHE_OFF))
        known = false;
    if (!known) {
        ata_abort(drive, ATA_ABRT);
        return;
    }
    if (feature == CACHE_ON)
        drive->write_cache = true;
    drive->transfer = (struct ide_transfer){0};
    if (feature == CACHE_OFF && drive->write_cache) {
        drive->write_cache = false;
        ide_flush(drive);
        return;
    }
    ide_complete(drive, ATA_READY, 0);
}

void ata_reset_features(struct ide_drive *drive)
{
    drive->write_cache = true;
    drive->multiple = IDE_MAX_MULTIPLE;
    drive->transfer_mode = MODE_MWDMA_MAX; /* as firmware sets PIIX3 up */
    drive->geometry = ata_geometry(drive);
}

/* --- geometry and blocks --- */

void ata_set_parameters(struct ide_drive *drive)
{
    struct ide_geometry *g = &drive->geometry;
    unsigned heads = (drive->channel->device & 0x0f) + 1u, sectors = drive->taskfile.count[0];

    if (!sectors || sectors > 63) {
        ata_abort(drive, ATA_ABRT);
        return;
    }
    *g = (struct ide_geometry){
        .cylinders = (uint16_t)MIN(ide_blocks(drive) / (heads * sectors), 65535),
        .heads = (uint8_t)heads,
        .sectors = (uint8_t)sectors,
    };
    ide_complete(drive, ATA_READY, 0);
}

void ata_set_multiple(struct ide_drive *drive)
{
    uint8_t sectors = drive->taskfile.count[0];

    if (sectors > IDE_MAX_MULTIPLE || (sectors & (sectors - 1))) {
        ata_abort(drive, ATA_ABRT);
        return;
    }
    drive->multiple = sectors;
    ide_complete(drive, ATA_READY, 0);
}

/* --- TRIM (ACS-2, 7.10): the buffer holds ranges, and transfer.at says which are done --- */

static bool take_range(struct ide_drive *drive, uint64_t *lba, uint32_t *count)
{
    struct ide_transfer *t = &drive->transfer;
    uint64_t range;

    do {
        if (t->at == t->end)
            return false;
        range = load_le64(drive->buffer + t->at);
        t->at += TRIM_RANGE;
    } while (!(range >> 48));
    *lba = range & 0xffffffffffff;
    *count = (uint32_t)(range >> 48);
    return true;
}

static bool ranges_are_good(struct ide_drive *drive)
{
    uint64_t lba, all = ide_blocks(drive);
    uint32_t count;

    drive->transfer.at = 0;
    while (take_range(drive, &lba, &count))
        if (lba > all || count > all - lba)
            return false;
    drive->transfer.at = 0;
    return true;
}

void ata_trim_next(struct ide_drive *drive)
{
    uint64_t lba;
    uint32_t count;

    if (take_range(drive, &lba, &count))
        ide_io_submit(drive, DISK_DISCARD, lba * DISK_SECTOR, NULL, (uint64_t)count * DISK_SECTOR);
    else
        ide_complete(drive, ATA_READY, 0);
}

void ata_trim(struct ide_drive *drive)
{
    if (ranges_are_good(drive))
        ata_trim_next(drive);
    else
        ata_abort(drive, ATA_IDNF);
}
