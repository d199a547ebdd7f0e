/* peer_address.h - the address in the text that a peer is known by. Any thread. */
#ifndef SPICE_SERVER_PEER_ADDRESS_H
#define SPICE_SERVER_PEER_ADDRESS_H

#include "base/base.h"

/* `peer`: "ADDRESS:PORT", or "unix". An IPv6 address, or ::ffff: and the IPv4 address; 0 for what is neither. */
void peer_address(const char *peer, uint8_t address[16]);

#endif
