/*
 * status.h - how it stands between the user and the server, for whoever shows that: part of struct screen.
 */
#ifndef CLIENT_STATUS_H
#define CLIENT_STATUS_H

#include "base/base.h"

enum client_state {
    CLIENT_CONNECTING,     /* looking for the host, or no answer yet */
    CLIENT_AUTHENTICATING, /* the server answers: TLS, password */
    CLIENT_ASKS_PASSWORD,  /* the user is to type it; text says which */
    CLIENT_ASKS_TRUST,     /* the user is to compare the fingerprint that text shows */
    CLIENT_CONNECTED,
    CLIENT_WAITS,          /* the connection is lost, text says why; it is tried again at retry_ns */
    CLIENT_ENDED,          /* text says why; tried again only if the user asks for it */
};

struct client_status {
    enum client_state state;
    char text[700];    /* for people, lines parted by \n; may be empty */
    uint64_t retry_ns; /* as now_ns() has it */
};

#endif
