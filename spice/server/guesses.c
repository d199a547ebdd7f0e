#include "spice/server/guesses.h"

#include "spice/server/peer_address.h"

#include <netinet/in.h>
#include <string.h>

/* What we know an offender by: the IPv6 network, or the whole IPv4 address. */
static void address_of(const char *peer, uint8_t address[16])
{
    peer_address(peer, address);
    if (!IN6_IS_ADDR_V4MAPPED((struct in6_addr *)address))
        memset(address + 8, 0, 8);
}

static const struct offender *find(const struct guesses *g, const uint8_t address[16])
{
    for (size_t i = 0; i < GUESSES_ADDRESSES; i++)
        if (g->offenders[i].used && memcmp(g->offenders[i].address, address, 16) == 0)
            return &g->offenders[i];
    return NULL;
}

static uint64_t last_time(const struct offender *o)
{
    return o->used ? o->when[(o->next + GUESSES_MAX - 1) % GUESSES_MAX] : 0;
}

/* A free place, or that of whom we have not heard of longest. */
static struct offender *take_place(struct guesses *g, const uint8_t address[16])
{
    struct offender *o = &g->offenders[0];

    for (size_t i = 1; i < GUESSES_ADDRESSES; i++)
        if (last_time(&g->offenders[i]) < last_time(o))
            o = &g->offenders[i];
    *o = (struct offender){.used = true};
    memcpy(o->address, address, 16);
    return o;
}

static unsigned count_recent(const struct offender *o, uint64_t now)
{
    unsigned count = 0;

    for (size_t i = 0; i < GUESSES_MAX; i++)
        count += o->when[i] && now - o->when[i] < GUESSES_WINDOW_NS;
    return count;
}

bool guesses_allowed(const struct guesses *g, const char *peer, uint64_t now)
{
    const struct offender *o;
    uint8_t address[16];

    address_of(peer, address);
    o = find(g, address);
    return !o || count_recent(o, now) < GUESSES_MAX;
}

unsigned guesses_wrong(struct guesses *g, const char *peer, uint64_t now)
{
    struct offender *o;
    uint8_t address[16];

    address_of(peer, address);
    o = (struct offender *)find(g, address);
    if (!o)
        o = take_place(g, address);
    o->when[o->next] = now;
    o->next = (o->next + 1) % GUESSES_MAX;
    return count_recent(o, now);
}
