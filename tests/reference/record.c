/*
 * record.c - make tests/data/codec: pictures drawn by picture_draw(), as libspice-server encodes them.
 *
 * usage: record FOLDER [PORT]
 */
#include "base/log.h"
#include "tests/lib/recorded.h"
#include "tests/reference/feed.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_PICTURES 200

struct series {
    const char *name;
    struct feed_options options;
    uint8_t type; /* pictures that come in another are left out (tiny ones are sent as they are) */
    uint8_t formats[8];
    uint8_t contents[PICTURE_CONTENTS];
    uint8_t sizes[16][2];
    bool moved; /* later pictures repeat parts of earlier ones */
};

#define ALL_CONTENTS                                                                               \
    {                                                                                              \
        PICTURE_FLAT, PICTURE_NOISE, PICTURE_GRADIENT, PICTURE_PHOTO, PICTURE_TEXT, PICTURE_UI     \
    }
#define RGB_FORMATS                                                                                \
    {                                                                                              \
        SPICE_BITMAP_FMT_16BIT, SPICE_BITMAP_FMT_24BIT, SPICE_BITMAP_FMT_32BIT,                    \
            SPICE_BITMAP_FMT_RGBA                                                                  \
    }

static const struct series all[] = {
    {.name = "quic",
     .options = {.compression = SPICE_IMAGE_COMPRESSION_QUIC},
     .type = SPICE_IMAGE_TYPE_QUIC,
     .formats = RGB_FORMATS,
     .contents = ALL_CONTENTS,
     .sizes = {{3, 40}, {17, 9}, {70, 30}}},
    {.name = "quic_large", /* all paces of learning, long runs */
     .options = {.compression = SPICE_IMAGE_COMPRESSION_QUIC},
     .type = SPICE_IMAGE_TYPE_QUIC,
     .formats = {SPICE_BITMAP_FMT_16BIT, SPICE_BITMAP_FMT_32BIT},
     .contents = {PICTURE_GRADIENT, PICTURE_UI},
     .sizes = {{255, 90}}},
    {.name = "lz",
     .options = {.compression = SPICE_IMAGE_COMPRESSION_LZ},
     .type = SPICE_IMAGE_TYPE_LZ_RGB,
     .formats = RGB_FORMATS,
     .contents = ALL_CONTENTS,
     .sizes = {{1, 60}, {17, 9}, {70, 30}}},
    {.name = "lz_plt",
     .options = {.compression = SPICE_IMAGE_COMPRESSION_LZ},
     .type = SPICE_IMAGE_TYPE_LZ_PLT,
     .formats = {SPICE_BITMAP_FMT_1BIT_BE, SPICE_BITMAP_FMT_4BIT_BE, SPICE_BITMAP_FMT_8BIT},
     .contents = ALL_CONTENTS,
     .sizes = {{64, 30}, {72, 25}}},
    {.name = "lz4",
     .options = {.compression = SPICE_IMAGE_COMPRESSION_LZ4},
     .type = SPICE_IMAGE_TYPE_LZ4,
     .formats = RGB_FORMATS,
     .contents = ALL_CONTENTS,
     .sizes = {{1, 60}, {17, 9}, {64, 21}}},
    {.name = "glz",
     .options = {.compression = SPICE_IMAGE_COMPRESSION_GLZ},
     .type = SPICE_IMAGE_TYPE_GLZ_RGB,
     .formats = RGB_FORMATS,
     .contents = {PICTURE_TEXT, PICTURE_PHOTO},
     .sizes = {{17, 9}, {70, 30}, {72, 35}},
     .moved = true},
    {.name = "zlib_glz",
     .options = {.compression = SPICE_IMAGE_COMPRESSION_GLZ, .zlib = true},
     .type = SPICE_IMAGE_TYPE_ZLIB_GLZ_RGB,
     .formats = {SPICE_BITMAP_FMT_32BIT, SPICE_BITMAP_FMT_RGBA},
     .contents = {PICTURE_TEXT, PICTURE_PHOTO},
     .sizes = {{70, 30}, {120, 40}},
     .moved = true},
    {.name = "jpeg",
     .options = {.compression = SPICE_IMAGE_COMPRESSION_AUTO_GLZ, .jpeg = true},
     .type = SPICE_IMAGE_TYPE_JPEG,
     .formats = {SPICE_BITMAP_FMT_16BIT, SPICE_BITMAP_FMT_24BIT, SPICE_BITMAP_FMT_32BIT},
     .contents = {PICTURE_GRADIENT, PICTURE_PHOTO},
     .sizes = {{100, 61}}},
    {.name = "jpeg_alpha",
     .options = {.compression = SPICE_IMAGE_COMPRESSION_AUTO_GLZ, .jpeg = true},
     .type = SPICE_IMAGE_TYPE_JPEG_ALPHA,
     .formats = {SPICE_BITMAP_FMT_RGBA},
     .contents = {PICTURE_GRADIENT, PICTURE_PHOTO},
     .sizes = {{100, 61}, {33, 20}}},
};

static struct image pictures[MAX_PICTURES];
static struct recorded records[MAX_PICTURES];
static size_t count;
static struct writer out;
static const struct series *series;

static void add_picture(uint8_t format, uint8_t content, const uint8_t size[2], uint32_t seed)
{
    if (count == MAX_PICTURES)
        die("more than %d pictures", MAX_PICTURES);
    pictures[count] = picture_new(format, size[0], size[1], 0);
    picture_draw(&pictures[count], content, seed);
    records[count] = (struct recorded){.format = format,
                                       .content = content,
                                       .width = size[0],
                                       .height = size[1],
                                       .seed = seed,
                                       .hash = recorded_hash(&pictures[count])};
    count++;
}

static void draw_series(void)
{
    for (int f = 0; f < 8 && series->formats[f]; f++)
        for (int s = 0; s < 16 && series->sizes[s][0]; s++)
            for (int c = 0; c < PICTURE_CONTENTS && (c == 0 || series->contents[c]); c++)
                add_picture(series->formats[f], series->contents[c], series->sizes[s],
                            series->moved ? 5 : (uint32_t)count);
}

static void got(void *opaque, size_t index, const struct feed_result *result)
{
    struct recorded *r = &records[index];

    (void)opaque;
    if (result->type != series->type)
        return;
    r->type = result->type;
    r->extra = result->extra;
    r->data = result->data;
    r->size = result->size;
    if (r->type == SPICE_IMAGE_TYPE_JPEG || r->type == SPICE_IMAGE_TYPE_JPEG_ALPHA)
        r->hash = 0;
    recorded_write(&out, r);
}

static int record(const char *folder, int port)
{
    const uint32_t colors[256] = {0, 0xffffff, 0xff0000};
    struct palette palette = {colors, 256};
    struct feed_options options = series->options;
    char path[4096];
    FILE *f;

    options.port = port;
    writer_init(&out, MIB(16));
    draw_series();
    feed_run(&options, pictures, count, &palette, got, NULL);
    snprintf(path, sizeof(path), "%s/%s.pictures", folder, series->name);
    f = fopen(path, "wb");
    if (!f || fwrite(out.data, 1, out.size, f) != out.size || fclose(f))
        die("cannot write %s", path);
    printf("%s: %zu bytes\n", path, out.size);
    return 0;
}

int main(int argc, char **argv)
{
    int port = argc > 2 ? atoi(argv[2]) : 5930;

    if (argc < 2)
        die("usage: record FOLDER [PORT]");
    for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
        pid_t child = fork();
        int status;

        series = &all[i];
        if (child == 0) {
            status = record(argv[1], port + (int)i);
            fflush(stdout);
            _exit(status);
        }
        if (child < 0 || waitpid(child, &status, 0) != child || status)
            die("%s failed", series->name);
    }
    return 0;
}
