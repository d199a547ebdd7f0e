/* board_fault.c - what the disks' thread tells of requests that the host could not do, and the drives as seen outside. */
#include "base/error.h"
#include "base/log.h"
#include "vmm/board_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The numbers of drives: first the command line's disks. */
#define FIRST_CDROM   CONFIG_MAX_DISKS
#define FIRST_BACKEND (FIRST_CDROM + CONFIG_MAX_CDROMS)

/* --- faults: from the disks' thread to the main loop --- */

/* It may be delivered when the board is gone: so there is nothing of the board in it. */
struct message {
    board_fault_fn *fn;
    void *opaque;
    unsigned drive;
    bool recovered;
    struct disk_fault fault;
};

static void deliver(void *arg)
{
    struct message m = *(struct message *)arg;

    free(arg);
    m.fn(m.opaque, m.drive, m.recovered ? NULL : &m.fault);
}

static void send_message(const struct board_watch *watch, const struct disk_fault *fault)
{
    struct board *board = watch->board;
    struct message *m = malloc(sizeof(*m));

    if (!m)
        abort();
    *m = (struct message){board->on_fault, board->fault_opaque, watch->drive, !fault};
    if (fault)
        m->fault = *fault;
    loop_call(board->machine.loop, deliver, m);
}

static void on_fault(void *opaque, const struct disk_fault *fault)
{
    send_message(opaque, fault);
}

static void on_recovered(void *opaque)
{
    send_message(opaque, NULL);
}

static const struct backend *backend_of(const struct board *board, unsigned drive)
{
    const struct backend *b;

    TAILQ_FOREACH(b, &board->backends, link)
        if (b->kind == BOARD_DISK && FIRST_BACKEND + b->number == drive)
            return b;
    return NULL;
}

/* NULL: none, or a CD-ROM drive, whose medium only reads. */
static struct disk *watched_disk(const struct board *board, unsigned drive)
{
    const struct backend *b = backend_of(board, drive);

    return b ? b->disk : drive < ARRAY_SIZE(board->disks) ? board->disks[drive] : NULL;
}

/* In the disks' thread, as all that follows and has `arg`. */
static void watch_disk(void *arg)
{
    struct board_watch *watch = arg;
    const struct disk_watcher watcher = {on_fault, on_recovered, watch};
    struct disk *disk = watched_disk(watch->board, watch->drive);

    if (disk)
        disk_watch(disk, &watcher);
}

static void watch_disks(void *arg)
{
    struct board *board = arg;
    unsigned i;

    for (i = 0; i < BOARD_MAX_DRIVES; i++)
        watch_disk(&board->watches[i]);
}

void board_watch_backend(struct board *board, const struct backend *backend)
{
    if (board->on_fault)
        loop_call_wait(&board->disk_loop, watch_disk, &board->watches[FIRST_BACKEND + backend->number]);
}

void board_watch_disks(struct board *board, board_fault_fn *fn, void *opaque)
{
    unsigned i;

    board->on_fault = fn;
    board->fault_opaque = opaque;
    for (i = 0; i < BOARD_MAX_DRIVES; i++)
        board->watches[i] = (struct board_watch){board, i};
    if (board->disk_thread)
        loop_call_wait(&board->disk_loop, watch_disks, board);
}

static int lost_with(const struct disk *disk)
{
    log_error("disk '%s': what the guest was writing is lost, since the host could not write it", disk->path);
    return disk->kept_error;
}

struct unwatching {
    struct board *board;
    int err;
};

static void unwatch_disks(void *arg)
{
    struct unwatching *u = arg;
    struct disk *disk;
    unsigned i;

    for (i = 0; i < BOARD_MAX_DRIVES; i++)
        if ((disk = watched_disk(u->board, i)) && disk_watch(disk, NULL))
            u->err = lost_with(disk);
}

int board_unwatch_disks(struct board *board)
{
    struct unwatching u = {.board = board};

    if (board->disk_thread)
        loop_call_wait(&board->disk_loop, unwatch_disks, &u);
    return u.err;
}

/* --- what is kept --- */

struct looking {
    struct board *board;
    const struct disk *found;
};

static void find_kept(void *arg)
{
    struct looking *l = arg;
    const struct disk *disk;
    unsigned i;

    for (i = 0; i < BOARD_MAX_DRIVES && !l->found; i++)
        if ((disk = watched_disk(l->board, i)) && disk->kept)
            l->found = disk;
}

int board_check_disks(struct board *board)
{
    struct looking l = {.board = board};

    if (board->disk_thread)
        loop_call_wait(&board->disk_loop, find_kept, &l);
    if (!l.found)
        return 0;
    return fail(-EBUSY, "disk '%s' could not do what the guest asked for, and it waits to be tried again; make room first",
                l.found->path);
}

void board_retry_disks(struct board *board)
{
    struct device *device;

    TAILQ_FOREACH(device, &board->machine.devices, link)
        if (device->ops->retry)
            device->ops->retry(device);
}

/* --- drives --- */

static void show_disk(struct board *board, unsigned n, struct board_drive *drive)
{
    unsigned unit = board->ide_units[n];

    drive->disk = board->disks[n];
    drive->options = &board->config->disks[n];
    if (board->config->drives[n].bus == BUS_IDE)
        snprintf(drive->device, sizeof(drive->device), "ide%u-hd%u", unit / 2, unit % 2);
    else
        snprintf(drive->device, sizeof(drive->device), "virtio%u", n);
}

static void show_cdrom(struct board *board, unsigned n, struct board_drive *drive)
{
    struct ide_cdrom_state state;

    drive->disk = board->cdroms[n];
    drive->options = &board->config->cdroms[n];
    drive->removable = true;
    snprintf(drive->device, sizeof(drive->device), "ide1-cd%u", n);
    if (ide_cdrom_state(board->ide, IDE_CDROM_UNIT + n, &state))
        return;
    drive->locked = state.locked;
    drive->tray_open = state.open;
}

static void show_backend(const struct backend *backend, struct board_drive *drive)
{
    drive->disk = backend->disk;
    drive->options = &backend->options;
    strcpy(drive->device, backend->id);
}

bool board_drive(struct board *board, unsigned n, struct board_drive *drive)
{
    const struct vm_config *c = board->config;
    const struct backend *b = backend_of(board, n);

    *drive = (struct board_drive){0};
    if (n < c->disk_count)
        show_disk(board, n, drive);
    else if (n >= FIRST_CDROM && n - FIRST_CDROM < c->cdrom_count)
        show_cdrom(board, n - FIRST_CDROM, drive);
    else if (b)
        show_backend(b, drive);
    return drive->options;
}
