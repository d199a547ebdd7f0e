#include "devices/disk/image.h"

#include <errno.h>
#include <stdlib.h>

#define ZERO_BYTES KIB(64)

static void group_op_done(struct io_op *op, int result)
{
    struct io_group *group = op->opaque;
    struct disk_file *file = image_file(group->image);

    if (result && !group->error)
        group->error = result;
    if (!result && op->kind == IO_WRITE)
        file->size = MAX(file->size, op->offset + op->bytes);
    if (--group->pending == 0 && group->waiting)
        fiber_wake(&group->image->context->fibers, group->waiting);
}

void image_group_submit(struct io_group *group, struct io_op *op)
{
    op->file = group->image->file;
    op->done = group_op_done;
    op->opaque = group;
    group->pending++;
    io_submit(group->image->context->io, op);
}

int image_group_wait(struct io_group *group)
{
    struct fibers *fibers = &group->image->context->fibers;

    group->waiting = fiber_current(fibers);
    if (group->pending)
        fiber_wait(fibers);
    group->waiting = NULL;
    return group->error;
}

int image_io(struct image *image, struct io_op *op)
{
    struct io_group group = {.image = image};

    image_group_submit(&group, op);
    return image_group_wait(&group);
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

    return image_io(image, &op);
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

int image_extent(struct image *image, uint64_t offset, uint64_t bytes, struct image_extent *e)
{
    int err = image->ops->extent(image, offset, bytes, e);

    while (!err && e->type == IMAGE_ABSENT) {
        image = image->backing;
        if (!image || offset >= image->size) {
            e->type = IMAGE_ZERO;
            return 0;
        }
        err = image->ops->extent(image, offset, MIN(e->bytes, image->size - offset), e);
    }
    return err;
}

void image_destroy(struct image *image)
{
    while (image) {
        struct image *backing = image->backing;
        char *name = image->name;

        image->ops->destroy(image);
        free(name);
        image = backing;
    }
}
