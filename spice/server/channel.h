/*
 * channel.h - one SPICE channel: messages in, messages out, on a stream in a loop.
 *
 * Incoming bytes become decoded messages for ops->message; what every channel has (acknowledgement, pong, good-bye) is done
 * here. Outgoing messages are queued and sent together before the loop sleeps. channel_ready() says whether the client can
 * take more: nothing waits in the queue and the client has acknowledged enough. Who sends much asks first and keeps the rest
 * as state, not as queued bytes; a queue that still passes max_queue ends the connection, and so does a client that does not
 * answer (alive.h).
 *
 * States: open -> closed (stream gone, nothing is sent or delivered) -> freed, when libuv has let go of the handles.
 *
 * A session may go on at another server (migrate.h). An open channel is live, or silent: what is sent is dropped, since it will
 * be said there, or was not asked for yet.
 *
 *   there    channel_leave() [MIGRATE] -> leaving -> the client has heard it [FLUSH_MARK], ops->save() [MIGRATE_DATA] -> left
 *   here     arriving -> the client has brought that [MIGRATE_DATA], ops->restore() -> live
 *            arriving -> channel_arrive(), it starts anew -> live
 *
 * Thread: the loop's. channel_close() may be called from inside any callback.
 */
#ifndef SPICE_SERVER_CHANNEL_H
#define SPICE_SERVER_CHANNEL_H

#include "base/loop.h"
#include "spice/protocol/messages.h"
#include "spice/server/alive.h"
#include "spice/server/stream.h"

#include <sys/queue.h>

#define CHANNEL_MAX_MESSAGE KIB(64)  /* from a client */
#define CHANNEL_MAX_STATE   KIB(192) /* what it brings of another server */
#define CHANNEL_MAX_QUEUE   MIB(1)      /* unless the owner sets another */
#define CHANNEL_MAX_CAPS    4           /* words kept of each kind */

struct channel;

/* What the link stage found out. */
struct channel_params {
    struct stream *stream; /* owned */
    uint32_t session;
    uint8_t type, id;
    bool view_only; /* who came may look, and do nothing else */
    uint32_t skip; /* bytes of the link stage that are still to come, and say nothing new */
    unsigned patience; /* milliseconds that the client has to answer; 0: it need not */
    bool first; /* display channel of the session: it may use the client's dictionary */
    bool arriving; /* its session comes from another server */
    uint32_t common_caps[CHANNEL_MAX_CAPS], caps[CHANNEL_MAX_CAPS];
};

struct channel_ops {
    /* msg is the decoded struct, valid during the call. */
    void (*message)(struct channel *ch, unsigned id, const void *msg);
    /* channel_ready() became true; NULL: not interested. */
    void (*ready)(struct channel *ch);
    /* Its session goes to another server: append its state by migrate_data_encode(). -errno */
    int (*save)(struct channel *ch, struct writer *w);
    /* Its session has come from another server: go on with this, one of migrate_data.h's structs. False: it cannot be. */
    bool (*restore)(struct channel *ch, const void *state);
    /* Stop everything; no call follows but free(). */
    void (*closed)(struct channel *ch);
    /* The memory, channel included. */
    void (*free)(struct channel *ch);
};

enum channel_phase { CHANNEL_LIVE, CHANNEL_ARRIVING, CHANNEL_LEAVING, CHANNEL_LEFT };

struct channel {
    const struct channel_ops *ops;
    struct loop *loop;
    struct channel_params params;
    enum channel_phase phase;
    bool mini_header, closed;
    bool lost; /* closed: neither we nor the client wanted that */
    bool paused; /* what the client says waits with it */
    bool resumed; /* some of that is here already */
    uv_poll_t poll;
    int polled;           /* the events that it is for */
    uv_prepare_t prepare; /* sends what was queued in this round of the loop */
    uv_idle_t idle;       /* active while something was queued and not tried yet: the loop does not sleep */
    struct alive alive;
    unsigned handles;     /* that libuv still has */

    /* incoming */
    uint8_t *in;
    size_t in_size, in_capacity;
    struct msg_arena arena;

    /* outgoing */
    TAILQ_HEAD(channel_queue, channel_buffer) queue;
    size_t queued, max_queue; /* bytes */
    bool stuck;               /* the socket took less than there was */
    struct writer out;
    uint64_t serial;
    uint32_t ack_window, ack_generation, unacked; /* in messages; window 0: no limit */
    LIST_ENTRY(channel) link;                     /* for the owner */
};

LIST_HEAD(channel_list, channel);

/* On failure the stream is closed. The caller owns ch's memory until then. */
int channel_init(struct channel *ch, const struct channel_ops *ops, struct loop *loop,
                 const struct channel_params *params);
void channel_close(struct channel *ch);
bool channel_has_cap(const struct channel *ch, unsigned cap);

/* Queue a message; NULL msg for one without content. Dropped while the channel is silent. */
void channel_send(struct channel *ch, unsigned id, const void *msg);
/* The same, though it is silent: what is said of the journey itself. */
void channel_send_silent(struct channel *ch, unsigned id, const void *msg);
/* To another server. */
void channel_leave(struct channel *ch);
/* From another server, where nothing of it was kept: it is live. */
void channel_arrive(struct channel *ch);
/* Ask the client to acknowledge every `window` messages; at most twice as many are under way. */
void channel_set_ack_window(struct channel *ch, uint32_t window);
bool channel_ready(const struct channel *ch);
/* Whether to leave what the client says to it, until there is room; meanwhile it need not answer. */
void channel_pause(struct channel *ch, bool paused);
/* Give the kernel what it takes now. */
void channel_flush(struct channel *ch);
/* Tell the client that we end, as far as the socket takes it, and close. */
void channel_say_goodbye(struct channel *ch);

#endif
