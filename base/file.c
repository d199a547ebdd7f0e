#include "base/file.h"

#include "base/error.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int file_open(struct file *file, const char *what, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;

    *file = (struct file){.what = what, .path = path, .fd = -1};
    if (fd < 0)
        return fail(-errno, "%s '%s': %s", what, path, strerror(errno));
    if (fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_size == 0) {
        close(fd);
        return fail(-EINVAL, "%s '%s' is not a file with content", what, path);
    }
    file->fd = fd;
    file->size = (uint64_t)st.st_size;
    return 0;
}

int file_read(const struct file *file, void *data, size_t size, uint64_t offset)
{
    size_t done = 0;

    while (done < size) {
        ssize_t n = pread(file->fd, (uint8_t *)data + done, size - done, (off_t)(offset + done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return fail(-EIO, "%s '%s': cannot be read: %s", file->what, file->path,
                        n ? strerror(errno) : "it ends early");
        done += (size_t)n;
    }
    return 0;
}

void file_close(struct file *file)
{
    if (file->size)
        close(file->fd);
    file->size = 0;
}

int file_first_line(const char *what, const char *path, char *line, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t done = 0, length;
    ssize_t n = 0;

    if (fd < 0)
        return fail(-errno, "%s '%s': %s", what, path, strerror(errno));
    /* One byte more than fits tells a line that is too long; pipes give less than was asked. */
    while (done < size && !memchr(line, '\n', done) && (n = read(fd, line + done, size - done)) > 0)
        done += (size_t)n;
    close(fd);
    if (n < 0)
        return fail(-EIO, "%s '%s': %s", what, path, strerror(errno));
    for (length = 0; length < done && !strchr("\r\n", line[length]);)
        length++;
    if (length == 0)
        return fail(-ENODATA, "%s '%s': its first line is empty", what, path);
    if (length == size)
        return fail(-EMSGSIZE, "%s '%s': its first line has more than %zu bytes", what, path, size - 1);
    line[length] = 0;
    return 0;
}

static int walk_entry(const char *what, const char *path, int depth, int (*fn)(void *opaque, const char *path),
                      void *opaque)
{
    struct stat st;

    if (stat(path, &st))
        return 0; /* it has just gone, or leads nowhere */
    if (S_ISREG(st.st_mode) && st.st_size)
        return fn(opaque, path);
    return S_ISDIR(st.st_mode) && depth ? folder_walk(what, path, depth - 1, fn, opaque) : 0;
}

int folder_walk(const char *what, const char *folder, int depth, int (*fn)(void *opaque, const char *path), void *opaque)
{
    DIR *dir = opendir(folder);
    const struct dirent *entry;
    char path[PATH_MAX];
    int err = 0;

    if (!dir)
        return fail(-errno, "%s '%s': %s", what, folder, strerror(errno));
    while (!err && (entry = readdir(dir))) {
        snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        if (entry->d_name[0] != '.')
            err = walk_entry(what, path, depth, fn, opaque);
    }
    closedir(dir);
    return err;
}
