#include "spice/server/channel.h"
#include "base/log.h"
#include "spice/server/migrate_data.h"

#include <errno.h>
#include <stdlib.h>

#define IN_CAPACITY   4096
#define SMALL_MESSAGE 4096        /* smaller ones share a buffer */
#define BUFFER_SIZE   (16 * 1024) /* of shared ones */
#define MAX_IOV       64
#define ALIVE_PING    0 /* the id of pings that only want an answer; the main channel counts its own from 1 */

struct channel_buffer {
    TAILQ_ENTRY(channel_buffer) link;
    uint8_t *data; /* own, from malloc */
    size_t size, sent, capacity;
};

#define TRACE_TEXT 400 /* bytes of a message in the debug log */

/* At the debug level every message is written out. */
static void trace(const struct channel *ch, const char *arrow, const struct spice_msg_info *info,
                  const void *msg)
{
    char text[TRACE_TEXT];

    if (log_enabled(LOG_DEBUG))
        log_debug("spice: %s %s %u %s %s %s", ch->params.stream->peer,
                  spice_channel_name(ch->params.type), ch->params.id, arrow, info->name,
                  msg_print(info->type, msg, text, sizeof(text)));
}

/* --- life --- */

static void handle_closed(uv_handle_t *handle)
{
    struct channel *ch = handle->data;

    if (--ch->handles)
        return;
    msg_arena_fini(&ch->arena);
    writer_fini(&ch->out);
    free(ch->in);
    ch->ops->free(ch);
}

static void buffer_free(struct channel *ch, struct channel_buffer *b)
{
    TAILQ_REMOVE(&ch->queue, b, link);
    ch->queued -= b->size - b->sent;
    free(b->data);
    free(b);
}

void channel_close(struct channel *ch)
{
    if (ch->closed)
        return;
    ch->closed = true;
    ch->ops->closed(ch);
    while (!TAILQ_EMPTY(&ch->queue))
        buffer_free(ch, TAILQ_FIRST(&ch->queue));
    uv_close((uv_handle_t *)&ch->poll, handle_closed);
    uv_close((uv_handle_t *)&ch->prepare, handle_closed);
    uv_close((uv_handle_t *)&ch->idle, handle_closed);
    uv_close((uv_handle_t *)&ch->alive.timer, handle_closed);
    stream_close(ch->params.stream);
    ch->params.stream = NULL;
}

static void fail_channel(struct channel *ch, const char *why)
{
    log_info("spice: %s channel %u of %s: %s", spice_channel_name(ch->params.type), ch->params.id,
             ch->params.stream->peer, why);
    channel_close(ch);
}

/* The link, not what was said on it. */
static void lose_channel(struct channel *ch, const char *why)
{
    ch->lost = true;
    fail_channel(ch, why);
}

bool channel_has_cap(const struct channel *ch, unsigned cap)
{
    return spice_has_cap(ch->params.caps, CHANNEL_MAX_CAPS, cap);
}

/* --- outgoing --- */

static void poll_event(uv_poll_t *poll, int status, int events);

/* Each uv_poll_start() costs three system calls, so it is for what changes: whether the socket took all. */
static void update_poll(struct channel *ch)
{
    int events = (ch->paused ? 0 : UV_READABLE) | (TAILQ_EMPTY(&ch->queue) ? 0 : UV_WRITABLE);

    if (events != ch->polled)
        uv_poll_start(&ch->poll, events, poll_event);
    ch->polled = events;
}

void channel_pause(struct channel *ch, bool paused)
{
    if (ch->closed || ch->paused == paused)
        return;
    ch->paused = paused;
    ch->resumed = !paused;
    alive_heard(&ch->alive);
    update_poll(ch);
}

static void awake(uv_idle_t *idle UNUSED)
{
}

bool channel_ready(const struct channel *ch)
{
    return !ch->closed && ch->phase == CHANNEL_LIVE && TAILQ_EMPTY(&ch->queue) &&
           (!ch->ack_window || ch->unacked < 2 * ch->ack_window);
}

static struct channel_buffer *buffer_create(struct channel *ch, uint8_t *data, size_t capacity)
{
    struct channel_buffer *b = calloc(1, sizeof(*b));

    if (!b || !data) {
        free(b);
        free(data);
        return NULL;
    }
    b->data = data;
    b->capacity = capacity;
    TAILQ_INSERT_TAIL(&ch->queue, b, link);
    return b;
}

/* Move what the writer holds into the queue: large messages with their memory, small ones into a shared buffer. */
static bool enqueue(struct channel *ch)
{
    struct channel_buffer *b = TAILQ_LAST(&ch->queue, channel_queue);
    size_t size = ch->out.size;

    if (size >= SMALL_MESSAGE || ch->params.stream->records) {
        b = buffer_create(ch, ch->out.data, ch->out.capacity);
        writer_init(&ch->out, MSG_MAX_SIZE);
        if (!b)
            return false;
    } else {
        if (!b || b->capacity - b->size < size)
            b = buffer_create(ch, malloc(BUFFER_SIZE), BUFFER_SIZE);
        if (!b)
            return false;
        memcpy(b->data + b->size, ch->out.data, size);
    }
    b->size += size;
    ch->queued += size;
    return true;
}

static int encode(struct channel *ch, const struct spice_msg_info *info, const void *msg)
{
    struct spice_header header = {.serial = ++ch->serial, .type = info->id};
    const struct msg_type *type = ch->mini_header ? &spice_mini_header_type : &spice_header_type;
    size_t header_size = ch->mini_header ? SPICE_MINI_HEADER_SIZE : SPICE_HEADER_SIZE;
    int err;

    writer_reset(&ch->out);
    if (!writer_extend(&ch->out, header_size))
        return -ENOMEM;
    err = msg_encode(info->type, msg, &ch->out);
    if (err)
        return err;
    /* The header is written in place, now that the size is known. */
    header.size = ch->out.size - header_size;
    struct writer head = {.data = ch->out.data, .capacity = ch->out.capacity, .max = header_size};
    return msg_encode(type, &header, &head);
}

void channel_send_silent(struct channel *ch, unsigned id, const void *msg)
{
    const struct spice_msg_info *info = spice_msg_find(ch->params.type, SPICE_TO_CLIENT, id);
    bool was_empty = TAILQ_EMPTY(&ch->queue);

    if (ch->closed)
        return;
    if (!info || encode(ch, info, msg) || !enqueue(ch)) {
        fail_channel(ch, "out of memory, the connection ends");
        return;
    }
    trace(ch, "<-", info, msg);
    ch->unacked++;
    if (ch->queued > ch->max_queue)
        fail_channel(ch, "the client does not read, the connection ends");
    else if (was_empty)
        uv_idle_start(&ch->idle, awake); /* the loop may be past before_sleep(): then it makes another round */
}

void channel_send(struct channel *ch, unsigned id, const void *msg)
{
    if (ch->phase == CHANNEL_LIVE)
        channel_send_silent(ch, id, msg);
}

void channel_set_ack_window(struct channel *ch, uint32_t window)
{
    struct spice_msg_set_ack msg = {++ch->ack_generation, window};

    channel_send(ch, SPICE_MSG_SET_ACK, &msg);
    ch->ack_window = window;
    ch->unacked = 0;
}

static unsigned gather(struct channel *ch, struct iovec iov[MAX_IOV])
{
    struct channel_buffer *b;
    unsigned n = 0;

    TAILQ_FOREACH (b, &ch->queue, link) {
        if (n == MAX_IOV)
            break;
        iov[n++] = (struct iovec){b->data + b->sent, b->size - b->sent};
    }
    return n;
}

static void consume(struct channel *ch, size_t n)
{
    struct channel_buffer *b;

    while (n && (b = TAILQ_FIRST(&ch->queue))) {
        size_t part = MIN(n, b->size - b->sent);

        b->sent += part;
        ch->queued -= part;
        n -= part;
        if (b->sent == b->size)
            buffer_free(ch, b);
    }
}

void channel_flush(struct channel *ch)
{
    struct iovec iov[MAX_IOV];
    ssize_t n = 0;

    if (ch->closed || TAILQ_EMPTY(&ch->queue))
        return;
    while (n >= 0 && !TAILQ_EMPTY(&ch->queue)) {
        n = stream_writev(ch->params.stream, iov, gather(ch, iov));
        if (n > 0)
            consume(ch, n);
        if (n > 0 && ch->stuck)
            alive_heard(&ch->alive);
    }
    ch->stuck = n == -EAGAIN;
    if (n < 0 && n != -EAGAIN)
        lose_channel(ch, "the connection was lost");
    else
        update_poll(ch);
}

static void tell_ready(struct channel *ch)
{
    if (ch->ops->ready && channel_ready(ch))
        ch->ops->ready(ch);
}

/* Before the loop sleeps: everything that this round queued goes out in one call. */
static void send_round(struct channel *ch)
{
    if (TAILQ_EMPTY(&ch->queue))
        return;
    channel_flush(ch);
    tell_ready(ch);
}

void channel_say_goodbye(struct channel *ch)
{
    struct spice_msg_disconnecting msg = {.time_stamp = uv_hrtime() / 1000000,
                                          .reason = SPICE_LINK_ERR_OK};

    channel_send(ch, SPICE_MSG_DISCONNECTING, &msg);
    channel_flush(ch);
    channel_close(ch);
}

/* --- to and from another server --- */

void channel_leave(struct channel *ch)
{
    const struct spice_msg_migrate msg = {SPICE_MIGRATE_NEED_FLUSH | SPICE_MIGRATE_NEED_DATA_TRANSFER};

    channel_send(ch, SPICE_MSG_MIGRATE, &msg);
    if (ch->phase == CHANNEL_LIVE)
        ch->phase = CHANNEL_LEAVING;
    alive_heard(&ch->alive); /* the time for this journey is another */
}

void channel_arrive(struct channel *ch)
{
    ch->phase = CHANNEL_LIVE;
}

/* The client has heard that it is to go; what it says after this it will say there. */
static void send_state(struct channel *ch)
{
    struct spice_data data;
    struct writer w;

    if (ch->phase != CHANNEL_LEAVING)
        return;
    writer_init(&w, CHANNEL_MAX_STATE);
    if (ch->ops->save(ch, &w)) {
        fail_channel(ch, "its state is not to be had, the connection ends");
    } else {
        data = (struct spice_data){(uint32_t)w.size, w.data};
        channel_send_silent(ch, SPICE_MSG_MIGRATE_DATA, &data);
        ch->phase = CHANNEL_LEFT;
    }
    writer_fini(&w);
}

static void take_state(struct channel *ch, const struct spice_data *data)
{
    bool expected = ch->phase == CHANNEL_ARRIVING;
    struct msg_arena arena = {0};
    void *state;

    ch->phase = CHANNEL_LIVE;
    if (!expected || migrate_data_decode(ch->params.type, data->data, data->size, &arena, &state) ||
        !ch->ops->restore(ch, state))
        fail_channel(ch, "it brought a state that cannot be, the connection ends");
    msg_arena_fini(&arena);
}

/* --- incoming --- */

static void handle_ack(struct channel *ch)
{
    ch->unacked -= MIN(ch->unacked, ch->ack_window);
    tell_ready(ch);
}

static void dispatch(struct channel *ch, unsigned id, const void *body, size_t size)
{
    const struct spice_msg_info *info = spice_msg_find(ch->params.type, SPICE_TO_SERVER, id);
    void *msg;

    if (!info) {
        log_once(LOG_INFO, "spice: %s sent message %u on its %s channel, which is unknown; ignored",
                 ch->params.stream->peer, id, spice_channel_name(ch->params.type));
        return;
    }
    msg_arena_reset(&ch->arena);
    if (msg_decode(info->type, body, size, &ch->arena, &msg)) {
        fail_channel(ch, "malformed message, the connection ends");
        return;
    }
    trace(ch, "->", info, msg);
    switch (id) {
    case SPICE_MSGC_ACK_SYNC:
        break;
    case SPICE_MSGC_MIGRATE_FLUSH_MARK:
        send_state(ch);
        break;
    case SPICE_MSGC_MIGRATE_DATA:
        take_state(ch, msg);
        break;
    case SPICE_MSGC_ACK:
        handle_ack(ch);
        break;
    case SPICE_MSGC_DISCONNECTING:
        channel_close(ch);
        break;
    default:
        ch->ops->message(ch, id, msg);
    }
}

/* One message from the front of in; returns its bytes, 0 if it is not complete, or -errno. */
static ssize_t take_message(struct channel *ch, const uint8_t *in, size_t size, size_t *wanted)
{
    const struct msg_type *type = ch->mini_header ? &spice_mini_header_type : &spice_header_type;
    size_t header_size = ch->mini_header ? SPICE_MINI_HEADER_SIZE : SPICE_HEADER_SIZE;
    struct spice_header header;
    void *decoded;

    *wanted = header_size;
    if (size < header_size)
        return 0;
    msg_arena_reset(&ch->arena);
    if (msg_decode(type, in, header_size, &ch->arena, &decoded))
        return -ENOMEM;
    header = *(struct spice_header *)decoded;
    if (header.size > (ch->phase == CHANNEL_ARRIVING ? CHANNEL_MAX_STATE : CHANNEL_MAX_MESSAGE) || header.sub_list)
        return -EMSGSIZE;
    *wanted = header_size + header.size;
    if (size < *wanted)
        return 0;
    dispatch(ch, header.type, in + header_size, header.size);
    return *wanted;
}

static int take_messages(struct channel *ch)
{
    size_t pos = MIN(ch->params.skip, ch->in_size), wanted = 0;
    ssize_t n = 1;

    ch->params.skip -= pos;
    while (n > 0 && !ch->closed && !ch->paused) {
        n = take_message(ch, ch->in + pos, ch->in_size - pos, &wanted);
        if (n > 0)
            pos += n;
    }
    if (n < 0 || ch->closed)
        return n;
    memmove(ch->in, ch->in + pos, ch->in_size - pos);
    ch->in_size -= pos;
    if (wanted > ch->in_capacity) {
        uint8_t *in = realloc(ch->in, wanted);

        if (!in)
            return -ENOMEM;
        ch->in = in;
        ch->in_capacity = wanted;
    }
    return 0;
}

/* Whether there may be more to take. */
static bool receive_some(struct channel *ch)
{
    ssize_t n = stream_read(ch->params.stream, ch->in + ch->in_size, ch->in_capacity - ch->in_size);

    if (n == -EAGAIN)
        return false;
    if (n <= 0) {
        ch->lost = true;
        channel_close(ch);
        return false;
    }
    alive_heard(&ch->alive);
    ch->in_size += n;
    if (take_messages(ch) < 0)
        fail_channel(ch, "message too large, the connection ends");
    return !ch->closed;
}

/* What came before it was paused goes first. */
static bool take_rest(struct channel *ch)
{
    ch->resumed = false;
    if (take_messages(ch) < 0)
        fail_channel(ch, "message too large, the connection ends");
    return !ch->closed && !ch->paused;
}

static void receive(struct channel *ch)
{
    if (ch->resumed && !take_rest(ch))
        return;
    while (!ch->paused && receive_some(ch) && stream_pending(ch->params.stream))
        ;
}

static void poll_event(uv_poll_t *poll, int status, int events)
{
    struct channel *ch = poll->data;

    if (status < 0) {
        ch->lost = true;
        channel_close(ch);
        return;
    }
    if (events & UV_WRITABLE) {
        channel_flush(ch);
        tell_ready(ch);
    }
    if ((events & UV_READABLE) && !ch->closed && !ch->paused)
        receive(ch);
}

static void before_sleep(uv_prepare_t *prepare)
{
    struct channel *ch = prepare->data;

    uv_idle_stop(&ch->idle);
    if (!ch->paused && (ch->resumed || stream_pending(ch->params.stream))) /* or what the link stage left there */
        receive(ch);
    if (!ch->closed)
        send_round(ch);
}

/* --- whether it is still there --- */

static bool ask(struct alive *alive)
{
    const struct spice_msg_ping ping = {.id = ALIVE_PING, .timestamp = uv_hrtime() / 1000};
    struct channel *ch = container_of(alive, struct channel, alive);

    if (ch->paused)
        return false;
    channel_send(ch, SPICE_MSG_PING, &ping);
    return ch->phase == CHANNEL_LIVE;
}

static void dead(struct alive *alive)
{
    lose_channel(container_of(alive, struct channel, alive), "the client does not answer, the connection ends");
}

static const struct alive_ops alive_ops = {ask, dead};

int channel_init(struct channel *ch, const struct channel_ops *ops, struct loop *loop,
                 const struct channel_params *params)
{
    int err;

    ch->ops = ops;
    ch->loop = loop;
    ch->params = *params;
    ch->phase = params->arriving ? CHANNEL_ARRIVING : CHANNEL_LIVE;
    ch->mini_header =
        spice_has_cap(params->common_caps, CHANNEL_MAX_CAPS, SPICE_COMMON_CAP_MINI_HEADER);
    ch->max_queue = CHANNEL_MAX_QUEUE;
    TAILQ_INIT(&ch->queue);
    writer_init(&ch->out, MSG_MAX_SIZE);
    ch->in_capacity = IN_CAPACITY;
    ch->in = malloc(ch->in_capacity);
    err = ch->in ? uv_poll_init(&loop->uv, &ch->poll, params->stream->fd) : -ENOMEM;
    if (err) {
        free(ch->in);
        stream_close(params->stream);
        return err;
    }
    uv_prepare_init(&loop->uv, &ch->prepare);
    uv_idle_init(&loop->uv, &ch->idle);
    alive_init(&ch->alive, loop, &alive_ops, params->patience);
    ch->poll.data = ch;
    ch->prepare.data = ch;
    ch->idle.data = ch;
    ch->alive.timer.data = ch;
    ch->handles = 4;
    uv_prepare_start(&ch->prepare, before_sleep);
    update_poll(ch);
    return 0;
}
