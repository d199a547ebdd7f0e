#include "devices/disk/qcow2_internal.h"

#include "base/error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define V2_LENGTH      72
#define V3_LENGTH      104
#define EXTENSIONS_MAX KIB(64) /* bytes of extensions that are looked at */
#define FEATURE_BYTES  48

enum {
    EXT_END = 0,
    EXT_BACKING_FORMAT = 0xe2792aca,
    EXT_FEATURES = 0x6803f857,
    EXT_BITMAPS = 0x23852875,
    EXT_ENCRYPTION = 0x0537be77,
    EXT_DATA_FILE = 0x44415441,
};

/* What messages are about. */
struct parse {
    const struct disk_file *file;
    const char *path;
    struct qcow2_header *h;
    char *backing_name, *backing_format;
    uint8_t *features; /* the feature name table, or NULL */
    size_t feature_bytes;
};

static int broken(const struct parse *p, const char *why)
{
    return fail(-EINVAL,
                "disk '%s' is not a usable qcow2 image: %s; try qemu-img check, or a backup",
                p->path, why);
}

static int unsupported(const struct parse *p, const char *what)
{
    return fail(-ENOTSUP,
                "disk '%s' uses %s, which is not supported; copy it with qemu-img convert -O qcow2",
                p->path, what);
}

static void read_fields(const uint8_t *b, struct qcow2_header *h)
{
    *h = (struct qcow2_header){
        .version = load_be32(b + 4),
        .backing_offset = load_be64(b + 8),
        .backing_bytes = load_be32(b + 16),
        .cluster_bits = load_be32(b + 20),
        .size = load_be64(b + 24),
        .crypt = load_be32(b + 32),
        .l1_count = load_be32(b + 36),
        .l1_offset = load_be64(b + 40),
        .refcount_offset = load_be64(b + 48),
        .refcount_clusters = load_be32(b + 56),
        .snapshots = load_be32(b + 60),
        .snapshot_offset = load_be64(b + 64),
        .refcount_order = 4,
        .length = V2_LENGTH,
    };
    if (h->version < 3)
        return;
    h->incompatible = load_be64(b + 72);
    h->compatible = load_be64(b + 80);
    h->autoclear = load_be64(b + 88);
    h->refcount_order = load_be32(b + 96);
    h->length = load_be32(b + 100);
    if (h->length > V3_LENGTH)
        h->zstd = b[104] == 1;
}

/* The table says what a bit that is newer than this program means. */
static void feature_name(const struct parse *p, unsigned bit, char name[64])
{
    snprintf(name, 64, "feature %u, which is unknown here", bit);
    for (size_t at = 0; at + FEATURE_BYTES <= p->feature_bytes; at += FEATURE_BYTES)
        if (p->features[at] == 0 && p->features[at + 1] == bit) {
            snprintf(name, 64, "the feature '%.46s'", (const char *)p->features + at + 2);
            for (char *c = name; *c; c++)
                if (*c < ' ' || *c > '~')
                    *c = '?';
        }
}

static int check_features(const struct parse *p)
{
    uint64_t known = QCOW2_INCOMPAT_DIRTY | QCOW2_INCOMPAT_CORRUPT | QCOW2_INCOMPAT_COMPRESSION;
    uint64_t unknown = p->h->incompatible & ~known;
    char name[64];

    if (p->h->crypt)
        return unsupported(p, "encryption");
    if (unknown & QCOW2_INCOMPAT_DATA_FILE)
        return unsupported(p, "an external data file");
    if (unknown & QCOW2_INCOMPAT_EXTENDED_L2)
        return unsupported(p, "extended L2 entries");
    if (!unknown)
        return 0;
    feature_name(p, (unsigned)__builtin_ctzll(unknown), name);
    return unsupported(p, name);
}

static int check_compression(const struct parse *p, uint8_t type)
{
    bool bit = p->h->incompatible & QCOW2_INCOMPAT_COMPRESSION;

    if (type > 1)
        return unsupported(p, "an unknown compression method");
    if (bit != (type != 0))
        return broken(p, "its compression method and feature bits contradict each other");
    return 0;
}

/* [offset, offset + bytes) of something must lie in the file, on a cluster's start. */
static int check_place(const struct parse *p, uint64_t offset, uint64_t bytes, const char *what)
{
    char why[160];

    if (!IS_ALIGNED(offset, UINT64_C(1) << p->h->cluster_bits) || offset == 0) {
        snprintf(why, sizeof(why), "%s is at an impossible offset", what);
        return broken(p, why);
    }
    if (bytes > p->file->size || offset > p->file->size - bytes) {
        snprintf(why, sizeof(why), "it is truncated: %s lies beyond the end of the file", what);
        return broken(p, why);
    }
    return 0;
}

static int check_l1(const struct parse *p)
{
    struct qcow2_header *h = p->h;
    unsigned span_bits = h->cluster_bits + h->cluster_bits - 3; /* what an L1 entry covers */
    uint64_t needed = (h->size >> span_bits) + ((h->size & ((UINT64_C(1) << span_bits) - 1)) != 0);

    if (h->size > INT64_MAX || needed > QCOW2_MAX_L1_BYTES / 8)
        return broken(p, "its disk size is beyond all limits");
    if (h->l1_count > QCOW2_MAX_L1_BYTES / 8)
        return broken(p, "its L1 table is larger than 32 MiB");
    if (h->l1_count < needed)
        return broken(p, "its L1 table is too small for the disk");
    /* What lies past the disk's end is kept: machine states of snapshots were there. */
    return h->l1_count ? check_place(p, h->l1_offset, UINT64_C(8) * h->l1_count, "the L1 table") : 0;
}

static int check_refcounts(const struct parse *p)
{
    const struct qcow2_header *h = p->h;
    uint64_t bytes = (uint64_t)h->refcount_clusters << h->cluster_bits;

    if (h->refcount_order > QCOW2_MAX_REFCOUNT_ORDER)
        return broken(p, "its refcounts are wider than 64 bits");
    if (!bytes)
        return broken(p, "it has no refcount table");
    if (bytes > QCOW2_MAX_REFTABLE && h->refcount_clusters > 1)
        return broken(p, "its refcount table is larger than 8 MiB");
    return check_place(p, h->refcount_offset, bytes, "the refcount table");
}

static int check_snapshots(const struct parse *p)
{
    const struct qcow2_header *h = p->h;

    if (!h->snapshots)
        return 0;
    if (h->snapshots > QCOW2_MAX_SNAPSHOTS)
        return broken(p, "it has more than 4096 internal snapshots");
    return check_place(p, h->snapshot_offset, 1, "the snapshot table");
}

static int check_header(const struct parse *p, const uint8_t *b)
{
    const struct qcow2_header *h = p->h;

    if (load_be32(b) != QCOW2_MAGIC)
        return broken(p, "its magic number is missing");
    if (p->file->size < (h->version == 3 ? V3_LENGTH : V2_LENGTH))
        return broken(p, "it is truncated: the header is incomplete");
    if (h->version != 2 && h->version != 3)
        return unsupported(p, "an unknown version of qcow2");
    if (h->cluster_bits < QCOW2_MIN_CLUSTER_BITS || h->cluster_bits > QCOW2_MAX_CLUSTER_BITS)
        return broken(p, "its cluster size is not between 512 bytes and 2 MiB");
    if (h->version == 3 && (h->length < V3_LENGTH || h->length > (1u << h->cluster_bits)))
        return broken(p, "its header length is wrong");
    if (h->length > p->file->size)
        return broken(p, "it is truncated: the header is incomplete");
    return 0;
}

static void copy_text(char *to, size_t size, const uint8_t *from, size_t bytes)
{
    bytes = MIN(bytes, size - 1);
    memcpy(to, from, bytes);
    to[bytes] = 0;
}

static int take_extension(struct parse *p, uint32_t type, const uint8_t *data, size_t bytes)
{
    switch (type) {
    case EXT_BACKING_FORMAT:
        copy_text(p->backing_format, 16, data, bytes);
        return 0;
    case EXT_FEATURES:
        p->features = (uint8_t *)data;
        p->feature_bytes = bytes;
        return 0;
    case EXT_BITMAPS:
        if (bytes >= 24 && (p->h->autoclear & QCOW2_AUTOCLEAR_BITMAPS)) {
            p->h->bitmaps = load_be32(data);
            p->h->bitmap_bytes = load_be64(data + 8);
            p->h->bitmap_offset = load_be64(data + 16);
        }
        return 0;
    case EXT_ENCRYPTION:
        return unsupported(p, "encryption");
    case EXT_DATA_FILE:
        return p->h->incompatible & QCOW2_INCOMPAT_DATA_FILE
                   ? unsupported(p, "an external data file")
                   : 0;
    default:
        return 0;
    }
}

/* They lie between the header and the backing file's name, or the end of the first cluster. */
static int read_extensions(struct parse *p, const uint8_t *b, size_t end)
{
    size_t at = p->h->length;

    while (at + 8 <= end) {
        uint32_t type = load_be32(b + at), bytes = load_be32(b + at + 4);
        int err;

        at += 8;
        if (type == EXT_END)
            return 0;
        if (bytes > end - at)
            return broken(p, "a header extension is longer than the header");
        err = take_extension(p, type, b + at, bytes);
        if (err)
            return err;
        at += ALIGN_UP((size_t)bytes, 8);
    }
    return 0;
}

static int read_backing_name(const struct parse *p)
{
    const struct qcow2_header *h = p->h;
    uint64_t cluster = UINT64_C(1) << h->cluster_bits;
    int err;

    if (!h->backing_offset)
        return 0;
    if (h->backing_bytes == 0 || h->backing_bytes > IMAGE_MAX_NAME ||
        h->backing_offset > cluster - h->backing_bytes)
        return broken(p, "its backing file's name is at an impossible place");
    err = disk_file_read(p->file, h->backing_offset, p->backing_name, h->backing_bytes);
    if (err)
        return fail(err, "disk '%s' cannot be read: %s", p->path, strerror(-err));
    p->backing_name[h->backing_bytes] = 0;
    if (strlen(p->backing_name) != h->backing_bytes)
        return broken(p, "its backing file's name has a zero byte in it");
    return 0;
}

static int parse_buffer(struct parse *p, uint8_t *b, size_t bytes)
{
    struct qcow2_header *h = p->h;
    size_t end;
    int err;

    read_fields(b, h);
    err = check_header(p, b);
    if (err)
        return err;
    end = MIN(bytes, UINT64_C(1) << h->cluster_bits);
    if (h->backing_offset && h->backing_offset < end)
        end = MAX(h->backing_offset, h->length);
    err = read_extensions(p, b, MIN(end, bytes));
    if (!err)
        err = check_features(p);
    if (!err)
        err = check_compression(p, h->length > V3_LENGTH ? b[V3_LENGTH] : 0);
    if (!err)
        err = check_l1(p);
    if (!err)
        err = check_refcounts(p);
    if (!err)
        err = check_snapshots(p);
    return err ? err : read_backing_name(p);
}

int qcow2_parse_header(const struct disk_file *file, const char *path, struct qcow2_header *h,
                       char *backing_name, char *backing_format)
{
    struct parse p = {file, path, h, backing_name, backing_format, NULL, 0};
    uint8_t *b = malloc(EXTENSIONS_MAX);
    int err;

    *backing_name = *backing_format = 0;
    if (!b)
        return fail(-ENOMEM, "disk '%s': out of memory", path);
    err = disk_file_read(file, 0, b, EXTENSIONS_MAX);
    if (err)
        err = fail(err, "disk '%s' cannot be read: %s", path, strerror(-err));
    else
        err = parse_buffer(&p, b, EXTENSIONS_MAX);
    free(b);
    return err;
}

int qcow2_write_header(struct qcow2 *q)
{
    struct iovec iov = {q->header_sector, QCOW2_SECTOR};

    if (!q->image.context->io)
        return disk_file_write(image_file(&q->image), 0, q->header_sector, QCOW2_SECTOR);
    return image_write_file(&q->image, 0, QCOW2_SECTOR, &(struct scatter){&iov, 1, 0});
}
