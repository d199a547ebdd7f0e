#include "base/error.h"
#include "base/log.h"
#include "devices/virtio/virtio_net_private.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <stdlib.h>
#include <string.h>

#define QUEUE_SIZE 256
#define MIN_FRAME  14

static_assert(2 * NET_MAX_QUEUES + 1 <= VIRTIO_MAX_QUEUES, "queues");

/* 5.1.6.1: the last field, num_buffers, is there in modern headers and where buffers are merged. */
size_t net_header_size(const struct virtio_net *n)
{
    bool merged = virtio_has(&n->virtio, VIRTIO_NET_F_MRG_RXBUF) || virtio_is_modern(&n->virtio);

    return merged ? sizeof(struct virtio_net_hdr_mrg_rxbuf) : sizeof(struct virtio_net_hdr);
}

/* --- offloads --- */

static const struct {
    unsigned offload, guest, host;
} offload_features[] = {
    {NET_CSUM, VIRTIO_NET_F_GUEST_CSUM, VIRTIO_NET_F_CSUM},
    {NET_TSO4, VIRTIO_NET_F_GUEST_TSO4, VIRTIO_NET_F_HOST_TSO4},
    {NET_TSO6, VIRTIO_NET_F_GUEST_TSO6, VIRTIO_NET_F_HOST_TSO6},
    {NET_ECN, VIRTIO_NET_F_GUEST_ECN, VIRTIO_NET_F_HOST_ECN},
    {NET_UFO, VIRTIO_NET_F_GUEST_UFO, VIRTIO_NET_F_HOST_UFO},
    {NET_USO, VIRTIO_NET_F_GUEST_USO4, VIRTIO_NET_F_HOST_USO},
    {NET_USO, VIRTIO_NET_F_GUEST_USO6, VIRTIO_NET_F_HOST_USO},
};

static uint64_t features_of(unsigned send, unsigned receive)
{
    uint64_t features = 0;
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(offload_features); i++) {
        if (send & offload_features[i].offload)
            features |= 1ULL << offload_features[i].host;
        if (receive & offload_features[i].offload)
            features |= 1ULL << offload_features[i].guest;
    }
    return features;
}

unsigned net_guest_offloads(uint64_t features)
{
    unsigned offloads = 0, i;

    for (i = 0; i < ARRAY_SIZE(offload_features); i++)
        if (features >> offload_features[i].guest & 1)
            offloads |= offload_features[i].offload;
    /* A host knows no difference between UDP over one IP and the other. */
    if (!(features >> VIRTIO_NET_F_GUEST_USO4 & features >> VIRTIO_NET_F_GUEST_USO6 & 1))
        offloads &= ~(unsigned)NET_USO;
    return offloads & NET_CSUM ? offloads : 0;
}

void net_set_offloads(struct virtio_net *n, unsigned offloads)
{
    n->offloads = offloads;
    if (n->net && n->net->ops->set_offloads)
        n->net->ops->set_offloads(n->net, offloads);
}

void net_set_pairs(struct virtio_net *n, unsigned pairs)
{
    n->used_pairs = pairs;
    if (n->net && n->net->ops->set_queues)
        n->net->ops->set_queues(n->net, pairs);
}

void net_set_status(struct virtio_net *n, bool announce)
{
    uint16_t status =
        (uint16_t)((__atomic_load_n(&n->link_up, __ATOMIC_RELAXED) ? VIRTIO_NET_S_LINK_UP : 0) |
                   (announce ? VIRTIO_NET_S_ANNOUNCE : 0));

    virtio_set_config(&n->virtio, offsetof(struct virtio_net_config, status), &status,
                      sizeof(status));
}

void virtio_net_set_link(struct virtio_net *n, bool up)
{
    up = up && n->net;
    if (__atomic_exchange_n(&n->link_up, up, __ATOMIC_RELAXED) == up)
        return;
    net_set_status(n, false);
    virtio_config_changed(&n->virtio);
}

static const struct net_front_ops front_ops = {.receive = net_receive};

/* --- from the guest --- */

static void send_frame(struct virtio_net *n, unsigned pair, const struct virtq_buffer *b)
{
    size_t skip = net_header_size(n);
    size_t size = b->out_bytes > skip ? b->out_bytes - skip : 0;
    struct virtio_net_hdr header;

    if (!n->net || !__atomic_load_n(&n->link_up, __ATOMIC_RELAXED) || size < MIN_FRAME ||
        size > NET_MAX_FRAME)
        return;
    iov_read(b->iov, b->out_count, 0, &header, sizeof(header));
    header.flags &= VIRTIO_NET_HDR_F_NEEDS_CSUM;
    if (net_header_is_good(&header, n->net->send_offloads, size))
        n->net->ops->send(n->net, pair, &header, n->frame,
                          iov_slice(n->frame, b->iov, b->out_count, skip, size));
}

static void run_tx(struct virtio_net *n, struct virtio_queue *q)
{
    unsigned budget = q->vq.size;

    virtq_enable_notification(&q->vq, false);
    n->sending = true;
    for (; budget && virtq_pop(&q->vq, &n->tx_buffer) > 0; budget--) {
        send_frame(n, q->index / 2, &n->tx_buffer);
        virtq_push(&q->vq, n->tx_buffer.head, 0);
    }
    n->sending = false;
    virtio_interrupt(q);
    net_tell_received(n);
    virtq_enable_notification(&q->vq, true);
    if (virtq_available(&q->vq))
        virtio_kick(q);
}

/* Receive buffers came: ask to hear of more only when the network waits for them. */
static void run_rx(struct virtio_net *n, struct virtio_queue *q)
{
    unsigned pair = q->index / 2;

    virtq_enable_notification(&q->vq, false);
    if (!(n->starved >> pair & 1))
        return;
    n->starved &= ~(1u << pair);
    n->net->ops->accept_input(n->net, pair);
}

static void run(struct virtio_device *virtio, struct virtio_queue *q)
{
    struct virtio_net *n = container_of(virtio, struct virtio_net, virtio);

    if (q->index == net_control_queue(n))
        net_run_control(n, q);
    else if (q->index % 2)
        run_tx(n, q);
    else
        run_rx(n, q);
}

/* --- life --- */

/* What the driver negotiated holds until it says otherwise on the control queue. */
static void start(struct virtio_device *virtio)
{
    struct virtio_net *n = container_of(virtio, struct virtio_net, virtio);

    net_set_offloads(n, net_guest_offloads(virtio->features));
    net_set_pairs(n, 1);
    n->filter.by_vlan = virtio_has(virtio, VIRTIO_NET_F_CTRL_VLAN);
}

static void reset(struct virtio_device *virtio)
{
    struct virtio_net *n = container_of(virtio, struct virtio_net, virtio);

    n->starved = n->answered = 0;
    net_filter_reset(&n->filter, n->mac);
    virtio_set_config(virtio, offsetof(struct virtio_net_config, mac), n->mac, sizeof(n->mac));
    net_set_status(n, false);
    net_set_offloads(n, 0);
    net_set_pairs(n, 1);
}

/* Old drivers, without a control queue, set their address here (5.1.4.1). */
static void config_written(struct virtio_device *virtio, unsigned offset, uint32_t value,
                           unsigned width)
{
    struct virtio_net *n = container_of(virtio, struct virtio_net, virtio);
    unsigned i;

    if (virtio_is_modern(virtio) || virtio_has(virtio, VIRTIO_NET_F_CTRL_MAC_ADDR))
        return;
    for (i = offset; i < offset + width && i < sizeof(n->filter.mac); i++) {
        uint8_t byte = (uint8_t)(value >> 8 * (i - offset));

        __atomic_store_n(&n->filter.mac[i], byte, __ATOMIC_RELAXED);
        virtio_set_config(virtio, i, &byte, 1);
    }
}

static void save(struct device *device, struct writer *w)
{
    struct virtio_net *n = container_of(device, struct virtio_net, virtio.pci.base);

    virtio_save(device, w);
    net_filter_save(&n->filter, w);
    writer_u16(w, (uint16_t)n->used_pairs);
    writer_u32(w, n->offloads);
}

struct loading {
    struct virtio_net *n;
    struct net_filter filter;
    unsigned pairs, offloads;
};

/* The network beyond may be another now: the driver is to tell it where its address lives (5.1.6.5.4). */
static void take_over(void *opaque)
{
    struct loading *l = opaque;
    struct virtio_net *n = l->n;
    bool announce = virtio_has(&n->virtio, VIRTIO_NET_F_GUEST_ANNOUNCE);

    n->starved = 0;
    n->filter = l->filter;
    virtio_set_config(&n->virtio, offsetof(struct virtio_net_config, mac), l->filter.mac,
                      sizeof(l->filter.mac));
    net_set_offloads(n, l->offloads);
    net_set_pairs(n, l->pairs);
    net_set_status(n, announce);
    if (announce)
        virtio_config_changed(&n->virtio);
}

static int load(struct device *device, struct reader *r, uint32_t version)
{
    struct virtio_net *n = container_of(device, struct virtio_net, virtio.pci.base);
    struct loading l = {.n = n};
    int err = virtio_load(device, r, version);

    if (err)
        return err;
    err = net_filter_load(&l.filter, r);
    l.pairs = reader_u16(r);
    l.offloads = reader_u32(r) & net_guest_offloads(n->virtio.features);
    if (err || r->bad || l.pairs == 0 || l.pairs > n->pairs) {
        virtio_reset(device);
        return fail(-EINVAL, "virtio-net: the saved state makes no sense");
    }
    virtio_in_loop(&n->virtio, take_over, &l);
    return 0;
}

static void detach(void *opaque)
{
    struct virtio_net *n = opaque;

    if (!n->net)
        return;
    n->net->front_ops = NULL;
    n->net->front = NULL;
}

static void attach(void *opaque)
{
    struct virtio_net *n = opaque;

    if (!n->net)
        return;
    n->net->front_ops = &front_ops;
    n->net->front = n;
}

static void destroy(struct device *device)
{
    struct virtio_net *n = container_of(device, struct virtio_net, virtio.pci.base);

    virtio_in_loop(&n->virtio, detach, n);
    virtio_fini(&n->virtio);
    free(n);
}

static const struct device_ops net_device_ops = {
    .name = "virtio-net",
    .version = 2, /* 2: what the control queue sets */
    .reset = virtio_reset,
    .save = save,
    .load = load,
    .resume = virtio_resume,
    .destroy = destroy,
};

static const struct virtio_ops net_ops = {
    .type = 1,
    .pci_device = 0x1000,
    .pci_class = 0x020000,
    .run = run,
    .start = start,
    .reset = reset,
    .config_written = config_written,
};

/* The fields up to the MTU are there; each means something with its feature only. */
static void describe(struct virtio_net *n)
{
    struct virtio_net_config config = {
        .status = n->link_up ? VIRTIO_NET_S_LINK_UP : 0,
        .max_virtqueue_pairs = (uint16_t)n->pairs,
        .mtu = (uint16_t)(n->net ? n->net->mtu : 0),
    };
    struct virtio_device *v = &n->virtio;

    memcpy(config.mac, n->mac, sizeof(config.mac));
    memcpy(v->config, &config, sizeof(config));
    v->config_size = offsetof(struct virtio_net_config, speed);
    v->offered = 1ULL << VIRTIO_NET_F_MAC | 1ULL << VIRTIO_NET_F_STATUS |
                 1ULL << VIRTIO_NET_F_MRG_RXBUF | 1ULL << VIRTIO_NET_F_CTRL_VQ |
                 1ULL << VIRTIO_NET_F_CTRL_RX | 1ULL << VIRTIO_NET_F_CTRL_RX_EXTRA |
                 1ULL << VIRTIO_NET_F_CTRL_VLAN | 1ULL << VIRTIO_NET_F_CTRL_MAC_ADDR |
                 1ULL << VIRTIO_NET_F_GUEST_ANNOUNCE;
    if (n->net)
        v->offered |= features_of(n->net->send_offloads, n->net->receive_offloads);
    if (n->net && n->net->receive_offloads)
        v->offered |= 1ULL << VIRTIO_NET_F_CTRL_GUEST_OFFLOADS;
    v->offered |= config.mtu ? 1ULL << VIRTIO_NET_F_MTU : 0;
    v->offered |= n->pairs > 1 ? 1ULL << VIRTIO_NET_F_MQ : 0;
}

int virtio_net_create(struct machine *machine, uint8_t devfn,
                      const struct virtio_net_options *options, struct virtio_net **created)
{
    struct virtio_net *n = calloc(1, sizeof(*n));
    uint16_t queue_sizes[2 * NET_MAX_QUEUES + 1];
    unsigned i;
    int err;

    if (!n)
        return -ENOMEM;
    n->net = options->net;
    n->link_up = n->net;
    n->pairs = n->net ? MIN(MAX(n->net->queues, 1), NET_MAX_QUEUES) : 1;
    n->used_pairs = 1;
    memcpy(n->mac, options->mac, sizeof(n->mac));
    net_filter_reset(&n->filter, n->mac);
    n->virtio.ops = &net_ops;
    n->virtio.loop = options->loop;
    describe(n);
    for (i = 0; i < ARRAY_SIZE(queue_sizes); i++)
        queue_sizes[i] = QUEUE_SIZE;
    err = virtio_init(&n->virtio, &net_device_ops, machine, devfn, queue_sizes, 2 * n->pairs + 1);
    if (err) {
        free(n);
        return err;
    }
    virtio_in_loop(&n->virtio, attach, n);
    if (created)
        *created = n;
    return options->rom ? pci_add_rom(&n->virtio.pci, options->rom) : 0;
}
