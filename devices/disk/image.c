#include "devices/disk/image.h"

#include <errno.h>
#include <stdlib.h>

#define ZERO_BYTES KIB(64)

struct waited_op {
    struct fibers *fibers;
    struct fiber *fiber;
    int result;
};

static void wake_waiter(struct io_op *op, int result)
{
    struct waited_op *waited = (struct waited_op *)op->opaque;

    waited->result = result;
    fiber_wake(waited->fibers, waited->fiber);
}

int image_io(struct image *image, struct io_op *op)
{
    struct fibers *fibers = &image->context->fibers;
    struct waited_op waited = {.fibers = fibers, .fiber = fiber_current(fibers)};

    op->file = image->file;
    op->done = wake_waiter;
    op->opaque = &waited;
    io_submit(image->context->io, op);
    fiber_wait(fibers);
    return waited.result;
}

int image_read_file(struct image *image, uint64_t offset, uint64_t bytes,
                    const struct scatter *data)
{
    struct io_op op = {.kind = IO_READ, .offset = offset, .bytes = bytes, .data = *data};

    return image_io(image, &op);
}

int image_write_file(struct image *image, uint64_t offset, uint64_t bytes,
                     const struct scatter *data)
{
    struct io_op op = {.kind = IO_WRITE, .offset = offset, .bytes = bytes, .data = *data};
    struct disk_file *file = image_file(image);
    int err = image_io(image, &op);

    if (!err)
        file->size = MAX(file->size, offset + bytes);
    return err;
}

int image_sync_file(struct image *image)
{
    struct io_op op = {.kind = IO_SYNC};

    return image_io(image, &op);
}

static int write_zeroes(struct image *image, uint64_t offset, uint64_t bytes)
{
    static const _Alignas(4096) char zeroes[ZERO_BYTES];
    struct iovec iov[16];

    for (unsigned i = 0; i < ARRAY_SIZE(iov); i++)
        iov[i] = (struct iovec){(void *)zeroes, sizeof(zeroes)};
    while (bytes) {
        uint64_t n = MIN(bytes, sizeof(zeroes) * ARRAY_SIZE(iov));
        int err = image_write_file(image, offset, n, &(struct scatter){iov, ARRAY_SIZE(iov), 0});

        if (err)
            return err;
        offset += n;
        bytes -= n;
    }
    return 0;
}

/* fallocate() keeps the size, and past the end there is nothing to make zero: so the file must reach that far. */
int image_zero_file(struct image *image, uint64_t offset, uint64_t bytes, bool unmap)
{
    struct io_op op = {.kind = unmap ? IO_PUNCH : IO_ZERO, .offset = offset, .bytes = bytes};
    int err = -EOPNOTSUPP;

    if (offset + bytes <= image_file(image)->size)
        err = image_io(image, &op);
    if (err == -EOPNOTSUPP || err == -ENOSYS || err == -ENODEV || err == -EINVAL)
        err = write_zeroes(image, offset, bytes);
    return err;
}

int image_read_backing(struct image *image, uint64_t offset, uint64_t bytes,
                       const struct scatter *data)
{
    struct image *backing = image->backing;
    uint64_t inside = backing && offset < backing->size ? MIN(bytes, backing->size - offset) : 0;
    struct scatter rest = scatter_at(data, inside);

    if (inside < bytes)
        scatter_zero(&rest, bytes - inside);
    return inside ? backing->ops->read(backing, offset, inside, data) : 0;
}

void image_destroy(struct image *image)
{
    while (image) {
        struct image *backing = image->backing;

        free(image->name);
        image->ops->destroy(image);
        image = backing;
    }
}
