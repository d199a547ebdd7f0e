#include "devices/virtio/net_filter.h"

#include <errno.h>
#include <string.h>

#define ETHERTYPE_VLAN 0x8100

void net_filter_reset(struct net_filter *f, const uint8_t mac[6])
{
    *f = (struct net_filter){.promiscuous = true};
    memcpy(f->mac, mac, sizeof(f->mac));
}

void net_filter_set_vlan(struct net_filter *f, unsigned vlan, bool on)
{
    uint8_t bit = (uint8_t)(1u << vlan % 8);

    if (vlan >= NET_FILTER_VLANS)
        return;
    f->vlans[vlan / 8] = (uint8_t)(on ? f->vlans[vlan / 8] | bit : f->vlans[vlan / 8] & ~bit);
}

static bool vlan_passes(const struct net_filter *f, const uint8_t *frame, size_t size)
{
    unsigned vlan;

    if (!f->by_vlan || size < 16 || load_be16(frame + 12) != ETHERTYPE_VLAN)
        return true;
    vlan = load_be16(frame + 14) & 0xfff;
    return f->vlans[vlan / 8] >> vlan % 8 & 1;
}

static bool is_in(const struct net_filter_table *table, const uint8_t *mac)
{
    unsigned i;

    for (i = 0; i < table->count; i++)
        if (memcmp(table->mac[i], mac, 6) == 0)
            return true;
    return table->overflow;
}

static bool group_passes(const struct net_filter *f, const uint8_t *mac)
{
    static const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

    if (memcmp(mac, broadcast, sizeof(broadcast)) == 0)
        return !f->no_broadcast;
    return !f->no_multi && (f->all_multi || is_in(&f->multi, mac));
}

bool net_filter_passes(const struct net_filter *f, const uint8_t *frame, size_t size)
{
    if (!vlan_passes(f, frame, size))
        return false;
    if (f->promiscuous)
        return true;
    if (frame[0] & 1)
        return group_passes(f, frame);
    return !f->no_uni && (f->all_uni || memcmp(frame, f->mac, 6) == 0 || is_in(&f->uni, frame));
}

/* --- saved state --- */

static void save_table(const struct net_filter_table *table, struct writer *w)
{
    writer_u8(w, (uint8_t)table->count);
    writer_u8(w, table->overflow);
    writer_bytes(w, table->mac, 6 * table->count);
}

static void copy_bytes(void *to, struct reader *r, size_t size)
{
    const uint8_t *bytes = reader_bytes(r, size);

    if (bytes)
        memcpy(to, bytes, size);
}

static void load_table(struct net_filter_table *table, struct reader *r)
{
    unsigned count = reader_u8(r);

    table->overflow = reader_u8(r);
    table->count = MIN(count, NET_FILTER_MACS);
    if (count > NET_FILTER_MACS)
        r->bad = true;
    else
        copy_bytes(table->mac, r, 6 * table->count);
}

void net_filter_save(const struct net_filter *f, struct writer *w)
{
    uint8_t modes = (uint8_t)(f->promiscuous | f->all_multi << 1 | f->all_uni << 2 |
                              f->no_multi << 3 | f->no_uni << 4 | f->no_broadcast << 5 |
                              f->by_vlan << 6);

    writer_bytes(w, f->mac, sizeof(f->mac));
    writer_u8(w, modes);
    save_table(&f->uni, w);
    save_table(&f->multi, w);
    writer_bytes(w, f->vlans, sizeof(f->vlans));
}

int net_filter_load(struct net_filter *f, struct reader *r)
{
    uint8_t modes;

    copy_bytes(f->mac, r, sizeof(f->mac));
    modes = reader_u8(r);
    f->promiscuous = modes & 1;
    f->all_multi = modes & 2;
    f->all_uni = modes & 4;
    f->no_multi = modes & 8;
    f->no_uni = modes & 16;
    f->no_broadcast = modes & 32;
    f->by_vlan = modes & 64;
    load_table(&f->uni, r);
    load_table(&f->multi, r);
    copy_bytes(f->vlans, r, sizeof(f->vlans));
    return r->bad ? -EINVAL : 0;
}
