#include "base/grid.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int grid_init(struct grid *g, uint32_t columns, uint32_t rows)
{
    *g = (struct grid){.columns = columns, .rows = rows, .words = DIV_ROUND_UP(columns, 64)};
    g->bits = calloc((size_t)g->words * rows, sizeof(*g->bits));
    return g->bits ? 0 : -ENOMEM;
}

void grid_fini(struct grid *g)
{
    free(g->bits);
    *g = (struct grid){0};
}

void grid_clear(struct grid *g)
{
    memset(g->bits, 0, (size_t)g->words * g->rows * sizeof(*g->bits));
}

static struct rect inside(const struct grid *g, const struct rect *cells)
{
    return rect_intersect(cells, &(struct rect){0, 0, g->columns, g->rows});
}

/* The bits of columns [left, right) in word w. */
static uint64_t mask_of(uint32_t w, uint32_t left, uint32_t right)
{
    uint32_t from = MAX(left, w * 64) - w * 64, to = MIN(right, w * 64 + 64) - w * 64;

    return to - from == 64 ? UINT64_MAX : ((1ull << (to - from)) - 1) << from;
}

void grid_add(struct grid *g, const struct rect *cells)
{
    struct rect r = inside(g, cells);

    for (int32_t y = r.top; y < r.bottom && r.left < r.right; y++)
        for (uint32_t w = r.left / 64; w * 64 < (uint32_t)r.right; w++)
            grid_row(g, y)[w] |= mask_of(w, r.left, r.right);
}

void grid_remove(struct grid *g, const struct rect *cells)
{
    struct rect r = inside(g, cells);

    for (int32_t y = r.top; y < r.bottom && r.left < r.right; y++)
        for (uint32_t w = r.left / 64; w * 64 < (uint32_t)r.right; w++)
            grid_row(g, y)[w] &= ~mask_of(w, r.left, r.right);
}

uint32_t grid_count(const struct grid *g, const struct rect *cells)
{
    struct rect r = inside(g, cells);
    uint32_t count = 0;

    for (int32_t y = r.top; y < r.bottom && r.left < r.right; y++)
        for (uint32_t w = r.left / 64; w * 64 < (uint32_t)r.right; w++)
            count += count_bits(grid_row(g, y)[w] & mask_of(w, r.left, r.right));
    return count;
}

bool grid_has_all(const struct grid *g, const struct rect *cells)
{
    struct rect r = inside(g, cells);

    for (int32_t y = r.top; y < r.bottom && r.left < r.right; y++)
        for (uint32_t w = r.left / 64; w * 64 < (uint32_t)r.right; w++)
            if (mask_of(w, r.left, r.right) & ~grid_row(g, y)[w])
                return false;
    return true;
}

/* The first cell from `from` on that is in (or, inverted, out); columns if there is none. */
static uint32_t find(const struct grid *g, uint32_t row, uint32_t from, uint64_t invert)
{
    const uint64_t *words = grid_row(g, row);

    while (from < g->columns) {
        uint64_t left = (words[from / 64] ^ invert) >> from % 64;

        if (left)
            return MIN(from + __builtin_ctzll(left), g->columns);
        from = ALIGN_DOWN(from, 64) + 64;
    }
    return g->columns;
}

bool grid_run(const struct grid *g, uint32_t row, uint32_t from, struct rect *run)
{
    uint32_t left = find(g, row, from, 0);

    if (left == g->columns)
        return false;
    *run = (struct rect){left, row, find(g, row, left, UINT64_MAX), row + 1};
    return true;
}

struct rect grid_bounds(const struct grid *a, const struct grid *b)
{
    struct rect all = {0};

    for (uint32_t y = 0; y < a->rows; y++)
        for (uint32_t w = 0; w < a->words; w++) {
            uint64_t bits = grid_row(a, y)[w] & grid_row(b, y)[w];
            struct rect r = {w * 64, y, w * 64 + 64, y + 1};

            if (!bits)
                continue;
            r.left += __builtin_ctzll(bits);
            r.right -= __builtin_clzll(bits);
            all = rect_union(&all, &r);
        }
    return all;
}

uint32_t grid_row_common(const struct grid *a, const struct grid *b, uint32_t row)
{
    uint32_t count = 0;

    for (uint32_t w = 0; w < a->words; w++)
        count += count_bits(grid_row(a, row)[w] & grid_row(b, row)[w]);
    return count;
}
