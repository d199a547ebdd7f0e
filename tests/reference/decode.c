/*
 * decode.c - what spice-gtk takes to decode a picture.
 *
 * usage: decode quic|lz|lz4|glz|jpeg STREAM WIDTH HEIGHT
 *
 * STREAM is a file with the coded picture. Prints the CPU seconds of the client's thread for it: decoding, and drawing what
 * came out. Receiving is taken off: for a picture that comes as it is and is clipped away it is all there is to do, and it
 * counts for as many bytes as the stream has.
 */
#include "base/log.h"
#include "spice/codec/image.h"
#include "tests/reference/show.h"

#include <spice/enums.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define REPEATS  16
#define KINDS    2 /* of pictures that are shown in turn: coded, plain */
#define MAX_FILE MIB(32)
#define GLZ_ID   21 /* where a GLZ stream has its picture's number */

static const struct {
    const char *name;
    uint8_t type;
} types[] = {
    {"quic", SPICE_IMAGE_TYPE_QUIC}, {"lz", SPICE_IMAGE_TYPE_LZ_RGB},
    {"lz4", SPICE_IMAGE_TYPE_LZ4},   {"glz", SPICE_IMAGE_TYPE_GLZ_RGB},
    {"jpeg", SPICE_IMAGE_TYPE_JPEG},
};

static struct shown coded, plain = {.hidden = true};
static uint8_t *stream;
static double last, least[KINDS] = {1e9, 1e9}; /* seconds */
static unsigned n;

static double cpu_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void next_picture(void)
{
    const struct shown *kinds[KINDS] = {&coded, &plain};

    if (coded.type == SPICE_IMAGE_TYPE_GLZ_RGB)
        store_be64(stream + GLZ_ID, n / KINDS);
    show_picture(0, kinds[n % KINDS]);
    last = cpu_seconds();
}

static void on_drawn(unsigned channel, uint32_t width, uint32_t height)
{
    double took = cpu_seconds() - last;

    if (channel != 0 || width != coded.width || height != coded.height)
        return;
    least[n % KINDS] = MIN(least[n % KINDS], took);
    if (++n == KINDS * REPEATS)
        show_end();
    else
        next_picture();
}

static void read_stream(const char *path)
{
    FILE *f = fopen(path, "rb");

    stream = malloc(MAX_FILE);
    if (!f || !stream)
        die("cannot read %s", path);
    coded.size = (uint32_t)fread(stream, 1, MAX_FILE, f);
    coded.data = stream;
    fclose(f);
    if (coded.type == SPICE_IMAGE_TYPE_GLZ_RGB && coded.size < GLZ_ID + 8)
        die("%s is no GLZ stream", path);
}

int main(int argc, char **argv)
{
    if (argc < 5)
        die("usage: decode quic|lz|lz4|glz|jpeg STREAM WIDTH HEIGHT");
    for (size_t i = 0; i < ARRAY_SIZE(types); i++)
        if (!strcmp(types[i].name, argv[1]))
            coded.type = types[i].type;
    if (!coded.type)
        die("no such codec: %s", argv[1]);
    coded.width = plain.width = (uint32_t)atoi(argv[3]);
    coded.height = plain.height = (uint32_t)atoi(argv[4]);
    read_stream(argv[2]);
    plain.type = SPICE_IMAGE_TYPE_BITMAP;
    plain.size = 4 * plain.width * plain.height;
    plain.data = calloc(1, plain.size);
    if (!plain.data)
        die("out of memory");
    show_run(next_picture, on_drawn, 60);
    printf("%.6f\n", least[0] - least[1] * (double)coded.size / (double)plain.size);
    return 0;
}
