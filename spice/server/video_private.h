/* video_private.h - what video_streams.c, video_frames.c and video_link.c know of each other. */
#ifndef SPICE_SERVER_VIDEO_PRIVATE_H
#define SPICE_SERVER_VIDEO_PRIVATE_H

#include "spice/server/display_channel.h"

static inline uint32_t video_id(const struct display_channel *d, const struct video_stream *s)
{
    return (uint32_t)(s - d->video.streams);
}

/* Tell the client; what the clip covers may become a little more by that. */
void video_send_clip(struct display_channel *d, struct video_stream *s);
/* Of the link, a stream's part by its area; bits a second. */
uint32_t video_bit_rate(const struct display_channel *d, const struct video_stream *s);
/* When a frame of now is to be shown, on the clock that the main channel told of: after all before it. */
uint32_t video_show_time(struct display_channel *d);

#endif
