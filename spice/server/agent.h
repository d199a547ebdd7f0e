/*
 * agent.h - what clients say to a guest's agent: their stream of chunks becomes messages again (<spice/vd_agent.h>).
 *
 * Of the agent's work the server does one thing itself: while the guest's display drivers take monitors from a client
 * (display->takes_heads), they need no agent for that. But clients tell nobody else, so they hear of one, which can do
 * nothing but this.
 */
#ifndef SPICE_SERVER_AGENT_H
#define SPICE_SERVER_AGENT_H

#include "backend/display.h"
#include "spice/protocol/messages.h"

#include <spice/vd_agent.h>

#define AGENT_MAX_MESSAGE 4096 /* header included; what is longer is nothing that we know, and is skipped */
#define AGENT_TOKENS      10   /* chunks that a client may send before it is told to go on */

/* Of one client; zeroed at its start. */
struct agent_stream {
    uint8_t data[AGENT_MAX_MESSAGE];
    uint32_t have;
    uint64_t skip; /* bytes of a message that is too long */
};

typedef void agent_message_fn(void *opaque, uint32_t type, const uint8_t *body, uint32_t size);

/* Whether a message so far as it has come can be one. */
bool agent_stream_is_sane(const uint8_t *data, uint32_t have);

/* One chunk. fn is called for each message that it completes; the body is valid during the call. */
void agent_take(struct agent_stream *s, const struct spice_data *chunk, agent_message_fn *fn, void *opaque);

/*
 * VD_AGENT_MONITORS_CONFIG: how many monitors, by their number; those that are off have no size. Without positions they stand
 * side by side. -EINVAL: an impossible one.
 */
int agent_read_monitors(const uint8_t *body, uint32_t size, struct display_head heads[DISPLAY_MAX_HEADS]);
/* Whether VD_AGENT_ANNOUNCE_CAPABILITIES asks for ours. */
bool agent_asks_capabilities(const uint8_t *body, uint32_t size);
/* A whole message that announces what is done here; returns its size. */
#define AGENT_CAPABILITIES_SIZE (sizeof(VDAgentMessage) + sizeof(VDAgentAnnounceCapabilities) + 4)
uint32_t agent_write_capabilities(uint8_t message[AGENT_CAPABILITIES_SIZE]);

#endif
