/* qcow2_walk.c - what an L1 table refers to, counted up or down; and COPIED bits that agree with the counts. */
#include "devices/disk/qcow2_internal.h"

#include <errno.h>

/* A walk over what an L1 table refers to. */
struct walk {
    struct qcow2 *q;
    int by;                     /* what is added to each count */
    uint64_t limit, done;       /* counts to change, and changed */
    uint64_t punch, punch_size; /* unused from now on; to be given back to the file system */
};

static void punch(struct walk *w)
{
    struct io_op op = {.kind = IO_PUNCH, .offset = w->punch, .bytes = w->punch_size};

    if (w->punch_size)
        image_io(&w->q->image, &op);
    w->punch_size = 0;
}

static void note_unused(struct walk *w, uint64_t host)
{
    struct qcow2 *q = w->q;

    qcow2_cache_forget(q, host, q->cluster_size);
    qcow2_compressed_forget(q, host, q->cluster_size);
    q->next_free = MIN(q->next_free, host >> q->cluster_bits);
    if (w->punch_size && w->punch + w->punch_size != host)
        punch(w);
    if (!w->punch_size)
        w->punch = host;
    w->punch_size += q->cluster_size;
}

static int walk_clusters(struct walk *w, uint64_t offset, uint64_t bytes)
{
    struct qcow2 *q = w->q;
    uint64_t now, last = (offset + bytes - 1) >> q->cluster_bits;

    for (uint64_t c = offset >> q->cluster_bits; bytes && c <= last; c++) {
        int err;

        if (w->done == w->limit)
            return -ECANCELED;
        err = qcow2_change_ref(q, c, w->by, &now);
        if (err)
            return err;
        w->done++;
        if (!now)
            note_unused(w, c << q->cluster_bits);
    }
    return qcow2_cache_full(q) ? qcow2_sync(q) : 0;
}

static int walk_entry(struct walk *w, uint64_t entry)
{
    struct qcow2 *q = w->q;
    uint64_t offset, bytes;

    switch (qcow2_entry_type(q, entry)) {
    case QCOW2_TYPE_COMPRESSED:
        qcow2_compressed_place(q, entry, &offset, &bytes);
        return walk_clusters(w, offset, bytes);
    case QCOW2_TYPE_DATA:
    case QCOW2_TYPE_ZERO_HELD:
        offset = entry & QCOW2_OFFSET_MASK;
        if (!IS_ALIGNED(offset, q->cluster_size))
            return qcow2_mark_corrupt(q, "a cluster's offset is not a multiple of its size");
        return walk_clusters(w, offset, q->cluster_size);
    default:
        return 0;
    }
}

static int walk_l2(struct walk *w, uint64_t table)
{
    struct qcow2 *q = w->q;
    int err = 0;

    if (!IS_ALIGNED(table, q->cluster_size))
        return qcow2_mark_corrupt(q, "an L2 table lies where none can be");
    for (uint64_t at = 0; at < q->cluster_size && !err; at += UINT64_C(1) << q->cache.bits) {
        struct qcow2_slice *slice;

        err = qcow2_cache_get(q, table + at, QCOW2_L2, &slice);
        if (err)
            return err;
        for (unsigned i = 0; i < qcow2_slice_entries(q) && !err; i++)
            err = walk_entry(w, qcow2_slice_entry(slice, i));
        qcow2_cache_put(slice);
    }
    return err ? err : walk_clusters(w, table, q->cluster_size);
}

static int walk_l1(struct walk *w, const struct qcow2_table *l1)
{
    int err = 0;

    for (uint32_t i = 0; i < l1->count && !err; i++)
        if (l1->entries[i] & QCOW2_OFFSET_MASK)
            err = walk_l2(w, l1->entries[i] & QCOW2_OFFSET_MASK);
    punch(w);
    return err;
}

int qcow2_change_refs(struct qcow2 *q, const struct qcow2_table *l1, int by)
{
    struct walk w = {.q = q, .by = by, .limit = UINT64_MAX};
    int err = walk_l1(&w, l1);

    if (err && by > 0) {
        struct walk undo = {.q = q, .by = -by, .limit = w.done};

        walk_l1(&undo, l1);
    }
    return err;
}

/* The entry with its COPIED bit as the count has it. */
static int right_copied(struct qcow2 *q, uint64_t *entry)
{
    uint64_t refs, right = *entry & ~QCOW2_COPIED;
    int err = 0;

    if (!(*entry & QCOW2_COMPRESSED) && (*entry & QCOW2_OFFSET_MASK)) {
        err = qcow2_change_ref(q, (*entry & QCOW2_OFFSET_MASK) >> q->cluster_bits, 0, &refs);
        right |= !err && refs == 1 ? QCOW2_COPIED : 0;
    }
    *entry = right;
    return err;
}

static int right_slice(struct qcow2 *q, struct qcow2_slice *slice)
{
    for (unsigned i = 0; i < qcow2_slice_entries(q); i++) {
        uint64_t old = qcow2_slice_entry(slice, i), entry = old;
        int err = right_copied(q, &entry);

        if (err)
            return err;
        if (entry != old)
            qcow2_set_entry(q, slice, i, entry);
    }
    return 0;
}

int qcow2_right_bits(struct qcow2 *q)
{
    int err = 0;

    for (uint32_t i = 0; i < q->l1.count && !err; i++) {
        uint64_t entry = q->l1.entries[i], table = entry & QCOW2_OFFSET_MASK;

        for (uint64_t at = 0; table && at < q->cluster_size && !err;
             at += UINT64_C(1) << q->cache.bits) {
            struct qcow2_slice *slice;

            err = qcow2_cache_get(q, table + at, QCOW2_L2, &slice);
            if (err)
                break;
            err = right_slice(q, slice);
            qcow2_cache_put(slice);
            if (!err && qcow2_cache_full(q))
                err = qcow2_sync(q);
        }
        if (!err)
            err = right_copied(q, &entry);
        if (!err && entry != q->l1.entries[i])
            qcow2_table_set(&q->l1, i, entry);
    }
    return err;
}

int qcow2_drop_run(struct qcow2 *q, uint64_t offset, uint64_t bytes)
{
    struct walk w = {.q = q, .by = -1, .limit = UINT64_MAX};
    int err = bytes ? walk_clusters(&w, offset, bytes) : 0;

    punch(&w);
    return err;
}
