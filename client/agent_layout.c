#include "base/bytes.h"
#include "client/agent.h"

#include <spice/vd_agent.h>

#define DEPTH 32

uint32_t agent_write_layout(const struct screen_layout *layout, uint8_t body[AGENT_MAX_LAYOUT])
{
    uint8_t *at = body + 8;
    unsigned count = MIN(layout->count, AGENT_MAX_MONITORS);

    while (count && rect_empty(&layout->monitors[count - 1]))
        count--;
    store_le32(body, count);
    store_le32(body + 4, VD_AGENT_CONFIG_MONITORS_FLAG_USE_POS);
    for (unsigned i = 0; i < count; i++, at += sizeof(VDAgentMonConfig)) {
        const struct rect *r = &layout->monitors[i];
        bool on = !rect_empty(r);

        store_le32(at, on ? (uint32_t)(r->bottom - r->top) : 0);
        store_le32(at + 4, on ? (uint32_t)(r->right - r->left) : 0);
        store_le32(at + 8, DEPTH);
        store_le32(at + 12, on ? (uint32_t)r->left : 0);
        store_le32(at + 16, on ? (uint32_t)r->top : 0);
    }
    return (uint32_t)(at - body);
}
