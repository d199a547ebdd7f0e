#include "devices/disk/qcow2_internal.h"

#include "base/error.h"
#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/*
 * An image whose writer kept its refcounts in memory ("lazy refcounts") and died. All references are counted anew, and
 * the counts are written behind the end of the file; then the header's pointer moves there. The old ones are not needed
 * for that, and until the last step the image is what it was.
 */

#define MAX_CLUSTERS (24u << 20) /* two bytes each while we count */

struct recount {
    struct qcow2 *q;
    const struct disk_file *file;
    uint16_t *refs;
    uint64_t clusters;
};

static int count(struct recount *r, uint64_t offset, uint64_t bytes)
{
    uint64_t first = offset >> r->q->cluster_bits;
    uint64_t last = (offset + bytes - 1) >> r->q->cluster_bits;

    if (!bytes)
        return 0;
    if (last >= r->clusters)
        return -EINVAL;
    for (uint64_t c = first; c <= last; c++)
        if (r->refs[c]++ == UINT16_MAX)
            return -EINVAL;
    return 0;
}

static int count_entry(struct recount *r, uint64_t entry)
{
    uint64_t offset, bytes;

    switch (qcow2_entry_type(r->q, entry)) {
    case QCOW2_TYPE_COMPRESSED:
        qcow2_compressed_place(r->q, entry, &offset, &bytes);
        return count(r, offset, bytes);
    case QCOW2_TYPE_DATA:
    case QCOW2_TYPE_ZERO_HELD:
        return count(r, entry & QCOW2_OFFSET_MASK, r->q->cluster_size);
    default:
        return 0;
    }
}

/* A table is used once, and once by each snapshot: more means that the L1 table is nonsense, or a trap. */
static int count_l2(struct recount *r, uint64_t offset, uint8_t *buffer)
{
    uint64_t size = r->q->cluster_size;
    int err = IS_ALIGNED(offset, size) ? count(r, offset, size) : -EINVAL;

    if (!err && r->refs[offset >> r->q->cluster_bits] > 1 + r->q->header.snapshots)
        err = -EINVAL;
    if (!err)
        err = disk_file_read(r->file, offset, buffer, size);
    for (uint64_t i = 0; i < size / 8 && !err; i++)
        err = count_entry(r, load_be64(buffer + 8 * i));
    return err;
}

static int count_l1(struct recount *r, const struct qcow2_table *l1)
{
    uint8_t *buffer = malloc(r->q->cluster_size);
    int err = buffer ? count(r, l1->offset, (uint64_t)l1->count * 8) : -ENOMEM;

    for (uint32_t i = 0; i < l1->count && !err; i++)
        if (l1->entries[i] & QCOW2_OFFSET_MASK)
            err = count_l2(r, l1->entries[i] & QCOW2_OFFSET_MASK, buffer);
    free(buffer);
    return err;
}

static int count_snapshot(struct recount *r, const uint8_t *entry)
{
    struct qcow2_table l1;
    uint32_t entries = load_be32(entry + 8);
    int err;

    if (entries > QCOW2_MAX_L1_BYTES / 8)
        return -EINVAL;
    err = qcow2_table_load(&l1, r->file, load_be64(entry), entries);
    if (!err)
        err = count_l1(r, &l1);
    qcow2_table_free(&l1);
    return err;
}

static int count_snapshots(struct recount *r)
{
    struct qcow2 *q = r->q;
    uint8_t *directory = malloc(q->snapshot_bytes + 1);
    uint64_t at = 0;
    int err = directory ? count(r, q->header.snapshot_offset, q->snapshot_bytes) : -ENOMEM;

    if (!err)
        err = disk_file_read(r->file, q->header.snapshot_offset, directory, q->snapshot_bytes);
    for (uint32_t i = 0; i < q->header.snapshots && !err; i++) {
        err = count_snapshot(r, directory + at);
        at += qcow2_snapshot_entry_bytes(directory + at);
    }
    free(directory);
    return err;
}

static int count_all(struct recount *r)
{
    int err = count(r, 0, r->q->cluster_size);

    if (!err)
        err = count_l1(r, &r->q->l1);
    if (!err && r->q->header.snapshots)
        err = count_snapshots(r);
    return err;
}

/* The new counts, from cluster r->clusters on: [blocks][table], all counted too. */
static int write_blocks(struct recount *r, uint64_t blocks, uint64_t table, uint8_t *buffer)
{
    struct qcow2 *q = r->q;
    uint64_t per_block = qcow2_refs_per_block(q), used = r->clusters + blocks + table;
    uint64_t most = q->header.refcount_order == 6
                        ? UINT64_MAX
                        : (UINT64_C(1) << (1u << q->header.refcount_order)) - 1;
    int err = 0;

    for (uint64_t b = 0; b < blocks && !err; b++) {
        memset(buffer, 0, q->cluster_size);
        for (uint64_t c = b * per_block; c < MIN((b + 1) * per_block, used); c++) {
            uint64_t refs = c < r->clusters ? r->refs[c] : 1;

            if (refs > most)
                return -EINVAL;
            qcow2_store_ref(buffer, c - b * per_block, q->header.refcount_order, refs);
        }
        err =
            disk_file_write(r->file, (r->clusters + b) << q->cluster_bits, buffer, q->cluster_size);
    }
    return err;
}

static int write_table(struct recount *r, uint64_t blocks, uint64_t table, uint8_t *buffer)
{
    struct qcow2 *q = r->q;
    uint64_t b = 0;
    int err = 0;

    for (uint64_t t = 0; t < table && !err; t++) {
        memset(buffer, 0, q->cluster_size);
        for (uint64_t e = 0; e < q->cluster_size / 8 && b < blocks; e++, b++)
            store_be64(buffer + 8 * e, (r->clusters + b) << q->cluster_bits);
        err = disk_file_write(r->file, (r->clusters + blocks + t) << q->cluster_bits, buffer,
                              q->cluster_size);
    }
    return err ? err : disk_file_sync(r->file);
}

static int write_counts(struct recount *r)
{
    struct qcow2 *q = r->q;
    uint64_t table = 1, blocks;
    uint8_t *buffer = malloc(q->cluster_size);
    int err = buffer ? 0 : -ENOMEM;

    for (;;) {
        blocks = qcow2_blocks_for(0, r->clusters + table, qcow2_refs_per_block(q));
        if (blocks <= table * (q->cluster_size / 8))
            break;
        table = DIV_ROUND_UP(blocks, q->cluster_size / 8);
    }
    if (table > MAX(1, QCOW2_MAX_REFTABLE >> q->cluster_bits))
        err = -EFBIG;
    if (!err)
        err = write_blocks(r, blocks, table, buffer);
    if (!err)
        err = write_table(r, blocks, table, buffer);
    free(buffer);
    if (err)
        return err;
    q->header.refcount_offset = (r->clusters + blocks) << q->cluster_bits;
    q->header.refcount_clusters = (uint32_t)table;
    image_file(&q->image)->size = (r->clusters + blocks + table) << q->cluster_bits;
    return 0;
}

static int switch_counts(struct qcow2 *q)
{
    uint8_t *b = q->header_sector;
    int err;

    store_be64(b + 48, q->header.refcount_offset);
    store_be32(b + 56, q->header.refcount_clusters);
    store_be64(b + 72, load_be64(b + 72) & ~(uint64_t)QCOW2_INCOMPAT_DIRTY);
    err = qcow2_write_header(q);
    return err ? err : disk_file_sync(image_file(&q->image));
}

int qcow2_repair(struct qcow2 *q, const char *path)
{
    struct recount r = {.q = q, .file = image_file(&q->image)};
    int err = -ENOTSUP;

    r.clusters = DIV_ROUND_UP(r.file->size, q->cluster_size);
    if (r.clusters <= MAX_CLUSTERS && !q->header.bitmaps) {
        r.refs = calloc(r.clusters, sizeof(*r.refs));
        err = r.refs ? count_all(&r) : -ENOMEM;
        if (!err)
            err = write_counts(&r);
        if (!err)
            err = switch_counts(q);
        free(r.refs);
    }
    if (err)
        return fail(err,
                    "disk '%s' was not closed properly and cannot be repaired here (%s); run "
                    "qemu-img check -r all on it",
                    path, strerror(-err));
    log_info("disk '%s' was not closed properly; its refcounts have been rebuilt", path);
    return 0;
}
