/* video_codec.h - one codec, as video.c knows it: encoders and decoders have these as their first member. */
#ifndef SPICE_CODEC_VIDEO_CODEC_H
#define SPICE_CODEC_VIDEO_CODEC_H

#include "spice/codec/video.h"

struct video_codec {
    bool (*present)(void); /* NULL: always */
    /* NULL: it cannot. */
    struct video_encoder *(*create_encoder)(uint32_t width, uint32_t height);
    struct video_decoder *(*create_decoder)(void);
    bool any_size; /* each frame stands alone, and may be smaller than the first */
};

struct video_encoder {
    int (*encode)(struct video_encoder *e, struct writer *w, const struct image *from,
                  const struct video_wish *wish);
    void (*destroy)(struct video_encoder *e);
    uint32_t width, height;
    bool any_size;
};

struct video_decoder {
    int (*decode)(struct video_decoder *d, const void *data, size_t size, const struct image *to);
    void (*destroy)(struct video_decoder *d);
};

extern const struct video_codec video_mjpeg, video_vp8, video_vp9, video_h264;

#endif
