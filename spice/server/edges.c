#include "spice/server/edges.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* --- life --- */

/* All-black strips are known: their insides are black. */
static int edge_init(struct edge *e, uint32_t height)
{
    *e = (struct edge){.column = -1, .rows = calloc(height, sizeof(*e->rows))};
    return e->rows ? 0 : -ENOMEM;
}

int edges_init(struct edges *e, uint32_t height)
{
    int err = edge_init(&e->left, height);

    return err ? err : edge_init(&e->right, height);
}

void edges_fini(struct edges *e)
{
    free(e->left.rows);
    free(e->right.rows);
    *e = (struct edges){0};
}

/* --- one edge --- */

/* What is known of another edge is of no use for this one. */
static void edge_put(struct edge *e, const struct strip_map *map, int32_t column, uint32_t from,
                     uint32_t to)
{
    if (e->column == column && e->from == from && e->to == to)
        return;
    *e = (struct edge){column, from, to, e->rows};
    memset(e->rows, 0, map->height * sizeof(*e->rows));
}

static uint64_t shown_at(const struct edge *e, const struct change *c, int32_t y)
{
    return strip_row(&c->view->shown, y)[e->column];
}

static uint64_t now_at(const struct edge *e, const struct change *c, int32_t y)
{
    return strip_row(c->now, y)[e->column];
}

static bool is_known(const struct edge *e, const struct change *c, int32_t y)
{
    return e->rows[y].whole == shown_at(e, c, y);
}

/* Perhaps the client's strip is the surface's outside there and its inside of row `from`. No parts make STRIP_UNKNOWN. */
static void guess(const struct edge *e, const struct change *c, int32_t y, int32_t from)
{
    struct edge_row *row = &e->rows[y];
    uint64_t shown = shown_at(e, c, y), inside = e->rows[from].now;

    if (strip_without(shown, inside) == strip_without(now_at(e, c, y), row->now)) {
        row->whole = shown;
        row->inside = inside;
    }
}

/* Whether the inside of the client's strip dy rows before and the outside of its strip there are what they are now. */
static bool fits(const struct edge *e, const struct change *c, int32_t y, int32_t dy)
{
    const struct edge_row *here = &e->rows[y], *source = &e->rows[y - dy];

    return is_known(e, c, y) && is_known(e, c, y - dy) && source->inside == here->now &&
           strip_without(here->whole, here->inside) == strip_without(now_at(e, c, y), here->now);
}

/* Whole strips are hashed faster; where the last one of a row is short, there is none. */
static void hash_insides(const struct edge *e, const struct change *c, int32_t top, int32_t bottom)
{
    const struct strip_key inside = strip_key_of_part(c->key, e->from, e->to);
    const uint32_t *pixels = surface_row(c->surface, top) + e->column * STRIP;
    const size_t stride = c->surface->stride / sizeof(*pixels), place = sizeof(*e->rows) / sizeof(e->rows->now);

    static_assert(sizeof(*e->rows) % sizeof(e->rows->now) == 0);
    if ((e->column + 1) * STRIP <= (int32_t)c->now->width)
        strip_hash_column(&inside, pixels, stride, bottom - top, &e->rows[top].now, place);
    else
        for (int32_t y = top; y < bottom; y++, pixels += stride)
            e->rows[y].now = strip_hash_part(c->key, pixels, e->from, e->to);
}

/* The rows [top, bottom) are those of the rectangle and of where it came from. */
static void learn(const struct edge *e, const struct change *c, int32_t top, int32_t bottom,
                  int32_t dy)
{
    hash_insides(e, c, top, bottom);
    for (int32_t y = top; y < bottom; y++) {
        if (!is_known(e, c, y))
            guess(e, c, y, y);
        if (!is_known(e, c, y) && y + dy >= top && y + dy < bottom)
            guess(e, c, y, y + dy);
    }
}

/* The strips that moved join those of scratch. Then what the surface has is kept for the next time. */
static void verify(const struct edge *e, const struct change *c, const struct copied *copied)
{
    const struct rect *to = &copied->to;
    int32_t dy = copied->by.dy, top = MIN(to->top, to->top - dy);
    int32_t bottom = MAX(to->bottom, to->bottom - dy);

    if (e->column < 0)
        return;
    learn(e, c, top, bottom, dy);
    for (int32_t y = to->top; y < to->bottom; y++)
        if (fits(e, c, y, dy))
            grid_put(c->scratch, e->column, y);
    for (int32_t y = top; y < bottom; y++) {
        e->rows[y].whole = now_at(e, c, y);
        e->rows[y].inside = e->rows[y].now;
    }
}

/* --- both --- */

/* The strips that lie in the rectangle with all their pixels. */
static struct rect strips_inside(const struct rect *pixels, const struct strip_map *map)
{
    bool end = pixels->right == (int32_t)map->width;

    return (struct rect){DIV_ROUND_UP(pixels->left, STRIP), pixels->top,
                         end ? (int32_t)map->columns : pixels->right / STRIP, pixels->bottom};
}

void edges_take(struct edges *e, struct change *c, const struct copied *copied, struct cover *cover)
{
    const struct rect *to = &copied->to;
    struct rect inside = strips_inside(to, c->now), touched = strips_of_pixels(to);
    struct change whole = *c;

    cover->count = 0;
    if (copied->by.dx || !copied->by.dy || rect_empty(&inside) ||
        rect_width(&inside) == rect_width(&touched))
        return;
    edge_put(&e->left, c->now, touched.left < inside.left ? touched.left : -1, to->left % STRIP,
             STRIP);
    edge_put(&e->right, c->now, touched.right > inside.right ? inside.right : -1, 0,
             to->right % STRIP);
    whole.bounds = inside;
    move_verify(&whole, &copied->by);
    verify(&e->left, c, copied);
    verify(&e->right, c, copied);
    move_take_verified(c, &inside, cover);
}
