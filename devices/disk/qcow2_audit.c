/* qcow2_audit.c - is the image right? And what does it say about itself? */
#include "devices/disk/qcow2_count.h"

#include "base/error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define CHECK_BUDGET                                                                               \
    MIB(64) /* bytes of tables that are read in any case; and four times what the file really holds */
#define PIECE  4096 /* of the refcounts */
#define PIECES 64

/* The refcounts as they are in the file, a few pieces of them in memory. */
struct stored {
    const struct qcow2_count *c;
    struct {
        uint64_t offset; /* 0: none */
        uint8_t data[PIECE];
    } pieces[PIECES];
    int err;
};

static uint64_t stored_ref(struct stored *s, uint64_t cluster)
{
    const struct qcow2 *q = s->c->q;
    unsigned order = q->header.refcount_order;
    uint64_t per_block = qcow2_refs_per_block(q), size = MIN(PIECE, q->cluster_size),
             per_piece = (size * 8) >> order;
    uint64_t index = cluster / per_block, in_block = cluster % per_block, offset;
    uint64_t block = index < q->reftable.count ? q->reftable.entries[index] : 0;
    unsigned slot;

    if (!block || !IS_ALIGNED(block, q->cluster_size) || block >= s->c->file->size)
        return 0;
    offset = block + in_block / per_piece * size;
    slot = (unsigned)(offset / size % PIECES);
    if (s->pieces[slot].offset != offset) {
        int err = disk_file_read(s->c->file, offset, s->pieces[slot].data, size);

        s->err = s->err ? s->err : err;
        s->pieces[slot].offset = offset;
    }
    return qcow2_load_ref(s->pieces[slot].data, in_block % per_piece, order);
}

static void compare_counts(struct qcow2_count *c, struct stored *s, struct qcow2_check *result)
{
    for (uint64_t cluster = 0; cluster < c->clusters; cluster++) {
        uint64_t is = stored_ref(s, cluster), right = c->refs[cluster];

        if (is || right)
            result->image_end = (cluster + 1) << c->q->cluster_bits;
        if (is == right || (right == QCOW2_COUNT_MOST && is >= right))
            continue;
        qcow2_count_tell(c, "%s: cluster %llu has the refcount %llu, and %llu references",
                         is > right ? "leak" : "corrupt", (unsigned long long)cluster,
                         (unsigned long long)is, (unsigned long long)right);
        if (is > right)
            result->leaks++;
        else
            result->corruptions++;
    }
}

static void compare_bit(struct qcow2_count *c, struct stored *s, uint64_t entry,
                        struct qcow2_check *result)
{
    uint64_t cluster = (entry & QCOW2_OFFSET_MASK) >> c->q->cluster_bits;

    if (!cluster || (entry & QCOW2_COMPRESSED) ||
        (stored_ref(s, cluster) == 1) == ((entry & QCOW2_COPIED) != 0))
        return;
    result->corruptions++;
    qcow2_count_tell(c,
                     "corrupt: the COPIED bit of an entry (%#llx) does not agree with the refcount",
                     (unsigned long long)entry);
}

/* The disk's own tables; in those of snapshots the bits mean nothing. */
static int compare_bits(struct qcow2_count *c, struct stored *s, struct qcow2_check *result)
{
    const struct qcow2 *q = c->q;
    uint8_t *table = malloc(q->cluster_size);
    int err = table ? 0 : -ENOMEM;

    for (uint32_t i = 0; i < q->l1.count && !err; i++) {
        uint64_t at = q->l1.entries[i] & QCOW2_OFFSET_MASK;

        compare_bit(c, s, q->l1.entries[i], result);
        if (!at || !IS_ALIGNED(at, q->cluster_size) || at >= c->file->size)
            continue;
        if (c->budget < q->cluster_size)
            err = -EFBIG;
        c->budget -= q->cluster_size;
        if (!err)
            err = disk_file_read(c->file, at, table, q->cluster_size);
        for (uint64_t e = 0; e < q->cluster_size && !err; e += 8)
            compare_bit(c, s, load_be64(table + e), result);
    }
    free(table);
    return err;
}

static uint64_t budget_for(const struct disk_file *file)
{
    struct stat st;

    return CHECK_BUDGET +
           (fstat(file->fd, &st) < 0 ? 0 : UINT64_C(4) * 512 * (uint64_t)st.st_blocks);
}

/* One look at the whole image. */
static int audit(struct qcow2 *q, const char *path, bool quiet, struct qcow2_check *result)
{
    struct qcow2_count c = {
        .q = q, .file = image_file(&q->image), .path = path, .quiet = quiet, .old_counts = true};
    struct stored *s = calloc(1, sizeof(*s));
    int err;

    c.budget = budget_for(c.file);
    err = s ? qcow2_count_all(&c) : -ENOMEM;
    if (!err) {
        s->c = &c;
        *result =
            (struct qcow2_check){.corruptions = c.bad,
                                 .total_clusters = DIV_ROUND_UP(q->header.size, q->cluster_size),
                                 .allocated_clusters = c.allocated,
                                 .compressed_clusters = c.compressed};
        compare_counts(&c, s, result);
        err = compare_bits(&c, s, result);
    }
    if (!err)
        err = s->err;
    qcow2_count_free(&c);
    free(s);
    return err;
}

static int clear_marks(struct qcow2 *q)
{
    int err;

    if (q->header.version < 3 ||
        !(q->header.incompatible & (QCOW2_INCOMPAT_DIRTY | QCOW2_INCOMPAT_CORRUPT)))
        return 0;
    q->header.incompatible &= ~(uint64_t)(QCOW2_INCOMPAT_DIRTY | QCOW2_INCOMPAT_CORRUPT);
    store_be64(q->header_sector + 72, q->header.incompatible);
    err = qcow2_write_header(q);
    return err ? err : disk_file_sync(image_file(&q->image));
}

/* Count without the refcount table, and write a new one. References that cannot be right are left to a person. */
static int repair_now(struct qcow2 *q, const char *path)
{
    struct qcow2_count c = {.q = q, .file = image_file(&q->image), .path = path, .quiet = true};
    int err;

    c.budget = budget_for(c.file);
    err = qcow2_count_all(&c);
    if (!err && !c.bad)
        err = qcow2_repair_counts(&c);
    qcow2_count_free(&c);
    return err ? err : qcow2_load_reftable(q);
}

static int check_and_repair(struct qcow2 *q, const char *path, enum qcow2_repair repair,
                            struct qcow2_check *result)
{
    struct qcow2_check before;
    int err = audit(q, path, false, result);

    if (err || repair == QCOW2_REPAIR_NOTHING ||
        (repair == QCOW2_REPAIR_LEAKS && result->corruptions))
        return err;
    before = *result;
    err = disk_file_read(image_file(&q->image), 0, q->header_sector, QCOW2_SECTOR);
    if (!err && !before.corruptions && !before.leaks)
        return clear_marks(q);
    if (!err)
        err = repair_now(q, path);
    if (!err)
        err = audit(q, path, true, result);
    if (err)
        return err;
    result->repaired_corruptions =
        before.corruptions - MIN(before.corruptions, result->corruptions);
    result->repaired_leaks = before.leaks - MIN(before.leaks, result->leaks);
    return 0;
}

static int load_all(struct qcow2 *q, const char *path)
{
    struct disk_file *file = image_file(&q->image);
    int err = qcow2_snapshots_load(&q->snapshots, file, &q->header, path);

    if (!err && (err = qcow2_load_reftable(q)))
        err = fail(err, "disk '%s': its refcount table cannot be read: %s", path, strerror(-err));
    return err;
}

int qcow2_check(struct disk_file *file, const char *path, enum qcow2_repair repair,
                struct qcow2_check *result)
{
    char backing_name[IMAGE_MAX_NAME + 1], backing_format[16];
    struct image_context *context = calloc(1, sizeof(*context));
    struct image *image = NULL;
    int err = -ENOMEM;

    *result = (struct qcow2_check){0};
    if (context) {
        context->files[context->file_count++] = *file;
        err = qcow2_open(&image, context, 0, true, path, backing_name, backing_format);
    }
    if (!err)
        err = load_all(qcow2_of(image), path);
    if (!err) {
        err = check_and_repair(qcow2_of(image), path, repair, result);
        if (err)
            fail(err, "disk '%s' cannot be checked: %s", path,
                 err == -EFBIG ? "its tables are too large for what the file holds"
                               : strerror(-err));
    }
    image_destroy(image);
    free(context);
    return err;
}

int qcow2_get_info(const struct disk_file *file, const char *path, struct qcow2_info *info)
{
    struct qcow2_header h;
    int err;

    *info = (struct qcow2_info){0};
    err = qcow2_parse_header(file, path, &h, info->backing_name, info->backing_format);
    if (err)
        return err;
    info->version = h.version;
    info->refcount_bits = 1u << h.refcount_order;
    info->size = h.size;
    info->cluster_size = UINT64_C(1) << h.cluster_bits;
    info->zstd = h.zstd;
    info->lazy_refcounts = h.compatible & 1;
    info->dirty = h.incompatible & QCOW2_INCOMPAT_DIRTY;
    info->corrupt = h.incompatible & QCOW2_INCOMPAT_CORRUPT;
    return qcow2_snapshots_load(&info->snapshots, file, &h, path);
}
