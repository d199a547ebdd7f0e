/* What a CD-ROM drive says of itself and of its medium: one session with one data track (MMC-5; SPC-3 for INQUIRY). */
#include "devices/ide/ide_private.h"

#include <linux/cdrom.h>
#include <string.h>

#define BAD_FIELD     0x05, 0x24, 0x00
#define SAVING_FAILED 0x05, 0x39, 0x00 /* saving parameters not supported */

#define DATA_TRACK 0x14 /* ADR 1, control: data, uninterrupted */
#define LEAD_OUT   0xaa
#define SPEED      7056 /* kB/s: 40 times */

void atapi_inquiry(struct ide_drive *drive, const uint8_t *packet)
{
    static const uint8_t answer[36] = {0x05,      0x80, 0x00, 0x21, 31, /* CD-ROM, removable, no version, ATAPI */
                                       [8] = 'M', 'I',  'N',  'I',  'V', 'M', ' ', ' ', 'C', 'D', '-', 'R', 'O', 'M',
                                       ' ',       ' ',  ' ',  ' ',  ' ', ' ', ' ', ' ', ' ', ' ', '1', '.', '0', ' '};

    if (packet[1] & 3) { /* vital product data, command support: not before SPC */
        atapi_fail(drive, BAD_FIELD);
        return;
    }
    memcpy(drive->buffer, answer, sizeof(answer));
    atapi_send(drive, sizeof(answer), packet[4]);
}

void atapi_read_capacity(struct ide_drive *drive, const uint8_t *packet UNUSED)
{
    store_be32(drive->buffer, (uint32_t)ide_blocks(drive) - 1);
    store_be32(drive->buffer + 4, CDROM_BLOCK);
    atapi_send(drive, 8, 8);
}

void atapi_mechanism_status(struct ide_drive *drive, const uint8_t *packet)
{
    memset(drive->buffer, 0, 8);
    drive->buffer[1] = drive->cdrom.tray_open ? 0x10 : 0;
    atapi_send(drive, 8, load_be16(packet + 8));
}

/* --- MODE SENSE --- */

static const uint8_t error_page[] = {GPMODE_R_W_ERROR_PAGE, 6, 0, 5};
static const uint8_t audio_page[] = {GPMODE_AUDIO_CTL_PAGE, 14, 4};
static const uint8_t capabilities_page[] = {
    GPMODE_CAPABILITIES_PAGE,
    20,
    0x0f,
    0x00, /* reads CD-R, CD-RW, method 2, DVD-ROM; writes nothing */
    0x70,
    0x00, /* mode 2, forms 1 and 2, sessions; no audio */
    0x29,
    0x00, /* a tray, can be locked and ejected */
    SPEED >> 8,
    SPEED & 0xff, /* at most */
    0,
    0, /* volume levels */
    IDE_BUFFER >> 18,
    0, /* buffer, KiB */
    SPEED >> 8,
    SPEED & 0xff, /* now */
};
#define CAPABILITIES_LOCK 6
#define IS_LOCKED         0x02

static const struct mode_page {
    const uint8_t *data;
    uint8_t size;
} pages[] = {
    {error_page, sizeof(error_page)}, {audio_page, sizeof(audio_page)}, {capabilities_page, sizeof(capabilities_page)}};

/* Of what a host may change there is nothing: all zeroes then. */
static uint32_t put_page(const struct ide_drive *drive, const struct mode_page *page, bool changeable, uint8_t *to)
{
    uint32_t size = page->data[1] + 2u;

    memset(to, 0, size);
    memcpy(to, page->data, changeable ? 2 : page->size);
    if (page->data == capabilities_page && !changeable && drive->cdrom.locked)
        to[CAPABILITIES_LOCK] |= IS_LOCKED;
    return size;
}

static uint8_t medium_type(const struct ide_drive *drive)
{
    if (drive->cdrom.tray_open)
        return 0x71;
    return drive->disk ? 0x01 : 0x70;
}

void atapi_mode_sense(struct ide_drive *drive, const uint8_t *packet)
{
    unsigned code = packet[2] & 0x3f, control = packet[2] >> 6, i;
    uint32_t size = 8;

    if (control == 3) {
        atapi_fail(drive, SAVING_FAILED);
        return;
    }
    memset(drive->buffer, 0, size);
    for (i = 0; i < ARRAY_SIZE(pages); i++)
        if (code == GPMODE_ALL_PAGES || code == pages[i].data[0])
            size += put_page(drive, &pages[i], control == 1, drive->buffer + size);
    if (size == 8) {
        atapi_fail(drive, BAD_FIELD);
        return;
    }
    store_be16(drive->buffer, (uint16_t)(size - 2));
    drive->buffer[2] = medium_type(drive);
    atapi_send(drive, size, load_be16(packet + 7));
}

/* --- the table of contents --- */

static void put_address(uint8_t *to, uint32_t lba, bool msf)
{
    to[0] = 0;
    if (msf)
        cdrom_msf(lba, to + 1);
    else
        store_be32(to, lba);
}

static uint32_t put_track(uint8_t *to, uint8_t track, uint32_t lba, bool msf)
{
    to[0] = 0;
    to[1] = DATA_TRACK;
    to[2] = track;
    to[3] = 0;
    put_address(to + 4, lba, msf);
    return 8;
}

static uint32_t put_toc(const struct ide_drive *drive, uint8_t *to, unsigned first, bool msf)
{
    uint32_t size = 4;

    if (first <= 1)
        size += put_track(to + size, 1, 0, msf);
    return size + put_track(to + size, LEAD_OUT, (uint32_t)ide_blocks(drive), msf);
}

static uint32_t put_session(uint8_t *to, bool msf)
{
    return 4 + put_track(to + 4, 1, 0, msf);
}

/* A line of the lead-in: point, and where that is. */
static uint32_t put_point(uint8_t *to, uint8_t point, const uint8_t where[3])
{
    memset(to, 0, 11);
    to[0] = 1; /* session */
    to[1] = DATA_TRACK;
    to[3] = point;
    memcpy(to + 8, where, 3);
    return 11;
}

static uint32_t put_raw_toc(const struct ide_drive *drive, uint8_t *to)
{
    static const uint8_t first_track[3] = {1};
    uint8_t start[3], end[3];
    uint32_t size = 4;

    cdrom_msf(0, start);
    cdrom_msf((uint32_t)ide_blocks(drive), end);
    size += put_point(to + size, 0xa0, first_track);
    size += put_point(to + size, 0xa1, first_track); /* the last one, too */
    size += put_point(to + size, 0xa2, end);
    return size + put_point(to + size, 1, start);
}

void atapi_read_toc(struct ide_drive *drive, const uint8_t *packet)
{
    bool msf = packet[1] & 2;
    unsigned format = packet[2] & 0x0f ? packet[2] & 0x0f : packet[9] >> 6; /* where SFF-8020 has it */
    uint8_t *to = drive->buffer;
    uint32_t size = 0;

    if (format == 0 && (packet[6] <= 1 || packet[6] == LEAD_OUT))
        size = put_toc(drive, to, packet[6], msf);
    else if (format == 1)
        size = put_session(to, msf);
    else if (format == 2 && packet[6] <= 1)
        size = put_raw_toc(drive, to);
    if (!size) {
        atapi_fail(drive, BAD_FIELD);
        return;
    }
    store_be16(to, (uint16_t)(size - 2));
    to[2] = to[3] = 1; /* first and last track or session */
    atapi_send(drive, size, load_be16(packet + 7));
}

void atapi_read_disc_info(struct ide_drive *drive, const uint8_t *packet)
{
    /* Complete, the last session too; one session, track 1 to 1; for unrestricted use; CD-ROM; no more lead-in or -out. */
    static const uint8_t answer[34] = {
        0, 32, 0x0e, 1, 1, 1, 1, 0x20, [16] = 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

    if (packet[1] & 7) {
        atapi_fail(drive, BAD_FIELD);
        return;
    }
    memcpy(drive->buffer, answer, sizeof(answer));
    atapi_send(drive, sizeof(answer), load_be16(packet + 7));
}

/* By block, by track or by session: each of them leads to the only track. */
void atapi_read_track_info(struct ide_drive *drive, const uint8_t *packet)
{
    static const uint8_t answer[36] = {0, 34, 1, 1, 0, 0x04, 0x01};
    uint32_t number = load_be32(packet + 2);
    unsigned by = packet[1] & 3;

    if (by == 3 || (by && number != 1) || (!by && number >= ide_blocks(drive))) {
        atapi_fail(drive, BAD_FIELD);
        return;
    }
    memcpy(drive->buffer, answer, sizeof(answer));
    store_be32(drive->buffer + 24, (uint32_t)ide_blocks(drive));
    atapi_send(drive, sizeof(answer), load_be16(packet + 7));
}
