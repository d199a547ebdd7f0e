/*
 * agent_message.h - messages of the guest's agent (<spice/vd_agent.h>): of the chunks that come, and into chunks.
 *
 * A chunk is what one SPICE message takes along; each costs a token of the other side. A message may take many, and no
 * other comes between them.
 */
#ifndef CLIENT_AGENT_MESSAGE_H
#define CLIENT_AGENT_MESSAGE_H

#include "base/bytes.h"

#define AGENT_MAX_CHUNK   2048     /* bytes that we send at once: VD_AGENT_MAX_DATA_SIZE */
#define AGENT_MAX_MESSAGE (MIB(64) + KIB(1)) /* body of what the agent says; a longer one is passed over */

/* Puts together what comes; zeroed at its start, and when the agent is another. */
struct agent_reader {
    struct writer got; /* header and body, as far as they are here */
    uint64_t skip;     /* bytes of a message that is too long, still to come */
};

/* The body is valid during the call. Errors end the reading. */
typedef int agent_message_fn(void *opaque, uint32_t type, const uint8_t *body, uint32_t size);

void agent_reader_init(struct agent_reader *r);
void agent_reader_fini(struct agent_reader *r);
/* A chunk. -EBADMSG with fail_text() for another protocol, -ENOMEM, or what fn returned. */
int agent_read(struct agent_reader *r, const uint8_t *data, size_t size, agent_message_fn *fn, void *opaque);

/* Begin a message in an empty writer, its body follows; end it. */
void agent_message_begin(struct writer *w, uint32_t type);
void agent_message_end(struct writer *w);

#endif
