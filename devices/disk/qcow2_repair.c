#include "devices/disk/qcow2_count.h"

#include "base/error.h"
#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/*
 * Refcounts written anew: for an image whose writer kept them in memory ("lazy refcounts") or was amid a snapshot and
 * died, and for one that a check found wrong. They go behind the end of the file, then the COPIED bits are made to
 * agree, and at last the header's pointer moves. Until then the image is what it was.
 */

#define OPEN_BUDGET MIB(256) /* bytes of tables that are read when an image is opened */

/* Where they go, from cluster `first` on: [blocks][table], all counted too. */
struct plan {
    uint64_t first, blocks, table; /* clusters */
    uint8_t *buffer;               /* a cluster */
};

static int plan_counts(const struct qcow2_count *c, struct plan *p)
{
    const struct qcow2 *q = c->q;

    *p = (struct plan){.first = c->clusters, .table = 1};
    for (;;) {
        p->blocks = qcow2_blocks_for(0, p->first + p->table, qcow2_refs_per_block(q));
        if (p->blocks <= p->table * (q->cluster_size / 8))
            break;
        p->table = DIV_ROUND_UP(p->blocks, q->cluster_size / 8);
    }
    if (p->table > MAX(1, QCOW2_MAX_REFTABLE >> q->cluster_bits))
        return -EFBIG;
    p->buffer = malloc(q->cluster_size);
    return p->buffer ? 0 : -ENOMEM;
}

static int write_blocks(struct qcow2_count *c, const struct plan *p)
{
    struct qcow2 *q = c->q;
    unsigned order = q->header.refcount_order;
    uint64_t per_block = qcow2_refs_per_block(q), used = p->first + p->blocks + p->table;
    int err = 0;

    for (uint64_t b = 0; b < p->blocks && !err; b++) {
        memset(p->buffer, 0, q->cluster_size);
        for (uint64_t n = b * per_block; n < MIN((b + 1) * per_block, used); n++) {
            uint64_t refs = n < c->clusters ? c->refs[n] : 1;

            if (refs > qcow2_max_ref(order) || refs == QCOW2_COUNT_MOST)
                return -EOVERFLOW;
            qcow2_store_ref(p->buffer, n - b * per_block, order, refs);
        }
        err =
            disk_file_write(c->file, (p->first + b) << q->cluster_bits, p->buffer, q->cluster_size);
    }
    return err;
}

static int write_table(struct qcow2_count *c, const struct plan *p)
{
    struct qcow2 *q = c->q;
    uint64_t b = 0;
    int err = 0;

    for (uint64_t t = 0; t < p->table && !err; t++) {
        memset(p->buffer, 0, q->cluster_size);
        for (uint64_t e = 0; e < q->cluster_size / 8 && b < p->blocks; e++, b++)
            store_be64(p->buffer + 8 * e, (p->first + b) << q->cluster_bits);
        err = disk_file_write(c->file, (p->first + p->blocks + t) << q->cluster_bits, p->buffer,
                              q->cluster_size);
    }
    return err ? err : disk_file_sync(c->file);
}

/* The entry with its COPIED bit as counted. */
static uint64_t right_copied(const struct qcow2_count *c, uint64_t entry)
{
    uint64_t cluster = (entry & QCOW2_OFFSET_MASK) >> c->q->cluster_bits;

    if (!(entry & QCOW2_COMPRESSED) && cluster && c->refs[cluster] == 1)
        return entry | QCOW2_COPIED;
    return entry & ~QCOW2_COPIED;
}

static int right_l2(struct qcow2_count *c, uint64_t offset, uint8_t *table)
{
    uint64_t size = c->q->cluster_size;
    bool changed = false;
    int err = disk_file_read(c->file, offset, table, size);

    for (uint64_t at = 0; at < size && !err; at += 8) {
        uint64_t old = load_be64(table + at), entry = right_copied(c, old);

        store_be64(table + at, entry);
        changed |= entry != old;
    }
    return err || !changed ? err : disk_file_write(c->file, offset, table, size);
}

/* The disk's own tables; in those of snapshots the bits mean nothing. */
static int right_bits(struct qcow2_count *c, uint8_t *buffer)
{
    struct qcow2_table *l1 = &c->q->l1;
    int err = 0;

    for (uint32_t i = 0; i < l1->count && !err; i++) {
        uint64_t entry = right_copied(c, l1->entries[i]);
        uint8_t b[8];

        if (entry & QCOW2_OFFSET_MASK)
            err = right_l2(c, entry & QCOW2_OFFSET_MASK, buffer);
        if (err || entry == l1->entries[i])
            continue;
        l1->entries[i] = entry;
        store_be64(b, entry);
        err = disk_file_write(c->file, l1->offset + UINT64_C(8) * i, b, 8);
    }
    return err ? err : disk_file_sync(c->file);
}

static int switch_counts(struct qcow2_count *c, const struct plan *p)
{
    struct qcow2 *q = c->q;
    uint8_t *b = q->header_sector;
    int err;

    q->header.refcount_offset = (p->first + p->blocks) << q->cluster_bits;
    q->header.refcount_clusters = (uint32_t)p->table;
    image_file(&q->image)->size = (p->first + p->blocks + p->table) << q->cluster_bits;
    store_be64(b + 48, q->header.refcount_offset);
    store_be32(b + 56, q->header.refcount_clusters);
    if (q->header.version >= 3) {
        q->header.incompatible &= ~(uint64_t)(QCOW2_INCOMPAT_DIRTY | QCOW2_INCOMPAT_CORRUPT);
        store_be64(b + 72, q->header.incompatible);
    }
    err = qcow2_write_header(q);
    return err ? err : disk_file_sync(c->file);
}

int qcow2_repair_counts(struct qcow2_count *c)
{
    struct plan p;
    int err = plan_counts(c, &p);

    if (!err)
        err = write_blocks(c, &p);
    if (!err)
        err = write_table(c, &p);
    if (!err)
        err = right_bits(c, p.buffer);
    if (!err)
        err = switch_counts(c, &p);
    free(p.buffer);
    return err;
}

int qcow2_repair(struct qcow2 *q, const char *path)
{
    struct qcow2_count c = {
        .q = q, .file = image_file(&q->image), .path = path, .quiet = true, .budget = OPEN_BUDGET};
    int err = qcow2_count_all(&c);

    if (!err && c.bad)
        err = -EUCLEAN;
    if (!err)
        err = qcow2_repair_counts(&c);
    qcow2_count_free(&c);
    if (err)
        return fail(err,
                    "disk '%s' was not closed properly and cannot be repaired here (%s); run "
                    "minivm image check --repair all on it",
                    path, strerror(-err));
    log_info("disk '%s' was not closed properly; its refcounts have been rebuilt", path);
    return 0;
}
