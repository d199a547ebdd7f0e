/*
 * The link stage: who connects, to which channel, and whether they know the password.
 *
 *   FIRST -> HEADER -> MESSAGE -> KEY -> AUTH -> TICKET -> (PENALTY) -> END
 *
 * In FIRST the first bytes tell what is spoken: SPICE, TLS, or HTTP (REQUEST), which asks for a page or a websocket (UPGRADE).
 * What comes inside of TLS or a websocket begins with FIRST again. In KEY the link waits for a key to be made, in PENALTY a wrong password waits for its refusal. A link is read exactly
 * as far as it is understood, so that the channel finds its first byte untouched. Every link ends after LINK_TIMEOUT_MS.
 *
 * Without a password every ticket is right. Then KEY leads to END: the result goes with the reply, which spares each channel
 * a round trip, and the channel skips the ticket when it comes.
 */
#include "base/log.h"
#include "spice/server/http.h"
#include "spice/server/private.h"
#include "spice/server/tls.h"
#include "spice/server/web.h"
#include "spice/server/websocket.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define LINK_TIMEOUT_MS 10000
#define PENALTY_MS      1000 /* after a wrong password */
#define FIRST_BYTES     4
#define MAX_REPLY       MIB(2) /* a page is the largest */
#define TICKET_SIZE     (SPICE_TICKET_KEY_PAIR_LENGTH / 8)

enum link_state {
    LINK_FIRST,
    LINK_REQUEST,
    LINK_UPGRADE,
    LINK_HEADER,
    LINK_MESSAGE,
    LINK_KEY,
    LINK_AUTH,
    LINK_TICKET,
    LINK_PENALTY,
    LINK_END
};

struct link {
    struct spice_server *server;
    struct stream *stream;
    uv_poll_t poll;
    uv_timer_t timer;
    unsigned handles;
    enum link_state state;
    bool closed, granted; /* granted: the channel starts when the reply is out */
    bool is_web;          /* a websocket has begun: no other begins inside of it */
    struct ticket_key *key;
    uint8_t in[SPICE_LINK_MAX_SIZE];
    size_t have, need;
    struct writer out;
    size_t sent;
    struct channel_params params;
    TAILQ_ENTRY(link) entry;
};

static void step(struct link *link);
static void poll_event(uv_poll_t *poll, int status, int events);

static void handle_closed(uv_handle_t *handle)
{
    struct link *link = handle->data;

    if (--link->handles)
        return;
    ticket_key_put(link->key);
    writer_fini(&link->out);
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

static void link_expired(uv_timer_t *timer)
{
    struct link *link = timer->data;

    log_info("spice: %s did not finish its link within %d s, the connection ends",
             link->stream->peer, LINK_TIMEOUT_MS / 1000);
    link_close(link);
}

static void expect(struct link *link, enum link_state state, size_t bytes)
{
    link->state = state;
    link->have = 0;
    link->need = bytes;
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
        server_adopt(server, &link->params);
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
    expect(link, LINK_FIRST, FIRST_BYTES);
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

static void flush(struct link *link)
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
static void add_result(struct link *link, unsigned error)
{
    const struct spice_link_result result = {error};

    expect(link, LINK_END, 0);
    link->granted = !error;
    msg_encode(&spice_link_result_type, &result, &link->out);
}

static void send_result(struct link *link, unsigned error)
{
    add_result(link, error);
    flush(link);
}

static uint32_t channel_caps(unsigned type)
{
    switch (type) {
    case SPICE_CHANNEL_MAIN:
        return 1u << SPICE_MAIN_CAP_NAME_AND_UUID | 1u << SPICE_MAIN_CAP_AGENT_CONNECTED_TOKENS;
    case SPICE_CHANNEL_DISPLAY:
        return 1u << SPICE_DISPLAY_CAP_MONITORS_CONFIG | 1u << SPICE_DISPLAY_CAP_LZ4_COMPRESSION |
               1u << SPICE_DISPLAY_CAP_PREF_COMPRESSION | 1u << SPICE_DISPLAY_CAP_STREAM_REPORT |
               1u << SPICE_DISPLAY_CAP_PREF_VIDEO_CODEC_TYPE;
    case SPICE_CHANNEL_INPUTS:
        return 1u << SPICE_INPUTS_CAP_KEY_SCANCODE;
    default:
        return 0;
    }
}

/* To be flushed. */
static void add_reply(struct link *link, unsigned error)
{
    uint32_t caps[2] = {1u << SPICE_COMMON_CAP_PROTOCOL_AUTH_SELECTION |
                            1u << SPICE_COMMON_CAP_AUTH_SPICE | 1u << SPICE_COMMON_CAP_MINI_HEADER,
                        channel_caps(link->params.type)};
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
    expect(link, LINK_END, 0);
    add_reply(link, error);
    flush(link);
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
        link->need = sizeof(link->in);
    } else {
        link->state = LINK_HEADER;
        link->need = sizeof(SpiceLinkHeader);
    }
}

static void answer(struct link *link, const char *status, const char *why)
{
    char text[128];
    int n = snprintf(text, sizeof(text), "%s\n", why);

    http_respond_with(&link->out, status, "text/plain", text, (size_t)n);
}

/* With TLS pages come by it: each port takes it. */
static void redirect(struct link *link, const struct http_request *r)
{
    char headers[HTTP_MAX_HOST + HTTP_MAX_PATH + 80];

    snprintf(headers, sizeof(headers), "Location: https://%s%s\r\nContent-Length: 0\r\nConnection: close\r\n", r->host,
             r->path);
    http_respond(&link->out, "308 Permanent Redirect", headers);
}

static void answer_page(struct link *link, const struct http_request *r)
{
    const struct spice_server *server = link->server;

    if (!server->site)
        answer(link, "426 Upgrade Required", "There are no pages here; SPICE over a websocket may come.");
    else if (server->tls && !link->stream->secure && *r->host)
        redirect(link, r);
    else
        web_answer(server->site, r, server->state ? server->state(server->state_opaque) : "running", &link->out);
}

static void answer_request(struct link *link, const struct http_request *r, bool more)
{
    expect(link, LINK_END, 0);
    if (!http_is_own(r)) {
        log_info("spice: %s refused: a page of '%s' asks for '%s'", link->stream->peer, r->origin, r->host);
        answer(link, "403 Forbidden", "Only pages of this machine may come here, by an address, localhost or this host's name.");
    } else if (!r->upgrade) {
        answer_page(link, r);
    } else if (more || (r->protocols && !r->binary)) {
        answer(link, "400 Bad Request", "A websocket here has the protocol 'binary', and waits for the answer.");
    } else {
        http_upgrade(&link->out, r);
        link->state = LINK_UPGRADE;
    }
}

static void take_request(struct link *link)
{
    struct http_request r;
    ssize_t size = http_parse(link->in, link->have, &r);

    if (size == 0 && link->have < link->need)
        return;
    if (size > 0) {
        answer_request(link, &r, (size_t)size < link->have);
    } else {
        expect(link, LINK_END, 0);
        answer(link, "400 Bad Request", "That is no request that is understood here.");
    }
    flush(link);
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
        expect(link, LINK_MESSAGE, h.size);
}

static bool is_private_enough(const struct link *link)
{
    const struct spice_server *server = link->server;

    return !server->tls || link->stream->secure ||
           (link->params.type < 32 && server->plain_channels & 1u << link->params.type);
}

static void take_message(struct link *link, struct msg_arena *arena)
{
    struct channel_params *p = &link->params;
    struct spice_link_mess m;

    if (!decode(link, &spice_link_mess_type, arena, &m, sizeof(m)) ||
        (!m.caps && m.num_common_caps + m.num_channel_caps)) {
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
    expect(link, LINK_KEY, 0);
    step(link);
}

static unsigned check_channel(const struct link *link)
{
    return server_check_channel(link->server, link->params.session, link->params.type, link->params.id);
}

static void take_key(struct link *link)
{
    bool selects = spice_has_cap(link->params.common_caps, CHANNEL_MAX_CAPS,
                                 SPICE_COMMON_CAP_PROTOCOL_AUTH_SELECTION);

    link->key = ticket_keys_take(link->server->keys, link->server->asks);
    if (!link->key)
        return; /* link_keys_ready() comes back */
    if (selects)
        expect(link, LINK_AUTH, sizeof(SpiceLinkAuthMechanism));
    else
        expect(link, LINK_TICKET, TICKET_SIZE);
    add_reply(link, SPICE_LINK_ERR_OK);
    /* A refusal waits for the ticket: who hangs up on bytes under way may take back what was said before. */
    if (!link->server->asks && !check_channel(link)) {
        link->params.skip = TICKET_SIZE + (selects ? sizeof(SpiceLinkAuthMechanism) : 0);
        add_result(link, SPICE_LINK_ERR_OK);
    }
    flush(link);
}

static void take_auth(struct link *link)
{
    if (load_le32(link->in) != SPICE_COMMON_CAP_AUTH_SPICE) {
        log_info("spice: %s refused: it asks for an authentication that is not offered",
                 link->stream->peer);
        send_result(link, SPICE_LINK_ERR_INVALID_DATA);
        return;
    }
    expect(link, LINK_TICKET, TICKET_SIZE);
}

static void refuse_password(uv_timer_t *timer)
{
    uv_timer_start(timer, link_expired, LINK_TIMEOUT_MS, 0);
    send_result(timer->data, SPICE_LINK_ERR_PERMISSION_DENIED);
}

/* One line when it begins and one when it has become too much: who guesses shall not fill the log. */
static void wrong_password(struct link *link, bool looked_at)
{
    const char *peer = link->stream->peer;
    unsigned count = 0;

    if (looked_at)
        count = guesses_wrong(&link->server->guesses, peer, uv_hrtime());
    if (count == 1)
        log_warn("spice: %s gave a wrong password", peer);
    else if (count == GUESSES_MAX)
        log_warn("spice: %s gave %u wrong passwords within a minute; for the next minute none from there is right", peer,
                 count);
    expect(link, LINK_PENALTY, 0);
    uv_timer_start(&link->timer, refuse_password, PENALTY_MS, 0);
}

/* When the password has expired, or an address has guessed too often, nobody is told whether this one was right. */
static bool knows_password(struct link *link, bool *looked_at)
{
    const struct spice_server *server = link->server;

    *looked_at = false;
    if (!server->asks)
        return true;
    if (time(NULL) >= server->expires) {
        log_once(LOG_INFO, "spice: %s is refused: the password has expired", link->stream->peer);
        return false;
    }
    *looked_at = guesses_allowed(&server->guesses, link->stream->peer, uv_hrtime());
    return *looked_at && ticket_key_check(link->key, link->in, server->password);
}

static void take_ticket(struct link *link)
{
    const struct channel_params *p = &link->params;
    bool looked_at;
    unsigned error;

    if (!knows_password(link, &looked_at)) {
        wrong_password(link, looked_at);
        return;
    }
    error = check_channel(link);
    if (error)
        log_info("spice: %s asks for %s channel %u, which is not here", link->stream->peer,
                 spice_channel_name(p->type), p->id);
    send_result(link, error);
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
        take_request(link);
        break;
    case LINK_HEADER:
        take_header(link, &arena);
        break;
    case LINK_MESSAGE:
        take_message(link, &arena);
        break;
    case LINK_KEY:
        take_key(link);
        break;
    case LINK_AUTH:
        take_auth(link);
        break;
    case LINK_TICKET:
        take_ticket(link);
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
        flush(link);
    if ((events & UV_READABLE) && !link->closed)
        receive(link);
}

void link_start(struct spice_server *server, struct stream *stream)
{
    struct link *link = calloc(1, sizeof(*link));

    if (!link || uv_poll_init(&server->loop->uv, &link->poll, stream->fd)) {
        free(link);
        stream_close(stream);
        return;
    }
    if (server->link_count == SERVER_MAX_LINKS)
        link_close(TAILQ_FIRST(&server->links));
    link->server = server;
    link->stream = stream;
    uv_timer_init(&server->loop->uv, &link->timer);
    link->poll.data = link;
    link->timer.data = link;
    link->handles = 2;
    writer_init(&link->out, MAX_REPLY);
    TAILQ_INSERT_TAIL(&server->links, link, entry);
    server->link_count++;
    expect(link, LINK_FIRST, FIRST_BYTES);
    uv_timer_start(&link->timer, link_expired, LINK_TIMEOUT_MS, 0);
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
