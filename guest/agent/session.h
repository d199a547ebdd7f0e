/*
 * session.h - one desktop session's end of the link to the daemon, and all that the client can do there.
 *
 * When the daemon goes, the session waits until it comes again. Thread: the loop's.
 */
#ifndef GUEST_AGENT_SESSION_H
#define GUEST_AGENT_SESSION_H

#include "guest/agent/desktop.h"
#include "guest/agent/link.h"
#include "guest/agent/transfer.h"
#include "guest/agent/wire.h"

struct session {
    struct loop *loop;
    const char *socket; /* of the daemon */
    struct wire *wire;  /* NULL: there is none */
    struct link_stream stream;
    uv_timer_t retry;
    bool told; /* that it cannot be reached */
    struct link_screen screen;
    struct clipboard clipboard;
    struct transfers transfers;
    struct desktop desktop;
};

/* folder: for files; NULL: none are taken. display: NULL: the environment's. 0 or -errno with fail_text(). */
int session_init(struct session *s, struct loop *loop, const char *socket, const char *folder, const char *display);
void session_fini(struct session *s);

#endif
