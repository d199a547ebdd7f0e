/*
 * video_streams.h - the video streams of one client: which there are (video_streams.c), their frames (video_frames.c), and
 * how much of the link they take (video_link.c).
 *
 * What video_find.h recognises becomes a stream: a rectangle to the pixel, a codec, and a clip, the tiles of the rectangle
 * that change and look like video. What changes inside of the clip goes as frames; all else, text over the video too, goes
 * as ever. Tiles under a live stream are shown nearly (lossy.h); when the stream ends, which it does half a second after
 * the last change, they count as rested, and are made exact.
 *
 * A strip that the rectangle's edge cuts is taken by the frame if what is outside did not change: its hash is the sum of
 * those of its parts, and the part inside is known as of the last frame.
 *
 * Thread: the display's loop, between encodings.
 */
#ifndef SPICE_SERVER_VIDEO_STREAMS_H
#define SPICE_SERVER_VIDEO_STREAMS_H

#include "spice/server/lossy.h"
#include "spice/server/move.h"
#include "spice/server/server.h"
#include "spice/server/video_find.h"
#include "spice/server/video_measure.h"

#define VIDEO_MAX_STREAMS 8

struct batch;
struct batch_piece;
struct display_channel;
struct spice_msgc_display_stream_report;

struct video_stream {
    bool live, key; /* key: the next frame needs none before it, and is of all */
    uint8_t codec;
    struct rect tiles, pixels;
    struct rect news; /* strips: what changed since the last frame; empty: nothing */
    struct grid clip; /* tiles of the surface that its frames show */
    uint64_t *inside
        [2]; /* of the strips that the left and the right edge cut, by row: the hash of what is inside */
    unsigned
        outside[2]; /* samples in which what is outside changed, less those in which it did not */
    bool outside_changed[2]; /* in this sample */
    unsigned idle;           /* updates in which nothing of it changed */
    unsigned small;          /* samples in which less than half of it was warm */
    uint64_t changed_at;     /* nanoseconds */
    uint32_t unique_id;
};

struct video {
    bool on; /* the rest is initialised */
    struct video_find find;
    struct video_measure measures[VIDEO_MAX_STREAMS];
    struct video_stream streams[VIDEO_MAX_STREAMS];
    uint32_t next; /* of them, in turn: what a client says late of one that has ended is not taken for another's */
};

/* What is chosen and learned of a client's videos, whatever its surface. */
struct video_link {
    uint8_t wishes[SERVER_MAX_CODECS]; /* the client's, the best first; 0: no more */
    uint32_t refused;                  /* codecs that the client could not show: bits */
    bool restart;                      /* the choice of codecs is another one */
    uint64_t limit;                    /* bits a second, as reports have it; 0: none */
    uint64_t sent, sent_since; /* bytes of frames, since a time in nanoseconds: the last report */
    uint32_t more_ms;          /* that frames are shown later than usual */
    uint32_t last_time, next_id;
};

/* For a surface so large; without memory there will be no video. */
void video_init(struct display_channel *d, uint32_t width, uint32_t height);
/* The surface ends; announce: the client is told of its streams. */
void video_fini(struct display_channel *d, bool announce);
/* Before the comparison: streams begin, end, change their clip. */
void video_begin(struct display_channel *d);
/* Take from what changed the part that frames will show; then what is left can be looked for elsewhere. */
void video_take(struct display_channel *d, struct change *c);
/* This is going to be sent as pictures. */
void video_note(struct display_channel *d, const struct change *c);
/* Copy the frames. */
void video_capture(struct display_channel *d, const struct change *c, struct batch *batch);
/* A frame of the batch is encoded: send it. */
void video_send(struct display_channel *d, const struct batch *batch, const struct batch_piece *p);
/* After all was sent. */
void video_mark_lossy(struct display_channel *d);
/*
 * A client that has taken nothing for seconds: its encoders' memory is given back, of VP8's some 75 MiB. With the next frame there
 * are new ones. UINT64_MAX: there are none.
 */
uint64_t video_rests_at(const struct display_channel *d);
void video_rest(struct display_channel *d);
/* When the streams must be looked at again though nothing is drawn; UINT64_MAX: not. */
uint64_t video_due(const struct display_channel *d);

void video_take_report(struct display_channel *d, const struct spice_msgc_display_stream_report *r);
void video_take_wishes(struct display_channel *d, const uint8_t *codecs, size_t count);

#endif
