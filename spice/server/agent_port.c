#include "spice/server/agent_port.h"

#include "base/log.h"
#include "spice/server/agent_devices.h"
#include "spice/server/private.h"

#include <errno.h>
#include <stdlib.h>

#define CHUNK_HEADER ((uint32_t)sizeof(VDIChunkHeader))
#define CHUNK_MAX    (CHUNK_HEADER + AGENT_PIECE)

/* What the agent has still to be told by the server; each once, however often it became true. */
enum { TELL_CLIENT_GONE = 1, TELL_DEVICES = 2 };

struct agent_port {
    struct chardev base;
    struct spice_server *server;
    bool open;
    bool introduced; /* the agent has heard of a client */
    uint32_t caps;   /* that it has announced */

    /* From the guest: the chunk at hand, and the messages to the client. */
    uint8_t header[sizeof(VDIChunkHeader)];
    uint32_t have, left, stream; /* bytes of the header; of its chunk that have not come; whose it is */
    struct agent_stream messages;
    bool stuck; /* the guest waits until the client takes more */

    /* To the guest: the chunk at hand, and what waits. */
    uint8_t chunk[CHUNK_MAX];
    uint32_t size, sent;
    uint8_t tell;
    VDAgentMouseState states[AGENT_PORT_STATES]; /* a ring */
    unsigned first, count;
    VDAgentMouseState pointer; /* the newest */
    struct writer queue; /* the client's chunks, from `at` on */
    size_t at;
};

static struct agent_port *port_of(struct chardev *c)
{
    return container_of(c, struct agent_port, base);
}

struct chardev *agent_port_chardev(struct agent_port *p)
{
    return &p->base;
}

bool agent_port_is_open(const struct agent_port *p)
{
    return p && p->open;
}

bool agent_port_can_point(const struct agent_port *p)
{
    return agent_port_is_open(p) && p->server->agent_mouse && p->caps & 1u << VD_AGENT_CAP_MOUSE_STATE;
}

/* --- to the guest --- */

static void begin_chunk(struct agent_port *p, uint32_t stream, uint32_t size)
{
    store_le32(p->chunk, stream);
    store_le32(p->chunk + sizeof(uint32_t), size);
    p->size = CHUNK_HEADER + size;
    p->sent = 0;
}

/* A message of the server's, in one chunk. */
static void compose(struct agent_port *p, uint32_t type, const void *body, uint32_t size)
{
    const VDAgentMessage message = {.protocol = VD_AGENT_PROTOCOL, .type = type, .size = size};

    begin_chunk(p, VDP_SERVER_PORT, sizeof(message) + size);
    memcpy(p->chunk + CHUNK_HEADER, &message, sizeof(message));
    if (size)
        memcpy(p->chunk + CHUNK_HEADER + sizeof(message), body, size);
}

static void compose_devices(struct agent_port *p)
{
    uint8_t body[AGENT_PIECE - sizeof(VDAgentMessage)];

    compose(p, VD_AGENT_GRAPHICS_DEVICE_INFO, body, agent_write_devices(p->server, body, sizeof(body)));
}

static void take_from_queue(struct agent_port *p)
{
    p->size = CHUNK_HEADER + load_le32(p->queue.data + p->at + sizeof(uint32_t));
    p->sent = 0;
    memcpy(p->chunk, p->queue.data + p->at, p->size);
    p->at += p->size;
    if (p->at == p->queue.size) {
        writer_trim(&p->queue, CHUNK_MAX);
        p->at = 0;
    }
}

/* False: nothing waits. */
static bool next_chunk(struct agent_port *p)
{
    if (p->tell & TELL_CLIENT_GONE) {
        compose(p, VD_AGENT_CLIENT_DISCONNECTED, NULL, 0);
        p->tell &= (uint8_t)~TELL_CLIENT_GONE;
    } else if (p->tell & TELL_DEVICES) {
        compose_devices(p);
        p->tell &= (uint8_t)~TELL_DEVICES;
    } else if (p->count) {
        compose(p, VD_AGENT_MOUSE_STATE, &p->states[p->first], sizeof(p->states[0]));
        p->first = (p->first + 1) % AGENT_PORT_STATES;
        p->count--;
    } else if (p->at < p->queue.size) {
        take_from_queue(p);
    } else {
        return false;
    }
    return true;
}

static void pump(struct agent_port *p)
{
    const struct chardev_front_ops *front = p->base.front_ops;
    size_t n;

    while (p->open && front && (p->sent < p->size || next_chunk(p))) {
        n = MIN(front->can_read(p->base.front), p->size - p->sent);
        if (!n)
            break;
        front->read(p->base.front, p->chunk + p->sent, n);
        p->sent += (uint32_t)n;
    }
    if (agent_port_has_room(p))
        main_channel_agent_has_room(p->server);
}

static void drop_queue(struct agent_port *p)
{
    writer_trim(&p->queue, 0);
    p->at = 0;
}

bool agent_port_has_room(const struct agent_port *p)
{
    return p->queue.size - p->at <= AGENT_PORT_QUEUE / 2;
}

/* What was taken out is dropped when that is most of it. */
static void make_room(struct agent_port *p)
{
    if (p->at < p->queue.size - p->at)
        return;
    memmove(p->queue.data, p->queue.data + p->at, p->queue.size - p->at);
    p->queue.size -= p->at;
    p->at = 0;
}

bool agent_port_say(struct agent_port *p, const uint8_t *piece, uint32_t size)
{
    uint8_t *to;

    if (!p->open)
        return true; /* to nobody */
    if (p->queue.size - p->at + CHUNK_HEADER + size > AGENT_PORT_QUEUE)
        return false;
    if (p->at)
        make_room(p);
    to = writer_extend(&p->queue, CHUNK_HEADER + size);
    if (!to)
        return false;
    store_le32(to, VDP_CLIENT_PORT);
    store_le32(to + sizeof(uint32_t), size);
    memcpy(to + CHUNK_HEADER, piece, size);
    p->introduced = true;
    pump(p);
    return true;
}

/* --- the pointer --- */

/* Motions with the same buttons melt; when too many states wait the newest takes the place of the last. */
static void show(struct agent_port *p)
{
    VDAgentMouseState *last = p->count ? &p->states[(p->first + p->count - 1) % AGENT_PORT_STATES] : NULL;

    if (!p->open)
        return;
    if (last && (last->buttons == p->pointer.buttons || p->count == AGENT_PORT_STATES))
        *last = p->pointer;
    else
        p->states[(p->first + p->count++) % AGENT_PORT_STATES] = p->pointer;
    pump(p);
}

/* SPICE_MOUSE_BUTTON_MASK_* without the wheel's. */
static uint32_t agent_buttons(unsigned buttons)
{
    static_assert(VD_AGENT_LBUTTON_MASK == SPICE_MOUSE_BUTTON_MASK_LEFT << 1 &&
                      VD_AGENT_EBUTTON_MASK == SPICE_MOUSE_BUTTON_MASK_EXTRA << 1,
                  "one bit higher");
    return buttons << 1 & ~(uint32_t)(VD_AGENT_UBUTTON_MASK | VD_AGENT_DBUTTON_MASK);
}

void agent_port_point(struct agent_port *p, uint32_t number, uint32_t x, uint32_t y, unsigned buttons)
{
    if (number > UINT8_MAX)
        return;
    p->pointer = (VDAgentMouseState){.x = MIN(x, DISPLAY_MAX_WIDTH - 1), .y = MIN(y, DISPLAY_MAX_HEIGHT - 1),
                                     .buttons = agent_buttons(buttons), .display_id = (uint8_t)number};
    show(p);
}

/* The wheel's notches are buttons that are pressed and let go of. */
void agent_port_press(struct agent_port *p, unsigned buttons, int wheel)
{
    uint32_t held = agent_buttons(buttons);

    if (wheel) {
        p->pointer.buttons = held | (wheel < 0 ? VD_AGENT_UBUTTON_MASK : VD_AGENT_DBUTTON_MASK);
        show(p);
    }
    p->pointer.buttons = held;
    show(p);
}

/* --- from the guest --- */

static enum agent_verdict judge(void *opaque, uint32_t type, uint32_t size UNUSED)
{
    struct agent_port *p = opaque;

    if (type == VD_AGENT_ANNOUNCE_CAPABILITIES)
        return AGENT_KEEP;
    if (!main_channel_of_agent(p->server))
        return AGENT_SKIP;
    if (agent_may_say(&p->server->agent_filter, AGENT_GUEST, type))
        return AGENT_PASS;
    log_once(LOG_INFO, "spice: the guest's agent says to the client what it may not (message %u); skipped", type);
    return AGENT_SKIP;
}

static void pass(void *opaque, const uint8_t *piece, uint32_t size)
{
    struct agent_port *p = opaque;
    struct channel *client = main_channel_of_agent(p->server);

    if (client)
        main_channel_send_piece(client, piece, size);
}

static void set_caps(struct agent_port *p, uint32_t caps)
{
    bool could = agent_port_can_point(p);

    p->caps = caps;
    if (caps & 1u << VD_AGENT_CAP_GRAPHICS_DEVICE_INFO)
        p->tell |= TELL_DEVICES;
    if (could != agent_port_can_point(p))
        server_pointing_changed(p->server);
}

static void kept(void *opaque, uint8_t *message, uint32_t size)
{
    struct agent_port *p = opaque;
    uint32_t caps = agent_capabilities(message, size);

    set_caps(p, caps);
    caps = agent_filter_capabilities(&p->server->agent_filter, AGENT_GUEST, caps);
    if (p->server->takes_heads)
        caps |= AGENT_MONITOR_CAPS;
    agent_set_capabilities(message, size, caps);
    pass(p, message, size);
}

static bool full(void *opaque)
{
    struct agent_port *p = opaque;
    struct channel *client = main_channel_of_agent(p->server);

    return client && !main_channel_takes_piece(client);
}

static const struct agent_stream_ops from_guest = {.judge = judge, .kept = kept, .pass = pass, .full = full};

static size_t take_chunk_header(struct agent_port *p, const uint8_t *data, size_t size)
{
    uint32_t n = (uint32_t)MIN(size, CHUNK_HEADER - p->have);

    memcpy(p->header + p->have, data, n);
    p->have += n;
    if (p->have < CHUNK_HEADER)
        return n;
    p->have = 0;
    p->stream = load_le32(p->header);
    p->left = load_le32(p->header + sizeof(uint32_t));
    if (p->stream != VDP_CLIENT_PORT)
        log_once(LOG_INFO, "spice: the guest's agent speaks on its port %u, which nobody listens to; skipped",
                 p->stream);
    return n;
}

static size_t take_chunk(struct agent_port *p, const uint8_t *data, size_t size)
{
    size_t n = MIN(size, p->left);

    if (p->stream == VDP_CLIENT_PORT)
        n = agent_take(&p->messages, data, n, &from_guest, p);
    p->left -= (uint32_t)n;
    return n;
}

static size_t write_port(struct chardev *c, const uint8_t *data, size_t size)
{
    struct agent_port *p = port_of(c);
    size_t taken = 0, n = 1;

    while (taken < size && n) {
        n = p->left ? take_chunk(p, data + taken, size - taken) : take_chunk_header(p, data + taken, size - taken);
        taken += n;
    }
    p->stuck = taken < size;
    if (p->tell)
        pump(p);
    return taken;
}

void agent_port_go_on(struct agent_port *p)
{
    if (!p || !p->stuck || !p->base.front_ops)
        return;
    p->stuck = false;
    p->base.front_ops->writable(p->base.front);
}

/* --- its client --- */

bool agent_port_is_idle(const struct agent_port *p)
{
    bool between = agent_stream_is_idle(&p->messages) || p->messages.verdict == AGENT_SKIP;

    return !p->introduced || (between && p->at == p->queue.size);
}

void agent_port_forget_client(struct agent_port *p)
{
    if (!p || !p->open)
        return;
    drop_queue(p);
    if (p->messages.left && p->messages.verdict == AGENT_PASS) {
        p->messages.verdict = AGENT_SKIP;
        p->messages.have = 0;
    }
    if (p->introduced)
        p->tell |= TELL_CLIENT_GONE;
    p->introduced = false;
    pump(p);
    agent_port_go_on(p);
}

/* --- as a chardev --- */

/* Nothing is between the agent and us. */
static void forget_streams(struct agent_port *p)
{
    p->introduced = p->stuck = false;
    p->caps = p->have = p->left = 0;
    p->size = p->sent = p->count = p->tell = 0;
    p->messages = (struct agent_stream){0};
    drop_queue(p);
}

static void start(struct agent_port *p)
{
    p->open = true;
    log_info("spice: the guest's agent is there");
}

static void end(struct agent_port *p)
{
    p->open = false;
    forget_streams(p);
    log_info("spice: the guest's agent has gone");
}

/* Whatever was half said is forgotten on this side; a new agent knows nothing of it. */
static void front_opened(struct chardev *c, bool open)
{
    struct agent_port *p = port_of(c);
    bool could = agent_port_can_point(p);

    if (p->open == open)
        return;
    if (open)
        start(p);
    else
        end(p);
    if (could != agent_port_can_point(p))
        server_pointing_changed(p->server);
    server_agent_changed(p->server);
}

static void accept_input(struct chardev *c)
{
    pump(port_of(c));
}

static void save(struct chardev *c, struct writer *w)
{
    const struct agent_port *p = port_of(c);

    writer_u32(w, p->caps);
    writer_u8(w, p->introduced);
    writer_u32(w, p->have);
    writer_bytes(w, p->header, sizeof(p->header));
    writer_u32(w, p->left);
    writer_u32(w, p->stream);
    writer_u32(w, p->messages.have);
    writer_bytes(w, p->messages.piece, p->messages.have);
    writer_u32(w, p->messages.left);
    writer_u8(w, p->messages.verdict);
    writer_u32(w, p->size - p->sent);
    writer_bytes(w, p->chunk + p->sent, p->size - p->sent);
}

static int load_stream(struct agent_stream *s, struct reader *r)
{
    s->have = reader_u32(r);
    if (s->have > sizeof(s->piece))
        return -EINVAL;
    reader_copy(r, s->piece, s->have);
    s->left = reader_u32(r);
    s->verdict = reader_u8(r);
    if (s->verdict > AGENT_KEEP || (!s->left && s->have >= sizeof(VDAgentMessage)))
        return -EINVAL;
    return s->left && s->have == sizeof(s->piece) ? -EINVAL : 0;
}

static bool load_port(struct agent_port *p, struct reader *r)
{
    p->caps = reader_u32(r);
    p->introduced = reader_u8(r);
    p->have = reader_u32(r);
    reader_copy(r, p->header, sizeof(p->header));
    p->left = reader_u32(r);
    p->stream = reader_u32(r);
    if (p->have >= CHUNK_HEADER || load_stream(&p->messages, r))
        return false;
    p->size = reader_u32(r);
    if (p->size > sizeof(p->chunk))
        return false;
    reader_copy(r, p->chunk, p->size);
    return !r->bad;
}

/* The client that it had is not here, unless its session comes from another server. */
static int load(struct chardev *c, struct reader *r)
{
    struct agent_port *p = port_of(c);
    bool could = agent_port_can_point(p), good;

    forget_streams(p);
    good = load_port(p, r);
    if (!good)
        forget_streams(p);
    else if (!p->server->expects)
        agent_port_forget_client(p);
    if (could != agent_port_can_point(p))
        server_pointing_changed(p->server);
    return good ? 0 : -EINVAL;
}

/* The loops know it no more; the device has let go of it. */
static void destroy(struct chardev *c)
{
    struct agent_port *p = port_of(c);

    writer_fini(&p->queue);
    free(p);
}

static const struct chardev_ops ops = {write_port, accept_input, front_opened, save, load, destroy};

struct agent_port *agent_port_create(struct spice_server *server)
{
    struct agent_port *p = calloc(1, sizeof(*p));

    if (!p)
        return NULL;
    p->base = (struct chardev){.ops = &ops, .connected = true};
    p->server = server;
    writer_init(&p->queue, 2 * AGENT_PORT_QUEUE);
    return p;
}

void agent_port_destroy(struct agent_port *p)
{
    if (p)
        destroy(&p->base);
}
