#include "canvas/canvas.h"

#include <errno.h>
#include <stdlib.h>

#define MAX_COORDINATE (1 << 27) /* what 28.4 fixed point can say */

/* The line's pixels of one row or column that follow each other. */
struct run {
    struct canvas *c;
    const struct canvas_target *t;
    const struct canvas_brush *brush;
    uint16_t rop;
    struct rect box; /* empty: none yet */
};

static int flush_run(struct run *r)
{
    struct canvas_target t = {.clip = r->t->clip};

    if (rect_empty(&r->box))
        return 0;
    t.box = rect_intersect(&r->box, &r->t->box);
    r->box = (struct rect){0};
    return canvas_fill(r->c, &t, r->brush, r->rop);
}

static int add_pixel(struct run *r, int32_t x, int32_t y)
{
    struct rect pixel = {x, y, x + 1, y + 1}, both = rect_union(&r->box, &pixel);
    int err;

    if (rect_empty(&r->box) ||
        ((both.right - both.left == 1 || both.bottom - both.top == 1) &&
         (both.right - both.left) + (both.bottom - both.top) ==
             (r->box.right - r->box.left) + (r->box.bottom - r->box.top) + 1)) {
        r->box = both;
        return 0;
    }
    err = flush_run(r);
    r->box = pixel;
    return err;
}

/*
 * To begin with a gap is the pattern moved by one, begun at its end; or, if the lengths are odd in number, so that strokes and
 * gaps change places after each round, the same pattern one round later.
 */
void canvas_line_style(struct canvas_line *line, uint8_t dashes[CANVAS_MAX_DASHES], const int32_t *lengths, size_t count,
                       bool gap)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < count; i++) {
        dashes[i] = (uint8_t)CLAMP(lengths[(i + (gap && count % 2 == 0)) % count] >> 4, 0, 255);
        sum += dashes[i];
    }
    line->dashes = dashes;
    line->dash_count = count;
    line->dash_offset = !gap || !count ? 0 : count % 2 ? sum : sum - dashes[count - 1];
}

/* Is this step of the line drawn? */
static bool dash_is_on(const struct canvas_line *line, uint32_t period, uint64_t step)
{
    uint32_t at = (uint32_t)((step + line->dash_offset) % period);
    size_t i = 0;

    while (at >= line->dashes[i % line->dash_count])
        at -= line->dashes[i++ % line->dash_count];
    return i % 2 == 0;
}

/*
 * A segment in steps along its longer axis: after i of them the shorter axis has moved (2 i minor + major - bias) / (2 major),
 * rounded down, which is Bresenham's algorithm as the X server has it; bias breaks ties by the direction.
 */
struct segment {
    int64_t major, minor; /* lengths, not negative */
    int sx, sy;           /* directions */
    bool steep;           /* y is the longer axis */
    int bias;
};

static struct segment segment_of(const struct canvas_point *a, const struct canvas_point *b)
{
    int64_t dx = (int64_t)b->x - a->x, dy = (int64_t)b->y - a->y;
    struct segment s = {.sx = dx < 0 ? -1 : 1, .sy = dy < 0 ? -1 : 1};

    s.steep = llabs(dy) > llabs(dx);
    s.major = s.steep ? llabs(dy) : llabs(dx);
    s.minor = s.steep ? llabs(dx) : llabs(dy);
    /* Octants 2 to 5: up and steep, up and to the left, to the left and flat. */
    s.bias = (s.sy < 0 && (s.steep || s.sx < 0)) || (s.sx < 0 && !s.steep);
    return s;
}

/* The steps in which the longer axis is inside lo..hi; all others are outside the surface. */
static void visible_steps(int64_t from, int direction, int64_t lo, int64_t hi, int64_t *first,
                          int64_t *end)
{
    int64_t a = direction > 0 ? lo - from : from - (hi - 1);
    int64_t b = direction > 0 ? hi - from : from - lo + 1;

    *first = CLAMP(a, 0, *end);
    *end = CLAMP(b, *first, *end);
}

static int draw_segment(struct run *r, const struct canvas_line *line, uint32_t period,
                        const struct canvas_point *a, const struct segment *s, uint64_t start)
{
    int64_t first, end = s->major;
    int err = 0;

    if (s->steep)
        visible_steps(a->y, s->sy, 0, r->c->height, &first, &end);
    else
        visible_steps(a->x, s->sx, 0, r->c->width, &first, &end);
    for (int64_t i = first; i < end && !err; i++) {
        int32_t across = (int32_t)((2 * i * s->minor + s->major - s->bias) / (2 * s->major));
        int32_t along = (int32_t)i;

        if (!period || dash_is_on(line, period, start + (uint64_t)i))
            err = add_pixel(r, a->x + s->sx * (s->steep ? across : along),
                            a->y + s->sy * (s->steep ? along : across));
    }
    return err;
}

int canvas_stroke(struct canvas *c, const struct canvas_target *t, const struct canvas_line *line,
                  const struct canvas_brush *brush, uint16_t rop)
{
    struct run r = {c, t, brush, rop, {0}};
    uint32_t period = 0;
    uint64_t steps = 0;
    int err = 0;

    if (line->dash_count > CANVAS_MAX_DASHES)
        return -EINVAL;
    for (size_t i = 0; i < line->dash_count; i++)
        period += line->dashes[i];
    /* After an odd number of dashes strokes and gaps change places. */
    period *= 1 + line->dash_count % 2;
    for (size_t i = 0; i + 1 < line->count && !err; i++) {
        const struct canvas_point *a = &line->points[i], *b = &line->points[i + 1];
        struct segment s;

        if (abs(a->x / 2) > MAX_COORDINATE / 2 || abs(a->y / 2) > MAX_COORDINATE / 2 ||
            abs(b->x / 2) > MAX_COORDINATE / 2 || abs(b->y / 2) > MAX_COORDINATE / 2)
            return -EINVAL;
        s = segment_of(a, b);
        err = draw_segment(&r, line, period, a, &s, steps);
        steps += (uint64_t)s.major;
    }
    return err ? err : flush_run(&r);
}
