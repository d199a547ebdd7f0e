/*
 * spice_peer.h - a SPICE client by hand, blocking, for testing the server: one channel each. Failures are asserted.
 */
#ifndef TESTS_LIB_SPICE_PEER_H
#define TESTS_LIB_SPICE_PEER_H

#include "base/rect.h"
#include "spice/codec/image.h"
#include "spice/protocol/messages.h"

#define PEER_TIMEOUT_MS 15000

struct peer {
    int fd;
    int (*connect)(int port); /* NULL: peer_connect */
    unsigned channel;
    bool full_header;  /* do not offer mini headers */
    bool no_selection; /* do not offer to select the authentication */
    uint32_t caps;     /* of the channel */
    struct msg_arena arena;
    uint8_t *body;
    uint32_t ack_window, ack_count;
    uint64_t bytes, messages; /* received */
    uint64_t serial;
};

/* A socket to 127.0.0.1:port. */
int peer_connect(int port);
/*
 * A thread of its own runs a tunnel: `bring` when there is something at its socket, `take` when there is at the clear end; each
 * is false at the end. Then end(). Returns the other clear end.
 */
struct peer_tunnel {
    int socket, clear; /* clear: set by peer_tunnel_start */
    bool (*bring)(struct peer_tunnel *t), (*take)(struct peer_tunnel *t);
    void (*end)(struct peer_tunnel *t);
};
int peer_tunnel_start(struct peer_tunnel *t);
/* All of it, or false when the connection ends or stalls. */
bool peer_write(int fd, const void *data, size_t size);
bool peer_read_bytes(int fd, void *data, size_t size);
/* True when the server has closed the connection (within the time). */
bool peer_closed(int fd, int timeout_ms);

/* Header and link message as this peer would send them. */
void peer_link_message(const struct peer *p, unsigned id, uint32_t connection, struct writer *w);
/* The header and reply of the server; false: the connection ends before. */
bool peer_hear_reply(int fd, struct spice_link_reply *reply);
/* It must come; returns its error. */
unsigned peer_read_reply(int fd, struct spice_link_reply *reply);
/* Encrypt a ticket for the reply's key. */
void peer_encrypt(const struct spice_link_reply *reply, const char *password, uint8_t ticket[128]);
/* The whole link stage; p's options are set before. Returns the final SPICE_LINK_ERR_*. */
unsigned peer_link(struct peer *p, int port, unsigned channel, unsigned id, uint32_t connection,
                   const char *password);
void peer_close(struct peer *p);

/* A message with its header, as peer_send() sends it. */
void peer_message(struct peer *p, unsigned id, const void *msg, struct writer *w);
void peer_send(struct peer *p, unsigned id, const void *msg);
/*
 * The next message, acknowledged as the server asked, a ping answered but on the main channel; NULL if none comes within the
 * time or the connection ended.
 */
const struct spice_msg_info *peer_receive(struct peer *p, void **msg, int timeout_ms);
/* Read until that message comes. */
void *peer_expect(struct peer *p, unsigned id);

#define PEER_GLZ_PIXELS (4 << 20) /* of a display peer's dictionary, as it should tell in DISPLAY_INIT */
#define PEER_CACHE_PIXELS (1 << 20) /* and of its cache */
#define PEER_KEPT         2048
#define PEER_STREAMS      64

/* What a display peer shows. */
struct peer_screen {
    uint32_t width, height;
    uint8_t *pixels; /* b, g, r, 0 */
    bool marked;
    unsigned draws, fills, copies;
    uint64_t drawn; /* pixels of pictures */
    uint64_t types; /* of pictures: bit SPICE_IMAGE_TYPE_* % 64 */
    struct glz_window *glz;
    /* Pictures that it was told to keep, those it drew again, and how often it was told to forget one. */
    struct image kept[PEER_KEPT];
    uint64_t kept_ids[PEER_KEPT], kept_pixels;
    unsigned reused, forgotten;
    /* Video: frames are shown as they come. */
    struct peer_stream {
        struct video_decoder *decoder; /* NULL: there is no such stream */
        uint8_t codec;
        uint32_t unique_id; /* 0: no reports are wanted */
        struct rect dest;
        bool clipped;
        uint32_t clip_count;
        struct rect *clip;
        unsigned frames;
        uint32_t last_time;
    } streams[PEER_STREAMS];
    unsigned streams_begun, frames, sized_frames;
    unsigned keys; /* frames of VP8 that need none before them */
    struct rect sized; /* what frames of their own size have shown, in all */
};

/* The only stream; NULL: there is none, or there are several. */
const struct peer_stream *peer_only_stream(const struct peer_screen *s);

/* Apply a display message; unknown ones fail. */
void peer_screen_apply(struct peer_screen *s, const struct spice_msg_info *info, const void *msg);
void peer_screen_fini(struct peer_screen *s);

#endif
