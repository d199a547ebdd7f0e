#include "client/agent.h"

#include "base/log.h"
#include "client/session.h"

#include <spice/vd_agent.h>
#include <stdlib.h>
#include <string.h>

/* A message that waits. */
struct agent_words {
    STAILQ_ENTRY(agent_words) entry;
    uint32_t type, size;
    uint8_t body[];
};

/* Words of the capabilities, as the agent's header has them. */
#define OUR_CAPS                                                                                                       \
    (1u << VD_AGENT_CAP_MONITORS_CONFIG | 1u << VD_AGENT_CAP_SPARSE_MONITORS_CONFIG |                                   \
     1u << VD_AGENT_CAP_MONITORS_CONFIG_POSITION | 1u << VD_AGENT_CAP_FILE_XFER_DETAILED_ERRORS |                       \
     1u << VD_AGENT_CAP_CLIPBOARD_BY_DEMAND | 1u << VD_AGENT_CAP_CLIPBOARD_SELECTION |                                  \
     1u << VD_AGENT_CAP_CLIPBOARD_NO_RELEASE_ON_REGRAB | 1u << VD_AGENT_CAP_CLIPBOARD_GRAB_SERIAL)

void agent_init(struct agent *a, struct channel *main_channel)
{
    *a = (struct agent){.channel = main_channel};
    agent_reader_init(&a->in);
    writer_init(&a->out, AGENT_MAX_QUEUED);
    STAILQ_INIT(&a->queue);
}

static void forget_first(struct agent *a)
{
    struct agent_words *words = STAILQ_FIRST(&a->queue);

    STAILQ_REMOVE_HEAD(&a->queue, entry);
    a->queued -= words->size;
    free(words);
}

/* It is not asked for anything any more. */
static void forget_selections(struct agent *a)
{
    struct selections *s = a->channel->session->selections;

    if (s && s->agent == a)
        selections_set_agent(s, NULL, 0);
}

static void forget_queue(struct agent *a)
{
    while (!STAILQ_EMPTY(&a->queue))
        forget_first(a);
}

void agent_fini(struct agent *a)
{
    outbox_restart(a->channel->session->outbox);
    forget_selections(a);
    forget_queue(a);
    agent_reader_fini(&a->in);
    writer_fini(&a->out);
}

/* --- what is said to it --- */

/* Its own are asked for. */
static bool write_caps(struct agent *a)
{
    if (a->announced)
        return false;
    a->announced = true;
    agent_message_begin(&a->out, VD_AGENT_ANNOUNCE_CAPABILITIES);
    writer_u32(&a->out, 1);
    writer_u32(&a->out, OUR_CAPS);
    agent_message_end(&a->out);
    return true;
}

static bool write_layout(struct agent *a)
{
    struct screen *screen = a->channel->session->screen;
    uint8_t body[AGENT_MAX_LAYOUT];
    uint32_t size;
    bool any;

    if (!a->stale)
        return false;
    a->stale = false;
    screen_lock(screen);
    any = screen->wanted.count > 0;
    size = agent_write_layout(&screen->wanted, body);
    screen_unlock(screen);
    if (!any)
        return false;
    agent_message_begin(&a->out, VD_AGENT_MONITORS_CONFIG);
    writer_bytes(&a->out, body, size);
    agent_message_end(&a->out);
    return true;
}

static bool write_queued(struct agent *a)
{
    const struct agent_words *words = STAILQ_FIRST(&a->queue);

    if (!words)
        return false;
    agent_message_begin(&a->out, words->type);
    writer_bytes(&a->out, words->body, words->size);
    agent_message_end(&a->out);
    forget_first(a);
    return true;
}

/* The first that has something to say. */
static bool write_message(struct agent *a)
{
    writer_trim(&a->out, KIB(128));
    a->out_sent = 0;
    return write_caps(a) || write_layout(a) || write_queued(a) || outbox_write(a->channel->session->outbox, &a->out);
}

static int send_chunk(struct agent *a)
{
    uint8_t *data = a->out.data + a->out_sent;
    struct spice_data chunk = {(uint32_t)MIN(a->out.size - a->out_sent, AGENT_MAX_CHUNK), data};

    a->out_sent += chunk.size;
    a->tokens--;
    return channel_send(a->channel, SPICE_MSGC_MAIN_AGENT_DATA, &chunk);
}

int agent_go_on(struct agent *a)
{
    int err = 0;

    while (!err && a->connected && a->tokens && !stream_is_behind(&a->channel->stream)) {
        if (a->out_sent == a->out.size && !write_message(a))
            break;
        err = a->out.bad ? -ENOMEM : send_chunk(a);
    }
    session_outbox_changed(a->channel->session);
    return err;
}

void agent_say(struct agent *a, uint32_t type, const void *body, uint32_t size)
{
    struct agent_words *words;

    if (!a->connected)
        return;
    words = size > AGENT_MAX_QUEUED / 2 || size > AGENT_MAX_QUEUED - a->queued ? NULL : malloc(sizeof(*words) + size);
    if (!words) {
        log_warn("what was copied, %u bytes, is more than the guest's agent takes now", size);
        return;
    }
    words->type = type;
    words->size = size;
    if (size)
        memcpy(words->body, body, size);
    STAILQ_INSERT_TAIL(&a->queue, words, entry);
    a->queued += size;
    agent_go_on(a);
}

/* --- what it says --- */

static int hear(void *opaque, uint32_t type, const uint8_t *body, uint32_t size)
{
    struct agent *a = opaque;
    struct session *s = a->channel->session;

    if (type == VD_AGENT_FILE_XFER_STATUS)
        outbox_status(s->outbox, body, size);
    else if (type == VD_AGENT_ANNOUNCE_CAPABILITIES && size >= 8 && s->selections)
        selections_set_agent(s->selections, a, load_le32(body + 4));
    else if (clipboard_is(type) && s->selections)
        selections_hear(s->selections, type, body, size);
    return 0;
}

int agent_hear(struct agent *a, const uint8_t *data, size_t size)
{
    int err = agent_read(&a->in, data, size, hear, a);

    return err ? err : agent_go_on(a);
}

/* --- whether it is there --- */

int agent_set_connected(struct agent *a, bool connected, uint32_t tokens)
{
    /* What it may send is not bounded: nothing of it is kept for long. */
    struct spice_msg_main_agent_tokens start = {UINT32_MAX};
    struct screen *screen = a->channel->session->screen;
    int err = 0;

    a->connected = false;
    forget_selections(a);
    forget_queue(a);
    agent_reader_fini(&a->in);
    agent_reader_init(&a->in);
    outbox_restart(a->channel->session->outbox);
    a->connected = a->stale = connected;
    a->announced = false;
    a->tokens = tokens;
    screen_lock(screen);
    screen->agent = connected;
    screen_unlock(screen);
    screen_wake(screen);
    if (connected)
        err = channel_send(a->channel, SPICE_MSGC_MAIN_AGENT_START, &start);
    return err ? err : agent_go_on(a);
}

int agent_add_tokens(struct agent *a, uint32_t tokens)
{
    a->tokens += MIN(tokens, UINT32_MAX - a->tokens);
    return agent_go_on(a);
}

int agent_layout_changed(struct agent *a)
{
    a->stale = true;
    return agent_go_on(a);
}
