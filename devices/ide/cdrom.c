/* The medium and its tray: what is in the drive, and what the guest is told of it. */
#include "devices/ide/ide_private.h"

#include "base/error.h"

#include <errno.h>
#include <string.h>

#define NOT_PRESENT       0x02, 0x3a, 0x01
#define WAS_RESET         0x06, 0x29, 0x00
#define MAY_HAVE_CHANGED  0x06, 0x28, 0x00
#define REMOVAL_PREVENTED 0x05, 0x53, 0x02
#define BAD_FIELD         0x05, 0x24, 0x00

#define SENSE_SIZE 18

/* --- what the guest must be told --- */

/*
 * After a change a guest sees first no medium, then another one: those that only ask whether the drive is ready find out
 * too. Nothing is told while there is none.
 */
bool cdrom_no_attention(struct ide_drive *drive)
{
    struct cdrom *cd = &drive->cdrom;

    if (cd->was_reset) {
        cd->was_reset = false;
        atapi_fail(drive, WAS_RESET);
        return false;
    }
    if (cd->change == CDROM_STEADY || !cdrom_ready(drive))
        return true;
    if (cd->change == CDROM_GONE) {
        cd->change = CDROM_CHANGED;
        atapi_fail(drive, NOT_PRESENT);
    } else {
        cd->change = CDROM_STEADY;
        atapi_fail(drive, MAY_HAVE_CHANGED);
    }
    return false;
}

void cdrom_request_sense(struct ide_drive *drive, const uint8_t *packet)
{
    struct cdrom *cd = &drive->cdrom;
    uint8_t *sense = drive->buffer;

    memset(sense, 0, SENSE_SIZE);
    sense[0] = 0x70;
    sense[2] = cd->key;
    sense[7] = SENSE_SIZE - 8;
    sense[12] = cd->asc;
    sense[13] = cd->ascq;
    atapi_send(drive, SENSE_SIZE, packet[4]);
}

/* --- the tray --- */

static void set_tray(struct ide_drive *drive, bool open)
{
    struct cdrom *cd = &drive->cdrom;

    if (cd->tray_open == open)
        return;
    cd->tray_open = open;
    if (!drive->disk)
        return;
    cd->removal = open;
    cd->new_medium = !open;
    cd->change = CDROM_GONE;
}

void cdrom_start_stop(struct ide_drive *drive, const uint8_t *packet)
{
    bool start = packet[4] & 1, load_eject = packet[4] & 2;

    if (packet[4] & 0xf0) /* a power condition */
        load_eject = false;
    if (load_eject && !start && drive->cdrom.locked) {
        atapi_fail(drive, REMOVAL_PREVENTED);
        return;
    }
    if (load_eject)
        set_tray(drive, !start);
    atapi_succeed(drive);
}

void cdrom_prevent_allow(struct ide_drive *drive, const uint8_t *packet)
{
    drive->cdrom.locked = packet[4] & 1;
    atapi_succeed(drive);
}

/* --- GET EVENT STATUS NOTIFICATION (MMC-5, 6.7): the media class --- */

enum { CLASS_MEDIA = 4, NO_EVENT = 0x80, POLLED = 1 };
enum { EVENT_NONE, EVENT_EJECT_REQUEST, EVENT_NEW_MEDIUM, EVENT_REMOVAL };

static uint8_t take_event(struct cdrom *cd)
{
    uint8_t event = cd->eject_request ? EVENT_EJECT_REQUEST
                    : cd->removal     ? EVENT_REMOVAL
                    : cd->new_medium  ? EVENT_NEW_MEDIUM
                                      : EVENT_NONE;

    if (event == EVENT_EJECT_REQUEST)
        cd->eject_request = false;
    else if (event == EVENT_REMOVAL)
        cd->removal = false;
    else
        cd->new_medium = false;
    return event;
}

void cdrom_get_event(struct ide_drive *drive, const uint8_t *packet)
{
    struct cdrom *cd = &drive->cdrom;
    uint8_t *answer = drive->buffer;
    bool media = packet[4] & 1u << CLASS_MEDIA;

    if (!(packet[1] & POLLED)) {
        atapi_fail(drive, BAD_FIELD);
        return;
    }
    memset(answer, 0, 8);
    answer[1] = media ? 6 : 2; /* bytes that follow */
    answer[2] = media ? CLASS_MEDIA : NO_EVENT;
    answer[3] = 1u << CLASS_MEDIA;
    if (media && load_be16(packet + 7) > 4) {
        answer[4] = take_event(cd);
        answer[5] = (uint8_t)((cdrom_ready(drive) ? 2 : 0) | (cd->tray_open ? 1 : 0));
    }
    atapi_send(drive, media ? 8 : 4, load_be16(packet + 7));
}

/* --- the user --- */

static struct ide_drive *cdrom_at(struct ide *ide, unsigned unit)
{
    struct ide_drive *drive = unit < IDE_UNITS ? &ide->channels[unit / IDE_DRIVES].drives[unit % IDE_DRIVES] : NULL;

    if (drive && drive->kind == IDE_CDROM)
        return drive;
    fail(-EINVAL, "IDE unit %u is no CD-ROM drive", unit);
    return NULL;
}

int ide_cdrom_state(struct ide *ide, unsigned unit, struct ide_cdrom_state *state)
{
    struct ide_drive *drive = cdrom_at(ide, unit);

    if (!drive)
        return -EINVAL;
    machine_lock(ide->pci.base.machine);
    *state =
        (struct ide_cdrom_state){.loaded = drive->disk, .open = drive->cdrom.tray_open, .locked = drive->cdrom.locked};
    machine_unlock(ide->pci.base.machine);
    return 0;
}

/* What a command makes of a medium that is pulled out. */
static void end_command(struct ide_drive *drive)
{
    if (drive->phase == IDE_IDLE || !drive->transfer.medium)
        return;
    ide_io_abandon(drive);
    atapi_fail(drive, NOT_PRESENT);
}

static struct disk *swap(struct ide_drive *drive, struct disk *disk)
{
    struct cdrom *cd = &drive->cdrom;
    struct disk *old = drive->disk;

    end_command(drive);
    ide_io_drain(drive->ide); /* the old medium is given back */
    drive->disk = disk;
    cd->locked = cd->eject_request = false;
    cd->tray_open = !disk;
    cd->removal |= old != NULL;
    cd->new_medium = disk != NULL;
    cd->change = CDROM_GONE;
    return old;
}

int ide_cdrom_change(struct ide *ide, unsigned unit, struct disk *disk, bool force, struct disk **old)
{
    struct ide_drive *drive = cdrom_at(ide, unit);
    int err = 0;

    if (!drive)
        return -EINVAL;
    machine_lock(ide->pci.base.machine);
    if (drive->cdrom.locked && !drive->cdrom.tray_open && !force) {
        drive->cdrom.eject_request = true;
        err = fail(-EBUSY, "the guest has locked the CD-ROM drive; it was asked to eject: try again, or force it");
    } else {
        *old = swap(drive, disk);
    }
    machine_unlock(ide->pci.base.machine);
    return err;
}

/* --- life --- */

/* The tray stays as it is, so that an installer that ejects its medium and reboots is not started again. */
void cdrom_reset(struct ide_drive *drive, bool hard)
{
    struct cdrom *cd = &drive->cdrom;

    cd->key = cd->asc = cd->ascq = 0;
    if (!hard)
        return;
    cd->locked = cd->eject_request = cd->removal = cd->new_medium = false;
    cd->change = CDROM_STEADY;
    cd->was_reset = true;
}

void cdrom_save(const struct ide_drive *drive, struct writer *w)
{
    const struct cdrom *cd = &drive->cdrom;
    const bool flags[] = {cd->tray_open, cd->locked, cd->eject_request, cd->removal, cd->new_medium, cd->was_reset};
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(flags); i++)
        writer_u8(w, flags[i]);
    writer_u8(w, cd->change);
    writer_u8(w, cd->key);
    writer_u8(w, cd->asc);
    writer_u8(w, cd->ascq);
}

int cdrom_load(struct ide_drive *drive, struct reader *r)
{
    struct cdrom *cd = &drive->cdrom;
    bool *flags[] = {&cd->tray_open, &cd->locked, &cd->eject_request, &cd->removal, &cd->new_medium, &cd->was_reset};
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(flags); i++)
        *flags[i] = reader_u8(r) & 1;
    cd->change = reader_u8(r);
    cd->key = reader_u8(r) & 0x0f;
    cd->asc = reader_u8(r);
    cd->ascq = reader_u8(r);
    return r->bad || cd->change >= CDROM_CHANGES ? -EINVAL : 0;
}
