#include "devices/disk/qcow2_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SLICE_BITS     12     /* at most; a piece small enough to load for one random request */
#define CACHE_BYTES    MIB(8) /* at most, all slices together; they come as they are needed */
#define CACHE_MIN      64     /* slices */
#define WRITE_PARALLEL 16

int qcow2_cache_init(struct qcow2 *q)
{
    struct qcow2_cache *c = &q->cache;

    for (unsigned i = 0; i < QCOW2_BUCKETS; i++)
        LIST_INIT(&c->buckets[i]);
    TAILQ_INIT(&c->slices);
    fiber_list_init(&c->loaded);
    c->bits = MIN(q->cluster_bits, SLICE_BITS);
    c->max = MAX(CACHE_MIN, CACHE_BYTES >> c->bits);
    return 0;
}

static void discard_slice(struct qcow2_cache *c, struct qcow2_slice *s)
{
    LIST_REMOVE(s, bucket);
    TAILQ_REMOVE(&c->slices, s, use);
    c->count--;
    c->dirty[s->kind] -= s->dirty;
    free(s->data);
    free(s);
}

void qcow2_cache_fini(struct qcow2 *q)
{
    struct qcow2_slice *s;

    while ((s = TAILQ_FIRST(&q->cache.slices)))
        discard_slice(&q->cache, s);
}

static unsigned bucket_of(const struct qcow2_cache *c, uint64_t offset)
{
    return (unsigned)((offset >> c->bits) * UINT64_C(0x9e3779b97f4a7c15) >> 53) % QCOW2_BUCKETS;
}

static struct qcow2_slice *find(struct qcow2_cache *c, uint64_t offset)
{
    struct qcow2_slice *s;

    LIST_FOREACH (s, &c->buckets[bucket_of(c, offset)], bucket)
        if (s->offset == offset)
            return s;
    return NULL;
}

static void used_now(struct qcow2_cache *c, struct qcow2_slice *s)
{
    TAILQ_REMOVE(&c->slices, s, use);
    TAILQ_INSERT_TAIL(&c->slices, s, use);
}

/* Make room by dropping what was not used for longest. If all is dirty or pinned, grow: qcow2_cache_full() ends it. */
static void evict(struct qcow2_cache *c)
{
    struct qcow2_slice *s, *next;

    for (s = TAILQ_FIRST(&c->slices); s && c->count >= c->max; s = next) {
        next = TAILQ_NEXT(s, use);
        if (!s->dirty && !s->pins && !s->loading)
            discard_slice(c, s);
    }
}

static struct qcow2_slice *add_slice(struct qcow2_cache *c, uint64_t offset, enum qcow2_kind kind)
{
    struct qcow2_slice *s = calloc(1, sizeof(*s));
    size_t bytes = (size_t)1 << c->bits;

    evict(c);
    if (!s)
        return NULL;
    s->data = aligned_alloc(MAX(bytes, FILE_ALIGN), bytes);
    if (!s->data) {
        free(s);
        return NULL;
    }
    s->offset = offset;
    s->kind = kind;
    LIST_INSERT_HEAD(&c->buckets[bucket_of(c, offset)], s, bucket);
    TAILQ_INSERT_TAIL(&c->slices, s, use);
    c->count++;
    return s;
}

static int load_slice(struct qcow2 *q, uint64_t offset, enum qcow2_kind kind,
                      struct qcow2_slice **slice)
{
    struct qcow2_cache *c = &q->cache;
    struct qcow2_slice *s;
    struct iovec iov;
    int err;

    if (!qcow2_plausible(q, offset, kind))
        return qcow2_mark_corrupt(q, kind == QCOW2_L2 ? "an L2 table lies where none can be"
                                                      : "a refcount block lies where none can be");
    s = add_slice(c, offset, kind);
    if (!s)
        return -ENOMEM;
    s->loading = true;
    iov = (struct iovec){s->data, (size_t)1 << c->bits};
    err = image_read_file(&q->image, offset, iov.iov_len, &(struct scatter){&iov, 1, 0});
    s->loading = false;
    fiber_wake_all(&q->image.context->fibers, &c->loaded);
    if (err) {
        discard_slice(c, s);
        return err;
    }
    s->pins++;
    *slice = s;
    return 0;
}

int qcow2_cache_get(struct qcow2 *q, uint64_t offset, enum qcow2_kind kind,
                    struct qcow2_slice **slice)
{
    struct qcow2_cache *c = &q->cache;
    struct qcow2_slice *s;

    offset = ALIGN_DOWN(offset, UINT64_C(1) << c->bits);
    while ((s = find(c, offset)) && s->loading)
        fiber_wait_in(&q->image.context->fibers, &c->loaded);
    if (!s)
        return load_slice(q, offset, kind, slice);
    if (s->kind != kind)
        return qcow2_mark_corrupt(q, "an L2 table and a refcount block are at the same place");
    used_now(c, s);
    s->pins++;
    *slice = s;
    return 0;
}

int qcow2_cache_get_zeroed(struct qcow2 *q, uint64_t offset, enum qcow2_kind kind,
                           struct qcow2_slice **slice)
{
    struct qcow2_slice *s;

    offset = ALIGN_DOWN(offset, UINT64_C(1) << q->cache.bits);
    s = add_slice(&q->cache, offset, kind);
    if (!s)
        return -ENOMEM;
    memset(s->data, 0, (size_t)1 << q->cache.bits);
    s->pins++;
    *slice = s;
    return 0;
}

struct qcow2_slice *qcow2_cache_peek(struct qcow2 *q, uint64_t offset, enum qcow2_kind kind)
{
    struct qcow2_slice *s = find(&q->cache, ALIGN_DOWN(offset, UINT64_C(1) << q->cache.bits));

    if (!s || s->loading || s->kind != kind)
        return NULL;
    used_now(&q->cache, s);
    return s;
}

void qcow2_cache_put(struct qcow2_slice *slice)
{
    slice->pins--;
}

void qcow2_cache_dirty(struct qcow2 *q, struct qcow2_slice *slice)
{
    q->cache.dirty[slice->kind] += !slice->dirty;
    slice->dirty = true;
}

bool qcow2_cache_full(const struct qcow2 *q)
{
    return q->cache.dirty[QCOW2_L2] + q->cache.dirty[QCOW2_REFCOUNTS] > q->cache.max / 2;
}

/* The next dirty slices, at most WRITE_PARALLEL; pinned. */
static unsigned collect(struct qcow2 *q, enum qcow2_kind kind, struct qcow2_slice **out)
{
    struct qcow2_slice *s;
    unsigned n = 0;

    TAILQ_FOREACH (s, &q->cache.slices, use)
        if (s->dirty && s->kind == kind && n < WRITE_PARALLEL)
            out[n++] = s;
    return n;
}

static int write_slices(struct qcow2 *q, struct qcow2_slice **slices, unsigned n)
{
    size_t bytes = (size_t)1 << q->cache.bits;
    struct io_group group = {.image = &q->image};
    struct io_op ops[WRITE_PARALLEL];
    struct iovec iov[WRITE_PARALLEL];
    int err;

    for (unsigned i = 0; i < n; i++) {
        slices[i]->pins++;
        iov[i] = (struct iovec){slices[i]->data, bytes};
        ops[i] = (struct io_op){
            .kind = IO_WRITE, .offset = slices[i]->offset, .bytes = bytes, .data = {&iov[i], 1, 0}};
        image_group_submit(&group, &ops[i]);
    }
    err = image_group_wait(&group);
    for (unsigned i = 0; i < n; i++)
        slices[i]->pins--;
    return err;
}

/* Under the lock, so that nothing becomes dirty meanwhile. */
int qcow2_cache_write(struct qcow2 *q, enum qcow2_kind kind)
{
    struct qcow2_slice *slices[WRITE_PARALLEL];

    while (q->cache.dirty[kind]) {
        unsigned n = collect(q, kind, slices);
        int err = write_slices(q, slices, n);

        if (err)
            return err;
        for (unsigned i = 0; i < n; i++)
            slices[i]->dirty = false;
        q->cache.dirty[kind] -= n;
    }
    return 0;
}

void qcow2_cache_forget(struct qcow2 *q, uint64_t offset, uint64_t bytes)
{
    for (uint64_t at = offset; at < offset + bytes; at += UINT64_C(1) << q->cache.bits) {
        struct qcow2_slice *s = find(&q->cache, at);

        if (s && !s->pins && !s->loading)
            discard_slice(&q->cache, s);
    }
}
