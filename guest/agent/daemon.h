/*
 * daemon.h - the system's part of the agent: between the port and the active session's agent, and the pointer itself.
 *
 * The port is open while the active session has a screen: only then is there an agent for the client. Thread: the
 * loop's.
 */
#ifndef GUEST_AGENT_DAEMON_H
#define GUEST_AGENT_DAEMON_H

#include "clipboard/header.h"
#include "guest/agent/peers.h"
#include "guest/agent/pointer.h"
#include "guest/agent/port.h"

struct daemon {
    struct port port;
    struct peers peers;
    struct pointer pointer;
    struct peer *session; /* the active one, when we last looked */
    bool client;          /* there is one, and it has said what it can */
    struct clipboard_header clipboard;
    struct writer monitors; /* what the client wished last; empty: nothing */
    struct writer scratch;  /* a clipboard's message with another header */
};

/* The pointer is open, or has fd -1; the seat is copied. */
void daemon_init(struct daemon *d, struct loop *loop, const char *port, const struct seat *seat,
                 const struct pointer *pointer);
void daemon_fini(struct daemon *d);

#endif
