/* board_port.c - virtio-serial and what its ports lead to. */
#include "base/error.h"
#include "vmm/board_private.h"

#include <string.h>

static int add_port(struct board *board, unsigned i)
{
    const struct config_port *c = &board->config->ports[i];
    struct serial_port port = {.number = i + 1, .name = c->name};
    int err = c->spec ? chardev_create(&board->port_ends[i], board->machine.loop, c->spec) : 0;

    if (err)
        return fail_prefix(err, "--port %s", c->name);
    port.chardev = board->port_ends[i];
    err = virtio_serial_add(board->port_device, &port);
    return err ? fail(err, "--port %s: %s", c->name, strerror(-err)) : 0;
}

int board_create_ports(struct board *board)
{
    int err = 0;

    if (board->config->port_count)
        err = virtio_serial_create(&board->machine, PCI_DEVFN(SLOT_SERIAL, 1), &board->port_device);
    for (unsigned i = 0; i < board->config->port_count && !err; i++)
        err = add_port(board, i);
    return err;
}

int board_connect_port(struct board *board, unsigned i, struct chardev *end)
{
    int err;

    if (!board->port_device)
        return -ENOENT;
    machine_lock(&board->machine);
    err = virtio_serial_connect(board->port_device, i + 1, end);
    machine_unlock(&board->machine);
    return err;
}

void board_destroy_ports(struct board *board)
{
    for (unsigned i = 0; i < board->config->port_count; i++)
        chardev_destroy(board->port_ends[i]);
}
