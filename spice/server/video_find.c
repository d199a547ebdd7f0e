#include "spice/server/video_find.h"

#include "spice/codec/content.h"
#include "spice/server/fingerprint.h"

#include <errno.h>
#include <stdlib.h>

/* Of 16 samples those with a change. Seven are 9 changes a second; below three what was warm is cold again. */
#define BECOMES_WARM 4
#define STAYS_WARM   3
#define BECOMES_HOT  7
/* Content is looked at with so many tiles to two sides, and again once in so many samples. */
#define AROUND 2
#define LOOKS  32
/* Hot tiles that have at most so many others between them belong together. */
#define NEAR 2
/* One tile in so many of a rectangle must be warm, and of these, one in so many hot. */
#define WARM_PART 4
#define HOT_PART  2
/* The least tiles of a rectangle, and of its sides: 96 x 96 pixels, wherever they begin. */
#define MIN_TILES 36
#define MIN_SIDE  4
#define MAX_PARTS 256

int video_find_init(struct video_find *f, uint32_t width, uint32_t height, bool all)
{
    uint32_t columns = DIV_ROUND_UP(width, STRIP), rows = DIV_ROUND_UP(height, TILE_ROWS);

    *f = (struct video_find){.width = width, .height = height, .all = all};
    f->history = calloc((size_t)columns * rows, sizeof(*f->history));
    if (f->history && !grid_init(&f->sample, columns, rows) &&
        !grid_init(&f->warm, columns, rows) && !grid_init(&f->hot, columns, rows) &&
        !grid_init(&f->looked, columns, rows) && !grid_init(&f->gradual, columns, rows))
        return 0;
    video_find_fini(f);
    return -ENOMEM;
}

void video_find_fini(struct video_find *f)
{
    free(f->history);
    grid_fini(&f->sample);
    grid_fini(&f->warm);
    grid_fini(&f->hot);
    grid_fini(&f->looked);
    grid_fini(&f->gradual);
    *f = (struct video_find){0};
}

void video_find_add(struct video_find *f, const struct grid *strips)
{
    for (uint32_t y = 0; y < strips->rows; y++)
        for (uint32_t w = 0; w < strips->words; w++)
            grid_row(&f->sample, y / TILE_ROWS)[w] |= grid_row(strips, y)[w];
}

/* --- what is hot --- */

/* The pixels of tiles, as far as they lie in `bounds`. */
static struct image part_of(const struct display_surface *s, const struct rect *tiles,
                            const struct rect *bounds)
{
    const struct rect pixels = {tiles->left * STRIP, tiles->top * TILE_ROWS, tiles->right * STRIP,
                                tiles->bottom * TILE_ROWS};
    const struct rect r = rect_intersect(&pixels, bounds);

    return (struct image){.data = (uint8_t *)(surface_row(s, r.top) + r.left),
                          .width = r.right - r.left,
                          .height = r.bottom - r.top,
                          .stride = s->stride,
                          .format = SPICE_BITMAP_FMT_32BIT};
}

/* Letters and lines, but no tile of one colour: LZ would do much better than QUIC. */
static bool is_drawn(const struct image *image)
{
    const struct content_guess guess = content_guess(image);

    return guess.lz * 4 < guess.quic * 3;
}

/* The video that the tile belongs to, or the surface. */
static struct rect bounds_of(const struct video_find *f, const struct rect *tile)
{
    const struct rect middle = {tile->left * STRIP, tile->top * TILE_ROWS, tile->right * STRIP,
                                tile->bottom * TILE_ROWS};

    for (int i = 0; i < VIDEO_FIND_MAX; i++) {
        const struct rect common = rect_intersect(&f->known[i], &middle);

        if (!rect_empty(&common))
            return f->known[i];
    }
    return (struct rect){0, 0, f->width, f->height};
}

/* A tile at the edge of a video is seen as such by its neighbours on one side. */
static bool looks_gradual(const struct video_find *f, const struct rect *tile,
                          const struct display_surface *s)
{
    const struct rect bounds = bounds_of(f, tile);
    struct image image = part_of(s, tile, &bounds);

    if (f->all)
        return true;
    if (is_drawn(&image))
        return false;
    for (int i = 0; i < 4; i++) {
        int32_t dx = i % 2 ? AROUND : 0, dy = i / 2 ? AROUND : 0;
        const struct rect around = {tile->left - dx, tile->top - dy, tile->right + AROUND - dx,
                                    tile->bottom + AROUND - dy};

        image = part_of(s, &around, &bounds);
        if (content_is_gradual(&image))
            return true;
    }
    return false;
}

void video_find_know(struct video_find *f, uint32_t number, const struct rect *pixels)
{
    const struct rect tiles = tiles_touched(pixels);

    f->known[number] = *pixels;
    grid_remove(&f->looked, &tiles);
}

bool video_find_gradual(struct video_find *f, uint32_t x, uint32_t y,
                        const struct display_surface *s)
{
    const struct rect tile = {x, y, x + 1, y + 1};

    if (!grid_has(&f->looked, x, y)) {
        grid_put(&f->looked, x, y);
        if (looks_gradual(f, &tile, s))
            grid_put(&f->gradual, x, y);
        else
            grid_remove(&f->gradual, &tile);
    }
    return grid_has(&f->gradual, x, y);
}

bool video_find_moves(const struct video_find *f, uint32_t x, uint32_t y)
{
    return f->history[(size_t)y * f->hot.columns + x];
}

static void judge(struct video_find *f, uint32_t x, uint32_t y, uint16_t history,
                  const struct display_surface *s)
{
    const struct rect tile = {x, y, x + 1, y + 1};
    int changes = __builtin_popcount(history);

    /* Those that are looked at again are scattered, so that nothing goes unseen for long. */
    if ((x * 29 + y * 13) % LOOKS == f->turn)
        grid_remove(&f->looked, &tile);
    grid_remove(&f->hot, &tile);
    if (changes >= (grid_has(&f->warm, x, y) ? STAYS_WARM : BECOMES_WARM) &&
        video_find_gradual(f, x, y, s)) {
        grid_put(&f->warm, x, y);
        if (changes >= BECOMES_HOT)
            grid_put(&f->hot, x, y);
    } else {
        grid_remove(&f->warm, &tile);
    }
}

/* The sample becomes part of the histories, and after it `empty` ones in which nothing changed. */
static void close_sample(struct video_find *f, unsigned empty, const struct display_surface *s)
{
    uint16_t *history = f->history;

    for (uint32_t y = 0; y < f->sample.rows; y++)
        for (uint32_t x = 0; x < f->sample.columns; x++, history++) {
            *history = (uint16_t)(((uint64_t)*history << 1 | grid_has(&f->sample, x, y)) << empty);
            if (*history || grid_has(&f->warm, x, y))
                judge(f, x, y, *history, s);
        }
    grid_clear(&f->sample);
    f->turn = (f->turn + 1) % LOOKS;
}

bool video_find_tick(struct video_find *f, uint64_t now, bool held, const struct display_surface *s)
{
    uint64_t samples = (now - f->start) / VIDEO_SAMPLE_NS;

    if (f->start && !samples)
        return false;
    if (f->start)
        close_sample(f, held ? 0 : (unsigned)MIN(samples - 1, 16), s);
    f->start = held || samples > 1 ? now : f->start + VIDEO_SAMPLE_NS;
    return true;
}

/* --- rectangles --- */

static bool is_near(const struct rect *a, const struct rect *b)
{
    const struct rect grown = {a->left - NEAR, a->top - NEAR, a->right + NEAR, a->bottom + NEAR};
    const struct rect common = rect_intersect(&grown, b);

    return !rect_empty(&common);
}

/* Join it with all that are near, and those near to what came of it. */
static size_t add_part(struct rect *parts, size_t count, struct rect part)
{
    for (size_t i = 0; i < count;) {
        if (!is_near(&parts[i], &part)) {
            i++;
            continue;
        }
        part = rect_union(&parts[i], &part);
        parts[i] = parts[--count];
        i = 0;
    }
    if (count < MAX_PARTS)
        parts[count++] = part;
    return count;
}

static bool may_be_video(const struct video_find *f, const struct rect *r)
{
    int32_t width = r->right - r->left, height = r->bottom - r->top;

    if (f->all)
        return MIN(width, height) >= MIN_SIDE / 2;
    return MIN(width, height) >= MIN_SIDE && width * height >= MIN_TILES &&
           grid_count(&f->warm, r) * WARM_PART >= (uint32_t)(width * height);
}

size_t video_find_rects(const struct video_find *f, struct rect rects[VIDEO_FIND_MAX])
{
    struct rect parts[MAX_PARTS], run;
    size_t count = 0, found = 0;

    for (uint32_t y = 0; y < f->warm.rows; y++)
        for (uint32_t x = 0; grid_run(&f->warm, y, x, &run); x = run.right)
            count = add_part(parts, count, run);
    for (size_t i = 0; i < count && found < VIDEO_FIND_MAX; i++)
        if (may_be_video(f, &parts[i]))
            rects[found++] = parts[i];
    return found;
}

bool video_find_is_sure(const struct video_find *f, const struct rect *tiles)
{
    uint32_t warm = grid_count(&f->warm, tiles);

    return warm && grid_count(&f->hot, tiles) * HOT_PART >= warm;
}
