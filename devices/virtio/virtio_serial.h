/*
 * virtio_serial.h - byte streams between programs in the guest and whatever is at the other end (virtio 1.2, 5.3, "console
 * device" with VIRTIO_CONSOLE_F_MULTIPORT).
 *
 * A port has a number and perhaps a name, by which the guest finds it as /dev/virtio-ports/NAME; a console port is a
 * terminal (/dev/hvc0). Number 0 is for a console: it is all that a driver without MULTIPORT has. Ports may come and go
 * while the guest runs.
 *
 * What the guest writes while the other end takes no more stays in its buffers, so that its writer waits; what the other
 * end sends waits there until somebody in the guest has opened the port. Thread: the main loop.
 */
#ifndef DEVICES_VIRTIO_VIRTIO_SERIAL_H
#define DEVICES_VIRTIO_VIRTIO_SERIAL_H

#include "backend/chardev.h"
#include "vmm/device.h"

#define SERIAL_MAX_PORTS 16
#define SERIAL_MAX_NAME  64 /* bytes of a port's name, with its NUL */

struct virtio_serial;

/* Whether a port may be called so: letters, digits, signs; not "/". */
bool virtio_serial_is_name(const char *name);

struct serial_port {
    unsigned number;  /* 0..SERIAL_MAX_PORTS - 1 */
    const char *name; /* NULL: none; copied */
    bool console;
    struct chardev *chardev; /* outlives the port; NULL: output goes nowhere */
};

int virtio_serial_create(struct machine *machine, uint8_t devfn, struct virtio_serial **serial);

/* Under the device lock, or before the machine runs: */
/* -EEXIST: the number is taken; -ENOSPC: not one of this device's; -EINVAL: a name that cannot be. */
int virtio_serial_add(struct virtio_serial *serial, const struct serial_port *port);
/* The first number that is free, from 1 on; -ENOSPC. */
int virtio_serial_free_number(const struct virtio_serial *serial);
/* Nothing comes or goes there any more; the guest hears of it. -ENOENT. */
int virtio_serial_remove(struct virtio_serial *serial, unsigned number);
/*
 * Another end for a port, which the old one hears to be closed; NULL: none. -ENOENT; -EINVAL for a saved state
 * that cannot be its.
 */
int virtio_serial_connect(struct virtio_serial *serial, unsigned number, struct chardev *chardev);
/* Whether somebody in the guest has the port open. */
bool virtio_serial_is_open(const struct virtio_serial *serial, unsigned number);

#endif
