/*
 * char.h - what the character back ends share: descriptors in the main loop, an output buffer, the tap.
 *
 * A kind (stdio, pty, unix, file) embeds `struct char_stream`, connects descriptors to it when it has a peer, and is told
 * when the peer has gone. Without a peer output is dropped.
 */
#ifndef DEVICES_CHAR_CHAR_H
#define DEVICES_CHAR_CHAR_H

#include "backend/chardev.h"

#define CHAR_OUTPUT_MAX KIB(64) /* bytes that wait for a slow peer; then the device waits */

struct char_stream;

struct char_kind {
    /* Input ended or a descriptor failed: it is disconnected already. May connect again, at once or later. */
    void (*hung_up)(struct char_stream *stream);
    /* Look at input before the device gets it; returns how many bytes are left of it. NULL: all. */
    size_t (*filter)(struct char_stream *stream, uint8_t *data, size_t size);
    /* Free what the kind has, and the whole. */
    void (*destroy)(struct char_stream *stream);
};

struct char_stream {
    struct chardev base; /* first */
    const struct char_kind *kind;
    struct loop *loop;
    char name[128]; /* what a peer opens; "" if that is plain */
    void (*tap)(void *opaque, const uint8_t *data, size_t size);
    void *tap_opaque;
    int in_fd, out_fd; /* -1: none; may be equal. The kind's */
    /* libuv frees these late, so they live on the heap. NULL: not needed, or the descriptor is always ready. */
    uv_poll_t *in_poll, *out_poll; /* equal if the descriptors are */
    uv_timer_t *in_timer;          /* for an input that is always ready */
    bool paused;                   /* the device takes no input now */
    bool half_gone;                /* the peer has left, but for input that the device has not taken yet */
    bool blocked;                  /* the device waits for room in the output */
    size_t output_size;
    uint8_t output[CHAR_OUTPUT_MAX];
};

void char_stream_init(struct char_stream *stream, const struct char_kind *kind, struct loop *loop);
/* Non-blocking descriptors, or -1. in_fd and out_fd stay the kind's to close, after char_stream_disconnect(). */
int char_stream_connect(struct char_stream *stream, int in_fd, int out_fd);
/* What waits is written as far as it goes, the rest dropped. */
void char_stream_disconnect(struct char_stream *stream);

/* The kinds. */
int char_stdio_create(struct char_stream **stream, struct loop *loop);
int char_pty_create(struct char_stream **stream, struct loop *loop);
int char_unix_create(struct char_stream **stream, struct loop *loop, const char *path);
int char_file_create(struct char_stream **stream, struct loop *loop, const char *path);
int char_none_create(struct char_stream **stream, struct loop *loop);

#endif
