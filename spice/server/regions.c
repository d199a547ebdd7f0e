#include "spice/server/regions.h"
#include "spice/server/cover.h"
#include "spice/server/strips.h"

/* Rows that are looked at together. */
#define BAND 16
/* Strips between two changed ones that are sent along rather than starting another rectangle. */
#define JOIN_GAP 6
/* Strips sent in vain that are cheaper than another message. */
#define JOIN_SLACK 192

struct regions {
    struct rect *rects;
    size_t count;
};

/* The rectangle without rows and columns at its edges that did not change; false if nothing is left. */
static bool tighten(const struct grid *changed, struct rect *r)
{
    struct rect tight = {0}, run;

    for (int32_t y = r->top; y < r->bottom; y++)
        for (int32_t x = r->left; x < r->right && grid_run(changed, y, x, &run); x = run.right) {
            run = rect_intersect(&run, r);
            tight = rect_union(&tight, &run);
        }
    *r = tight;
    return !rect_empty(r);
}

static void add_rect(struct regions *c, const struct rect *r)
{
    if (c->count < REGIONS_MAX)
        c->rects[c->count++] = *r;
    else
        c->rects[c->count - 1] = rect_union(&c->rects[c->count - 1], r);
}

/* Runs of a band in which any row changed. */
static void add_band(struct regions *c, const struct grid *changed, struct grid *any, int32_t top)
{
    int32_t bottom = MIN(top + BAND, (int32_t)changed->rows);
    struct rect r = {0}, run;

    grid_clear(any);
    for (int32_t y = top; y < bottom; y++)
        for (uint32_t w = 0; w < any->words; w++)
            any->bits[w] |= grid_row(changed, y)[w];
    for (int32_t x = 0; grid_run(any, 0, x, &run); x = run.right) {
        struct rect part = {run.left, top, run.right, bottom};

        if (!rect_empty(&r) && run.left - r.right > JOIN_GAP) {
            if (tighten(changed, &r))
                add_rect(c, &r);
            r = (struct rect){0};
        }
        r = rect_union(&r, &part);
    }
    if (tighten(changed, &r))
        add_rect(c, &r);
}

static bool worth_joining(const struct rect *a, const struct rect *b)
{
    struct rect both = rect_union(a, b);

    return rect_area(&both) - rect_area(a) - rect_area(b) <= JOIN_SLACK;
}

static void join_neighbours(struct regions *c)
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

size_t regions_find(const struct grid *changed, struct rect rects[REGIONS_MAX])
{
    struct regions c = {.rects = rects};
    uint64_t bits[DISPLAY_MAX_WIDTH / STRIP / 64 + 1];
    struct grid any = {changed->columns, 1, changed->words, bits};

    for (uint32_t y = 0; y < changed->rows; y += BAND)
        add_band(&c, changed, &any, y);
    join_neighbours(&c);
    return c.count;
}
