/*
 * stream.h - a connected, non-blocking byte stream: today a plain socket; TLS, SASL and websockets put themselves in between.
 *
 * Thread: whoever owns it, one at a time; a stream is handed from the main loop to a display's loop once linked.
 */
#ifndef SPICE_SERVER_STREAM_H
#define SPICE_SERVER_STREAM_H

#include "base/base.h"

#include <sys/types.h>
#include <sys/uio.h>

struct stream;

/* Both return bytes (read: 0 at the end), -EAGAIN when it would block, or another -errno. */
struct stream_ops {
    ssize_t (*read)(struct stream *s, void *buf, size_t size);
    ssize_t (*writev)(struct stream *s, const struct iovec *iov, int count);
    void (*close)(struct stream *s); /* and free */
};

struct stream {
    const struct stream_ops *ops;
    int fd;        /* to poll */
    bool local;    /* the peer is on this host, as far as is known: bytes cost less than time */
    char peer[64]; /* for the log */
};

/* Takes the descriptor over, makes it non-blocking and tunes it; closes it on failure (NULL). */
struct stream *stream_create_socket(int fd, const char *peer);

static inline void stream_close(struct stream *s)
{
    if (s)
        s->ops->close(s);
}

#endif
