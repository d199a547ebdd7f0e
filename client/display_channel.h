/*
 * display_channel.h - surfaces, what is drawn on them, and the primary one that the screen shows.
 *
 * display_channel.c has the surfaces and caches, display_draw.c and display_text.c the drawing, display_moves.c that of moves
 * which repeat, display_stream.c the video. The pixmap cache and the GLZ window are this channel's own: with them nothing
 * ever has to wait for another channel.
 */
#ifndef CLIENT_DISPLAY_CHANNEL_H
#define CLIENT_DISPLAY_CHANNEL_H

#include "canvas/canvas.h"
#include "client/channel.h"
#include "client/pictures.h"

#define DISPLAY_MAX_SURFACES      10000  /* ids are below */
#define DISPLAY_MAX_SURFACE_BYTES GIB(1) /* of all surfaces together */

#define DISPLAY_MAX_STREAM_PIXELS (128ull << 20) /* of all streams together; decoders take six bytes for one */
#define DISPLAY_MAX_HELD_BYTES    MIB(64)        /* of frames that wait to be shown; more are not held */

struct video_stream;

struct display_channel {
    struct channel base;
    struct canvas *surfaces[DISPLAY_MAX_SURFACES];
    uint64_t surface_bytes;
    struct canvas *primary; /* one of them, or NULL */
    struct pictures *pictures;
    struct display_moves *moves; /* that are not drawn yet */
    struct video_stream *streams[SPICE_MAX_NUM_STREAMS];
    uint64_t stream_pixels; /* of all streams' frames */
    uint64_t held_bytes;    /* of frames that wait to be shown */
    struct video_stats {
        uint64_t shown, late; /* frames; late: and not shown */
    } video;
    uv_timer_t frames; /* to show the next one */
};

int display_channel_open(struct session *s, uint8_t id, struct channel **channel);
const struct pictures_stats *display_channel_stats(const struct channel *c);
const struct video_stats *display_channel_video(const struct channel *c);

/* For these files: */

static inline struct display_channel *to_display(struct channel *c)
{
    return container_of(c, struct display_channel, base);
}

/* NULL with fail_text() if there is none. */
struct canvas *display_surface(struct display_channel *d, uint32_t id);
/* A region of the clip; *set tells whether there is one. pixman_region32_fini() it always. */
int display_clip(const struct spice_clip *clip, pixman_region32_t *region, bool *set);
/* Draw between the two: they hold the screen's lock if it is the primary, and report the damage. */
void display_begin(struct display_channel *d, const struct canvas *c);
void display_end(struct display_channel *d, const struct canvas *c, const struct canvas_target *t);

#define DISPLAY_DRAW_HANDLERS   14
#define DISPLAY_STREAM_HANDLERS 7
extern const struct channel_handler display_draw_handlers[DISPLAY_DRAW_HANDLERS],
    display_stream_handlers[DISPLAY_STREAM_HANDLERS];
/* After the channel is connected. */
void display_streams_init(struct display_channel *d);
/* What of video can be shown here: SPICE_DISPLAY_CAP_* as bits. */
uint32_t display_streams_caps(void);
/* Those on the surface, or all if it is NULL. */
void display_streams_destroy(struct display_channel *d, const struct canvas *surface);

#endif
