#include "devices/disk/qcow2_internal.h"

#include <errno.h>

#define PARALLEL 8 /* pieces of one request in flight */

bool qcow2_reads_as_zero(const struct qcow2 *q, const struct qcow2_mapping *m, uint64_t offset)
{
    const struct image *backing = q->image.backing;

    return m->type == QCOW2_TYPE_ZERO || m->type == QCOW2_TYPE_ZERO_HELD ||
           (m->type == QCOW2_TYPE_ABSENT && (!backing || offset >= backing->size));
}

struct reading {
    struct io_group group;
    struct io_op ops[PARALLEL];
    unsigned used;
};

/* The data goes straight to its place; when all ops are in use, wait for them. */
static int read_data(struct qcow2 *q, struct reading *r, const struct qcow2_mapping *m,
                     const struct scatter *data)
{
    uint64_t cluster = ALIGN_DOWN(m->host, q->cluster_size);
    int err = 0;

    if ((m->entry & QCOW2_OFFSET_MASK) != cluster)
        return qcow2_mark_corrupt(q, "a cluster's offset is not a multiple of its size");
    if (m->host - (m->host & (q->cluster_size - 1)) >= image_file(&q->image)->size)
        return -EIO;
    if (r->used == PARALLEL) {
        err = image_group_wait(&r->group);
        r->used = 0;
    }
    if (err)
        return err;
    r->ops[r->used] =
        (struct io_op){.kind = IO_READ, .offset = m->host, .bytes = m->bytes, .data = *data};
    image_group_submit(&r->group, &r->ops[r->used++]);
    return 0;
}

static int read_piece(struct qcow2 *q, struct reading *r, const struct qcow2_mapping *m,
                      uint64_t offset, const struct scatter *data)
{
    switch (m->type) {
    case QCOW2_TYPE_ABSENT:
        return image_read_backing(&q->image, offset, m->bytes, data);
    case QCOW2_TYPE_ZERO:
    case QCOW2_TYPE_ZERO_HELD:
        scatter_zero(data, m->bytes);
        return 0;
    case QCOW2_TYPE_COMPRESSED:
        return qcow2_read_compressed(q, m->entry, offset & (q->cluster_size - 1), m->bytes, data);
    case QCOW2_TYPE_DATA:
        return read_data(q, r, m, data);
    }
    return -EIO;
}

int qcow2_read(struct image *image, uint64_t offset, uint64_t bytes, const struct scatter *data)
{
    struct qcow2 *q = qcow2_of(image);
    struct reading r = {.group = {.image = image}};
    struct scatter at = *data;
    int err = 0, last;

    while (bytes && !err) {
        struct qcow2_mapping m;

        err = qcow2_map(q, offset, bytes, &m);
        if (!err)
            err = read_piece(q, &r, &m, offset, &at);
        if (err)
            break;
        offset += m.bytes;
        bytes -= m.bytes;
        at = scatter_at(&at, m.bytes);
    }
    last = image_group_wait(&r.group);
    return err ? err : last;
}
