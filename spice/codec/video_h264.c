/*
 * video_h264.c - H.264 by openh264, where it is installed.
 *
 * The library is opened when it is first asked for: it brings the C++ run-time along, which every start would pay for and
 * few viewers need. Its interface changes between versions, so only the version of the headers is taken. Built without
 * the headers there is no H.264.
 */
#include "spice/codec/video_codec.h"

#if __has_include(<wels/codec_api.h>)

#include "spice/codec/yuv.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wels/codec_api.h>
#include <wels/codec_ver.h>

/* The finest quantizer, of 0 to 51, as in video_vpx.c; the coarsest. */
#define FINEST   16
#define COARSEST 46
#define MIN_BITS 100000
#define FPS      30 /* what the rate control is told; its frames are counted, not timed */
#define SONAMES  16 /* libopenh264.so.N are tried to that number */

static struct library {
    void (*version)(OpenH264Version *version);
    int (*create_encoder)(ISVCEncoder **encoder);
    void (*destroy_encoder)(ISVCEncoder *encoder);
    long (*create_decoder)(ISVCDecoder **decoder);
    void (*destroy_decoder)(ISVCDecoder *decoder);
    bool usable;
} library;
static pthread_once_t opened = PTHREAD_ONCE_INIT;

static void *open_any(void)
{
    char name[32];
    void *handle = NULL;

    for (int i = SONAMES; i > 0 && !handle; i--) {
        snprintf(name, sizeof(name), "libopenh264.so.%d", i);
        handle = dlopen(name, RTLD_LAZY | RTLD_LOCAL);
    }
    return handle;
}

static bool has_version(void)
{
    OpenH264Version v = {0};

    library.version(&v);
    return v.uMajor == OPENH264_MAJOR && v.uMinor == OPENH264_MINOR;
}

static void open_library(void)
{
    const struct {
        const char *name;
        void *place;
    } symbols[] = {{"WelsGetCodecVersionEx", &library.version},
                   {"WelsCreateSVCEncoder", &library.create_encoder},
                   {"WelsDestroySVCEncoder", &library.destroy_encoder},
                   {"WelsCreateDecoder", &library.create_decoder},
                   {"WelsDestroyDecoder", &library.destroy_decoder}};
    void *handle = open_any();

    for (size_t i = 0; i < ARRAY_SIZE(symbols); i++) {
        void *found = handle ? dlsym(handle, symbols[i].name) : NULL;

        if (!found)
            return;
        memcpy(symbols[i].place, &found, sizeof(found));
    }
    library.usable = has_version();
}

static bool present(void)
{
    pthread_once(&opened, open_library);
    return library.usable;
}

/* --- encoding --- */

struct h264_encoder {
    struct video_encoder base;
    ISVCEncoder *codec;
    uint8_t *memory; /* of the planes */
    struct yuv planes;
    uint32_t bits_per_s;
};

static void set_rate(struct h264_encoder *h, uint32_t bits_per_s)
{
    SBitrateInfo info = {SPATIAL_LAYER_ALL, (int)CLAMP(bits_per_s, MIN_BITS, INT_MAX)};

    if (h->bits_per_s == bits_per_s)
        return;
    h->bits_per_s = bits_per_s;
    (*h->codec)->SetOption(h->codec, ENCODER_OPTION_BITRATE, &info);
}

static int take_layers(const SFrameBSInfo *info, struct writer *w)
{
    for (int i = 0; i < info->iLayerNum; i++) {
        const SLayerBSInfo *layer = &info->sLayerInfo[i];
        size_t size = 0;

        for (int k = 0; k < layer->iNalCount; k++)
            size += (size_t)layer->pNalLengthInByte[k];
        writer_bytes(w, layer->pBsBuf, size);
    }
    return w->bad ? -ENOSPC : 0;
}

static int encode(struct video_encoder *e, struct writer *w, const struct image *from,
                  const struct video_wish *wish)
{
    struct h264_encoder *h = container_of(e, struct h264_encoder, base);
    SSourcePicture picture = {.iColorFormat = videoFormatI420,
                              .iPicWidth = (int)e->width,
                              .iPicHeight = (int)e->height,
                              .uiTimeStamp = wish->ms};
    SFrameBSInfo info = {0};
    size_t before = w->size;
    int err;

    yuv_from_image(&h->planes, from);
    for (int i = 0; i < 3; i++) {
        picture.pData[i] = h->planes.planes[i];
        picture.iStride[i] = h->planes.strides[i];
    }
    set_rate(h, wish->bits_per_s);
    if (wish->key)
        (*h->codec)->ForceIntraFrame(h->codec, true);
    if ((*h->codec)->EncodeFrame(h->codec, &picture, &info))
        return -EINVAL;
    err = take_layers(&info, w);
    return err || w->size > before ? err : -EINVAL;
}

static void destroy_encoder(struct video_encoder *e)
{
    struct h264_encoder *h = container_of(e, struct h264_encoder, base);

    if (h->codec) {
        (*h->codec)->Uninitialize(h->codec);
        library.destroy_encoder(h->codec);
    }
    free(h->memory);
    free(h);
}

static bool configure(struct h264_encoder *h, uint32_t width, uint32_t height)
{
    SEncParamExt p;
    int quiet = WELS_LOG_QUIET;

    if (library.create_encoder(&h->codec))
        return false;
    (*h->codec)->SetOption(h->codec, ENCODER_OPTION_TRACE_LEVEL, &quiet);
    (*h->codec)->GetDefaultParams(h->codec, &p);
    p.iUsageType = CAMERA_VIDEO_REAL_TIME;
    p.iPicWidth = (int)width;
    p.iPicHeight = (int)height;
    p.iTargetBitrate = p.iMaxBitrate = UNSPECIFIED_BIT_RATE;
    p.iTargetBitrate = MIN_BITS;
    p.iRCMode = RC_BITRATE_MODE;
    p.fMaxFrameRate = FPS;
    p.bEnableFrameSkip = false;
    p.iMinQp = FINEST;
    p.iMaxQp = COARSEST;
    p.uiIntraPeriod = 0;
    p.iMultipleThreadIdc = 1;
    p.eSpsPpsIdStrategy = CONSTANT_ID;
    p.sSpatialLayers[0].iVideoWidth = (int)width;
    p.sSpatialLayers[0].iVideoHeight = (int)height;
    p.sSpatialLayers[0].fFrameRate = FPS;
    p.sSpatialLayers[0].iSpatialBitrate = MIN_BITS;
    return (*h->codec)->InitializeExt(h->codec, &p) == 0;
}

static struct video_encoder *create_encoder(uint32_t width, uint32_t height)
{
    size_t luma = (size_t)width * height;
    struct h264_encoder *h;

    if (width % 2 || height % 2)
        return NULL; /* the library would leave a row or column out */
    h = calloc(1, sizeof(*h));
    if (!h)
        return NULL;
    h->base = (struct video_encoder){encode, destroy_encoder};
    h->memory = malloc(luma * 3 / 2);
    h->planes = (struct yuv){{h->memory, h->memory + luma, h->memory + luma * 5 / 4},
                             {(int)width, (int)width / 2, (int)width / 2}};
    if (h->memory && configure(h, width, height))
        return &h->base;
    destroy_encoder(&h->base);
    return NULL;
}

/* --- decoding --- */

struct h264_decoder {
    struct video_decoder base;
    ISVCDecoder *codec;
};

static int decode(struct video_decoder *d, const void *data, size_t size, const struct image *to)
{
    struct h264_decoder *h = container_of(d, struct h264_decoder, base);
    unsigned char *planes[3] = {NULL};
    SBufferInfo info = {0};
    const SSysMEMBuffer *shape = &info.UsrData.sSystemBuffer;
    struct yuv yuv;

    if (size > INT_MAX || (*h->codec)->DecodeFrameNoDelay(h->codec, data, (int)size, planes, &info))
        return -EBADMSG;
    if (info.iBufferStatus != 1 || shape->iFormat != videoFormatI420 ||
        shape->iWidth != (int)to->width || shape->iHeight != (int)to->height)
        return -EBADMSG;
    yuv = (struct yuv){{planes[0], planes[1], planes[2]},
                       {shape->iStride[0], shape->iStride[1], shape->iStride[1]}};
    yuv_to_image(to, &yuv);
    return 0;
}

static void destroy_decoder(struct video_decoder *d)
{
    struct h264_decoder *h = container_of(d, struct h264_decoder, base);

    if (h->codec) {
        (*h->codec)->Uninitialize(h->codec);
        library.destroy_decoder(h->codec);
    }
    free(h);
}

static struct video_decoder *create_decoder(void)
{
    struct h264_decoder *h = calloc(1, sizeof(*h));
    SDecodingParam p = {.eEcActiveIdc = ERROR_CON_DISABLE};
    int quiet = WELS_LOG_QUIET;

    if (!h)
        return NULL;
    h->base = (struct video_decoder){decode, destroy_decoder};
    p.sVideoProperty =
        (SVideoProperty){.size = sizeof(p.sVideoProperty), .eVideoBsType = VIDEO_BITSTREAM_AVC};
    if (!library.create_decoder(&h->codec)) {
        (*h->codec)->SetOption(h->codec, DECODER_OPTION_TRACE_LEVEL, &quiet);
        if (!(*h->codec)->Initialize(h->codec, &p))
            return &h->base;
    }
    destroy_decoder(&h->base);
    return NULL;
}

const struct video_codec video_h264 = {present, create_encoder, create_decoder};

#else

static bool absent(void)
{
    return false;
}

const struct video_codec video_h264 = {.present = absent};

#endif
