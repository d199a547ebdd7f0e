#include "devices/ide/ide_private.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

/* In the disks' loop. */
static void submit(void *arg)
{
    struct ide_drive *drive = arg;

    drive->given_up = false;
    disk_submit(drive->disk, &drive->request);
}

/* In the disks' loop, which must not wait for the device lock: the rest is the main loop's. */
static void end(struct ide_drive *drive, int result)
{
    struct ide *ide = drive->ide;

    drive->result = result;
    __atomic_store_n(&drive->ended, true, __ATOMIC_RELEASE);
    notifier_signal(&ide->ends);
}

static void done(struct disk_request *request, int result)
{
    struct ide_drive *drive = container_of(request, struct ide_drive, request);

    if (drive->given_up) {
        disk_drop(drive->disk, request);
        end(drive, -ECANCELED);
    } else if (disk_keeps(drive->disk, request, result)) {
        __atomic_store_n(&drive->kept, true, __ATOMIC_RELEASE);
        notifier_signal(&drive->ide->ends); /* a drain need not wait for it */
    } else {
        end(drive, result);
    }
}

/* In the disks' loop: true if the request is not kept any more. */
static bool take_kept(struct ide_drive *drive)
{
    return __atomic_exchange_n(&drive->kept, false, __ATOMIC_ACQ_REL);
}

static void give_up(void *arg)
{
    struct ide_drive *drive = arg;

    drive->given_up = true;
    if (take_kept(drive))
        done(&drive->request, 0);
}

static void retry(void *arg)
{
    struct ide_drive *drive = arg;

    if (take_kept(drive))
        disk_retry(drive->disk, &drive->request);
}

void ide_io_submit(struct ide_drive *drive, enum disk_op op, uint64_t offset, uint8_t *data, uint64_t bytes)
{
    assert(!drive->in_flight);
    drive->iov = (struct iovec){data, bytes};
    drive->request = (struct disk_request){
        .op = op, .offset = offset, .bytes = bytes, .iov = &drive->iov, .iov_count = data ? 1 : 0, .done = done};
    drive->phase = IDE_MEDIUM;
    drive->in_flight = true;
    loop_call(drive->ide->loop, submit, drive);
}

void ide_io_abandon(struct ide_drive *drive)
{
    drive->orphaned = drive->in_flight;
    if (drive->in_flight)
        loop_call(drive->ide->loop, give_up, drive);
}

static void collect(struct ide_drive *drive)
{
    if (!__atomic_exchange_n(&drive->ended, false, __ATOMIC_ACQ_REL))
        return;
    drive->in_flight = false;
    if (drive->orphaned)
        drive->orphaned = false;
    else
        ide_transfer_io_ended(drive, drive->result);
}

static struct ide_drive *drive_of(struct ide *ide, unsigned unit)
{
    return &ide->channels[unit / IDE_DRIVES].drives[unit % IDE_DRIVES];
}

/* In the main loop. */
static void collect_all(void *opaque)
{
    struct ide *ide = opaque;
    unsigned unit;

    machine_lock(ide->pci.base.machine);
    for (unit = 0; unit < IDE_UNITS; unit++)
        collect(drive_of(ide, unit));
    machine_unlock(ide->pci.base.machine);
}

void ide_io_retry(struct ide *ide)
{
    unsigned unit;

    for (unit = 0; unit < IDE_UNITS; unit++)
        if (drive_of(ide, unit)->model)
            loop_call(ide->loop, retry, drive_of(ide, unit));
}

/* What was given up ends, kept or not. */
static bool will_end(const struct ide_drive *drive)
{
    return drive->in_flight && (drive->orphaned || !__atomic_load_n(&drive->kept, __ATOMIC_ACQUIRE));
}

static bool any_will_end(struct ide *ide)
{
    unsigned unit;

    for (unit = 0; unit < IDE_UNITS; unit++)
        if (will_end(drive_of(ide, unit)))
            return true;
    return false;
}

void ide_io_drain(struct ide *ide)
{
    while (any_will_end(ide)) {
        struct pollfd fd = {.fd = ide->ends.fd, .events = POLLIN};

        poll(&fd, 1, -1);
        notifier_clear(&ide->ends);
        collect_all(ide);
    }
}

int ide_io_init(struct ide *ide)
{
    int err = notifier_init(&ide->ends);

    return err ? err : notifier_attach(&ide->ends, ide->pci.base.machine->loop, collect_all, ide);
}

static void nothing(void *arg UNUSED)
{
}

void ide_io_fini(struct ide *ide)
{
    unsigned unit;

    for (unit = 0; unit < IDE_UNITS; unit++)
        ide_io_abandon(drive_of(ide, unit));
    ide_io_drain(ide);
    loop_call_wait(ide->loop, nothing, NULL); /* done() may still be about to signal */
    notifier_detach(&ide->ends);
    notifier_fini(&ide->ends);
}
