/*
 * clipboard_header.h - how a clipboard's messages begin: to a client as its capabilities have it, to a session's agent
 * always with the selection (u32) and without a serial. No input or output.
 *
 * Grabs of both ends that cross each other would leave each believing that the other one has the clipboard. So they are
 * counted, in one count per selection for both; of two that carry the same number the client's wins.
 */
#ifndef GUEST_AGENT_CLIPBOARD_HEADER_H
#define GUEST_AGENT_CLIPBOARD_HEADER_H

#include "base/bytes.h"

#include <spice/vd_agent.h>

#define CLIPBOARD_SELECTIONS 3 /* VD_AGENT_CLIPBOARD_SELECTION_* */

/* Zeroed for each client. */
struct clipboard_header {
    uint32_t caps; /* the client's */
    uint32_t serials[CLIPBOARD_SELECTIONS];
    bool grabbed[CLIPBOARD_SELECTIONS]; /* by the guest */
};

/* Whether it is one of them: a clipboard's own, its grab, request or release. */
bool clipboard_is(uint32_t type);
/* For the session, into `out`; false: it is of no use there (malformed, or a grab that came too late). */
bool clipboard_from_client(struct clipboard_header *h, uint32_t type, const uint8_t *body, uint32_t size,
                           struct writer *out);
/* For the client, into `out`; false: it cannot be told such a thing. */
bool clipboard_to_client(struct clipboard_header *h, uint32_t type, const uint8_t *body, uint32_t size,
                         struct writer *out);

#endif
