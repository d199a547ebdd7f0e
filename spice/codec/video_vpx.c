/* video_vpx.c - VP8 by libvpx, for the moment rather than for the archive; VP9 is only decoded. */
#include "spice/codec/video_codec.h"
#include "spice/codec/yuv.h"

#include <errno.h>
#include <stdlib.h>
#include <vpx/vp8cx.h>
#include <vpx/vp8dx.h>
#include <vpx/vpx_decoder.h>
#include <vpx/vpx_encoder.h>

/* The finest quantizer, of 0 to 63, spends bits where the eye sees nothing; the coarsest stays below the limit of use. */
#define FINEST   6
#define COARSEST 58
#define SPEED    (-8) /* 0 to -16: of a picture's time so much is given to finding what moved */
/* Below this rate, in thousands of bits a second, nothing is to be seen any more. */
#define MIN_KBITS 100

struct vpx_encoder {
    struct video_encoder base;
    vpx_codec_ctx_t codec;
    vpx_codec_enc_cfg_t config;
    vpx_image_t *planes;
    int64_t time; /* of the last frame, in milliseconds of the codec's own clock */
    uint32_t ms;  /* the same as it was given */
};

struct vpx_decoder {
    struct video_decoder base;
    vpx_codec_ctx_t codec;
    vpx_codec_iface_t *interface;
};

static struct yuv planes_of(const vpx_image_t *image)
{
    return (struct yuv){{image->planes[0], image->planes[1], image->planes[2]},
                        {image->stride[0], image->stride[1], image->stride[2]},
                        image->fmt == VPX_IMG_FMT_I444};
}

static uint32_t kbits(uint32_t bits_per_s)
{
    return MAX(bits_per_s / 1000, MIN_KBITS);
}

static int set_rate(struct vpx_encoder *v, uint32_t bits_per_s)
{
    if (v->config.rc_target_bitrate == kbits(bits_per_s))
        return 0;
    v->config.rc_target_bitrate = kbits(bits_per_s);
    return vpx_codec_enc_config_set(&v->codec, &v->config) ? -EINVAL : 0;
}

static int take_packets(struct vpx_encoder *v, struct writer *w)
{
    vpx_codec_iter_t at = NULL;
    const vpx_codec_cx_pkt_t *packet;
    size_t before = w->size;

    while ((packet = vpx_codec_get_cx_data(&v->codec, &at)))
        if (packet->kind == VPX_CODEC_CX_FRAME_PKT)
            writer_bytes(w, packet->data.frame.buf, packet->data.frame.sz);
    if (w->bad)
        return -ENOSPC;
    return w->size > before ? 0 : -EINVAL;
}

static int encode(struct video_encoder *e, struct writer *w, const struct image *from,
                  const struct video_wish *wish)
{
    struct vpx_encoder *v = container_of(e, struct vpx_encoder, base);
    int64_t took = CLAMP((int32_t)(wish->ms - v->ms), 1, 1000);
    const struct yuv planes = planes_of(v->planes);
    int err = set_rate(v, wish->bits_per_s);

    if (err)
        return err;
    yuv_from_image(&planes, from);
    v->time += took;
    v->ms = wish->ms;
    if (vpx_codec_encode(&v->codec, v->planes, v->time, (unsigned long)took,
                         wish->key ? VPX_EFLAG_FORCE_KF : 0, VPX_DL_REALTIME))
        return -EINVAL;
    return take_packets(v, w);
}

static void destroy_encoder(struct video_encoder *e)
{
    struct vpx_encoder *v = container_of(e, struct vpx_encoder, base);

    vpx_img_free(v->planes);
    vpx_codec_destroy(&v->codec);
    free(v);
}

static bool configure(vpx_codec_enc_cfg_t *c, uint32_t width, uint32_t height)
{
    if (vpx_codec_enc_config_default(vpx_codec_vp8_cx(), c, 0))
        return false;
    c->g_w = width;
    c->g_h = height;
    c->g_timebase = (struct vpx_rational){1, 1000};
    c->g_lag_in_frames = 0;
    c->rc_end_usage = VPX_CBR;
    c->rc_min_quantizer = FINEST;
    c->rc_max_quantizer = COARSEST;
    c->rc_buf_sz = 1000;
    c->rc_buf_initial_sz = 500;
    c->rc_buf_optimal_sz = 600;
    c->kf_mode = VPX_KF_DISABLED; /* nothing is lost on the way */
    return true;
}

static struct video_encoder *create_encoder(uint32_t width, uint32_t height)
{
    struct vpx_encoder *v = calloc(1, sizeof(*v));

    if (!v || !configure(&v->config, width, height) ||
        vpx_codec_enc_init(&v->codec, vpx_codec_vp8_cx(), &v->config, 0)) {
        free(v);
        return NULL;
    }
    v->base = (struct video_encoder){encode, destroy_encoder};
    v->planes = vpx_img_alloc(NULL, VPX_IMG_FMT_I420, width, height, 16);
    if (v->planes && !vpx_codec_control(&v->codec, VP8E_SET_CPUUSED, SPEED))
        return &v->base;
    destroy_encoder(&v->base);
    return NULL;
}

/* --- decoding --- */

/* A frame that says so is refused before the library takes memory for another size. */
static bool claims_other_size(struct vpx_decoder *v, const void *data, size_t size,
                              const struct image *to)
{
    vpx_codec_stream_info_t info = {.sz = sizeof(info)};

    return vpx_codec_peek_stream_info(v->interface, data, (unsigned)size, &info) == VPX_CODEC_OK &&
           (info.w || info.h) && (info.w != to->width || info.h != to->height);
}

static int decode(struct video_decoder *d, const void *data, size_t size, const struct image *to)
{
    struct vpx_decoder *v = container_of(d, struct vpx_decoder, base);
    vpx_codec_iter_t at = NULL;
    const vpx_image_t *image;
    struct yuv planes;

    if (!size || size > UINT_MAX || claims_other_size(v, data, size, to) ||
        vpx_codec_decode(&v->codec, data, (unsigned)size, NULL, 0))
        return -EBADMSG;
    image = vpx_codec_get_frame(&v->codec, &at);
    if (!image || (image->fmt != VPX_IMG_FMT_I420 && image->fmt != VPX_IMG_FMT_I444) ||
        image->d_w != to->width || image->d_h != to->height)
        return -EBADMSG;
    planes = planes_of(image);
    yuv_to_image(to, &planes);
    return 0;
}

static void destroy_decoder(struct video_decoder *d)
{
    struct vpx_decoder *v = container_of(d, struct vpx_decoder, base);

    vpx_codec_destroy(&v->codec);
    free(v);
}

static struct video_decoder *create_decoder(vpx_codec_iface_t *interface)
{
    struct vpx_decoder *v = calloc(1, sizeof(*v));

    if (!v || vpx_codec_dec_init(&v->codec, interface, NULL, 0)) {
        free(v);
        return NULL;
    }
    v->base = (struct video_decoder){decode, destroy_decoder};
    v->interface = interface;
    return &v->base;
}

static struct video_decoder *create_vp8_decoder(void)
{
    return create_decoder(vpx_codec_vp8_dx());
}

static struct video_decoder *create_vp9_decoder(void)
{
    return create_decoder(vpx_codec_vp9_dx());
}

const struct video_codec video_vp8 = {NULL, create_encoder, create_vp8_decoder};
const struct video_codec video_vp9 = {NULL, NULL, create_vp9_decoder};
