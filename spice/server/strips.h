/*
 * strips.h - a picture as hashes of its strips: 16 pixels of one row each.
 *
 * A strip's hash is the polynomial p0 x^15 + p1 x^14 + ... + p15 over the field of 2^61 - 1 elements at a secret point x
 * (p: the visible 24 bits of a pixel). Two different strips meet in one of 10^17 points, so who does not know the point
 * cannot make them look alike. And it can be rolled along a row a pixel at a time, which finds content that moved by any
 * distance. At the right edge pixels that are missing count as black.
 *
 * 8 bytes for 64 bytes of pixels: 1 MB for 1920 x 1080, 18 MB for 8192 x 4320.
 */
#ifndef SPICE_SERVER_STRIPS_H
#define SPICE_SERVER_STRIPS_H

#include "backend/display.h"

#define STRIP         16
#define STRIP_UNKNOWN UINT64_MAX /* no hash is that */

struct strip_key {
    uint64_t point, out; /* x, x^16 */
    uint64_t ones;       /* the hash of a strip of ones */
    uint32_t low[STRIP], high[STRIP]; /* x^15 ... x^0 in halves */
};

void strip_key_init(struct strip_key *key, uint64_t secret);
uint64_t strip_hash(const struct strip_key *key, const uint32_t *pixels);
/* Of strips side by side. */
void strip_hash_many(const struct strip_key *key, const uint32_t *pixels, size_t count,
                     uint64_t *hashes);
/* Of strips below each other: pixels are `stride` words apart, hashes `place`. */
void strip_hash_column(const struct strip_key *key, const uint32_t *pixels, size_t stride, size_t count, uint64_t *hashes,
                       size_t place);
/* A key for hashing only: other pixels of a strip than [from, to) count as black. */
struct strip_key strip_key_of_part(const struct strip_key *key, uint32_t from, uint32_t to);
/* Of the pixels [from, to) of a strip: the others count as black. */
uint64_t strip_hash_part(const struct strip_key *key, const uint32_t *pixels, uint32_t from,
                         uint32_t to);
/* A strip's hash is the sum of those of its parts; this is the one without the other. */
uint64_t strip_without(uint64_t whole, uint64_t part);
/* The hash of the strip one pixel further on: `in` comes, `out` goes. */
uint64_t strip_roll(const struct strip_key *key, uint64_t hash, uint32_t out, uint32_t in);
/* The hash of a strip of one colour. */
uint64_t strip_flat(const struct strip_key *key, uint32_t colour);

/* Which of up to 64 hashes are equal to others: a bit for each, the first one lowest. */
uint64_t strip_equal(const uint64_t *a, const uint64_t *b, uint32_t count);
/* One hash of many: start with what tells their arrangement, add one after the other. */
uint64_t strip_combine(const struct strip_key *key, uint64_t sum, uint64_t hash);

struct strip_map {
    uint32_t width, height, columns; /* of pixels; columns: strips in a row, the last one may be short */
    uint64_t *hash;                  /* row by row */
};

/* All are unknown. -ENOMEM */
int strip_map_init(struct strip_map *map, uint32_t width, uint32_t height);
void strip_map_fini(struct strip_map *map);

static inline uint64_t *strip_row(const struct strip_map *map, uint32_t y)
{
    return map->hash + (size_t)y * map->columns;
}

static inline const uint32_t *surface_row(const struct display_surface *s, uint32_t y)
{
    return (const uint32_t *)(s->pixels + (size_t)y * s->stride);
}

/* A rectangle of strips in pixels, and the strips that a rectangle of pixels touches. */
static inline struct rect strips_to_pixels(const struct strip_map *map, const struct rect *r)
{
    return (struct rect){r->left * STRIP, r->top, MIN(r->right * STRIP, (int32_t)map->width),
                         r->bottom};
}

static inline struct rect strips_of_pixels(const struct rect *r)
{
    return (struct rect){r->left / STRIP, r->top, DIV_ROUND_UP(r->right, STRIP), r->bottom};
}

#endif
