#include "devices/disk/copy.h"

#include "base/bytes.h"
#include "base/error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PIECE    MIB(2) /* the largest cluster: no two pieces have one in common */
#define FIBERS   8
#define RAW_UNIT 4096 /* zeroes that are fewer than that are written out */

enum kind { SKIP, ZERO, DATA };

struct piece {
    uint64_t offset, bytes;
    enum kind kind;
    uint8_t *data, *behind; /* PIECE bytes each; `behind` only if copy->differing */
};

/* What is to be done with the next bytes, and with how many of them. */
static int look(struct image_copy *c, uint64_t offset, struct image_extent *e, enum kind *kind)
{
    uint64_t bytes = c->from->size - offset;
    struct image_extent behind;
    int err;

    if (c->top_only)
        err = c->from->ops->extent(c->from, offset, bytes, e);
    else
        err = image_extent(c->from, offset, bytes, e);
    if (err)
        return err;
    *kind = e->type == IMAGE_DATA                         ? DATA
            : e->type == IMAGE_ABSENT || c->starts_zeroed ? SKIP
                                                          : ZERO;
    if (!c->differing || *kind == DATA)
        return 0;
    err = image_extent(c->to, offset, e->bytes, &behind);
    e->bytes = MIN(e->bytes, behind.bytes);
    *kind = behind.type == IMAGE_ZERO ? SKIP : DATA;
    return err;
}

/* Whole grains, so that no two pieces share a cluster; where something begins inside one, all of it is data. */
static int next_piece(struct image_copy *c, struct piece *p)
{
    uint64_t left = c->from->size - c->next;
    struct image_extent e;
    int err = look(c, c->next, &e, &p->kind);

    if (err)
        return err;
    p->offset = c->next;
    p->bytes = e.bytes == left ? left : ALIGN_DOWN(e.bytes, c->grain);
    if (!p->bytes) {
        p->bytes = MIN(left, c->grain);
        p->kind = DATA;
    }
    if (p->kind == DATA)
        p->bytes = MIN(p->bytes, PIECE - (p->offset & (PIECE - 1)));
    c->next += p->bytes;
    return 0;
}

static enum kind kind_of(const struct image_copy *c, const struct piece *p, uint64_t at,
                         uint64_t bytes)
{
    if (c->differing)
        return memcmp(p->data + at, p->behind + at, bytes) == 0 ? SKIP
               : is_zero(p->data + at, bytes)                   ? ZERO
                                                                : DATA;
    if (!is_zero(p->data + at, bytes))
        return DATA;
    return c->starts_zeroed ? SKIP : ZERO;
}

static int write_data(struct image_copy *c, uint64_t offset, uint8_t *data, uint64_t bytes)
{
    struct iovec iov = {data, bytes};
    int err;

    if (!c->compress)
        return c->to->ops->write(c->to, offset, bytes, &(struct scatter){&iov, 1, 0});
    memset(data + bytes, 0, c->to->grain - bytes); /* the disk's last cluster may not be whole */
    err = c->to->ops->write_compressed(c->to, offset, data);
    return err == -E2BIG ? c->to->ops->write(c->to, offset, bytes, &(struct scatter){&iov, 1, 0})
                         : err;
}

static int write_run(struct image_copy *c, const struct piece *p, enum kind kind, uint64_t at,
                     uint64_t bytes)
{
    switch (kind) {
    case ZERO:
        return c->to->ops->zero(c->to, p->offset + at, bytes, true);
    case DATA:
        return write_data(c, p->offset + at, p->data + at, bytes);
    default:
        return 0;
    }
}

/* Runs of units that are alike; compressed clusters are written one by one. */
static int write_piece(struct image_copy *c, const struct piece *p)
{
    uint64_t unit = c->compress ? c->to->grain : MAX(c->to->grain, RAW_UNIT), at = 0;
    int err = 0;

    if (p->kind != DATA)
        return write_run(c, p, p->kind, 0, p->bytes);
    while (at < p->bytes && !err) {
        uint64_t n = MIN(unit, p->bytes - at);
        enum kind kind = kind_of(c, p, at, n);

        while (!(c->compress && kind == DATA) && at + n < p->bytes &&
               kind_of(c, p, at + n, MIN(unit, p->bytes - at - n)) == kind)
            n += MIN(unit, p->bytes - at - n);
        err = write_run(c, p, kind, at, n);
        at += n;
    }
    return err;
}

static int read_failed(const struct image *image, uint64_t offset, int err)
{
    return fail(err, "disk '%s' cannot be read at %llu: %s", image->name,
                (unsigned long long)offset, strerror(-err));
}

static int write_failed(const struct image *image, int err)
{
    return fail(err, "disk '%s' cannot be written: %s", image->name, strerror(-err));
}

static int copy_piece(struct image_copy *c, struct piece *p)
{
    struct iovec iov = {p->data, p->bytes}, behind = {p->behind, p->bytes};
    int err = 0;

    if (p->kind == DATA)
        err = c->from->ops->read(c->from, p->offset, p->bytes, &(struct scatter){&iov, 1, 0});
    if (err)
        return read_failed(c->from, p->offset, err);
    if (p->kind == DATA && c->differing)
        err = image_read_backing(c->to, p->offset, p->bytes, &(struct scatter){&behind, 1, 0});
    if (err)
        return read_failed(c->to, p->offset, err);
    err = write_piece(c, p);
    return err ? write_failed(c->to, err) : 0;
}

/* Take pieces until there are none. */
static int copy_some(struct image_copy *c, struct fibers *fibers, struct piece *p)
{
    for (;;) {
        int err = 0;
        bool more;

        fiber_lock_take(fibers, &c->lock);
        more = !c->failed && c->next < c->from->size;
        if (more && (err = next_piece(c, p)))
            read_failed(c->from, c->next, err);
        fiber_lock_release(fibers, &c->lock);
        if (more && !err)
            err = copy_piece(c, p);
        c->failed |= err != 0;
        if (err || !more)
            return err;
        c->done += p->bytes;
        if (c->progress)
            c->progress(c->opaque, c->done, c->from->size);
    }
}

static int copy_fiber(void *arg)
{
    struct image_copy *c = arg;
    struct piece p = {.data = aligned_alloc(4096, PIECE)};
    int err = -ENOMEM;

    p.behind = c->differing ? aligned_alloc(4096, PIECE) : NULL;
    if (p.data && (p.behind || !c->differing))
        err = copy_some(c, &c->from->context->fibers, &p);
    free(p.data);
    free(p.behind);
    return err;
}

int image_copy_run(struct image_job *job, struct image_copy *c)
{
    fiber_lock_init(&c->lock);
    c->grain = MAX(MAX(c->from->grain, c->to->grain), RAW_UNIT);
    return image_job_run(job, FIBERS, copy_fiber, c);
}
