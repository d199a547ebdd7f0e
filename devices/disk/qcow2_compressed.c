#include "devices/disk/qcow2_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>
#include <zstd.h>

struct qcow2_inflated {
    uint64_t entry; /* key: place and size in the file */
    uint64_t used;  /* by the clock */
    unsigned pins;
    bool loading, stale;
    int error;
    uint8_t *data; /* a cluster */
};

struct inflation {
    struct io_op op;
    const uint8_t *from;
    size_t from_bytes;
    uint8_t *to;
    size_t to_bytes;
    bool zstd;
};

/* The size given is in whole sectors: what follows the stream is not ours. The cluster must be filled exactly. */
static int inflate_zlib(const struct inflation *i)
{
    z_stream z = {.next_in = (uint8_t *)i->from,
                  .avail_in = (uInt)i->from_bytes,
                  .next_out = i->to,
                  .avail_out = (uInt)i->to_bytes};
    int status;

    if (inflateInit2(&z, -12) != Z_OK)
        return -ENOMEM;
    status = inflate(&z, Z_FINISH);
    inflateEnd(&z);
    return (status == Z_STREAM_END || status == Z_BUF_ERROR) && z.avail_out == 0 ? 0 : -EIO;
}

static int inflate_zstd(const struct inflation *i)
{
    ZSTD_outBuffer out = {i->to, i->to_bytes, 0};
    ZSTD_inBuffer in = {i->from, i->from_bytes, 0};
    ZSTD_DCtx *z = ZSTD_createDCtx();
    int err = 0;

    if (!z)
        return -ENOMEM;
    while (out.pos < out.size && !err) {
        size_t before = out.pos + in.pos, left = ZSTD_decompressStream(z, &out, &in);

        if (ZSTD_isError(left) || out.pos + in.pos == before || (left == 0 && out.pos < out.size))
            err = -EIO;
    }
    ZSTD_freeDCtx(z);
    return err;
}

/* In a worker thread. */
static int inflate_call(struct io_op *op)
{
    const struct inflation *i = container_of(op, struct inflation, op);

    return i->zstd ? inflate_zstd(i) : inflate_zlib(i);
}

static int load_cluster(struct qcow2 *q, uint64_t entry, uint8_t *to)
{
    struct inflation i = {.op = {.kind = IO_CALL, .call = inflate_call},
                          .to = to,
                          .to_bytes = q->cluster_size,
                          .zstd = q->header.zstd};
    uint64_t offset, bytes;
    struct iovec iov;
    int err;

    qcow2_compressed_place(q, entry, &offset, &bytes);
    if (offset >= image_file(&q->image)->size)
        return -EIO;
    iov = (struct iovec){malloc(bytes), bytes};
    if (!iov.iov_base)
        return -ENOMEM;
    err = image_read_file(&q->image, offset, bytes, &(struct scatter){&iov, 1, 0});
    i.from = iov.iov_base;
    i.from_bytes = bytes;
    if (!err)
        err = image_io(&q->image, &i.op);
    free(iov.iov_base);
    return err;
}

static struct qcow2_inflated *find(struct qcow2 *q, uint64_t entry)
{
    for (unsigned i = 0; i < QCOW2_INFLATED; i++)
        if (q->inflated[i] && q->inflated[i]->entry == entry && !q->inflated[i]->stale)
            return q->inflated[i];
    return NULL;
}

/* The place that was not used for longest; NULL if all are in use. */
static struct qcow2_inflated **free_slot(struct qcow2 *q)
{
    struct qcow2_inflated **best = NULL;

    for (unsigned i = 0; i < QCOW2_INFLATED; i++) {
        struct qcow2_inflated **slot = &q->inflated[i];

        if (!*slot)
            return slot;
        if (!(*slot)->pins && (!best || (*slot)->used < (*best)->used))
            best = slot;
    }
    return best;
}

static int fill_slot(struct qcow2 *q, struct qcow2_inflated **slot, uint64_t entry)
{
    struct qcow2_inflated *c = *slot;

    if (!c) {
        c = calloc(1, sizeof(*c));
        if (!c || !(c->data = malloc(q->cluster_size))) {
            free(c);
            return -ENOMEM;
        }
        *slot = c;
    }
    c->entry = entry;
    c->stale = false;
    c->loading = true;
    c->pins++;
    c->error = load_cluster(q, entry, c->data);
    c->pins--;
    c->loading = false;
    c->stale = c->stale || c->error;
    fiber_wake_all(&q->image.context->fibers, &q->inflated_waiters);
    return c->error;
}

/* The decompressed cluster, pinned. Those who want the same one while it is under way share the work. */
static int get_cluster(struct qcow2 *q, uint64_t entry, struct qcow2_inflated **result)
{
    struct fibers *fibers = &q->image.context->fibers;
    struct qcow2_inflated *c, **slot = NULL;
    int err = 0;

    while (((c = find(q, entry)) && c->loading) || (!c && !(slot = free_slot(q))))
        fiber_wait_in(fibers, &q->inflated_waiters);
    if (!c) {
        err = fill_slot(q, slot, entry);
        c = *slot;
    }
    if (err)
        return err;
    c->used = ++q->inflated_clock;
    c->pins++;
    *result = c;
    return 0;
}

int qcow2_read_compressed(struct qcow2 *q, uint64_t entry, uint64_t skip, uint64_t bytes,
                          const struct scatter *data)
{
    struct qcow2_inflated *c;
    int err = get_cluster(q, entry & ~QCOW2_COPIED, &c);

    if (err)
        return err;
    scatter_write(data, c->data + skip, bytes);
    if (--c->pins == 0)
        fiber_wake_all(&q->image.context->fibers, &q->inflated_waiters);
    return 0;
}

void qcow2_compressed_forget(struct qcow2 *q, uint64_t offset, uint64_t bytes)
{
    if (q->packed_end > offset && q->packed_end - q->cluster_size < offset + bytes)
        q->packed_end = 0; /* nothing more may go there */
    for (unsigned i = 0; i < QCOW2_INFLATED; i++) {
        uint64_t at, length;

        if (!q->inflated[i])
            continue;
        qcow2_compressed_place(q, q->inflated[i]->entry, &at, &length);
        if (at < offset + bytes && offset < at + length)
            q->inflated[i]->stale = true;
    }
}

void qcow2_compressed_fini(struct qcow2 *q)
{
    for (unsigned i = 0; i < QCOW2_INFLATED; i++)
        if (q->inflated[i]) {
            free(q->inflated[i]->data);
            free(q->inflated[i]);
        }
}
