/*
 * run_disk.c - a run whose host cannot do what a disk is asked for, most likely since its own disk is full.
 *
 * The disk's device keeps the request; the machine stands still (RUN_STATE_IO_ERROR). For want of space the request is
 * tried again every few seconds, which is the only sure way to learn whether there is room: quotas, reserves and thin
 * volumes say nothing else. When all that was kept is done, the machine goes on, with nobody's help.
 */
#include "base/log.h"
#include "vmm/run_private.h"

#include <errno.h>
#include <string.h>

#define RETRY_INTERVAL 2000 /* ms */

static bool is_space(int err)
{
    return err == -ENOSPC || err == -EDQUOT;
}

static const char *path_of(const struct board_drive *drive)
{
    return drive->disk ? drive->disk->path : "?";
}

static void say(const struct board_drive *drive, int err)
{
    const char *path = path_of(drive);
    const char *place = drive->options->snapshot ? " (what it changes, in $TMPDIR or /var/tmp)" : "";

    if (is_space(err))
        log_error("disk '%s'%s: %s; the machine is paused; make room and it goes on", path, place,
                  err == -EDQUOT ? "the quota on the host is used up" : "no space left on the host");
    else
        log_error("disk '%s'%s: %s; the machine is paused; cont at --control has it try again", path, place,
                  strerror(-err));
}

static void send_event(struct run *run, const struct board_drive *drive, const struct disk_fault *fault)
{
    qmp_event(run->qmp, "BLOCK_IO_ERROR",
              json_pack("{s:s, s:s, s:s, s:b, s:s}", "device", drive->device, "operation",
                        fault->op == DISK_READ ? "read" : "write", "action", fault->kept ? "stop" : "report",
                        "nospace", is_space(fault->err), "reason", strerror(-fault->err)));
}

static void try_again(uv_timer_t *timer)
{
    struct run *run = timer->data;

    if (run->state == RUN_STATE_IO_ERROR)
        board_retry_disks(run->board);
    else
        uv_timer_stop(timer);
}

static void stand_still(struct run *run)
{
    if (run->state != RUN_STATE_RUNNING)
        return;
    board_stop(run->board);
    run->state = RUN_STATE_IO_ERROR;
    qmp_event(run->qmp, "STOP", NULL);
}

static void on_kept(struct run *run, const struct board_drive *drive, int *error, const struct disk_fault *fault)
{
    /* Tried again in vain: that was said before. */
    if (*error && run->state == RUN_STATE_IO_ERROR)
        return;
    *error = fault->err;
    send_event(run, drive, fault);
    say(drive, fault->err);
    stand_still(run);
    if (is_space(fault->err))
        uv_timer_start(&run->retry, try_again, RETRY_INTERVAL, RETRY_INTERVAL);
}

static bool any_error(const struct run *run)
{
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(run->disk_errors); i++)
        if (run->disk_errors[i])
            return true;
    return false;
}

static void on_recovered(struct run *run, const struct board_drive *drive, int *error)
{
    *error = 0;
    if (run->state != RUN_STATE_IO_ERROR || any_error(run))
        return;
    log_warn("disk '%s': what waited is done; the machine goes on", path_of(drive));
    run_resume(run);
}

static void on_fault(void *opaque, unsigned n, const struct disk_fault *fault)
{
    struct run *run = opaque;
    struct board_drive drive;

    if (run->ended || !run->board || !board_drive(run->board, n, &drive))
        return;
    if (!fault)
        on_recovered(run, &drive, &run->disk_errors[n]);
    else if (fault->kept)
        on_kept(run, &drive, &run->disk_errors[n], fault);
    else
        send_event(run, &drive, fault);
}

void run_retry_disks(struct run *run)
{
    memset(run->disk_errors, 0, sizeof(run->disk_errors));
    board_retry_disks(run->board);
}

void run_watch_disks(struct run *run)
{
    uv_timer_init(&run->loop.uv, &run->retry);
    run->retry.data = run;
    board_watch_disks(run->board, on_fault, run);
}
