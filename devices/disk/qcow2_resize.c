/* qcow2_resize.c - disks that become larger or smaller, and images that become empty. */
#include "devices/disk/qcow2_internal.h"

#include "base/error.h"

#include <errno.h>
#include <string.h>

/* Make the L1 table long enough; the disk keeps its size. */
static int extend_l1(struct qcow2 *q, uint64_t size)
{
    uint64_t needed = qcow2_l1_needed(q, size);
    struct qcow2_table l1 = {.offset = q->l1.offset};
    int err;

    if (needed <= q->l1.count)
        return 0;
    err = qcow2_table_copy(&l1, &q->l1, (uint32_t)needed);
    if (!err)
        err = qcow2_switch_l1(q, &l1, q->header.size);
    qcow2_table_free(&l1);
    return err;
}

static int set_size(struct qcow2 *q, uint64_t size)
{
    int err;

    store_be64(q->header_sector + 24, size);
    err = qcow2_switch_header(q);
    if (err)
        return err;
    q->header.size = q->image.size = size;
    return 0;
}

static int locked(struct qcow2 *q, int (*fn)(struct qcow2 *q, uint64_t size), uint64_t size)
{
    struct fibers *fibers = &q->image.context->fibers;
    int err;

    fiber_lock_take(fibers, &q->lock);
    err = q->corrupt ? -EIO : fn(q, size);
    fiber_lock_release(fibers, &q->lock);
    return err;
}

/*
 * What comes into sight must read as zeroes: the rest of the last cluster, what the backing image has there, and what
 * another program may have left in the table. All before the header tells of the new size.
 */
static int grow(struct qcow2 *q, uint64_t size)
{
    struct image *image = &q->image;
    uint64_t old = image->size,
             backed =
                 image->backing ? MIN(size, ALIGN_UP(image->backing->size, q->cluster_size)) : 0;
    uint64_t zero_end = MIN(size, MAX(ALIGN_UP(old, q->cluster_size), backed));
    int err = locked(q, extend_l1, size);

    if (err)
        return err;
    image->size = size;
    err = qcow2_cut(image, old, size);
    if (!err && zero_end > old)
        err = qcow2_zero(image, old, zero_end - old, true);
    if (!err)
        err = locked(q, set_size, size);
    if (err)
        image->size = old;
    return err;
}

static int shrink(struct qcow2 *q, uint64_t size)
{
    int err = qcow2_cut(&q->image, size, q->header.size);

    return err ? err : locked(q, set_size, size);
}

static int check_snapshots(const struct qcow2 *q)
{
    for (uint32_t i = 0; i < q->snapshots.count; i++)
        if (!q->snapshots.items[i].size)
            return fail(-ENOTSUP,
                        "disk '%s' has snapshots that do not say their size, as of version 2; "
                        "delete them, or "
                        "copy the disk with minivm image convert",
                        q->image.name);
    return 0;
}

int qcow2_resize(struct image *image, uint64_t size)
{
    struct qcow2 *q = qcow2_of(image);
    int err = check_snapshots(q);

    if (err)
        return err;
    if (!IS_ALIGNED(size, DISK_SECTOR))
        return fail(-EINVAL, "a disk's size is a multiple of %d bytes", DISK_SECTOR);
    if (size > INT64_MAX || qcow2_l1_needed(q, size) > QCOW2_MAX_L1_BYTES / 8)
        return fail(-EFBIG, "disk '%s' cannot become that large with clusters of %llu bytes",
                    image->name, (unsigned long long)q->cluster_size);
    err = size >= image->size ? grow(q, size) : shrink(q, size);
    return err ? fail(err, "disk '%s' cannot be resized: %s", image->name, strerror(-err)) : 0;
}

int qcow2_make_empty(struct image *image)
{
    return qcow2_cut(image, 0, image->size);
}
