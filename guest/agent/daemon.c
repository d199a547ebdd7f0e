#include "guest/agent/daemon.h"

#include "base/log.h"

#define KEEP_SCRATCH KIB(64)

/* --- the client --- */

static const uint8_t capabilities[] = {VD_AGENT_CAP_MOUSE_STATE,
                                       VD_AGENT_CAP_MONITORS_CONFIG,
                                       VD_AGENT_CAP_REPLY,
                                       VD_AGENT_CAP_CLIPBOARD_BY_DEMAND,
                                       VD_AGENT_CAP_CLIPBOARD_SELECTION,
                                       VD_AGENT_CAP_SPARSE_MONITORS_CONFIG,
                                       VD_AGENT_CAP_GUEST_LINEEND_LF,
                                       VD_AGENT_CAP_MAX_CLIPBOARD,
                                       VD_AGENT_CAP_MONITORS_CONFIG_POSITION,
                                       VD_AGENT_CAP_FILE_XFER_DETAILED_ERRORS,
                                       VD_AGENT_CAP_CLIPBOARD_NO_RELEASE_ON_REGRAB,
                                       VD_AGENT_CAP_CLIPBOARD_GRAB_SERIAL};

static void announce(struct daemon *d, bool ask)
{
    uint8_t body[sizeof(VDAgentAnnounceCapabilities) + 4];
    uint32_t caps = 0;

    for (size_t i = 0; i < ARRAY_SIZE(capabilities); i++)
        caps |= 1u << capabilities[i];
    static_assert(VD_AGENT_END_CAP <= 32, "one word holds all capabilities");
    store_le32(body, ask);
    store_le32(body + 4, caps);
    port_send(&d->port, VD_AGENT_ANNOUNCE_CAPABILITIES, body, sizeof(body));
}

static void client_gone(struct daemon *d)
{
    pointer_release(&d->pointer);
    port_drop_client(&d->port);
    writer_reset(&d->monitors);
    d->clipboard = (struct clipboard_header){0};
    if (d->client)
        peers_send_client(&d->peers, false, 0);
    d->client = false;
}

/* Whoever asks for ours has just come. */
static void client_came(struct daemon *d, const uint8_t *body, uint32_t size)
{
    bool asks = load_le32(body);

    if (asks)
        client_gone(d);
    d->client = true;
    d->clipboard.caps = size >= 8 ? load_le32(body + 4) : 0;
    if (asks)
        announce(d, false);
    peers_send_client(&d->peers, true, d->clipboard.caps);
}

/* --- from the port to the session --- */

static void hand_clipboard(struct daemon *d, uint32_t type, const uint8_t *body, uint32_t size)
{
    if (clipboard_from_peer(&d->clipboard, type, body, size, &d->scratch))
        peers_send(&d->peers, type, d->scratch.data, (uint32_t)d->scratch.size);
    writer_trim(&d->scratch, KEEP_SCRATCH);
}

/* Servers take it that an agent can do this: without a device, the session does it as well as it can. */
static void move_pointer(struct daemon *d, const uint8_t *body, uint32_t size)
{
    const struct link_screen *screen = peers_screen(&d->peers);
    VDAgentMouseState state;

    memcpy(&state, body, sizeof(state));
    if (d->pointer.fd < 0)
        peers_send(&d->peers, VD_AGENT_MOUSE_STATE, body, size);
    else if (screen)
        pointer_move(&d->pointer, &state, screen);
}

/* The session does it; that it has been told is what a client hears, as from other agents. */
static void take_monitors(struct daemon *d, const uint8_t *body, uint32_t size)
{
    const VDAgentReply reply = {.type = VD_AGENT_MONITORS_CONFIG, .error = VD_AGENT_SUCCESS};

    writer_reset(&d->monitors);
    writer_bytes(&d->monitors, body, size);
    peers_send(&d->peers, VD_AGENT_MONITORS_CONFIG, body, size);
    port_send(&d->port, VD_AGENT_REPLY, &reply, sizeof(reply));
}

static void on_port_message(void *opaque, const struct message_rule *rule, const uint8_t *body, uint32_t size)
{
    struct daemon *d = opaque;

    if (rule->type == VD_AGENT_MOUSE_STATE)
        move_pointer(d, body, size);
    else if (rule->type == VD_AGENT_ANNOUNCE_CAPABILITIES)
        client_came(d, body, size);
    else if (rule->type == VD_AGENT_CLIENT_DISCONNECTED)
        client_gone(d);
    else if (rule->type == VD_AGENT_MONITORS_CONFIG)
        take_monitors(d, body, size);
    else if (clipboard_is(rule->type))
        hand_clipboard(d, rule->type, body, size);
    else
        peers_send(&d->peers, rule->type, body, size);
    if (peers_are_full(&d->peers))
        port_hold(&d->port, true);
}

/* --- from the session to the port --- */

static void on_session_message(void *opaque, uint32_t type, const uint8_t *body, uint32_t size)
{
    struct daemon *d = opaque;

    if (!d->client)
        return; /* what it says is for one that has gone */
    if (clipboard_is(type)) {
        if (clipboard_to_peer(&d->clipboard, type, body, size, &d->scratch))
            port_send(&d->port, type, d->scratch.data, (uint32_t)d->scratch.size);
        writer_trim(&d->scratch, KEEP_SCRATCH);
    } else if (type == VD_AGENT_FILE_XFER_STATUS) {
        port_send(&d->port, type, body, size);
    }
    if (port_is_full(&d->port))
        peers_hold(&d->peers, true);
}

/* --- who is there --- */

/* Nothing of the session before is left to the client. */
static void release_grabs(struct daemon *d)
{
    uint8_t body[4];

    for (uint32_t i = 0; i < CLIPBOARD_SELECTIONS; i++) {
        store_le32(body, i);
        if (d->clipboard.grabbed[i])
            on_session_message(d, VD_AGENT_CLIPBOARD_RELEASE, body, sizeof(body));
    }
}

static void welcome_session(struct daemon *d)
{
    if (d->client)
        peers_send_client(&d->peers, true, d->clipboard.caps);
    if (d->monitors.size)
        peers_send(&d->peers, VD_AGENT_MONITORS_CONFIG, d->monitors.data, (uint32_t)d->monitors.size);
    peers_hold(&d->peers, port_is_full(&d->port));
    port_hold(&d->port, false);
}

static void on_active_changed(void *opaque)
{
    struct daemon *d = opaque;

    if (d->session != d->peers.active) {
        d->session = d->peers.active;
        pointer_release(&d->pointer);
        release_grabs(d);
        welcome_session(d);
    }
    port_want(&d->port, peers_screen(&d->peers) != NULL);
}

static void on_port_opened(void *opaque)
{
    announce(opaque, true);
}

static void on_port_closed(void *opaque)
{
    struct daemon *d = opaque;

    client_gone(d);
    peers_hold(&d->peers, false);
}

static void on_port_drained(void *opaque)
{
    struct daemon *d = opaque;

    peers_hold(&d->peers, false);
}

static void on_session_drained(void *opaque)
{
    struct daemon *d = opaque;

    port_hold(&d->port, false);
}

static const struct port_ops port_ops = {on_port_opened, on_port_closed, on_port_message, on_port_drained};
static const struct peers_ops peers_ops = {on_active_changed, on_session_message, on_session_drained};

void daemon_init(struct daemon *d, struct loop *loop, const char *port, const struct seat *seat,
                 const struct pointer *pointer)
{
    *d = (struct daemon){.pointer = *pointer};
    writer_init(&d->monitors, KIB(4));
    writer_init(&d->scratch, CLIPBOARD_MAX + KIB(1));
    port_init(&d->port, loop, port, &port_ops, d);
    peers_init(&d->peers, loop, seat, &peers_ops, d);
}

void daemon_fini(struct daemon *d)
{
    peers_fini(&d->peers);
    port_fini(&d->port);
    pointer_close(&d->pointer);
    writer_fini(&d->monitors);
    writer_fini(&d->scratch);
}
