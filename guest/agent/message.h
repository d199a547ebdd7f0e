/*
 * message.h - the messages that a guest's agent hears (<spice/vd_agent.h>): how long each may be, and who acts on it.
 *
 * Whatever is not in the table is of no use to a guest and is skipped.
 */
#ifndef GUEST_AGENT_MESSAGE_H
#define GUEST_AGENT_MESSAGE_H

#include "clipboard/clipboard.h"

#include <spice/vd_agent.h>

#define MESSAGE_MAX_FILE_DATA MIB(1)  /* of one piece of a file; clients send 64 KiB */
#define MESSAGE_MAX_MONITORS  16

struct message_rule {
    uint32_t type; /* VD_AGENT_* */
    const char *name;
    uint32_t min, max; /* bytes of its body */
    bool for_session;  /* the session's agent does it; else the daemon */
};

/* NULL: there is none. */
const struct message_rule *message_find(uint32_t type);

#endif
