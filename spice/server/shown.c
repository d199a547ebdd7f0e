#include "spice/server/shown.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static uint32_t tile_columns(uint32_t width)
{
    return DIV_ROUND_UP(DIV_ROUND_UP(width, STRIP), SHOWN_COLUMNS);
}

uint32_t shown_count(uint32_t width, uint32_t height)
{
    return tile_columns(width) * DIV_ROUND_UP(height, SHOWN_ROWS);
}

/* In strips. */
static struct rect tile(const struct strip_map *map, uint32_t i)
{
    int32_t x = (int32_t)(i % tile_columns(map->width)) * SHOWN_COLUMNS;
    int32_t y = (int32_t)(i / tile_columns(map->width)) * SHOWN_ROWS;

    return (struct rect){x, y, MIN(x + SHOWN_COLUMNS, (int32_t)map->columns), MIN(y + SHOWN_ROWS, (int32_t)map->height)};
}

static uint64_t hash(const struct strip_key *key, const struct strip_map *map, const struct display_surface *surface,
                     const struct rect *r)
{
    int32_t whole = MIN(r->right, (int32_t)(map->width / STRIP)); /* the last strip may be short */
    uint64_t strips[SHOWN_COLUMNS], sum = 0;

    for (int32_t y = r->top; y < r->bottom; y++) {
        const uint32_t *pixels = surface_row(surface, y);

        strip_hash_many(key, pixels + r->left * STRIP, whole - r->left, strips);
        for (int32_t x = r->left; x < whole; x++)
            sum = strip_combine(key, sum, strips[x - r->left]);
        if (whole < r->right)
            sum = strip_combine(key, sum, strip_hash_part(key, pixels + whole * STRIP, 0, map->width % STRIP));
    }
    return sum;
}

static bool is_exact(const struct view *view, const struct lossy *lossy, const struct strip_map *now, const struct rect *r)
{
    const struct rect pixels = strips_to_pixels(now, r), tiles = tiles_touched(&pixels);

    if (lossy->any && (grid_count(&lossy->young, &tiles) || grid_count(&lossy->old, &tiles)))
        return false;
    for (int32_t y = r->top; y < r->bottom; y++)
        if (memcmp(strip_row(&view->shown, y) + r->left, strip_row(now, y) + r->left,
                   (r->right - r->left) * sizeof(uint64_t)))
            return false;
    return true;
}

static bool same_size(const struct strip_map *map, uint32_t width, uint32_t height)
{
    return map && map->hash && map->width == width && map->height == height;
}

int shown_take(struct shown *s, const struct view *view, const struct lossy *lossy, const struct strip_map *now,
               const struct display_surface *surface)
{
    struct strip_key key;

    *s = (struct shown){.width = view->shown.width, .height = view->shown.height};
    s->count = shown_count(s->width, s->height);
    s->tiles = malloc((s->count + 1) * sizeof(*s->tiles)); /* one at least, for malloc's sake */
    if (!s->tiles || getrandom(&s->secret, sizeof(s->secret), 0) != sizeof(s->secret)) {
        shown_fini(s);
        return -ENOMEM;
    }
    strip_key_init(&key, s->secret);
    for (uint32_t i = 0; i < s->count; i++) {
        const struct rect r = tile(&view->shown, i);

        s->tiles[i] = same_size(now, s->width, s->height) && is_exact(view, lossy, now, &r)
                          ? hash(&key, now, surface, &r)
                          : SHOWN_UNKNOWN;
    }
    return 0;
}

void shown_apply(const struct shown *s, struct view *view, const struct strip_map *now,
                 const struct display_surface *surface)
{
    struct strip_key key;

    if (!same_size(now, s->width, s->height))
        return;
    strip_key_init(&key, s->secret);
    for (uint32_t i = 0; i < s->count; i++) {
        const struct rect r = tile(now, i);

        if (s->tiles[i] == hash(&key, now, surface, &r))
            view_sent(view, now, &r);
    }
}

void shown_fini(struct shown *s)
{
    free(s->tiles);
    *s = (struct shown){0};
}
