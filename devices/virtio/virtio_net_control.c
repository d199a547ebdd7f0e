/* The control queue (virtio 1.2, 5.1.6.5): what the driver wants to receive, and how. */
#include "devices/virtio/virtio_net_private.h"

#include <string.h>

/* A command's bytes in guest memory, after its class and number; read as they are needed. */
struct command {
    const struct virtq_buffer *b;
    size_t at;
};

static bool take(struct command *c, void *data, size_t size)
{
    size_t got = iov_read(c->b->iov, c->b->out_count, c->at, data, size);

    c->at += got;
    return got == size;
}

static bool skip(struct command *c, uint64_t size)
{
    if (size > c->b->out_bytes - c->at)
        return false;
    c->at += size;
    return true;
}

/* --- commands: whether they make sense --- */

static bool set_rx_mode(struct virtio_net *n, uint8_t what, struct command *c)
{
    struct net_filter *f = &n->filter;
    bool *const modes[] = {
        [VIRTIO_NET_CTRL_RX_PROMISC] = &f->promiscuous, [VIRTIO_NET_CTRL_RX_ALLMULTI] = &f->all_multi,
        [VIRTIO_NET_CTRL_RX_ALLUNI] = &f->all_uni,      [VIRTIO_NET_CTRL_RX_NOMULTI] = &f->no_multi,
        [VIRTIO_NET_CTRL_RX_NOUNI] = &f->no_uni,        [VIRTIO_NET_CTRL_RX_NOBCAST] = &f->no_broadcast,
    };
    uint8_t on;

    if (what >= ARRAY_SIZE(modes) || !take(c, &on, sizeof(on)))
        return false;
    *modes[what] = on;
    return true;
}

static bool read_table(struct net_filter_table *table, struct command *c)
{
    uint32_t count;

    if (!take(c, &count, sizeof(count)))
        return false;
    table->overflow = count > NET_FILTER_MACS;
    table->count = MIN(count, NET_FILTER_MACS);
    return take(c, table->mac, 6 * table->count) && skip(c, 6ULL * (count - table->count));
}

static bool set_mac(struct virtio_net *n, uint8_t what, struct command *c)
{
    struct net_filter_table uni, multi;
    uint8_t mac[6];

    if (what == VIRTIO_NET_CTRL_MAC_TABLE_SET && read_table(&uni, c) && read_table(&multi, c)) {
        n->filter.uni = uni;
        n->filter.multi = multi;
        return true;
    }
    if (what != VIRTIO_NET_CTRL_MAC_ADDR_SET || !take(c, mac, sizeof(mac)))
        return false;
    memcpy(n->filter.mac, mac, sizeof(mac));
    virtio_set_config(&n->virtio, offsetof(struct virtio_net_config, mac), mac, sizeof(mac));
    return true;
}

static bool set_vlan(struct virtio_net *n, uint8_t what, struct command *c)
{
    uint16_t vlan;

    if (what > VIRTIO_NET_CTRL_VLAN_DEL || !take(c, &vlan, sizeof(vlan)) ||
        vlan >= NET_FILTER_VLANS)
        return false;
    net_filter_set_vlan(&n->filter, vlan, what == VIRTIO_NET_CTRL_VLAN_ADD);
    return true;
}

static bool announced(struct virtio_net *n, uint8_t what, struct command *c UNUSED)
{
    if (what != VIRTIO_NET_CTRL_ANNOUNCE_ACK)
        return false;
    net_set_status(n, false);
    return true;
}

static bool set_pairs(struct virtio_net *n, uint8_t what, struct command *c)
{
    uint16_t pairs;

    if (what != VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET || !take(c, &pairs, sizeof(pairs)) || pairs == 0 ||
        pairs > n->pairs)
        return false;
    net_set_pairs(n, pairs);
    return true;
}

static bool set_guest_offloads(struct virtio_net *n, uint8_t what, struct command *c)
{
    uint64_t features;

    if (what != VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET || !take(c, &features, sizeof(features)) ||
        (features & ~n->virtio.features))
        return false;
    net_set_offloads(n, net_guest_offloads(features));
    return true;
}

static const struct {
    unsigned feature; /* that the driver must have negotiated */
    bool (*fn)(struct virtio_net *n, uint8_t what, struct command *c);
} classes[] = {
    [VIRTIO_NET_CTRL_RX] = {VIRTIO_NET_F_CTRL_RX, set_rx_mode},
    [VIRTIO_NET_CTRL_MAC] = {VIRTIO_NET_F_CTRL_VQ, set_mac},
    [VIRTIO_NET_CTRL_VLAN] = {VIRTIO_NET_F_CTRL_VLAN, set_vlan},
    [VIRTIO_NET_CTRL_ANNOUNCE] = {VIRTIO_NET_F_GUEST_ANNOUNCE, announced},
    [VIRTIO_NET_CTRL_MQ] = {VIRTIO_NET_F_MQ, set_pairs},
    [VIRTIO_NET_CTRL_GUEST_OFFLOADS] = {VIRTIO_NET_F_CTRL_GUEST_OFFLOADS, set_guest_offloads},
};

static uint8_t perform(struct virtio_net *n, const struct virtq_buffer *b)
{
    struct command c = {.b = b};
    struct virtio_net_ctrl_hdr header;

    if (!take(&c, &header, sizeof(header)) || header.class >= ARRAY_SIZE(classes) ||
        !virtio_has(&n->virtio, classes[header.class].feature))
        return VIRTIO_NET_ERR;
    return classes[header.class].fn(n, header.cmd, &c) ? VIRTIO_NET_OK : VIRTIO_NET_ERR;
}

void net_run_control(struct virtio_net *n, struct virtio_queue *q)
{
    unsigned budget = q->vq.size;

    for (; budget && virtq_pop(&q->vq, &n->tx_buffer) > 0; budget--) {
        const struct virtq_buffer *b = &n->tx_buffer;
        uint8_t ack = perform(n, b);

        virtq_push(&q->vq, b->head,
                   (uint32_t)iov_write(b->iov + b->out_count, b->in_count, 0, &ack, sizeof(ack)));
    }
    if (budget != q->vq.size)
        virtio_interrupt(q);
    virtq_enable_notification(&q->vq, true);
    if (virtq_available(&q->vq))
        virtio_kick(q);
}
