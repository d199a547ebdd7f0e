#include "devices/virtio/virtio_net.h"

#include "base/log.h"
#include "devices/virtio/virtio.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <stdlib.h>
#include <string.h>

#define QUEUE_SIZE 256
#define MIN_FRAME  14

enum { RX, TX };

struct virtio_net {
    struct virtio_device virtio;
    struct net *net;
    bool starved; /* the network waits for receive buffers */
    struct virtq_buffer rx_buffer,
        tx_buffer; /* two: a frame that is sent may be answered at once */
    struct iovec frame[VIRTQ_MAX_IOV];
};

/* 5.1.6.1: the last field, num_buffers, is there in modern headers and where buffers are merged. */
static size_t header_size(const struct virtio_net *n)
{
    bool merged = virtio_has(&n->virtio, VIRTIO_NET_F_MRG_RXBUF) || virtio_is_modern(&n->virtio);

    return merged ? sizeof(struct virtio_net_hdr_mrg_rxbuf) : sizeof(struct virtio_net_hdr);
}

/* --- to the guest --- */

static struct virtio_queue *rx_queue(struct virtio_net *n)
{
    return &n->virtio.queues[RX];
}

static bool rx_ready(struct virtio_net *n)
{
    struct virtio_queue *q = rx_queue(n);

    return q->live && !n->virtio.broken && virtq_available(&q->vq) > 0;
}

static bool can_receive(void *front)
{
    struct virtio_net *n = front;
    struct virtqueue *vq = &rx_queue(n)->vq;
    bool ready;

    machine_lock(n->virtio.pci.base.machine);
    ready = rx_ready(n);
    if (!ready && rx_queue(n)->live) {
        virtq_enable_notification(vq, true);
        ready = rx_ready(n);
    }
    n->starved = !ready;
    machine_unlock(n->virtio.pci.base.machine);
    return ready;
}

/* Part of header and frame, seen as one row of bytes. */
static size_t put(const struct virtq_buffer *b, const uint8_t *header, size_t header_bytes,
                  const uint8_t *frame, size_t frame_bytes, size_t from)
{
    const struct iovec *iov = b->iov + b->out_count;
    size_t done = 0;

    if (from < header_bytes)
        done = iov_write(iov, b->in_count, 0, header + from, header_bytes - from);
    if (from + done >= header_bytes)
        done += iov_write(iov, b->in_count, done, frame + (from + done - header_bytes),
                          header_bytes + frame_bytes - from - done);
    return done;
}

/*
 * Fill buffers with the frame; returns how many it took, 0 if there are too few (or one that is too small). Where the
 * header counts them goes to count_place, NULL if the first piece is smaller than a header.
 */
static unsigned fill_buffers(struct virtio_net *n, const uint8_t *frame, size_t size,
                             uint8_t **count_place)
{
    static const struct virtio_net_hdr_mrg_rxbuf header = {.num_buffers = 1};
    struct virtqueue *vq = &rx_queue(n)->vq;
    struct virtq_buffer *b = &n->rx_buffer;
    size_t header_bytes = header_size(n), done = 0;
    bool merge = virtio_has(&n->virtio, VIRTIO_NET_F_MRG_RXBUF);
    unsigned used;

    for (used = 0; done < header_bytes + size; used++) {
        const struct iovec *first = &b->iov[0];
        size_t part;

        if ((used && !merge) || virtq_pop(vq, b) <= 0)
            break;
        first += b->out_count;
        if (used == 0 && b->in_count && first->iov_len >= sizeof(header))
            *count_place =
                (uint8_t *)first->iov_base + offsetof(struct virtio_net_hdr_mrg_rxbuf, num_buffers);
        part = put(b, (const uint8_t *)&header, header_bytes, frame, size, done);
        virtq_fill(vq, used, b->head, (uint32_t)part);
        done += part;
    }
    if (done == header_bytes + size)
        return used;
    virtq_unpop(vq, used);
    return 0;
}

static bool receive_locked(struct virtio_net *n, const uint8_t *frame, size_t size)
{
    struct virtio_queue *q = rx_queue(n);
    uint8_t *count_place = NULL;
    unsigned used = rx_ready(n) ? fill_buffers(n, frame, size, &count_place) : 0;

    if (used > 1 && !count_place) {
        log_once(LOG_WARN, "virtio-net: the guest's receive buffers are smaller than a header");
        virtio_break(&n->virtio);
        return false;
    }
    if (q->vq.broken)
        virtio_break(&n->virtio);
    if (!used)
        return false;
    if (used > 1)
        store_le16(count_place, (uint16_t)used);
    virtq_publish(&q->vq, used);
    virtio_interrupt(q);
    return true;
}

static bool receive(void *front, const uint8_t *frame, size_t size)
{
    struct virtio_net *n = front;
    bool taken;

    if (size > NET_MAX_FRAME)
        return false;
    machine_lock(n->virtio.pci.base.machine);
    taken = receive_locked(n, frame, size);
    machine_unlock(n->virtio.pci.base.machine);
    return taken;
}

static const struct net_front_ops front_ops = {.can_receive = can_receive, .receive = receive};

/* --- from the guest --- */

static void send_frame(struct virtio_net *n, const struct virtq_buffer *b)
{
    size_t header = header_size(n);
    size_t size = b->out_bytes > header ? b->out_bytes - header : 0;

    if (!n->net || size < MIN_FRAME || size > NET_MAX_FRAME)
        return;
    n->net->ops->send(n->net, n->frame, iov_slice(n->frame, b->iov, b->out_count, header, size));
}

static void run_tx(struct virtio_net *n, struct virtio_queue *q)
{
    unsigned budget = q->vq.size;

    virtq_enable_notification(&q->vq, false);
    for (; budget && virtq_pop(&q->vq, &n->tx_buffer) > 0; budget--) {
        send_frame(n, &n->tx_buffer);
        virtq_push(&q->vq, n->tx_buffer.head, 0);
    }
    virtio_interrupt(q);
    virtq_enable_notification(&q->vq, true);
    if (virtq_available(&q->vq))
        virtio_kick(q);
}

static void run(struct virtio_device *virtio, struct virtio_queue *q)
{
    struct virtio_net *n = container_of(virtio, struct virtio_net, virtio);

    if (q->index == TX) {
        run_tx(n, q);
        return;
    }
    /* Receive buffers came: ask to hear of more only when the network waits for them. */
    virtq_enable_notification(&q->vq, false);
    if (n->starved && n->net && rx_ready(n)) {
        n->starved = false;
        n->net->ops->accept_input(n->net);
    }
}

/* --- life --- */

static void destroy(struct device *device)
{
    struct virtio_net *n = container_of(device, struct virtio_net, virtio.pci.base);

    if (n->net) {
        n->net->front_ops = NULL;
        n->net->front = NULL;
    }
    virtio_fini(&n->virtio);
    free(n);
}

static const struct device_ops net_device_ops = {
    .name = "virtio-net",
    .version = 1,
    .reset = virtio_reset,
    .save = virtio_save,
    .load = virtio_load,
    .resume = virtio_resume,
    .destroy = destroy,
};

static const struct virtio_ops net_ops = {
    .type = 1,
    .pci_device = 0x1000,
    .pci_class = 0x020000,
    .run = run,
};

static void describe(struct virtio_net *n, const uint8_t mac[6])
{
    struct virtio_net_config config = {.status = n->net ? VIRTIO_NET_S_LINK_UP : 0};

    memcpy(config.mac, mac, sizeof(config.mac));
    memcpy(n->virtio.config, &config, sizeof(config));
    n->virtio.config_size = offsetof(struct virtio_net_config, max_virtqueue_pairs);
    n->virtio.offered =
        1ULL << VIRTIO_NET_F_MAC | 1ULL << VIRTIO_NET_F_STATUS | 1ULL << VIRTIO_NET_F_MRG_RXBUF;
}

int virtio_net_create(struct machine *machine, uint8_t devfn,
                      const struct virtio_net_options *options)
{
    static const uint16_t queue_sizes[] = {[RX] = QUEUE_SIZE, [TX] = QUEUE_SIZE};
    struct virtio_net *n = calloc(1, sizeof(*n));
    int err;

    if (!n)
        return -ENOMEM;
    n->net = options->net;
    n->virtio.ops = &net_ops;
    describe(n, options->mac);
    err = virtio_init(&n->virtio, &net_device_ops, machine, devfn, queue_sizes,
                      ARRAY_SIZE(queue_sizes));
    if (err) {
        free(n);
        return err;
    }
    if (n->net) {
        n->net->front_ops = &front_ops;
        n->net->front = n;
    }
    return options->rom ? pci_add_rom(&n->virtio.pci, options->rom) : 0;
}
