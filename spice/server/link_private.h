/*
 * link_private.h - what the files of the link stage share: link.c reads, writes and goes from state to state; link_http.c
 * answers browsers; link_auth.c finds out who comes.
 */
#ifndef SPICE_SERVER_LINK_PRIVATE_H
#define SPICE_SERVER_LINK_PRIVATE_H

#include "spice/server/auth_sasl.h"
#include "spice/server/private.h"

enum link_state {
    LINK_FIRST,
    LINK_REQUEST,
    LINK_UPGRADE,
    LINK_HEADER,
    LINK_MESSAGE,
    LINK_KEY,
    LINK_AUTH,
    LINK_TICKET,
    LINK_SASL_NAME_SIZE,
    LINK_SASL_NAME,
    LINK_SASL_DATA_SIZE,
    LINK_SASL_DATA,
    LINK_PENALTY,
    LINK_END
};

struct link {
    struct spice_server *server;
    struct stream *stream;
    uv_poll_t poll;
    uv_timer_t timer;
    unsigned handles;
    enum link_state state;
    bool closed, granted; /* granted: the channel starts when the reply is out */
    bool is_web;          /* a websocket has begun: no other begins inside of it */
    struct ticket_key *key;
    char password[SPICE_MAX_PASSWORD_LENGTH + 1]; /* that the ticket held; "": none was asked */
    struct auth_sasl *sasl;
    char mechanism[AUTH_SASL_MAX_NAME + 1]; /* that SASL is to begin with; "": it has begun */
    unsigned steps;                         /* of SASL */
    uint8_t *in;                            /* of in_capacity bytes */
    size_t have, need, in_capacity;
    struct writer out;
    size_t sent;
    struct channel_params params;
    TAILQ_ENTRY(link) entry;
};

/* --- link.c --- */

/* So many bytes are to come next; 0: none. The link is closed if there is no room for them. */
void link_expect(struct link *link, enum link_state state, size_t bytes);
/* The server's reply to the link message, to be flushed. */
void link_add_reply(struct link *link, unsigned error);
/* The last word, to be flushed. */
void link_add_result(struct link *link, unsigned error);
void link_send_result(struct link *link, unsigned error);
void link_flush(struct link *link);
/* The timer's: its time is over. */
void link_expired(uv_timer_t *timer);
void link_restart_timer(struct link *link);

/* --- link_http.c --- */

void link_take_request(struct link *link);

/* --- link_auth.c: each when what it takes is there --- */

/* The ways to authenticate that are open to this client, as bits of SPICE_COMMON_CAP_AUTH_*; 0: none, without TLS. */
uint32_t link_auth_ways(const struct link *link);
void link_take_key(struct link *link);
void link_take_auth(struct link *link);
void link_take_ticket(struct link *link);
void link_take_sasl(struct link *link); /* in each of its states */

#endif
