/* IDENTIFY DEVICE and IDENTIFY PACKET DEVICE (ACS-2, 7.12 and 7.13): 256 words in the buffer. */
#include "devices/ide/ide_private.h"

#include <string.h>

#define MODEL_DISK  "MINIVM HARDDISK"
#define MODEL_CDROM "MINIVM CD-ROM"
#define FIRMWARE    "1.0"

#define WORD_SERIAL   10
#define WORD_FIRMWARE 23
#define WORD_MODEL    27
#define SIGNATURE     0xa5

struct word {
    uint8_t at;
    uint16_t value;
};

/* Those that never change. */
static const struct word of_both[] = {
    {48, 0x4000}, {53, 0x0007},                       /* words 54-58, 64-70 and 88 mean something */
    {64, 0x0003},                                     /* PIO modes 3 and 4 */
    {65, 120},    {66, 120},    {67, 120}, {68, 120}, /* ns a cycle */
    {93, 0x6001},                                     /* 80-conductor cable, drive 0 */
};

static const struct word of_disk[] = {
    {0, 0x0040},
    {47, 0x8000 | IDE_MAX_MULTIPLE},
    {49, 0x0f00}, /* IORDY, LBA, DMA */
    {50, 0x4000},
    {51, 0x0200},
    {80, 0x00f0}, /* ATA-4 to ATA-7... */
    {81, 0x0016},
    {82, 0x0068}, /* look-ahead, write cache, power management */
    {83, 0x7400}, /* FLUSH CACHE, EXT too; 48 bits */
    {84, 0x4040}, /* WRITE DMA FUA EXT */
    {85, 0x0048}, /* enabled of those, but for the write cache */
    {86, 0x3400},
    {87, 0x4040},
    {105, IDE_TRIM_BLOCKS},
    {106, 0x4000},
    {169, 0x0001}, /* ... and TRIM */
    {217, 0x0001}, /* nothing turns in it */
};

static const struct word of_cdrom[] = {
    {0, 0x85c0}, /* packet device, CD-ROM, removable, DRQ within 50 us, 12 bytes */
    {49, 0x0f00}, {50, 0x4000}, {71, 30},     {72, 30},     {80, 0x001e}, {82, 0x0210}, /* PACKET, DEVICE RESET */
    {83, 0x4000}, {84, 0x4000}, {85, 0x0210}, {87, 0x4000},
};

static void put(struct ide_drive *drive, unsigned at, uint64_t value, unsigned words)
{
    memcpy(drive->buffer + 2 * at, &value, 2 * words);
}

static void put_words(struct ide_drive *drive, const struct word *words, size_t count)
{
    size_t i;

    for (i = 0; i < count; i++)
        put(drive, words[i].at, words[i].value, 1);
}

/* Texts are padded with blanks, and the first of two letters is in the upper byte. */
static void put_text(struct ide_drive *drive, unsigned at, const char *text, unsigned size)
{
    unsigned i;

    for (i = 0; i < size; i++)
        drive->buffer[2 * at + (i ^ 1)] = (uint8_t)(*text ? *text++ : ' ');
}

struct ide_geometry ata_geometry(const struct ide_drive *drive)
{
    return (struct ide_geometry){
        .cylinders = (uint16_t)CLAMP(ide_blocks(drive) / (16 * 63), 1, 16383), .heads = 16, .sectors = 63};
}

static void put_geometry(struct ide_drive *drive)
{
    struct ide_geometry g = ata_geometry(drive);
    const struct ide_geometry *now = &drive->geometry;

    put(drive, 1, g.cylinders, 1);
    put(drive, 3, g.heads, 1);
    put(drive, 6, g.sectors, 1);
    put(drive, 54, now->cylinders, 1);
    put(drive, 55, now->heads, 1);
    put(drive, 56, now->sectors, 1);
    put(drive, 57, (uint32_t)now->cylinders * now->heads * now->sectors, 2);
}

static void put_disk(struct ide_drive *drive)
{
    uint64_t sectors = ide_blocks(drive);

    put_words(drive, of_disk, ARRAY_SIZE(of_disk));
    put_geometry(drive);
    put(drive, 59, drive->multiple ? 0x100u | drive->multiple : 0, 1);
    put(drive, 60, MIN(sectors, 0x0fffffff), 2);
    put(drive, 85, 0x0048 | (drive->write_cache ? 0x20 : 0), 1);
    put(drive, 100, sectors, 4);
}

/* Words 63 and 88: modes that there are, and in the upper byte the one that is on. */
static void put_dma_modes(struct ide_drive *drive)
{
    unsigned on = 0x100u << (drive->transfer_mode & 7);

    put(drive, 63, 0x07 | (drive->transfer_mode < 0x40 ? on : 0), 1);
    put(drive, 88, 0x3f | (drive->transfer_mode >= 0x40 ? on : 0), 1);
}

void ata_identify(struct ide_drive *drive)
{
    bool cdrom = drive->kind == IDE_CDROM;
    uint8_t sum = 0;
    unsigned i;

    memset(drive->buffer, 0, DISK_SECTOR);
    put_words(drive, of_both, ARRAY_SIZE(of_both));
    if (cdrom)
        put_words(drive, of_cdrom, ARRAY_SIZE(of_cdrom));
    else
        put_disk(drive);
    put_dma_modes(drive);
    put_text(drive, WORD_SERIAL, drive->serial, IDE_SERIAL_MAX);
    put_text(drive, WORD_FIRMWARE, FIRMWARE, 8);
    put_text(drive, WORD_MODEL, cdrom ? MODEL_CDROM : MODEL_DISK, 40);
    drive->buffer[510] = SIGNATURE;
    for (i = 0; i < 511; i++)
        sum += drive->buffer[i];
    drive->buffer[511] = (uint8_t)-sum; /* all 512 bytes add up to nothing */
}
