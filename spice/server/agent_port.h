/*
 * agent_port.h - the guest's agent, at the other end of its port (SPICE_AGENT_PORT): chunks with a VDIChunkHeader each,
 * in two streams, one between the agent and a client, one for what the server has to say itself.
 *
 * The port is open while there is an agent. It has one client at a time, the session's owner (session_owner()), whose
 * pieces of messages pass through here both ways:
 *
 *   to the guest   what the server says goes before what waits of the client, but never into a chunk that was begun. What
 *                  waits is bounded by what the client was allowed to send (AGENT_TOKENS).
 *   to the client  as it takes it; meanwhile the rest stays in the guest, whose writer waits.
 *
 * A client that goes leaves the agent with a part of a message; CLIENT_DISCONNECTED tells it so, and the rest of what
 * it was being told itself is skipped, so that the next client begins where a message begins. Both streams' state is
 * saved with the machine, since its agent knows nothing of that.
 *
 * Thread: the main loop.
 */
#ifndef SPICE_SERVER_AGENT_PORT_H
#define SPICE_SERVER_AGENT_PORT_H

#include "backend/chardev.h"
#include "spice/server/agent.h"

/* Bytes of a client's that wait for the guest: twice what it may send unasked. */
#define AGENT_PORT_QUEUE (2 * AGENT_TOKENS * (AGENT_PIECE + sizeof(VDIChunkHeader)))
#define AGENT_PORT_STATES 64 /* of the pointer, that wait for the guest; then clicks may be lost, but not the last state */

struct agent_port;
struct spice_server;

struct agent_port *agent_port_create(struct spice_server *server);
/* Nobody must be at the device's end. NULL is fine. */
void agent_port_destroy(struct agent_port *p);
struct chardev *agent_port_chardev(struct agent_port *p);

/* Whether there is an agent; false for NULL. */
bool agent_port_is_open(const struct agent_port *p);
/* Whether it places the pointer where it is told to; false for NULL. */
bool agent_port_can_point(const struct agent_port *p);

/* --- for its client --- */

/* The client is another one, begins anew, or has gone. NULL is fine. */
void agent_port_forget_client(struct agent_port *p);
/* Whether the agent has heard of no client, or of one that goes on where the messages of both are complete. */
bool agent_port_is_idle(const struct agent_port *p);
/* A piece of a message for the agent. False: more than may wait. */
bool agent_port_say(struct agent_port *p, const uint8_t *piece, uint32_t size);
/* Whether the client may be told to go on. */
bool agent_port_has_room(const struct agent_port *p);
/* The client takes more now. NULL is fine. */
void agent_port_go_on(struct agent_port *p);

/* --- for whoever points --- */

/* A pixel of a monitor, by the number that clients use; buttons: SPICE_MOUSE_BUTTON_MASK_* that are held. */
void agent_port_point(struct agent_port *p, uint32_t number, uint32_t x, uint32_t y, unsigned buttons);
/* At the last place; wheel: -1 up, 1 down. */
void agent_port_press(struct agent_port *p, unsigned buttons, int wheel);

#endif
