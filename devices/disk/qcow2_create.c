#include "devices/disk/qcow2_create.h"

#include "devices/disk/qcow2_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXT_BACKING_FORMAT 0xe2792acau

/* Clusters from the file's start: header, refcount table, refcount blocks, L1 table. */
struct layout {
    unsigned cluster_bits, order;
    uint64_t l1_entries, table, blocks, l1, total; /* clusters, but for the entries */
};

static int plan(const struct qcow2_parameters *p, struct layout *l)
{
    uint64_t cluster, per_block;
    unsigned refcount_bits = p->refcount_bits ? p->refcount_bits : 16;

    l->cluster_bits = p->cluster_bits ? p->cluster_bits : 16;
    l->order = (unsigned)__builtin_ctz(refcount_bits);
    if (!IS_ALIGNED(p->size, DISK_SECTOR) || p->size > INT64_MAX || p->version == 1 ||
        p->version > 3 || l->cluster_bits < QCOW2_MIN_CLUSTER_BITS ||
        l->cluster_bits > QCOW2_MAX_CLUSTER_BITS || !IS_POWER_OF_2(refcount_bits) ||
        l->order > QCOW2_MAX_REFCOUNT_ORDER || (p->version == 2 && l->order != 4) ||
        (p->version == 2 && (p->zstd || p->lazy_refcounts)) || (p->backing && strlen(p->backing) > 1023))
        return -EINVAL;
    cluster = UINT64_C(1) << l->cluster_bits;
    per_block = (cluster * 8) >> l->order;
    l->l1_entries = DIV_ROUND_UP(DIV_ROUND_UP(p->size, cluster), cluster / 8);
    if (l->l1_entries * 8 > QCOW2_MAX_L1_BYTES)
        return -EFBIG;
    l->l1 = DIV_ROUND_UP(l->l1_entries * 8, cluster);
    l->table = 1;
    for (;;) {
        l->blocks = qcow2_blocks_for(0, 1 + l->table + l->l1, per_block);
        if (l->blocks <= l->table * (cluster / 8))
            break;
        l->table++;
    }
    l->total = 1 + l->table + l->blocks + l->l1;
    return 0;
}

static void put_header(uint8_t *b, const struct qcow2_parameters *p, const struct layout *l)
{
    unsigned version = p->version ? p->version : 3;

    store_be32(b, QCOW2_MAGIC);
    store_be32(b + 4, version);
    store_be32(b + 20, l->cluster_bits);
    store_be64(b + 24, p->size);
    store_be32(b + 36, (uint32_t)l->l1_entries);
    store_be64(b + 40, (1 + l->table + l->blocks) << l->cluster_bits);
    store_be64(b + 48, UINT64_C(1) << l->cluster_bits);
    store_be32(b + 56, (uint32_t)l->table);
    if (version == 3) {
        store_be32(b + 96, l->order);
        store_be32(b + 100, p->zstd ? 112 : 104);
        store_be64(b + 72, p->zstd ? QCOW2_INCOMPAT_COMPRESSION : 0);
        store_be64(b + 80, p->lazy_refcounts);
        b[104] = p->zstd;
    }
}

/* Behind the header: the backing file's format, the end of the extensions, the name. */
static int put_backing(uint8_t *b, size_t room, const struct qcow2_parameters *p)
{
    size_t at = load_be32(b + 4) == 3 ? load_be32(b + 100) : 72, n, name = strlen(p->backing);

    if (p->backing_format) {
        n = strlen(p->backing_format);
        store_be32(b + at, EXT_BACKING_FORMAT);
        store_be32(b + at + 4, (uint32_t)n);
        memcpy(b + at + 8, p->backing_format, n);
        at += 8 + ALIGN_UP(n, 8);
    }
    at += 8;
    if (at + name > room)
        return -EINVAL;
    memcpy(b + at, p->backing, name);
    store_be64(b + 8, at);
    store_be32(b + 16, (uint32_t)name);
    return 0;
}

static int write_metadata(struct disk_file *file, const struct qcow2_parameters *p,
                          const struct layout *l, uint8_t *b)
{
    uint64_t cluster = UINT64_C(1) << l->cluster_bits, per_block = (cluster * 8) >> l->order;
    uint64_t first_block = (1 + l->table) << l->cluster_bits;
    int err = 0;

    for (uint64_t i = 0; i < l->blocks && !err; i++) {
        memset(b, 0, cluster);
        for (uint64_t c = i * per_block; c < MIN((i + 1) * per_block, l->total); c++)
            qcow2_store_ref(b, c - i * per_block, l->order, 1);
        err = disk_file_write(file, first_block + (i << l->cluster_bits), b, cluster);
    }
    for (uint64_t t = 0, i = 0; t < l->table && !err; t++) {
        memset(b, 0, cluster);
        for (uint64_t e = 0; e < cluster / 8 && i < l->blocks; e++, i++)
            store_be64(b + 8 * e, first_block + (i << l->cluster_bits));
        err = disk_file_write(file, (1 + t) << l->cluster_bits, b, cluster);
    }
    memset(b, 0, cluster);
    put_header(b, p, l);
    if (!err && p->backing)
        err = put_backing(b, cluster, p);
    return err ? err : disk_file_write(file, 0, b, cluster);
}

int qcow2_create(struct disk_file *file, const struct qcow2_parameters *p)
{
    struct layout l;
    uint8_t *buffer;
    int err = plan(p, &l);

    if (err)
        return err;
    buffer = malloc((size_t)1 << l.cluster_bits);
    if (!buffer)
        return -ENOMEM;
    if (ftruncate(file->fd, (off_t)(l.total << l.cluster_bits)) < 0)
        err = -errno;
    if (!err)
        err = write_metadata(file, p, &l, buffer);
    if (!err)
        err = disk_file_sync(file);
    file->size = l.total << l.cluster_bits;
    free(buffer);
    return err;
}
