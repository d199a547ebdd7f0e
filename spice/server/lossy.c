#include "spice/server/lossy.h"

int lossy_init(struct lossy *l, uint32_t width, uint32_t height)
{
    uint32_t columns = DIV_ROUND_UP(width, STRIP), rows = DIV_ROUND_UP(height, TILE_ROWS);
    int err;

    *l = (struct lossy){.width = width, .height = height};
    err = grid_init(&l->young, columns, rows);
    return err ? err : grid_init(&l->old, columns, rows);
}

void lossy_fini(struct lossy *l)
{
    grid_fini(&l->young);
    grid_fini(&l->old);
    l->any = false;
}

void lossy_add(struct lossy *l, const struct rect *pixels)
{
    const struct rect tiles = tiles_touched(pixels);

    grid_add(&l->young, &tiles);
    grid_remove(&l->old, &tiles);
    l->any = true;
}

/* Only tiles that it fills. */
void lossy_remove(struct lossy *l, const struct rect *pixels)
{
    const struct rect tiles = tiles_inside(pixels, l->width, l->height);

    if (!l->any)
        return;
    grid_remove(&l->young, &tiles);
    grid_remove(&l->old, &tiles);
}

void lossy_moved(struct lossy *l, const struct rect *to, int32_t dx, int32_t dy)
{
    const struct rect from = {to->left - dx, to->top - dy, to->right - dx, to->bottom - dy};
    const struct rect tiles = tiles_touched(&from);

    if (l->any && (grid_count(&l->young, &tiles) || grid_count(&l->old, &tiles)))
        lossy_add(l, to);
}

bool lossy_take(struct lossy *l, struct rect *pixels)
{
    struct rect run;

    for (uint32_t y = 0; l->any && y < l->old.rows; y++)
        if (grid_run(&l->old, y, 0, &run)) {
            grid_remove(&l->old, &run);
            *pixels = (struct rect){run.left * STRIP, run.top * TILE_ROWS,
                                    MIN(run.right * STRIP, (int32_t)l->width),
                                    MIN(run.bottom * TILE_ROWS, (int32_t)l->height)};
            return true;
        }
    return false;
}

void lossy_rest(struct lossy *l, const struct rect *pixels)
{
    const struct rect tiles = tiles_touched(pixels);

    grid_add(&l->old, &tiles);
    grid_remove(&l->young, &tiles);
    l->any = true;
}

void lossy_age(struct lossy *l)
{
    size_t words = (size_t)l->old.words * l->old.rows;

    l->any = false;
    for (size_t i = 0; i < words; i++) {
        l->old.bits[i] |= l->young.bits[i];
        l->any |= l->old.bits[i] != 0;
    }
    grid_clear(&l->young);
}
