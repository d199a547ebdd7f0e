#include "devices/disk/qcow2_internal.h"

static bool clean(const struct qcow2 *q)
{
    return !q->cache.dirty[QCOW2_L2] && !q->cache.dirty[QCOW2_REFCOUNTS] && !q->l1.any_dirty &&
           !q->reftable.any_dirty && !q->freed.count;
}

/* What is freed may be counted down once every request that is in flight now has ended. */
static void release(struct qcow2 *q)
{
    struct qcow2_freed_list empty = q->released;

    if (!q->freed.count || q->released.count)
        return; /* those before first; these go with the next sync */
    q->released = q->freed;
    q->freed = empty;
    q->image.settle_after = q->image.context->sequence;
}

static int write_refcounts(struct qcow2 *q)
{
    int err = qcow2_cache_write(q, QCOW2_REFCOUNTS);

    if (!err && q->reftable.any_dirty) {
        err = image_sync_file(&q->image);
        if (!err)
            err = qcow2_table_write(q, &q->reftable);
    }
    return err ? err : image_sync_file(&q->image);
}

static int write_mappings(struct qcow2 *q)
{
    int err = qcow2_cache_write(q, QCOW2_L2);

    if (!err)
        err = qcow2_table_write(q, &q->l1);
    return err ? err : image_sync_file(&q->image);
}

int qcow2_sync(struct qcow2 *q)
{
    int err;

    if (clean(q))
        return 0;
    err = write_refcounts(q);
    if (!err)
        err = write_mappings(q);
    if (!err)
        release(q);
    return err;
}

int qcow2_switch_header(struct qcow2 *q)
{
    int err = qcow2_sync(q);

    if (!err)
        err = image_sync_file(&q->image);
    if (!err)
        err = qcow2_write_header(q);
    return err ? err : image_sync_file(&q->image);
}

int qcow2_set_dirty(struct qcow2 *q, bool dirty)
{
    uint64_t features;
    int err;

    if (q->header.version < 3)
        return 0;
    features = load_be64(q->header_sector + 72) & ~(uint64_t)QCOW2_INCOMPAT_DIRTY;
    store_be64(q->header_sector + 72, features | (dirty ? QCOW2_INCOMPAT_DIRTY : 0));
    err = qcow2_write_header(q);
    return err ? err : image_sync_file(&q->image);
}

int qcow2_flush(struct image *image)
{
    struct qcow2 *q = qcow2_of(image);
    struct fibers *fibers = &image->context->fibers;
    bool was_clean;
    int err;

    fiber_lock_take(fibers, &q->lock);
    was_clean = clean(q);
    err = qcow2_sync(q);
    fiber_lock_release(fibers, &q->lock);
    return was_clean ? image_sync_file(image) : err;
}

/* At the end, when nothing else is in flight: also what was freed is counted down. */
int qcow2_sync_all(struct image *image)
{
    struct qcow2 *q = qcow2_of(image);
    int err = 0;

    for (unsigned i = 0; i < 4 && !err && !q->corrupt; i++) {
        err = qcow2_flush(image);
        qcow2_settle(image);
    }
    return err;
}
