/*
 * check.c - pictures that libspice-server encodes must be what was drawn when our decoders have them. Prints TAP.
 *
 * usage: check [PORT]     the first of some TCP ports to use (5940)
 *
 * Widths of 1 to 70, all contents; the guest's rows are apart by more than they need where the server takes that, and in
 * chunks. A picture that the server chose to send in another form (tiny ones go as they are) is left out.
 */
#include "base/log.h"
#include "spice/codec/glz.h"
#include "spice/codec/lz.h"
#include "spice/codec/lz4.h"
#include "spice/codec/quic.h"
#include "tests/lib/pictures.h"
#include "tests/reference/feed.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_WIDTH    70
#define MAX_PICTURES (MAX_WIDTH * PICTURE_CONTENTS)
#define RGB_FORMATS                                                                                \
    {                                                                                              \
        SPICE_BITMAP_FMT_16BIT, SPICE_BITMAP_FMT_24BIT, SPICE_BITMAP_FMT_32BIT,                    \
            SPICE_BITMAP_FMT_RGBA                                                                  \
    }

static struct quic *quic;
static struct lz *lz;
static struct lz4 *lz4;
static struct glz_window *window;

static const uint32_t colors[256] = {0, 0xffffff, 0xff0000, 0x00ff00, 0x123456};
static const struct palette palette = {colors, 256};

static int take_quic(const struct feed_result *r, const struct image *image)
{
    return quic_decode(quic, r->data, r->size, image);
}

static int take_lz(const struct feed_result *r, const struct image *image)
{
    return lz_decode(lz, r->data, r->size, image, NULL);
}

static int take_lz4(const struct feed_result *r, const struct image *image)
{
    return lz4_decode(lz4, r->data, r->size, image);
}

static int take_glz(const struct feed_result *r, const struct image *image)
{
    return glz_decode(window, r->data, r->size, image);
}

static int take_zlib_glz(const struct feed_result *r, const struct image *image)
{
    return glz_decode_zlib(window, r->data, r->size, r->extra, image);
}

static const struct series {
    const char *name;
    struct feed_options options;
    uint8_t type;
    int (*decode)(const struct feed_result *r, const struct image *image);
    uint8_t formats[8];
    bool padded;    /* rows may be further apart than they are long */
    bool widened;   /* what is not RGBA becomes 32BIT */
    unsigned least; /* per cent of the pictures that must come in this form */
} all[] = {
    {.name = "quic",
     .options = {.compression = SPICE_IMAGE_COMPRESSION_QUIC},
     .type = SPICE_IMAGE_TYPE_QUIC,
     .decode = take_quic,
     .formats = RGB_FORMATS,
     .padded = true,
     .least = 40},
    {.name = "lz",
     .options = {.compression = SPICE_IMAGE_COMPRESSION_LZ},
     .type = SPICE_IMAGE_TYPE_LZ_RGB,
     .decode = take_lz,
     .formats = RGB_FORMATS,
     .least = 40},
    {.name = "lz of palettes",
     .options = {.compression = SPICE_IMAGE_COMPRESSION_LZ},
     .type = SPICE_IMAGE_TYPE_LZ_PLT,
     .decode = take_lz,
     .formats = {SPICE_BITMAP_FMT_1BIT_BE, SPICE_BITMAP_FMT_4BIT_BE, SPICE_BITMAP_FMT_8BIT},
     .least = 20},
    {.name = "lz4",
     .options = {.compression = SPICE_IMAGE_COMPRESSION_LZ4},
     .type = SPICE_IMAGE_TYPE_LZ4,
     .decode = take_lz4,
     .formats = RGB_FORMATS,
     .least = 40},
    {.name = "glz",
     .options = {.compression = SPICE_IMAGE_COMPRESSION_GLZ},
     .type = SPICE_IMAGE_TYPE_GLZ_RGB,
     .decode = take_glz,
     .formats = RGB_FORMATS,
     .widened = true,
     .least = 40},
    {.name = "glz with a small window",
     .options = {.compression = SPICE_IMAGE_COMPRESSION_GLZ, .window = 8000},
     .type = SPICE_IMAGE_TYPE_GLZ_RGB,
     .decode = take_glz,
     .formats = RGB_FORMATS,
     .widened = true,
     .least = 40},
    {.name = "zlib_glz",
     .options = {.compression = SPICE_IMAGE_COMPRESSION_GLZ, .zlib = true},
     .type = SPICE_IMAGE_TYPE_ZLIB_GLZ_RGB,
     .decode = take_zlib_glz,
     .formats = RGB_FORMATS,
     .widened = true,
     .least = 30},
};

static const struct series *series;
static struct image pictures[MAX_PICTURES];
static unsigned shown, wrong;

static void draw_pictures(uint8_t format)
{
    uint32_t random = format;

    for (unsigned i = 0; i < MAX_PICTURES; i++) {
        uint32_t width = 1 + i / PICTURE_CONTENTS, height = 1 + picture_random(&random) % 40;
        uint32_t pad = series->padded ? picture_random(&random) % 3 * 4 : 0;

        pictures[i] = picture_new(format, width, height, pad);
        picture_draw(&pictures[i], (int)(i % PICTURE_CONTENTS), i % 9);
    }
}

/* The picture in the form that the decoder gives it. */
static struct image wanted(const struct image *image)
{
    bool widen = series->widened && image->format != SPICE_BITMAP_FMT_RGBA;
    struct image to =
        picture_new(widen ? SPICE_BITMAP_FMT_32BIT : image->format, image->width, image->height, 0);

    if (!widen)
        image_copy_rows(&to, image->data, (ptrdiff_t)image->stride);
    for (uint32_t y = 0; widen && y < image->height; y++)
        image_row_to_rgb32(image_row(&to, y), image_row(image, y), image->format, image->width,
                           &palette);
    return to;
}

static void got(void *opaque, size_t index, const struct feed_result *result)
{
    struct image want, have;

    (void)opaque;
    /* With zlib, what does not become smaller comes without. */
    if (result->type == SPICE_IMAGE_TYPE_GLZ_RGB && series->decode == take_zlib_glz) {
        want = wanted(&pictures[index]);
        if (glz_decode(window, result->data, result->size, &want))
            wrong++;
        picture_free(&want);
    }
    if (result->type != series->type)
        return;
    want = wanted(&pictures[index]);
    have = picture_new(want.format, want.width, want.height, (uint32_t)index % 5);
    shown++;
    if (series->decode(result, &have) || !picture_equal(&want, &have))
        wrong++;
    picture_free(&want);
    picture_free(&have);
}

/* A test, in a process of its own: the server cannot be stopped. */
static int check(uint8_t format, bool chunks, int port, unsigned number)
{
    struct feed_options options = series->options;
    bool good;

    options.port = port;
    options.chunks = chunks;
    quic = quic_create();
    lz = lz_create();
    lz4 = lz4_create();
    window = glz_window_create(series->options.window ? series->options.window : 4000000);
    draw_pictures(format);
    feed_run(&options, pictures, MAX_PICTURES, &palette, got, NULL);
    good = !wrong && shown * 100 >= series->least * MAX_PICTURES;
    printf("%sok %u - we decode libspice-server's %s of format %u%s: %u pictures, %u wrong\n",
           good ? "" : "not ", number, series->name, format, chunks ? " from chunks" : "", shown,
           wrong);
    fflush(stdout);
    return !good;
}

static bool check_apart(uint8_t format, bool chunks, int port, unsigned number)
{
    pid_t child = fork();
    int status;

    if (child == 0)
        _exit(check(format, chunks, port, number));
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

int main(int argc, char **argv)
{
    int port = argc > 1 ? atoi(argv[1]) : 5940, failed = 0;
    unsigned n = 0;

    for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
        series = &all[i];
        for (int f = 0; f < 8 && series->formats[f]; f++, n++)
            failed |= !check_apart(series->formats[f], n % 2, port + (int)n % 4, n + 1);
    }
    return failed;
}
