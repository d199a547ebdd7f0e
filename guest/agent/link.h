/*
 * link.h - what the daemon and a session's agent say to each other, over a unix socket: frames of a type, a size and a
 * body, little-endian. No input or output.
 *
 * Types below LINK_HELLO are messages of <spice/vd_agent.h> that are handed on; a clipboard's always begin with the
 * selection (u32) and have no serial: what a client can do is known to the daemon alone.
 *
 * Both ends begin with LINK_HELLO. Then a session tells its screen whenever that changes, and the daemon whether a
 * client is there, whenever that, or the session whom it is for, changes. Between a client and the next, and while
 * another session is the active one, nothing of the client's lives: no grab, no request, no transfer.
 */
#ifndef GUEST_AGENT_LINK_H
#define GUEST_AGENT_LINK_H

#include "base/bytes.h"
#include "guest/agent/message.h"

#define LINK_MAGIC   0x4741564d /* "MVAG" */
#define LINK_VERSION 1
#define LINK_SOCKET  "/run/minivm-agentd/socket"

enum link_type {
    LINK_HELLO = 0x100, /* both ways: magic, version; u32 each */
    LINK_SCREEN,        /* to the daemon: struct link_screen; none before the first: no pointer */
    LINK_CLIENT,        /* to the session: 1, there is a client, or 0; and its capabilities; u32 each */
    LINK_END_TYPE,
};

/* A monitor's place on the desktop, in pixels. */
struct link_monitor {
    int32_t x, y;
    uint32_t width, height; /* 0: it is off */
};

/* As a frame: width, height, count, and so many monitors; u32 each. */
struct link_screen {
    uint32_t width, height; /* of the desktop */
    uint32_t count;
    struct link_monitor monitors[MESSAGE_MAX_MONITORS]; /* by the client's number of them */
};

struct link_stream {
    uint8_t head[8];
    uint32_t have;
    struct writer body;
};

/* The body is valid during the call. Not 0: the stream has ended by this, and must not be touched again. */
typedef int link_frame_fn(void *opaque, uint32_t type, const uint8_t *body, uint32_t size);

void link_stream_init(struct link_stream *s);
void link_stream_fini(struct link_stream *s);
/* -EPROTO: a frame that there is not, or that is too long; or what fn returned. */
int link_stream_take(struct link_stream *s, const uint8_t *data, size_t size, link_frame_fn *fn, void *opaque);

void link_write(struct writer *out, uint32_t type, const void *body, uint32_t size);
void link_write_hello(struct writer *out);
void link_write_screen(struct writer *out, const struct link_screen *screen);
void link_write_client(struct writer *out, bool present, uint32_t caps);
/* 0 or -EPROTO, with fail_text(). */
int link_read_hello(const uint8_t *body, uint32_t size);
int link_read_screen(const uint8_t *body, uint32_t size, struct link_screen *screen);

#endif
