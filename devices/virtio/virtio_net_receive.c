/* Frames for the guest: into its receive buffers, several of them where it takes that (virtio 1.2, 5.1.6.3, 5.1.6.4). */
#include "base/log.h"
#include "devices/virtio/virtio_net_private.h"

#define MIN_FRAME 14

static struct virtio_queue *rx_queue(struct virtio_net *n, unsigned pair)
{
    return &n->virtio.queues[2 * pair];
}

/* Part of header and frame, seen as one row of bytes. */
static size_t put(const struct virtq_buffer *b, const void *header, size_t header_bytes,
                  const uint8_t *frame, size_t frame_bytes, size_t from)
{
    const struct iovec *iov = b->iov + b->out_count;
    size_t done = 0;

    if (from < header_bytes)
        done = iov_write(iov, b->in_count, 0, (const uint8_t *)header + from, header_bytes - from);
    if (from + done >= header_bytes)
        done += iov_write(iov, b->in_count, done, frame + (from + done - header_bytes),
                          header_bytes + frame_bytes - from - done);
    return done;
}

enum fill {
    FILL_DONE,
    FILL_WAIT, /* there are too few buffers now */
    FILL_DROP, /* and there will never be enough for this frame */
};

/* Fill buffers with the frame, `used` in all. They are shown to the driver all at once. */
static enum fill fill_buffers(struct virtio_net *n, struct virtqueue *vq,
                              const struct virtio_net_hdr *net_header, const uint8_t *frame,
                              size_t size, unsigned *used)
{
    struct virtio_net_hdr_mrg_rxbuf header = {.hdr = *net_header, .num_buffers = 1};
    struct virtq_buffer *b = &n->rx_buffer;
    size_t header_bytes = net_header_size(n), done = 0;
    bool merge = virtio_has(&n->virtio, VIRTIO_NET_F_MRG_RXBUF), empty = false;
    uint8_t *count_place = NULL;

    if (!(n->offloads & NET_CSUM))
        header.hdr.flags = 0;
    for (*used = 0; done < header_bytes + size; ++*used) {
        const struct iovec *first = &b->iov[0];
        size_t part;

        if (*used && (!merge || *used == vq->size))
            break;
        empty = virtq_pop(vq, b) <= 0;
        if (empty)
            break;
        first += b->out_count;
        if (*used == 0 && b->in_count && first->iov_len >= sizeof(header))
            count_place =
                (uint8_t *)first->iov_base + offsetof(struct virtio_net_hdr_mrg_rxbuf, num_buffers);
        part = put(b, &header, header_bytes, frame, size, done);
        virtq_fill(vq, *used, b->head, (uint32_t)part);
        done += part;
    }
    if (done < header_bytes + size) {
        virtq_unpop(vq, *used);
        return empty && !vq->broken ? FILL_WAIT : FILL_DROP;
    }
    if (*used > 1 && !count_place) {
        log_once(LOG_WARN, "virtio-net: the guest's receive buffers are smaller than a header");
        virtio_break(&n->virtio);
        return FILL_DROP;
    }
    if (*used > 1)
        store_le16(count_place, (uint16_t)*used);
    return FILL_DONE;
}

/* Too few buffers: true if more have come meanwhile, else the driver's next notification wakes the network. */
static bool more_buffers(struct virtio_net *n, struct virtio_queue *q)
{
    unsigned before = virtq_available(&q->vq);

    virtq_enable_notification(&q->vq, true);
    if (virtq_available(&q->vq) > before)
        return true;
    n->starved |= 1u << q->index / 2;
    return false;
}

static bool receive_locked(struct virtio_net *n, struct virtio_queue *q,
                           const struct virtio_net_hdr *header, const uint8_t *frame, size_t size)
{
    unsigned used;
    enum fill result;

    if (!q->live || n->virtio.broken || !__atomic_load_n(&n->link_up, __ATOMIC_RELAXED) ||
        (net_offloads_of(header) & ~n->offloads) || !net_filter_passes(&n->filter, frame, size))
        return true; /* dropped */
    do
        result = fill_buffers(n, &q->vq, header, frame, size, &used);
    while (result == FILL_WAIT && more_buffers(n, q));
    if (q->vq.broken)
        virtio_break(&n->virtio);
    if (result != FILL_DONE || n->virtio.broken)
        return result != FILL_WAIT;
    virtq_publish(&q->vq, used);
    n->answered |= 1u << q->index / 2;
    if (!n->sending)
        net_tell_received(n);
    return true;
}

void net_tell_received(struct virtio_net *n)
{
    for (; n->answered; n->answered &= n->answered - 1)
        virtio_interrupt(rx_queue(n, (unsigned)__builtin_ctz(n->answered)));
}

bool net_receive(void *front, unsigned pair, const struct virtio_net_hdr *header,
                    const uint8_t *frame, size_t size)
{
    struct virtio_net *n = front;
    bool taken;

    if (size < MIN_FRAME || size > NET_MAX_FRAME)
        return true;
    virtio_enter(&n->virtio);
    taken =
        receive_locked(n, rx_queue(n, pair < n->used_pairs ? pair : 0), header, frame, size);
    virtio_leave(&n->virtio);
    return taken;
}
