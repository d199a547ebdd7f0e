/*
 * port.h - the virtio port, or a unix socket in its place, kept open: when it closes it is opened again, a second
 * later.
 *
 * Thread: the loop's.
 */
#ifndef GUEST_AGENT_PORT_H
#define GUEST_AGENT_PORT_H

#include "guest/agent/port_stream.h"
#include "guest/agent/wire.h"

#define PORT_DEVICE "/dev/virtio-ports/com.redhat.spice.0"

struct port_ops {
    void (*opened)(void *opaque);
    void (*closed)(void *opaque);
    void (*message)(void *opaque, const struct message_rule *rule, const uint8_t *body, uint32_t size);
    void (*drained)(void *opaque); /* it was full, and is not any more */
};

struct port {
    struct loop *loop;
    const char *path;
    const struct port_ops *ops;
    void *opaque;
    struct wire *wire; /* NULL: it is not open */
    struct port_stream stream;
    uv_timer_t retry;
    bool wanted;
    bool told; /* that it cannot be opened */
};

void port_init(struct port *p, struct loop *loop, const char *path, const struct port_ops *ops, void *opaque);
/* Once the loop has ended, before it is closed. */
void port_fini(struct port *p);
/* While it is not wanted it is closed: the host then knows that there is no agent. */
void port_want(struct port *p, bool wanted);
bool port_is_open(const struct port *p);
/* To the client; of one that is not open nothing is kept. */
void port_send(struct port *p, uint32_t type, const void *body, uint32_t size);
bool port_is_full(const struct port *p);
/* Whether to read. */
void port_hold(struct port *p, bool hold);
/* Forget half a message of a client that has gone. */
void port_drop_client(struct port *p);

#endif
