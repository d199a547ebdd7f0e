/* fault.c - requests that the host could not do: which are kept, and who hears of it (backend/disk.h). */
#include "base/base.h"
#include "backend/disk.h"

#include <errno.h>
#include <time.h>

#define REPORT_INTERVAL 1000 /* ms: a guest can make errors as fast as it likes */

static uint64_t now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* A request that no host could do: outside the disk, onto one that is read-only or does not know it, forged. */
static bool is_the_guests(int err)
{
    return err == -EINVAL || err == -EROFS || err == -ENOTSUP || err == -EPERM;
}

static bool wants_to_keep(const struct disk *disk, enum disk_op op, int err)
{
    enum disk_on_error how = op == DISK_READ ? disk->on_read_error : disk->on_write_error;

    if (!disk->watcher.fault || how == DISK_ON_ERROR_REPORT || is_the_guests(err))
        return false;
    return how == DISK_ON_ERROR_STOP || err == -ENOSPC || err == -EDQUOT;
}

static void tell(const struct disk *disk, enum disk_op op, int err, bool kept)
{
    const struct disk_fault fault = {op, err, kept};

    if (disk->watcher.fault)
        disk->watcher.fault(disk->watcher.opaque, &fault);
}

static void report(struct disk *disk, enum disk_op op, int err)
{
    uint64_t *failed = &disk->counts[op].failed, time = now();

    __atomic_store_n(failed, *failed + 1, __ATOMIC_RELAXED);
    if (is_the_guests(err) || (disk->reported && time - disk->reported < REPORT_INTERVAL))
        return;
    disk->reported = time;
    tell(disk, op, err, false);
}

static void settle(struct disk *disk, struct disk_request *request)
{
    request->kept = false;
    if (--disk->kept)
        return;
    disk->told = false;
    if (disk->watcher.recovered)
        disk->watcher.recovered(disk->watcher.opaque);
}

static void keep(struct disk *disk, struct disk_request *request, int err)
{
    disk->kept += !request->kept;
    request->kept = true;
    disk->kept_error = err;
    if (!disk->told)
        tell(disk, request->op, err, true);
    disk->told = true;
}

bool disk_keeps(struct disk *disk, struct disk_request *request, int result)
{
    if (result && wants_to_keep(disk, request->op, result)) {
        keep(disk, request, result);
        return true;
    }
    if (result)
        report(disk, request->op, result);
    if (request->kept)
        settle(disk, request);
    return false;
}

void disk_retry(struct disk *disk, struct disk_request *request)
{
    disk->told = false;
    disk_submit(disk, request);
}

void disk_drop(struct disk *disk, struct disk_request *request)
{
    if (request->kept)
        settle(disk, request);
}

unsigned disk_watch(struct disk *disk, const struct disk_watcher *watcher)
{
    disk->watcher = watcher ? *watcher : (struct disk_watcher){0};
    return disk->kept;
}
