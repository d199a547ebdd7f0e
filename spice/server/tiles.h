/*
 * tiles.h - what a client shows, remembered as a keyed 128-bit hash for each tile of 16 x 16 pixels, and what may differ.
 *
 * Damage makes tiles dirty. Collecting compares the dirty ones with what the client shows and returns those that really
 * changed as few rectangles; each of these is then reported as sent, or as not sent (it becomes dirty again).
 */
#ifndef SPICE_SERVER_TILES_H
#define SPICE_SERVER_TILES_H

#include "backend/display.h"

#define TILE_SIZE       16
#define TILES_MAX_RECTS 256

struct tile_hash {
    uint64_t a, b; /* both 0: unknown */
};

struct tile_key {
    uint64_t word[4];
};

struct tiles {
    uint32_t width, height, columns, rows;
    uint8_t *state; /* enum tile_state of each tile, row by row */
    struct tile_hash *shown;
    bool dirty; /* any tile is */
};

/* Everything is dirty and nothing is known of the client. */
int tiles_init(struct tiles *t, uint32_t width, uint32_t height);
void tiles_fini(struct tiles *t);
void tiles_mark(struct tiles *t, const struct rect *rect);
/* The changed parts, at most TILES_MAX_RECTS. The surface has the size of the tiles. */
size_t tiles_collect(struct tiles *t, const struct display_surface *surface,
                     const struct tile_key *key, struct rect rects[TILES_MAX_RECTS]);
void tiles_sent(struct tiles *t, const struct rect *rect);
void tiles_not_sent(struct tiles *t, const struct rect *rect);

#endif
