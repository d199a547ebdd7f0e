/*
 * agent.h - the client's side of the guest's agent, or of a server that does the agent's work: which monitors the user
 * wants (VD_AGENT_MONITORS_CONFIG), files that are sent. It goes over the main channel, see agent_message.h.
 *
 * Of the monitors only the newest wish counts. A message is made when the agent and the socket can take it, so nothing
 * piles up. Thread: the session's loop.
 */
#ifndef CLIENT_AGENT_H
#define CLIENT_AGENT_H

#include "client/agent_message.h"
#include "client/channel.h"
#include "client/screen.h"

#define AGENT_MAX_MONITORS SCREEN_MAX_HEADS
#define AGENT_MAX_QUEUED   MIB(128) /* bytes that wait to be said */

/* Part of the main channel. */
struct agent {
    struct channel *channel; /* the main channel */
    bool connected;
    bool announced; /* it knows what we can */
    bool stale;     /* it has not been told the newest layout */
    uint32_t tokens; /* chunks that it takes */
    struct agent_reader in;
    STAILQ_HEAD(, agent_words) queue;
    size_t queued;     /* bytes of it */
    struct writer out; /* the message that is sent now: begun, it is sent to its end, also when the agent has become another
                          meanwhile - servers count on that, and throw it away */
    size_t out_sent;   /* bytes of it */
};

void agent_init(struct agent *a, struct channel *main_channel);
void agent_fini(struct agent *a);
/* The rest returns errors of channel_send(), with which the channel ends. */
/* Whether it is there; tokens are those that it gives first. It is told what the screen wants. */
int agent_set_connected(struct agent *a, bool connected, uint32_t tokens);
int agent_add_tokens(struct agent *a, uint32_t tokens);
/* It says something: a chunk. */
int agent_hear(struct agent *a, const uint8_t *data, size_t size);
/* Say something, as soon as it takes it; lost if it is not there. Errors are logged. */
void agent_say(struct agent *a, uint32_t type, const void *body, uint32_t size);
/* The screen's `wanted` has changed. */
int agent_layout_changed(struct agent *a);
/* There may be something to send: files were added, or the socket takes bytes again. */
int agent_go_on(struct agent *a);
/* The body of VD_AGENT_MONITORS_CONFIG: up to the last monitor that is on; returns its size. */
#define AGENT_MAX_LAYOUT (8 + 20 * AGENT_MAX_MONITORS)
uint32_t agent_write_layout(const struct screen_layout *layout, uint8_t body[AGENT_MAX_LAYOUT]);

#endif
