#include "spice/server/move.h"

/* Changed strips that a rectangle must spare to be worth its place in the message, and how ragged it may be. */
#define MIN_STRIPS 128
#define SLACK      2

void change_done(struct change *c, const struct rect *strips)
{
    c->count -= grid_count(c->changed, strips);
    grid_remove(c->changed, strips);
    view_sent(c->view, c->now, strips);
}

void copied_add(struct copied *copied, const struct rect *to, int32_t dx, int32_t dy)
{
    const struct rect *was = &copied->to;
    struct rect both = {was->left + dx, was->top + dy, was->right + dx, was->bottom + dy};

    both = rect_intersect(&both, to);
    if (rect_empty(was) || rect_empty(&both))
        *copied = (struct copied){*to, {dx, dy}};
    else
        *copied = (struct copied){both, {copied->by.dx + dx, copied->by.dy + dy}};
}

/* A move as whole strips and the pixels that are left: dx = strips * STRIP + shift. */
struct split {
    int32_t strips, shift;
};

static struct split split_of(int32_t dx)
{
    int32_t strips = dx >= 0 ? dx / STRIP : -((STRIP - 1 - dx) / STRIP);

    return (struct split){strips, dx - strips * STRIP};
}

/* Strips come to lie on strips. The last one of a row may be short: it is compared only with itself. */
static void verify_aligned(const struct change *c, const struct move *m, const struct split *s,
                           int32_t y)
{
    int32_t end = m->dx ? c->now->width / STRIP : c->now->columns;
    int32_t left = MAX(c->bounds.left, s->strips);
    int32_t right = MIN(c->bounds.right, end + MIN(s->strips, 0));
    const uint64_t *shown = strip_row(&c->view->shown, y - m->dy) - s->strips;
    const uint64_t *now = strip_row(c->now, y);
    uint64_t *bits = grid_row(c->scratch, y);

    for (int32_t x = left, end_of_word; x < right; x = end_of_word) {
        end_of_word = MIN(ALIGN_DOWN(x, 64) + 64, right);
        bits[x / 64] |= strip_equal(shown + x, now + x, end_of_word - x) << x % 64;
    }
}

/* A strip of the screen lies across two of the client's. */
static void verify_shifted(const struct change *c, const struct move *m, const struct split *s,
                           int32_t y)
{
    uint64_t hashes[DISPLAY_MAX_WIDTH / STRIP];
    int32_t whole = c->now->width / STRIP, end = (c->now->width - s->shift) / STRIP;
    int32_t left = MAX(c->bounds.left - 1, MAX(s->strips, 0));
    int32_t right = MIN(c->bounds.right, MIN(end, whole + MIN(s->strips, 0)));
    const uint64_t *shown = strip_row(&c->view->shown, y - m->dy) - s->strips;
    bool before = false;

    if (left >= right)
        return;
    strip_hash_many(c->key, surface_row(c->surface, y) + left * STRIP + s->shift, right - left,
                    hashes);
    for (int32_t x = left; x < right; x++) {
        bool here = hashes[x - left] == shown[x];

        if (here && before)
            grid_put(c->scratch, x, y);
        before = here;
    }
}

/* Whether the client's strip column - strips, moved, equals the pixels at column * STRIP + shift. */
static bool source_fits(const struct change *c, const struct move *m, const struct split *s,
                        int32_t column, int32_t y)
{
    int32_t from = column - s->strips, left = column * STRIP + s->shift;
    int32_t whole = c->now->width / STRIP;

    if (column < 0 || from < 0 || from >= whole || left + STRIP > (int32_t)c->now->width)
        return false;
    return strip_row(&c->view->shown, y - m->dy)[from] ==
           (s->shift ? strip_hash(c->key, surface_row(c->surface, y) + left)
                     : strip_row(c->now, y)[column]);
}

bool move_fits(const struct change *c, const struct move *m, int32_t column, int32_t y)
{
    struct split s = split_of(m->dx);

    if (y - m->dy < 0 || y - m->dy >= (int32_t)c->now->height)
        return false;
    return source_fits(c, m, &s, column, y);
}

uint32_t move_verify(const struct change *c, const struct move *m)
{
    struct split s = split_of(m->dx);
    uint32_t count = 0;

    grid_clear(c->scratch);
    for (int32_t y = c->bounds.top; y < c->bounds.bottom; y++) {
        if (y - m->dy < 0 || y - m->dy >= (int32_t)c->now->height)
            continue;
        (s.shift ? verify_shifted : verify_aligned)(c, m, &s, y);
        count += grid_row_common(c->changed, c->scratch, y);
    }
    return count;
}

static bool worth_moving(void *arg, const struct cover_rect *r)
{
    return grid_count(((struct change *)arg)->changed, &r->rect) >= MIN_STRIPS;
}

void move_take(struct change *c, const struct move *m, struct cover *cover)
{
    const struct rect all = {0, 0, c->now->columns, c->now->height};

    cover->count = 0;
    if (move_verify(c, m))
        move_take_verified(c, &all, cover);
}

/* To which sides a row reaches out: what is out would be lost if it was joined with one that does not. */
static uint64_t reach(const struct rect *run, const struct rect *inside)
{
    return (run->left < inside->left) | (run->right > inside->right) << 1;
}

void move_take_verified(struct change *c, const struct rect *inside, struct cover *cover)
{
    struct rect bounds = grid_bounds(c->changed, c->scratch), run;

    cover->count = 0;
    cover->slack = SLACK;
    for (int32_t y = bounds.top; y < bounds.bottom; y++)
        for (uint32_t x = bounds.left; grid_run(c->scratch, y, x, &run); x = run.right) {
            run = rect_intersect(&run, &bounds);
            if (rect_empty(&run))
                break;
            cover_add(cover, &run, reach(&run, inside), grid_count(c->changed, &run) > 0);
        }
    cover_prune(cover, worth_moving, c);
    for (size_t i = 0; i < cover->count; i++)
        change_done(c, &cover->rects[i].rect);
}

static struct rect in_pixels(const struct rect *r, int32_t dx, int32_t dy)
{
    return (struct rect){r->left * STRIP - dx, r->top - dy, r->right * STRIP - dx, r->bottom - dy};
}

static bool is_needed(const struct cover *cover, const struct move *m, size_t which)
{
    struct rect to = in_pixels(&cover->rects[which].rect, 0, 0);

    for (size_t i = 0; i < cover->count; i++) {
        struct rect from = in_pixels(&cover->rects[i].rect, m->dx, m->dy);

        from = rect_intersect(&from, &to);
        if (i != which && !rect_empty(&from))
            return true;
    }
    return false;
}

/* Rectangles that do not overlap can always be moved one by one: the one that is farthest ahead goes first. */
bool move_next(struct cover *cover, const struct move *m, struct rect *strips)
{
    size_t i = 0;

    if (!cover->count)
        return false;
    while (i + 1 < cover->count && is_needed(cover, m, i))
        i++;
    *strips = cover->rects[i].rect;
    cover->rects[i] = cover->rects[--cover->count];
    return true;
}
