#include "spice/server/peer_address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

void peer_address(const char *peer, uint8_t address[16])
{
    const char *colon = strrchr(peer, ':');
    char host[INET6_ADDRSTRLEN] = "", *zone;

    memset(address, 0, 16);
    if (colon)
        snprintf(host, sizeof(host), "%.*s", (int)(colon - peer), peer);
    if ((zone = strchr(host, '%')))
        *zone = 0;
    if (inet_pton(AF_INET, host, address + 12) == 1)
        memset(address + 10, 0xff, 2);
    else
        inet_pton(AF_INET6, host, address);
}
