/* qcow2_snapshots.c - the table of internal snapshots. */
#include "devices/disk/qcow2_internal.h"

#include "base/error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIXED     40   /* bytes of an entry before its variable parts */
#define MAX_EXTRA 1024 /* bytes of extra data, of which the first 16 mean something here */

/* Of the bytes of an entry that are left in the table. 0: they do not hold it. */
static uint32_t parse_entry(const uint8_t *b, uint64_t left, struct qcow2_snapshot *s)
{
    uint64_t extra, bytes;

    if (left < FIXED)
        return 0;
    *s = (struct qcow2_snapshot){
        .entry = b,
        .l1_offset = load_be64(b),
        .l1_count = load_be32(b + 8),
        .id_bytes = load_be16(b + 12),
        .name_bytes = load_be16(b + 14),
        .date_sec = load_be32(b + 16),
        .date_nsec = load_be32(b + 20),
        .vm_clock = load_be64(b + 24),
        .vm_bytes = load_be32(b + 32),
        .icount = UINT64_MAX,
    };
    extra = load_be32(b + 36);
    bytes = ALIGN_UP(FIXED + extra + s->id_bytes + s->name_bytes, 8);
    if (extra > MAX_EXTRA || bytes > left)
        return 0;
    if (extra >= 8 && load_be64(b + FIXED))
        s->vm_bytes = load_be64(b + FIXED);
    if (extra >= 16)
        s->size = load_be64(b + FIXED + 8);
    if (extra >= 24)
        s->icount = load_be64(b + FIXED + 16);
    s->id = (const char *)b + FIXED + extra;
    s->name = s->id + s->id_bytes;
    s->entry_bytes = (uint32_t)bytes;
    return s->entry_bytes;
}

static int parse_table(struct qcow2_snapshots *list, uint32_t count, const char *path)
{
    for (; list->count < count; list->count++) {
        uint32_t bytes =
            parse_entry(list->table + list->bytes, QCOW2_MAX_SNAPSHOT_DIR - list->bytes,
                        &list->items[list->count]);

        if (!bytes)
            return fail(-EINVAL,
                        "disk '%s' has a snapshot table larger than 4 MiB, or a broken one; "
                        "copy the disk with minivm image convert",
                        path);
        list->bytes += bytes;
    }
    return 0;
}

int qcow2_snapshots_load(struct qcow2_snapshots *list, const struct disk_file *file,
                         const struct qcow2_header *h, const char *path)
{
    int err;

    *list = (struct qcow2_snapshots){0};
    if (!h->snapshots)
        return 0;
    list->table = malloc(QCOW2_MAX_SNAPSHOT_DIR);
    list->items = calloc(h->snapshots, sizeof(*list->items));
    if (!list->table || !list->items)
        err = fail(-ENOMEM, "disk '%s': out of memory", path);
    else if ((err = disk_file_read(file, h->snapshot_offset, list->table, QCOW2_MAX_SNAPSHOT_DIR)))
        err = fail(err, "disk '%s': its snapshot table cannot be read: %s", path, strerror(-err));
    else
        err = parse_table(list, h->snapshots, path);
    if (err)
        qcow2_snapshots_free(list);
    return err;
}

void qcow2_snapshots_free(struct qcow2_snapshots *list)
{
    free(list->table);
    free(list->items);
    *list = (struct qcow2_snapshots){0};
}

static bool same(const char *text, uint16_t bytes, const char *name)
{
    return strlen(name) == bytes && memcmp(text, name, bytes) == 0;
}

const struct qcow2_snapshot *qcow2_snapshot_find(const struct qcow2_snapshots *list,
                                                 const char *name)
{
    for (uint32_t i = 0; i < list->count; i++)
        if (same(list->items[i].id, list->items[i].id_bytes, name))
            return &list->items[i];
    for (uint32_t i = 0; i < list->count; i++)
        if (same(list->items[i].name, list->items[i].name_bytes, name))
            return &list->items[i];
    return NULL;
}

bool qcow2_snapshot_l1_plausible(const struct qcow2 *q, const struct qcow2_snapshot *s)
{
    uint64_t bytes = UINT64_C(8) * s->l1_count, file = image_file(&q->image)->size;

    return bytes <= QCOW2_MAX_L1_BYTES && (!bytes || s->l1_offset) &&
           IS_ALIGNED(s->l1_offset, q->cluster_size) && bytes <= file &&
           s->l1_offset <= file - bytes;
}

/* The number after the highest that is in use. */
static unsigned long next_id(const struct qcow2_snapshots *list)
{
    unsigned long highest = 0;

    for (uint32_t i = 0; i < list->count; i++) {
        char id[16] = "";

        memcpy(id, list->items[i].id, MIN(list->items[i].id_bytes, sizeof(id) - 1));
        highest = MAX(highest, strtoul(id, NULL, 10) % UINT32_MAX);
    }
    return highest + 1;
}

/* The table as it is, less `without` (NULL: all), and then `with`, which gets an id (l1_count 0 and no name: none). */
int qcow2_snapshots_encode(const struct qcow2_snapshots *list, const struct qcow2_snapshot *without,
                           const struct qcow2_snapshot *with, uint8_t **table, uint64_t *bytes)
{
    char id[24];
    uint8_t *b = calloc(1, list->bytes + FIXED + 24 + sizeof(id) + QCOW2_MAX_SNAPSHOT_NAME + 8);

    *table = b;
    *bytes = 0;
    if (!b)
        return -ENOMEM;
    for (uint32_t i = 0; i < list->count; i++)
        if (&list->items[i] != without) {
            memcpy(b + *bytes, list->items[i].entry, list->items[i].entry_bytes);
            *bytes += list->items[i].entry_bytes;
        }
    if (!with)
        return 0;
    b += *bytes;
    snprintf(id, sizeof(id), "%lu", next_id(list));
    store_be64(b, with->l1_offset);
    store_be32(b + 8, with->l1_count);
    store_be16(b + 12, (uint16_t)strlen(id));
    store_be16(b + 14, with->name_bytes);
    store_be32(b + 16, with->date_sec);
    store_be32(b + 20, with->date_nsec);
    store_be32(
        b + 36,
        24); /* extra: bytes of machine state (none), of the disk, count of instructions (none) */
    store_be64(b + FIXED + 8, with->size);
    store_be64(b + FIXED + 16, UINT64_MAX);
    memcpy(b + FIXED + 24, id, strlen(id));
    memcpy(b + FIXED + 24 + strlen(id), with->name, with->name_bytes);
    *bytes += ALIGN_UP(FIXED + 24 + strlen(id) + with->name_bytes, 8);
    return *bytes <= QCOW2_MAX_SNAPSHOT_DIR ? 0 : -EFBIG;
}
