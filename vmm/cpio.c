#include "vmm/cpio.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_SIZE 4096

static int put(struct cpio *cpio, const void *data, size_t size)
{
    const char *p = data;

    cpio->size += size;
    while (size) {
        ssize_t n = write(cpio->fd, p, size);

        if (n < 0)
            return fail(-errno, "initial RAM disk: %s", strerror(errno));
        p += n;
        size -= (size_t)n;
    }
    return 0;
}

static int pad(struct cpio *cpio)
{
    static const char zeroes[4];

    return put(cpio, zeroes, -cpio->size & 3);
}

static int put_header(struct cpio *cpio, const char *name, unsigned mode, uint64_t size)
{
    char text[128 + NAME_SIZE];
    int n =
        snprintf(text, sizeof(text),
                 "070701%08X%08X%08X%08X%08X%08X%08llX%08X%08X%08X%08X%08zX%08X%s", ++cpio->inode,
                 mode, 0, 0, 1, 0, (unsigned long long)size, 0, 0, 0, 0, strlen(name) + 1, 0, name);
    int err;

    if ((size_t)n >= sizeof(text) || size > UINT32_MAX)
        return fail(-EFBIG, "initial RAM disk: '%s' is too large for it", name);
    err = put(cpio, text, (size_t)n + 1);
    return err ? err : pad(cpio);
}

/* The kernel does not mind a folder that is there already. */
static int put_folders(struct cpio *cpio, const char *name)
{
    char folder[NAME_SIZE];
    const char *slash = name;
    int err = 0;

    while (!err && (slash = strchr(slash, '/'))) {
        snprintf(folder, sizeof(folder), "%.*s", (int)(slash - name), name);
        err = put_header(cpio, folder, S_IFDIR | 0755, 0);
        slash++;
    }
    return err;
}

static int put_content(struct cpio *cpio, int fd, uint64_t size, const char *source)
{
    uint64_t done = 0;

    while (done < size) {
        ssize_t n = sendfile(cpio->fd, fd, NULL, size - done);

        if (n <= 0)
            return fail(n ? -errno : -EIO, "'%s': %s", source,
                        n ? strerror(errno) : "it shrank while it was read");
        done += (uint64_t)n;
    }
    cpio->size += size;
    return pad(cpio);
}

void cpio_begin(struct cpio *cpio, int fd)
{
    *cpio = (struct cpio){.fd = fd};
}

int cpio_add_file(struct cpio *cpio, const char *name, const char *source, unsigned mode)
{
    int fd = open(source, O_RDONLY | O_CLOEXEC), err;
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0) {
        err = fail(-errno, "'%s': %s", source, strerror(errno));
    } else if (!S_ISREG(st.st_mode)) {
        err = fail(-EINVAL, "'%s' is not a regular file", source);
    } else {
        err = put_folders(cpio, name);
        if (!err)
            err = put_header(cpio, name, S_IFREG | mode, (uint64_t)st.st_size);
        if (!err)
            err = put_content(cpio, fd, (uint64_t)st.st_size, source);
    }
    if (fd >= 0)
        close(fd);
    return err;
}

int cpio_end(struct cpio *cpio)
{
    return put_header(cpio, "TRAILER!!!", 0, 0);
}
