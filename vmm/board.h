/*
 * board.h - the machine put together: the only part that knows every device.
 *
 * Threads: all calls in the main loop's thread.
 */
#ifndef VMM_BOARD_H
#define VMM_BOARD_H

#include "backend/chardev.h"
#include "backend/display.h"
#include "backend/input.h"
#include "backend/sound.h"
#include "vmm/config.h"
#include "vmm/device.h"

struct board;
struct virtio_balloon;
struct virtio_net;

/* iPXE, as the package ipxe-qemu installs it, for --boot network. */
#define BOARD_NETWORK_ROM "/usr/lib/ipxe/qemu/pxe-virtio.rom"

/*
 * What the guest asks for (machine_request) arrives through `request` in the main loop's thread, once per run of the
 * vCPUs. Errors come with fail_text().
 */
int board_create(struct board **board, const struct vm_config *config, struct loop *loop,
                 void (*request)(void *opaque, enum machine_request what), void *opaque);
/*
 * Stops the vCPUs; flushes and closes the disks; then a saved machine's file gets its name. The first error that lost
 * data or the file, or 0. What the host could not do for a disk and was kept for another try is lost.
 */
int board_destroy(struct board *board);

/* Everything as at power-on; the vCPUs stand still before and after. */
int board_reset(struct board *board);
void board_start(struct board *board);
void board_stop(struct board *board);
bool board_running(const struct board *board);

/*
 * The vCPUs stand still. After board_save() all that is left is board_destroy(); on an error the machine can go on.
 * board_restore() takes the place of the first board_reset(). 0 or -errno with fail_text().
 */
int board_save(struct board *board, const char *path);
int board_restore(struct board *board, const char *path);

/* Disks, CD-ROM drives and the images that came later, each with a number below this for as long as it is there. */
#define BOARD_MAX_BACKENDS 32 /* disks and networks that came while the machine runs (board_plug.h) */
#define BOARD_MAX_DRIVES   (CONFIG_MAX_DISKS + CONFIG_MAX_CDROMS + BOARD_MAX_BACKENDS)
#define BOARD_MAX_ID       63 /* bytes of a name: a letter, then letters, digits and -._ */

/*
 * What the disks tell: a fault, or NULL when everything is done that a disk's device kept for another try. In the
 * main loop's thread; perhaps once more after board_destroy().
 */
typedef void board_fault_fn(void *opaque, unsigned drive, const struct disk_fault *fault);
void board_watch_disks(struct board *board, board_fault_fn *fn, void *opaque);
/* Try again what is kept; the answer comes as a call of the above. */
void board_retry_disks(struct board *board);

/* A disk or CD-ROM drive, by the name that QEMU gives it; one that came later by its node's. */
struct board_drive {
    char device[BOARD_MAX_ID + 1];
    const struct disk *disk; /* NULL: no medium */
    const struct disk_options *options;
    bool removable, locked, tray_open;
};
/* false: none has that number, which is below BOARD_MAX_DRIVES. */
bool board_drive(struct board *board, unsigned n, struct board_drive *drive);

void board_power_button(struct board *board);

/*
 * Put another image into CD-ROM drive n (in the order of the command line), or, path NULL, open its tray with nothing on
 * it. -EBUSY while the guest locks the drive, unless forced; errors come with fail_text(), and change nothing.
 */
int board_change_cdrom(struct board *board, unsigned n, const char *path, bool force);

struct input *board_input(struct board *board);
#define BOARD_MAX_DISPLAYS CONFIG_MAX_QXL
/* Number n, which is its id too; below BOARD_MAX_DISPLAYS. NULL: there is none. 0 is what firmware shows. */
struct display *board_display(struct board *board, unsigned n);
struct sound *board_sound(struct board *board); /* NULL: there is no sound card */
struct chardev *board_serial(struct board *board);
/* Whose other end is not of this machine (config->ports[i], without a spec): `end` is it from now on, or NULL. */
int board_connect_port(struct board *board, unsigned i, struct chardev *end);
struct virtio_net *board_net(struct board *board);         /* NULL: none */
struct virtio_balloon *board_balloon(struct board *board); /* NULL: none */

#endif
