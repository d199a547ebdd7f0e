#include "client/agent.h"

#include "client/session.h"

#include <spice/vd_agent.h>
#include <string.h>

/* One message, which fits a chunk. */
static int send_message(struct agent *a, struct channel *c, uint32_t type, const void *body, uint32_t size)
{
    uint8_t data[sizeof(VDAgentMessage) + AGENT_MAX_LAYOUT];
    const VDAgentMessage head = {.protocol = VD_AGENT_PROTOCOL, .type = type, .size = size};
    struct spice_data chunk = {(uint32_t)sizeof(head) + size, data};

    static_assert(sizeof(data) <= VD_AGENT_MAX_DATA_SIZE, "every message fits a chunk");
    memcpy(data, &head, sizeof(head));
    memcpy(data + sizeof(head), body, size);
    a->tokens--;
    return channel_send(c, SPICE_MSGC_MAIN_AGENT_DATA, &chunk);
}

static int announce(struct agent *a, struct channel *c)
{
    uint8_t body[8];

    store_le32(body, 0); /* its own are not asked for */
    store_le32(body + 4, 1u << VD_AGENT_CAP_MONITORS_CONFIG | 1u << VD_AGENT_CAP_SPARSE_MONITORS_CONFIG |
                             1u << VD_AGENT_CAP_MONITORS_CONFIG_POSITION);
    a->announced = true;
    return send_message(a, c, VD_AGENT_ANNOUNCE_CAPABILITIES, body, sizeof(body));
}

static int send_layout(struct agent *a, struct channel *c)
{
    struct screen *screen = c->session->screen;
    uint8_t body[AGENT_MAX_LAYOUT];
    uint32_t size;
    bool any;

    screen_lock(screen);
    any = screen->wanted.count > 0;
    size = agent_write_layout(&screen->wanted, body);
    screen_unlock(screen);
    a->stale = false;
    return any ? send_message(a, c, VD_AGENT_MONITORS_CONFIG, body, size) : 0;
}

static int go_on(struct agent *a, struct channel *c)
{
    int err = 0;

    if (a->connected && !a->announced && a->tokens)
        err = announce(a, c);
    if (!err && a->connected && a->stale && a->tokens)
        err = send_layout(a, c);
    return err;
}

int agent_set_connected(struct agent *a, struct channel *c, bool connected, uint32_t tokens)
{
    /* What it may send is not bounded: it is not kept. */
    struct spice_msg_main_agent_tokens start = {UINT32_MAX};
    struct screen *screen = c->session->screen;
    int err = 0;

    *a = (struct agent){.connected = connected, .stale = connected, .tokens = tokens};
    screen_lock(screen);
    screen->agent = connected;
    screen_unlock(screen);
    screen_wake(screen);
    if (connected)
        err = channel_send(c, SPICE_MSGC_MAIN_AGENT_START, &start);
    return err ? err : go_on(a, c);
}

int agent_add_tokens(struct agent *a, struct channel *c, uint32_t tokens)
{
    a->tokens += MIN(tokens, UINT32_MAX - a->tokens);
    return go_on(a, c);
}

int agent_layout_changed(struct agent *a, struct channel *c)
{
    a->stale = true;
    return go_on(a, c);
}
