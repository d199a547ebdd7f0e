/*
 * wire.h - a descriptor in a loop: what comes is handed over, what is written waits until it can go.
 *
 * Thread: the loop's.
 */
#ifndef GUEST_AGENT_WIRE_H
#define GUEST_AGENT_WIRE_H

#include "base/bytes.h"
#include "base/loop.h"

#define WIRE_FULL MIB(1)                /* so much waits: whoever fills it should stop */
#define WIRE_MAX  (2 * MIB(64) + MIB(8)) /* more is never kept: the wire ends by -ENOBUFS */

struct wire;

struct wire_ops {
    /* Not 0: the wire ends by this, unless it was closed in the call, which then returns anything but 0. */
    int (*received)(void *opaque, const uint8_t *data, size_t size);
    /* It is of no more use (0: the other end has closed it); fail_text() is valid if err is not 0. Close it. */
    void (*ended)(void *opaque, int err);
    /* What waited over WIRE_FULL has gone, mostly. */
    void (*drained)(void *opaque);
};

/* To a unix socket: a descriptor or -errno. */
int wire_connect(const char *path);
/* fd becomes the wire's, and non-blocking. NULL with fail_text(): no memory, or it cannot be watched; fd is closed. */
struct wire *wire_open(struct loop *loop, int fd, const struct wire_ops *ops, void *opaque);
/* No call comes afterwards; what waits is lost. NULL is fine. */
void wire_close(struct wire *w);
/* Write to this, then tell the wire. */
struct writer *wire_out(struct wire *w);
void wire_written(struct wire *w);
bool wire_is_full(const struct wire *w);
/* Milliseconds since the other end took something, while something waits; else 0. */
uint64_t wire_stalled(const struct wire *w);
/* Whether to read. */
void wire_hold(struct wire *w, bool hold);

#endif
