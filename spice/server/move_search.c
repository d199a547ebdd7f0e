#include "spice/server/move_search.h"

#include <stdlib.h>
#include <string.h>

/* The search up and down: columns that are looked at, changed strips of each, places for them. */
#define MAX_COLUMNS 16
#define MAX_ANCHORS 128
#define SLOTS       256
#define SLOT_BITS   8
#define SEVERAL     INT32_MIN
/* Different moves that are counted. */
#define MAX_VOTES 512
/* A candidate has so many votes, and is right in one of so many places where it is tried, in so many rows. */
#define MIN_VOTES   4
#define PROBE_SHARE 16
#define PROBED_ROWS 64
/*
 * The search by pixels: changed strips whose pixels are hashed, strips of the client's that they are compared with; changed strips that make it worth
 * while, the area up to which it may be done each time, and how rare it may get beyond.
 */
#define ROLLED_STRIPS 1024
#define MAX_KNOWN    (32 * 1024)
#define WORTH_STRIPS 1024
#define CHEAP_STRIPS 8192
#define MAX_PAUSE    16

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

/* Content that stands out: what repeats to the left or above could have come from anywhere. */
static bool stands_out(const struct strip_map *map, int32_t x, int32_t y)
{
    uint64_t h = strip_row(map, y)[x];

    return h != STRIP_UNKNOWN && x && y && h != strip_row(map, y)[x - 1] &&
           h != strip_row(map, y - 1)[x];
}

/* Whether some of what changed looks as if it had moved so. */
static bool is_likely(const struct change *c, const struct move *m)
{
    int32_t step = (c->bounds.bottom - c->bounds.top) / PROBED_ROWS + 1;
    uint32_t tried = 0, right = 0;
    struct rect run;

    for (int32_t y = c->bounds.top; y < c->bounds.bottom; y += step)
        for (uint32_t from = 0; grid_run(c->changed, y, from, &run); from = run.right) {
            int32_t x = (run.left + run.right) / 2;

            if (!stands_out(c->now, x, y))
                continue;
            tried++;
            right += move_fits(c, m, x, y);
        }
    return right >= MIN_VOTES && right * PROBE_SHARE >= tried;
}

static struct vote *favourite(struct votes *v)
{
    struct vote *best = &v->of[0];

    for (size_t i = 1; i < MAX_VOTES; i++)
        if (v->of[i].votes > best->votes)
            best = &v->of[i];
    return best;
}

static size_t elect(const struct change *c, struct votes *v, struct move found[MOVE_MAX_FOUND])
{
    size_t n = 0;

    for (unsigned i = 0; i < MOVE_MAX_FOUND; i++) {
        struct vote *best = favourite(v);

        if (best->votes < MIN_VOTES)
            break;
        if (is_likely(c, &best->move))
            found[n++] = best->move;
        best->votes = 0;
    }
    return n;
}

/* --- up and down --- */

/* Changed strips of one column by their hash. */
struct anchors {
    uint32_t count;
    struct anchor {
        uint64_t hash;
        int32_t y; /* SEVERAL: in more than one place */
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

static void drop_anchors(const struct change *c, struct anchors *a, int32_t x)
{
    int32_t step = (c->bounds.bottom - c->bounds.top) / MAX_ANCHORS + 1;

    *a = (struct anchors){0};
    for (int32_t y = c->bounds.top; y < c->bounds.bottom; y += step)
        if (grid_has(c->changed, x, y) && stands_out(c->now, x, y)) {
            struct anchor *slot = slot_of(a, strip_row(c->now, y)[x]);

            *slot = (struct anchor){strip_row(c->now, y)[x], slot->used ? SEVERAL : y, true};
            a->count++;
        }
}

static void find_anchors(const struct change *c, struct anchors *a, int32_t x, struct votes *votes)
{
    for (int32_t y = c->bounds.top; y < c->bounds.bottom; y++) {
        uint64_t shown = strip_row(&c->view->shown, y)[x];
        const struct anchor *at = shown == STRIP_UNKNOWN ? NULL : slot_of(a, shown);

        if (at && at->used && at->y != SEVERAL)
            vote(votes, 0, at->y - y);
    }
}

size_t move_search_vertical(const struct change *c, struct move found[MOVE_MAX_FOUND])
{
    struct anchors anchors;
    struct votes votes = {0};
    int32_t step = rect_width(&c->bounds) / MAX_COLUMNS + 1;

    for (int32_t x = c->bounds.left + step / 2; x < c->bounds.right; x += step) {
        drop_anchors(c, &anchors, x);
        if (anchors.count)
            find_anchors(c, &anchors, x, &votes);
    }
    return elect(c, &votes, found);
}

/* --- by pixels --- */

/* The client's strips by their hash. */
struct known {
    const struct strip_map *shown;
    unsigned bits;   /* of a slot's number */
    uint32_t *slots; /* index + 1 of a strip, 0: free */
};

static uint32_t *known_slot(struct known *k, uint64_t hash)
{
    size_t i = hash >> (61 - k->bits);

    while (k->slots[i] && k->shown->hash[k->slots[i] - 1] != hash)
        i = (i + 1) & ((1u << k->bits) - 1);
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

/* Half of the slots stay free. */
static bool known_init(struct known *k, const struct change *c)
{
    uint32_t strips = MIN(rect_area(&c->bounds), MAX_KNOWN);

    *k = (struct known){&c->view->shown, 33 - __builtin_clz(strips)};
    k->slots = calloc(1u << k->bits, sizeof(*k->slots));
    return k->slots != NULL;
}

static size_t search_pixels(const struct change *c, struct move found[MOVE_MAX_FOUND])
{
    struct known k;
    struct votes votes = {0};
    struct rect run;
    uint32_t step = c->count / ROLLED_STRIPS + 1;

    if (!known_init(&k, c))
        return 0;
    learn(c, &k);
    for (int32_t y = c->bounds.top; y < c->bounds.bottom; y += step)
        for (uint32_t from = 0; grid_run(c->changed, y, from, &run); from = run.right)
            roll_run(c, &k, &run, &votes);
    free(k.slots);
    return elect(c, &votes, found);
}

size_t move_search_pixels(const struct change *c, struct move_memory *memory,
                          struct move found[MOVE_MAX_FOUND])
{
    size_t n;

    if (c->count < WORTH_STRIPS)
        return 0;
    if (rect_area(&c->bounds) < CHEAP_STRIPS)
        return search_pixels(c, found);
    if (memory->wait) {
        memory->wait--;
        return 0;
    }
    n = search_pixels(c, found);
    memory->pause = n ? 0 : MIN(2 * memory->pause + 1, MAX_PAUSE);
    memory->wait = memory->pause;
    return n;
}

/* --- what was found before --- */

void move_remember(struct move_memory *memory, const struct move *m)
{
    size_t i = 0;

    while (i < MOVE_MAX_FOUND - 1 &&
           (memory->moves[i].dx != m->dx || memory->moves[i].dy != m->dy))
        i++;
    memmove(&memory->moves[1], &memory->moves[0], i * sizeof(*m));
    memory->moves[0] = *m;
}

size_t move_recall(const struct change *c, const struct move_memory *memory,
                   struct move found[MOVE_MAX_FOUND])
{
    size_t n = 0;

    for (size_t i = 0; i < MOVE_MAX_FOUND; i++)
        if ((memory->moves[i].dx || memory->moves[i].dy) && is_likely(c, &memory->moves[i]))
            found[n++] = memory->moves[i];
    return n;
}
