#include "devices/disk/qcow2_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

uint64_t qcow2_blocks_for(uint64_t first, uint64_t clusters, uint64_t refs_per_block)
{
    uint64_t blocks = 0, needed;

    /* Each block more may need a block more; it settles since a block covers at least 64 clusters. */
    for (;;) {
        uint64_t last = first + clusters + blocks - 1;

        needed = last / refs_per_block - first / refs_per_block + 1;
        if (needed <= blocks)
            return blocks;
        blocks = needed;
    }
}

/* A block that holds its own refcount, for clusters of which none was counted so far. */
static int place_block(struct qcow2 *q, uint64_t cluster)
{
    uint64_t per_slice = (UINT64_C(8) << q->cache.bits) >> q->header.refcount_order;
    uint64_t host = cluster << q->cluster_bits, index = cluster % qcow2_refs_per_block(q);
    struct qcow2_slice *slice;
    int err;

    if (qcow2_is_metadata(q, host, q->cluster_size))
        return qcow2_mark_corrupt(q, "a table's cluster counts as unused");
    err = image_zero_file(&q->image, host, q->cluster_size, false);
    if (err)
        return err;
    qcow2_cache_forget(q, host, q->cluster_size);
    err = qcow2_cache_get_zeroed(q, host + (index / per_slice << q->cache.bits), QCOW2_REFCOUNTS,
                                 &slice);
    if (err)
        return err;
    qcow2_store_ref(slice->data, index % per_slice, q->header.refcount_order, 1);
    qcow2_cache_dirty(q, slice);
    qcow2_cache_put(slice);
    qcow2_table_set(&q->reftable, (uint32_t)(cluster / qcow2_refs_per_block(q)), host);
    qcow2_filter_add(q, host);
    q->fresh_from = MAX(q->fresh_from, host + q->cluster_size);
    return 0;
}

/* Where the bigger table goes: [blocks refcount blocks][the table], from cluster `first` on. */
struct growth {
    uint64_t first, blocks, table_clusters;
    struct qcow2_table table;
};

static int plan_growth(struct qcow2 *q, uint64_t cluster, struct growth *g)
{
    uint64_t per_block = qcow2_refs_per_block(q), per_cluster = q->cluster_size / 8;
    uint64_t count;

    g->first = MAX(MAX(cluster, q->fresh_from >> q->cluster_bits), q->reftable.count * per_block);
    count = MAX(q->reftable.count + q->reftable.count / 2, g->first / per_block + 1);
    for (;;) {
        g->table_clusters = DIV_ROUND_UP(count, per_cluster);
        g->blocks = qcow2_blocks_for(g->first, g->table_clusters, per_block);
        if (g->first / per_block + g->blocks <= g->table_clusters * per_cluster)
            break;
        count = g->first / per_block + g->blocks;
    }
    if (g->table_clusters > MAX(1, QCOW2_MAX_REFTABLE >> q->cluster_bits))
        return -EFBIG;
    if (qcow2_is_metadata(q, g->first << q->cluster_bits,
                          (g->blocks + g->table_clusters) << q->cluster_bits))
        return qcow2_mark_corrupt(q, "a table's cluster counts as unused");
    g->table = (struct qcow2_table){.offset = (g->first + g->blocks) << q->cluster_bits,
                                    .count = (uint32_t)(g->table_clusters * per_cluster)};
    g->table.entries = calloc(g->table.count, sizeof(uint64_t));
    g->table.dirty = malloc(g->table.count);
    return g->table.entries && g->table.dirty ? 0 : -ENOMEM;
}

static int write_new_block(struct qcow2 *q, const struct growth *g, uint64_t i, uint8_t *buffer)
{
    uint64_t per_block = qcow2_refs_per_block(q);
    uint64_t used = g->first + g->blocks + g->table_clusters;
    struct iovec iov = {buffer, q->cluster_size};
    uint64_t base = (g->first / per_block + i) * per_block;

    memset(buffer, 0, q->cluster_size);
    for (uint64_t c = MAX(base, g->first); c < MIN(base + per_block, used); c++)
        qcow2_store_ref(buffer, c - base, q->header.refcount_order, 1);
    return image_write_file(&q->image, (g->first + i) << q->cluster_bits, q->cluster_size,
                            &(struct scatter){&iov, 1, 0});
}

static int write_growth(struct qcow2 *q, struct growth *g)
{
    uint64_t at = g->first / qcow2_refs_per_block(q);
    uint8_t *buffer = aligned_alloc(4096, ALIGN_UP(q->cluster_size, 4096));
    int err = buffer ? 0 : -ENOMEM;

    memcpy(g->table.entries, q->reftable.entries, q->reftable.count * sizeof(uint64_t));
    for (uint64_t i = 0; i < g->blocks && !err; i++) {
        g->table.entries[at + i] = (g->first + i) << q->cluster_bits;
        err = write_new_block(q, g, i, buffer);
    }
    free(buffer);
    memset(g->table.dirty, 1, g->table.count);
    g->table.any_dirty = true;
    if (!err)
        err = qcow2_table_write(q, &g->table);
    return err ? err : image_sync_file(&q->image);
}

static void point_header(struct qcow2 *q, uint64_t table, uint64_t clusters)
{
    store_be64(q->header_sector + 48, table);
    store_be32(q->header_sector + 56, (uint32_t)clusters);
}

/* The header's pointer moves only after what it is to point to is durable. */
static int switch_table(struct qcow2 *q, struct growth *g)
{
    struct qcow2_table old = q->reftable;
    int err;

    point_header(q, g->table.offset, g->table_clusters);
    err = qcow2_write_header(q);
    if (err == -ENOSPC || err == -EDQUOT) {
        /* A sector that had no room is not written in part: all is as it was, and can be tried again. */
        point_header(q, q->header.refcount_offset, q->header.refcount_clusters);
        return err;
    }
    if (!err)
        err = image_sync_file(&q->image);
    if (err)
        return qcow2_mark_corrupt(q, "its refcount table could not be moved");
    q->reftable = g->table;
    g->table = old;
    q->header.refcount_offset = q->reftable.offset;
    for (uint64_t i = 0; i < g->blocks; i++)
        qcow2_filter_add(q, (g->first + i) << q->cluster_bits);
    q->fresh_from =
        MAX(q->fresh_from, (g->first + g->blocks + g->table_clusters) << q->cluster_bits);
    qcow2_free_later(q, old.offset, (uint64_t)q->header.refcount_clusters << q->cluster_bits,
                     false);
    q->header.refcount_clusters = (uint32_t)g->table_clusters;
    return 0;
}

static int grow_table(struct qcow2 *q, uint64_t cluster)
{
    struct growth g = {0};
    int err = qcow2_sync(q); /* so that the old table on disk is what we copy */

    if (!err)
        err = plan_growth(q, cluster, &g);
    if (!err)
        err = write_growth(q, &g);
    if (!err)
        err = switch_table(q, &g);
    qcow2_table_free(&g.table);
    return err;
}

int qcow2_add_refblock(struct qcow2 *q, uint64_t cluster)
{
    if (cluster / qcow2_refs_per_block(q) >= q->reftable.count)
        return grow_table(q, cluster);
    return place_block(q, cluster);
}
