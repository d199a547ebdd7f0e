#include "devices/disk/file.h"

#include "base/error.h"
#include "base/host_file.h"
#include "devices/disk/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK MIB(1) /* of an aligned copy */

static int open_failed(int err, const char *shown, bool read_only)
{
    switch (err) {
    case -ENOENT:
    case -ENOTDIR:
        return fail(err, "disk '%s' does not exist; check the path", shown);
    case -EISDIR:
        return fail(err, "disk '%s' is a directory; name an image file", shown);
    case -EXDEV:
        return fail(err, "disk '%s' lies outside its image's directory", shown);
    case -EACCES:
    case -EPERM:
    case -EROFS:
        return fail(err, "disk '%s' cannot be opened for %s: %s; %s", shown,
                    read_only ? "reading" : "writing", strerror(-err),
                    read_only ? "change its permissions or owner"
                              : "change its permissions, or use --snapshot");
    default:
        return fail(err, "disk '%s' cannot be opened: %s", shown, strerror(-err));
    }
}

/* Does O_DIRECT work in units of FILE_ALIGN? Asking is surer than any table of file systems. */
static bool takes_direct(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    _Alignas(FILE_ALIGN * 2) char buffer[FILE_ALIGN * 2];

    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_DIRECT) < 0)
        return false;
    if (pread(fd, buffer + FILE_ALIGN, FILE_ALIGN, FILE_ALIGN) >= 0)
        return true;
    fcntl(fd, F_SETFL, flags);
    return false;
}

static int check_kind(struct disk_file *file, const char *shown)
{
    struct stat st;

    if (fstat(file->fd, &st) < 0)
        return fail(-errno, "disk '%s' cannot be examined: %s", shown, strerror(errno));
    file->device = st.st_dev;
    file->inode = st.st_ino;
    if (S_ISREG(st.st_mode)) {
        file->size = (uint64_t)st.st_size;
        return 0;
    }
    if (S_ISDIR(st.st_mode))
        return fail(-EISDIR, "disk '%s' is a directory; name an image file", shown);
    if (!S_ISBLK(st.st_mode))
        return fail(-EINVAL, "disk '%s' is neither a file nor a block device; name an image file",
                    shown);
    if (ioctl(file->fd, BLKGETSIZE64, &file->size) < 0)
        return fail(-errno, "disk '%s' does not tell its size: %s", shown, strerror(errno));
    return 0;
}

int disk_file_open(struct disk_file *file, const char *folder, const char *path, const char *shown,
                   bool read_only, int cache)
{
    /* O_NONBLOCK: a FIFO must not hold us up; it has no effect on what we accept. */
    int flags = (read_only ? O_RDONLY : O_RDWR) | O_NONBLOCK | O_NOCTTY;
    int err;

    *file = (struct disk_file){.fd = host_open(folder, path, flags, 0)};
    if (file->fd < 0)
        return open_failed(file->fd, shown, read_only);
    err = check_kind(file, shown);
    if (err) {
        disk_file_close(file);
        return err;
    }
    file->no_sync = cache == DISK_CACHE_UNSAFE;
    file->direct = cache == DISK_CACHE_NONE && takes_direct(file->fd);
    return 0;
}

static int create_failed(int err, const char *path)
{
    if (err == -EEXIST)
        return fail(err, "disk '%s' exists already; choose another name, or add --force", path);
    return fail(err, "disk '%s' cannot be created: %s", path, strerror(-err));
}

int disk_file_create(struct disk_file *file, const char *path, bool force)
{
    struct stat st;
    int err;

    *file = (struct disk_file){
        .fd = open(path, O_CREAT | (force ? 0 : O_EXCL) | O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0644)};
    if (file->fd < 0)
        return create_failed(-errno, path);
    err = check_kind(file, path);
    if (!err)
        err = disk_lock(file->fd, path, true);
    if (!err && fstat(file->fd, &st) == 0 && S_ISREG(st.st_mode) && ftruncate(file->fd, 0) < 0)
        err = create_failed(-errno, path);
    if (err)
        disk_file_close(file);
    else
        file->size = S_ISREG(st.st_mode) ? 0 : file->size;
    return err;
}

int disk_file_open_unnamed(struct disk_file *file)
{
    const char *dir = getenv("TMPDIR");

    if (!dir || !*dir)
        dir = "/var/tmp";
    *file = (struct disk_file){.no_sync = true};
    file->fd = host_open(NULL, dir, O_TMPFILE | O_RDWR, 0600);
    if (file->fd < 0)
        return fail(file->fd,
                    "no temporary file for --snapshot in '%s': %s; set TMPDIR to a directory "
                    "with space",
                    dir, strerror(-file->fd));
    return 0;
}

void disk_file_close(struct disk_file *file)
{
    if (file->fd < 0)
        return;
    disk_unlock(file->fd);
    close(file->fd);
    file->fd = -1;
}

static int pread_all(int fd, uint64_t offset, char *data, size_t bytes)
{
    size_t got = 0;

    while (got < bytes) {
        ssize_t n = pread(fd, data + got, bytes - got, (off_t)(offset + got));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        got += (size_t)n;
        /* The end of the file; under O_DIRECT an odd count says so too. */
        if (n == 0 || !IS_ALIGNED((size_t)n, FILE_ALIGN)) {
            memset(data + got, 0, bytes - got);
            break;
        }
    }
    return 0;
}

static int pwrite_all(int fd, uint64_t offset, const char *data, size_t bytes)
{
    while (bytes) {
        ssize_t n = pwrite(fd, data, bytes, (off_t)offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        offset += (size_t)n;
        data += n;
        bytes -= (size_t)n;
    }
    return 0;
}

/* One chunk by way of aligned memory: read around it, and for a write put the data in and write it back. */
static int aligned_chunk(const struct disk_file *file, uint64_t offset, char *data, size_t bytes,
                         bool writing, char *buffer)
{
    uint64_t start = ALIGN_DOWN(offset, FILE_ALIGN);
    size_t size = ALIGN_UP(offset + bytes, FILE_ALIGN) - start;
    int err = 0;

    if (!writing || size != bytes)
        err = pread_all(file->fd, start, buffer, size);
    if (err)
        return err;
    if (!writing) {
        memcpy(data, buffer + (offset - start), bytes);
        return 0;
    }
    memcpy(buffer + (offset - start), data, bytes);
    return pwrite_all(file->fd, start, buffer, size);
}

static int transfer(const struct disk_file *file, uint64_t offset, char *data, size_t bytes,
                    bool writing)
{
    char *buffer;
    int err = 0;

    if (offset > INT64_MAX - bytes)
        return -EIO;
    if (!file->direct)
        return writing ? pwrite_all(file->fd, offset, data, bytes)
                       : pread_all(file->fd, offset, data, bytes);
    buffer = aligned_alloc(4096, MIN(CHUNK, ALIGN_UP(bytes, 4096)) + 4096);
    if (!buffer)
        return -ENOMEM;
    while (bytes && !err) {
        size_t n = MIN(bytes, CHUNK);

        err = aligned_chunk(file, offset, data, n, writing, buffer);
        offset += n;
        data += n;
        bytes -= n;
    }
    free(buffer);
    return err;
}

int disk_file_read(const struct disk_file *file, uint64_t offset, void *data, size_t bytes)
{
    return transfer(file, offset, data, bytes, false);
}

int disk_file_write(const struct disk_file *file, uint64_t offset, const void *data, size_t bytes)
{
    return transfer(file, offset, (char *)data, bytes, true);
}

int disk_file_sync(const struct disk_file *file)
{
    if (file->no_sync)
        return 0;
    return fdatasync(file->fd) < 0 ? -errno : 0;
}
