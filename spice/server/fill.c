#include "spice/server/fill.h"

/* A message of its own pays from so many strips on; shorter runs are not looked at. */
#define MIN_STRIPS 256
#define MIN_RUN    4

static uint32_t colour_at(const struct change *c, int32_t x, int32_t y)
{
    return surface_row(c->surface, y)[x * STRIP] & 0xffffff;
}

/* Parts of a run that have one colour. */
static void add_flat(const struct change *c, const struct rect *run, struct cover *cover)
{
    const uint64_t *hash = strip_row(c->now, run->top);
    int32_t right = MIN(run->right, (int32_t)(c->now->width / STRIP)), x = run->left, end;

    for (; x < right; x = end) {
        struct rect part = {x, run->top, 0, run->bottom};
        uint32_t colour;

        for (end = x + 1; end < right && hash[end] == hash[x]; end++)
            ;
        if (end - x < MIN_RUN)
            continue;
        part.right = end;
        colour = colour_at(c, x, run->top);
        if (strip_flat(c->key, colour) == hash[x])
            cover_add(cover, &part, colour, true);
    }
}

static bool worth_filling(void *arg UNUSED, const struct cover_rect *r)
{
    return rect_area(&r->rect) >= MIN_STRIPS;
}

void fill_take(struct change *c, struct cover *cover)
{
    struct rect run;

    cover->count = 0;
    cover->slack = 0;
    for (int32_t y = c->bounds.top; y < c->bounds.bottom; y++)
        for (uint32_t x = 0; grid_run(c->changed, y, x, &run); x = run.right)
            add_flat(c, &run, cover);
    cover_prune(cover, worth_filling, NULL);
    for (size_t i = 0; i < cover->count; i++)
        change_done(c, &cover->rects[i].rect);
}

bool fill_is_flat(const struct change *c, const struct rect *strips, uint32_t *colour)
{
    uint64_t flat;

    *colour = colour_at(c, strips->left, strips->top);
    flat = strip_flat(c->key, *colour);
    for (int32_t y = strips->top; y < strips->bottom; y++)
        for (int32_t x = strips->left; x < strips->right; x++)
            if (strip_row(c->now, y)[x] != flat)
                return false;
    return true;
}
