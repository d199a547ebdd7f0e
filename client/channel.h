/*
 * channel.h - a SPICE channel: link stage, message headers, flow control, and the messages that every channel has.
 *
 * A kind of channel is a const struct channel_ops with a table of handlers; its own state holds a struct channel as first
 * member. Thread: the session's loop.
 */
#ifndef CLIENT_CHANNEL_H
#define CLIENT_CHANNEL_H

#include "client/link.h"
#include "client/stream.h"
#include "spice/protocol/messages.h"

#include <sys/queue.h>

struct channel;
struct session;

/* msg is the decoded struct of the message; NULL if it has none. Errors end the channel; -EAGAIN: call again later. */
typedef int channel_handler_fn(struct channel *c, const void *msg);

struct channel_handler {
    uint16_t id; /* SPICE_MSG_* */
    channel_handler_fn *fn;
};

struct channel_table {
    const struct channel_handler *handlers;
    size_t count;
};

#define CHANNEL_MAX_TABLES 3

struct channel_ops {
    uint8_t type; /* SPICE_CHANNEL_* */
    uint32_t caps;
    struct channel_table tables[CHANNEL_MAX_TABLES]; /* messages that are in none are ignored */
    int (*up)(struct channel *c);                    /* the link stage is done; may be NULL */
    int (*drained)(struct channel *c);               /* the socket has taken all that was sent; may be NULL */
    void (*close)(struct channel *c);                /* what of it the loop has; may be NULL */
    void (*destroy)(struct channel *c);              /* frees it; the loop has forgotten it */
};

struct channel_stats {
    uint64_t messages_in, messages_out;
    uint64_t handling_ns; /* time inside handlers: decoding and drawing */
};

struct channel {
    const struct channel_ops *ops;
    struct session *session;
    uint8_t id;
    struct stream stream;
    struct link link;
    struct link_request request;
    struct msg_arena arena;
    uint64_t serial_in, serial_out; /* of the last message handled, sent */
    uint32_t ack_window, ack_left;  /* 0: the server wants none */
    bool waiting;                   /* for another channel */
    struct channel_stats stats;
    TAILQ_ENTRY(channel) entry;
};

/* Connect to the session's server; or use the socket `fd`, if it is not -1. -errno. */
int channel_connect(struct channel *c, struct session *session, const struct channel_ops *ops,
                    uint8_t id, int fd);
/* Encode and send; msg may be NULL for a message without content. */
int channel_send(struct channel *c, uint16_t id, const void *msg);
bool channel_is_up(const struct channel *c);
/* Another channel has gone on: try again what had to wait for it. */
void channel_retry(struct channel *c);
void channel_close(struct channel *c);
/* What every channel holds; for ops->destroy. */
void channel_fini(struct channel *c);
uint64_t now_ns(void);

#endif
