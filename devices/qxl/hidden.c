#include "devices/qxl/hidden.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TILE 16
#define WORD 64 /* tiles of a word */

static uint32_t tile_rows(const struct hidden *h)
{
    return DIV_ROUND_UP(h->height, TILE);
}

int hidden_init(struct hidden *h, uint32_t width, uint32_t height)
{
    *h = (struct hidden){width, height, DIV_ROUND_UP(DIV_ROUND_UP(width, TILE), WORD)};
    h->tiles = calloc((size_t)tile_rows(h) * h->words, sizeof(*h->tiles));
    if (h->tiles)
        return 0;
    h->width = h->height = 0;
    return -ENOMEM;
}

void hidden_fini(struct hidden *h)
{
    free(h->tiles);
    *h = (struct hidden){0};
}

void hidden_clear(struct hidden *h)
{
    memset(h->tiles, 0, (size_t)tile_rows(h) * h->words * sizeof(*h->tiles));
}

/* The bits of word `word` for the tiles from left to right. */
static uint64_t mask(uint32_t word, uint32_t left, uint32_t right)
{
    uint32_t first = word * WORD;
    uint64_t bits = UINT64_MAX;

    if (left > first)
        bits &= UINT64_MAX << (left - first);
    if (right < first + WORD)
        bits &= UINT64_MAX >> (first + WORD - right);
    return bits;
}

/* What the rectangle touches, in tiles. */
static struct rect touched(const struct rect *r)
{
    return (struct rect){r->left / TILE, r->top / TILE, DIV_ROUND_UP(r->right, TILE),
                         DIV_ROUND_UP(r->bottom, TILE)};
}

/* The tiles that lie in it; those at the surface's right and bottom edges may be narrower. */
static struct rect contained(const struct hidden *h, const struct rect *r)
{
    return (struct rect){DIV_ROUND_UP(r->left, TILE), DIV_ROUND_UP(r->top, TILE),
                         (r->right == (int32_t)h->width ? r->right + TILE - 1 : r->right) / TILE,
                         (r->bottom == (int32_t)h->height ? r->bottom + TILE - 1 : r->bottom) / TILE};
}

void hidden_add(struct hidden *h, const struct rect *r)
{
    const struct rect t = contained(h, r);

    if (rect_empty(&t))
        return;
    for (int32_t y = t.top; y < t.bottom; y++)
        for (int32_t w = t.left / WORD; w <= (t.right - 1) / WORD; w++)
            h->tiles[(size_t)y * h->words + w] |= mask(w, t.left, t.right);
}

void hidden_remove(struct hidden *h, const struct rect *r)
{
    const struct rect t = touched(r);

    for (int32_t y = t.top; y < t.bottom; y++)
        for (int32_t w = t.left / WORD; w <= (t.right - 1) / WORD; w++)
            h->tiles[(size_t)y * h->words + w] &= ~mask(w, t.left, t.right);
}

bool hidden_whole(const struct hidden *h, const struct rect *r)
{
    const struct rect t = touched(r);

    for (int32_t y = t.top; y < t.bottom; y++)
        for (int32_t w = t.left / WORD; w <= (t.right - 1) / WORD; w++)
            if (mask(w, t.left, t.right) & ~h->tiles[(size_t)y * h->words + w])
                return false;
    return true;
}
