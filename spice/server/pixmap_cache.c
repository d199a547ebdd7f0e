#include "spice/server/pixmap_cache.h"

#include <stdlib.h>

/* A picture that takes more than this part of the room would push out too much. */
#define LARGEST_PART 4
/* Each picture that went too soon counts so much, each other new one takes one away; what goes first depends on it. */
#define REGRET       4
#define MANY_REGRETS 64
#define MAX_REGRETS  256

struct pixmap_entry {
    uint64_t id, pixels;
    TAILQ_ENTRY(pixmap_entry) by_age;
    LIST_ENTRY(pixmap_entry) by_id;
};

void pixmap_cache_init(struct pixmap_cache *c, int64_t pixels)
{
    *c = (struct pixmap_cache){.room = CLAMP(pixels, 0, (int64_t)PIXMAP_CACHE_MAX_PIXELS)};
    TAILQ_INIT(&c->ages);
}

static uint64_t *gone_slot(struct pixmap_cache *c, uint64_t id)
{
    return &c->gone[id % PIXMAP_CACHE_GONE];
}

/* A new one: was it here before? */
static void take_stock(struct pixmap_cache *c, uint64_t id)
{
    if (*gone_slot(c, id) == id)
        c->regrets = MIN(c->regrets + REGRET, MAX_REGRETS);
    else
        c->regrets -= c->regrets > 0;
    *gone_slot(c, id) = 0;
}

static void drop(struct pixmap_cache *c, struct pixmap_entry *e)
{
    TAILQ_REMOVE(&c->ages, e, by_age);
    LIST_REMOVE(e, by_id);
    c->used -= e->pixels;
    c->count--;
    free(e);
}

void pixmap_cache_fini(struct pixmap_cache *c)
{
    while (c->count)
        drop(c, TAILQ_FIRST(&c->ages));
}

static bool last_goes_first(const struct pixmap_cache *c)
{
    return c->regrets >= MANY_REGRETS;
}

bool pixmap_cache_use(struct pixmap_cache *c, uint64_t id)
{
    struct pixmap_entry *e;

    LIST_FOREACH (e, &c->buckets[id % PIXMAP_CACHE_BUCKETS], by_id)
        if (e->id == id) {
            TAILQ_REMOVE(&c->ages, e, by_age);
            if (last_goes_first(c))
                TAILQ_INSERT_HEAD(&c->ages, e, by_age);
            else
                TAILQ_INSERT_TAIL(&c->ages, e, by_age);
            return true;
        }
    return false;
}

bool pixmap_cache_add(struct pixmap_cache *c, uint64_t id, uint64_t pixels,
                      uint64_t gone[PIXMAP_CACHE_MAX_COUNT], size_t *count)
{
    struct pixmap_entry *e = pixels <= c->room / LARGEST_PART ? calloc(1, sizeof(*e)) : NULL;

    *count = 0;
    if (!e)
        return false;
    take_stock(c, id);
    while (c->count == PIXMAP_CACHE_MAX_COUNT || c->used + pixels > c->room) {
        struct pixmap_entry *victim = last_goes_first(c) ? TAILQ_LAST(&c->ages, pixmap_ages) : TAILQ_FIRST(&c->ages);

        gone[(*count)++] = victim->id;
        *gone_slot(c, victim->id) = victim->id;
        drop(c, victim);
    }
    e->id = id;
    e->pixels = pixels;
    TAILQ_INSERT_TAIL(&c->ages, e, by_age);
    LIST_INSERT_HEAD(&c->buckets[id % PIXMAP_CACHE_BUCKETS], e, by_id);
    c->used += pixels;
    c->count++;
    return true;
}
