/* picture_cache.h - pictures by id, and palettes by id: what a server may refer to again. */
#ifndef CLIENT_PICTURE_CACHE_H
#define CLIENT_PICTURE_CACHE_H

#include "base/base.h"

#include <pixman.h>
#include <sys/queue.h>

#define PICTURE_CACHE_BUCKETS 1024
#define PALETTE_CACHE_SIZE    128 /* the reference server keeps as many at most */

struct cached_picture;
LIST_HEAD(picture_list, cached_picture);

struct picture_cache {
    struct picture_list buckets[PICTURE_CACHE_BUCKETS];
    uint64_t pixels, max_pixels;
};

/* NULL: not there. The reference stays the cache's. */
pixman_image_t *picture_cache_find(struct picture_cache *cache, uint64_t id);
/* Takes a reference of its own; what had the id before is replaced. -E2BIG: full; -ENOMEM. */
int picture_cache_add(struct picture_cache *cache, uint64_t id, pixman_image_t *picture);
void picture_cache_remove(struct picture_cache *cache, uint64_t id);
void picture_cache_clear(struct picture_cache *cache);

struct cached_palette {
    uint64_t id;
    uint32_t count; /* 0: the place is free */
    uint32_t entries[256];
};

struct palette_cache {
    struct cached_palette palettes[PALETTE_CACHE_SIZE];
};

struct cached_palette *palette_cache_find(struct palette_cache *cache, uint64_t id);
/* -E2BIG: full, or not 1 to 256 entries. */
int palette_cache_add(struct palette_cache *cache, uint64_t id, const uint32_t *entries,
                      uint32_t count);
void palette_cache_clear(struct palette_cache *cache);

#endif
