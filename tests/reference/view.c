/*
 * view.c - show pictures that our encoders made to spice-gtk, and compare what it decoded. Prints TAP.
 *
 * usage: view [--window PIXELS]
 *
 * A thread is a SPICE server as small as can be: link, main channel, two display channels with a primary surface each. It
 * draws one picture after another at the top left; after each the client, in the main thread, compares its surface. GLZ
 * pictures come through both channels in turn and refer to each other; some are clipped away, and referred to all the
 * same. --window: only those, and the dictionary holds so many pixels.
 */
#include "base/bytes.h"
#include "base/log.h"
#include "spice/codec/glz_deflate.h"
#include "spice/codec/glz_encode.h"
#include "spice/codec/jpeg.h"
#include "spice/codec/lz.h"
#include "spice/codec/lz4.h"
#include "spice/codec/quic.h"
#include "tests/lib/pictures.h"
#include "tests/reference/host.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <spice-client.h>
#include <spice/protocol.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIDE 1024 /* of the primary surface */

static struct quic *quic;
static struct lz *lz;
static struct lz4 *lz4;
static struct jpeg *jpeg;
static struct glz_encoder *glz;
static struct glz_deflate *deflater;

/* ---- what is shown ---- */

static const uint32_t colors[256] = {0x000000, 0xffffff, 0xff0000, 0x00ff00, 0x0000ff, 0x123456,
                                     0x888888, 0xf0f0a0, 0x204060, 0x401010, 0xa0b0c0, 0x0f0f0f,
                                     0x777700, 0x007777, 0x770077, 0xdddddd};
static const struct palette palette = {colors, 256};

static int put_quic(struct writer *w, const struct image *image)
{
    return quic_encode(quic, w, image);
}

static int put_lz(struct writer *w, const struct image *image)
{
    return lz_encode(lz, w, image);
}

static int put_lz4(struct writer *w, const struct image *image)
{
    return lz4_encode(lz4, w, image, 1);
}

static int put_jpeg(struct writer *w, const struct image *image)
{
    return jpeg_encode(jpeg, w, image, 90);
}

/* What the message says besides the data: the form that was chosen, the size of a part. */
static struct {
    uint8_t type;
    uint32_t size;
} about;

static int put_jpeg_alpha(struct writer *w, const struct image *image)
{
    size_t size = 0;
    int err = jpeg_alpha_encode(jpeg, lz, w, image, 90, &size);

    about.size = (uint32_t)size;
    return err;
}

static int put_glz(struct writer *w, const struct image *image)
{
    uint64_t id;

    return glz_encode(glz, w, image, &id);
}

static int put_zlib_glz(struct writer *w, const struct image *image)
{
    struct writer plain;
    int err;

    writer_init(&plain, MIB(16));
    err = put_glz(&plain, image);
    about.size = (uint32_t)plain.size;
    if (!err && glz_deflate(deflater, w, plain.data, plain.size)) {
        about.type = SPICE_IMAGE_TYPE_GLZ_RGB;
        writer_bytes(w, plain.data, plain.size);
    }
    writer_fini(&plain);
    return err;
}

static const struct codec {
    const char *name;
    uint8_t type;
    int (*encode)(struct writer *w, const struct image *image);
    uint8_t formats[8];
    unsigned tolerance; /* mean difference of a sample, in hundredths */
} codecs[] = {
    {"quic",
     SPICE_IMAGE_TYPE_QUIC,
     put_quic,
     {SPICE_BITMAP_FMT_16BIT, SPICE_BITMAP_FMT_24BIT, SPICE_BITMAP_FMT_32BIT,
      SPICE_BITMAP_FMT_RGBA},
     0},
    {"lz",
     SPICE_IMAGE_TYPE_LZ_RGB,
     put_lz,
     {SPICE_BITMAP_FMT_16BIT, SPICE_BITMAP_FMT_24BIT, SPICE_BITMAP_FMT_32BIT,
      SPICE_BITMAP_FMT_RGBA},
     0},
    {"lz_plt",
     SPICE_IMAGE_TYPE_LZ_PLT,
     put_lz,
     {SPICE_BITMAP_FMT_1BIT_LE, SPICE_BITMAP_FMT_1BIT_BE, SPICE_BITMAP_FMT_4BIT_LE,
      SPICE_BITMAP_FMT_4BIT_BE, SPICE_BITMAP_FMT_8BIT},
     0},
    {"lz4",
     SPICE_IMAGE_TYPE_LZ4,
     put_lz4,
     {SPICE_BITMAP_FMT_16BIT, SPICE_BITMAP_FMT_24BIT, SPICE_BITMAP_FMT_32BIT,
      SPICE_BITMAP_FMT_RGBA},
     0},
    {"jpeg",
     SPICE_IMAGE_TYPE_JPEG,
     put_jpeg,
     {SPICE_BITMAP_FMT_16BIT, SPICE_BITMAP_FMT_24BIT, SPICE_BITMAP_FMT_32BIT},
     300},
    {"jpeg_alpha", SPICE_IMAGE_TYPE_JPEG_ALPHA, put_jpeg_alpha, {SPICE_BITMAP_FMT_RGBA}, 300},
    {"glz",
     SPICE_IMAGE_TYPE_GLZ_RGB,
     put_glz,
     {SPICE_BITMAP_FMT_16BIT, SPICE_BITMAP_FMT_24BIT, SPICE_BITMAP_FMT_32BIT,
      SPICE_BITMAP_FMT_RGBA},
     0},
    {"zlib_glz",
     SPICE_IMAGE_TYPE_ZLIB_GLZ_RGB,
     put_zlib_glz,
     {SPICE_BITMAP_FMT_16BIT, SPICE_BITMAP_FMT_24BIT, SPICE_BITMAP_FMT_32BIT,
      SPICE_BITMAP_FMT_RGBA},
     0},
};

/* The pictures of a codec and format, by number; false past the last. */
static bool picture_number(unsigned n, uint8_t format, bool lossy, struct image *image)
{
    static const uint32_t large[][2] = {{640, 480}, {1000, 700}, {333, 1000}};
    uint32_t width = 1 + n / PICTURE_CONTENTS, height = 1 + n * 7 % 37;
    int content = (int)(n % PICTURE_CONTENTS);

    if (width > 70) {
        if (width > 70 + ARRAY_SIZE(large))
            return false;
        height = large[width - 71][1];
        width = large[width - 71][0];
    }
    if (lossy) /* what JPEG is for */
        content = n % 2 ? PICTURE_GRADIENT : PICTURE_PHOTO;
    *image = picture_new(format, width, height, n % 5);
    picture_draw(image, content, n);
    return true;
}

/* ---- the server ---- */

/* GLZ pictures go through both channels in turn; the others through the first. */
#define CHANNELS 2

static struct {
    int listener, port;
    sem_t go; /* the client is ready for the next picture */
    const struct codec *codec;
    struct image image; /* on its way */
    unsigned channel;   /* to which */
    bool finished;
} show;

static void put_image_data(struct writer *w, const struct writer *stream)
{
    size_t place = 0;

    if (about.type == SPICE_IMAGE_TYPE_LZ_PLT)
        writer_u8(w, 0);
    if (about.type == SPICE_IMAGE_TYPE_JPEG_ALPHA)
        writer_u8(w, SPICE_JPEG_ALPHA_FLAGS_TOP_DOWN);
    if (about.type == SPICE_IMAGE_TYPE_JPEG_ALPHA || about.type == SPICE_IMAGE_TYPE_ZLIB_GLZ_RGB)
        writer_u32(w, about.size);
    writer_u32(w, (uint32_t)stream->size);
    if (about.type == SPICE_IMAGE_TYPE_LZ_PLT) {
        place = w->size;
        writer_u32(w, 0);
    }
    writer_bytes(w, stream->data, stream->size);
    if (place) {
        store_le32(w->data + place, (uint32_t)w->size);
        writer_u64(w, 1);
        writer_u16(w, 256);
        host_put_words(w, colors, 256);
    }
}

/* A picture at the top left; `hidden` ones are clipped away. */
static void send_picture(int fd, const struct codec *codec, const struct image *image, bool hidden)
{
    const uint32_t box[4] = {0, 0, image->height, image->width};
    struct writer w, stream;

    writer_init(&w, MIB(16));
    writer_init(&stream, MIB(16));
    about.type = codec->type;
    if (codec->encode(&stream, image))
        die("%s does not encode", codec->name);
    writer_u32(&w, 0);
    host_put_words(&w, box, 4);
    writer_u8(&w, hidden ? SPICE_CLIP_TYPE_RECTS : SPICE_CLIP_TYPE_NONE);
    if (hidden)
        writer_u32(&w, 0);
    writer_u32(&w, hidden ? 61 : 57); /* where the image is */
    host_put_words(&w, box, 4);
    writer_u16(&w, SPICE_ROPD_OP_PUT);
    writer_u8(&w, SPICE_IMAGE_SCALE_MODE_NEAREST);
    writer_u8(&w, 0);
    host_put_words(&w, (const uint32_t[3]){0}, 3);
    writer_u64(&w, 1);
    writer_u8(&w, about.type);
    writer_u8(&w, 0);
    writer_u32(&w, image->width);
    writer_u32(&w, image->height);
    put_image_data(&w, &stream);
    host_send(fd, SPICE_MSG_DISPLAY_DRAW_COPY, &w);
    writer_fini(&w);
    writer_fini(&stream);
}

static bool is_glz(const struct codec *codec)
{
    return codec->encode == put_glz || codec->encode == put_zlib_glz;
}

/* One that is not to be seen, with what the next picture has: that refers to it. */
static void send_hidden(int fd)
{
    struct image image = show.image;

    image.width = DIV_ROUND_UP(image.width, 2);
    send_picture(fd, show.codec, &image, true);
}

/* Main and two displays, each with a surface. */
static void serve_channels(int displays[CHANNELS])
{
    const uint32_t init[8] = {77, 1, 1, 1};
    const uint32_t surface[5] = {0, SIDE, SIDE, SPICE_SURFACE_FMT_32_ARGB,
                                 SPICE_SURFACE_FLAGS_PRIMARY};
    struct writer list;
    uint8_t id;
    int fd = host_accept(show.listener, &id);

    host_send_words(fd, SPICE_MSG_MAIN_INIT, init, 8);
    host_wait(fd, SPICE_MSGC_MAIN_ATTACH_CHANNELS);
    writer_init(&list, 64);
    writer_u32(&list, CHANNELS);
    for (uint8_t i = 0; i < CHANNELS; i++) {
        writer_u8(&list, SPICE_CHANNEL_DISPLAY);
        writer_u8(&list, i);
    }
    host_send(fd, SPICE_MSG_MAIN_CHANNELS_LIST, &list);
    writer_fini(&list);
    for (int i = 0; i < CHANNELS; i++) {
        fd = host_accept(show.listener, &id);
        host_wait(fd, SPICE_MSGC_DISPLAY_INIT);
        displays[id % CHANNELS] = fd;
    }
    for (int i = 0; i < CHANNELS; i++)
        host_send_words(displays[i], SPICE_MSG_DISPLAY_SURFACE_CREATE, surface, 5);
}

static void *serve(void *arg)
{
    int displays[CHANNELS];

    (void)arg;
    serve_channels(displays);
    for (unsigned n = 0;; n++) {
        sem_wait(&show.go);
        if (show.finished)
            return NULL;
        if (is_glz(show.codec) && n % 8 == 0 && show.image.width > 1)
            send_hidden(displays[show.channel]);
        send_picture(displays[show.channel], show.codec, &show.image, false);
    }
}

static void start_server(void)
{
    pthread_t thread;

    show.listener = host_listen(&show.port);
    sem_init(&show.go, 0, 0);
    if (pthread_create(&thread, NULL, serve, NULL))
        die("no thread");
    pthread_detach(thread);
}

/* ---- the client ---- */

static struct {
    GMainLoop *loop;
    uint32_t window; /* pixels of the GLZ dictionary */
    size_t codec, format;
    unsigned n, wrong, shown, ready;
    int failed;
} view;

/* The sum over all samples; alpha that differs at all is beyond any tolerance. */
static uint64_t difference(const struct image *image, const uint8_t *screen, size_t stride)
{
    uint8_t *row = malloc(4 * (size_t)image->width);
    uint64_t sum = 0;

    for (uint32_t y = 0; y < image->height; y++) {
        image_row_to_rgb32(row, image_row(image, y), image->format, image->width, &palette);
        for (uint32_t i = 0; i < 4 * image->width; i++)
            if (i % 4 < 3)
                sum += (uint64_t)abs(row[i] - screen[y * stride + i]);
            else if (image->format == SPICE_BITMAP_FMT_RGBA && row[i] != screen[y * stride + i])
                sum += UINT32_MAX;
    }
    free(row);
    return sum;
}

static void report(void)
{
    const struct codec *c = &codecs[view.codec];
    static unsigned tests;

    printf("%sok %u - spice-gtk shows our %s of format %u: %u pictures, %u wrong\n",
           view.wrong ? "not " : "", ++tests, c->name, c->formats[view.format], view.shown,
           view.wrong);
    view.failed |= view.wrong != 0;
    view.n = view.wrong = view.shown = 0;
    view.format++;
}

/* Hand the next picture to the server, or end. */
static void next_picture(void)
{
    while (view.codec < ARRAY_SIZE(codecs)) {
        const struct codec *c = &codecs[view.codec];
        uint8_t format = view.format < ARRAY_SIZE(c->formats) ? c->formats[view.format] : 0;

        if (!format) {
            view.codec++;
            view.format = 0;
            continue;
        }
        if (!picture_number(view.n++, format, c->tolerance, &show.image)) {
            report();
            continue;
        }
        if (is_glz(c) && show.image.width * show.image.height > view.window) {
            picture_free(&show.image);
            continue;
        }
        show.codec = c;
        show.channel = is_glz(c) ? view.n % CHANNELS : 0;
        sem_post(&show.go);
        return;
    }
    show.finished = true;
    g_main_loop_quit(view.loop);
}

static gboolean start_next(gpointer opaque)
{
    (void)opaque;
    if (++view.ready == CHANNELS)
        next_picture();
    return G_SOURCE_REMOVE;
}

static void on_invalidate(SpiceChannel *channel, gint x, gint y, gint w, gint h, gpointer opaque)
{
    const struct image *image = &show.image;
    uint64_t samples = 3ull * image->width * image->height;
    SpiceDisplayPrimary primary;

    (void)x;
    (void)y;
    (void)opaque;
    if (!image->data || (uint32_t)w != image->width || (uint32_t)h != image->height)
        return;
    if (!spice_display_channel_get_primary(channel, 0, &primary) ||
        difference(image, primary.data, (size_t)primary.stride) * 100 >
            samples * show.codec->tolerance)
        view.wrong++;
    view.shown++;
    picture_free(&show.image);
    next_picture();
}

static void on_primary(SpiceChannel *channel, gint format, gint width, gint height, gint stride,
                       gint shmid, gpointer data, gpointer opaque)
{
    (void)channel, (void)format, (void)width, (void)height;
    (void)stride, (void)shmid, (void)data, (void)opaque;
    g_idle_add(start_next, NULL);
}

static void on_channel(SpiceSession *session, SpiceChannel *channel, gpointer opaque)
{
    (void)session;
    (void)opaque;
    if (!SPICE_IS_DISPLAY_CHANNEL(channel))
        return;
    g_signal_connect(channel, "display-invalidate", G_CALLBACK(on_invalidate), NULL);
    g_signal_connect(channel, "display-primary-create", G_CALLBACK(on_primary), NULL);
    spice_channel_connect(channel);
}

static gboolean on_timeout(gpointer opaque)
{
    (void)opaque;
    printf("not ok 99 - spice-gtk is stuck at picture %u of %s, format %zu\n", view.n,
           codecs[MIN(view.codec, ARRAY_SIZE(codecs) - 1)].name, view.format);
    exit(1);
}

/* With a small window: only what depends on it. */
static void read_arguments(int argc, char **argv)
{
    view.window = SIDE * SIDE;
    if (argc > 2 && !strcmp(argv[1], "--window")) {
        view.window = (uint32_t)atoi(argv[2]);
        while (!is_glz(&codecs[view.codec]))
            view.codec++;
    } else if (argc > 1) {
        die("usage: view [--window PIXELS]");
    }
}

int main(int argc, char **argv)
{
    SpiceSession *session = spice_session_new();
    char uri[64];

    read_arguments(argc, argv);
    glz = glz_encoder_create(view.window);
    deflater = glz_deflate_create();
    quic = quic_create();
    lz = lz_create();
    lz4 = lz4_create();
    jpeg = jpeg_codec_create();
    start_server();
    snprintf(uri, sizeof(uri), "spice://127.0.0.1:%d", show.port);
    view.loop = g_main_loop_new(NULL, FALSE);
    g_object_set(session, "uri", uri, "enable-audio", FALSE, "enable-usbredir", FALSE,
                 "enable-smartcard", FALSE, NULL);
    g_signal_connect(session, "channel-new", G_CALLBACK(on_channel), NULL);
    g_timeout_add_seconds(120, on_timeout, NULL);
    if (!spice_session_connect(session))
        die("spice-gtk does not connect");
    g_main_loop_run(view.loop);
    return view.failed;
}
