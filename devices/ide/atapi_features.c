/* GET CONFIGURATION and READ DVD STRUCTURE (MMC-5, 6.6 and 6.22): which kinds of medium there are, and which this is. */
#include "devices/ide/ide_private.h"

#include <string.h>

#define BAD_FIELD    0x05, 0x24, 0x00
#define WRONG_MEDIUM 0x05, 0x30, 0x02 /* cannot read medium: incompatible format */

#define CD_MAX_BLOCKS (80 * 60 * 75) /* a medium with more is a DVD */

enum { PROFILE_NONE = 0, PROFILE_CD = 0x08, PROFILE_DVD = 0x10 };
enum { ALL_FEATURES, CURRENT_FEATURES, ONE_FEATURE };
enum { WITH_CD = 1, WITH_DVD = 2, ALWAYS = 4 };
enum { CURRENT = 1 };

bool cdrom_is_dvd(const struct ide_drive *drive)
{
    return ide_blocks(drive) > CD_MAX_BLOCKS;
}

static unsigned profile(const struct ide_drive *drive)
{
    if (!cdrom_ready(drive))
        return PROFILE_NONE;
    return cdrom_is_dvd(drive) ? PROFILE_DVD : PROFILE_CD;
}

/* version_persistent: bits 5-2 version, bit 1 always there; current: with which media */
static const struct feature {
    uint16_t code;
    uint8_t version_persistent, current, size;
    uint8_t data[8];
} features[] = {
    {0x0000,
     0x03 & 2,
     ALWAYS,
     8,
     {0, PROFILE_DVD, 0, 0, 0, PROFILE_CD}},                   /* profile list; which is current comes later */
    {0x0001, 0x0a, ALWAYS, 8, {0, 0, 0, 2, 1}},                /* core: ATAPI, device busy event */
    {0x0003, 0x06, ALWAYS, 4, {0x29}},                         /* removable: tray, eject, lock */
    {0x0010, 0x00, WITH_CD | WITH_DVD, 8, {0, 0, 8, 0, 0, 1}}, /* random readable, blocks of 2048 */
    {0x001e, 0x08, WITH_CD, 4, {0}},                           /* CD read */
    {0x001f, 0x00, WITH_DVD, 4, {0}},                          /* DVD read */
    {0x0100, 0x02, ALWAYS, 0, {0}},                            /* power management */
    {0x0105, 0x02, ALWAYS, 0, {0}},                            /* time-out */
};

static bool is_current(const struct feature *f, unsigned now)
{
    return f->current & (ALWAYS | (now == PROFILE_CD ? WITH_CD : now == PROFILE_DVD ? WITH_DVD : 0));
}

static uint32_t put_feature(uint8_t *to, const struct feature *f, unsigned now)
{
    store_be16(to, f->code);
    to[2] = (uint8_t)(f->version_persistent | (is_current(f, now) ? CURRENT : 0));
    to[3] = f->size;
    memcpy(to + 4, f->data, f->size);
    if (f->code == 0) { /* profiles have a current bit of their own */
        to[4 + 2] = now == PROFILE_DVD;
        to[4 + 6] = now == PROFILE_CD;
    }
    return 4u + f->size;
}

void atapi_get_configuration(struct ide_drive *drive, const uint8_t *packet)
{
    unsigned which = packet[1] & 3, from = load_be16(packet + 2), now = profile(drive), i;
    uint32_t size = 8;

    if (which > ONE_FEATURE) {
        atapi_fail(drive, BAD_FIELD);
        return;
    }
    memset(drive->buffer, 0, size);
    for (i = 0; i < ARRAY_SIZE(features); i++) {
        const struct feature *f = &features[i];
        bool wanted = which == ONE_FEATURE ? f->code == from : f->code >= from;

        if (wanted && (which != CURRENT_FEATURES || is_current(f, now)))
            size += put_feature(drive->buffer + size, f, now);
    }
    store_be32(drive->buffer, size - 4);
    store_be16(drive->buffer + 6, (uint16_t)now);
    atapi_send(drive, size, load_be16(packet + 7));
}

/* --- READ DVD STRUCTURE --- */

enum { DVD_PHYSICAL = 0, DVD_COPYRIGHT = 1, DVD_MANUFACTURING = 4 };

#define DVD_FIRST_BLOCK 0x30000

static uint32_t put_physical(const struct ide_drive *drive, uint8_t *to)
{
    memset(to, 0, 2048);
    to[0] = 0x01; /* DVD-ROM, version 1 */
    to[1] = 0x0f; /* 120 mm, no maximum rate */
    to[2] = 0x01; /* one layer, read-only */
    store_be32(to + 4, DVD_FIRST_BLOCK);
    store_be32(to + 8, DVD_FIRST_BLOCK + (uint32_t)ide_blocks(drive) - 1);
    return 2048;
}

void atapi_read_dvd_structure(struct ide_drive *drive, const uint8_t *packet)
{
    uint8_t *to = drive->buffer + 4;
    uint32_t size;

    if (!cdrom_is_dvd(drive)) {
        atapi_fail(drive, WRONG_MEDIUM);
        return;
    }
    if (packet[6] || (packet[7] != DVD_PHYSICAL && packet[7] != DVD_COPYRIGHT && packet[7] != DVD_MANUFACTURING)) {
        atapi_fail(drive, BAD_FIELD);
        return;
    }
    memset(drive->buffer, 0, 4 + 2048);
    size = packet[7] == DVD_PHYSICAL ? put_physical(drive, to) : packet[7] == DVD_COPYRIGHT ? 4 : 2048;
    store_be16(drive->buffer, (uint16_t)(size + 2));
    atapi_send(drive, size + 4, load_be16(packet + 8));
}
