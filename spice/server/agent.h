/*
 * agent.h - what clients and a guest's agent say to each other (<spice/vd_agent.h>): a stream of chunks becomes
 * messages again, each of which is passed on in pieces as it comes, kept until it is complete, or skipped.
 *
 * Of the agent's work the server does one thing itself: while the guest's display drivers take monitors from a client
 * (display->takes_heads), they need no agent for that. But clients tell nobody else, so they hear of one, also where
 * the guest has none.
 */
#ifndef SPICE_SERVER_AGENT_H
#define SPICE_SERVER_AGENT_H

#include "backend/display.h"
#include "spice/protocol/messages.h"
#include "spice/server/server.h"

#include <spice/vd_agent.h>

#define AGENT_PIECE       VD_AGENT_MAX_DATA_SIZE /* bytes that are passed on together; what is kept fits in as a whole */
#define AGENT_MAX_MESSAGE MIB(256) /* header included; longer ones are skipped: who receives one may want memory for it */
#define AGENT_TOKENS      64       /* chunks that a client may send before it is told to go on */

enum agent_verdict { AGENT_SKIP, AGENT_PASS, AGENT_KEEP };

/* One direction; all zero where messages begin. */
struct agent_stream {
    uint8_t piece[AGENT_PIECE];
    uint32_t have; /* bytes in piece */
    uint32_t left; /* bytes of the message that have not come yet; 0: its header has not */
    uint8_t verdict; /* enum agent_verdict, of the message at hand */
};

struct agent_stream_ops {
    /* What becomes of a message, by its header. */
    enum agent_verdict (*judge)(void *opaque, uint32_t type, uint32_t size);
    /* A complete one, header included; it may be changed. */
    void (*kept)(void *opaque, uint8_t *message, uint32_t size);
    /* The next piece of one; the first begins with its header. */
    void (*pass)(void *opaque, const uint8_t *piece, uint32_t size);
    /* Whether no more can be passed on now; NULL: never. */
    bool (*full)(void *opaque);
};

/* Returns how many bytes were taken: all, unless it is full. */
size_t agent_take(struct agent_stream *s, const uint8_t *data, size_t size, const struct agent_stream_ops *ops,
                  void *opaque);
/* The rest of a message is for nobody any more. A header of which only a part has come is forgotten. */
void agent_stream_skip(struct agent_stream *s);
/* Whether it is between two messages. */
bool agent_stream_is_idle(const struct agent_stream *s);
/* Whether the bytes are the beginning of a message that is kept. */
bool agent_is_beginning(const uint8_t *data, uint32_t have);

enum agent_side { AGENT_CLIENT = 1, AGENT_GUEST = 2 };

/* Whether that side may say such a message to the other. */
bool agent_may_say(const struct agent_filter *filter, enum agent_side side, uint32_t type);

uint32_t agent_message_type(const uint8_t *message);

/*
 * VD_AGENT_MONITORS_CONFIG: how many monitors, by their number; those that are off have no size. Without positions they
 * stand side by side. -EINVAL: an impossible one.
 */
int agent_read_monitors(const uint8_t *body, uint32_t size, struct display_head heads[DISPLAY_MAX_HEADS]);

/*
 * A whole VD_AGENT_MONITORS_CONFIG without the monitors' sizes in millimetres; returns its size. spice-vdagent refuses
 * one that has them, and spice-gtk sends them without asking.
 */
uint32_t agent_trim_monitors(uint8_t *message, uint32_t size);

/* --- VD_AGENT_ANNOUNCE_CAPABILITIES --- */

#define AGENT_MONITOR_CAPS                                                                                              \
    (1u << VD_AGENT_CAP_MONITORS_CONFIG | 1u << VD_AGENT_CAP_SPARSE_MONITORS_CONFIG |                                   \
     1u << VD_AGENT_CAP_MONITORS_CONFIG_POSITION)
#define AGENT_CAPABILITIES_SIZE (sizeof(VDAgentMessage) + sizeof(VDAgentAnnounceCapabilities) + 4)

/* Whether it asks for ours. */
bool agent_asks_capabilities(const uint8_t *message, uint32_t size);
/* A whole message that announces what is done here; returns its size. */
uint32_t agent_write_capabilities(uint8_t message[AGENT_CAPABILITIES_SIZE]);
/* What it announces, 0 if nothing; and with other bits. */
uint32_t agent_capabilities(const uint8_t *message, uint32_t size);
void agent_set_capabilities(uint8_t *message, uint32_t size, uint32_t caps);
/* As whoever runs the machine wants them. */
uint32_t agent_filter_capabilities(const struct agent_filter *filter, enum agent_side side, uint32_t caps);

#endif
