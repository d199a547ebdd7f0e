#include "spice/server/tiles.h"
#include "base/bytes.h"

#include <errno.h>
#include <stdlib.h>

/* Tiles between two changed ones that are sent along rather than starting another rectangle. */
#define JOIN_GAP 2
/* Pixels sent in vain that are cheaper than another message. */
#define JOIN_SLACK 1024
/* The fourth byte of a pixel shows nowhere. */
#define VISIBLE 0x00ffffff00ffffff

enum tile_state { TILE_CLEAN, TILE_DIRTY, TILE_CHANGED };

int tiles_init(struct tiles *t, uint32_t width, uint32_t height)
{
    *t = (struct tiles){.width = width, .height = height, .dirty = true};
    t->columns = DIV_ROUND_UP(width, TILE_SIZE);
    t->rows = DIV_ROUND_UP(height, TILE_SIZE);
    t->state = malloc((size_t)t->columns * t->rows);
    t->shown = calloc((size_t)t->columns * t->rows, sizeof(*t->shown));
    if (!t->state || !t->shown) {
        tiles_fini(t);
        return -ENOMEM;
    }
    memset(t->state, TILE_DIRTY, (size_t)t->columns * t->rows);
    return 0;
}

void tiles_fini(struct tiles *t)
{
    free(t->state);
    free(t->shown);
    *t = (struct tiles){0};
}

/* The tiles that a rectangle of pixels touches, as a rectangle of tiles. */
static struct rect tiles_of(const struct tiles *t, const struct rect *r)
{
    const struct rect all = {0, 0, t->width, t->height};
    struct rect in = rect_intersect(r, &all);

    if (rect_empty(&in))
        return (struct rect){0};
    return (struct rect){in.left / TILE_SIZE, in.top / TILE_SIZE, DIV_ROUND_UP(in.right, TILE_SIZE),
                         DIV_ROUND_UP(in.bottom, TILE_SIZE)};
}

static struct rect pixels_of(const struct tiles *t, const struct rect *r)
{
    return (struct rect){r->left * TILE_SIZE, r->top * TILE_SIZE,
                         MIN(r->right * TILE_SIZE, (int32_t)t->width),
                         MIN(r->bottom * TILE_SIZE, (int32_t)t->height)};
}

void tiles_mark(struct tiles *t, const struct rect *rect)
{
    struct rect r = tiles_of(t, rect);

    for (int32_t y = r.top; y < r.bottom; y++)
        memset(t->state + (size_t)y * t->columns + r.left, TILE_DIRTY, r.right - r.left);
    t->dirty |= !rect_empty(&r);
}

void tiles_sent(struct tiles *t, const struct rect *rect)
{
    struct rect r = tiles_of(t, rect);

    for (int32_t y = r.top; y < r.bottom; y++)
        for (int32_t x = r.left; x < r.right; x++)
            if (t->state[(size_t)y * t->columns + x] == TILE_CHANGED)
                t->state[(size_t)y * t->columns + x] = TILE_CLEAN;
}

void tiles_not_sent(struct tiles *t, const struct rect *rect)
{
    struct rect r = tiles_of(t, rect);

    for (int32_t y = r.top; y < r.bottom; y++)
        for (int32_t x = r.left; x < r.right; x++) {
            size_t i = (size_t)y * t->columns + x;

            if (t->state[i] != TILE_CHANGED)
                continue;
            t->state[i] = TILE_DIRTY;
            t->shown[i] = (struct tile_hash){0};
            t->dirty = true;
        }
}

/* --- the hash: two lanes of multiply-and-fold under a secret key --- */

static uint64_t fold(uint64_t a, uint64_t b)
{
    __uint128_t product = (__uint128_t)a * b;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static void hash_row(struct tile_hash *h, const uint8_t *p, unsigned width,
                     const struct tile_key *key)
{
    for (; width >= 4; width -= 4, p += 16) {
        uint64_t v = load_le64(p) & VISIBLE, w = load_le64(p + 8) & VISIBLE;

        h->a = fold(v ^ key->word[0], w ^ h->a ^ key->word[1]);
        h->b = fold(w ^ key->word[2], v ^ h->b ^ key->word[3]);
    }
    for (; width; width--, p += 4) {
        uint64_t v = load_le32(p) & VISIBLE;

        h->a = fold(v ^ key->word[0], h->a ^ key->word[1]);
        h->b = fold(v ^ key->word[2], h->b ^ key->word[3]);
    }
}

static struct tile_hash hash_tile(const struct tiles *t, const struct display_surface *s,
                                  uint32_t column, uint32_t row, const struct tile_key *key)
{
    uint32_t x = column * TILE_SIZE, y = row * TILE_SIZE;
    uint32_t width = MIN(TILE_SIZE, t->width - x), bottom = MIN(y + TILE_SIZE, t->height);
    struct tile_hash h = {key->word[3], key->word[1]};

    for (; y < bottom; y++)
        hash_row(&h, s->pixels + (size_t)y * s->stride + x * 4, width, key);
    return h;
}

/* --- collecting --- */

/* Dirty tiles become clean or changed; true if any changed in this row. */
static bool compare_row(struct tiles *t, const struct display_surface *s, uint32_t row,
                        const struct tile_key *key)
{
    uint8_t *state = t->state + (size_t)row * t->columns;
    struct tile_hash *shown = t->shown + (size_t)row * t->columns;
    bool changed = false;

    for (uint32_t x = 0; x < t->columns; x++) {
        struct tile_hash h;

        if (state[x] != TILE_DIRTY)
            continue;
        h = hash_tile(t, s, x, row, key);
        state[x] = h.a == shown[x].a && h.b == shown[x].b ? TILE_CLEAN : TILE_CHANGED;
        shown[x] = h;
        changed |= state[x] == TILE_CHANGED;
    }
    return changed;
}

/* Rectangles of tiles while they are put together. */
struct collection {
    struct rect *rects;
    size_t count;
};

/* A run right below a rectangle of the same width makes it longer. */
static void add_run(struct collection *c, struct rect run)
{
    for (size_t i = c->count; i-- > 0;) {
        struct rect *r = &c->rects[i];

        if (r->bottom == run.top && r->left == run.left && r->right == run.right) {
            r->bottom = run.bottom;
            return;
        }
    }
    if (c->count < TILES_MAX_RECTS)
        c->rects[c->count++] = run;
    else
        c->rects[c->count - 1] = rect_union(&c->rects[c->count - 1], &run);
}

static void add_row(struct collection *c, const struct tiles *t, int32_t row)
{
    const uint8_t *state = t->state + (size_t)row * t->columns;
    struct rect run = {0, row, 0, row + 1};

    for (int32_t x = 0; x < (int32_t)t->columns; x++) {
        if (state[x] != TILE_CHANGED)
            continue;
        if (run.right && x - run.right > JOIN_GAP) {
            add_run(c, run);
            run.right = 0;
        }
        if (!run.right)
            run.left = x;
        run.right = x + 1;
    }
    if (run.right)
        add_run(c, run);
}

static int64_t area(const struct rect *r)
{
    return (int64_t)(r->right - r->left) * (r->bottom - r->top);
}

static bool worth_joining(const struct rect *a, const struct rect *b)
{
    struct rect both = rect_union(a, b);

    return area(&both) - area(a) - area(b) <= JOIN_SLACK / (TILE_SIZE * TILE_SIZE);
}

static void join_neighbours(struct collection *c)
{
    for (size_t i = 0; i < c->count; i++)
        for (size_t k = i + 1; k < c->count;) {
            if (!worth_joining(&c->rects[i], &c->rects[k])) {
                k++;
                continue;
            }
            c->rects[i] = rect_union(&c->rects[i], &c->rects[k]);
            c->rects[k] = c->rects[--c->count];
            k = i + 1; /* it grew: ask the others again */
        }
}

size_t tiles_collect(struct tiles *t, const struct display_surface *surface,
                     const struct tile_key *key, struct rect rects[TILES_MAX_RECTS])
{
    struct collection c = {.rects = rects};

    if (!t->dirty)
        return 0;
    t->dirty = false;
    for (uint32_t row = 0; row < t->rows; row++)
        if (compare_row(t, surface, row, key))
            add_row(&c, t, row);
    join_neighbours(&c);
    for (size_t i = 0; i < c.count; i++)
        rects[i] = pixels_of(t, &rects[i]);
    return c.count;
}
