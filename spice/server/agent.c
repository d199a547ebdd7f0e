#include "spice/server/agent.h"

#include "base/log.h"

#include <errno.h>

#define HEADER ((uint32_t)sizeof(VDAgentMessage))

/* --- the stream --- */

uint32_t agent_message_type(const uint8_t *message)
{
    return load_le32(message + offsetof(VDAgentMessage, type));
}

static uint32_t body_size(const uint8_t *message)
{
    return load_le32(message + offsetof(VDAgentMessage, size));
}

void agent_stream_skip(struct agent_stream *s)
{
    s->verdict = AGENT_SKIP;
    s->have = 0;
}

bool agent_stream_is_idle(const struct agent_stream *s)
{
    return !s->left && !s->have;
}

bool agent_is_beginning(const uint8_t *data, uint32_t have)
{
    if (have < HEADER)
        return true;
    return have < AGENT_PIECE && body_size(data) <= AGENT_PIECE - HEADER && HEADER + body_size(data) > have;
}

static enum agent_verdict judge(const struct agent_stream *s, const struct agent_stream_ops *ops, void *opaque)
{
    uint32_t type = agent_message_type(s->piece), size = body_size(s->piece);
    enum agent_verdict verdict;

    if (load_le32(s->piece) != VD_AGENT_PROTOCOL)
        return AGENT_SKIP;
    verdict = size <= AGENT_MAX_MESSAGE - HEADER ? ops->judge(opaque, type, size) : AGENT_SKIP;
    if (size <= AGENT_MAX_MESSAGE - HEADER && (verdict != AGENT_KEEP || size <= AGENT_PIECE - HEADER))
        return verdict;
    log_once(LOG_WARN, "spice: a message of %u bytes (type %u) between a client and the guest's agent is too long; "
                       "skipped", size, type);
    return AGENT_SKIP;
}

/* What is in the piece goes; at the end of the message that is all of it. */
static void hand_on(struct agent_stream *s, const struct agent_stream_ops *ops, void *opaque)
{
    uint32_t size = s->have;
    uint8_t verdict = s->verdict;

    s->have = 0;
    if (!s->left)
        s->verdict = AGENT_SKIP;
    if (verdict == AGENT_PASS)
        ops->pass(opaque, s->piece, size);
    else if (verdict == AGENT_KEEP)
        ops->kept(opaque, s->piece, size);
}

static size_t take_header(struct agent_stream *s, const uint8_t *data, size_t size, const struct agent_stream_ops *ops,
                          void *opaque)
{
    uint32_t n = (uint32_t)MIN(size, HEADER - s->have);

    memcpy(s->piece + s->have, data, n);
    s->have += n;
    if (s->have < HEADER)
        return n;
    s->verdict = (uint8_t)judge(s, ops, opaque);
    s->left = body_size(s->piece);
    if (!s->left)
        hand_on(s, ops, opaque);
    else if (s->verdict == AGENT_SKIP)
        s->have = 0;
    return n;
}

static size_t take_body(struct agent_stream *s, const uint8_t *data, size_t size, const struct agent_stream_ops *ops,
                        void *opaque)
{
    bool skip = s->verdict == AGENT_SKIP;
    uint32_t n = (uint32_t)MIN(size, skip ? s->left : MIN(s->left, AGENT_PIECE - s->have));

    if (!skip)
        memcpy(s->piece + s->have, data, n);
    s->have += skip ? 0 : n;
    s->left -= n;
    if (!s->left || s->have == AGENT_PIECE)
        hand_on(s, ops, opaque);
    return n;
}

size_t agent_take(struct agent_stream *s, const uint8_t *data, size_t size, const struct agent_stream_ops *ops,
                  void *opaque)
{
    size_t taken = 0;

    while (taken < size && !(ops->full && ops->full(opaque)))
        taken += (s->left ? take_body : take_header)(s, data + taken, size - taken, ops, opaque);
    return taken;
}

/* --- who may say what --- */

enum kind { ANYTHING, CLIPBOARD, FILES };

/* Those that are not here are newer than this, and pass. */
static const struct rule {
    uint8_t sides; /* enum agent_side: who may say it; 0: only the server */
    uint8_t kind;
} rules[VD_AGENT_END_MESSAGE] = {
    [VD_AGENT_MOUSE_STATE] = {0, ANYTHING},
    [VD_AGENT_MONITORS_CONFIG] = {AGENT_CLIENT, ANYTHING},
    [VD_AGENT_REPLY] = {AGENT_GUEST, ANYTHING},
    [VD_AGENT_CLIPBOARD] = {AGENT_CLIENT | AGENT_GUEST, CLIPBOARD},
    [VD_AGENT_DISPLAY_CONFIG] = {AGENT_CLIENT, ANYTHING},
    [VD_AGENT_ANNOUNCE_CAPABILITIES] = {AGENT_CLIENT | AGENT_GUEST, ANYTHING},
    [VD_AGENT_CLIPBOARD_GRAB] = {AGENT_CLIENT | AGENT_GUEST, CLIPBOARD},
    [VD_AGENT_CLIPBOARD_REQUEST] = {AGENT_CLIENT | AGENT_GUEST, CLIPBOARD},
    [VD_AGENT_CLIPBOARD_RELEASE] = {AGENT_CLIENT | AGENT_GUEST, CLIPBOARD},
    [VD_AGENT_FILE_XFER_START] = {AGENT_CLIENT, FILES},
    [VD_AGENT_FILE_XFER_STATUS] = {AGENT_CLIENT | AGENT_GUEST, FILES},
    [VD_AGENT_FILE_XFER_DATA] = {AGENT_CLIENT, FILES},
    [VD_AGENT_CLIENT_DISCONNECTED] = {0, ANYTHING},
    [VD_AGENT_MAX_CLIPBOARD] = {AGENT_CLIENT, CLIPBOARD},
    [VD_AGENT_AUDIO_VOLUME_SYNC] = {AGENT_CLIENT, ANYTHING},
    [VD_AGENT_GRAPHICS_DEVICE_INFO] = {0, ANYTHING},
};

bool agent_may_say(const struct agent_filter *filter, enum agent_side side, uint32_t type)
{
    const struct rule *rule = type < ARRAY_SIZE(rules) ? &rules[type] : NULL;

    if (!rule)
        return true;
    return rule->sides & side && !(filter->no_clipboard && rule->kind == CLIPBOARD) &&
           !(filter->no_files && rule->kind == FILES);
}

/* --- monitors --- */

/* A place far away or a monitor larger than any is nothing that a client shows. */
static bool is_sane(const VDAgentMonConfig *m)
{
    return m->width <= DISPLAY_MAX_WIDTH && m->height <= DISPLAY_MAX_HEIGHT && m->x >= 0 &&
           m->x <= DISPLAY_MAX_HEADS * DISPLAY_MAX_WIDTH && m->y >= 0 && m->y <= DISPLAY_MAX_HEADS * DISPLAY_MAX_HEIGHT;
}

static void place_side_by_side(struct display_head *heads, uint32_t count)
{
    int32_t x = 0;

    for (uint32_t i = 0; i < count; i++) {
        heads[i].x = x;
        heads[i].y = 0;
        x += (int32_t)heads[i].width;
    }
}

int agent_read_monitors(const uint8_t *body, uint32_t size, struct display_head heads[DISPLAY_MAX_HEADS])
{
    VDAgentMonitorsConfig config;
    VDAgentMonConfig monitor;
    uint32_t count;

    if (size < sizeof(config))
        return -EINVAL;
    memcpy(&config, body, sizeof(config));
    if (config.num_of_monitors > (size - sizeof(config)) / sizeof(monitor))
        return -EINVAL;
    count = MIN(config.num_of_monitors, DISPLAY_MAX_HEADS);
    for (uint32_t i = 0; i < count; i++) {
        memcpy(&monitor, body + sizeof(config) + i * sizeof(monitor), sizeof(monitor));
        if (!is_sane(&monitor))
            return -EINVAL;
        heads[i] = (struct display_head){i, monitor.x, monitor.y, monitor.width, monitor.height};
        if (!monitor.width || !monitor.height)
            heads[i].width = heads[i].height = 0;
    }
    if (!(config.flags & VD_AGENT_CONFIG_MONITORS_FLAG_USE_POS))
        place_side_by_side(heads, count);
    return (int)count;
}

uint32_t agent_trim_monitors(uint8_t *message, uint32_t size)
{
    uint8_t *count = message + HEADER, *flags = count + sizeof(uint32_t);
    uint64_t body = size < HEADER + sizeof(VDAgentMonitorsConfig)
                        ? UINT64_MAX
                        : sizeof(VDAgentMonitorsConfig) + (uint64_t)load_le32(count) * sizeof(VDAgentMonConfig);

    if (body >= size - HEADER || !(load_le32(flags) & VD_AGENT_CONFIG_MONITORS_FLAG_PHYSICAL_SIZE))
        return size;
    store_le32(flags, load_le32(flags) & ~VD_AGENT_CONFIG_MONITORS_FLAG_PHYSICAL_SIZE);
    store_le32(message + offsetof(VDAgentMessage, size), (uint32_t)body);
    return HEADER + (uint32_t)body;
}

/* --- capabilities --- */

/* Of the message, header included. */
#define CAPS_AT (HEADER + (uint32_t)sizeof(VDAgentAnnounceCapabilities))

bool agent_asks_capabilities(const uint8_t *message, uint32_t size)
{
    return size >= CAPS_AT && load_le32(message + HEADER);
}

uint32_t agent_write_capabilities(uint8_t message[AGENT_CAPABILITIES_SIZE])
{
    const VDAgentMessage head = {.protocol = VD_AGENT_PROTOCOL,
                                 .type = VD_AGENT_ANNOUNCE_CAPABILITIES,
                                 .size = AGENT_CAPABILITIES_SIZE - sizeof(head)};

    static_assert(VD_AGENT_END_CAP <= 32, "one word holds all capabilities");
    memcpy(message, &head, sizeof(head));
    store_le32(message + sizeof(head), 0); /* nothing is asked */
    agent_set_capabilities(message, AGENT_CAPABILITIES_SIZE, AGENT_MONITOR_CAPS);
    return AGENT_CAPABILITIES_SIZE;
}

uint32_t agent_capabilities(const uint8_t *message, uint32_t size)
{
    return size >= CAPS_AT + 4 ? load_le32(message + CAPS_AT) : 0;
}

void agent_set_capabilities(uint8_t *message, uint32_t size, uint32_t caps)
{
    if (size >= CAPS_AT + 4)
        store_le32(message + CAPS_AT, caps);
}

uint32_t agent_filter_capabilities(const struct agent_filter *filter, enum agent_side side, uint32_t caps)
{
    const uint32_t clipboard = 1u << VD_AGENT_CAP_CLIPBOARD | 1u << VD_AGENT_CAP_CLIPBOARD_BY_DEMAND |
                               1u << VD_AGENT_CAP_CLIPBOARD_SELECTION;

    if (filter->no_clipboard)
        caps &= ~clipboard;
    if (filter->no_files && side == AGENT_GUEST)
        caps |= 1u << VD_AGENT_CAP_FILE_XFER_DISABLED;
    return caps;
}
