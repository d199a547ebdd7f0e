#include "spice/server/fingerprint.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* --- tiles --- */

struct rect tiles_touched(const struct rect *pixels)
{
    return (struct rect){pixels->left / STRIP, pixels->top / TILE_ROWS,
                         DIV_ROUND_UP(pixels->right, STRIP),
                         DIV_ROUND_UP(pixels->bottom, TILE_ROWS)};
}

/* The last ones of a row and of a column may be smaller. */
struct rect tiles_inside(const struct rect *pixels, uint32_t width, uint32_t height)
{
    bool right = pixels->right >= (int32_t)width, bottom = pixels->bottom >= (int32_t)height;

    return (struct rect){DIV_ROUND_UP(pixels->left, STRIP), DIV_ROUND_UP(pixels->top, TILE_ROWS),
                         right ? (int32_t)DIV_ROUND_UP(width, STRIP) : pixels->right / STRIP,
                         bottom ? (int32_t)DIV_ROUND_UP(height, TILE_ROWS)
                                : pixels->bottom / TILE_ROWS};
}

/* --- damage --- */

int damage_init(struct damage *d, uint32_t width, uint32_t height)
{
    const struct rect all = {0, 0, width, height};
    int err = grid_init(&d->tiles, DIV_ROUND_UP(width, STRIP), DIV_ROUND_UP(height, TILE_ROWS));

    if (!err)
        damage_add(d, &all);
    return err;
}

void damage_fini(struct damage *d)
{
    grid_fini(&d->tiles);
    d->any = false;
}

void damage_add(struct damage *d, const struct rect *pixels)
{
    const struct rect tiles = tiles_touched(pixels);

    grid_add(&d->tiles, &tiles);
    d->any = true;
}

static void damage_clear(struct damage *d)
{
    grid_clear(&d->tiles);
    d->any = false;
}

/* A run of tiles as strips. */
static struct rect tile_strips(const struct rect *run, const struct strip_map *map)
{
    return (struct rect){run->left, run->top * TILE_ROWS, run->right,
                         MIN(run->bottom * TILE_ROWS, (int32_t)map->height)};
}

/* --- the fingerprint --- */

int fingerprint_resize(struct fingerprint *f, uint32_t width, uint32_t height)
{
    int err;

    strip_map_fini(&f->now);
    damage_fini(&f->stale);
    grid_fini(&f->before);
    if (!width)
        return 0;
    err = strip_map_init(&f->now, width, height);
    if (!err)
        err = damage_init(&f->stale, width, height);
    if (!err)
        err = grid_init(&f->before, f->stale.tiles.columns, f->stale.tiles.rows);
    if (err)
        strip_map_fini(&f->now);
    return err;
}

/* A run of tiles takes over the hashes of the pixels that came to it. */
static void move_hashes(struct fingerprint *f, const struct rect *run, int32_t dy)
{
    struct rect r = tile_strips(run, &f->now);
    int32_t rows = r.bottom - r.top;

    for (int32_t i = 0; i < rows; i++) {
        int32_t y = dy > 0 ? r.bottom - 1 - i : r.top + i;

        memcpy(strip_row(&f->now, y) + r.left, strip_row(&f->now, y - dy) + r.left,
               (r.right - r.left) * sizeof(uint64_t));
    }
    grid_remove(&f->stale.tiles, run);
}

/* Of a row of tiles those whose pixels came from tiles with known hashes. */
static void move_row(struct fingerprint *f, const struct rect *row, int32_t dy)
{
    uint64_t bits[DISPLAY_MAX_WIDTH / STRIP / 64 + 1] = {0};
    const struct grid stale = {f->before.columns, 1, f->before.words, bits};
    struct rect strips = tile_strips(row, &f->now), run = *row, gap;
    int32_t last = (strips.bottom - 1 - dy) / TILE_ROWS;

    for (int32_t y = (strips.top - dy) / TILE_ROWS; y <= last; y++)
        for (uint32_t w = 0; w < stale.words; w++)
            bits[w] |= grid_row(&f->before, y)[w];
    for (; run.left < row->right; run.left = gap.right) {
        if (!grid_run(&stale, 0, run.left, &gap))
            gap.left = gap.right = row->right;
        run.right = MIN(gap.left, row->right);
        move_hashes(f, &run, dy);
    }
}

/* The rows in the order in which nothing is overwritten that is still to be read. */
void fingerprint_moved(struct fingerprint *f, const struct rect *to, int32_t dx, int32_t dy)
{
    struct rect tiles = tiles_inside(to, f->now.width, f->now.height);
    int32_t rows = tiles.bottom - tiles.top;

    memcpy(f->before.bits, f->stale.tiles.bits,
           (size_t)f->before.words * f->before.rows * sizeof(*f->before.bits));
    damage_add(&f->stale, to);
    if (dx || tiles.left >= tiles.right)
        return;
    for (int32_t i = 0; i < rows; i++) {
        int32_t y = dy > 0 ? tiles.bottom - 1 - i : tiles.top + i;

        move_row(f, &(struct rect){tiles.left, y, tiles.right, y + 1}, dy);
    }
}

/* Four strips are hashed together: side by side, or what is left of a row below each other. */
static void hash_strips(struct fingerprint *f, const struct display_surface *s, const struct rect *strips)
{
    const int32_t whole = f->now.width / STRIP, left = strips->left, right = MIN(strips->right, whole);
    const int32_t fours = left + ALIGN_DOWN(MAX(right - left, 0), 4);

    for (int32_t y = strips->top; y < strips->bottom; y++) {
        const uint32_t *pixels = surface_row(s, y);
        uint64_t *hash = strip_row(&f->now, y);

        strip_hash_many(&f->key, pixels + left * STRIP, fours - left, hash + left);
        if (whole < strips->right)
            hash[whole] =
                strip_hash_part(&f->key, pixels + whole * STRIP, 0, f->now.width % STRIP);
    }
    for (int32_t x = fours; x < right; x++)
        strip_hash_column(&f->key, surface_row(s, strips->top) + x * STRIP, s->stride / 4, strips->bottom - strips->top,
                          strip_row(&f->now, strips->top) + x, f->now.columns);
}

void fingerprint_refresh(struct fingerprint *f, const struct display_surface *surface)
{
    struct rect run;

    if (!f->stale.any)
        return;
    for (uint32_t y = 0; y < f->stale.tiles.rows; y++)
        for (uint32_t x = 0; grid_run(&f->stale.tiles, y, x, &run); x = run.right) {
            struct rect strips = tile_strips(&run, &f->now);

            hash_strips(f, surface, &strips);
        }
    damage_clear(&f->stale);
}

/* --- views --- */

#define WHOLE_SPAN ((STRIP - 1) << 4)

static uint8_t span_union(uint8_t a, uint8_t b)
{
    return MIN(a & 15, b & 15) | MAX(a >> 4, b >> 4) << 4;
}

int view_init(struct view *v, uint32_t width, uint32_t height)
{
    int err = strip_map_init(&v->shown, width, height);
    size_t tiles;

    if (!err)
        err = damage_init(&v->behind, width, height);
    if (!err) {
        tiles = (size_t)v->behind.tiles.columns * v->behind.tiles.rows;
        v->spans = malloc(tiles);
        v->compared_spans = malloc(tiles);
        if (v->spans)
            memset(v->spans, WHOLE_SPAN, tiles);
        err = v->spans && v->compared_spans ? 0 : -ENOMEM;
    }
    if (err)
        view_fini(v);
    return err;
}

void view_fini(struct view *v)
{
    strip_map_fini(&v->shown);
    damage_fini(&v->behind);
    free(v->spans);
    free(v->compared_spans);
    v->spans = v->compared_spans = NULL;
}

static void widen_span(struct view *v, int32_t column, int32_t row, uint8_t span)
{
    uint8_t *at = &v->spans[(size_t)row * v->behind.tiles.columns + column];

    *at = grid_has(&v->behind.tiles, column, row) ? span_union(*at, span) : span;
}

void view_damage(struct view *v, const struct rect *pixels)
{
    const struct rect all = {0, 0, v->shown.width, v->shown.height}, inside = rect_intersect(pixels, &all);
    const struct rect tiles = tiles_touched(&inside);
    int32_t last = tiles.right - 1, first_pixel = inside.left % STRIP, last_pixel = (inside.right - 1) % STRIP;

    static_assert(STRIP == 16, "four bits number the columns of a tile");
    if (rect_empty(&inside))
        return;
    for (int32_t y = tiles.top; y < tiles.bottom; y++) {
        widen_span(v, tiles.left, y, first_pixel | (tiles.left == last ? last_pixel : STRIP - 1) << 4);
        if (tiles.left == last)
            continue;
        memset(v->spans + (size_t)y * v->behind.tiles.columns + tiles.left + 1, WHOLE_SPAN, last - tiles.left - 1);
        widen_span(v, last, y, last_pixel << 4);
    }
    damage_add(&v->behind, &inside);
}

static uint32_t compare(const struct view *v, const struct strip_map *now, const struct rect *r,
                        struct grid *changed)
{
    uint32_t count = 0;

    for (int32_t y = r->top; y < r->bottom; y++) {
        const uint64_t *a = strip_row(&v->shown, y), *b = strip_row(now, y);

        for (int32_t x = r->left, end; x < r->right; x = end) {
            uint64_t differ;

            end = MIN(ALIGN_DOWN(x, 64) + 64, r->right);
            differ = ~strip_equal(a + x, b + x, end - x) & UINT64_MAX >> (64 - (end - x));
            grid_row(changed, y)[x / 64] |= differ << x % 64;
            count += count_bits(differ);
        }
    }
    return count;
}

uint32_t view_compare(struct view *v, const struct strip_map *now, struct grid *changed)
{
    uint8_t *spans = v->spans;
    uint32_t count = 0;
    struct rect run;

    grid_clear(changed);
    if (!v->behind.any)
        return 0;
    v->spans = v->compared_spans;
    v->compared_spans = spans;
    for (uint32_t y = 0; y < v->behind.tiles.rows; y++)
        for (uint32_t x = 0; grid_run(&v->behind.tiles, y, x, &run); x = run.right) {
            struct rect strips = tile_strips(&run, now);

            count += compare(v, now, &strips, changed);
        }
    damage_clear(&v->behind);
    return count;
}

/* Of a column of tiles, where it has changed strips. */
static uint8_t column_span(const struct view *v, const struct grid *changed, int32_t column, int32_t top, int32_t bottom)
{
    const uint8_t *spans = v->compared_spans + column;
    uint8_t span = STRIP - 1; /* none */

    for (int32_t y = top; y < bottom; y++)
        if (grid_has(changed, column, y))
            span = span_union(span, spans[(size_t)(y / TILE_ROWS) * v->behind.tiles.columns]);
    return span;
}

struct rect view_tighten(const struct view *v, const struct grid *changed, const struct rect *strips)
{
    uint8_t left = column_span(v, changed, strips->left, strips->top, strips->bottom);
    uint8_t right = column_span(v, changed, strips->right - 1, strips->top, strips->bottom);
    struct rect pixels = strips_to_pixels(&v->shown, strips);
    struct rect tight = {strips->left * STRIP + (left & 15), strips->top,
                         MIN((strips->right - 1) * STRIP + (right >> 4) + 1, pixels.right), strips->bottom};

    return rect_empty(&tight) ? pixels : tight;
}

void view_sent(struct view *v, const struct strip_map *now, const struct rect *strips)
{
    for (int32_t y = strips->top; y < strips->bottom; y++)
        memcpy(strip_row(&v->shown, y) + strips->left, strip_row(now, y) + strips->left,
               (strips->right - strips->left) * sizeof(uint64_t));
}

void view_forget(struct view *v, const struct rect *strips)
{
    const struct rect pixels = strips_to_pixels(&v->shown, strips);

    for (int32_t y = strips->top; y < strips->bottom; y++)
        memset(strip_row(&v->shown, y) + strips->left, 0xff,
               (strips->right - strips->left) * sizeof(uint64_t));
    view_damage(v, &pixels);
}
