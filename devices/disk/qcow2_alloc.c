#include "devices/disk/qcow2_internal.h"

#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Slices of refcounts that are looked at for one allocation, before the file is made longer instead. */
#define SEARCH_SLICES 256
#define EXTEND_MIN    MIB(1)
#define EXTEND_MAX    MIB(32)

uint64_t qcow2_load_ref(const uint8_t *data, uint64_t index, unsigned order)
{
    switch (order) {
    case 3:
        return data[index];
    case 4:
        return load_be16(data + 2 * index);
    case 5:
        return load_be32(data + 4 * index);
    case 6:
        return load_be64(data + 8 * index);
    default: /* less than a byte each, the lowest bits first */
        return data[index >> (3 - order)] >> ((index << order) & 7) & ((1u << (1u << order)) - 1);
    }
}

static void store_small_ref(uint8_t *data, uint64_t index, unsigned order, unsigned value)
{
    unsigned shift = (unsigned)(index << order) & 7, mask = ((1u << (1u << order)) - 1) << shift;
    uint8_t *byte = data + (index >> (3 - order));

    *byte = (uint8_t)((*byte & ~mask) | (value << shift & mask));
}

void qcow2_store_ref(uint8_t *data, uint64_t index, unsigned order, uint64_t value)
{
    switch (order) {
    case 3:
        data[index] = (uint8_t)value;
        break;
    case 4:
        store_be16(data + 2 * index, (uint16_t)value);
        break;
    case 5:
        store_be32(data + 4 * index, (uint32_t)value);
        break;
    case 6:
        store_be64(data + 8 * index, value);
        break;
    default:
        store_small_ref(data, index, order, (unsigned)value);
    }
}

/* A slice of refcounts, pinned, and where the cluster's is in it. */
struct ref_place {
    struct qcow2_slice *slice; /* NULL: there is no block for it */
    uint64_t index, count;     /* refcounts in the slice */
};

static int find_ref(struct qcow2 *q, uint64_t cluster, struct ref_place *place)
{
    uint64_t per_block = qcow2_refs_per_block(q), block;
    uint64_t per_slice = (UINT64_C(8) << q->cache.bits) >> q->header.refcount_order;
    uint64_t in_block = cluster % per_block;

    *place = (struct ref_place){.index = in_block % per_slice, .count = per_slice};
    block = cluster / per_block < q->reftable.count ? q->reftable.entries[cluster / per_block] : 0;
    if (!block)
        return 0;
    if (!IS_ALIGNED(block, q->cluster_size))
        return qcow2_mark_corrupt(q, "a refcount block lies where none can be");
    return qcow2_cache_get(q, block + (in_block / per_slice << q->cache.bits), QCOW2_REFCOUNTS,
                           &place->slice);
}

uint64_t qcow2_max_ref(unsigned order)
{
    return order == 6 ? UINT64_MAX : (UINT64_C(1) << (1u << order)) - 1;
}

int qcow2_change_ref(struct qcow2 *q, uint64_t cluster, int by, uint64_t *now)
{
    unsigned order = q->header.refcount_order;
    struct ref_place place;
    uint64_t refs;
    int err = find_ref(q, cluster, &place);

    if (err)
        return err;
    refs = place.slice ? qcow2_load_ref(place.slice->data, place.index, order) : 0;
    if (refs == 0 && by)
        err = qcow2_mark_corrupt(q, "a cluster in use has the refcount 0");
    else if (by > 0 && refs == qcow2_max_ref(order))
        err = -EOVERFLOW;
    if (!err && by)
        qcow2_store_ref(place.slice->data, place.index, order, refs + (uint64_t)(int64_t)by);
    if (now)
        *now = refs + (uint64_t)(int64_t)by;
    if (!place.slice)
        return err;
    if (!err && by)
        qcow2_cache_dirty(q, place.slice);
    qcow2_cache_put(place.slice);
    return err;
}

/*
 * Lengthen the file ahead of what is written, in steps: a write that moves the end of a file costs the file system much
 * more than one inside it. If that fails, writes move the end themselves: for ever where the file system has no
 * fallocate(), for a while where it has no space. Closing cuts off what was not needed.
 */
static void extend_file(struct qcow2 *q)
{
    struct disk_file *file = image_file(&q->image);
    struct io_op op = {.kind = IO_ALLOCATE, .offset = file->size};
    int err;

    if (q->fresh_from <= file->size || q->fresh_from <= q->extend_from)
        return;
    op.bytes =
        ALIGN_UP(q->fresh_from + CLAMP(file->size / 8, EXTEND_MIN, EXTEND_MAX), 4096) - op.offset;
    err = image_io(&q->image, &op);
    if (!err)
        file->size = MAX(file->size, op.offset + op.bytes);
    else
        q->extend_from = err == -ENOSPC || err == -EDQUOT ? q->fresh_from + EXTEND_MAX : UINT64_MAX;
}

/* The first unused clusters in the rest of a slice. */
static uint64_t free_run(const struct qcow2 *q, const struct ref_place *place, uint64_t want,
                         uint64_t *skip)
{
    unsigned order = q->header.refcount_order;
    uint64_t at = place->index, run = 0;

    while (at < place->count && qcow2_load_ref(place->slice->data, at, order))
        at++;
    *skip = at - place->index;
    while (run < want && at + run < place->count &&
           !qcow2_load_ref(place->slice->data, at + run, order))
        run++;
    return run;
}

/* Find unused clusters; their slice is pinned and place->index is the first's. */
static int search(struct qcow2 *q, uint64_t want, struct ref_place *place, uint64_t *cluster,
                  uint64_t *run)
{
    for (unsigned budget = SEARCH_SLICES * 2; budget; budget--) {
        uint64_t skip;
        int err;

        if (budget == SEARCH_SLICES)
            q->next_free = MAX(q->next_free, q->fresh_from >> q->cluster_bits);
        if (q->next_free >= (QCOW2_OFFSET_MASK >> q->cluster_bits))
            return -ENOSPC;
        err = find_ref(q, q->next_free, place);
        if (!err && !place->slice) {
            err = qcow2_add_refblock(q, q->next_free);
            if (err)
                return err;
            continue;
        }
        if (err)
            return err;
        *run = free_run(q, place, want, &skip);
        q->next_free += skip;
        place->index += skip;
        *cluster = q->next_free;
        if (*run)
            return 0;
        qcow2_cache_put(place->slice);
    }
    return qcow2_mark_corrupt(q, "its refcounts leave no room, even beyond the end of the file");
}

int qcow2_allocate(struct qcow2 *q, uint64_t want, uint64_t *host, uint64_t *got, bool *fresh)
{
    struct ref_place place;
    uint64_t cluster = 0;
    int err = q->corrupt ? -EIO : search(q, want, &place, &cluster, got);

    if (err)
        return err;
    *host = cluster << q->cluster_bits;
    if (qcow2_is_metadata(q, *host, *got << q->cluster_bits)) {
        qcow2_cache_put(place.slice);
        return qcow2_mark_corrupt(q, "a table's cluster counts as unused");
    }
    for (uint64_t i = 0; i < *got; i++)
        qcow2_store_ref(place.slice->data, place.index + i, q->header.refcount_order, 1);
    qcow2_cache_dirty(q, place.slice);
    qcow2_cache_put(place.slice);
    q->next_free = cluster + *got;
    *fresh = *host >= q->fresh_from;
    q->fresh_from = MAX(q->fresh_from, q->next_free << q->cluster_bits);
    extend_file(q);
    return 0;
}

void qcow2_unallocate(struct qcow2 *q, uint64_t host, uint64_t clusters)
{
    uint64_t first = host >> q->cluster_bits;

    for (uint64_t i = 0; i < clusters; i++)
        if (qcow2_change_ref(q, first + i, -1, NULL))
            return; /* they leak */
    q->next_free = MIN(q->next_free, first);
}

/*
 * A piece that does not go on where the last one ended (a refcount block came between, or the free place was too small)
 * begins the run anew. Right behind a block there is room for all that a block counts, less one.
 */
int qcow2_allocate_run(struct qcow2 *q, uint64_t clusters, uint64_t *host)
{
    uint64_t have = 0, at, got;
    bool fresh;

    if (clusters >= qcow2_refs_per_block(q))
        return -EFBIG;
    if (clusters > 1)
        q->next_free = MAX(q->next_free, q->fresh_from >> q->cluster_bits);
    while (have < clusters) {
        int err = qcow2_allocate(q, clusters - have, &at, &got, &fresh);
        uint64_t next = q->next_free;
        bool goes_on = !err && (!have || at == *host + (have << q->cluster_bits));

        if (!goes_on && have)
            qcow2_unallocate(q, *host, have);
        if (err)
            return err;
        q->next_free = next;
        if (!goes_on)
            have = 0;
        if (!have)
            *host = at;
        have += got;
    }
    return 0;
}

void qcow2_free_later(struct qcow2 *q, uint64_t offset, uint64_t bytes, bool punch)
{
    struct qcow2_freed_list *list = &q->freed;

    if (list->count == list->capacity) {
        size_t capacity = MAX(64, list->capacity * 2);
        struct qcow2_freed *items = realloc(list->items, capacity * sizeof(*items));

        if (!items) {
            log_once(LOG_WARN, "disk '%s': out of memory; unused clusters stay allocated",
                     q->image.name);
            return;
        }
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->count++] = (struct qcow2_freed){offset, bytes, punch};
}

void qcow2_free_entry(struct qcow2 *q, uint64_t entry, bool punch)
{
    uint64_t offset, bytes;

    switch (qcow2_entry_type(q, entry)) {
    case QCOW2_TYPE_COMPRESSED:
        qcow2_compressed_place(q, entry, &offset, &bytes);
        qcow2_free_later(q, offset, bytes, false);
        break;
    case QCOW2_TYPE_DATA:
    case QCOW2_TYPE_ZERO_HELD:
        qcow2_free_later(q, entry & QCOW2_OFFSET_MASK, q->cluster_size,
                         punch && (entry & QCOW2_COPIED));
        break;
    default:
        break;
    }
}

/* The space goes back first; until that has ended nobody else may be given the cluster. */
static void count_down(struct qcow2 *q, const struct qcow2_freed *f)
{
    uint64_t first = f->offset >> q->cluster_bits;
    uint64_t last = (f->offset + f->bytes - 1) >> q->cluster_bits;

    if (f->punch) {
        struct io_op op = {.kind = IO_PUNCH, .offset = f->offset, .bytes = f->bytes};

        image_io(&q->image, &op);
    }
    qcow2_compressed_forget(q, f->offset, f->bytes);
    for (uint64_t cluster = first; cluster <= last; cluster++) {
        if (qcow2_change_ref(q, cluster, -1, NULL))
            return;
        qcow2_cache_forget(q, cluster << q->cluster_bits, q->cluster_size);
        q->next_free = MIN(q->next_free, cluster);
    }
}

static void settle_locked(struct qcow2 *q)
{
    for (size_t i = 0; i < q->released.count && !q->corrupt; i++)
        count_down(q, &q->released.items[i]);
    q->released.count = 0;
    q->image.settle_after = UINT64_MAX;
}

void qcow2_settle(struct image *image)
{
    struct qcow2 *q = qcow2_of(image);
    struct fibers *fibers = &image->context->fibers;

    fiber_lock_take(fibers, &q->lock);
    if (image->context->oldest > image->settle_after)
        settle_locked(q);
    fiber_lock_release(fibers, &q->lock);
}
