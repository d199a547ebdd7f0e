/* qcow2_compress.c - compressed clusters, written one behind the other. */
#include "devices/disk/qcow2_internal.h"

#include <errno.h>
#include <stdlib.h>

#include <zlib.h>
#include <zstd.h>

#define WINDOW_BITS 12 /* of zlib's raw streams: what readers of the format expect */
#define MEMORY      9

struct deflation {
    struct io_op op;
    const uint8_t *from;
    uint8_t *to; /* has room for less than a cluster: otherwise nothing is gained */
    size_t from_bytes, room, bytes;
    bool zstd;
};

static int deflate_zlib(struct deflation *d)
{
    z_stream z = {.next_in = (uint8_t *)d->from,
                  .avail_in = (uInt)d->from_bytes,
                  .next_out = d->to,
                  .avail_out = (uInt)d->room};
    int status;

    if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -WINDOW_BITS, MEMORY,
                     Z_DEFAULT_STRATEGY) != Z_OK)
        return -ENOMEM;
    status = deflate(&z, Z_FINISH);
    d->bytes = z.total_out;
    deflateEnd(&z);
    return status == Z_STREAM_END ? 0 : -E2BIG;
}

static int deflate_zstd(struct deflation *d)
{
    size_t bytes = ZSTD_compress(d->to, d->room, d->from, d->from_bytes, ZSTD_CLEVEL_DEFAULT);

    d->bytes = bytes;
    return ZSTD_isError(bytes) ? -E2BIG : 0;
}

/* In a worker thread. */
static int deflate_call(struct io_op *op)
{
    struct deflation *d = container_of(op, struct deflation, op);

    return d->zstd ? deflate_zstd(d) : deflate_zlib(d);
}

/* May the cluster that is filled so far be counted once more? */
static bool can_share(struct qcow2 *q)
{
    uint64_t refs;

    return q->packed_end && q->packed_at < q->packed_end &&
           !qcow2_change_ref(q, q->packed_at >> q->cluster_bits, 0, &refs) && refs &&
           refs < qcow2_max_ref(q->header.refcount_order);
}

/*
 * A place behind the last one, or at the start of a new cluster. Each cluster counts the pieces that touch it: a new
 * one comes with that of its first.
 */
static int place(struct qcow2 *q, uint64_t bytes, uint64_t *at)
{
    uint64_t host, got;
    bool fresh, share = can_share(q);
    int err;

    if (!share || q->packed_at + bytes > q->packed_end) {
        err = qcow2_allocate(q, 1, &host, &got, &fresh);
        if (err)
            return err;
        if (host != q->packed_end)
            share = false;
        if (!share)
            q->packed_at = host;
        q->packed_end = host + q->cluster_size;
    }
    err = share ? qcow2_change_ref(q, q->packed_at >> q->cluster_bits, 1, NULL) : 0;
    *at = q->packed_at;
    q->packed_at += bytes;
    return err;
}

static uint64_t entry_for(const struct qcow2 *q, uint64_t at, uint64_t bytes)
{
    unsigned x = 62 - (q->cluster_bits - 8);
    uint64_t more_sectors = (at + bytes - 1) / 512 - at / 512;

    return at | more_sectors << x | QCOW2_COMPRESSED;
}

static int link_entry(struct qcow2 *q, uint64_t offset, uint64_t entry)
{
    struct qcow2_slice *slice;
    unsigned index = qcow2_slice_index(q, offset);
    uint64_t old;
    int err = qcow2_cache_full(q) ? qcow2_sync(q) : 0;

    if (!err)
        err = qcow2_slice_for_write(q, offset, &slice);
    if (err)
        return err;
    old = qcow2_slice_entry(slice, index);
    qcow2_set_entry(q, slice, index, entry);
    qcow2_free_entry(q, old, false);
    qcow2_cache_put(slice);
    return 0;
}

static int write_packed(struct qcow2 *q, uint64_t offset, const struct deflation *d)
{
    struct fibers *fibers = &q->image.context->fibers;
    struct iovec iov = {d->to, d->bytes};
    uint64_t at;
    int err;

    fiber_lock_take(fibers, &q->lock);
    err = q->corrupt ? -EIO : place(q, d->bytes, &at);
    fiber_lock_release(fibers, &q->lock);
    if (!err && at >> (62 - (q->cluster_bits - 8)))
        err = -EFBIG; /* an entry has no room for such an offset */
    if (!err)
        err = image_write_file(&q->image, at, d->bytes, &(struct scatter){&iov, 1, 0});
    if (err)
        return err; /* the place leaks: the next piece may have it counted already */
    fiber_lock_take(fibers, &q->lock);
    err = link_entry(q, offset, entry_for(q, at, d->bytes));
    fiber_lock_release(fibers, &q->lock);
    return err;
}

int qcow2_write_compressed(struct image *image, uint64_t offset, const void *data)
{
    struct qcow2 *q = qcow2_of(image);
    struct deflation d = {.op = {.kind = IO_CALL, .call = deflate_call},
                          .from = data,
                          .from_bytes = q->cluster_size,
                          .room = q->cluster_size - 1,
                          .to = malloc(q->cluster_size),
                          .zstd = q->header.zstd};
    int err = d.to ? image_io(image, &d.op) : -ENOMEM;

    if (!err)
        err = write_packed(q, offset, &d);
    free(d.to);
    return err;
}
