/*
 * chardev.h - the seam between a device that speaks bytes (serial port, virtio-serial port) and its other end:
 * a terminal, a pty, a socket, a file, a channel of SPICE.
 *
 * Thread: the main loop. The device is the front, the other end the back; the one that writes never blocks.
 */
#ifndef BACKEND_CHARDEV_H
#define BACKEND_CHARDEV_H

#include "base/bytes.h"
#include "base/loop.h"

struct chardev;

/* Implemented by the device. */
struct chardev_front_ops {
    /* How many bytes it would take now. */
    size_t (*can_read)(void *front);
    /* At most can_read() bytes arrived. */
    void (*read)(void *front, const uint8_t *data, size_t size);
    /* The other end came or went; NULL: not interested. */
    void (*connected)(void *front, bool connected);
    /* After a short write: the other end takes more now; NULL: not interested. */
    void (*writable)(void *front);
};

/* Implemented by the other end. */
struct chardev_ops {
    /* Take up to size bytes; returns how many, 0 if none now (writable() follows when there is room again). */
    size_t (*write)(struct chardev *c, const uint8_t *data, size_t size);
    /* The front can take bytes again after can_read() said 0; also if it attaches while the loop runs. */
    void (*accept_input)(struct chardev *c);
    /* Whoever uses the device in the guest has opened or closed it; NULL: not interested. */
    void (*front_opened)(struct chardev *c, bool open);
    /* What it knows of bytes that have passed, into and out of a saved machine, after front_opened(); NULL: nothing. -errno */
    void (*save)(struct chardev *c, struct writer *w);
    int (*load)(struct chardev *c, struct reader *r);
    void (*destroy)(struct chardev *c);
};

struct chardev {
    const struct chardev_ops *ops;
    const struct chardev_front_ops *front_ops; /* NULL: nobody listens */
    void *front;
    bool connected; /* there is somebody at the other end */
};

/*
 * SPEC is "stdio", "pty", "unix:PATH" (listens; one peer at a time), "file:PATH" (output only) or "none".
 * stdio puts a terminal into raw mode (Ctrl-] twice asks the loop's owner to stop by SIGINT) and restores it at the end.
 */
int chardev_create(struct chardev **c, struct loop *loop, const char *spec);
/* What a person opens to reach it: the pty's or the socket's path; "" for stdio and none. */
const char *chardev_name(const struct chardev *c);
/* Sees all output before the other end does (for --expect); NULL ends it. */
void chardev_set_tap(struct chardev *c, void (*tap)(void *opaque, const uint8_t *data, size_t size), void *opaque);
void chardev_destroy(struct chardev *c); /* NULL is fine */

#endif
