/*
 * agent.h - what the client says to the guest's agent, or to a server that does the agent's work: which monitors the
 * user wants (<spice/vd_agent.h>, VD_AGENT_MONITORS_CONFIG). It goes over the main channel, in chunks, one token each.
 *
 * Only the newest wish counts: one that has to wait for a token is replaced by the next. What the agent says is not
 * listened to. Thread: the session's loop.
 */
#ifndef CLIENT_AGENT_H
#define CLIENT_AGENT_H

#include "client/channel.h"
#include "client/screen.h"

#define AGENT_MAX_MONITORS SCREEN_MAX_HEADS

/* Part of the main channel; zeroed at its start. */
struct agent {
    bool connected;
    bool announced; /* it knows what we can */
    bool stale;     /* it has not been told the newest layout */
    uint32_t tokens; /* chunks that it takes */
};

/* Whether it is there; tokens are those that it gives first. It is told what the screen wants. Errors of channel_send(). */
int agent_set_connected(struct agent *a, struct channel *main_channel, bool connected, uint32_t tokens);
int agent_add_tokens(struct agent *a, struct channel *main_channel, uint32_t tokens);
/* The screen's `wanted` has changed. */
int agent_layout_changed(struct agent *a, struct channel *main_channel);
/* The body of VD_AGENT_MONITORS_CONFIG: up to the last monitor that is on; returns its size. */
#define AGENT_MAX_LAYOUT (8 + 20 * AGENT_MAX_MONITORS)
uint32_t agent_write_layout(const struct screen_layout *layout, uint8_t body[AGENT_MAX_LAYOUT]);

#endif
