#include "base/host_file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAX_LEFT 8

/* --- by this process --- */

static int open_beneath(int dir, const char *name, bool beneath, int flags, unsigned mode)
{
    bool creates = flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE;
    struct open_how how = {.flags = (unsigned)flags | O_CLOEXEC, .mode = creates ? mode : 0};

    if (beneath)
        how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
    for (;;) {
        long fd = syscall(SYS_openat2, dir, name, &how, sizeof(how));

        if (fd >= 0 || errno != EINTR)
            return fd < 0 ? -errno : (int)fd;
    }
}

static int own_open(void *opaque UNUSED, const char *folder, const char *name, int flags, unsigned mode)
{
    int dir = folder ? open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC) : AT_FDCWD, fd;

    if (folder && dir < 0)
        return -errno;
    fd = open_beneath(dir, name, folder != NULL, flags, mode);
    if (folder)
        close(dir);
    return fd;
}

static int own_folder(void *opaque UNUSED, const char *path, char real[PATH_MAX])
{
    char copy[PATH_MAX];

    if (snprintf(copy, sizeof(copy), "%s", path) >= PATH_MAX)
        return -ENAMETOOLONG;
    return realpath(dirname(copy), real) ? 0 : -errno;
}

static int own_rename(void *opaque UNUSED, const char *from, const char *to)
{
    return rename(from, to) ? -errno : 0;
}

static int own_unlink(void *opaque UNUSED, const char *path)
{
    return unlink(path) ? -errno : 0;
}

static const struct host_file_ops own = {own_open, own_folder, own_rename, own_unlink};

/* --- by whomever --- */

static struct {
    const struct host_file_ops *ops;
    void *opaque;
    char start[PATH_MAX]; /* where the program was started; "": not asked for yet */
} by = {.ops = &own};

void host_files_by(const struct host_file_ops *ops, void *opaque)
{
    if (!by.start[0] && !getcwd(by.start, sizeof(by.start)))
        by.start[0] = 0;
    by.ops = ops ? ops : &own;
    by.opaque = opaque;
}

int host_open(const char *folder, const char *name, int flags, unsigned mode)
{
    return by.ops->open(by.opaque, folder, name, flags, mode);
}

int host_stat(const char *path, struct stat *st)
{
    int fd = host_open(NULL, path, O_PATH, 0), err;

    if (fd < 0)
        return fd;
    err = fstat(fd, st) ? -errno : 0;
    close(fd);
    return err;
}

int host_folder(const char *path, char real[PATH_MAX])
{
    return by.ops->folder(by.opaque, path, real);
}

int host_rename(const char *from, const char *to)
{
    return by.ops->rename(by.opaque, from, to);
}

int host_unlink(const char *path)
{
    return by.ops->unlink(by.opaque, path);
}

static char left[MAX_LEFT][PATH_MAX];
static unsigned left_count;

void host_leave(const char *path)
{
    if (left_count < MAX_LEFT && host_absolute(path, left[left_count]) == 0)
        left_count++;
}

const char *host_left(unsigned n)
{
    return n < left_count ? left[n] : NULL;
}

int host_absolute(const char *path, char absolute[PATH_MAX])
{
    char here[PATH_MAX];
    const char *from = by.start[0] ? by.start : getcwd(here, sizeof(here));

    if (path[0] == '/')
        return snprintf(absolute, PATH_MAX, "%s", path) < PATH_MAX ? 0 : -ENAMETOOLONG;
    if (!from)
        return -errno;
    return snprintf(absolute, PATH_MAX, "%s/%s", from, path) < PATH_MAX ? 0 : -ENAMETOOLONG;
}
