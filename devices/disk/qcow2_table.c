#include "devices/disk/qcow2_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ENTRIES_PER_SECTOR (QCOW2_SECTOR / 8)
#define CHUNK_SECTORS      16 /* of one write */

int qcow2_table_load(struct qcow2_table *t, const struct disk_file *file, uint64_t offset,
                     uint32_t count)
{
    uint32_t sectors = DIV_ROUND_UP(count, ENTRIES_PER_SECTOR);
    int err;

    *t = (struct qcow2_table){.offset = offset, .count = count};
    t->entries = calloc(MAX(sectors, 1), QCOW2_SECTOR);
    t->dirty = calloc(MAX(sectors, 1), 1);
    if (!t->entries || !t->dirty) {
        qcow2_table_free(t);
        return -ENOMEM;
    }
    err = count ? disk_file_read(file, offset, t->entries, count * sizeof(uint64_t)) : 0;
    for (uint32_t i = 0; i < count; i++)
        t->entries[i] = load_be64(&t->entries[i]);
    return err;
}

int qcow2_table_copy(struct qcow2_table *to, const struct qcow2_table *from, uint32_t count)
{
    uint32_t sectors = DIV_ROUND_UP(count, ENTRIES_PER_SECTOR);

    *to = (struct qcow2_table){.offset = from->offset, .count = count};
    to->entries = calloc(MAX(sectors, 1), QCOW2_SECTOR);
    to->dirty = calloc(MAX(sectors, 1), 1);
    if (!to->entries || !to->dirty) {
        qcow2_table_free(to);
        return -ENOMEM;
    }
    memcpy(to->entries, from->entries, MIN(count, from->count) * sizeof(*to->entries));
    return 0;
}

uint64_t qcow2_l1_needed(const struct qcow2 *q, uint64_t size)
{
    unsigned bits = q->cluster_bits + q->l2_bits;

    return (size >> bits) + ((size & ((UINT64_C(1) << bits) - 1)) != 0);
}

void qcow2_table_free(struct qcow2_table *t)
{
    free(t->entries);
    free(t->dirty);
    *t = (struct qcow2_table){0};
}

void qcow2_table_set(struct qcow2_table *t, uint32_t index, uint64_t value)
{
    t->entries[index] = value;
    t->dirty[index / ENTRIES_PER_SECTOR] = 1;
    t->any_dirty = true;
}

static int write_sectors(struct qcow2 *q, struct qcow2_table *t, uint32_t first, uint32_t count)
{
    _Alignas(QCOW2_SECTOR) uint8_t buffer[CHUNK_SECTORS * QCOW2_SECTOR];
    struct iovec iov = {buffer, (size_t)count * QCOW2_SECTOR};

    for (uint32_t i = 0; i < count * ENTRIES_PER_SECTOR; i++)
        store_be64(buffer + 8 * i, t->entries[first * ENTRIES_PER_SECTOR + i]);
    return image_write_file(&q->image, t->offset + (uint64_t)first * QCOW2_SECTOR, iov.iov_len,
                            &(struct scatter){&iov, 1, 0});
}

/* Under the lock, so that nothing becomes dirty meanwhile. */
int qcow2_table_write(struct qcow2 *q, struct qcow2_table *t)
{
    uint32_t sectors = DIV_ROUND_UP(t->count, ENTRIES_PER_SECTOR);

    for (uint32_t i = 0; t->any_dirty && i < sectors;) {
        uint32_t n = 0;
        int err;

        while (i + n < sectors && n < CHUNK_SECTORS && t->dirty[i + n])
            n++;
        if (!n) {
            i++;
            continue;
        }
        err = write_sectors(q, t, i, n);
        if (err)
            return err;
        for (; n; n--)
            t->dirty[i++] = 0;
    }
    t->any_dirty = false;
    return 0;
}
