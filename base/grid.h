/* grid.h - a set of cells of a grid: a bit for each, row by row. Rectangles are of cells and may reach past the grid. */
#ifndef BASE_GRID_H
#define BASE_GRID_H

#include "base/rect.h"

struct grid {
    uint32_t columns, rows, words; /* words: of a row */
    uint64_t *bits;
};

/* All cells are out. -ENOMEM */
int grid_init(struct grid *g, uint32_t columns, uint32_t rows);
void grid_fini(struct grid *g);
void grid_clear(struct grid *g);
void grid_add(struct grid *g, const struct rect *cells);
void grid_remove(struct grid *g, const struct rect *cells);
/* How many cells of the rectangle are in. */
uint32_t grid_count(const struct grid *g, const struct rect *cells);
/* Whether all of them are. */
bool grid_has_all(const struct grid *g, const struct rect *cells);
/* The smallest rectangle with all cells that are in both; with a twice, that are in a. */
struct rect grid_bounds(const struct grid *a, const struct grid *b);
/* How many cells of a row are in both. */
uint32_t grid_row_common(const struct grid *a, const struct grid *b, uint32_t row);
/* The cells at `from` and right of it that are in, as far as they touch: false if there are none. */
bool grid_run(const struct grid *g, uint32_t row, uint32_t from, struct rect *run);

/* How many bits are 1. Without a processor that is known to count them, the compiler would call a function that looks up bytes. */
static inline uint32_t count_bits(uint64_t v)
{
    v -= v >> 1 & 0x5555555555555555;
    v = (v & 0x3333333333333333) + (v >> 2 & 0x3333333333333333);
    v = (v + (v >> 4)) & 0x0f0f0f0f0f0f0f0f;
    return v * 0x0101010101010101 >> 56;
}

static inline uint64_t *grid_row(const struct grid *g, uint32_t row)
{
    return g->bits + (size_t)row * g->words;
}

static inline bool grid_has(const struct grid *g, uint32_t column, uint32_t row)
{
    return grid_row(g, row)[column / 64] >> column % 64 & 1;
}

static inline void grid_put(struct grid *g, uint32_t column, uint32_t row)
{
    grid_row(g, row)[column / 64] |= 1ull << column % 64;
}

#endif
