#include "spice/server/agent_devices.h"

#include "spice/server/display_port.h"
#include "spice/server/private.h"

/* One monitor of a device; false: there is no room. */
static bool add(struct writer *w, const struct display *d, uint32_t channel, uint32_t monitor, uint32_t number)
{
    uint32_t size = (uint32_t)strlen(d->address) + 1;

    if (w->max - w->size < 4 * sizeof(uint32_t) + size)
        return false;
    writer_u32(w, channel);
    writer_u32(w, monitor);
    writer_u32(w, number);
    writer_u32(w, size);
    writer_bytes(w, d->address, size);
    return true;
}

/* Monitors of the only display, or one of each: as heads.c has clients number them. */
uint32_t agent_write_devices(const struct spice_server *server, uint8_t *body, uint32_t room)
{
    bool several = server_display_count(server) > 1, fits = true;
    struct writer w = {.data = body, .capacity = room, .max = room};
    uint32_t count = 0;

    writer_u32(&w, 0);
    for (uint32_t i = 0; i < SERVER_MAX_DISPLAYS; i++) {
        const struct display *d = server->ports[i] ? server->ports[i]->display : NULL;
        uint32_t monitors = !d || !*d->address ? 0 : several ? 1 : d->outputs;

        for (uint32_t k = 0; k < monitors && fits; k++) {
            fits = add(&w, d, i, k, k);
            count += fits;
        }
    }
    store_le32(body, count);
    return (uint32_t)w.size;
}
