/*
 * agent_rig.h - a server with an agent's port whose device is the test's: what the agent says and hears, by messages,
 * and what a client does. Failures are asserted.
 */
#ifndef TESTS_LIB_AGENT_RIG_H
#define TESTS_LIB_AGENT_RIG_H

#include "spice/server/agent_port.h"
#include "tests/lib/spice_rig.h"

#define AGENT_CAPS     (1u << SPICE_MAIN_CAP_AGENT_CONNECTED_TOKENS)
#define HEADER         sizeof(VDAgentMessage)
#define CHUNK          sizeof(VDIChunkHeader)
#define AGENT_MAX_TEXT 100000

struct guest {
    struct chardev *port;
    size_t room; /* bytes that it takes at once; 0: it does not read */
    uint8_t got[4 * AGENT_PORT_QUEUE];
    size_t size;
    bool writable;
};

extern struct rig agent_rig;
extern struct guest agent_guest;
extern const struct chardev_front_ops agent_guest_ops; /* front: a struct guest */

void agent_rig_start(const struct spice_config *config);
void agent_rig_stop(void);
/* As cmocka calls them. */
int agent_rig_setup(void **state);
int agent_rig_teardown(void **state);

/* A message with a body of bytes that are its type; returns its size. */
size_t agent_put(uint8_t *to, uint32_t protocol, uint32_t type, uint32_t size);
/* AGENT_MAX_TEXT bytes. */
const uint8_t *agent_text(void);

/* --- the guest --- */

void guest_opens(bool open);
/* Bytes; how many were taken. */
size_t guest_writes(const void *data, size_t size);
/* The same for rig_call(): from `taken` on. */
struct bytes {
    const uint8_t *data;
    size_t size, taken;
};
void guest_do_write(void *arg);
/* A message, in chunks of so many bytes. */
void guest_says(uint32_t type, const void *body, uint32_t size, uint32_t chunk);
void guest_announces(uint32_t caps);
/*
 * Wait until so many messages have come to the agent on a stream (VDP_*); returns the body of the last, of that type.
 */
const uint8_t *guest_hears(uint32_t stream, unsigned wanted, uint32_t type, uint32_t *size);
void guest_forgets(void);
/* From now on it takes so much at once. */
void guest_reads(size_t room);
/* A copy of what it has had, for rig_call(). */
struct look {
    uint8_t got[sizeof(agent_guest.got)];
    size_t size;
};
void guest_do_look(void *arg);
/* The message at the end of what a stream has had, NULL: none; chunks must be whole and not too long. */
const uint8_t *guest_last(const struct look *look, uint32_t stream, unsigned *count, uint32_t *size);

/* --- a client --- */

void client_says(struct peer *p, uint32_t type, const void *body, uint32_t size, uint32_t piece);
void client_starts(struct peer *p, uint32_t tokens);
/* What is still on its way has come. */
void client_settles(struct peer *p);
/* A session that takes all that the agent says. */
void client_comes(struct peer *p);
/* What the agent says comes as it was said, in pieces that begin with the message. */
void client_hears(struct peer *p, uint32_t type, const uint8_t *body, uint32_t size);

#endif
