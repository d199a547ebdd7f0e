/* Reading, as data and raw (MMC-5, 6.16 to 6.20). */
#include "devices/ide/ide_private.h"

#include <string.h>

#define BAD_FIELD    0x05, 0x24, 0x00
#define WRONG_TRACK  0x05, 0x64, 0x00 /* illegal mode for this track */
#define OUT_OF_RANGE 0x05, 0x21, 0x00

/* READ CD, byte 9. */
enum { PART_SYNC = 0x80, PART_HEADER = 0x20, PART_DATA = 0x10, PART_CHECK = 0x08, PARTS = 0xf8, PART_C2 = 0x06 };

#define FRAMES_SECOND 75
#define FRAMES_MINUTE (60 * FRAMES_SECOND)
#define FRAMES_LEAD   (2 * FRAMES_SECOND)

void atapi_read_10(struct ide_drive *drive, const uint8_t *packet)
{
    atapi_send_blocks(drive, load_be32(packet + 2), load_be16(packet + 7), 0);
}

void atapi_read_12(struct ide_drive *drive, const uint8_t *packet)
{
    atapi_send_blocks(drive, load_be32(packet + 2), load_be32(packet + 6), 0);
}

void atapi_seek(struct ide_drive *drive, const uint8_t *packet)
{
    if (load_be32(packet + 2) < ide_blocks(drive))
        atapi_succeed(drive);
    else
        atapi_fail(drive, OUT_OF_RANGE);
}

/* --- raw blocks: 12 bytes of synchronisation, 4 of header, 2048 of data, 288 of error correction --- */

static const struct part {
    uint8_t flag;
    uint16_t at, size;
} raw_parts[] = {{PART_SYNC, 0, 12}, {PART_HEADER, 12, 4}, {PART_DATA, 16, CDROM_BLOCK}, {PART_CHECK, 2064, 288}};

uint32_t atapi_raw_size(uint8_t parts)
{
    uint32_t size = 0;
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(raw_parts); i++)
        size += parts & raw_parts[i].flag ? raw_parts[i].size : 0;
    return size;
}

void cdrom_msf(uint32_t lba, uint8_t msf[3])
{
    lba += FRAMES_LEAD;
    msf[0] = (uint8_t)(lba / FRAMES_MINUTE);
    msf[1] = (uint8_t)(lba / FRAMES_SECOND % 60);
    msf[2] = (uint8_t)(lba % FRAMES_SECOND);
}

static uint8_t to_bcd(uint8_t n)
{
    return (uint8_t)(n / 10 % 10 << 4 | n % 10);
}

/* The error correction itself is left zero: there are no errors. */
static void make_raw_block(uint8_t raw[CDROM_RAW_BLOCK], uint32_t lba, const uint8_t *data)
{
    unsigned i;

    memset(raw, 0, CDROM_RAW_BLOCK);
    memset(raw + 1, 0xff, 10);
    cdrom_msf(lba, raw + 12);
    for (i = 12; i < 15; i++)
        raw[i] = to_bcd(raw[i]);
    raw[15] = 1; /* mode */
    memcpy(raw + 16, data, CDROM_BLOCK);
}

void atapi_make_raw(struct ide_drive *drive)
{
    const struct ide_transfer *t = &drive->transfer;
    const uint8_t *data = drive->buffer + IDE_BUFFER - t->chunk * CDROM_BLOCK;
    uint8_t raw[CDROM_RAW_BLOCK], *to = drive->buffer;
    uint32_t n;
    unsigned i;

    for (n = 0; n < t->chunk; n++) {
        make_raw_block(raw, (uint32_t)t->lba + n, data + n * CDROM_BLOCK);
        for (i = 0; i < ARRAY_SIZE(raw_parts); i++) {
            if (!(t->parts & raw_parts[i].flag))
                continue;
            memcpy(to, raw + raw_parts[i].at, raw_parts[i].size);
            to += raw_parts[i].size;
        }
    }
}

/* Type 0 is any, 1 audio, 2 mode 1, the others mode 2. */
static void read_raw(struct ide_drive *drive, const uint8_t *packet, uint32_t lba, uint32_t count)
{
    unsigned type = packet[1] >> 2 & 7;
    uint8_t parts = packet[9] & PARTS;

    if ((packet[9] & PART_C2) || (packet[10] & 7))
        atapi_fail(drive, BAD_FIELD);
    else if (type != 0 && type != 2)
        atapi_fail(drive, WRONG_TRACK);
    else if (!atapi_raw_size(parts))
        atapi_send_blocks(drive, lba, 0, 0);
    else
        atapi_send_blocks(drive, lba, count, parts == PART_DATA ? 0 : parts);
}

void atapi_read_cd(struct ide_drive *drive, const uint8_t *packet)
{
    read_raw(drive, packet, load_be32(packet + 2), load_be32(packet + 5) & 0xffffff);
}

static uint32_t msf_to_frames(const uint8_t *msf)
{
    return msf[0] * FRAMES_MINUTE + msf[1] * FRAMES_SECOND + msf[2];
}

void atapi_read_cd_msf(struct ide_drive *drive, const uint8_t *packet)
{
    uint32_t start = msf_to_frames(packet + 3), end = msf_to_frames(packet + 6);

    if (start < FRAMES_LEAD || end < start)
        atapi_fail(drive, BAD_FIELD);
    else
        read_raw(drive, packet, start - FRAMES_LEAD, end - start);
}
