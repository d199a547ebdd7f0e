/*
 * Monitors across displays: where a user wants them, and where a user points.
 *
 * Clients number what they show: the monitors of the only display, or, if there are several displays, those, each of which
 * has one monitor.
 */
#include "spice/server/private.h"

unsigned server_display_count(const struct spice_server *server)
{
    unsigned count = 0;

    for (size_t i = 0; i < ARRAY_SIZE(server->ports); i++)
        count += server->ports[i] != NULL;
    return count;
}

bool server_takes_heads(const struct spice_server *server)
{
    bool all = server_display_count(server) > 0;

    for (size_t i = 0; i < ARRAY_SIZE(server->ports); i++)
        all &= !server->ports[i] || display_port_layout(server->ports[i])->takes_heads;
    return all;
}

void server_set_heads(struct spice_server *server, const struct display_head *heads, size_t count)
{
    bool several = server_display_count(server) > 1;
    struct display_head head;

    for (size_t i = 0; i < ARRAY_SIZE(server->ports); i++) {
        if (!server->ports[i])
            continue;
        if (!several) {
            display_port_set_heads(server->ports[i], heads, count);
        } else if (i < count) {
            head = heads[i];
            head.id = 0;
            display_port_set_heads(server->ports[i], &head, 1);
        }
    }
}

static const struct display_head *find_head(const struct display_layout *layout, uint32_t id)
{
    for (size_t i = 0; i < layout->head_count; i++)
        if (layout->heads[i].id == id)
            return &layout->heads[i];
    return NULL;
}

const struct display_port *server_locate(const struct spice_server *server, uint32_t *number, uint32_t *x, uint32_t *y)
{
    const struct display_head *head;
    unsigned only = 0;

    if (server_display_count(server) != 1)
        return *number < SERVER_MAX_DISPLAYS ? server->ports[*number] : NULL;
    while (!server->ports[only])
        only++;
    head = find_head(display_port_layout(server->ports[only]), *number);
    if (!head && *number)
        return NULL;
    *number = only;
    *x += head ? (uint32_t)head->x : 0;
    *y += head ? (uint32_t)head->y : 0;
    return server->ports[only];
}
