/*
 * ide.h - the IDE function of the PIIX3 (82371SB, 2.2 and 3.3): two channels of two drives, disks or ATAPI CD-ROMs, at
 * the ports where PCs have always had them, with bus-master DMA.
 *
 * Threads: everything is under the device lock. Requests go to the disks' loop and come back by way of the main loop:
 * the disks' thread never waits for the device lock, because a vCPU that resets a virtio disk holds it while it waits
 * for that thread.
 */
#ifndef DEVICES_IDE_IDE_H
#define DEVICES_IDE_IDE_H

#include "backend/disk.h"
#include "vmm/device.h"

#define IDE_UNITS      4    /* 0 and 1: primary master and slave; 2 and 3: secondary */
#define IDE_DEVFN      0x09 /* 00:01.1 */
#define IDE_SERIAL_MAX 20

enum ide_kind { IDE_NONE, IDE_DISK, IDE_CDROM };

struct ide_unit_options {
    enum ide_kind kind;
    struct disk
        *disk; /* the caller's; closed (in its loop) after the device is destroyed. NULL: an empty CD-ROM drive */
    const char *serial; /* at most IDE_SERIAL_MAX bytes are seen; NULL: made from the unit's number */
};

struct ide_options {
    struct loop *loop; /* the disks', running in a thread of its own until the device is destroyed */
    struct ide_unit_options units[IDE_UNITS];
};

struct ide;

/* Errors come with fail_text(). The machine destroys it. */
int ide_create(struct ide **ide, struct machine *machine, const struct ide_options *options);

struct ide_cdrom_state {
    bool loaded; /* there is a medium, in the drive or on its tray */
    bool open;   /* the tray is out */
    bool locked; /* the guest wants it to stay in */
};

/* Main loop. -EINVAL if the unit is no CD-ROM drive. */
int ide_cdrom_state(struct ide *ide, unsigned unit, struct ide_cdrom_state *state);

/*
 * Take the medium out and put `disk` in, or (NULL) leave the tray open and empty. A drive that the guest has locked
 * refuses with -EBUSY and shows the guest that its button was pressed, unless forced. A command in flight ends as it
 * does when a medium is pulled out. The medium that was there, or NULL, goes to *old: the caller closes it, in its
 * loop. Main loop, without the device lock. Errors come with fail_text(); then nothing has changed.
 */
int ide_cdrom_change(struct ide *ide, unsigned unit, struct disk *disk, bool force, struct disk **old);

#endif
