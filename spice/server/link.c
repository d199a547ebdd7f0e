/*
 * The link stage: who connects, to which channel, and whether they know the password.
 *
 *   FIRST -> HEADER -> MESSAGE -> KEY -> AUTH -> TICKET, or SASL_NAME and SASL_DATA -> (PENALTY) -> END
 *
 * In FIRST the first bytes tell what is spoken: SPICE, TLS, or HTTP (REQUEST), which asks for a page or a websocket (UPGRADE).
 * What comes inside of TLS or a websocket begins with FIRST again. In KEY the link waits for a key to be made, in PENALTY a
 * wrong password waits for its refusal. A link is read exactly as far as it is understood, so that the channel finds its
 * first byte untouched. Every link ends after LINK_TIMEOUT_MS.
 *
 * Where nobody is asked who he is every ticket is right. Then KEY leads to END: the result goes with the reply, which spares
 * each channel a round trip, and the channel skips the ticket when it comes.
 */
#include "base/log.h"
#include "spice/server/http.h"
#include "spice/server/link_private.h"
#include "spice/server/tls.h"
#include "spice/server/websocket.h"

#include <errno.h>
#include <stdlib.h>

#define LINK_TIMEOUT_MS 10000
#define FIRST_BYTES     4
#define MAX_REPLY       MIB(2) /* a page is the largest */

static void step(struct link *link);
static void poll_event(uv_poll_t *poll, int status, int events);

static void handle_closed(uv_handle_t *handle)
{
    struct link *link = handle->data;

    if (--link->handles)
        return;
    ticket_key_put(link->key);
    auth_sasl_destroy(link->sasl);
    writer_fini(&link->out);
    explicit_bzero(link->password, sizeof(link->password));
    free(link->in);
    free(link);
}

static void link_close(struct link *link)
{
    if (link->closed)
        return;
    link->closed = true;
    TAILQ_REMOVE(&link->server->links, link, entry);
    link->server->link_count--;
    uv_close((uv_handle_t *)&link->poll, handle_closed);
    uv_close((uv_handle_t *)&link->timer, handle_closed);
    stream_close(link->stream);
    link->stream = NULL;
}

void link_expired(uv_timer_t *timer)
{
    struct link *link = timer->data;

    log_info("spice: %s did not finish its link within %d s, the connection ends",
             link->stream->peer, LINK_TIMEOUT_MS / 1000);
    link_close(link);
}

void link_restart_timer(struct link *link)
{
    uv_timer_start(&link->timer, link_expired, LINK_TIMEOUT_MS, 0);
}

void link_expect(struct link *link, enum link_state state, size_t bytes)
{
    link->state = state;
    link->have = 0;
    link->need = bytes;
    if (bytes > link->in_capacity) {
        uint8_t *in = realloc(link->in, bytes);

        if (!in) {
            link_close(link);
            return;
        }
        link->in = in;
        link->in_capacity = bytes;
    }
}

/* --- replies --- */

/* Everything is said: hand the stream over, or hang up. */
static void finish(struct link *link)
{
    struct spice_server *server = link->server;

    if (link->granted) {
        link->params.stream = link->stream;
        link->stream = NULL; /* not ours any more */
        link_close(link);
        server_adopt(server, &link->params, link->password);
    } else {
        link_close(link);
    }
}

/* A layer on the stream, or NULL without memory: what is said in it begins anew. */
static void set_layer(struct link *link, struct stream *layer)
{
    link->stream = layer;
    writer_reset(&link->out);
    link->sent = 0;
    link_expect(link, LINK_FIRST, FIRST_BYTES);
    if (layer)
        uv_poll_start(&link->poll, UV_READABLE, poll_event);
    else
        link_close(link);
}

/* The bytes that have come are TLS's. */
static void begin_tls(struct link *link)
{
    stream_unread(link->stream, link->in, link->have);
    set_layer(link, tls_accept(link->server->tls, link->stream));
}

static void begin_websocket(struct link *link)
{
    link->is_web = true;
    set_layer(link, websocket_accept(link->stream));
}

void link_flush(struct link *link)
{
    ssize_t n = 0;

    while (link->sent < link->out.size && n >= 0) {
        const struct iovec iov = {link->out.data + link->sent, link->out.size - link->sent};

        n = stream_writev(link->stream, &iov, 1);
        link->sent += MAX(n, 0);
    }
    if (n < 0 && n != -EAGAIN)
        link_close(link);
    else if (link->sent < link->out.size)
        uv_poll_start(&link->poll, UV_READABLE | UV_WRITABLE, poll_event);
    else if (link->state == LINK_END)
        finish(link);
    else if (link->state == LINK_UPGRADE)
        begin_websocket(link);
    else
        uv_poll_start(&link->poll, UV_READABLE, poll_event);
}

/* The last word, to be flushed. */
void link_add_result(struct link *link, unsigned error)
{
    const struct spice_link_result result = {error};

    link_expect(link, LINK_END, 0);
    link->granted = !error;
    msg_encode(&spice_link_result_type, &result, &link->out);
}

void link_send_result(struct link *link, unsigned error)
{
    link_add_result(link, error);
    link_flush(link);
}

static uint32_t channel_caps(const struct spice_server *server, unsigned type)
{
    switch (type) {
    case SPICE_CHANNEL_MAIN:
        return 1u << SPICE_MAIN_CAP_NAME_AND_UUID | 1u << SPICE_MAIN_CAP_AGENT_CONNECTED_TOKENS |
               1u << SPICE_MAIN_CAP_SEMI_SEAMLESS_MIGRATE | 1u << SPICE_MAIN_CAP_SEAMLESS_MIGRATE;
    case SPICE_CHANNEL_DISPLAY:
        return 1u << SPICE_DISPLAY_CAP_MONITORS_CONFIG | 1u << SPICE_DISPLAY_CAP_LZ4_COMPRESSION |
               1u << SPICE_DISPLAY_CAP_PREF_COMPRESSION | 1u << SPICE_DISPLAY_CAP_STREAM_REPORT |
               1u << SPICE_DISPLAY_CAP_PREF_VIDEO_CODEC_TYPE;
    case SPICE_CHANNEL_INPUTS:
        return 1u << SPICE_INPUTS_CAP_KEY_SCANCODE;
    case SPICE_CHANNEL_PLAYBACK: /* not CELT, whose 0.5.1 nobody has any more */
        return 1u << SPICE_PLAYBACK_CAP_VOLUME | 1u << SPICE_PLAYBACK_CAP_LATENCY |
               (uint32_t)server->compress_sound << SPICE_PLAYBACK_CAP_OPUS;
    case SPICE_CHANNEL_RECORD:
        return 1u << SPICE_RECORD_CAP_VOLUME | (uint32_t)server->compress_sound << SPICE_RECORD_CAP_OPUS;
    default:
        return 0;
    }
}

/* To be flushed. */
void link_add_reply(struct link *link, unsigned error)
{
    uint32_t caps[2] = {1u << SPICE_COMMON_CAP_PROTOCOL_AUTH_SELECTION | link_auth_ways(link) |
                            1u << SPICE_COMMON_CAP_MINI_HEADER,
                        channel_caps(link->server, link->params.type)};
    struct spice_link_reply reply = {
        .error = error, .num_common_caps = 1, .num_channel_caps = 1, .caps = caps};
    struct spice_link_header header = {SPICE_MAGIC, SPICE_VERSION_MAJOR, SPICE_VERSION_MINOR, 0};
    struct writer body;

    if (error)
        reply = (struct spice_link_reply){.error = error};
    else
        memcpy(reply.pub_key, ticket_key_public(link->key), sizeof(reply.pub_key));
    writer_init(&body, MAX_REPLY);
    msg_encode(&spice_link_reply_type, &reply, &body);
    header.size = body.size;
    msg_encode(&spice_link_header_type, &header, &link->out);
    writer_bytes(&link->out, body.data, body.size);
    writer_fini(&body);
}

static void refuse(struct link *link, unsigned error, const char *why)
{
    log_info("spice: %s refused: %s", link->stream->peer, why);
    link_expect(link, LINK_END, 0);
    link_add_reply(link, error);
    link_flush(link);
}

/* --- what was read --- */

static bool decode(struct link *link, const struct msg_type *type, struct msg_arena *arena,
                   void *out, size_t size)
{
    void *msg;

    if (msg_decode(type, link->in, link->have, arena, &msg))
        return false;
    memcpy(out, msg, size);
    return true;
}

static void take_first(struct link *link)
{
    if (link->in[0] == TLS_FIRST_BYTE && link->server->tls && !link->stream->secure) {
        begin_tls(link);
    } else if (memcmp(link->in, HTTP_FIRST_BYTES, FIRST_BYTES) == 0 && !link->is_web) {
        link->state = LINK_REQUEST;
        link->need = SPICE_LINK_MAX_SIZE;
    } else {
        link->state = LINK_HEADER;
        link->need = sizeof(SpiceLinkHeader);
    }
}

static void take_header(struct link *link, struct msg_arena *arena)
{
    struct spice_link_header h;

    if (!decode(link, &spice_link_header_type, arena, &h, sizeof(h)) || h.magic != SPICE_MAGIC)
        refuse(link, SPICE_LINK_ERR_INVALID_MAGIC, "it does not speak SPICE");
    else if (h.major != SPICE_VERSION_MAJOR)
        refuse(link, SPICE_LINK_ERR_VERSION_MISMATCH, "its protocol version is not 2");
    else if (h.size < sizeof(SpiceLinkMess) || h.size > SPICE_LINK_MAX_SIZE)
        refuse(link, SPICE_LINK_ERR_INVALID_DATA, "its link message has an impossible size");
    else
        link_expect(link, LINK_MESSAGE, h.size);
}

static bool is_private_enough(const struct link *link)
{
    const struct spice_server *server = link->server;

    return link_auth_ways(link) &&
           (!server->tls || link->stream->secure ||
            (link->params.type < 32 && server->plain_channels & 1u << link->params.type));
}

static void take_message(struct link *link, struct msg_arena *arena)
{
    struct channel_params *p = &link->params;
    struct spice_link_mess m;

    if (!decode(link, &spice_link_mess_type, arena, &m, sizeof(m))) {
        refuse(link, SPICE_LINK_ERR_INVALID_DATA, "its link message is malformed");
        return;
    }
    p->session = m.connection_id;
    p->type = m.channel_type;
    p->id = m.channel_id;
    for (unsigned i = 0; i < MIN(m.num_common_caps, CHANNEL_MAX_CAPS); i++)
        p->common_caps[i] = m.caps[i];
    for (unsigned i = 0; i < MIN(m.num_channel_caps, CHANNEL_MAX_CAPS); i++)
        p->caps[i] = m.caps[m.num_common_caps + i];
    if (!is_private_enough(link)) {
        refuse(link, SPICE_LINK_ERR_NEED_SECURED, "it asks for a channel without TLS");
        return;
    }
    link_expect(link, LINK_KEY, 0);
    step(link);
}

/* All that was expected is here; of a request, some. */
static void step(struct link *link)
{
    struct msg_arena arena = {0};

    switch (link->state) {
    case LINK_FIRST:
        take_first(link);
        break;
    case LINK_REQUEST:
        link_take_request(link);
        break;
    case LINK_HEADER:
        take_header(link, &arena);
        break;
    case LINK_MESSAGE:
        take_message(link, &arena);
        break;
    case LINK_KEY:
        link_take_key(link);
        break;
    case LINK_AUTH:
        link_take_auth(link);
        break;
    case LINK_TICKET:
        link_take_ticket(link);
        break;
    case LINK_SASL_NAME_SIZE:
    case LINK_SASL_NAME:
    case LINK_SASL_DATA_SIZE:
    case LINK_SASL_DATA:
        link_take_sasl(link);
        break;
    case LINK_PENALTY:
    case LINK_UPGRADE:
    case LINK_END:
        break;
    }
    msg_arena_fini(&arena);
}

static void receive(struct link *link)
{
    ssize_t n;

    while (!link->closed && link->need) {
        n = stream_read(link->stream, link->in + link->have, link->need - link->have);
        if (n == -EAGAIN)
            return;
        if (n <= 0) {
            link_close(link);
            return;
        }
        link->have += n;
        if (link->have == link->need || link->state == LINK_REQUEST)
            step(link);
    }
    /* Nothing may be said now: stop listening until something is expected, else it would wake us without end. */
    if (!link->closed)
        uv_poll_start(&link->poll, link->sent < link->out.size ? UV_WRITABLE : UV_DISCONNECT,
                      poll_event);
}

static void poll_event(uv_poll_t *poll, int status, int events)
{
    struct link *link = poll->data;

    if (status < 0 || (events & UV_DISCONNECT)) {
        link_close(link);
        return;
    }
    if (events & UV_WRITABLE)
        link_flush(link);
    if ((events & UV_READABLE) && !link->closed)
        receive(link);
}

void link_start(struct spice_server *server, struct stream *stream)
{
    struct link *link = calloc(1, sizeof(*link));

    if (!link || !(link->in = malloc(SPICE_LINK_MAX_SIZE)) ||
        uv_poll_init(&server->loop->uv, &link->poll, stream->fd)) {
        if (link)
            free(link->in);
        free(link);
        stream_close(stream);
        return;
    }
    if (server->link_count == SERVER_MAX_LINKS)
        link_close(TAILQ_FIRST(&server->links));
    link->in_capacity = SPICE_LINK_MAX_SIZE;
    link->server = server;
    link->stream = stream;
    uv_timer_init(&server->loop->uv, &link->timer);
    link->poll.data = link;
    link->timer.data = link;
    link->handles = 2;
    writer_init(&link->out, MAX_REPLY);
    TAILQ_INSERT_TAIL(&server->links, link, entry);
    server->link_count++;
    link_expect(link, LINK_FIRST, FIRST_BYTES);
    link_restart_timer(link);
    uv_poll_start(&link->poll, UV_READABLE, poll_event);
}

/* A key was made: the link that waited longest gets it. */
void link_keys_ready(void *opaque)
{
    struct spice_server *server = opaque;
    struct link *link, *next;

    for (link = TAILQ_FIRST(&server->links); link; link = next) {
        next = TAILQ_NEXT(link, entry);
        if (link->state == LINK_KEY)
            step(link);
        if (!link->closed && stream_pending(link->stream))
            receive(link);
    }
}

void link_close_all(struct spice_server *server)
{
    while (!TAILQ_EMPTY(&server->links))
        link_close(TAILQ_FIRST(&server->links));
}
