#include "devices/disk/qcow2_internal.h"

#include <errno.h>
#include <stdlib.h>

enum qcow2_type qcow2_entry_type(const struct qcow2 *q, uint64_t entry)
{
    if (entry & QCOW2_COMPRESSED)
        return QCOW2_TYPE_COMPRESSED;
    if ((entry & QCOW2_ZERO) && q->header.version >= 3)
        return entry & QCOW2_OFFSET_MASK ? QCOW2_TYPE_ZERO_HELD : QCOW2_TYPE_ZERO;
    return entry & QCOW2_OFFSET_MASK ? QCOW2_TYPE_DATA : QCOW2_TYPE_ABSENT;
}

void qcow2_compressed_place(const struct qcow2 *q, uint64_t entry, uint64_t *offset,
                            uint64_t *bytes)
{
    unsigned x = 62 - (q->cluster_bits - 8);
    uint64_t sectors;

    *offset = entry & ((UINT64_C(1) << x) - 1);
    sectors = ((entry & ~(QCOW2_COPIED | QCOW2_COMPRESSED)) >> x) + 1;
    *bytes = sectors * 512 - (*offset & 511);
}

/* Does `entry`, `n` clusters after `first`, go on where that left off? */
static bool continues(uint64_t first, uint64_t entry, enum qcow2_type type, uint64_t distance)
{
    if (type == QCOW2_TYPE_ABSENT || type == QCOW2_TYPE_ZERO)
        return true;
    if (type == QCOW2_TYPE_COMPRESSED)
        return false;
    return (entry & (QCOW2_OFFSET_MASK | QCOW2_COPIED)) ==
           (first & (QCOW2_OFFSET_MASK | QCOW2_COPIED)) + distance;
}

void qcow2_map_slice(struct qcow2 *q, const struct qcow2_slice *slice, uint64_t offset,
                     uint64_t bytes, struct qcow2_mapping *m)
{
    unsigned index = qcow2_slice_index(q, offset), count = qcow2_slice_entries(q);
    uint64_t inside = offset & (q->cluster_size - 1), run = q->cluster_size - inside;
    uint64_t entry = qcow2_slice_entry(slice, index);
    enum qcow2_type type = qcow2_entry_type(q, entry);

    *m = (struct qcow2_mapping){.type = type, .entry = entry, .copied = entry & QCOW2_COPIED};
    m->host = (entry & QCOW2_OFFSET_MASK) + inside;
    for (uint64_t distance = q->cluster_size; run < bytes && ++index < count;
         distance += q->cluster_size) {
        uint64_t next = qcow2_slice_entry(slice, index);

        if (qcow2_entry_type(q, next) != type || !continues(entry, next, type, distance))
            break;
        run += q->cluster_size;
    }
    m->bytes = MIN(run, bytes);
}

#define NOWHERE UINT64_MAX /* past any file: refused like all that is */

/* Where the L2 entry of a guest offset is in the file; 0: there is no table. */
static uint64_t entry_place(const struct qcow2 *q, uint64_t offset)
{
    uint64_t index = offset >> q->cluster_bits;
    uint64_t table = q->l1.entries[index >> q->l2_bits] & QCOW2_OFFSET_MASK;

    if (!IS_ALIGNED(table, q->cluster_size))
        return NOWHERE;
    return table ? table + 8 * (index & ((UINT64_C(1) << q->l2_bits) - 1)) : 0;
}

/* Without a table: absent up to where the next one begins. */
static void map_nothing(const struct qcow2 *q, uint64_t offset, uint64_t bytes,
                        struct qcow2_mapping *m)
{
    uint64_t span = UINT64_C(1) << (q->cluster_bits + q->l2_bits);

    *m = (struct qcow2_mapping){.type = QCOW2_TYPE_ABSENT,
                                .bytes = MIN(bytes, span - (offset & (span - 1)))};
}

int qcow2_map(struct qcow2 *q, uint64_t offset, uint64_t bytes, struct qcow2_mapping *m)
{
    uint64_t place = entry_place(q, offset);
    struct qcow2_slice *slice;
    int err;

    if (!place) {
        map_nothing(q, offset, bytes, m);
        return 0;
    }
    err = qcow2_cache_get(q, place, QCOW2_L2, &slice);
    if (err)
        return err;
    qcow2_map_slice(q, slice, offset, bytes, m);
    qcow2_cache_put(slice);
    return 0;
}

bool qcow2_map_now(struct qcow2 *q, uint64_t offset, uint64_t bytes, struct qcow2_mapping *m)
{
    uint64_t place = entry_place(q, offset);
    struct qcow2_slice *slice = place ? qcow2_cache_peek(q, place, QCOW2_L2) : NULL;

    if (!slice)
        return false;
    qcow2_map_slice(q, slice, offset, bytes, m);
    return true;
}

int qcow2_extent(struct image *image, uint64_t offset, uint64_t bytes, struct image_extent *e)
{
    struct qcow2_mapping m;
    int err = qcow2_map(qcow2_of(image), offset, bytes, &m);

    if (err)
        return err;
    e->bytes = m.bytes;
    e->type = m.type == QCOW2_TYPE_ABSENT                                   ? IMAGE_ABSENT
              : m.type == QCOW2_TYPE_ZERO || m.type == QCOW2_TYPE_ZERO_HELD ? IMAGE_ZERO
                                                                            : IMAGE_DATA;
    return 0;
}

static int copy_table(struct qcow2 *q, uint64_t from, uint64_t to)
{
    struct iovec iov = {aligned_alloc(4096, ALIGN_UP(q->cluster_size, 4096)), q->cluster_size};
    struct scatter data = {&iov, 1, 0};
    int err = -ENOMEM;

    if (iov.iov_base)
        err = image_read_file(&q->image, from, q->cluster_size, &data);
    if (!err)
        err = image_write_file(&q->image, to, q->cluster_size, &data);
    free(iov.iov_base);
    return err;
}

/* A new L2 table: empty, or a copy of the one that snapshots use too. */
static int own_table(struct qcow2 *q, uint32_t l1_index)
{
    uint64_t old = q->l1.entries[l1_index] & QCOW2_OFFSET_MASK, host, got;
    bool fresh;
    int err;

    if (old && (!IS_ALIGNED(old, q->cluster_size) || !qcow2_plausible(q, old, QCOW2_L2)))
        return qcow2_mark_corrupt(q, "an L2 table lies where none can be");
    err = qcow2_allocate(q, 1, &host, &got, &fresh);
    if (err)
        return err;
    if (old)
        err = copy_table(q, old, host);
    else if (!fresh || host + q->cluster_size > image_file(&q->image)->size)
        err = image_zero_file(&q->image, host, q->cluster_size, false);
    if (err) {
        qcow2_unallocate(q, host, 1);
        return err;
    }
    qcow2_cache_forget(q, host, q->cluster_size);
    qcow2_table_set(&q->l1, l1_index, host | QCOW2_COPIED);
    qcow2_filter_add(q, host);
    if (old)
        qcow2_free_later(q, old, q->cluster_size, false);
    return 0;
}

int qcow2_slice_for_write(struct qcow2 *q, uint64_t offset, struct qcow2_slice **slice)
{
    uint32_t l1_index = (uint32_t)(offset >> (q->cluster_bits + q->l2_bits));
    int err = 0;

    if (!(q->l1.entries[l1_index] & QCOW2_COPIED) || !entry_place(q, offset))
        err = own_table(q, l1_index);
    return err ? err : qcow2_cache_get(q, entry_place(q, offset), QCOW2_L2, slice);
}

void qcow2_set_entry(struct qcow2 *q, struct qcow2_slice *slice, unsigned index, uint64_t entry)
{
    store_be64(slice->data + 8 * index, entry);
    qcow2_cache_dirty(q, slice);
}
