#include "devices/qxl/hidden.h"

#define TILE 16

int hidden_init(struct hidden *h, uint32_t width, uint32_t height)
{
    h->width = width;
    h->height = height;
    return grid_init(&h->tiles, DIV_ROUND_UP(width, TILE), DIV_ROUND_UP(height, TILE));
}

void hidden_fini(struct hidden *h)
{
    grid_fini(&h->tiles);
}

void hidden_clear(struct hidden *h)
{
    grid_clear(&h->tiles);
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

    grid_add(&h->tiles, &t);
}

void hidden_remove(struct hidden *h, const struct rect *r)
{
    const struct rect t = touched(r);

    grid_remove(&h->tiles, &t);
}

struct rect hidden_rest(const struct hidden *h, const struct rect *r)
{
    struct rect t = touched(r);

    if (grid_has_all(&h->tiles, &t))
        return (struct rect){0};
    /* A tile is to be seen, so each of these ends. */
    while (grid_has_all(&h->tiles, &(struct rect){t.left, t.top, t.right, t.top + 1}))
        t.top++;
    while (grid_has_all(&h->tiles, &(struct rect){t.left, t.bottom - 1, t.right, t.bottom}))
        t.bottom--;
    while (grid_has_all(&h->tiles, &(struct rect){t.left, t.top, t.left + 1, t.bottom}))
        t.left++;
    while (grid_has_all(&h->tiles, &(struct rect){t.right - 1, t.top, t.right, t.bottom}))
        t.right--;
    return rect_intersect(r, &(struct rect){t.left * TILE, t.top * TILE, t.right * TILE, t.bottom * TILE});
}
