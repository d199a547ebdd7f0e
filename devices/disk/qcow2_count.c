#include "devices/disk/qcow2_count.h"

#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TELL_MOST    20
#define RESERVED     UINT64_C(0x3f000000000001fe) /* of an L2 entry that is not compressed */
#define RESERVED_L1  UINT64_C(0x7f000000000001ff)
#define BITMAP_FIXED 24 /* bytes of an entry of the bitmap directory before its variable parts */

void qcow2_count_tell(struct qcow2_count *c, const char *fmt, ...)
{
    char text[200];
    va_list args;

    if (c->quiet || c->told > TELL_MOST)
        return;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    if (c->told++ == TELL_MOST)
        log_warn("disk '%s': and so on", c->path);
    else
        log_warn("disk '%s': %s", c->path, text);
}

static void bad(struct qcow2_count *c, const char *what, uint64_t where)
{
    c->bad++;
    qcow2_count_tell(c, "%s (%#llx)", what, (unsigned long long)where);
}

/* Table bytes; they must lie in the file, and be few enough. */
static int read_table(struct qcow2_count *c, uint64_t offset, void *data, uint64_t bytes)
{
    if (bytes > c->budget)
        return -EFBIG;
    c->budget -= bytes;
    return disk_file_read(c->file, offset, data, bytes);
}

static void add(struct qcow2_count *c, uint64_t cluster, unsigned weight)
{
    c->refs[cluster] = (uint16_t)MIN(c->refs[cluster] + weight, QCOW2_COUNT_MOST);
}

static bool count(struct qcow2_count *c, uint64_t offset, uint64_t bytes, unsigned weight)
{
    uint64_t first = offset >> c->q->cluster_bits,
             last = (offset + bytes - 1) >> c->q->cluster_bits;

    if (!bytes)
        return true;
    if (offset + bytes < offset || last >= c->clusters)
        return false;
    for (uint64_t cluster = first; cluster <= last; cluster++)
        add(c, cluster, weight);
    return true;
}

/* First of all, while nothing else is counted: how often is each L2 table used? */
static void count_l1(struct qcow2_count *c, const struct qcow2_table *l1)
{
    for (uint32_t i = 0; i < l1->count; i++) {
        uint64_t table = l1->entries[i] & QCOW2_OFFSET_MASK;

        if (l1->entries[i] & RESERVED_L1)
            bad(c, "an L1 entry has reserved bits set", l1->entries[i]);
        else if (!IS_ALIGNED(table, c->q->cluster_size) || (table && !count(c, table, 1, 1)))
            bad(c, "an L2 table lies where none can be", table);
    }
}

static int count_snapshot_l1(struct qcow2_count *c, const struct qcow2_snapshot *s)
{
    struct qcow2_table l1;
    int err;

    if (!qcow2_snapshot_l1_plausible(c->q, s)) {
        bad(c, "a snapshot's L1 table lies where none can be", s->l1_offset);
        return 0;
    }
    if (UINT64_C(8) * s->l1_count > c->budget)
        return -EFBIG;
    c->budget -= UINT64_C(8) * s->l1_count;
    err = qcow2_table_load(&l1, c->file, s->l1_offset, s->l1_count);
    if (!err)
        count_l1(c, &l1);
    qcow2_table_free(&l1);
    return err;
}

static int compare_clusters(const void *a, const void *b)
{
    uint64_t x = ((const struct qcow2_count_l2 *)a)->cluster,
             y = ((const struct qcow2_count_l2 *)b)->cluster;

    return (x > y) - (x < y);
}

static void mark_shown(struct qcow2_count *c)
{
    for (uint32_t i = 0; i < c->q->l1.count; i++) {
        struct qcow2_count_l2 key = {
            (c->q->l1.entries[i] & QCOW2_OFFSET_MASK) >> c->q->cluster_bits, 0, false};
        struct qcow2_count_l2 *l2 =
            key.cluster ? bsearch(&key, c->l2, c->l2_count, sizeof(key), compare_clusters) : NULL;

        if (l2)
            l2->shown = true;
    }
}

static int list_l2(struct qcow2_count *c)
{
    size_t n = 0;

    for (uint64_t i = 0; i < c->clusters; i++)
        n += c->refs[i] != 0;
    c->l2 = calloc(n + 1, sizeof(*c->l2));
    if (!c->l2)
        return -ENOMEM;
    for (uint64_t i = 0; i < c->clusters; i++)
        if (c->refs[i])
            c->l2[c->l2_count++] = (struct qcow2_count_l2){i, c->refs[i], false};
    mark_shown(c);
    return 0;
}

static void count_entry(struct qcow2_count *c, uint64_t entry, const struct qcow2_count_l2 *l2)
{
    struct qcow2 *q = c->q;
    enum qcow2_type type = qcow2_entry_type(q, entry);
    uint64_t offset = entry & QCOW2_OFFSET_MASK, bytes = q->cluster_size;

    if (type == QCOW2_TYPE_COMPRESSED) {
        qcow2_compressed_place(q, entry, &offset, &bytes);
        bytes = offset < c->file->size ? MIN(bytes, c->file->size - offset) : bytes;
        c->compressed += l2->shown;
        if (entry & QCOW2_COPIED)
            bad(c, "a compressed cluster is marked as written in place", entry);
    } else if (entry & (RESERVED | (q->header.version < 3))) {
        bad(c, "an L2 entry has reserved bits set", entry);
        return;
    }
    if (type == QCOW2_TYPE_ABSENT || type == QCOW2_TYPE_ZERO)
        return;
    c->allocated += l2->shown;
    if (type != QCOW2_TYPE_COMPRESSED && !IS_ALIGNED(offset, q->cluster_size))
        bad(c, "a cluster's offset is not a multiple of its size", entry);
    else if (!count(c, offset, bytes, l2->weight))
        bad(c, "a cluster lies beyond the end of the file", entry);
}

static int count_l2s(struct qcow2_count *c)
{
    uint64_t size = c->q->cluster_size;
    uint8_t *table = malloc(size);
    int err = table ? 0 : -ENOMEM;

    for (size_t i = 0; i < c->l2_count && !err; i++) {
        err = read_table(c, c->l2[i].cluster << c->q->cluster_bits, table, size);
        for (uint64_t at = 0; at < size && !err; at += 8)
            count_entry(c, load_be64(table + at), &c->l2[i]);
    }
    free(table);
    return err;
}

/* The bitmaps of backup programs: a directory, and in it tables of clusters. */
static int count_bitmap(struct qcow2_count *c, const uint8_t *entry)
{
    uint64_t offset = load_be64(entry), bytes = UINT64_C(8) * load_be32(entry + 8);
    uint8_t *table;
    int err;

    if (!IS_ALIGNED(offset, c->q->cluster_size) || !count(c, offset, bytes, 1)) {
        bad(c, "a bitmap's table lies where none can be", offset);
        return 0;
    }
    table = bytes > c->budget ? NULL : malloc(bytes + 1);
    if (!table)
        return bytes > c->budget ? -EFBIG : -ENOMEM;
    err = read_table(c, offset, table, bytes);
    for (uint64_t at = 0; at < bytes && !err; at += 8) {
        uint64_t cluster = load_be64(table + at) & QCOW2_OFFSET_MASK;

        if (cluster &&
            (!IS_ALIGNED(cluster, c->q->cluster_size) || !count(c, cluster, c->q->cluster_size, 1)))
            bad(c, "a bitmap's cluster lies where none can be", cluster);
    }
    free(table);
    return err;
}

static int count_bitmaps(struct qcow2_count *c)
{
    const struct qcow2_header *h = &c->q->header;
    uint64_t at = 0, bytes = h->bitmap_bytes;
    uint8_t *directory;
    int err;

    if (!h->bitmaps)
        return 0;
    if (bytes > QCOW2_MAX_BITMAP_DIR || !count(c, h->bitmap_offset, bytes, 1)) {
        bad(c, "the bitmap directory lies where none can be", h->bitmap_offset);
        return 0;
    }
    directory = malloc(bytes + 1);
    err = directory ? read_table(c, h->bitmap_offset, directory, bytes) : -ENOMEM;
    for (uint32_t i = 0; i < h->bitmaps && !err; i++) {
        if (at + BITMAP_FIXED > bytes) {
            bad(c, "the bitmap directory is too short", at);
            break;
        }
        err = count_bitmap(c, directory + at);
        at += ALIGN_UP(BITMAP_FIXED + (uint64_t)load_be16(directory + at + 18) +
                           load_be32(directory + at + 20),
                       8);
    }
    free(directory);
    return err;
}

/* What has a place that only the header or a table of its own tells, and is used once. */
typedef void fixed_fn(struct qcow2_count *c, uint64_t offset, uint64_t bytes);

static void each_fixed(struct qcow2_count *c, fixed_fn *fn)
{
    struct qcow2 *q = c->q;

    fn(c, 0, q->cluster_size);
    fn(c, q->l1.offset, UINT64_C(8) * q->l1.count);
    fn(c, q->header.snapshot_offset, q->snapshots.bytes);
    for (uint32_t i = 0; i < q->snapshots.count; i++)
        if (qcow2_snapshot_l1_plausible(q, &q->snapshots.items[i]))
            fn(c, q->snapshots.items[i].l1_offset, UINT64_C(8) * q->snapshots.items[i].l1_count);
    if (!c->old_counts)
        return;
    c->in_counts = true;
    fn(c, q->header.refcount_offset, (uint64_t)q->header.refcount_clusters << q->cluster_bits);
    for (uint32_t i = 0; i < q->reftable.count; i++)
        if (q->reftable.entries[i])
            fn(c, q->reftable.entries[i], q->cluster_size);
    c->in_counts = false;
}

static void count_fixed(struct qcow2_count *c, uint64_t offset, uint64_t bytes)
{
    if (IS_ALIGNED(offset, c->q->cluster_size) && count(c, offset, bytes, 1))
        return;
    bad(c,
        c->in_counts ? "a refcount block lies where none can be" : "a table lies where none can be",
        offset);
}

static void check_alone(struct qcow2_count *c, uint64_t offset, uint64_t bytes)
{
    uint64_t cluster = offset >> c->q->cluster_bits,
             end = DIV_ROUND_UP(offset + bytes, c->q->cluster_size);

    for (; bytes && cluster < end && end <= c->clusters; cluster++)
        if (c->refs[cluster] != 1)
            bad(c, "a table shares its cluster with something else", cluster << c->q->cluster_bits);
}

static void check_l2s_alone(struct qcow2_count *c)
{
    for (size_t i = 0; i < c->l2_count; i++)
        if (c->refs[c->l2[i].cluster] != c->l2[i].weight)
            bad(c, "an L2 table shares its cluster with something else",
                c->l2[i].cluster << c->q->cluster_bits);
}

static int count_in_order(struct qcow2_count *c)
{
    int err = 0;

    count_l1(c, &c->q->l1);
    for (uint32_t i = 0; i < c->q->snapshots.count && !err; i++)
        err = count_snapshot_l1(c, &c->q->snapshots.items[i]);
    if (!err)
        err = list_l2(c);
    if (err)
        return err;
    each_fixed(c, count_fixed);
    err = count_bitmaps(c);
    if (!err)
        err = count_l2s(c);
    if (err)
        return err;
    each_fixed(c, check_alone);
    check_l2s_alone(c);
    return 0;
}

int qcow2_count_all(struct qcow2_count *c)
{
    uint64_t most = MAX(QCOW2_COUNT_CLUSTERS, c->budget >> c->q->cluster_bits);

    c->clusters = DIV_ROUND_UP(c->file->size, c->q->cluster_size);
    if (c->clusters > most)
        return -EFBIG;
    c->refs = calloc(c->clusters + 1, sizeof(*c->refs));
    return c->refs ? count_in_order(c) : -ENOMEM;
}

void qcow2_count_free(struct qcow2_count *c)
{
    free(c->refs);
    free(c->l2);
    c->refs = NULL;
    c->l2 = NULL;
    c->l2_count = 0;
}
