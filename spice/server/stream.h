/*
 * stream.h - a connected, non-blocking byte stream: a socket, or a layer on another stream (tls.h).
 *
 * Thread: whoever owns it, one at a time; a stream is handed from the main loop to a display's loop once linked.
 */
#ifndef SPICE_SERVER_STREAM_H
#define SPICE_SERVER_STREAM_H

#include "base/base.h"

#include <sys/types.h>
#include <sys/uio.h>

#define STREAM_MAX_HEAD 16

struct stream;

/* Both return bytes (read: 0 at the end), -EAGAIN when it would block, or another -errno. */
struct stream_ops {
    ssize_t (*read)(struct stream *s, void *buf, size_t size);
    ssize_t (*writev)(struct stream *s, const struct iovec *iov, int count);
    /* Whether a layer holds bytes that can be read though fd has none; NULL: never. */
    bool (*pending)(const struct stream *s);
    void (*close)(struct stream *s); /* and free */
};

struct stream {
    const struct stream_ops *ops;
    int fd;        /* to poll */
    bool local;    /* the peer is on this host, as far as is known: bytes cost less than time */
    /*
     * Pieces given to writev stay apart on the way, and each should be one message, or the end of one: spice-gtk waits at
     * the socket after each message, and does not see that OpenSSL has the next one already.
     */
    bool records;
    bool secure;   /* nobody on the way can read it: TLS, or a unix socket */
    char peer[64]; /* for the log */
    uint8_t head[STREAM_MAX_HEAD]; /* was read and put back: comes first */
    size_t head_size;
};

/* Takes the descriptor over, makes it non-blocking and tunes it; closes it on failure (NULL). */
struct stream *stream_create_socket(int fd, const char *peer);

/* As stream_ops have it. */
ssize_t stream_read(struct stream *s, void *buf, size_t size);
ssize_t stream_writev(struct stream *s, const struct iovec *iov, int count);
/* Whether there is something to read that polling fd does not tell. */
bool stream_pending(const struct stream *s);
/* Put back the last bytes that were read, at most STREAM_MAX_HEAD: who knows by them what is spoken is not who speaks it. */
void stream_unread(struct stream *s, const void *bytes, size_t size);

static inline void stream_close(struct stream *s)
{
    if (s)
        s->ops->close(s);
}

#endif
