#include "client/channel.h"

#include "base/error.h"
#include "base/log.h"
#include "client/session.h"

#include <errno.h>
#include <string.h>

static int on_connected(struct stream *s);
static int on_input(struct stream *s);
static int on_drained(struct stream *s);
static void on_ended(struct stream *s, int err);

static const struct stream_ops stream_ops = {
    .connected = on_connected,
    .input = on_input,
    .drained = on_drained,
    .ended = on_ended,
};

uint64_t now_ns(void)
{
    return uv_hrtime();
}

int channel_connect(struct channel *c, struct session *session, const struct channel_ops *ops,
                    uint8_t id, int fd)
{
    struct sockaddr_storage address;
    struct stream_way way;

    c->ops = ops;
    c->session = session;
    c->id = id;
    c->request = (struct link_request){
        .connection_id = session->connection_id,
        .channel_type = ops->type,
        .channel_id = id,
        .channel_caps = ops->caps,
        .options = session->options,
        .secure = client_options_secure(session->options, ops->type),
    };
    session_way(session, ops->type, &way);
    if (fd >= 0)
        return stream_adopt(&c->stream, session->loop, &stream_ops, fd, &way);
    session_address(session, ops->type, &address);
    return stream_connect(&c->stream, session->loop, &stream_ops, &address, session->address_size, &way);
}

bool channel_is_up(const struct channel *c)
{
    return c->link.state == LINK_DONE && c->stream.fd >= 0;
}

static int on_connected(struct stream *s)
{
    struct channel *c = container_of(s, struct channel, stream);

    return link_begin(&c->link, &c->request, s);
}

/* Put a header before the body; the size is known only after it was encoded. */
static int append_message(struct channel *c, uint16_t id, const struct msg_type *type,
                          const void *msg)
{
    struct writer *w = &c->stream.out;
    size_t header_size = c->link.mini_header ? SPICE_MINI_HEADER_SIZE : SPICE_HEADER_SIZE;
    size_t start = w->size;
    uint8_t *header = writer_extend(w, header_size);
    int err = 0;

    if (!header)
        return -ENOBUFS;
    memset(header, 0, header_size);
    if (type)
        err = msg_encode(type, msg, w);
    if (err) {
        w->size = start;
        return err;
    }
    header = w->data + start;
    if (!c->link.mini_header) {
        store_le64(header, c->serial_out);
        header += 8;
    }
    store_le16(header, id);
    store_le32(header + 2, (uint32_t)(w->size - start - header_size));
    return 0;
}

int channel_send(struct channel *c, uint16_t id, const void *msg)
{
    const struct spice_msg_info *info = spice_msg_find(c->ops->type, SPICE_TO_SERVER, id);
    int err;

    if (!channel_is_up(c))
        return -ENOTCONN;
    c->serial_out++;
    err = append_message(c, id, info ? info->type : NULL, msg);
    if (err)
        return err;
    c->stats.messages_out++;
    return stream_flush(&c->stream);
}

static int handle_set_ack(struct channel *c, const void *msg)
{
    const struct spice_msg_set_ack *m = msg;
    struct spice_msgc_ack_sync sync = {m->generation};

    c->ack_window = c->ack_left = m->window;
    return channel_send(c, SPICE_MSGC_ACK_SYNC, &sync);
}

static int handle_ping(struct channel *c, const void *msg)
{
    const struct spice_msg_ping *m = msg;
    struct spice_msgc_pong pong = {m->id, m->timestamp};

    return channel_send(c, SPICE_MSGC_PONG, &pong);
}

static int handle_wait_for_channels(struct channel *c, const void *msg)
{
    const struct spice_msg_wait_for_channels *m = msg;

    for (unsigned i = 0; i < m->count; i++) {
        const struct channel *other =
            session_find(c->session, m->waits[i].channel_type, m->waits[i].channel_id);

        if (other && other != c && other->serial_in < m->waits[i].message_serial)
            return -EAGAIN;
    }
    return 0;
}

static int handle_disconnecting(struct channel *c, const void *msg)
{
    const struct spice_msg_disconnecting *m = msg;

    log_info("the server ends channel %s (reason %u)", spice_channel_name(c->ops->type), m->reason);
    c->session->goodbye = true;
    return -ENODATA;
}

static int handle_notify(struct channel *c UNUSED, const void *msg)
{
    const struct spice_msg_notify *m = msg;
    char text[200];
    size_t n = MIN(m->message_size, sizeof(text) - 1);

    /* It goes to a terminal: nothing but plain text. */
    for (size_t i = 0; i < n; i++)
        text[i] = (char)(m->message[i] >= ' ' && m->message[i] < 0x7f ? m->message[i] : '?');
    text[n] = '\0';
    log_write(m->severity == SPICE_NOTIFY_SEVERITY_ERROR ? LOG_WARN : LOG_INFO,
              "the server says: %s", text);
    return 0;
}

static const struct channel_handler common_handlers[] = {
    {SPICE_MSG_SET_ACK, handle_set_ack},
    {SPICE_MSG_PING, handle_ping},
    {SPICE_MSG_WAIT_FOR_CHANNELS, handle_wait_for_channels},
    {SPICE_MSG_DISCONNECTING, handle_disconnecting},
    {SPICE_MSG_NOTIFY, handle_notify},
};

static channel_handler_fn *find_in_table(const struct channel_table *table, unsigned id)
{
    for (size_t i = 0; i < table->count; i++)
        if (table->handlers[i].id == id)
            return table->handlers[i].fn;
    return NULL;
}

static channel_handler_fn *find_handler(const struct channel_ops *ops, unsigned id)
{
    static const struct channel_table common = {common_handlers, ARRAY_SIZE(common_handlers)};

    for (size_t i = 0; i < CHANNEL_MAX_TABLES; i++) {
        channel_handler_fn *fn = find_in_table(&ops->tables[i], id);

        if (fn)
            return fn;
    }
    return find_in_table(&common, id);
}

static int bad_message(struct channel *c, unsigned id, const struct spice_msg_info *info, int err)
{
    if (err == -ENODATA || err == -EAGAIN)
        return err;
    if (!fail_text()[0])
        fail(err, "malformed (%s)", strerror(-err));
    return fail_prefix(err, "channel %s, message %s (%u)", spice_channel_name(c->ops->type),
                       info ? info->name : "unknown", id);
}

/* Decode and handle one message. */
static int dispatch(struct channel *c, unsigned id, const uint8_t *body, size_t size)
{
    const struct spice_msg_info *info = spice_msg_find(c->ops->type, SPICE_TO_CLIENT, id);
    channel_handler_fn *fn = find_handler(c->ops, id);
    void *msg = NULL;
    int err = 0;

    if (!fn) {
        log_debug("channel %s: message %u is ignored", spice_channel_name(c->ops->type), id);
        return 0;
    }
    fail(0, "%s", "");
    if (info && info->type)
        err = msg_decode(info->type, body, size, &c->arena, &msg);
    if (!err)
        err = fn(c, msg);
    msg_arena_reset(&c->arena);
    return err ? bad_message(c, id, info, err) : 0;
}

/* A full header may name a list of messages inside the body that come before it. */
static int dispatch_sub_list(struct channel *c, const uint8_t *body, size_t size, size_t offset)
{
    struct reader r;
    unsigned count;
    int err = 0;

    if (offset > size)
        return -EBADMSG;
    reader_init(&r, body + offset, size - offset);
    count = reader_u16(&r);
    for (unsigned i = 0; i < count && !err; i++) {
        size_t at = reader_u32(&r);

        if (r.bad || at > size || size - at < SPICE_MINI_HEADER_SIZE ||
            load_le32(body + at + 2) > size - at - SPICE_MINI_HEADER_SIZE)
            return -EBADMSG;
        err = dispatch(c, load_le16(body + at), body + at + SPICE_MINI_HEADER_SIZE,
                       load_le32(body + at + 2));
        /* There is no going back into the middle of a list. */
        if (err == -EAGAIN)
            err = 0;
    }
    return err;
}

struct header {
    size_t header_size;
    uint64_t serial;
    unsigned id;
    uint32_t size, sub_list;
};

static int parse_header(const struct channel *c, const uint8_t *data, struct header *h)
{
    *h = (struct header){h->header_size, c->serial_in + 1};
    if (!c->link.mini_header) {
        h->serial = load_le64(data);
        h->sub_list = load_le32(data + 14);
        data += 8;
    }
    h->id = load_le16(data);
    h->size = load_le32(data + 2);
    if (h->size > MSG_MAX_SIZE)
        return fail(-E2BIG, "channel %s, message %u: %u bytes are too many",
                    spice_channel_name(c->ops->type), h->id, h->size);
    return 0;
}

static int count_ack(struct channel *c)
{
    if (!c->ack_window || --c->ack_left)
        return 0;
    c->ack_left = c->ack_window;
    return channel_send(c, SPICE_MSGC_ACK, NULL);
}

static int handle_message(struct channel *c, const struct header *h, const uint8_t *body)
{
    uint64_t start = now_ns();
    /* Counted before it is handled, so that a message that sets the window is not part of it. */
    int err = c->waiting ? 0 : count_ack(c);

    if (!err && h->sub_list && !c->waiting)
        err = dispatch_sub_list(c, body, h->size, h->sub_list);
    if (!err)
        err = dispatch(c, h->id, body, h->size);
    c->stats.handling_ns += now_ns() - start;
    return err;
}

/* One message, if it is there: 1; 0: more is needed. */
static int next_message(struct channel *c)
{
    size_t have;
    const uint8_t *data = stream_data(&c->stream, &have);
    struct header h = {c->link.mini_header ? SPICE_MINI_HEADER_SIZE : SPICE_HEADER_SIZE};
    int err;

    if (have < h.header_size)
        return 0;
    err = parse_header(c, data, &h);
    if (err)
        return err;
    if (have - h.header_size < h.size) {
        err = stream_expect(&c->stream, h.header_size + h.size);
        return err ? err : 0;
    }
    err = handle_message(c, &h, data + h.header_size);
    c->waiting = err == -EAGAIN;
    if (err)
        return err;
    c->serial_in = h.serial;
    c->stats.messages_in++;
    stream_take(&c->stream, h.header_size + h.size);
    return 1;
}

static int is_up(struct channel *c)
{
    log_debug("channel %s %u is up", spice_channel_name(c->ops->type), c->id);
    return c->ops->up ? c->ops->up(c) : 0;
}

static int on_drained(struct stream *s)
{
    struct channel *c = container_of(s, struct channel, stream);

    return channel_is_up(c) && c->ops->drained ? c->ops->drained(c) : 0;
}

static int on_input(struct stream *s)
{
    struct channel *c = container_of(s, struct channel, stream);
    uint64_t before = c->serial_in;
    int n = 1;

    if (c->link.state != LINK_DONE) {
        int err = link_input(&c->link, &c->request, s);

        if (!err && c->link.state == LINK_DONE)
            err = is_up(c);
        if (err || c->link.state != LINK_DONE)
            return err;
    }
    while (n > 0 && s->fd >= 0)
        n = next_message(c);
    if (c->serial_in != before)
        session_progress(c->session, c);
    if (n == -EAGAIN)
        stream_pause(s, true);
    return n == -EAGAIN ? 0 : n;
}

void channel_retry(struct channel *c)
{
    if (c->waiting)
        stream_pause(&c->stream, false);
}

static void on_ended(struct stream *s, int err)
{
    struct channel *c = container_of(s, struct channel, stream);

    if ((err == 0 || err == -ECONNRESET) && link_sasl_is_going_on(&c->link))
        err = link_error(SPICE_LINK_ERR_PERMISSION_DENIED);
    session_channel_ended(c->session, c, err);
}

void channel_close(struct channel *c)
{
    stream_close(&c->stream);
    if (c->ops->close)
        c->ops->close(c);
}

void channel_fini(struct channel *c)
{
    stream_fini(&c->stream);
    link_fini(&c->link);
    msg_arena_fini(&c->arena);
}
