/* video_mjpeg.c - each frame a JPEG, in the best quality that keeps to the bit rate. */
#include "spice/codec/jpeg.h"
#include "spice/codec/video_codec.h"

#include <errno.h>
#include <stdlib.h>

#define MIN_QUALITY 20
#define MAX_QUALITY 85
/* Frames are taken to be so far apart, in milliseconds, whatever their times say. */
#define MIN_INTERVAL 10
#define MAX_INTERVAL 250

struct mjpeg_encoder {
    struct video_encoder base;
    struct jpeg *jpeg;
    int quality;
    uint32_t last_ms;
};

struct mjpeg_decoder {
    struct video_decoder base;
    struct jpeg *jpeg;
};

/* Bytes grow by about a sixteenth for each two steps of quality. */
static void adapt(struct mjpeg_encoder *m, size_t size, const struct video_wish *wish)
{
    uint32_t interval = CLAMP(wish->ms - m->last_ms, MIN_INTERVAL, MAX_INTERVAL);
    uint64_t allowed = (uint64_t)wish->bits_per_s * interval / 8000;

    if (size > allowed)
        m->quality -= size > 2 * allowed ? 12 : size > allowed * 9 / 8 ? 4 : 1;
    else if (size < allowed * 7 / 8)
        m->quality += size < allowed / 2 ? 4 : 1;
    m->quality = CLAMP(m->quality, MIN_QUALITY, MAX_QUALITY);
    m->last_ms = wish->ms;
}

static int encode(struct video_encoder *e, struct writer *w, const struct image *from,
                  const struct video_wish *wish)
{
    struct mjpeg_encoder *m = container_of(e, struct mjpeg_encoder, base);
    size_t before = w->size;
    int err = jpeg_encode(m->jpeg, w, from, m->quality);

    if (!err)
        adapt(m, w->size - before, wish);
    return err;
}

static void destroy_encoder(struct video_encoder *e)
{
    struct mjpeg_encoder *m = container_of(e, struct mjpeg_encoder, base);

    jpeg_codec_destroy(m->jpeg);
    free(m);
}

static struct video_encoder *create_encoder(uint32_t width UNUSED, uint32_t height UNUSED)
{
    struct mjpeg_encoder *m = calloc(1, sizeof(*m));

    if (!m)
        return NULL;
    *m = (struct mjpeg_encoder){{encode, destroy_encoder}, jpeg_codec_create(), MAX_QUALITY};
    if (m->jpeg)
        return &m->base;
    free(m);
    return NULL;
}

static int decode(struct video_decoder *d, const void *data, size_t size, const struct image *to)
{
    return jpeg_decode_frame(container_of(d, struct mjpeg_decoder, base)->jpeg, data, size, to);
}

static void destroy_decoder(struct video_decoder *d)
{
    struct mjpeg_decoder *m = container_of(d, struct mjpeg_decoder, base);

    jpeg_codec_destroy(m->jpeg);
    free(m);
}

static struct video_decoder *create_decoder(void)
{
    struct mjpeg_decoder *m = calloc(1, sizeof(*m));

    if (!m)
        return NULL;
    *m = (struct mjpeg_decoder){{decode, destroy_decoder}, jpeg_codec_create()};
    if (m->jpeg)
        return &m->base;
    free(m);
    return NULL;
}

const struct video_codec video_mjpeg = {NULL, create_encoder, create_decoder, .any_size = true};
