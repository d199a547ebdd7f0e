#include "client/picture_cache.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct cached_picture {
    uint64_t id;
    pixman_image_t *picture;
    LIST_ENTRY(cached_picture) link;
};

static struct picture_list *bucket_of(struct picture_cache *cache, uint64_t id)
{
    return &cache->buckets[(id * 0x9e3779b97f4a7c15) >> 54];
}

static_assert(PICTURE_CACHE_BUCKETS == 1 << (64 - 54), "the hash is as wide as the table");

static struct cached_picture *find(struct picture_cache *cache, uint64_t id)
{
    struct cached_picture *entry;

    LIST_FOREACH (entry, bucket_of(cache, id), link)
        if (entry->id == id)
            return entry;
    return NULL;
}

static uint64_t pixels_of(pixman_image_t *picture)
{
    return (uint64_t)pixman_image_get_width(picture) * (uint64_t)pixman_image_get_height(picture);
}

static void drop(struct picture_cache *cache, struct cached_picture *entry)
{
    cache->pixels -= pixels_of(entry->picture);
    pixman_image_unref(entry->picture);
    LIST_REMOVE(entry, link);
    free(entry);
}

pixman_image_t *picture_cache_find(struct picture_cache *cache, uint64_t id)
{
    struct cached_picture *entry = find(cache, id);

    return entry ? entry->picture : NULL;
}

int picture_cache_add(struct picture_cache *cache, uint64_t id, pixman_image_t *picture)
{
    struct cached_picture *entry = find(cache, id);

    if (entry)
        drop(cache, entry);
    if (pixels_of(picture) > cache->max_pixels - cache->pixels)
        return -E2BIG;
    entry = malloc(sizeof(*entry));
    if (!entry)
        return -ENOMEM;
    *entry = (struct cached_picture){id, pixman_image_ref(picture)};
    LIST_INSERT_HEAD(bucket_of(cache, id), entry, link);
    cache->pixels += pixels_of(picture);
    return 0;
}

void picture_cache_remove(struct picture_cache *cache, uint64_t id)
{
    struct cached_picture *entry = find(cache, id);

    if (entry)
        drop(cache, entry);
}

void picture_cache_clear(struct picture_cache *cache)
{
    for (size_t i = 0; i < PICTURE_CACHE_BUCKETS; i++)
        while (!LIST_EMPTY(&cache->buckets[i]))
            drop(cache, LIST_FIRST(&cache->buckets[i]));
}

struct cached_palette *palette_cache_find(struct palette_cache *cache, uint64_t id)
{
    for (size_t i = 0; i < PALETTE_CACHE_SIZE; i++)
        if (cache->palettes[i].count && cache->palettes[i].id == id)
            return &cache->palettes[i];
    return NULL;
}

int palette_cache_add(struct palette_cache *cache, uint64_t id, const uint32_t *entries,
                      uint32_t count)
{
    struct cached_palette *place = palette_cache_find(cache, id);

    for (size_t i = 0; !place && i < PALETTE_CACHE_SIZE; i++)
        if (!cache->palettes[i].count)
            place = &cache->palettes[i];
    if (!place || !count || count > ARRAY_SIZE(place->entries))
        return -E2BIG;
    place->id = id;
    place->count = count;
    memcpy(place->entries, entries, count * sizeof(*entries));
    return 0;
}

void palette_cache_clear(struct palette_cache *cache)
{
    memset(cache, 0, sizeof(*cache));
}
