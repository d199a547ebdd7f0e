/*
 * bench_codec.c - how fast the codecs are and how small they make a picture.
 *
 * usage: bench_codec [--encode PROGRAM] [--seconds S] [PICTURE.png...]
 *
 * For each picture (generated ones of 1920x1080 when none is named) and codec: MB/s of pixels, in and out, and the ratio of
 * raw to coded bytes. With --encode build/tests/reference/encode, libspice-server encodes the same pictures in turn with
 * ours, and the last columns are our time and bytes over its. Times are CPU seconds of the thread (of the server's threads).
 */
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

static const struct codec {
    const char *name;
    int (*encode)(struct writer *w, const struct image *image);
    int (*decode)(const struct writer *w, const struct image *image);
    bool lossy;
} codecs[] = {{"quic", encode_quic, decode_quic, false},
              {"lz", encode_lz, decode_lz, false},
              {"lz4", encode_lz4, decode_lz4, false},
              {"jpeg", encode_jpeg, decode_jpeg, true}};

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double limit = 0.3;

/* The shortest of the times that fit into the limit: what others on the machine do only adds. */
static double time_encode(const struct codec *c, struct writer *w, const struct image *image)
{
    double start = now(), best = 1e9;

    for (int n = 0; n < 3 || now() - start < limit; n++) {
        double t = now();

        writer_reset(w);
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
        double t = now();

        if (c->decode(w, image))
            die("%s does not decode", c->name);
        best = MIN(best, now() - t);
    }
    return best;
}

/* libspice-server's seconds and bytes for the picture; false if it did not encode it so. */
static bool reference(const char *program, const char *codec, const char *raw,
                      const struct image *image, double *seconds, double *bytes)
{
    char command[1024];
    FILE *p;
    bool good;

    snprintf(command, sizeof(command), "%s %s %s %u %u", program, codec, raw, image->width,
             image->height);
    p = popen(command, "r");
    good = p && fscanf(p, "%lf %lf", seconds, bytes) == 2;
    return p && pclose(p) == 0 && good;
}

static void bench_one(const struct codec *c, const char *name, const struct image *image,
                      const char *program, const char *raw)
{
    struct image back = picture_new(image->format, image->width, image->height, 0);
    double mb = (double)image->stride * image->height / 1e6, in, out, seconds, bytes;
    struct writer w;

    writer_init(&w, MIB(256));
    in = time_encode(c, &w, image);
    out = time_decode(c, &w, &back);
    if (!c->lossy && !picture_equal(image, &back))
        die("%s does not give %s back", c->name, name);
    printf("%-12s %-5s %8.0f %8.0f %8.2f", name, c->name, mb / in, mb / out,
           mb * 1e6 / (double)w.size);
    if (program && reference(program, c->name, raw, image, &seconds, &bytes))
        printf("  reference %6.0f %8.2f  time x%.2f bytes x%.2f", mb / seconds, mb * 1e6 / bytes,
               in / seconds, (double)w.size / bytes);
    printf("\n");
    fflush(stdout);
    writer_fini(&w);
    picture_free(&back);
}

static void bench(const char *name, const struct image *image, const char *program)
{
    char raw[] = "/tmp/bench-codec-XXXXXX";
    int fd = mkstemp(raw);
    size_t size = (size_t)image->stride * image->height;

    if (fd < 0 || write(fd, image->data, size) != (ssize_t)size)
        die("cannot write %s", raw);
    for (size_t i = 0; i < ARRAY_SIZE(codecs); i++)
        bench_one(&codecs[i], name, image, program, raw);
    close(fd);
    unlink(raw);
}

static void bench_png(const char *path, const char *program)
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
    bench(name, &image, program);
    picture_free(&image);
}

static void bench_generated(const char *program)
{
    for (int content = 0; content < PICTURE_CONTENTS; content++) {
        struct image image = picture_new(SPICE_BITMAP_FMT_32BIT, 1920, 1080, 0);

        picture_draw(&image, content, 1);
        bench(picture_content_names[content], &image, program);
        picture_free(&image);
    }
}

int main(int argc, char **argv)
{
    const char *program = NULL;
    int i = 1;

    for (; i + 1 < argc && argv[i][0] == '-'; i += 2) {
        if (!strcmp(argv[i], "--encode"))
            program = argv[i + 1];
        else if (!strcmp(argv[i], "--seconds"))
            limit = atof(argv[i + 1]);
    }
    quic = quic_create();
    lz = lz_create();
    lz4 = lz4_create();
    jpeg = jpeg_codec_create();
    if (!quic || !lz || !lz4 || !jpeg)
        die("out of memory");
    printf("%-12s %-5s %8s %8s %8s\n", "picture", "codec", "in MB/s", "out MB/s", "ratio");
    if (i == argc)
        bench_generated(program);
    for (; i < argc; i++)
        bench_png(argv[i], program);
    quic_destroy(quic);
    lz_destroy(lz);
    lz4_destroy(lz4);
    jpeg_codec_destroy(jpeg);
    return 0;
}
