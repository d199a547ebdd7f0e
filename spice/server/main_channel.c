/* The main channel: what there is to connect to, mouse modes, the machine's name. */
#include "base/log.h"
#include "spice/server/agent_port.h"
#include "spice/server/migrate_data.h"
#include "spice/server/port_channel.h"
#include "spice/server/private.h"

#include <stdlib.h>

#define AGENT_QUEUE KIB(128) /* bytes that may wait for the client before its agent does */

struct main_channel {
    struct channel base;
    struct session *session;
    bool agent_told;    /* there is one */
    bool agent_started; /* the client knows of the agent: what it said to the one before has come */
    struct agent_stream agent; /* what the client says to it */
    uint8_t pending[MIGRATE_MAX_CHUNKS]; /* for the agent where the client goes */
    uint32_t pending_count;
    uint32_t agent_tokens; /* chunks that the client takes from an agent */
    uint32_t untold; /* chunks of its own that it may send again, and does not know */
    bool wordy;      /* it has sent more than it may, and is about to be closed */
    uint64_t ping_sent; /* nanoseconds */
    uint32_t ping_id;
};

static unsigned supported_modes(const struct spice_server *server)
{
    return SPICE_MOUSE_MODE_SERVER |
           (server_can_point(server) ? SPICE_MOUSE_MODE_CLIENT : 0);
}

static unsigned current_mode(const struct spice_server *server)
{
    return server->client_mouse ? SPICE_MOUSE_MODE_CLIENT : SPICE_MOUSE_MODE_SERVER;
}

void main_channel_send_mouse_mode(struct channel *ch)
{
    const struct spice_server *server =
        container_of(ch, struct main_channel, base)->session->server;
    struct spice_msg_main_mouse_mode msg = {supported_modes(server), current_mode(server)};

    channel_send(ch, SPICE_MSG_MAIN_MOUSE_MODE, &msg);
}

/* Only one of those who are connected is told of an agent: two would pull it to and fro. */
static bool has_agent(const struct main_channel *m)
{
    const struct session *session = m->session;

    return server_has_agent(session->server) && session_owner(session->server) == session;
}

static void send_init(struct main_channel *m)
{
    const struct spice_server *server = m->session->server;
    struct spice_msg_main_init msg = {
        .session_id = m->session->id,
        .display_channels_hint = server_display_count(server),
        .supported_mouse_modes = supported_modes(server),
        .current_mouse_mode = current_mode(server),
        .agent_connected = has_agent(m),
        .agent_tokens = AGENT_TOKENS,
        .multi_media_time = server_mm_time(),
    };

    m->agent_told = msg.agent_connected;
    channel_send(&m->base, SPICE_MSG_MAIN_INIT, &msg);
}

static void send_identity(struct main_channel *m)
{
    const struct spice_server *server;
    struct spice_msg_main_uuid uuid;
    struct spice_msg_main_name name;

    if (m->base.closed || !channel_has_cap(&m->base, SPICE_MAIN_CAP_NAME_AND_UUID))
        return;
    server = m->session->server;
    if (server->name) {
        name.name = (const uint8_t *)server->name;
        name.size = strlen(server->name) + 1;
        channel_send(&m->base, SPICE_MSG_MAIN_NAME, &name);
    }
    memcpy(uuid.uuid, server->uuid, sizeof(uuid.uuid));
    channel_send(&m->base, SPICE_MSG_MAIN_UUID, &uuid);
}

static void send_ping(struct main_channel *m)
{
    struct spice_msg_ping msg = {.id = ++m->ping_id, .timestamp = uv_hrtime() / 1000};

    m->ping_sent = uv_hrtime();
    channel_send(&m->base, SPICE_MSG_PING, &msg);
}

static void take_pong(struct main_channel *m, const struct spice_msgc_pong *pong)
{
    if (pong->id != m->ping_id)
        return;
    m->session->round_trip = uv_hrtime() - m->ping_sent;
    log_debug("spice: %s answers within %.1f ms", m->base.params.stream->peer, (double)m->session->round_trip / 1e6);
}

/*
 * Said without being asked (ATTACH_CHANNELS), which spares a round trip; and after the ping, so that its answer is here
 * before the channels are.
 */
static void send_channels(struct main_channel *m)
{
    struct spice_channel_id ids[3 + 2 * SERVER_MAX_DISPLAYS + SERVER_MAX_PORTS] = {{SPICE_CHANNEL_INPUTS, 0}};
    struct spice_msg_main_channels_list msg = {.count = 1, .channels = ids};
    const struct spice_server *server;

    if (m->base.closed)
        return;
    server = m->session->server;
    for (unsigned i = 0; i < SERVER_MAX_DISPLAYS; i++) {
        if (!server->ports[i])
            continue;
        ids[msg.count++] = (struct spice_channel_id){SPICE_CHANNEL_DISPLAY, i};
        ids[msg.count++] = (struct spice_channel_id){SPICE_CHANNEL_CURSOR, i};
    }
    if (server->sound)
        ids[msg.count++] = (struct spice_channel_id){SPICE_CHANNEL_PLAYBACK, 0};
    if (server->sound && !m->session->view_only)
        ids[msg.count++] = (struct spice_channel_id){SPICE_CHANNEL_RECORD, 0};
    for (unsigned i = 0; i < SERVER_MAX_PORTS && server->guest_ports[i] && session_owner(server) == m->session; i++)
        ids[msg.count++] = guest_port_channel(server->guest_ports[i]);
    channel_send(&m->base, SPICE_MSG_MAIN_CHANNELS_LIST, &msg);
}

/* --- the agent --- */

void main_channel_send_agent(struct channel *ch)
{
    struct main_channel *m = container_of(ch, struct main_channel, base);
    bool was_told = m->agent_told;

    if (ch->phase != CHANNEL_LIVE)
        return; /* it will be told where it goes, or when it has come */
    m->agent_started = false;
    agent_stream_skip(&m->agent);
    m->agent_told = has_agent(m);
    if (was_told || !m->agent_told)
        channel_send(ch, SPICE_MSG_MAIN_AGENT_DISCONNECTED, &(struct spice_msg_main_agent_disconnected){0});
    if (!m->agent_told)
        return;
    if (channel_has_cap(ch, SPICE_MAIN_CAP_AGENT_CONNECTED_TOKENS))
        channel_send(ch, SPICE_MSG_MAIN_AGENT_CONNECTED_TOKENS, &(struct spice_msg_main_agent_tokens){AGENT_TOKENS});
    else
        channel_send(ch, SPICE_MSG_MAIN_AGENT_CONNECTED, NULL);
}

/* --- from the agent to the client --- */

struct channel *main_channel_of_agent(const struct spice_server *server)
{
    const struct session *owner = session_owner(server);
    struct main_channel *m = owner && owner->main ? container_of(owner->main, struct main_channel, base) : NULL;

    return m && m->agent_started ? &m->base : NULL;
}

bool main_channel_takes_piece(const struct channel *ch)
{
    const struct main_channel *m = container_of(ch, struct main_channel, base);

    return ch->phase == CHANNEL_LIVE && m->agent_tokens && ch->queued < AGENT_QUEUE;
}

void main_channel_send_piece(struct channel *ch, const uint8_t *piece, uint32_t size)
{
    struct main_channel *m = container_of(ch, struct main_channel, base);
    const struct spice_data data = {size, piece};

    if (!m->agent_tokens)
        return;
    if (m->agent_tokens != UINT32_MAX) /* which spice-gtk says for no limit */
        m->agent_tokens--;
    channel_send(ch, SPICE_MSG_MAIN_AGENT_DATA, &data);
}

static void take_agent_tokens(struct main_channel *m, const struct spice_msg_main_agent_tokens *tokens)
{
    m->agent_tokens += MIN(tokens->num_tokens, UINT32_MAX - m->agent_tokens);
    agent_port_go_on(m->session->server->agent);
}

static void ready(struct channel *ch)
{
    const struct main_channel *m = container_of(ch, struct main_channel, base);

    if (m->agent_started)
        agent_port_go_on(m->session->server->agent);
}

/* --- from the client to the agent --- */

static void send_capabilities(struct main_channel *m)
{
    uint8_t message[AGENT_CAPABILITIES_SIZE];

    main_channel_send_piece(&m->base, message, agent_write_capabilities(message));
}

static void set_heads(struct main_channel *m, const uint8_t *body, uint32_t size)
{
    struct display_head heads[DISPLAY_MAX_HEADS];
    int count = agent_read_monitors(body, size, heads);

    if (count < 0)
        log_warn("spice: %s asks for impossible monitors", m->base.params.stream->peer);
    else if (m->session->server->takes_heads)
        server_set_heads(m->session->server, heads, (size_t)count);
}

/* What the server looks at itself, it keeps; without an agent in the guest there is nothing else. */
static enum agent_verdict judge(void *opaque, uint32_t type, uint32_t size UNUSED)
{
    struct main_channel *m = opaque;
    const struct spice_server *server = m->base.closed ? NULL : m->session->server;

    if (!server)
        return AGENT_SKIP;
    if (type == VD_AGENT_ANNOUNCE_CAPABILITIES || type == VD_AGENT_MONITORS_CONFIG)
        return AGENT_KEEP;
    if (!agent_port_is_open(server->agent))
        return AGENT_SKIP;
    if (agent_may_say(&server->agent_filter, AGENT_CLIENT, type))
        return AGENT_PASS;
    log_once(LOG_INFO, "spice: %s says to the guest's agent what it may not (message %u); skipped",
             m->base.params.stream->peer, type);
    return AGENT_SKIP;
}

static void pass(void *opaque, const uint8_t *piece, uint32_t size)
{
    struct main_channel *m = opaque;

    if (!m->base.closed && m->session->server->agent)
        m->wordy |= !agent_port_say(m->session->server->agent, piece, size);
}

static void announce(struct main_channel *m, uint8_t *message, uint32_t size)
{
    const struct spice_server *server = m->session->server;

    if (agent_port_is_open(server->agent)) {
        agent_set_capabilities(message, size, agent_filter_capabilities(&server->agent_filter, AGENT_CLIENT,
                                                                        agent_capabilities(message, size)));
        pass(m, message, size);
    } else if (agent_asks_capabilities(message, size)) {
        send_capabilities(m);
    }
}

static void kept(void *opaque, uint8_t *message, uint32_t size)
{
    struct main_channel *m = opaque;

    if (m->base.closed)
        return;
    if (agent_message_type(message) == VD_AGENT_ANNOUNCE_CAPABILITIES) {
        announce(m, message, size);
        return;
    }
    /* Both: desktops without settings of their own do not notice what the display's driver says, but have an agent. */
    set_heads(m, message + sizeof(VDAgentMessage), size - (uint32_t)sizeof(VDAgentMessage));
    pass(m, message, agent_trim_monitors(message, size));
}

static enum agent_verdict skip(void *opaque UNUSED, uint32_t type UNUSED, uint32_t size UNUSED)
{
    return AGENT_SKIP;
}

static const struct agent_stream_ops to_agent = {.judge = judge, .kept = kept, .pass = pass}, to_nobody = {.judge = skip};

static void send_tokens(struct main_channel *m)
{
    const struct spice_msg_main_agent_tokens msg = {m->untold};

    if (m->base.closed || m->base.phase != CHANNEL_LIVE || !m->untold)
        return;
    if (m->session->server->agent && !agent_port_has_room(m->session->server->agent))
        return;
    m->untold = 0;
    channel_send(&m->base, SPICE_MSG_MAIN_AGENT_TOKEN, &msg);
}

void main_channel_agent_has_room(const struct spice_server *server)
{
    struct channel *ch = main_channel_of_agent(server);

    if (ch)
        send_tokens(container_of(ch, struct main_channel, base));
}

/*
 * The machine has stopped here: who obeyed now would do so in vain. A client that says more than it may is not told so.
 */
static bool keep_for_later(struct main_channel *m, const struct spice_data *chunk)
{
    if (chunk->size > sizeof(m->pending) - m->pending_count)
        return false;
    memcpy(m->pending + m->pending_count, chunk->data, chunk->size);
    m->pending_count += chunk->size;
    return true;
}

static void say_to_agent(struct main_channel *m, const uint8_t *data, uint32_t size)
{
    agent_take(&m->agent, data, size, &to_agent, m);
    if (!m->wordy || m->base.closed)
        return;
    log_info("spice: %s says more to the guest's agent than it may, the connection ends", m->base.params.stream->peer);
    channel_close(&m->base);
}

/*
 * What comes before the client knows of this agent was for another, as is the rest of a message that was begun then: clients
 * send it to its end all the same, afterwards.
 */
static void take_agent_data(struct main_channel *m, const struct spice_data *chunk)
{
    bool live = m->base.phase == CHANNEL_LIVE;

    if (live && !m->agent_started)
        agent_take(&m->agent, chunk->data, chunk->size, &to_nobody, m);
    if (!m->agent_started || (!live && !keep_for_later(m, chunk)))
        return;
    m->untold = MIN(m->untold + 1, MIGRATE_MAX_UNTOLD);
    if (live)
        say_to_agent(m, chunk->data, chunk->size);
    send_tokens(m);
}

static void start_agent(struct main_channel *m, const struct spice_msg_main_agent_tokens *tokens)
{
    if (!has_agent(m))
        return;
    agent_port_forget_client(m->session->server->agent);
    if (m->base.closed)
        return;
    m->agent_started = true;
    agent_stream_skip(&m->agent);
    m->pending_count = m->untold = 0;
    m->agent_tokens = tokens->num_tokens;
}

/* --- somewhere else --- */

static struct spice_msg_main_migrate_begin destination(const struct spice_destination *to)
{
    return (struct spice_msg_main_migrate_begin){
        .port = (uint16_t)MAX(to->port, 0),
        .secure_port = (uint16_t)MAX(to->tls_port, 0),
        .host_size = (uint32_t)strlen(to->host) + 1,
        .host = (const uint8_t *)to->host,
        .cert_subject_size = to->subject ? (uint32_t)strlen(to->subject) + 1 : 0,
        .cert_subject = (const uint8_t *)to->subject,
        .src_version = MIGRATE_VERSION,
    };
}

void main_channel_send_switch(struct channel *ch, const struct spice_destination *to)
{
    const struct spice_msg_main_migrate_begin msg = destination(to);

    channel_send(ch, SPICE_MSG_MAIN_MIGRATE_SWITCH_HOST, &msg);
}

bool main_channel_send_begin(struct channel *ch, const struct spice_destination *to)
{
    const struct spice_msg_main_migrate_begin msg = destination(to);

    if (!channel_has_cap(ch, SPICE_MAIN_CAP_SEMI_SEAMLESS_MIGRATE))
        return false;
    channel_send(ch, channel_has_cap(ch, SPICE_MAIN_CAP_SEAMLESS_MIGRATE) ? SPICE_MSG_MAIN_MIGRATE_BEGIN_SEAMLESS
                                                                         : SPICE_MSG_MAIN_MIGRATE_BEGIN,
                 &msg);
    return true;
}

/* A client has connected here beside its server, and asks whether that one's data would be understood. */
static void answer_version(struct main_channel *m, uint32_t version)
{
    if (m->base.phase == CHANNEL_ARRIVING)
        channel_send_silent(&m->base, version == MIGRATE_VERSION ? SPICE_MSG_MAIN_MIGRATE_DST_SEAMLESS_ACK
                                                                 : SPICE_MSG_MAIN_MIGRATE_DST_SEAMLESS_NACK,
                            NULL);
}

static int save(struct channel *ch, struct writer *w)
{
    const struct main_channel *m = container_of(ch, struct main_channel, base);
    const struct agent_stream *s = &m->agent;
    bool whole = !s->left || s->verdict == AGENT_KEEP; /* as much of the message as has come */
    const struct migrate_main state = {
        .agent_told = m->agent_told,
        .agent_started = m->agent_started && m->agent_told,
        .agent_in_guest = agent_port_is_open(m->session->server->agent),
        .mouse_mode = current_mode(m->session->server),
        .agent_tokens = m->agent_tokens,
        .untold = m->untold,
        .skip = whole ? 0 : s->left,
        .have = whole ? s->have : 0,
        .data = s->piece,
        .pending_count = m->pending_count,
        .pending = m->pending,
    };

    return migrate_data_encode(SPICE_CHANNEL_MAIN, &state, w);
}

/*
 * Whether what was begun there can be gone on with here. With an agent in the guest only where nothing was half said:
 * what passes to it is looked at where it begins, and that was elsewhere.
 */
static bool is_same_agent(const struct main_channel *m, const struct migrate_main *state)
{
    const struct agent_port *agent = m->session->server->agent;

    if (state->agent_told != has_agent(m) || state->agent_in_guest != agent_port_is_open(agent))
        return false;
    return !state->agent_in_guest || (!state->skip && agent_port_is_idle(agent));
}

/*
 * The agent is the same, if it is there: what was begun is gone on with, and what came too late there is obeyed here.
 */
static void restore_agent(struct main_channel *m, const struct migrate_main *state)
{
    m->agent_told = state->agent_told;
    m->agent_started = state->agent_started;
    m->agent_tokens = state->agent_tokens;
    m->untold = state->untold;
    m->agent = (struct agent_stream){.left = state->skip};
    send_tokens(m);
    if (!m->base.closed && !is_same_agent(m, state))
        main_channel_send_agent(&m->base);
    if (!m->base.closed && m->agent_started)
        say_to_agent(m, state->data, state->have);
    if (!m->base.closed && m->agent_started)
        say_to_agent(m, state->pending, state->pending_count);
}

static void restore_mode(struct main_channel *m, unsigned mode)
{
    const struct spice_server *server = m->session->server;

    if (mode != current_mode(server) && mode & supported_modes(server) && !m->session->view_only)
        server_set_mouse_mode(m->session->server, mode == SPICE_MOUSE_MODE_CLIENT);
    else
        main_channel_send_mouse_mode(&m->base);
}

/* What was told of the machine still holds: it is the same. Its clock is another. */
static bool restore(struct channel *ch, const void *data)
{
    struct main_channel *m = container_of(ch, struct main_channel, base);
    const struct migrate_main *state = data;

    if (!agent_is_beginning(state->data, state->have))
        return false;
    session_arrived(m->session, false);
    channel_send(ch, SPICE_MSG_MAIN_MULTI_MEDIA_TIME, &(struct spice_msg_main_multi_media_time){server_mm_time()});
    if (!ch->closed)
        restore_mode(m, state->mouse_mode);
    if (!ch->closed)
        restore_agent(m, state);
    if (!ch->closed)
        send_ping(m);
    return true;
}

/* It had to leave everything there. Of channels it needs no list: it has connected them already. */
static void start_anew(struct main_channel *m)
{
    if (m->base.phase != CHANNEL_ARRIVING)
        return;
    channel_arrive(&m->base);
    session_arrived(m->session, true);
    send_init(m);
    send_identity(m);
    if (!m->base.closed)
        send_ping(m);
}

/* --- what the client says --- */

static void take_mode_request(struct main_channel *m,
                              const struct spice_msgc_main_mouse_mode_request *request)
{
    struct spice_server *server = m->session->server;

    if (request->mode & supported_modes(server) && !m->session->view_only)
        server_set_mouse_mode(server,
                              request->mode & supported_modes(server) & SPICE_MOUSE_MODE_CLIENT);
    else
        main_channel_send_mouse_mode(&m->base);
}

static void take_message(struct channel *ch, unsigned id, const void *msg)
{
    struct main_channel *m = container_of(ch, struct main_channel, base);

    switch (id) {
    case SPICE_MSGC_PONG:
        take_pong(m, msg);
        break;
    case SPICE_MSGC_MAIN_MOUSE_MODE_REQUEST:
        take_mode_request(m, msg);
        break;
    case SPICE_MSGC_MAIN_AGENT_START:
        start_agent(m, msg);
        break;
    case SPICE_MSGC_MAIN_AGENT_TOKEN:
        take_agent_tokens(m, msg);
        break;
    case SPICE_MSGC_MAIN_AGENT_DATA:
        take_agent_data(m, msg);
        break;
    case SPICE_MSGC_MAIN_MIGRATE_CONNECTED:
        migrate_answer(m->session, MOVE_READY);
        break;
    case SPICE_MSGC_MAIN_MIGRATE_CONNECTED_SEAMLESS:
        migrate_answer(m->session, MOVE_SEAMLESS);
        break;
    case SPICE_MSGC_MAIN_MIGRATE_CONNECT_ERROR:
        migrate_answer(m->session, MOVE_NONE);
        break;
    case SPICE_MSGC_MAIN_MIGRATE_DST_DO_SEAMLESS:
        answer_version(m, ((const struct spice_msgc_main_migrate_dst_do_seamless *)msg)->src_version);
        break;
    case SPICE_MSGC_MAIN_MIGRATE_END:
        start_anew(m);
        break;
    default:
        /* What is answered already, client info: nothing here needs them. */
        break;
    }
}

static void closed(struct channel *ch)
{
    struct main_channel *m = container_of(ch, struct main_channel, base);

    session_end(m->session);
    m->session = NULL;
}

static void free_channel(struct channel *ch)
{
    free(container_of(ch, struct main_channel, base));
}

static const struct channel_ops main_ops = {take_message, ready, save, restore, closed, free_channel};

bool main_channel_create(struct session *session, const struct channel_params *params)
{
    struct main_channel *m = calloc(1, sizeof(*m));

    if (!m) {
        stream_close(params->stream);
        return false;
    }
    m->session = session;
    if (channel_init(&m->base, &main_ops, session->server->loop, params)) {
        free(m);
        return false;
    }
    session->main = &m->base;
    if (params->arriving)
        return true;
    send_init(m);
    send_identity(m);
    send_ping(m);
    send_channels(m);
    return true;
}
