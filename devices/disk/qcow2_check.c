#include "devices/disk/qcow2_internal.h"

#include "base/log.h"

#include <errno.h>
#include <stdlib.h>

#define FILTER_MIN_BITS 16
#define FILTER_MAX_BITS 24 /* 2 MiB */

static uint64_t filter_bit(const struct qcow2 *q, uint64_t offset)
{
    return ((offset >> q->cluster_bits) * UINT64_C(0x9e3779b97f4a7c15) >> 32) & q->filter_mask;
}

/*
 * Every write of guest data asks whether it would hit a table. A bit for each table's cluster answers "no" at once;
 * only "perhaps" needs a walk through the tables.
 */
int qcow2_filter_init(struct qcow2 *q)
{
    unsigned bits = FILTER_MIN_BITS;

    while (bits < FILTER_MAX_BITS &&
           (UINT64_C(1) << bits) < 16 * (uint64_t)(q->l1.count + q->reftable.count))
        bits++;
    q->filter_mask = (UINT64_C(1) << bits) - 1;
    q->filter = calloc(1, (size_t)1 << (bits - 3));
    if (!q->filter)
        return -ENOMEM;
    for (uint32_t i = 0; i < q->l1.count; i++)
        qcow2_filter_add(q, q->l1.entries[i] & QCOW2_OFFSET_MASK);
    for (uint32_t i = 0; i < q->reftable.count; i++)
        qcow2_filter_add(q, q->reftable.entries[i]);
    qcow2_filter_add_snapshots(q);
    return 0;
}

void qcow2_filter_add_snapshots(struct qcow2 *q)
{
    for (uint32_t i = 0; i < q->snapshots.count; i++) {
        const struct qcow2_snapshot *s = &q->snapshots.items[i];

        for (uint64_t at = 0; at < UINT64_C(8) * s->l1_count && qcow2_snapshot_l1_plausible(q, s);
             at += q->cluster_size)
            qcow2_filter_add(q, s->l1_offset + at);
    }
}

void qcow2_filter_add(struct qcow2 *q, uint64_t offset)
{
    uint64_t bit = filter_bit(q, offset);

    q->filter[bit >> 3] |= (uint8_t)(1u << (bit & 7));
}

static bool filter_has(const struct qcow2 *q, uint64_t offset)
{
    uint64_t bit = filter_bit(q, offset);

    return q->filter[bit >> 3] >> (bit & 7) & 1;
}

static bool touches(uint64_t a, uint64_t a_bytes, uint64_t b, uint64_t b_bytes)
{
    return a < b + b_bytes && b < a + a_bytes;
}

bool qcow2_is_fixed_metadata(const struct qcow2 *q, uint64_t offset, uint64_t bytes)
{
    return offset < q->cluster_size ||
           touches(offset, bytes, q->l1.offset,
                   ALIGN_UP((uint64_t)q->l1.count * 8, q->cluster_size)) ||
           touches(offset, bytes, q->header.refcount_offset,
                   (uint64_t)q->header.refcount_clusters << q->cluster_bits) ||
           (q->snapshots.bytes &&
            touches(offset, bytes, q->header.snapshot_offset, q->snapshots.bytes));
}

static bool in_snapshot_l1(const struct qcow2 *q, uint64_t offset, uint64_t bytes)
{
    for (uint32_t i = 0; i < q->snapshots.count; i++)
        if (touches(offset, bytes, q->snapshots.items[i].l1_offset,
                    UINT64_C(8) * q->snapshots.items[i].l1_count))
            return true;
    return false;
}

bool qcow2_fixed_apart(const struct qcow2 *q)
{
    const struct {
        uint64_t offset, bytes;
    } all[] = {
        {q->l1.offset, UINT64_C(8) * q->l1.count},
        {q->header.refcount_offset, (uint64_t)q->header.refcount_clusters << q->cluster_bits},
        {q->header.snapshot_offset, q->snapshots.bytes},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(all); i++)
        for (unsigned j = i + 1; j < ARRAY_SIZE(all); j++)
            if (all[i].bytes && all[j].bytes &&
                touches(all[i].offset, ALIGN_UP(all[i].bytes, q->cluster_size), all[j].offset,
                        ALIGN_UP(all[j].bytes, q->cluster_size)))
                return false;
    return true;
}

/* An entry of the table points into the clusters of the range. */
static bool in_table(const struct qcow2 *q, const struct qcow2_table *t, uint64_t offset,
                     uint64_t bytes)
{
    uint64_t start = ALIGN_DOWN(offset, q->cluster_size);
    uint64_t span = offset + bytes - start;

    for (uint32_t i = 0; i < t->count; i++)
        if ((t->entries[i] & QCOW2_OFFSET_MASK) - start < span)
            return true;
    return false;
}

bool qcow2_is_metadata(const struct qcow2 *q, uint64_t offset, uint64_t bytes)
{
    uint64_t start = ALIGN_DOWN(offset, q->cluster_size);
    uint64_t end = ALIGN_UP(offset + bytes, q->cluster_size);
    bool perhaps = false;

    if (qcow2_is_fixed_metadata(q, start, end - start))
        return true;
    for (uint64_t at = start; at < end && !perhaps; at += q->cluster_size)
        perhaps = filter_has(q, at);
    return perhaps &&
           (in_table(q, &q->l1, offset, bytes) || in_table(q, &q->reftable, offset, bytes) ||
            in_snapshot_l1(q, start, end - start));
}

bool qcow2_plausible(const struct qcow2 *q, uint64_t offset, enum qcow2_kind kind)
{
    uint64_t cluster = ALIGN_DOWN(offset, q->cluster_size);
    const struct qcow2_table *other = kind == QCOW2_L2 ? &q->reftable : &q->l1;

    return IS_ALIGNED(offset, UINT64_C(1) << q->cache.bits) &&
           cluster < image_file(&q->image)->size &&
           !qcow2_is_fixed_metadata(q, cluster, q->cluster_size) &&
           (q->image.read_only || !in_table(q, other, cluster, q->cluster_size));
}

int qcow2_mark_corrupt(struct qcow2 *q, const char *why)
{
    uint64_t features;

    if (q->corrupt)
        return -EIO;
    q->corrupt = true;
    log_error("disk '%s' is corrupt: %s; %s. Check it with minivm image check", q->image.name, why,
              q->image.read_only ? "what lies there cannot be read"
                                 : "nothing more is written to it");
    if (q->image.read_only || q->header.version < 3)
        return -EIO;
    features = load_be64(q->header_sector + 72) | QCOW2_INCOMPAT_CORRUPT;
    store_be64(q->header_sector + 72, features);
    qcow2_write_header(q);
    return -EIO;
}
