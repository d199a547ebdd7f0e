#include "devices/disk/qcow2_internal.h"

#include <errno.h>

#define CHUNK MIB(1)

static int write_zeroes(struct image *image, uint64_t offset, uint64_t bytes)
{
    static const _Alignas(4096) char zeroes[KIB(64)];
    struct iovec iov[CHUNK / sizeof(zeroes)];

    for (unsigned i = 0; i < ARRAY_SIZE(iov); i++)
        iov[i] = (struct iovec){(void *)zeroes, sizeof(zeroes)};
    while (bytes) {
        uint64_t n = MIN(bytes, CHUNK);
        int err = qcow2_write(image, offset, n, &(struct scatter){iov, ARRAY_SIZE(iov), 0});

        if (err)
            return err;
        offset += n;
        bytes -= n;
    }
    return 0;
}

/* Part of a cluster: nothing to do if it is zero already. */
static int zero_part(struct image *image, uint64_t offset, uint64_t bytes)
{
    struct qcow2 *q = qcow2_of(image);
    struct qcow2_mapping m;
    int err = bytes ? qcow2_map(q, offset, bytes, &m) : 0;

    if (err || !bytes || qcow2_reads_as_zero(q, &m, offset))
        return err;
    return write_zeroes(image, offset, bytes);
}

/* What to do to whole clusters. */
struct clearing {
    bool discard; /* a hint: may leave them as they are */
    bool cut;     /* the image is to have nothing there */
    bool unmap;
};

/* What an entry becomes. */
static uint64_t cleared_entry(const struct qcow2 *q, const struct clearing *c, uint64_t entry)
{
    enum qcow2_type type = qcow2_entry_type(q, entry);
    bool held = (type == QCOW2_TYPE_DATA || type == QCOW2_TYPE_ZERO_HELD) && (entry & QCOW2_COPIED);

    if (c->cut)
        return 0;
    if (type == QCOW2_TYPE_ZERO || (type == QCOW2_TYPE_ABSENT && (c->discard || !q->image.backing)))
        return entry;
    if (q->header.version < 3)
        return 0; /* only called without a backing image */
    if (held && !c->discard && !c->unmap)
        return (entry & (QCOW2_OFFSET_MASK | QCOW2_COPIED)) | QCOW2_ZERO;
    return q->image.backing ? QCOW2_ZERO : 0;
}

static int clear_slice(struct qcow2 *q, const struct clearing *c, uint64_t offset,
                       uint64_t clusters)
{
    struct qcow2_slice *slice;
    unsigned index = qcow2_slice_index(q, offset);
    int err = qcow2_cache_full(q) ? qcow2_sync(q) : 0;

    if (!err)
        err = qcow2_slice_for_write(q, offset, &slice);
    if (err)
        return err;
    for (uint64_t i = 0; i < clusters; i++) {
        uint64_t old = qcow2_slice_entry(slice, index + (unsigned)i);
        uint64_t entry = cleared_entry(q, c, old);

        if (entry == old)
            continue;
        qcow2_set_entry(q, slice, index + (unsigned)i, entry);
        if (!(entry & QCOW2_OFFSET_MASK))
            qcow2_free_entry(q, old, true);
    }
    qcow2_cache_put(slice);
    return 0;
}

/* Without an L2 table all is absent: is that what is wanted? */
static bool nothing_to_clear(const struct qcow2 *q, const struct clearing *c, uint64_t offset)
{
    uint64_t table = q->l1.entries[offset >> (q->cluster_bits + q->l2_bits)] & QCOW2_OFFSET_MASK;

    return !table && (c->discard || c->cut || !q->image.backing);
}

/* Whole clusters, a slice at a time, so that others get the lock in between. */
static int clear_clusters(struct qcow2 *q, const struct clearing *c, uint64_t offset,
                          uint64_t bytes)
{
    struct fibers *fibers = &q->image.context->fibers;
    uint64_t slice_span = (uint64_t)qcow2_slice_entries(q) << q->cluster_bits;
    uint64_t table_span = UINT64_C(1) << (q->cluster_bits + q->l2_bits);
    int err = 0;

    while (bytes && !err) {
        bool skip = nothing_to_clear(q, c, offset);
        uint64_t span = skip ? table_span : slice_span;
        uint64_t n = MIN(bytes, span - (offset & (span - 1)));

        if (!skip) {
            fiber_lock_take(fibers, &q->lock);
            err = q->corrupt ? -EIO : clear_slice(q, c, offset, n >> q->cluster_bits);
            fiber_lock_release(fibers, &q->lock);
        }
        offset += n;
        bytes -= n;
    }
    return err;
}

/* The last cluster of the disk counts as whole if the range reaches the disk's end. */
static uint64_t whole_end(const struct qcow2 *q, uint64_t end)
{
    return end == q->image.size ? ALIGN_UP(end, q->cluster_size) : ALIGN_DOWN(end, q->cluster_size);
}

int qcow2_zero(struct image *image, uint64_t offset, uint64_t bytes, bool unmap)
{
    struct qcow2 *q = qcow2_of(image);
    struct clearing c = {.unmap = unmap};
    uint64_t end = offset + bytes, first = ALIGN_UP(offset, q->cluster_size),
             last = whole_end(q, end);
    int err;

    if (q->header.version < 3 && (image->backing || !unmap))
        return write_zeroes(image, offset, bytes);
    if (first >= last)
        return write_zeroes(image, offset, bytes);
    err = zero_part(image, offset, first - offset);
    if (!err)
        err = clear_clusters(q, &c, first, last - first);
    if (!err && last < end)
        err = zero_part(image, last, end - last);
    return err;
}

int qcow2_discard(struct image *image, uint64_t offset, uint64_t bytes)
{
    struct qcow2 *q = qcow2_of(image);
    struct clearing c = {.discard = true};
    uint64_t first = ALIGN_UP(offset, q->cluster_size), last = whole_end(q, offset + bytes);

    if (first >= last || (q->header.version < 3 && image->backing))
        return 0;
    return clear_clusters(q, &c, first, last - first);
}

int qcow2_cut(struct image *image, uint64_t offset, uint64_t end)
{
    struct qcow2 *q = qcow2_of(image);
    struct clearing c = {.cut = true};
    uint64_t first = ALIGN_UP(offset, q->cluster_size), last = ALIGN_UP(end, q->cluster_size);

    return first < last ? clear_clusters(q, &c, first, last - first) : 0;
}
