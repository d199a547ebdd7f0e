/*
 * view.c - show pictures that our encoders made to spice-gtk, and compare what it decoded. Prints TAP.
 *
 * A thread is a SPICE server as small as can be: link, main channel, one display channel with a primary surface. It draws
 * one picture after another at the top left; after each the client, in the main thread, compares its surface.
 */
#include "base/bytes.h"
#include "base/log.h"
#include "spice/codec/jpeg.h"
#include "spice/codec/lz.h"
#include "spice/codec/lz4.h"
#include "spice/codec/quic.h"
#include "tests/lib/pictures.h"

#include <arpa/inet.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <semaphore.h>
#include <spice-client.h>
#include <spice/protocol.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SIDE 1024 /* of the primary surface */

static struct quic *quic;
static struct lz *lz;
static struct lz4 *lz4;
static struct jpeg *jpeg;

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

static size_t jpeg_size;

static int put_jpeg_alpha(struct writer *w, const struct image *image)
{
    return jpeg_alpha_encode(jpeg, lz, w, image, 90, &jpeg_size);
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

static struct {
    int listener, port;
    sem_t go; /* the client is ready for the next picture */
    const struct codec *codec;
    struct image image; /* on its way */
    bool finished;
} show;

static void send_all(int fd, const void *data, size_t size)
{
    if (send(fd, data, size, MSG_NOSIGNAL) != (ssize_t)size)
        die("the client closed its connection");
}

static void receive_all(int fd, void *to, size_t size)
{
    if (recv(fd, to, size, MSG_WAITALL) != (ssize_t)size)
        die("the client closed its connection");
}

static void send_message(int fd, uint16_t type, const struct writer *w)
{
    SpiceMiniDataHeader header = {type, (uint32_t)w->size};

    send_all(fd, &header, sizeof(header));
    send_all(fd, w->data, w->size);
}

/* Read and forget messages up to one of `type`. */
static void wait_message(int fd, uint16_t type)
{
    SpiceMiniDataHeader header;
    uint8_t body[4096];

    do {
        receive_all(fd, &header, sizeof(header));
        if (header.size > sizeof(body))
            die("the client sends too much");
        if (header.size)
            receive_all(fd, body, header.size);
    } while (header.type != type);
}

/* Accept a channel, whoever it is. */
static int serve_link(void)
{
    struct __attribute__((packed)) {
        SpiceLinkHeader header;
        SpiceLinkReply reply;
        uint32_t common, channel;
    } r = {.header = {SPICE_MAGIC, SPICE_VERSION_MAJOR, SPICE_VERSION_MINOR,
                      sizeof(r) - sizeof(r.header)},
           .reply = {.num_common_caps = 1,
                     .num_channel_caps = 1,
                     .caps_offset = sizeof(SpiceLinkReply)},
           .common = 1u << SPICE_COMMON_CAP_PROTOCOL_AUTH_SELECTION |
                     1u << SPICE_COMMON_CAP_AUTH_SPICE | 1u << SPICE_COMMON_CAP_MINI_HEADER};
    EVP_PKEY *key = EVP_RSA_gen(SPICE_TICKET_KEY_PAIR_LENGTH);
    uint8_t message[4096], *to = r.reply.pub_key;
    const uint32_t good = 0;
    SpiceLinkHeader header;
    int fd = accept(show.listener, NULL, NULL);

    receive_all(fd, &header, sizeof(header));
    if (header.size > sizeof(message) || i2d_PUBKEY(key, NULL) != SPICE_TICKET_PUBKEY_BYTES)
        die("the link message is too long");
    receive_all(fd, message, header.size);
    i2d_PUBKEY(key, &to);
    EVP_PKEY_free(key);
    send_all(fd, &r, sizeof(r));
    receive_all(fd, message, 4 + SPICE_TICKET_KEY_PAIR_LENGTH / 8);
    send_all(fd, &good, sizeof(good));
    return fd;
}

static void put_words(struct writer *w, const uint32_t *words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        writer_u32(w, words[i]);
}

static void put_image_data(struct writer *w, const struct codec *codec, const struct writer *stream)
{
    size_t place = 0;

    if (codec->type == SPICE_IMAGE_TYPE_LZ_PLT)
        writer_u8(w, 0);
    if (codec->type == SPICE_IMAGE_TYPE_JPEG_ALPHA) {
        writer_u8(w, SPICE_JPEG_ALPHA_FLAGS_TOP_DOWN);
        writer_u32(w, (uint32_t)jpeg_size);
    }
    writer_u32(w, (uint32_t)stream->size);
    if (codec->type == SPICE_IMAGE_TYPE_LZ_PLT) {
        place = w->size;
        writer_u32(w, 0);
    }
    writer_bytes(w, stream->data, stream->size);
    if (place) {
        store_le32(w->data + place, (uint32_t)w->size);
        writer_u64(w, 1);
        writer_u16(w, 256);
        put_words(w, colors, 256);
    }
}

static void send_picture(int fd, const struct codec *codec, const struct image *image)
{
    const uint32_t box[4] = {0, 0, image->height, image->width};
    struct writer w, stream;

    writer_init(&w, MIB(16));
    writer_init(&stream, MIB(16));
    if (codec->encode(&stream, image))
        die("%s does not encode", codec->name);
    writer_u32(&w, 0);
    put_words(&w, box, 4);
    writer_u8(&w, SPICE_CLIP_TYPE_NONE);
    writer_u32(&w, 57); /* where the image is */
    put_words(&w, box, 4);
    writer_u16(&w, SPICE_ROPD_OP_PUT);
    writer_u8(&w, SPICE_IMAGE_SCALE_MODE_NEAREST);
    writer_u8(&w, 0);
    put_words(&w, (const uint32_t[3]){0}, 3);
    writer_u64(&w, 1);
    writer_u8(&w, codec->type);
    writer_u8(&w, 0);
    writer_u32(&w, image->width);
    writer_u32(&w, image->height);
    put_image_data(&w, codec, &stream);
    send_message(fd, SPICE_MSG_DISPLAY_DRAW_COPY, &w);
    writer_fini(&w);
    writer_fini(&stream);
}

static void send_words(int fd, uint16_t type, const uint32_t *words, size_t n)
{
    struct writer w;

    writer_init(&w, KIB(4));
    put_words(&w, words, n);
    send_message(fd, type, &w);
    writer_fini(&w);
}

static void *serve(void *arg)
{
    const uint32_t init[8] = {77, 1, 1, 1};
    const uint32_t surface[5] = {0, SIDE, SIDE, SPICE_SURFACE_FMT_32_xRGB,
                                 SPICE_SURFACE_FLAGS_PRIMARY};
    struct writer list;
    int fd = serve_link();

    (void)arg;
    send_words(fd, SPICE_MSG_MAIN_INIT, init, 8);
    wait_message(fd, SPICE_MSGC_MAIN_ATTACH_CHANNELS);
    writer_init(&list, 64);
    writer_u32(&list, 1);
    writer_u8(&list, SPICE_CHANNEL_DISPLAY);
    writer_u8(&list, 0);
    send_message(fd, SPICE_MSG_MAIN_CHANNELS_LIST, &list);
    writer_fini(&list);
    fd = serve_link();
    wait_message(fd, SPICE_MSGC_DISPLAY_INIT);
    send_words(fd, SPICE_MSG_DISPLAY_SURFACE_CREATE, surface, 5);
    for (;;) {
        sem_wait(&show.go);
        if (show.finished)
            return NULL;
        send_picture(fd, show.codec, &show.image);
    }
}

static void start_server(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(to);
    pthread_t thread;

    show.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(show.listener, (struct sockaddr *)&to, sizeof(to)) || listen(show.listener, 4) ||
        getsockname(show.listener, (struct sockaddr *)&to, &size))
        die("cannot listen");
    show.port = ntohs(to.sin_port);
    sem_init(&show.go, 0, 0);
    if (pthread_create(&thread, NULL, serve, NULL))
        die("no thread");
    pthread_detach(thread);
}

/* ---- the client ---- */

static struct {
    GMainLoop *loop;
    SpiceChannel *display;
    size_t codec, format;
    unsigned n, wrong, shown;
    int failed;
} view;

static uint64_t difference(const struct image *image, const uint8_t *screen, size_t stride)
{
    uint8_t *row = malloc(4 * (size_t)image->width);
    uint64_t sum = 0;

    for (uint32_t y = 0; y < image->height; y++) {
        image_row_to_rgb32(row, image_row(image, y), image->format, image->width, &palette);
        for (uint32_t i = 0; i < 4 * image->width; i++)
            sum += i % 4 == 3 ? 0u : (uint64_t)abs(row[i] - screen[y * stride + i]);
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
        if (picture_number(view.n++, format, c->tolerance, &show.image)) {
            show.codec = c;
            sem_post(&show.go);
            return;
        }
        report();
    }
    show.finished = true;
    g_main_loop_quit(view.loop);
}

static gboolean start_next(gpointer opaque)
{
    (void)opaque;
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

int main(void)
{
    SpiceSession *session = spice_session_new();
    char uri[64];

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
