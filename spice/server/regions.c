#include "spice/server/regions.h"
#include "spice/server/cover.h"
#include "spice/server/strips.h"

#include <string.h>

/* Rows that are looked at together. */
#define BAND 16

/* What may be sent in vain rather than starting another rectangle: strips between two changed ones, strips in all. */
static const struct slack {
    int32_t gap, area;
} slacks[] = {
    [REGIONS_PLAIN] = {6, 192},
    [REGIONS_COSTLY] = {1, 12},
};

struct regions {
    struct slack slack;
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

/* Runs of columns in which any row changed, with gaps of so many columns. */
static void add_runs(struct regions *c, const struct grid *changed, const struct rect *of, int32_t gap)
{
    uint64_t bits[DISPLAY_MAX_WIDTH / STRIP / 64 + 1] = {0};
    struct grid any = {changed->columns, 1, changed->words, bits};
    struct rect r = {0}, run;

    for (int32_t y = of->top; y < of->bottom; y++)
        for (uint32_t w = 0; w < any.words; w++)
            bits[w] |= grid_row(changed, y)[w];
    for (int32_t x = of->left; x < of->right && grid_run(&any, 0, x, &run); x = run.right) {
        struct rect part = {run.left, of->top, MIN(run.right, of->right), of->bottom};

        if (!rect_empty(&r) && run.left - r.right > gap) {
            if (tighten(changed, &r))
                add_rect(c, &r);
            r = (struct rect){0};
        }
        r = rect_union(&r, &part);
    }
    if (tighten(changed, &r))
        add_rect(c, &r);
}

static bool worth_joining(const struct regions *c, const struct rect *a, const struct rect *b)
{
    struct rect both = rect_union(a, b);

    return rect_area(&both) - rect_area(a) - rect_area(b) <= c->slack.area;
}

static void join_neighbours(struct regions *c)
{
    for (size_t i = 0; i < c->count; i++)
        for (size_t k = i + 1; k < c->count;) {
            if (!worth_joining(c, &c->rects[i], &c->rects[k])) {
                k++;
                continue;
            }
            c->rects[i] = rect_union(&c->rects[i], &c->rects[k]);
            c->rects[k] = c->rects[--c->count];
            k = i + 1; /* it grew: ask the others again */
        }
}

/* What is little in vain in each band of rows can be much in all of them. */
static void split(struct regions *c, const struct grid *changed)
{
    struct rect joined[REGIONS_MAX];
    size_t count = c->count;

    memcpy(joined, c->rects, count * sizeof(*joined));
    c->count = 0;
    for (size_t i = 0; i < count; i++)
        add_runs(c, changed, &joined[i], c->slack.area / (joined[i].bottom - joined[i].top));
}

size_t regions_find(const struct grid *changed, const struct rect *within, enum regions_cost cost,
                    struct rect rects[REGIONS_MAX])
{
    struct regions c = {.slack = slacks[cost], .rects = rects};
    struct rect band = *within;

    for (; band.top < within->bottom; band.top = band.bottom) {
        band.bottom = MIN(band.top + BAND, within->bottom);
        add_runs(&c, changed, &band, c.slack.gap);
    }
    join_neighbours(&c);
    split(&c, changed);
    return c.count;
}
