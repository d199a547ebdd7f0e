#include "devices/disk/image.h"

#include "base/error.h"
#include "base/log.h"
#include "devices/disk/probe.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * An image is taken for raw because no other format's magic is there. Were the guest to write one, the next start would
 * read the guest's bytes as that format's header, with file names in it: such a write is refused.
 */
struct raw {
    struct image image;
    bool probed;
};

static bool raw_forges_header(struct image *image, uint64_t offset, uint64_t bytes,
                              const struct scatter *data)
{
    struct raw *raw = container_of(image, struct raw, image);
    uint8_t head[PROBE_BYTES];

    if (!raw->probed || offset >= PROBE_BYTES || bytes < PROBE_BYTES)
        return false;
    scatter_read(data, head, sizeof(head));
    return strcmp(probe_format(head), "raw") != 0;
}

static int raw_read(struct image *image, uint64_t offset, uint64_t bytes,
                    const struct scatter *data)
{
    return image_read_file(image, offset, bytes, data);
}

static int raw_write(struct image *image, uint64_t offset, uint64_t bytes,
                     const struct scatter *data)
{
    if (raw_forges_header(image, offset, bytes, data)) {
        log_once(LOG_WARN,
                 "disk '%s': the guest may not write an image format's header to its first "
                 "sector; give the disk's format (raw) to allow it",
                 image->name);
        return -EPERM;
    }
    return image_write_file(image, offset, bytes, data);
}

static int raw_zero(struct image *image, uint64_t offset, uint64_t bytes, bool unmap)
{
    return image_zero_file(image, offset, bytes, unmap);
}

static int raw_discard(struct image *image, uint64_t offset, uint64_t bytes)
{
    struct io_op op = {.kind = IO_PUNCH, .offset = offset, .bytes = bytes};
    int err = image_io(image, &op);

    return err == -EOPNOTSUPP || err == -ENOSYS || err == -ENODEV ? 0 : err;
}

/* Holes read as zeroes; what does not tell of them is all data. */
static int raw_extent(struct image *image, uint64_t offset, uint64_t bytes, struct image_extent *e)
{
    int fd = image_file(image)->fd;
    off_t data = lseek(fd, (off_t)offset, SEEK_DATA), end;

    *e = (struct image_extent){IMAGE_DATA, bytes};
    if (data < 0 && errno == ENXIO)
        e->type = IMAGE_ZERO;
    if (data < 0)
        return 0;
    end = data > (off_t)offset ? data : lseek(fd, (off_t)offset, SEEK_HOLE);
    if (data > (off_t)offset)
        e->type = IMAGE_ZERO;
    if (end > (off_t)offset)
        e->bytes = MIN(bytes, (uint64_t)end - offset);
    return 0;
}

static int raw_resize(struct image *image, uint64_t size)
{
    struct disk_file *file = image_file(image);

    if (ftruncate(file->fd, (off_t)size) < 0)
        return fail(-errno, "disk '%s' cannot be resized: %s", image->name, strerror(errno));
    file->size = image->size = size;
    return 0;
}

static bool raw_direct(struct image *image, bool writing, uint64_t offset, uint64_t bytes UNUSED,
                       uint64_t *where)
{
    struct raw *raw = container_of(image, struct raw, image);

    *where = offset;
    return !(writing && raw->probed && offset < PROBE_BYTES);
}

static int raw_sync(struct image *image UNUSED)
{
    return 0;
}

static void raw_destroy(struct image *image)
{
    free(container_of(image, struct raw, image));
}

static const struct image_ops raw_ops = {
    .format = "raw",
    .read = raw_read,
    .write = raw_write,
    .zero = raw_zero,
    .discard = raw_discard,
    .flush = image_sync_file,
    .extent = raw_extent,
    .resize = raw_resize,
    .direct = raw_direct,
    .sync = raw_sync,
    .destroy = raw_destroy,
};

int raw_open(struct image **image, struct image_context *context, unsigned file, bool read_only,
             bool probed)
{
    struct raw *raw = calloc(1, sizeof(*raw));

    if (!raw)
        return -ENOMEM;
    raw->probed = probed;
    raw->image = (struct image){
        .ops = &raw_ops,
        .context = context,
        .file = file,
        .size = ALIGN_UP(context->files[file].size, DISK_SECTOR),
        .grain = DISK_SECTOR,
        .read_only = read_only,
        .settle_after = UINT64_MAX,
    };
    *image = &raw->image;
    return 0;
}
