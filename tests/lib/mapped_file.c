#include "tests/lib/mapped_file.h"

#include "base/bytes.h"
#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#define WINDOW_LOG   27 /* as zstd --long=27 packs */
#define MAX_UNPACKED GIB(4)

static int write_all(int fd, const uint8_t *data, size_t size)
{
    while (size) {
        ssize_t n = write(fd, data, size);

        if (n < 0)
            return -errno;
        data += n;
        size -= n;
    }
    return 0;
}

static int unpack_stream(ZSTD_DStream *stream, int to, const void *data, size_t size)
{
    static uint8_t buffer[1 << 20];
    ZSTD_inBuffer in = {data, size, 0};
    size_t left = 1, total = 0;

    while (left) {
        ZSTD_outBuffer out = {buffer, sizeof(buffer), 0};
        int err;

        left = ZSTD_decompressStream(stream, &out, &in);
        total += out.pos;
        if (ZSTD_isError(left) || (left && in.pos == in.size && out.pos == 0) || total > MAX_UNPACKED)
            return -EBADMSG;
        err = write_all(to, buffer, out.pos);
        if (err)
            return err;
    }
    return 0;
}

/* A file in memory with the content of the packed one. */
static int unpack(const void *data, size_t size)
{
    int fd = memfd_create("unpacked", MFD_CLOEXEC), err = fd < 0 ? -errno : 0;
    ZSTD_DStream *stream = ZSTD_createDStream();

    if (!err) {
        ZSTD_DCtx_setParameter(stream, ZSTD_d_windowLogMax, WINDOW_LOG);
        err = unpack_stream(stream, fd, data, size);
    }
    ZSTD_freeDStream(stream);
    if (err && fd >= 0)
        close(fd);
    return err ? err : fd;
}

static int map(int fd, const uint8_t **data, size_t *size)
{
    struct stat st;
    void *p;

    if (fstat(fd, &st))
        return -errno;
    p = mmap(NULL, MAX(st.st_size, 1), PROT_READ, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED)
        return -errno;
    *data = p;
    *size = st.st_size;
    return 0;
}

static bool is_packed(const uint8_t *data, size_t size)
{
    return size >= 4 && load_le32(data) == ZSTD_MAGICNUMBER;
}

int mapped_file_open(struct mapped_file *f, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC), err = fd < 0 ? -errno : map(fd, &f->data, &f->size);

    if (fd >= 0)
        close(fd);
    if (!err && is_packed(f->data, f->size)) {
        int plain = unpack(f->data, f->size);

        munmap((void *)f->data, f->size);
        f->data = NULL;
        err = plain < 0 ? plain : map(plain, &f->data, &f->size);
        if (plain >= 0)
            close(plain);
    }
    return err ? fail(err, "'%s' cannot be read", path) : 0;
}

void mapped_file_close(struct mapped_file *f)
{
    if (f->data)
        munmap((void *)f->data, MAX(f->size, 1));
    *f = (struct mapped_file){0};
}
