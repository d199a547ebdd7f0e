#include "devices/ide/ide_private.h"

#include <poll.h>
#include <string.h>

/* In the disks' loop. */
static void submit(void *arg)
{
    struct ide_drive *drive = arg;

    disk_submit(drive->disk, &drive->request);
}

/* In the disks' loop, which must not wait for the device lock: the rest is the main loop's. */
static void done(struct disk_request *request, int result)
{
    struct ide_drive *drive = container_of(request, struct ide_drive, request);
    struct ide *ide = drive->ide;

    drive->result = result;
    __atomic_store_n(&drive->ended, true, __ATOMIC_RELEASE);
    notifier_signal(&ide->ends);
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

static bool any_in_flight(struct ide *ide)
{
    unsigned unit;

    for (unit = 0; unit < IDE_UNITS; unit++)
        if (drive_of(ide, unit)->in_flight)
            return true;
    return false;
}

void ide_io_drain(struct ide *ide)
{
    while (any_in_flight(ide)) {
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
