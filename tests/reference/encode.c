/*
 * encode.c - what libspice-server takes to encode a picture.
 *
 * usage: encode quic|lz|lz4|glz|zlib_glz|jpeg RAW WIDTH HEIGHT
 *
 * REFERENCE_PORT in the environment names the first of four TCP ports to use (5940).
 * RAW has b, g, r, ignored bytes without padding. Prints the CPU seconds that encoding took (what the server needs to pass
 * the same picture on as it is taken off) and the bytes. Exits with 1 if it did not come in that form.
 */
#include "base/bytes.h"
#include "base/log.h"
#include "tests/lib/pictures.h"
#include "tests/reference/feed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_REPEATS 24

static const struct mode {
    const char *name;
    struct feed_options options;
    uint8_t type;
    int repeats; /* fewer where the server takes long */
} modes[] = {
    {"off", {.compression = SPICE_IMAGE_COMPRESSION_OFF}, SPICE_IMAGE_TYPE_BITMAP, MAX_REPEATS},
    {"quic", {.compression = SPICE_IMAGE_COMPRESSION_QUIC}, SPICE_IMAGE_TYPE_QUIC, MAX_REPEATS},
    {"lz", {.compression = SPICE_IMAGE_COMPRESSION_LZ}, SPICE_IMAGE_TYPE_LZ_RGB, MAX_REPEATS},
    {"lz4", {.compression = SPICE_IMAGE_COMPRESSION_LZ4}, SPICE_IMAGE_TYPE_LZ4, MAX_REPEATS},
    {"glz", {.compression = SPICE_IMAGE_COMPRESSION_GLZ}, SPICE_IMAGE_TYPE_GLZ_RGB, 4},
    {"zlib_glz",
     {.compression = SPICE_IMAGE_COMPRESSION_GLZ, .zlib = true},
     SPICE_IMAGE_TYPE_ZLIB_GLZ_RGB,
     4},
    {"jpeg",
     {.compression = SPICE_IMAGE_COMPRESSION_AUTO_GLZ, .jpeg = true},
     SPICE_IMAGE_TYPE_JPEG,
     MAX_REPEATS},
};

/* Shared with the children. */
static struct figures {
    double seconds;
    uint64_t bytes;
    bool as_wanted;
} * figures;

static uint8_t wanted;

static void got(void *opaque, size_t index, const struct feed_result *result)
{
    (void)opaque;
    (void)index;
    figures->bytes += result->size;
    figures->as_wanted &= result->type == wanted;
}

/* The picture in other colours, which is as hard to code: GLZ is to meet none that it has seen. */
static struct image recolored(const struct image *picture, uint32_t seed)
{
    struct image image = picture_new(picture->format, picture->width, picture->height, 0);
    uint32_t change = picture_random(&seed);

    for (size_t i = 0; i < (size_t)image.stride * image.height; i += 4)
        store_le32(image.data + i, load_le32(picture->data + i) ^ change);
    return image;
}

static void measure(const struct mode *mode, const struct image *picture, int port)
{
    struct image pictures[MAX_REPEATS];
    struct feed_options options = mode->options;
    const uint32_t black = 0;
    struct palette palette = {&black, 1};
    pid_t child = fork();
    int status;

    *figures = (struct figures){.as_wanted = true};
    if (child == 0) {
        for (int i = 0; i < mode->repeats; i++)
            pictures[i] = mode->options.compression == SPICE_IMAGE_COMPRESSION_GLZ
                              ? recolored(picture, (uint32_t)i)
                              : *picture;
        wanted = mode->type;
        options.port = port;
        figures->seconds =
            feed_run(&options, pictures, (size_t)mode->repeats, &palette, got, NULL) /
            mode->repeats;
        _exit(0);
    }
    if (child < 0 || waitpid(child, &status, 0) != child || status)
        die("the server failed");
}

int main(int argc, char **argv)
{
    struct image image;
    const char *from = getenv("REFERENCE_PORT");
    int port = from ? atoi(from) : 5940;
    double base, least = 1e9;
    size_t m = 0;
    FILE *f;

    if (argc < 5)
        die("usage: encode quic|lz|lz4|glz|zlib_glz|jpeg RAW WIDTH HEIGHT");
    while (m < ARRAY_SIZE(modes) && strcmp(modes[m].name, argv[1]))
        m++;
    if (m == ARRAY_SIZE(modes))
        die("no such codec: %s", argv[1]);
    image =
        picture_new(SPICE_BITMAP_FMT_32BIT, (uint32_t)atoi(argv[3]), (uint32_t)atoi(argv[4]), 0);
    f = fopen(argv[2], "rb");
    if (!f || fread(image.data, image.stride, image.height, f) != image.height)
        die("cannot read %s", argv[2]);
    figures =
        mmap(NULL, sizeof(*figures), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    measure(&modes[0], &image, port);
    base = figures->seconds;
    for (int i = 0; i < 3; i++) {
        measure(&modes[m], &image, port + 1 + i);
        least = least < figures->seconds ? least : figures->seconds;
    }
    if (!figures->as_wanted)
        return 1;
    /* Passing on coded bytes costs less than raw ones; only the raw copy's share of them is taken off. */
    base *= (double)figures->bytes / modes[m].repeats / ((double)image.stride * image.height);
    printf("%.6f %.0f\n", least - base, (double)figures->bytes / modes[m].repeats);
    return 0;
}
