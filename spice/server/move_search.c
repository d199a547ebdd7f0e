#include "spice/server/move_search.h"

#include <stdlib.h>

/* Changed strips that are looked for, and places for them. */
#define MAX_ANCHORS 1024
#define SLOTS       4096
#define SLOT_BITS   12
/* Different moves that are counted. */
#define MAX_VOTES 512
/* A candidate has so many votes, and one of so many anchors. */
#define MIN_VOTES    4
#define ANCHOR_SHARE 32
/* The search by pixels: rows hashed, strips of the client's that they are compared with, when it pays, how rare it gets. */
#define ROLLED_ROWS  48
#define MAX_KNOWN    (32 * 1024)
#define KNOWN_BITS   16
#define WORTH_STRIPS 1024
#define MAX_PAUSE    64

struct votes {
    struct vote {
        struct move move;
        uint32_t votes; /* 0: free */
    } of[MAX_VOTES];
};

/* Where the table is crowded a vote is lost: what matters has many. */
static void vote(struct votes *v, int32_t dx, int32_t dy)
{
    uint32_t i = ((uint32_t)dx * 0x9e3779b1u ^ (uint32_t)dy * 0x85ebca6bu) >> 16;

    if (!dx && !dy)
        return;
    for (unsigned k = 0; k < 8; k++) {
        struct vote *at = &v->of[(i + k) % MAX_VOTES];

        if (!at->votes)
            *at = (struct vote){{dx, dy}, 0};
        if (at->move.dx != dx || at->move.dy != dy)
            continue;
        at->votes++;
        return;
    }
}

static struct vote *favourite(struct votes *v)
{
    struct vote *best = &v->of[0];

    for (size_t i = 1; i < MAX_VOTES; i++)
        if (v->of[i].votes > best->votes)
            best = &v->of[i];
    return best;
}

static size_t elect(struct votes *v, uint32_t minimum, struct move found[MOVE_MAX_FOUND])
{
    size_t n = 0;

    for (; n < MOVE_MAX_FOUND; n++) {
        struct vote *best = favourite(v);

        if (best->votes < MAX(minimum, MIN_VOTES))
            break;
        found[n] = best->move;
        best->votes = 0;
    }
    return n;
}

/* Content that stands out: what repeats to the left or above could have come from anywhere. */
static bool stands_out(const struct strip_map *map, int32_t x, int32_t y)
{
    uint64_t h = strip_row(map, y)[x];

    return h != STRIP_UNKNOWN && x && y && h != strip_row(map, y)[x - 1] &&
           h != strip_row(map, y - 1)[x];
}

/* --- by whole strips --- */

struct anchors {
    uint32_t count;
    struct anchor {
        uint64_t hash;
        int32_t x, y; /* y < 0: there are several */
        bool used;
    } slots[SLOTS];
};

static struct anchor *slot_of(struct anchors *a, uint64_t hash)
{
    size_t i = hash >> (61 - SLOT_BITS);

    static_assert(SLOTS == 1 << SLOT_BITS && MAX_ANCHORS < SLOTS, "there is always a free slot");
    while (a->slots[i].used && a->slots[i].hash != hash)
        i = (i + 1) % SLOTS;
    return &a->slots[i];
}

static void add_anchor(struct anchors *a, uint64_t hash, int32_t x, int32_t y)
{
    struct anchor *slot = slot_of(a, hash);

    *slot = (struct anchor){hash, x, slot->used ? -1 : y, true};
    a->count++;
}

static void drop_anchors(const struct change *c, struct anchors *a)
{
    uint32_t step = c->count / MAX_ANCHORS + 1, n = 0;
    struct rect run;

    for (int32_t y = c->bounds.top; y < c->bounds.bottom; y++)
        for (uint32_t from = 0; grid_run(c->changed, y, from, &run); from = run.right)
            for (int32_t x = run.left; x < run.right && a->count < MAX_ANCHORS; x++)
                if (stands_out(c->now, x, y) && n++ % step == 0)
                    add_anchor(a, strip_row(c->now, y)[x], x, y);
}

size_t move_search_strips(const struct change *c, struct move found[MOVE_MAX_FOUND])
{
    struct anchors anchors = {0};
    struct votes votes = {0};

    drop_anchors(c, &anchors);
    if (anchors.count < MIN_VOTES)
        return 0;
    for (int32_t y = c->bounds.top; y < c->bounds.bottom; y++) {
        const uint64_t *shown = strip_row(&c->view->shown, y);

        for (int32_t x = c->bounds.left; x < c->bounds.right; x++) {
            const struct anchor *a;

            if (shown[x] == STRIP_UNKNOWN)
                continue;
            a = slot_of(&anchors, shown[x]);
            if (a->used && a->y >= 0)
                vote(&votes, (a->x - x) * STRIP, a->y - y);
        }
    }
    return elect(&votes, anchors.count / ANCHOR_SHARE, found);
}

/* --- by pixels --- */

/* The client's strips by their hash. */
struct known {
    const struct strip_map *shown;
    uint32_t slots[1 << KNOWN_BITS]; /* index + 1 of a strip, 0: free */
};

static uint32_t *known_slot(struct known *k, uint64_t hash)
{
    size_t i = hash >> (61 - KNOWN_BITS);

    static_assert(2 * MAX_KNOWN <= 1 << KNOWN_BITS, "there is always a free slot");
    while (k->slots[i] && k->shown->hash[k->slots[i] - 1] != hash)
        i = (i + 1) % ARRAY_SIZE(k->slots);
    return &k->slots[i];
}

/* Of so many columns that there is room for them. */
static void learn(const struct change *c, struct known *k)
{
    int32_t step = rect_area(&c->bounds) / MAX_KNOWN + 1;

    for (int32_t y = c->bounds.top; y < c->bounds.bottom; y++)
        for (int32_t x = c->bounds.left; x < c->bounds.right; x += step)
            if (stands_out(k->shown, x, y)) {
                size_t index = (size_t)y * k->shown->columns + x;
                uint32_t *slot = known_slot(k, k->shown->hash[index]);

                if (!*slot)
                    *slot = index + 1;
            }
}

static void ask_known(struct known *k, struct votes *votes, uint64_t hash, int32_t x, int32_t y)
{
    uint32_t found = *known_slot(k, hash);

    if (found)
        vote(votes, x - (int32_t)((found - 1) % k->shown->columns) * STRIP,
             y - (int32_t)((found - 1) / k->shown->columns));
}

/* Hash the run's pixels, at each of them. */
static void roll_run(const struct change *c, struct known *k, const struct rect *run,
                     struct votes *votes)
{
    const uint32_t *pixels = surface_row(c->surface, run->top);
    int32_t x = run->left * STRIP, end = MIN(run->right * STRIP, (int32_t)c->now->width) - STRIP;
    uint64_t hash, before = STRIP_UNKNOWN;

    if (x > end)
        return;
    hash = strip_hash(c->key, pixels + x);
    for (;; x++) {
        if (hash != before)
            ask_known(k, votes, hash, x, run->top);
        if (x == end)
            return;
        before = hash;
        hash = strip_roll(c->key, hash, pixels[x], pixels[x + STRIP]);
    }
}

static size_t search_pixels(const struct change *c, struct move found[MOVE_MAX_FOUND])
{
    struct known *k = calloc(1, sizeof(*k));
    struct votes votes = {0};
    struct rect run;
    int32_t step = (c->bounds.bottom - c->bounds.top) / ROLLED_ROWS + 1;

    if (!k)
        return 0;
    k->shown = &c->view->shown;
    learn(c, k);
    for (int32_t y = c->bounds.top; y < c->bounds.bottom; y += step)
        for (uint32_t from = 0; grid_run(c->changed, y, from, &run); from = run.right)
            roll_run(c, k, &run, &votes);
    free(k);
    return elect(&votes, MIN_VOTES, found);
}

size_t move_search_pixels(const struct change *c, struct move_patience *patience,
                          struct move found[MOVE_MAX_FOUND])
{
    size_t n;

    if (c->count < WORTH_STRIPS)
        return 0;
    if (patience->wait) {
        patience->wait--;
        return 0;
    }
    n = search_pixels(c, found);
    patience->pause = n ? 0 : MIN(2 * patience->pause + 1, MAX_PAUSE);
    patience->wait = patience->pause;
    return n;
}
