/*
 * net_filter.h - which frames a network card shows to its driver (virtio 1.2, 5.1.6.5.1 to 5.1.6.5.3).
 *
 * Thread: its owner's. Tables that a driver asks for and that have no room here let everything of their kind pass.
 */
#ifndef DEVICES_VIRTIO_NET_FILTER_H
#define DEVICES_VIRTIO_NET_FILTER_H

#include "base/bytes.h"

#define NET_FILTER_MACS  64 /* of one address each, and of groups */
#define NET_FILTER_VLANS 4096

struct net_filter_table {
    unsigned count;
    bool overflow; /* there were more */
    uint8_t mac[NET_FILTER_MACS][6];
};

struct net_filter {
    uint8_t mac[6]; /* the card's own */
    bool promiscuous, all_multi, all_uni, no_multi, no_uni, no_broadcast;
    bool by_vlan; /* the driver keeps the list of VLANs; else all pass */
    struct net_filter_table uni, multi;
    uint8_t vlans[NET_FILTER_VLANS / 8];
};

/* As at power-on: all frames pass. */
void net_filter_reset(struct net_filter *filter, const uint8_t mac[6]);
void net_filter_set_vlan(struct net_filter *filter, unsigned vlan, bool on); /* beyond 4095: ignored */
/* A frame of at least 14 bytes. */
bool net_filter_passes(const struct net_filter *filter, const uint8_t *frame, size_t size);

void net_filter_save(const struct net_filter *filter, struct writer *w);
int net_filter_load(struct net_filter *filter, struct reader *r);

#endif
