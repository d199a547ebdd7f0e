/*
 * stream.h - one TCP or Unix connection: connect, go by a proxy, make it secure, read into a buffer, write what the
 * kernel takes now and the rest later.
 *
 * Thread: the session's loop. The memory of both directions is bounded; a peer that does not read is an error, not a
 * growing queue.
 */
#ifndef CLIENT_STREAM_H
#define CLIENT_STREAM_H

#include "base/bytes.h"
#include "base/loop.h"
#include "client/proxy.h"
#include "client/secure.h"

#include <sys/socket.h>

#define STREAM_MAX_OUT MIB(4) /* bytes not yet taken by the peer */

struct stream;

struct stream_ops {
    /* The connection stands. */
    int (*connected)(struct stream *s);
    /* There are new bytes; take what is whole with stream_take(). */
    int (*input)(struct stream *s);
    /* The kernel has taken all that it could not take before; may be NULL. */
    int (*drained)(struct stream *s);
    /* It has ended: err is what connected() or input() returned, -errno of the socket, or 0 when the peer closed it. */
    void (*ended)(struct stream *s, int err);
};

/* What a connection passes until it stands; all of it the caller's, and there as long as the stream. */
struct stream_way {
    const struct proxy *proxy; /* NULL: none */
    const char *host, *port;   /* where the proxy is to connect to */
    struct secure *secure;     /* NULL: in the clear */
};

struct stream {
    const struct stream_ops *ops;
    struct loop *loop;
    uv_poll_t poll;
    int fd; /* -1: closed */
    bool polling, connecting, paused;
    bool asked_proxy, wants_write; /* the proxy is to answer; TLS cannot read before it has written */
    bool open;                     /* connected() was called */
    struct stream_way way;
    SSL *ssl; /* NULL: in the clear, or not yet */
    uint8_t *in;
    size_t in_start, in_end, in_capacity;
    struct writer out;
    size_t out_sent;
    uint64_t bytes_in, bytes_out;
};

/* Begin to connect; ops->connected or ops->ended follows. */
int stream_connect(struct stream *s, struct loop *loop, const struct stream_ops *ops,
                   const struct sockaddr_storage *address, socklen_t size, const struct stream_way *way);
/* The same with a socket that is connected already, or connecting; it is the stream's from here on. */
int stream_adopt(struct stream *s, struct loop *loop, const struct stream_ops *ops, int fd,
                 const struct stream_way *way);
/* Stop at once, without ended(). The memory stays until stream_fini(), after the loop has forgotten the handle. */
void stream_close(struct stream *s);
void stream_fini(struct stream *s);

/* What has arrived and was not taken. */
static inline const uint8_t *stream_data(const struct stream *s, size_t *size)
{
    *size = s->in_end - s->in_start;
    return s->in + s->in_start;
}

void stream_take(struct stream *s, size_t size);
/* A message of this size is on its way: make room as it comes. */
int stream_expect(struct stream *s, size_t size);
/* Send what was appended to s->out. */
int stream_flush(struct stream *s);
/* The kernel has not taken all of it yet. */
static inline bool stream_is_behind(const struct stream *s)
{
    return s->out.size > 0;
}
/* Stop reading, or read again (input() is called for what is there already). */
void stream_pause(struct stream *s, bool pause);

#endif
