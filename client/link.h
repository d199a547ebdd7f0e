/*
 * link.h - the first bytes on a connection: who we are, what we can do, the ticket (SPICE protocol, "link stage").
 *
 * The client sends its link message and the server answers with a public key and its capabilities; the client sends the
 * password encrypted with that key (RSA-OAEP, SHA-1), or logs in by SASL (link_sasl.c), the server one word: an
 * SPICE_LINK_ERR_*.
 */
#ifndef CLIENT_LINK_H
#define CLIENT_LINK_H

#include "client/login.h"
#include "client/stream.h"
#include "spice/protocol/messages.h"

#define LINK_WANTS_TLS (-EPROTOTYPE) /* the server takes this channel by TLS only */

enum link_state {
    LINK_HEADER,
    LINK_REPLY,
    LINK_SASL_LIST_SIZE, /* of the mechanisms, then the list */
    LINK_SASL_LIST,
    LINK_SASL_SIZE, /* of a step's data, then the data, and whether it is the last */
    LINK_SASL_DATA,
    LINK_SASL_RESULT,
    LINK_RESULT,
    LINK_DONE
};

struct link {
    enum link_state state;
    uint32_t reply_size; /* and that of what SASL says */
    struct login *login; /* NULL: by a ticket, or not yet */
    unsigned steps;      /* of SASL */
    bool mini_header;
    uint32_t common_caps, channel_caps; /* the server's first words */
};

struct link_request {
    uint32_t connection_id; /* 0 for the main channel, then what its INIT said */
    uint8_t channel_type, channel_id;
    uint32_t channel_caps;
    const struct client_options *options; /* user and password */
    bool secure;                          /* by TLS */
};

/* Append the link message. */
int link_begin(struct link *link, const struct link_request *request, struct stream *s);
/* Go on with what has come; link->state tells whether more is needed. */
int link_input(struct link *link, const struct link_request *request, struct stream *s);
void link_fini(struct link *link);
/* What the server's word means: -errno with fail_text(). */
int link_error(uint32_t code);

/* link_sasl.c: */
/* Ask for SASL instead of sending a ticket. */
int link_sasl_begin(struct link *link, const struct link_request *request, struct stream *s);
/* How many bytes its present state needs. */
size_t link_sasl_needs(const struct link *link);
int link_sasl_input(struct link *link, const struct link_request *request, const uint8_t *data, struct stream *s);
/* The server may end the connection instead of saying that it does not believe us. */
bool link_sasl_is_going_on(const struct link *link);

#endif
