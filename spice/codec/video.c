#include "spice/codec/video_codec.h"

#include <errno.h>

static const struct video_codec *const codecs[SPICE_VIDEO_CODEC_TYPE_ENUM_END] = {
    [SPICE_VIDEO_CODEC_TYPE_MJPEG] = &video_mjpeg,
    [SPICE_VIDEO_CODEC_TYPE_VP8] = &video_vp8,
    [SPICE_VIDEO_CODEC_TYPE_VP9] = &video_vp9,
    [SPICE_VIDEO_CODEC_TYPE_H264] = &video_h264,
};

/* NULL: none that is here. */
static const struct video_codec *find(uint8_t codec)
{
    const struct video_codec *c = codec < ARRAY_SIZE(codecs) ? codecs[codec] : NULL;

    return c && (!c->present || c->present()) ? c : NULL;
}

bool video_can_encode(uint8_t codec)
{
    const struct video_codec *c = find(codec);

    return c && c->create_encoder;
}

bool video_can_decode(uint8_t codec)
{
    return find(codec) != NULL;
}

bool video_any_size(uint8_t codec)
{
    const struct video_codec *c = find(codec);

    return c && c->any_size;
}

struct video_encoder *video_encoder_create(uint8_t codec, uint32_t width, uint32_t height)
{
    struct video_encoder *e;

    if (!video_can_encode(codec) || MIN(width, height) < VIDEO_MIN_SIDE ||
        MAX(width, height) > IMAGE_MAX_SIDE)
        return NULL;
    e = codecs[codec]->create_encoder(width, height);
    if (e) {
        e->width = width;
        e->height = height;
        e->any_size = codecs[codec]->any_size;
    }
    return e;
}

void video_encoder_destroy(struct video_encoder *e)
{
    if (e)
        e->destroy(e);
}

static bool takes_size(const struct video_encoder *e, uint32_t width, uint32_t height)
{
    return e->any_size ? width <= e->width && height <= e->height : width == e->width && height == e->height;
}

int video_encode(struct video_encoder *e, struct writer *w, const struct image *from,
                 const struct video_wish *wish)
{
    if (image_check(from) || from->format != SPICE_BITMAP_FMT_32BIT || !takes_size(e, from->width, from->height))
        return -EINVAL;
    return e->encode(e, w, from, wish);
}

struct video_decoder *video_decoder_create(uint8_t codec)
{
    return video_can_decode(codec) ? codecs[codec]->create_decoder() : NULL;
}

void video_decoder_destroy(struct video_decoder *d)
{
    if (d)
        d->destroy(d);
}

int video_decode(struct video_decoder *d, const void *data, size_t size, const struct image *to)
{
    if (image_check(to) || to->format != SPICE_BITMAP_FMT_32BIT)
        return -EINVAL;
    return d->decode(d, data, size, to);
}
