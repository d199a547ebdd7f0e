/*
 * video.h - the frames of streams: motion JPEG, VP8 and H.264 both ways, VP9 to be shown only.
 *
 * libvpx is linked. openh264 is looked for when H.264 is first asked for (video_h264.c says why); without it there is no H.264.
 * Codecs are SPICE_VIDEO_CODEC_TYPE_*. All but MJPEG build on the frame before. Lossy.
 */
#ifndef SPICE_CODEC_VIDEO_H
#define SPICE_CODEC_VIDEO_H

#include "base/bytes.h"
#include "spice/codec/image.h"

#define VIDEO_MIN_SIDE 16 /* of frames to be encoded: less is no video */

struct video_encoder;
struct video_decoder;

/* Any thread. */
bool video_can_encode(uint8_t codec);
bool video_can_decode(uint8_t codec);

/* Whether each of its frames stands alone, and may be smaller than the encoder's size. */
bool video_any_size(uint8_t codec);

struct video_wish {
    uint32_t
        bits_per_s; /* at most about that many in the long run; more is not taken than the quality needs */
    uint32_t ms; /* when the frame is from, on any clock */
    bool key;    /* it needs no frame before it */
};

/* For frames of that size, or at most that. NULL: no memory, no such codec, a size that it has no form for. */
struct video_encoder *video_encoder_create(uint8_t codec, uint32_t width, uint32_t height);
void video_encoder_destroy(struct video_encoder *e);
/* Append a frame, of 32BIT. -ENOMEM, -ENOSPC, -EINVAL */
int video_encode(struct video_encoder *e, struct writer *w, const struct image *from,
                 const struct video_wish *wish);

struct video_decoder *video_decoder_create(uint8_t codec);
void video_decoder_destroy(struct video_decoder *d);
/* A frame into 32BIT, whose fourth byte may become anything; after -EBADMSG the next ones may look odd until one comes that needs none before. -ENOMEM */
int video_decode(struct video_decoder *d, const void *data, size_t size, const struct image *to);

#endif
