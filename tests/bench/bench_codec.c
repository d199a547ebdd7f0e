/*
 * bench_codec.c - how fast the codecs are and how small they make a picture.
 *
 * usage: bench_codec [--encode PROGRAM] [--decode PROGRAM] [--codec NAME] [--seconds S] [PICTURE.png...]
 *
 * For each picture (generated ones of 1920x1080 when none is named) and codec: MB/s of pixels, in and out, and the ratio of
 * raw to coded bytes. With --encode build/tests/reference/encode, libspice-server encodes the same pictures in turn with
 * ours, and the last columns are our time and bytes over its; with --decode build/tests/reference/decode, spice-gtk decodes
 * our streams and draws them, and a copy of the pixels is added to our time. Times are CPU seconds of the thread (of the
 * server's threads). GLZ's dictionary has not seen the picture.
 */
#include "spice/codec/glz.h"
#include "spice/codec/glz_deflate.h"
#include "spice/codec/glz_encode.h"
#include "spice/codec/jpeg.h"
#include "spice/codec/lz.h"
#include "spice/codec/lz4.h"
#include "spice/codec/quic.h"
#include "tests/lib/pictures.h"

#include "base/log.h"

#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static struct quic *quic;
static struct lz *lz;
static struct lz4 *lz4;
static struct jpeg *jpeg;
static struct glz_encoder *glz;
static struct glz_window *window;
static struct glz_deflate *deflater;
static struct writer plain; /* the GLZ stream that zlib gets */

static int encode_quic(struct writer *w, const struct image *image)
{
    return quic_encode(quic, w, image);
}

static int decode_quic(const struct writer *w, const struct image *image)
{
    return quic_decode(quic, w->data, w->size, image);
}

static int encode_lz(struct writer *w, const struct image *image)
{
    return lz_encode(lz, w, image);
}

static int decode_lz(const struct writer *w, const struct image *image)
{
    return lz_decode(lz, w->data, w->size, image, NULL);
}

static int encode_lz4(struct writer *w, const struct image *image)
{
    return lz4_encode(lz4, w, image, 1);
}

static int decode_lz4(const struct writer *w, const struct image *image)
{
    return lz4_decode(lz4, w->data, w->size, image);
}

static int encode_jpeg(struct writer *w, const struct image *image)
{
    return jpeg_encode(jpeg, w, image, 85);
}

static int decode_jpeg(const struct writer *w, const struct image *image)
{
    return jpeg_decode(jpeg, w->data, w->size, image);
}

static int encode_glz(struct writer *w, const struct image *image)
{
    uint64_t id;

    return glz_encode(glz, w, image, &id);
}

static int decode_glz(const struct writer *w, const struct image *image)
{
    return glz_decode(window, w->data, w->size, image);
}

/* Noise does not become smaller; then it is what GLZ makes of it. */
static int encode_zlib_glz(struct writer *w, const struct image *image)
{
    int err;

    writer_reset(&plain);
    err = encode_glz(&plain, image);
    if (!err && glz_deflate(deflater, w, plain.data, plain.size))
        writer_bytes(w, plain.data, plain.size);
    return err;
}

static int decode_zlib_glz(const struct writer *w, const struct image *image)
{
    if (w->size == plain.size)
        return decode_glz(w, image);
    return glz_decode_zlib(window, w->data, w->size, plain.size, image);
}

static void forget(void)
{
    glz_encoder_reset(glz);
    glz_window_clear(window);
}

static void nothing(void)
{
}

static const struct codec {
    const char *name;
    int (*encode)(struct writer *w, const struct image *image);
    int (*decode)(const struct writer *w, const struct image *image);
    void (*prepare)(void); /* before either, outside the time */
    bool lossy;
} codecs[] = {{"quic", encode_quic, decode_quic, nothing, false},
              {"lz", encode_lz, decode_lz, nothing, false},
              {"glz", encode_glz, decode_glz, forget, false},
              {"zlib_glz", encode_zlib_glz, decode_zlib_glz, forget, false},
              {"lz4", encode_lz4, decode_lz4, nothing, false},
              {"jpeg", encode_jpeg, decode_jpeg, nothing, true}};

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double limit = 0.3;
static const char *only; /* codec */

/* The shortest of the times that fit into the limit: what others on the machine do only adds. */
static double time_encode(const struct codec *c, struct writer *w, const struct image *image)
{
    double start = now(), best = 1e9;

    for (int n = 0; n < 3 || now() - start < limit; n++) {
        double t;

        writer_reset(w);
        c->prepare();
        t = now();
        if (c->encode(w, image))
            die("%s does not encode", c->name);
        best = MIN(best, now() - t);
    }
    return best;
}

static double time_decode(const struct codec *c, const struct writer *w, const struct image *image)
{
    double start = now(), best = 1e9;

    for (int n = 0; n < 3 || now() - start < limit; n++) {
        double t;

        c->prepare();
        t = now();
        if (c->decode(w, image))
            die("%s does not decode", c->name);
        best = MIN(best, now() - t);
    }
    return best;
}

static struct {
    const char *encode, *decode; /* programs */
} reference;

/* What a program prints when it is called with a codec, a file with `data`, and the picture's size; false if it fails. */
static bool ask(const char *program, const char *codec, const void *data, size_t size,
                const struct image *image, double *first, double *second)
{
    char path[] = "/tmp/bench-codec-XXXXXX", command[1024];
    int fd = mkstemp(path), n = 0;
    FILE *p;

    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        die("cannot write %s", path);
    snprintf(command, sizeof(command), "%s %s %s %u %u", program, codec, path, image->width,
             image->height);
    p = popen(command, "r");
    if (p)
        n = fscanf(p, "%lf %lf", first, second);
    close(fd);
    unlink(path);
    return p && pclose(p) == 0 && n > 0;
}

/* What drawing a decoded picture takes. */
static double time_draw(const struct image *image)
{
    struct image to = picture_new(image->format, image->width, image->height, 0);
    double best = 1e9;

    for (int n = 0; n < 8; n++) {
        double t = now();

        image_copy_rows(&to, image->data, (ptrdiff_t)image->stride);
        best = MIN(best, now() - t);
    }
    picture_free(&to);
    return best;
}

static void compare(const struct codec *c, const struct writer *w, const struct image *image,
                    double in, double out)
{
    double mb = (double)image->stride * image->height / 1e6, seconds, bytes;

    if (reference.encode && ask(reference.encode, c->name, image->data,
                                image->stride * image->height, image, &seconds, &bytes))
        printf("  reference in %6.0f %8.2f time x%.2f bytes x%.2f", mb / seconds, mb * 1e6 / bytes,
               in / seconds, (double)w->size / bytes);
    if (reference.decode && c->decode != decode_zlib_glz &&
        ask(reference.decode, c->name, w->data, w->size, image, &seconds, &bytes))
        printf("  decoded and drawn %6.0f time x%.2f", mb / seconds,
               (out + time_draw(image)) / seconds);
}

static void bench_one(const struct codec *c, const char *name, const struct image *image)
{
    struct image back = picture_new(image->format, image->width, image->height, 0);
    double mb = (double)image->stride * image->height / 1e6, in, out;
    struct writer w;

    writer_init(&w, MIB(256));
    in = time_encode(c, &w, image);
    out = time_decode(c, &w, &back);
    if (!c->lossy && !picture_equal(image, &back))
        die("%s does not give %s back", c->name, name);
    printf("%-12s %-8s %8.0f %8.0f %8.2f", name, c->name, mb / in, mb / out,
           mb * 1e6 / (double)w.size);
    compare(c, &w, image, in, out);
    printf("\n");
    fflush(stdout);
    writer_fini(&w);
    picture_free(&back);
}

static void bench(const char *name, const struct image *image)
{
    for (size_t i = 0; i < ARRAY_SIZE(codecs); i++)
        if (!only || !strcmp(only, codecs[i].name))
            bench_one(&codecs[i], name, image);
}

static void bench_png(const char *path)
{
    png_image png = {.version = PNG_IMAGE_VERSION};
    const char *name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
    struct image image;

    if (!png_image_begin_read_from_file(&png, path))
        die("%s: %s", path, png.message);
    png.format = PNG_FORMAT_BGRA;
    image = picture_new(SPICE_BITMAP_FMT_32BIT, png.width, png.height, 0);
    if (!png_image_finish_read(&png, NULL, image.data, (png_int_32)image.stride, NULL))
        die("%s: %s", path, png.message);
    bench(name, &image);
    picture_free(&image);
}

static void bench_generated(void)
{
    for (int content = 0; content < PICTURE_CONTENTS; content++) {
        struct image image = picture_new(SPICE_BITMAP_FMT_32BIT, 1920, 1080, 0);

        picture_draw(&image, content, 1);
        bench(picture_content_names[content], &image);
        picture_free(&image);
    }
}

int main(int argc, char **argv)
{
    int i = 1;

    for (; i + 1 < argc && argv[i][0] == '-'; i += 2) {
        if (!strcmp(argv[i], "--encode"))
            reference.encode = argv[i + 1];
        else if (!strcmp(argv[i], "--decode"))
            reference.decode = argv[i + 1];
        else if (!strcmp(argv[i], "--codec"))
            only = argv[i + 1];
        else if (!strcmp(argv[i], "--seconds"))
            limit = atof(argv[i + 1]);
    }
    quic = quic_create();
    lz = lz_create();
    lz4 = lz4_create();
    jpeg = jpeg_codec_create();
    glz = glz_encoder_create(GLZ_ENCODER_MAX_PIXELS);
    window = glz_window_create(GLZ_ENCODER_MAX_PIXELS);
    deflater = glz_deflate_create();
    writer_init(&plain, MIB(256));
    if (!quic || !lz || !lz4 || !jpeg || !glz || !window || !deflater)
        die("out of memory");
    printf("%-12s %-8s %8s %8s %8s\n", "picture", "codec", "in MB/s", "out MB/s", "ratio");
    if (i == argc)
        bench_generated();
    for (; i < argc; i++)
        bench_png(argv[i]);
    quic_destroy(quic);
    lz_destroy(lz);
    lz4_destroy(lz4);
    jpeg_codec_destroy(jpeg);
    glz_encoder_destroy(glz);
    glz_window_destroy(window);
    glz_deflate_destroy(deflater);
    writer_fini(&plain);
    return 0;
}
