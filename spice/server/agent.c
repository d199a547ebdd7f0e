#include "spice/server/agent.h"

#include <errno.h>

/* The size of the message that begins in s->data, header included. */
static uint64_t message_size(const struct agent_stream *s)
{
    return sizeof(VDAgentMessage) + (uint64_t)load_le32(s->data + offsetof(VDAgentMessage, size));
}

/* Bytes that the message at hand still needs; of one whose header is not there yet, that header. */
static uint32_t missing(const struct agent_stream *s)
{
    if (s->have < sizeof(VDAgentMessage))
        return (uint32_t)sizeof(VDAgentMessage) - s->have;
    return (uint32_t)message_size(s) - s->have;
}

bool agent_stream_is_sane(const uint8_t *data, uint32_t have)
{
    struct agent_stream s = {.have = have};

    if (have < sizeof(VDAgentMessage))
        return true;
    if (have > sizeof(s.data))
        return false;
    memcpy(s.data, data, sizeof(VDAgentMessage));
    return message_size(&s) <= sizeof(s.data) && message_size(&s) > have;
}

static void finish(struct agent_stream *s, agent_message_fn *fn, void *opaque)
{
    const uint8_t *type = s->data + offsetof(VDAgentMessage, type);

    if (load_le32(s->data) == VD_AGENT_PROTOCOL)
        fn(opaque, load_le32(type), s->data + sizeof(VDAgentMessage), s->have - (uint32_t)sizeof(VDAgentMessage));
    s->have = 0;
}

void agent_take(struct agent_stream *s, const struct spice_data *chunk, agent_message_fn *fn, void *opaque)
{
    const uint8_t *p = chunk->data;
    uint32_t left = chunk->size;

    while (left) {
        uint32_t n = (uint32_t)MIN(s->skip ? s->skip : missing(s), left);

        if (s->skip) {
            s->skip -= n;
        } else {
            memcpy(s->data + s->have, p, n);
            s->have += n;
        }
        p += n;
        left -= n;
        if (s->have < sizeof(VDAgentMessage))
            continue;
        if (message_size(s) > sizeof(s->data)) {
            s->skip = message_size(s) - s->have;
            s->have = 0;
        } else if (!missing(s)) {
            finish(s, fn, opaque);
        }
    }
}

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

bool agent_asks_capabilities(const uint8_t *body, uint32_t size)
{
    return size >= sizeof(VDAgentAnnounceCapabilities) && load_le32(body);
}

uint32_t agent_write_capabilities(uint8_t message[AGENT_CAPABILITIES_SIZE])
{
    const VDAgentMessage head = {.protocol = VD_AGENT_PROTOCOL,
                                 .type = VD_AGENT_ANNOUNCE_CAPABILITIES,
                                 .size = AGENT_CAPABILITIES_SIZE - sizeof(head)};

    static_assert(VD_AGENT_END_CAP <= 32, "one word holds all capabilities");
    memcpy(message, &head, sizeof(head));
    store_le32(message + sizeof(head), 0); /* nothing is asked */
    store_le32(message + sizeof(head) + 4, 1u << VD_AGENT_CAP_MONITORS_CONFIG | 1u << VD_AGENT_CAP_SPARSE_MONITORS_CONFIG |
                                               1u << VD_AGENT_CAP_MONITORS_CONFIG_POSITION);
    return AGENT_CAPABILITIES_SIZE;
}
