#include "devices/disk/qcow2_create.h"
#include "devices/disk/qcow2_internal.h"

#include "base/error.h"
#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* One transfer is enough: a run of clusters that is in the file, and for writes ours alone. */
static bool qcow2_direct(struct image *image, bool writing, uint64_t offset, uint64_t bytes,
                         uint64_t *where)
{
    struct qcow2 *q = qcow2_of(image);
    struct qcow2_mapping m;

    if (!qcow2_map_now(q, offset, bytes, &m) || m.type != QCOW2_TYPE_DATA || m.bytes < bytes ||
        !IS_ALIGNED(m.entry & QCOW2_OFFSET_MASK, q->cluster_size) ||
        m.host + bytes > image_file(image)->size)
        return false;
    if (writing && (!m.copied || q->corrupt || qcow2_is_metadata(q, m.host, bytes)))
        return false;
    *where = m.host;
    return true;
}

/* The file was made longer than it needs to be, see qcow2_alloc.c. */
static void cut_off(struct qcow2 *q)
{
    struct disk_file *file = image_file(&q->image);

    if (!q->image.read_only && q->fresh_from && q->fresh_from < file->size &&
        ftruncate(file->fd, (off_t)q->fresh_from) < 0)
        log_info("disk '%s' keeps some unused space at its end: %s", q->image.name,
                 strerror(errno));
}

static void qcow2_destroy(struct image *image)
{
    struct qcow2 *q = qcow2_of(image);

    cut_off(q);
    qcow2_compressed_fini(q);
    qcow2_cache_fini(q);
    qcow2_table_free(&q->l1);
    qcow2_table_free(&q->reftable);
    free(q->freed.items);
    free(q->released.items);
    free(q->filter);
    qcow2_snapshots_free(&q->snapshots);
    free(q);
}

static const struct image_ops qcow2_ops = {
    .format = "qcow2",
    .read = qcow2_read,
    .write = qcow2_write,
    .zero = qcow2_zero,
    .discard = qcow2_discard,
    .flush = qcow2_flush,
    .direct = qcow2_direct,
    .extent = qcow2_extent,
    .resize = qcow2_resize,
    .write_compressed = qcow2_write_compressed,
    .settle = qcow2_settle,
    .sync = qcow2_sync_all,
    .destroy = qcow2_destroy,
};

int qcow2_load_reftable(struct qcow2 *q)
{
    uint64_t bytes = (uint64_t)q->header.refcount_clusters << q->cluster_bits;

    qcow2_table_free(&q->reftable);
    return qcow2_table_load(&q->reftable, image_file(&q->image), q->header.refcount_offset,
                            (uint32_t)(bytes / 8));
}

/* What such features describe does not stay true when we write. */
static int clear_autoclear(struct qcow2 *q)
{
    if (!q->header.autoclear)
        return 0;
    store_be64(q->header_sector + 88, 0);
    return qcow2_write_header(q);
}

/* What only a writer needs. */
static int open_for_writing(struct qcow2 *q, const char *path)
{
    struct disk_file *file = image_file(&q->image);
    int err;

    if (q->header.incompatible & QCOW2_INCOMPAT_CORRUPT)
        return fail(-EUCLEAN,
                    "disk '%s' is marked corrupt; repair it with minivm image check --repair all, or "
                    "use --snapshot to look at it",
                    path);
    err = disk_file_read(file, 0, q->header_sector, QCOW2_SECTOR);
    if (err)
        return fail(err, "disk '%s' cannot be read: %s", path, strerror(-err));
    err = qcow2_snapshots_load(&q->snapshots, file, &q->header, path);
    if (!err && (q->header.incompatible & QCOW2_INCOMPAT_DIRTY))
        err = qcow2_repair(q, path);
    if (err)
        return err;
    err = clear_autoclear(q);
    if (!err)
        err = qcow2_load_reftable(q);
    if (!err && !qcow2_fixed_apart(q))
        return fail(-EUCLEAN, "disk '%s' has tables that overlap; check it with minivm image check", path);
    if (!err)
        err = qcow2_filter_init(q);
    q->fresh_from = ALIGN_UP(file->size, q->cluster_size);
    return err ? fail(err, "disk '%s' cannot be opened for writing: %s", path, strerror(-err)) : 0;
}

static int check_memory(struct image_context *context, const struct qcow2_header *h,
                        const char *path)
{
    context->table_bytes += (uint64_t)h->l1_count * 8;
    if (context->table_bytes > IMAGE_MAX_TABLES)
        return fail(-EFBIG,
                    "disk '%s' and its backing files need more than 48 MiB of L1 tables; use "
                    "larger clusters",
                    path);
    return 0;
}

static int load(struct qcow2 *q, const char *path)
{
    int err =
        qcow2_table_load(&q->l1, image_file(&q->image), q->header.l1_offset, q->header.l1_count);

    if (err)
        return fail(err, "disk '%s': its L1 table cannot be read: %s", path, strerror(-err));
    return q->image.read_only ? 0 : open_for_writing(q, path);
}

static void set_up(struct qcow2 *q, struct image_context *context, unsigned file, bool read_only)
{
    q->cluster_bits = q->header.cluster_bits;
    q->cluster_size = UINT64_C(1) << q->cluster_bits;
    q->l2_bits = q->cluster_bits - 3;
    fiber_lock_init(&q->lock);
    LIST_INIT(&q->allocations);
    fiber_list_init(&q->allocated);
    fiber_list_init(&q->inflated_waiters);
    qcow2_cache_init(q);
    q->image = (struct image){
        .ops = &qcow2_ops,
        .context = context,
        .file = file,
        .size = ALIGN_DOWN(q->header.size, DISK_SECTOR),
        .grain = q->cluster_size,
        .read_only = read_only,
        .settle_after = UINT64_MAX,
    };
}

int qcow2_open(struct image **image, struct image_context *context, unsigned file, bool read_only,
               const char *path, char *backing_name, char *backing_format)
{
    struct qcow2_header h;
    struct qcow2 *q;
    int err = qcow2_parse_header(&context->files[file], path, &h, backing_name, backing_format);

    if (!err)
        err = check_memory(context, &h, path);
    if (err)
        return err;
    q = calloc(1, sizeof(*q));
    if (!q)
        return fail(-ENOMEM, "disk '%s': out of memory", path);
    q->header = h;
    set_up(q, context, file, read_only);
    err = load(q, path);
    if (err) {
        qcow2_destroy(&q->image);
        return err;
    }
    *image = &q->image;
    return 0;
}

int qcow2_open_overlay(struct image **image, struct image_context *context)
{
    struct qcow2_parameters p = {.size = (*image)->size};
    char name[IMAGE_MAX_NAME + 1], format[16];
    struct image *base = *image, *overlay;
    struct disk_file *file = &context->files[context->file_count];
    int err = disk_file_open_unnamed(file);

    if (err)
        return err;
    context->file_count++;
    err = qcow2_create(file, &p);
    if (err)
        return fail(err,
                    "the temporary file for --snapshot cannot be written: %s; set TMPDIR to a "
                    "directory with space",
                    strerror(-err));
    err = qcow2_open(&overlay, context, context->file_count - 1, false, base->name, name, format);
    if (err)
        return err;
    overlay->name = strdup(base->name);
    overlay->backing = base;
    *image = overlay;
    return overlay->name ? 0 : -ENOMEM;
}
