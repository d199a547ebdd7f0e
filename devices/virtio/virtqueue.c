#include "devices/virtio/virtqueue.h"

#include "base/log.h"

#include <errno.h>
#include <linux/virtio_ring.h>
#include <string.h>

#define PAGE 4096

/* The ring is nonsense: say so once, and let nothing more out of it. */
static int break_queue(struct virtqueue *q, const char *reason)
{
    log_once(LOG_WARN, "%s: the guest's ring is broken: %s", q->name, reason);
    q->broken = true;
    return -EINVAL;
}

int virtq_start(struct virtqueue *q)
{
    q->broken = false;
    q->signalled_valid = false;
    q->last_avail = q->used_next = q->signalled = 0;
    if (!IS_POWER_OF_2(q->size) || q->size > VIRTQ_MAX_SIZE)
        return break_queue(q, "impossible size");
    if (!IS_ALIGNED(q->desc, VRING_DESC_ALIGN_SIZE) ||
        !IS_ALIGNED(q->avail, VRING_AVAIL_ALIGN_SIZE) ||
        !IS_ALIGNED(q->used, VRING_USED_ALIGN_SIZE))
        return break_queue(q, "not aligned");
    return 0;
}

/* --- the words shared with the guest --- */

static const struct vring_avail *avail_ring(struct virtqueue *q)
{
    size_t size = sizeof(struct vring_avail) + sizeof(uint16_t) * (q->size + q->event_idx);
    const struct vring_avail *avail =
        q->broken ? NULL : memory_const_pointer(q->memory, q->avail, size);

    if (!avail && !q->broken)
        break_queue(q, "the available ring is not in memory");
    return avail;
}

static struct vring_used *used_ring(struct virtqueue *q)
{
    size_t size = sizeof(struct vring_used) + sizeof(struct vring_used_elem) * q->size +
                  sizeof(uint16_t) * q->event_idx;
    struct vring_used *used = q->broken ? NULL : memory_pointer(q->memory, q->used, size);

    if (!used && !q->broken)
        break_queue(q, "the used ring is not in memory");
    return used;
}

static uint16_t load(const uint16_t *p)
{
    return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

static void store(uint16_t *p, uint16_t value)
{
    __atomic_store_n(p, value, __ATOMIC_RELEASE);
}

/* --- taking buffers --- */

unsigned virtq_available(struct virtqueue *q)
{
    const struct vring_avail *avail = avail_ring(q);
    uint16_t count;

    if (!avail)
        return 0;
    count = (uint16_t)(load(&avail->idx) - q->last_avail);
    if (count > q->size) {
        break_queue(q, "more buffers than descriptors");
        return 0;
    }
    return count;
}

static int add_piece(struct virtqueue *q, struct virtq_buffer *b, void *host, size_t size, bool in)
{
    unsigned count = b->out_count + b->in_count;
    struct iovec *last = count ? &b->iov[count - 1] : NULL;

    /* Neighbours in host memory become one, but never across the border between out and in. */
    if (last && (char *)last->iov_base + last->iov_len == host && !(in && !b->in_count)) {
        last->iov_len += size;
        return 0;
    }
    if (count == VIRTQ_MAX_IOV)
        return break_queue(q, "a chain of too many pieces");
    b->iov[count] = (struct iovec){host, size};
    *(in ? &b->in_count : &b->out_count) += 1;
    return 0;
}

static void *host_pointer(struct virtqueue *q, gpa_t addr, size_t size, bool in)
{
    return in ? memory_pointer(q->memory, addr, size)
              : (void *)memory_const_pointer(q->memory, addr, size);
}

/* A buffer that crosses from one block of RAM into the next, page by page. */
static int add_crossing(struct virtqueue *q, struct virtq_buffer *b, gpa_t addr, size_t size,
                        bool in)
{
    while (size) {
        size_t n = MIN(size, PAGE - addr % PAGE);
        void *host = host_pointer(q, addr, n, in);
        int err = host ? add_piece(q, b, host, n, in) : break_queue(q, "a buffer is not in memory");

        if (err)
            return err;
        addr += n;
        size -= n;
    }
    return 0;
}

static int add_descriptor(struct virtqueue *q, struct virtq_buffer *b, const struct vring_desc *d)
{
    bool in = d->flags & VRING_DESC_F_WRITE;
    void *host;

    if (!in && b->in_count)
        return break_queue(q, "a readable buffer after a writable one");
    if (d->len == 0)
        return 0;
    *(in ? &b->in_bytes : &b->out_bytes) += d->len;
    host = host_pointer(q, d->addr, d->len, in);
    return host ? add_piece(q, b, host, d->len, in) : add_crossing(q, b, d->addr, d->len, in);
}

struct desc_table {
    gpa_t addr;
    unsigned count;
};

static int read_descriptor(struct virtqueue *q, const struct desc_table *table, unsigned i,
                           struct vring_desc *d)
{
    if (i >= table->count)
        return break_queue(q, "a descriptor number beyond its table");
    if (memory_read(q->memory, table->addr + i * sizeof(*d), d, sizeof(*d)) != 0)
        return break_queue(q, "a descriptor is not in memory");
    return 0;
}

static int enter_indirect(struct virtqueue *q, struct desc_table *table, const struct vring_desc *d,
                          bool inside)
{
    if (!q->indirect)
        return break_queue(q, "an indirect table without the feature");
    if (inside || (d->flags & VRING_DESC_F_NEXT))
        return break_queue(q, "an indirect table inside or before other descriptors");
    if (d->len == 0 || d->len % sizeof(*d) != 0 || d->len / sizeof(*d) > VIRTQ_MAX_SIZE)
        return break_queue(q, "an indirect table of impossible size");
    *table = (struct desc_table){d->addr, d->len / sizeof(*d)};
    return 0;
}

static int read_chain(struct virtqueue *q, struct virtq_buffer *b)
{
    struct desc_table table = {q->desc, q->size};
    unsigned i = b->head, budget;
    struct vring_desc d;
    bool inside = false;

    for (budget = VIRTQ_MAX_SIZE; budget; budget--) {
        int err = read_descriptor(q, &table, i, &d);

        if (!err && (d.flags & VRING_DESC_F_INDIRECT)) {
            err = enter_indirect(q, &table, &d, inside);
            inside = true;
            i = 0;
            if (!err)
                continue;
        }
        if (!err)
            err = add_descriptor(q, b, &d);
        if (err || !(d.flags & VRING_DESC_F_NEXT))
            return err;
        i = d.next;
    }
    return break_queue(q, "a chain without an end");
}

int virtq_pop(struct virtqueue *q, struct virtq_buffer *b)
{
    unsigned count = virtq_available(q);
    const struct vring_avail *avail = avail_ring(q);

    if (q->broken)
        return -EINVAL;
    if (!count)
        return 0;
    b->head = load(&avail->ring[q->last_avail & (q->size - 1)]);
    b->out_count = b->in_count = 0;
    b->out_bytes = b->in_bytes = 0;
    q->last_avail++;
    return read_chain(q, b) ? -EINVAL : 1;
}

void virtq_unpop(struct virtqueue *q, unsigned n)
{
    q->last_avail = (uint16_t)(q->last_avail - n);
}

/* --- giving them back --- */

void virtq_fill(struct virtqueue *q, unsigned ahead, uint16_t head, uint32_t written)
{
    struct vring_used *used = used_ring(q);

    if (used)
        used->ring[(q->used_next + ahead) & (q->size - 1)] =
            (struct vring_used_elem){head, written};
}

void virtq_publish(struct virtqueue *q, unsigned n)
{
    struct vring_used *used = used_ring(q);

    q->used_next = (uint16_t)(q->used_next + n);
    if (used)
        store(&used->idx, q->used_next);
}

void virtq_push(struct virtqueue *q, uint16_t head, uint32_t written)
{
    virtq_fill(q, 0, head, written);
    virtq_publish(q, 1);
}

bool virtq_should_interrupt(struct virtqueue *q)
{
    const struct vring_avail *avail = avail_ring(q);
    uint16_t before = q->signalled;
    bool valid = q->signalled_valid;

    if (!avail)
        return false;
    /* What was pushed must be seen before we ask (2.7.7.1). */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (!q->event_idx)
        return !(load(&avail->flags) & VRING_AVAIL_F_NO_INTERRUPT);
    q->signalled = q->used_next;
    q->signalled_valid = true;
    return !valid || vring_need_event(load(&avail->ring[q->size]), q->used_next, before);
}

void virtq_enable_notification(struct virtqueue *q, bool on)
{
    struct vring_used *used = used_ring(q);
    const struct vring_avail *avail = used ? avail_ring(q) : NULL;

    if (!avail)
        return;
    if (!q->event_idx)
        store(&used->flags, on ? 0 : VRING_USED_F_NO_NOTIFY);
    else if (on)
        store((uint16_t *)&used->ring[q->size], load(&avail->idx));
    if (on)
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* --- lists of pieces --- */

enum direction { FROM_PIECES, INTO_PIECES };

static size_t copy(const struct iovec *iov, unsigned count, size_t offset, uint8_t *data,
                   size_t size, enum direction direction)
{
    size_t done = 0;

    for (; count && done < size; iov++, count--) {
        uint8_t *piece = iov->iov_base;
        size_t n;

        if (offset >= iov->iov_len) {
            offset -= iov->iov_len;
            continue;
        }
        n = MIN(iov->iov_len - offset, size - done);
        if (direction == FROM_PIECES)
            memcpy(data + done, piece + offset, n);
        else
            memcpy(piece + offset, data + done, n);
        done += n;
        offset = 0;
    }
    return done;
}

size_t iov_read(const struct iovec *iov, unsigned count, size_t offset, void *data, size_t size)
{
    return copy(iov, count, offset, data, size, FROM_PIECES);
}

size_t iov_write(const struct iovec *iov, unsigned count, size_t offset, const void *data,
                 size_t size)
{
    return copy(iov, count, offset, (uint8_t *)data, size, INTO_PIECES);
}

unsigned iov_slice(struct iovec *part, const struct iovec *iov, unsigned count, size_t offset,
                   size_t size)
{
    unsigned n = 0;

    for (; count && size; iov++, count--) {
        size_t bytes;

        if (offset >= iov->iov_len) {
            offset -= iov->iov_len;
            continue;
        }
        bytes = MIN(iov->iov_len - offset, size);
        part[n++] = (struct iovec){(char *)iov->iov_base + offset, bytes};
        size -= bytes;
        offset = 0;
    }
    return n;
}
