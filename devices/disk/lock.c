#include "devices/disk/lock.h"

#include "base/error.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* QEMU's permissions, as bit numbers. */
enum { PERM_CONSISTENT_READ, PERM_WRITE, PERM_WRITE_UNCHANGED, PERM_RESIZE, PERM_COUNT };

#define BYTE_HELD   100 /* + permission: I do this */
#define BYTE_DENIED 200 /* + permission: nobody else may */

#define RETRIES  10
#define RETRY_US 25000

#define BIT(perm)    (1u << (perm))
#define READER_HOLDS BIT(PERM_CONSISTENT_READ)
#define WRITER_HOLDS (READER_HOLDS | BIT(PERM_WRITE) | BIT(PERM_RESIZE))
#define ALL_DENY     (BIT(PERM_WRITE) | BIT(PERM_RESIZE))

static int take(int fd, off_t byte)
{
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};

    return fcntl(fd, F_OFD_SETLK, &lock) < 0 ? -errno : 0;
}

static bool taken_by_another(int fd, off_t byte)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};

    return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

/* First take, then look: of two that come at once at least one sees the other. */
static int take_all(int fd, unsigned holds, unsigned denies)
{
    for (unsigned perm = 0; perm < PERM_COUNT; perm++) {
        int err = 0;

        if (holds & BIT(perm))
            err = take(fd, BYTE_HELD + perm);
        if (!err && (denies & BIT(perm)))
            err = take(fd, BYTE_DENIED + perm);
        if (err)
            return err;
    }
    return 0;
}

static bool refused(int fd, unsigned holds, unsigned denies)
{
    for (unsigned perm = 0; perm < PERM_COUNT; perm++)
        if (((holds & BIT(perm)) && taken_by_another(fd, BYTE_DENIED + perm)) ||
            ((denies & BIT(perm)) && taken_by_another(fd, BYTE_HELD + perm)))
            return true;
    return false;
}

void disk_unlock(int fd)
{
    struct flock lock = {.l_type = F_UNLCK, .l_whence = SEEK_SET, .l_start = BYTE_HELD};

    lock.l_len = BYTE_DENIED + PERM_COUNT - BYTE_HELD;
    fcntl(fd, F_OFD_SETLK, &lock);
}

/* 0, -EBUSY, or why there are no locks here. */
static int try_lock(int fd, unsigned holds)
{
    int err = take_all(fd, holds, ALL_DENY);

    if (err == -EAGAIN || err == -EACCES || (!err && refused(fd, holds, ALL_DENY)))
        err = -EBUSY;
    if (err)
        disk_unlock(fd);
    return err;
}

static int in_use(int fd, const char *path)
{
    if (taken_by_another(fd, BYTE_HELD + PERM_WRITE))
        return fail(-EBUSY,
                    "disk '%s' is in use by another process that writes to it; stop that "
                    "process, or use a copy of the disk",
                    path);
    return fail(-EBUSY,
                "disk '%s' is in use by another process that only reads it; stop that "
                "process, or use --snapshot",
                path);
}

int disk_lock(int fd, const char *path, bool writer)
{
    unsigned holds = writer ? WRITER_HOLDS : READER_HOLDS;
    int err = try_lock(fd, holds);

    /* A process that was killed keeps its locks until the kernel has taken down its ring: a few milliseconds. */
    for (unsigned i = 0; i < RETRIES && err == -EBUSY; i++) {
        usleep(RETRY_US);
        err = try_lock(fd, holds);
    }
    if (err == -EBUSY)
        return in_use(fd, path);
    if (err)
        log_warn("disk '%s' cannot be locked against other processes (%s); take care not to use it "
                 "twice",
                 path, strerror(-err));
    return 0;
}
