#include "devices/disk/qcow2_internal.h"

#include <errno.h>
#include <stdlib.h>

/* A piece of a request that needs clusters of its own. */
struct new_clusters {
    struct qcow2_allocation allocation;
    uint64_t offset, bytes; /* of the guest's data */
    uint64_t host;          /* of allocation.start */
    bool held;              /* the clusters were there already (preallocated zeroes) */
    bool head_zero,
        tail_zero; /* what is around the data need not be written: it reads as zeroes, and so does the file */
};

static uint64_t cluster_count(const struct qcow2 *q, const struct new_clusters *n)
{
    return (n->allocation.end - n->allocation.start) >> q->cluster_bits;
}

/* The clusters of the range that some write in flight is about to replace: the first such byte, or `end`. */
static uint64_t next_conflict(const struct qcow2 *q, uint64_t start, uint64_t end)
{
    const struct qcow2_allocation *a;

    LIST_FOREACH (a, &q->allocations, link)
        if (a->start < end && start < a->end)
            end = MAX(a->start, start);
    return end;
}

/* How many clusters from `index` on cannot be written in place. */
static uint64_t unwritable_run(const struct qcow2 *q, const struct qcow2_slice *slice,
                               unsigned index, uint64_t most)
{
    uint64_t n = 0;

    for (; n < most && index + n < qcow2_slice_entries(q); n++) {
        uint64_t entry = qcow2_slice_entry(slice, index + (unsigned)n);
        enum qcow2_type type = qcow2_entry_type(q, entry);

        if ((type == QCOW2_TYPE_DATA || type == QCOW2_TYPE_ZERO_HELD) && (entry & QCOW2_COPIED))
            break;
    }
    return n;
}

static bool entry_reads_as_zero(struct qcow2 *q, const struct qcow2_slice *slice, uint64_t offset)
{
    struct qcow2_mapping m;

    qcow2_map_slice(q, slice, offset, 1, &m);
    return qcow2_reads_as_zero(q, &m, ALIGN_DOWN(offset, q->cluster_size));
}

/*
 * A small write to a cluster's start is most likely the first of many that go on from there. Each would find a hole (or
 * reserved space) in the file, which costs the file system more than the data: so the zeroes are written at once.
 */
static bool more_will_follow(const struct qcow2 *q, const struct new_clusters *n)
{
    return n->offset == n->allocation.start && q->cluster_size <= KIB(64);
}

/* Choose clusters for the first part of [offset, offset + bytes). The slice is the one to change later. */
static int choose_clusters(struct qcow2 *q, struct qcow2_slice *slice,
                           const struct qcow2_mapping *m, uint64_t offset, uint64_t bytes,
                           struct new_clusters *n)
{
    uint64_t start = ALIGN_DOWN(offset, q->cluster_size);
    uint64_t end = next_conflict(q, start, ALIGN_UP(offset + bytes, q->cluster_size));
    uint64_t want = (end - start) >> q->cluster_bits, got;
    bool fresh = false;
    int err = 0;

    if (m->type == QCOW2_TYPE_ZERO_HELD && m->copied) {
        n->held = true;
        n->host = m->host - (offset - start);
        got = MIN(want, DIV_ROUND_UP(offset - start + m->bytes, q->cluster_size));
    } else {
        want = unwritable_run(q, slice, qcow2_slice_index(q, start), want);
        err = qcow2_allocate(q, want, &n->host, &got, &fresh);
    }
    if (err)
        return err;
    n->allocation.start = start;
    n->allocation.end = start + (got << q->cluster_bits);
    n->offset = offset;
    n->bytes = MIN(bytes, n->allocation.end - offset);
    n->head_zero = fresh && entry_reads_as_zero(q, slice, start);
    n->tail_zero =
        fresh && entry_reads_as_zero(q, slice, n->allocation.end - 1) && !more_will_follow(q, n);
    LIST_INSERT_HEAD(&q->allocations, &n->allocation, link);
    return 0;
}

/* What is around the data in its first and last cluster comes from where the guest sees it now. */
static int read_around(struct qcow2 *q, uint64_t offset, uint64_t bytes, struct iovec *iov)
{
    *iov = (struct iovec){NULL, bytes};
    if (!bytes)
        return 0;
    iov->iov_base = aligned_alloc(4096, ALIGN_UP(bytes, 4096));
    if (!iov->iov_base)
        return -ENOMEM;
    return qcow2_read(&q->image, offset, bytes, &(struct scatter){iov, 1, 0});
}

static int write_with(struct qcow2 *q, const struct new_clusters *n, const struct scatter *data,
                      const struct iovec *head, const struct iovec *tail)
{
    uint64_t at = n->host + (n->offset - n->allocation.start) - head->iov_len;
    struct iovec *all;
    unsigned count = 0;
    int err;

    if (!head->iov_len && !tail->iov_len)
        return image_write_file(&q->image, at, n->bytes, data);
    all = malloc((data->count + 2) * sizeof(*all));
    if (!all)
        return -ENOMEM;
    if (head->iov_len)
        all[count++] = *head;
    count += scatter_slice(data, n->bytes, all + count);
    if (tail->iov_len)
        all[count++] = *tail;
    err = image_write_file(&q->image, at, head->iov_len + n->bytes + tail->iov_len,
                           &(struct scatter){all, count, 0});
    free(all);
    return err;
}

/* Fill the new clusters; nothing refers to them yet. */
static int fill_clusters(struct qcow2 *q, const struct new_clusters *n, const struct scatter *data)
{
    uint64_t end = n->offset + n->bytes;
    uint64_t before = n->head_zero ? 0 : n->offset - n->allocation.start;
    uint64_t after = n->tail_zero ? 0 : n->allocation.end - end;
    struct iovec head = {0}, tail = {0};
    int err = read_around(q, n->offset - before, before, &head);

    if (!err)
        err = read_around(q, end, after, &tail);
    if (!err)
        err = write_with(q, n, data, &head, &tail);
    free(head.iov_base);
    free(tail.iov_base);
    return err;
}

/* Now the guest sees them. The lock is held. */
static int link_clusters(struct qcow2 *q, const struct new_clusters *n)
{
    struct qcow2_slice *slice;
    unsigned index = qcow2_slice_index(q, n->allocation.start);
    int err = qcow2_slice_for_write(q, n->allocation.start, &slice);

    if (err)
        return err;
    for (uint64_t i = 0; i < cluster_count(q, n); i++) {
        uint64_t old = qcow2_slice_entry(slice, index + (unsigned)i);

        qcow2_set_entry(q, slice, index + (unsigned)i,
                        (n->host + (i << q->cluster_bits)) | QCOW2_COPIED);
        if (!n->held)
            qcow2_free_entry(q, old, false);
    }
    qcow2_cache_put(slice);
    return 0;
}

static int finish_clusters(struct qcow2 *q, struct new_clusters *n, int err)
{
    struct fibers *fibers = &q->image.context->fibers;

    fiber_lock_take(fibers, &q->lock);
    if (!err)
        err = link_clusters(q, n);
    if (err && !n->held)
        qcow2_unallocate(q, n->host, cluster_count(q, n));
    LIST_REMOVE(&n->allocation, link);
    fiber_wake_all(fibers, &q->allocated);
    fiber_lock_release(fibers, &q->lock);
    return err;
}

/*
 * Under the lock: find out how the first part of a write is done. In place (n->host is where, n->allocation.end is 0),
 * or into new clusters. -EAGAIN: another write has these clusters in hand, wait for it.
 */
static int plan(struct qcow2 *q, uint64_t offset, uint64_t bytes, struct new_clusters *n)
{
    struct qcow2_mapping m;
    struct qcow2_slice *slice;
    int err;

    if (q->corrupt)
        return -EIO;
    if (next_conflict(q, ALIGN_DOWN(offset, q->cluster_size), offset + 1) <= offset)
        return -EAGAIN;
    if (qcow2_cache_full(q) && (err = qcow2_sync(q)))
        return err;
    err = qcow2_slice_for_write(q, offset, &slice);
    if (err)
        return err;
    qcow2_map_slice(q, slice, offset, bytes, &m);
    *n = (struct new_clusters){.offset = offset, .bytes = m.bytes, .host = m.host};
    if ((m.type == QCOW2_TYPE_DATA || m.type == QCOW2_TYPE_ZERO_HELD) && m.copied &&
        (!IS_ALIGNED(m.entry & QCOW2_OFFSET_MASK, q->cluster_size) ||
         qcow2_is_metadata(q, m.host, m.bytes)))
        err = qcow2_mark_corrupt(q, "a cluster of data lies where a table is");
    else if (m.type != QCOW2_TYPE_DATA || !m.copied)
        err = choose_clusters(q, slice, &m, offset, bytes, n);
    qcow2_cache_put(slice);
    return err;
}

static int plan_locked(struct qcow2 *q, uint64_t offset, uint64_t bytes, struct new_clusters *n)
{
    struct fibers *fibers = &q->image.context->fibers;

    for (;;) {
        int err;

        fiber_lock_take(fibers, &q->lock);
        err = plan(q, offset, bytes, n);
        fiber_lock_release(fibers, &q->lock);
        if (err != -EAGAIN)
            return err;
        fiber_wait_in(fibers, &q->allocated);
    }
}

int qcow2_write(struct image *image, uint64_t offset, uint64_t bytes, const struct scatter *data)
{
    struct qcow2 *q = qcow2_of(image);
    struct scatter at = *data;

    while (bytes) {
        struct new_clusters n;
        int err = plan_locked(q, offset, bytes, &n);

        if (err)
            return err;
        if (n.allocation.end)
            err = finish_clusters(q, &n, fill_clusters(q, &n, &at));
        else
            err = image_write_file(image, n.host, n.bytes, &at);
        if (err)
            return err;
        offset += n.bytes;
        bytes -= n.bytes;
        at = scatter_at(&at, n.bytes);
    }
    return 0;
}
