/*
 * port_stream.h - what goes through the port com.redhat.spice.0: messages in chunks (<spice/vd_agent.h>). No input or
 * output.
 *
 * Chunks are for one of two ports: the client's, and the server's own, whose messages come between the client's chunks.
 * So a message is put together per port. One that is longer than the table of message.h allows, or that is not in it,
 * is skipped, however long it is, without memory.
 */
#ifndef GUEST_AGENT_PORT_STREAM_H
#define GUEST_AGENT_PORT_STREAM_H

#include "base/bytes.h"
#include "guest/agent/message.h"

#define PORT_MAX_CHUNK MIB(1)                 /* servers send 2 KiB; more than this is no chunk's header */
#define PORT_OUT_CHUNK VD_AGENT_MAX_DATA_SIZE /* that every server takes */

struct port_part {
    uint8_t head[sizeof(VDAgentMessage)];
    uint32_t have;      /* of the head */
    uint32_t body_size; /* once the head is there */
    uint64_t skip;      /* bytes of a message that is not wanted */
    struct writer body;
};

struct port_stream {
    uint8_t chunk[sizeof(VDIChunkHeader)];
    uint32_t have;                        /* of the chunk's header */
    uint32_t left;                        /* of the chunk, once its header is there */
    struct port_part parts[VDP_END_PORT]; /* by VDP_*_PORT */
};

/* The body is valid during the call. Not 0: the stream has ended by this, and must not be touched again. */
typedef int port_message_fn(void *opaque, const struct message_rule *rule, const uint8_t *body, uint32_t size);

void port_stream_init(struct port_stream *s);
void port_stream_fini(struct port_stream *s);
/* Forget half a chunk and half messages: the port has been opened anew. */
void port_stream_reset(struct port_stream *s);
/* Forget half a message of the client's: it has gone, and the rest does not come. */
void port_stream_drop_client(struct port_stream *s);
/* fn is called for each message that is completed. -EPROTO: these are no chunks; or what fn returned. */
int port_stream_take(struct port_stream *s, const uint8_t *data, size_t size, port_message_fn *fn, void *opaque);
/* A message in chunks for the client, behind what is in `out`. */
void port_write(struct writer *out, uint32_t type, const void *body, uint32_t size);

#endif
