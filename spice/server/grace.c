#include "spice/server/grace.h"

#include "spice/server/peer_address.h"

#include <string.h>

static bool is_over(const struct lost *l, uint64_t now)
{
    return !*l->password || now >= l->until;
}

void grace_add(struct grace *g, const char *peer, const char *password, bool view_only, uint64_t now)
{
    struct lost *place = &g->places[0];

    if (!*password || strlen(password) >= sizeof(place->password))
        return;
    for (size_t i = 0; i < GRACE_PLACES; i++) {
        if (is_over(&g->places[i], now)) {
            place = &g->places[i];
            break;
        }
        if (g->places[i].until < place->until)
            place = &g->places[i];
    }
    grace_take(place);
    peer_address(peer, place->address);
    strcpy(place->password, password);
    place->view_only = view_only;
    place->until = now + GRACE_NS;
}

struct lost *grace_next(struct grace *g, const char *peer, uint64_t now, const struct lost *after)
{
    size_t first = after ? (size_t)(after - g->places) + 1 : 0;
    uint8_t address[16];

    peer_address(peer, address);
    for (size_t i = first; i < GRACE_PLACES; i++)
        if (!is_over(&g->places[i], now) && memcmp(g->places[i].address, address, sizeof(address)) == 0)
            return &g->places[i];
    return NULL;
}

void grace_take(struct lost *lost)
{
    explicit_bzero(lost, sizeof(*lost));
}

void grace_clear(struct grace *g)
{
    explicit_bzero(g, sizeof(*g));
}
