#include "client/display_moves.h"

#include "client/session.h"

#include <stdlib.h>

#define MAX_KEPT   64
#define MAX_PIXELS (4 * 1024 * 1024) /* of pictures that wait */
#define WAIT_MS    4
#define QUIET_MS   20 /* a move after so long a time is drawn at once: it may be the answer to a key */

/* COPY_BITS, or a picture, if there is one, that is put where no move goes. */
struct kept {
    struct draw w;
    struct canvas_source src;
};

struct display_moves {
    struct display_channel *d;
    uv_timer_t timer;
    /* All moves are alike: in this surface, to there, each pixel from so far away. */
    struct canvas *canvas;
    struct rect to;
    struct canvas_point from;
    uint32_t moves; /* of those that wait */
    uint64_t last;  /* the loop's time at the last one */
    size_t count;
    int64_t pixels; /* of pictures */
    struct kept kept[MAX_KEPT];
};

struct display_moves *display_moves_create(struct display_channel *d)
{
    struct display_moves *m = calloc(1, sizeof(*m));

    if (m)
        m->d = d;
    return m;
}

static void timer_fired(uv_timer_t *timer)
{
    display_moves_draw(timer->data);
}

void display_moves_start(struct display_moves *m)
{
    m->timer.data = m;
    uv_timer_init(&m->d->base.session->loop->uv, &m->timer);
}

static struct rect moved(const struct rect *r, struct canvas_point by)
{
    return (struct rect){r->left + by.x, r->top + by.y, r->right + by.x, r->bottom + by.y};
}

static bool is_plain(const struct draw *w)
{
    const struct rect bounds = canvas_bounds(w->c);

    return !w->t.clip && !w->t.mask && !rect_empty(&w->t.box) && rect_contains(&bounds, &w->t.box);
}

static void keep(struct display_moves *m, const struct draw *w, const struct canvas_source *src)
{
    m->kept[m->count++] = (struct kept){*w, *src};
    if (!uv_is_active((uv_handle_t *)&m->timer))
        uv_timer_start(&m->timer, timer_fired, WAIT_MS, 0);
}

/* Whether another move came shortly before this one. */
static bool is_busy(struct display_moves *m)
{
    uint64_t now = uv_now(&m->d->base.session->loop->uv), before = m->last;

    m->last = now;
    return now - before < QUIET_MS;
}

static bool is_same(const struct display_moves *m, const struct draw *w, struct canvas_point from)
{
    const struct rect *a = &m->to, *b = &w->t.box;

    return m->canvas == w->c && m->from.x == from.x && m->from.y == from.y && a->left == b->left && a->top == b->top &&
           a->right == b->right && a->bottom == b->bottom;
}

bool display_moves_add(struct display_moves *m, const struct draw *w, int32_t x, int32_t y)
{
    const struct rect bounds = canvas_bounds(w->c), *box = &w->t.box;
    struct canvas_point from;
    struct rect source;

    if (!is_plain(w) || x < 0 || y < 0 || x > CANVAS_MAX_SIZE || y > CANVAS_MAX_SIZE)
        return false;
    from = (struct canvas_point){x - box->left, y - box->top};
    source = moved(box, from);
    if (!rect_contains(&bounds, &source) || !is_busy(m))
        return false;
    if (m->count == MAX_KEPT || !is_same(m, w, from))
        display_moves_draw(m);
    m->canvas = w->c;
    m->to = *box;
    m->from = from;
    m->moves++;
    keep(m, w, &(struct canvas_source){0});
    return true;
}

/* A move brings to one place what was at another: there is nothing to scale, and no pixel is both. */
bool display_moves_add_copy(struct display_moves *m, const struct draw *w, const struct canvas_source *src, uint16_t rop)
{
    const struct rect *box = &w->t.box, *area = &src->area, both = rect_intersect(box, &m->to);
    const struct rect picture = {0, 0, pixman_image_get_width(src->image), pixman_image_get_height(src->image)};

    if (!m->count || m->count == MAX_KEPT || w->c != m->canvas || rop != SPICE_ROPD_OP_PUT || !is_plain(w) ||
        !rect_empty(&both) || !rect_contains(&picture, area) || area->right - area->left != box->right - box->left ||
        area->bottom - area->top != box->bottom - box->top || m->pixels + rect_area(box) > MAX_PIXELS)
        return false;
    m->pixels += rect_area(box);
    keep(m, w, src);
    return true;
}

static void draw_move(struct display_moves *m, struct draw *w, bool first, uint32_t left)
{
    const struct rect *box = &w->t.box;

    canvas_move_again(&w->clip, box, m->from, left, first);
    w->t.clip = &w->clip;
    if (pixman_region32_not_empty(&w->clip))
        canvas_copy_bits(w->c, &w->t, box->left + m->from.x * (int32_t)left, box->top + m->from.y * (int32_t)left);
}

void display_moves_draw(struct display_moves *m)
{
    size_t count = m->count;
    uint32_t left = m->moves;

    m->count = 0; /* nothing waits any more for those who ask while it is drawn */
    m->moves = 0;
    m->pixels = 0;
    for (size_t i = 0; i < count; i++) {
        struct kept *k = &m->kept[i];

        display_begin(m->d, k->w.c);
        if (k->src.image)
            canvas_copy(k->w.c, &k->w.t, &k->src, SPICE_ROPD_OP_PUT);
        else
            draw_move(m, &k->w, i == 0, left--);
        display_end(m->d, k->w.c, &k->w.t);
        draw_close(&k->w, 0);
    }
    if (count)
        uv_timer_stop(&m->timer);
}

void display_moves_close(struct display_moves *m)
{
    display_moves_draw(m);
    uv_close((uv_handle_t *)&m->timer, NULL);
}

void display_moves_destroy(struct display_moves *m)
{
    free(m);
}
