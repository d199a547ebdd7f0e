/* display_stream.h - what display_stream.c (when a frame is shown) and display_frame.c (how) share. Thread: the loop's. */
#ifndef CLIENT_DISPLAY_STREAM_H
#define CLIENT_DISPLAY_STREAM_H

#include "client/display_channel.h"
#include "spice/codec/video.h"

#define STREAM_MAX_HELD 16 /* frames of a stream */

/* A frame that waits. */
struct held {
    uint8_t *data; /* owned */
    size_t size;
    uint32_t width, height;
    struct rect dest;
    uint64_t due; /* milliseconds of the loop's clock */
};

/* Since the last report, for the next one. */
struct report {
    bool wanted;
    uint32_t unique_id, window, timeout_ms;
    uint32_t first, frames, drops;
    uint64_t began; /* milliseconds of the loop's clock */
};

struct video_stream {
    struct canvas *surface;
    struct video_decoder *decoder;
    bool frames_stand_alone;
    pixman_image_t *picture; /* for frames that cannot be decoded where they are shown; NULL: there was none yet */
    uint32_t width, height; /* of its frames, unless they say otherwise */
    bool top_down;
    struct rect dest;
    pixman_region32_t clip;
    bool clipped;
    struct held held[STREAM_MAX_HELD]; /* the next one first */
    size_t held_count;
    uint64_t shown_at;
    struct report report;
};

/* Decode it and show it. One that cannot be is warned of once. */
void frame_show(struct display_channel *d, struct video_stream *s, const struct held *h);
/* Decode it because others build on it. */
void frame_skip(struct video_stream *s, const struct held *h);

#endif
