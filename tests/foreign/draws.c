/*
 * draws.c - libspice-server with a guest that draws at random (guest/payload/drawing.h), for viewers to show.
 *
 *   draws [--first SEED] [--seeds N] [--commands N] [--type T] [--common] [--expected FILE] [--drawn FILE] [--list] SETTINGS
 *
 * Prints "PORT N", waits for a viewer, and draws. Each seed has a primary and other surfaces of its own; at its end they are
 * all copied into a row of the sheet, an off-screen surface: what they show, and beside it in grey what alpha there is. When
 * all seeds are done the sheet becomes the primary, above a strip of SHEET_MARK that tells viewers so; "DONE" is printed.
 *
 * --type: of all commands, a QXL_DRAW_* number; --common: none but what all draw alike (fit.h); --expected: what an oracle that
 * shares no code with either side says (tests/lib/drawing_oracle.h); --drawn: what libspice-server itself drew for the guest
 * to read back; --list: name each command. SETTINGS are libspice-server's. The program ends with its standard input.
 */
#include "backend/screenshot.h"
#include "base/error.h"
#include "base/log.h"
#include "tests/foreign/fit.h"
#include "tests/lib/drawing_describe.h"
#include "tests/lib/drawing_oracle.h"
#include "tests/reference/device.h"

#include <getopt.h>
#include <spice/enums.h>
#include <spice/qxl_dev.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SHEET        DRAWING_SURFACES /* its id */
#define SHEET_WIDTH  1120
#define ROW_HEIGHT   90
#define CELL_WIDTH   160 /* of a surface: the left half in colours, the right half its alpha */
#define PRIMARY_CELL (SHEET_WIDTH - 6 * CELL_WIDTH)
#define STRIP_HEIGHT 4
#define SHEET_MARK   0x3577ab
#define MEMORY       GIB(8) /* of addresses; used once */

static struct draws {
    unsigned first, seeds, commands;
    const char *expected, *drawn;
    bool list, common;
    int type; /* of all commands; -1: any */
    struct loop loop;
    struct device_settings settings;
    struct oracle_streams streams;
    struct drawing_memory memory;
    struct drawing_surface surfaces[DRAWING_SURFACES];
    uint8_t *data[DRAWING_SURFACES];
    struct oracle oracle;
    uint32_t random;
    uint32_t *sheet;            /* the guest's memory of it */
    struct screenshot expected_sheet;
} draws;

static uint32_t random_below(uint32_t n)
{
    draws.random = draws.random * 1664525 + 1013904223;
    return (draws.random >> 8) % n;
}

/* Zeroed, and never given back: a server holds on to commands as long as it likes. */
static void *take(size_t size)
{
    uint8_t *p = (uint8_t *)(uintptr_t)draws.memory.next;

    draws.memory.next += ALIGN_UP(size, 64);
    if (draws.memory.next > draws.memory.end)
        die("no memory left for the guest");
    return p;
}

static void memory_init(void)
{
    void *p = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (p == MAP_FAILED)
        die("no memory for a guest");
    draws.memory = (struct drawing_memory){.next = (uintptr_t)p,
                                           .end = (uintptr_t)p + MEMORY - MIB(1),
                                           .words = true,
                                           .streams = draws.streams.data,
                                           .stream_types = draws.streams.types};
}

/* A guest's QUIC pictures are sent on as they are; of other compressed ones libspice-server knows nothing. */
static void streams_init(void)
{
    struct drawing_streams *s = &draws.streams.streams;
    uint16_t n = 0;

    oracle_streams_init(&draws.streams);
    while (n < s->count && draws.streams.types[n] == SPICE_IMAGE_TYPE_QUIC)
        n++;
    s->count = n;
}

/* --- commands --- */

static void push(uint32_t type, uint64_t address)
{
    if (draws.memory.full)
        die("no memory left for commands");
    device_push(type, (const void *)(uintptr_t)address);
}

static void update(unsigned surface)
{
    device_update(surface, draws.surfaces[surface].width, draws.surfaces[surface].height);
}

/* The pixels of a surface that is destroyed are the guest's affair: it has them drawn first. */
static void remake(unsigned surface)
{
    update(surface);
    for (int create = 0; create < 2; create++)
        push(QXL_CMD_SURFACE, drawing_encode_surface(&draws.memory, surface, &draws.surfaces[surface],
                                                     (uintptr_t)draws.data[surface], create, true));
}

static void give(const struct drawing *d)
{
    char text[400];

    if (draws.list) {
        drawing_describe(d, text, sizeof(text));
        fprintf(stderr, "%s\n", text);
    }
    if (d->type == DRAWING_REMAKE)
        remake(d->surface);
    else
        push(QXL_CMD_DRAW, drawing_encode(&draws.memory, d));
    oracle_draw(&draws.oracle, d);
}

/* --- a seed --- */

/* The next one that is wanted, and that the server takes. */
static void next_drawing(struct drawing_random *random, struct drawing *d)
{
    bool wanted;

    do {
        drawing_next(random, draws.surfaces, &draws.streams.streams, d);
        wanted = draws.type < 0 || d->type == draws.type;
    } while (!wanted || !fit_drawing(draws.surfaces, d) || (draws.common && !fit_is_common(draws.surfaces, d)));
    d->source.cached = d->mask.cached = d->brush.pattern.cached = random_below(2);
}

/* The server ends when it should send a picture of a surface of the others. */
static uint32_t format_to_send(uint32_t format)
{
    return format == SPICE_SURFACE_FMT_16_565 ? SPICE_SURFACE_FMT_16_555
           : format == SPICE_SURFACE_FMT_1_A  ? SPICE_SURFACE_FMT_8_A
                                              : format;
}

static void open_seed(unsigned seed, struct drawing_random *random)
{
    drawing_start(random, seed, draws.surfaces);
    draws.random = seed;
    for (unsigned i = 0; i < DRAWING_SURFACES; i++) {
        draws.surfaces[i].format = format_to_send(draws.surfaces[i].format);
        draws.data[i] = take((size_t)abs(drawing_stride(&draws.surfaces[i])) * draws.surfaces[i].height);
    }
    device_primary(draws.surfaces[0].width, draws.surfaces[0].height, drawing_stride(&draws.surfaces[0]),
                   draws.surfaces[0].format, draws.data[0]);
    for (unsigned i = 1; i < DRAWING_SURFACES; i++)
        push(QXL_CMD_SURFACE, drawing_encode_surface(&draws.memory, i, &draws.surfaces[i], (uintptr_t)draws.data[i],
                                                     true, false));
    oracle_init(&draws.oracle, &draws.streams, draws.surfaces);
}

static void close_seed(void)
{
    for (unsigned i = 1; i < DRAWING_SURFACES; i++)
        push(QXL_CMD_SURFACE, drawing_encode_surface(&draws.memory, i, &draws.surfaces[i], 0, false, false));
    oracle_fini(&draws.oracle);
}

static int cell_left(unsigned surface)
{
    return surface ? PRIMARY_CELL + (int)(surface - 1) * CELL_WIDTH : 0;
}

static bool has_alpha(unsigned surface)
{
    uint32_t format = draws.surfaces[surface].format;

    return format == SPICE_SURFACE_FMT_32_ARGB || format == SPICE_SURFACE_FMT_8_A || format == SPICE_SURFACE_FMT_1_A;
}

/* What a surface shows goes to (x, y) of the sheet; COPY would have it be of as many bits. */
static void put_colors(unsigned surface, int x, int y)
{
    const struct drawing_surface *s = &draws.surfaces[surface];
    struct drawing d = {.type = QXL_DRAW_COMPOSITE,
                        .surface = SHEET,
                        .box = {x, y, x + s->width, y + s->height},
                        .composite = PIXMAN_OP_SRC,
                        .source = {.kind = DRAWING_SURFACE, .width = s->width, .height = s->height, .surface = surface}};

    push(QXL_CMD_DRAW, drawing_encode(&draws.memory, &d));
}

/* White through its alpha. */
static void put_alpha(unsigned surface, int x, int y)
{
    const struct drawing_surface *s = &draws.surfaces[surface];
    static uint32_t white = 0xffffffff;
    struct drawing d = {.type = QXL_DRAW_COMPOSITE,
                        .surface = SHEET,
                        .box = {x, y, x + s->width, y + s->height},
                        .composite = PIXMAN_OP_SRC | PIXMAN_REPEAT_NORMAL << 14,
                        .masked = true,
                        .source = {.kind = DRAWING_BITMAP,
                                   .width = 1,
                                   .height = 1,
                                   .format = SPICE_BITMAP_FMT_RGBA,
                                   .top_down = true,
                                   .stride = 4},
                        .mask = {.kind = DRAWING_SURFACE, .width = s->width, .height = s->height, .surface = surface}};
    uint64_t address = drawing_encode(&draws.memory, &d);
    QXLDrawable *command = (QXLDrawable *)(uintptr_t)address;

    ((QXLImage *)(uintptr_t)command->u.composite.src)->bitmap.data = (uintptr_t)&white;
    push(QXL_CMD_DRAW, address);
}

/* Eight bits of each colour, as pictures have them. */
static uint32_t shown(uint32_t pixel, uint32_t format)
{
    uint32_t r = pixel >> 10 & 31, g = pixel >> 5 & 31, b = pixel & 31;

    switch (format) {
    case SPICE_SURFACE_FMT_16_565:
        r = pixel >> 11;
        g = pixel >> 5 & 63;
        return (r << 3 | r >> 2) << 16 | (g << 2 | g >> 4) << 8 | (b << 3 | b >> 2);
    case SPICE_SURFACE_FMT_16_555:
        return (r << 3 | r >> 2) << 16 | (g << 3 | g >> 2) << 8 | (b << 3 | b >> 2);
    default:
        return pixel & 0xffffff;
    }
}

static uint32_t alpha_of(uint32_t pixel, uint32_t format)
{
    uint32_t alpha = format == SPICE_SURFACE_FMT_32_ARGB ? pixel >> 24 : format == SPICE_SURFACE_FMT_1_A ? pixel * 255 : pixel;

    return alpha * 0x010101;
}

static void put_expected(unsigned surface, int left, int top)
{
    const struct drawing_surface *s = &draws.surfaces[surface];
    bool colors = surface <= 4;

    for (int y = 0; y < s->height; y++)
        for (int x = 0; x < s->width; x++) {
            uint32_t pixel = oracle_pixel(&draws.oracle, surface, x, y);
            uint32_t *to = draws.expected_sheet.pixels + (top + y) * SHEET_WIDTH + left + x;

            if (colors)
                *to = shown(pixel, s->format);
            if (surface && has_alpha(surface))
                to[CELL_WIDTH / 2] = alpha_of(pixel, s->format);
        }
}

static void put_row(unsigned row)
{
    int top = (int)row * ROW_HEIGHT;

    for (unsigned i = 0; i < DRAWING_SURFACES; i++) {
        if (i <= 4)
            put_colors(i, cell_left(i), top);
        if (i && has_alpha(i))
            put_alpha(i, cell_left(i) + CELL_WIDTH / 2, top);
        put_expected(i, cell_left(i), top);
    }
}

/* Some come again: what of them was kept can then be used. */
static void draw_seed(unsigned seed, unsigned row)
{
    struct drawing *all = calloc(draws.commands, sizeof(*all));
    struct drawing_random random;

    open_seed(seed, &random);
    for (unsigned i = 0; i < draws.commands; i++) {
        struct drawing *d = &all[i];

        next_drawing(&random, d);
        give(d);
        if (random_below(4) == 0)
            give(&all[random_below(i + 1)]);
    }
    put_row(row);
    close_seed();
    free(all);
}

/* --- the sheet --- */

static unsigned sheet_height(void)
{
    return draws.seeds * ROW_HEIGHT + STRIP_HEIGHT;
}

static void sheet_init(void)
{
    struct drawing_surface s = {SPICE_SURFACE_FMT_32_xRGB, SHEET_WIDTH, (uint16_t)sheet_height(), false};

    draws.sheet = take(SHEET_WIDTH * 4 * sheet_height());
    draws.expected_sheet = (struct screenshot){SHEET_WIDTH, sheet_height(), take(SHEET_WIDTH * 4 * sheet_height())};
    push(QXL_CMD_SURFACE, drawing_encode_surface(&draws.memory, SHEET, &s, (uintptr_t)draws.sheet, true, false));
}

static void save(const struct screenshot *shot, const char *path)
{
    if (path && screenshot_save(shot, path, SCREENSHOT_PPM))
        die("%s", fail_text());
}

static void show_sheet(void)
{
    int height = (int)sheet_height();
    struct drawing mark = {.type = QXL_DRAW_FILL,
                           .surface = SHEET,
                           .box = {0, height - STRIP_HEIGHT, SHEET_WIDTH, height},
                           .rop = SPICE_ROPD_OP_PUT,
                           .brush = {.type = SPICE_BRUSH_TYPE_SOLID, .color = SHEET_MARK}};
    struct drawing copy = {.type = QXL_DRAW_COPY,
                           .box = {0, 0, SHEET_WIDTH, height},
                           .rop = SPICE_ROPD_OP_PUT,
                           .source = {.kind = DRAWING_SURFACE, .width = SHEET_WIDTH, .height = (uint16_t)height, .surface = SHEET},
                           .area = {0, 0, SHEET_WIDTH, height}};

    device_primary(SHEET_WIDTH, sheet_height(), SHEET_WIDTH * 4, SPICE_SURFACE_FMT_32_xRGB,
                   take(SHEET_WIDTH * 4 * sheet_height()));
    push(QXL_CMD_DRAW, drawing_encode(&draws.memory, &mark));
    push(QXL_CMD_DRAW, drawing_encode(&draws.memory, &copy));
    for (int i = 0; i < SHEET_WIDTH * STRIP_HEIGHT; i++)
        draws.expected_sheet.pixels[SHEET_WIDTH * (height - STRIP_HEIGHT) + i] = SHEET_MARK;
}

/* --- the course of it --- */

static void *draw(void *unused UNUSED)
{
    device_wait_for_clients(1);
    sheet_init();
    for (unsigned i = 0; i < draws.seeds; i++)
        draw_seed(draws.first + i, i);
    show_sheet();
    save(&draws.expected_sheet, draws.expected);
    printf("DONE\n");
    fflush(stdout);
    while (getchar() != EOF)
        ;
    device_update(SHEET, SHEET_WIDTH, sheet_height());
    save(&(struct screenshot){SHEET_WIDTH, sheet_height(), draws.sheet}, draws.drawn);
    _Exit(0); /* the server's threads do not end by themselves */
}

static bool draws_option(int c, const char *value)
{
    switch (c) {
    case 'f':
        draws.first = (unsigned)atoi(value);
        return true;
    case 'n':
        draws.seeds = (unsigned)atoi(value);
        return true;
    case 'o':
        draws.commands = (unsigned)atoi(value);
        return true;
    case 'x':
        draws.expected = value;
        return true;
    case 'd':
        draws.drawn = value;
        return true;
    case 'y':
        draws.type = atoi(value);
        return true;
    case 'm':
        draws.common = true;
        return true;
    case 'l':
        draws.list = true;
        return true;
    default:
        return device_option(&draws.settings, c, value);
    }
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"first", 1, NULL, 'f'},    {"seeds", 1, NULL, 'n'},
                                            {"commands", 1, NULL, 'o'}, {"expected", 1, NULL, 'x'},
                                            {"drawn", 1, NULL, 'd'},    {"list", 0, NULL, 'l'},
                                            {"common", 0, NULL, 'm'},   {"type", 1, NULL, 'y'},
                                            DEVICE_OPTIONS,             {NULL, 0, NULL, 0}};
    pthread_t guest;
    int c;

    log_set_program("draws");
    draws.first = 1;
    draws.seeds = 10;
    draws.commands = 60;
    draws.type = -1;
    device_settings_init(&draws.settings);
    draws.settings.one_by_one = true;
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
        if (!draws_option(c, optarg))
            die("usage: draws [--first SEED] [--seeds N] [--commands N] [--type T] [--common] [--expected FILE] "
                "[--drawn FILE] [--list] " DEVICE_USAGE);
    streams_init();
    memory_init();
    if (loop_init(&draws.loop))
        die("no event loop");
    device_start(&draws.loop, &draws.settings);
    printf("PORT %d\n", draws.settings.port);
    fflush(stdout);
    if (pthread_create(&guest, NULL, draw, NULL))
        die("no thread for the guest");
    loop_run(&draws.loop);
}
