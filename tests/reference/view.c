/*
 * view.c - show pictures that our encoders made to spice-gtk, and compare what it decoded. Prints TAP.
 *
 * usage: view [--window PIXELS]
 *
 * One picture after another is drawn at the top left; after each the client's surface is compared. GLZ pictures come
 * through both display channels in turn and refer to each other; some are clipped away, and referred to all the same.
 * --window: only those, and the dictionary holds so many pixels.
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
#include "tests/reference/show.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* ---- showing ---- */

static struct {
    uint32_t window; /* pixels of the GLZ dictionary */
    size_t codec, format;
    unsigned n, wrong, shown;
    struct image image; /* on its way */
    unsigned channel;   /* GLZ pictures go through both in turn, the others through the first */
    int failed;
} view;

static bool is_glz(const struct codec *codec)
{
    return codec->encode == put_glz || codec->encode == put_zlib_glz;
}

static void send_picture(const struct image *image, bool hidden)
{
    const struct codec *codec = &codecs[view.codec];
    struct writer stream;

    writer_init(&stream, MIB(16));
    about.type = codec->type;
    if (codec->encode(&stream, image))
        die("%s does not encode", codec->name);
    show_picture(view.channel, &(struct shown){.type = about.type,
                                               .width = image->width,
                                               .height = image->height,
                                               .data = stream.data,
                                               .size = (uint32_t)stream.size,
                                               .part = about.size,
                                               .colors = colors,
                                               .hidden = hidden});
    writer_fini(&stream);
}

/* Now and then a GLZ picture that is not to be seen comes before, with what the next one has: that refers to it. */
static void send_pictures(void)
{
    struct image half = view.image;

    view.channel = is_glz(&codecs[view.codec]) ? view.n % SHOW_CHANNELS : 0;
    half.width = DIV_ROUND_UP(half.width, 2);
    if (is_glz(&codecs[view.codec]) && view.n % 8 == 0 && view.image.width > 1)
        send_picture(&half, true);
    send_picture(&view.image, false);
}

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

/* Show the next picture, or end. */
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
        if (!picture_number(view.n++, format, c->tolerance, &view.image)) {
            report();
            continue;
        }
        if (!is_glz(c) || view.image.width * view.image.height <= view.window) {
            send_pictures();
            return;
        }
        picture_free(&view.image);
    }
    show_end();
}

static void on_drawn(unsigned channel, uint32_t width, uint32_t height)
{
    const struct image *image = &view.image;
    uint64_t samples = 3ull * image->width * image->height;
    const uint8_t *screen;
    size_t stride;

    if (!image->data || channel != view.channel || width != image->width || height != image->height)
        return;
    screen = show_screen(channel, &stride);
    if (difference(image, screen, stride) * 100 > samples * codecs[view.codec].tolerance)
        view.wrong++;
    view.shown++;
    picture_free(&view.image);
    next_picture();
}

/* With a small window: only what depends on it. */
static void read_arguments(int argc, char **argv)
{
    view.window = GLZ_ENCODER_MAX_PIXELS;
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
    read_arguments(argc, argv);
    quic = quic_create();
    lz = lz_create();
    lz4 = lz4_create();
    jpeg = jpeg_codec_create();
    glz = glz_encoder_create(view.window);
    deflater = glz_deflate_create();
    show_run(next_picture, on_drawn, 240);
    return view.failed;
}
