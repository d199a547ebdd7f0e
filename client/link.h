/*
 * link.h - the first bytes on a connection: who we are, what we can do, the ticket (SPICE protocol, "link stage").
 *
 * The client sends its link message and the server answers with a public key and its capabilities; the client sends the
 * password encrypted with that key (RSA-OAEP, SHA-1), the server one word: an SPICE_LINK_ERR_*.
 */
#ifndef CLIENT_LINK_H
#define CLIENT_LINK_H

#include "client/stream.h"
#include "spice/protocol/messages.h"

enum link_state { LINK_HEADER, LINK_REPLY, LINK_RESULT, LINK_DONE };

struct link {
    enum link_state state;
    uint32_t reply_size;
    bool mini_header;
    uint32_t common_caps, channel_caps; /* the server's first words */
};

struct link_request {
    uint32_t connection_id; /* 0 for the main channel, then what its INIT said */
    uint8_t channel_type, channel_id;
    uint32_t channel_caps;
    const char *password; /* "" for none; at most SPICE_MAX_PASSWORD_LENGTH */
};

/* Append the link message. */
int link_begin(struct link *link, const struct link_request *request, struct stream *s);
/* Go on with what has come; link->state tells whether more is needed. */
int link_input(struct link *link, const struct link_request *request, struct stream *s);

#endif
