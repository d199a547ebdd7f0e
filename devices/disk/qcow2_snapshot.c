/* qcow2_snapshot.c - internal snapshots: made, applied, deleted. */
#include "devices/disk/qcow2_internal.h"

#include "base/error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/*
 * A snapshot is an L1 table of its own. What it shares with the disk is counted once for each of the two, so that all
 * counts go up by one when it is made: those of the L2 tables and of everything in them. Then COPIED says wrongly that
 * the disk may write in place, and is cleared. Counts are in other places of the file than entries, so that a crash may
 * come between: the dirty bit is set before the first of them changes, and cleared after the last.
 *
 *   create  counts up; L1 table and snapshot table written beside the old ones; bits cleared; sync; header; sync
 *   apply   counts of the snapshot up; new L1 table written; sync; header; sync; counts of the old table down; bits
 *   delete  snapshot table without it written; sync; header; sync; counts down; bits
 */

/* Put bytes where nothing was; into whole clusters. */
static int write_run(struct qcow2 *q, const void *data, uint64_t bytes, uint64_t *host)
{
    struct iovec iov = {NULL, ALIGN_UP(bytes, QCOW2_SECTOR)};
    int err = qcow2_allocate_run(q, DIV_ROUND_UP(bytes, q->cluster_size), host);

    if (err)
        return err;
    iov.iov_base = aligned_alloc(4096, ALIGN_UP(bytes, 4096));
    if (!iov.iov_base)
        return -ENOMEM;
    memset(iov.iov_base, 0, iov.iov_len);
    memcpy(iov.iov_base, data, bytes);
    err = image_write_file(&q->image, *host, iov.iov_len, &(struct scatter){&iov, 1, 0});
    free(iov.iov_base);
    return err;
}

/* Another snapshot table: written, shown by the header, known to q; the old one's place is freed. */
static int switch_snapshots(struct qcow2 *q, const struct qcow2_snapshot *without,
                            const struct qcow2_snapshot *with)
{
    uint64_t old = q->header.snapshot_offset, old_bytes = q->snapshots.bytes, bytes, host = 0;
    uint32_t count = q->snapshots.count + (with != NULL) - (without != NULL);
    uint8_t *table;
    int err = qcow2_snapshots_encode(&q->snapshots, without, with, &table, &bytes);

    if (!err && bytes)
        err = write_run(q, table, bytes, &host);
    free(table);
    if (!err)
        err = qcow2_sync(q);
    if (err)
        return err;
    store_be32(q->header_sector + 60, count);
    store_be64(q->header_sector + 64, host);
    err = qcow2_switch_header(q);
    if (err)
        return err;
    q->header.snapshots = count;
    q->header.snapshot_offset = host;
    qcow2_snapshots_free(&q->snapshots);
    err = qcow2_drop_run(q, old, old_bytes);
    if (!err)
        err = qcow2_snapshots_load(&q->snapshots, image_file(&q->image), &q->header, q->image.name);
    qcow2_filter_add_snapshots(q);
    return err;
}

/* Between these two the image is dirty. If it failed, it stays that: the next to open it counts anew. */
static int begin(struct qcow2 *q)
{
    int err;

    fiber_lock_take(&q->image.context->fibers, &q->lock);
    err = q->corrupt ? -EIO : qcow2_sync(q);
    return err ? err : qcow2_set_dirty(q, true);
}

static int end(struct qcow2 *q, int err, const char *what)
{
    bool overflow = err == -EOVERFLOW; /* and all is as it was */

    if (overflow)
        err = 0;
    if (!err)
        err = qcow2_sync(q);
    if (!err)
        err = qcow2_set_dirty(q, false);
    fiber_lock_release(&q->image.context->fibers, &q->lock);
    if (overflow && !err)
        return fail(-EOVERFLOW,
                    "disk '%s': %s takes more than refcounts of %u bits can hold; copy it with "
                    "minivm image convert",
                    q->image.name, what, 1u << q->header.refcount_order);
    return err ? fail(err, "disk '%s': %s failed: %s; check it with minivm image check",
                      q->image.name, what, strerror(-err))
               : 0;
}

static int create_locked(struct qcow2 *q, const char *name)
{
    struct timespec now;
    struct qcow2_snapshot s = {.l1_count = q->l1.count, .size = q->header.size, .name = name};
    uint8_t *copy = malloc(q->l1.count * 8 + 8);
    int err = copy ? qcow2_change_refs(q, &q->l1, 1) : -ENOMEM;

    for (uint32_t i = 0; i < q->l1.count && !err; i++)
        store_be64(copy + 8 * i, q->l1.entries[i] & ~QCOW2_COPIED);
    if (!err && q->l1.count)
        err = write_run(q, copy, UINT64_C(8) * q->l1.count, &s.l1_offset);
    free(copy);
    clock_gettime(CLOCK_REALTIME, &now);
    s.date_sec = (uint32_t)now.tv_sec;
    s.date_nsec = (uint32_t)now.tv_nsec;
    s.name_bytes = (uint16_t)strlen(name);
    if (!err)
        err = qcow2_right_bits(q);
    return err ? err : switch_snapshots(q, NULL, &s);
}

int qcow2_snapshot_create(struct image *image, const char *name)
{
    struct qcow2 *q = qcow2_of(image);
    int err;

    if (!*name || strlen(name) > QCOW2_MAX_SNAPSHOT_NAME)
        return fail(-EINVAL, "a snapshot's name has 1 to %d bytes", QCOW2_MAX_SNAPSHOT_NAME);
    if (qcow2_snapshot_find(&q->snapshots, name))
        return fail(-EEXIST,
                    "disk '%s' has a snapshot '%s' already; delete it, or choose another name",
                    image->name, name);
    if (q->snapshots.count >= QCOW2_MAX_SNAPSHOTS)
        return fail(-EFBIG, "disk '%s' has %d snapshots, and may not have more; delete some",
                    image->name, QCOW2_MAX_SNAPSHOTS);
    err = begin(q);
    if (!err)
        err = create_locked(q, name);
    return end(q, err, "making the snapshot");
}

static int find(struct qcow2 *q, const char *name, const struct qcow2_snapshot **s)
{
    *s = qcow2_snapshot_find(&q->snapshots, name);
    if (!*s)
        return fail(-ENOENT,
                    "disk '%s' has no snapshot '%s'; minivm image snapshot list shows those it has",
                    q->image.name, name);
    if (!qcow2_snapshot_l1_plausible(q, *s))
        return fail(-EINVAL,
                    "disk '%s': the L1 table of its snapshot '%s' lies where none can be; check "
                    "the disk with "
                    "minivm image check",
                    q->image.name, name);
    return 0;
}

/* The snapshot's L1 table, long enough for the disk as it was then. */
static int load_l1(struct qcow2 *q, const struct qcow2_snapshot *s, uint64_t size,
                   struct qcow2_table *l1)
{
    uint32_t needed = (uint32_t)qcow2_l1_needed(q, size);
    struct qcow2_table as_is;
    int err = qcow2_table_load(&as_is, image_file(&q->image), s->l1_offset, s->l1_count);

    if (!err)
        err = qcow2_table_copy(l1, &as_is, MAX(needed, as_is.count));
    qcow2_table_free(&as_is);
    return err;
}

int qcow2_switch_l1(struct qcow2 *q, struct qcow2_table *l1, uint64_t size)
{
    struct qcow2_table old = q->l1;
    int err;

    l1->offset = 0;
    if (l1->count)
        err = qcow2_allocate_run(q, DIV_ROUND_UP(UINT64_C(8) * l1->count, q->cluster_size),
                                 &l1->offset);
    else
        err = 0;
    memset(l1->dirty, 1, DIV_ROUND_UP(l1->count, QCOW2_SECTOR / 8));
    l1->any_dirty = true;
    if (!err)
        err = qcow2_table_write(q, l1);
    if (err)
        return err;
    store_be64(q->header_sector + 24, size);
    store_be32(q->header_sector + 36, l1->count);
    store_be64(q->header_sector + 40, l1->offset);
    err = qcow2_switch_header(q);
    if (err)
        return qcow2_mark_corrupt(q, "its L1 table could not be moved");
    q->l1 = *l1;
    *l1 = old;
    q->header.l1_count = q->l1.count;
    q->header.l1_offset = q->l1.offset;
    q->header.size = size;
    q->image.size = ALIGN_DOWN(size, DISK_SECTOR);
    for (uint32_t i = 0; i < q->l1.count; i++)
        qcow2_filter_add(q, q->l1.entries[i] & QCOW2_OFFSET_MASK);
    return qcow2_drop_run(q, old.offset, UINT64_C(8) * old.count);
}

static int apply_locked(struct qcow2 *q, const struct qcow2_snapshot *s, uint64_t size)
{
    struct qcow2_table l1; /* the new one, then the old one */
    int err = load_l1(q, s, size, &l1);

    if (err)
        return err;
    err = qcow2_change_refs(q, &l1, 1);
    if (!err)
        err = qcow2_switch_l1(q, &l1, size);
    if (!err)
        err = qcow2_change_refs(q, &l1, -1);
    if (!err)
        err = qcow2_right_bits(q);
    qcow2_table_free(&l1);
    return err;
}

int qcow2_snapshot_apply(struct image *image, const char *name)
{
    struct qcow2 *q = qcow2_of(image);
    const struct qcow2_snapshot *s;
    uint64_t size;
    int err = find(q, name, &s);

    if (err)
        return err;
    size = s->size ? s->size : q->header.size;
    if (qcow2_l1_needed(q, size) > QCOW2_MAX_L1_BYTES / 8)
        return fail(-EINVAL, "disk '%s': its snapshot '%s' has an impossible size", image->name,
                    name);
    err = begin(q);
    if (!err)
        err = apply_locked(q, s, size);
    return end(q, err, "applying the snapshot");
}

static int delete_locked(struct qcow2 *q, const struct qcow2_snapshot *s)
{
    uint64_t offset = s->l1_offset, bytes = UINT64_C(8) * s->l1_count;
    struct qcow2_table l1;
    int err = load_l1(q, s, 0, &l1);

    if (err)
        return err;
    err = switch_snapshots(q, s, NULL);
    if (!err)
        err = qcow2_change_refs(q, &l1, -1);
    if (!err)
        err = qcow2_drop_run(q, offset, bytes);
    if (!err)
        err = qcow2_right_bits(q);
    qcow2_table_free(&l1);
    return err;
}

int qcow2_snapshot_delete(struct image *image, const char *name)
{
    struct qcow2 *q = qcow2_of(image);
    const struct qcow2_snapshot *s;
    int err = find(q, name, &s);

    if (err)
        return err;
    err = begin(q);
    if (!err)
        err = delete_locked(q, s);
    return end(q, err, "deleting the snapshot");
}

int qcow2_show_snapshot(struct image *image, const char *name)
{
    struct qcow2 *q = qcow2_of(image);
    const struct qcow2_snapshot *s;
    struct qcow2_table l1;
    uint64_t size;
    int err = qcow2_snapshots_load(&q->snapshots, image_file(image), &q->header, image->name);

    if (!err)
        err = find(q, name, &s);
    if (err)
        return err;
    size = s->size ? ALIGN_DOWN(s->size, DISK_SECTOR) : image->size;
    if (qcow2_l1_needed(q, size) > QCOW2_MAX_L1_BYTES / 8)
        return fail(-EINVAL, "disk '%s': its snapshot '%s' has an impossible size", image->name,
                    name);
    err = load_l1(q, s, size, &l1);
    if (err)
        return fail(err, "disk '%s': its snapshot '%s' cannot be read: %s", image->name, name,
                    strerror(-err));
    qcow2_table_free(&q->l1);
    q->l1 = l1;
    image->size = size;
    return 0;
}
