/*
 * qxl_pending.c - drawing commands that wait until somebody wants to see what they draw.
 *
 * Most of what a guest draws is drawn over, or has moved on, before the next look at the screen. So commands are taken from
 * the ring and kept. When they are drawn, what later ones hide is left out, and a rectangle that is moved again and again,
 * as by scrolling, is moved once by the whole distance.
 *
 * Everything that looks at the pixels or changes what commands refer to draws first: the IO commands, surfaces' ends, the
 * display's watchers. And a timer does, so that the guest has its memory back soon.
 */
#include "devices/qxl/hidden.h"
#include "devices/qxl/qxl_record.h"

#include <errno.h>
#include <stdlib.h>

#define MAX_PENDING 2048
#define MAX_WAIT_MS 20
/* What waits must not take long to draw, nor much memory: so many pixels, so many rectangles of clips. */
#define MAX_PIXELS (64 * 1024 * 1024)
#define MAX_RECTS  65536
/* A command of which nothing better is known may have a large picture to unpack. */
#define UNKNOWN_PIXELS (256 * 1024)

struct qxl_pending {
    struct hidden hidden; /* of the primary */
    uint32_t count;
    uint64_t pixels, rects; /* of all that waits */
    struct draw commands[MAX_PENDING];
};

/* --- what is hidden --- */

/* How the command matters to those before it. */
static void look_behind(struct hidden *h, struct draw *w)
{
    struct rect box = qxl_draw_box(w);
    struct canvas_point from;

    switch (w->kind) {
    case DRAW_COVERS:
        if (pixman_region32_n_rects(&w->place) == 1)
            hidden_add(h, &box);
        break;
    case DRAW_BLENDS:
        break; /* what is hidden of its place stays so */
    case DRAW_MOVES:
        from = qxl_draw_source(w);
        hidden_remove(h, &(struct rect){box.left + from.x, box.top + from.y, box.right + from.x,
                                        box.bottom + from.y});
        break;
    case DRAW_ANY:
        hidden_clear(h);
        break;
    }
}

/* Leave out what later ones hide of it: all of it, then it has nothing to draw on, or what lies around the rest. */
static void leave_out(const struct hidden *h, struct draw *w)
{
    const struct rect box = qxl_draw_box(w), rest = hidden_rest(h, &box);

    if (rect_empty(&box))
        return;
    if (rect_empty(&rest))
        w->canvas = NULL;
    else if (w->kind == DRAW_COVERS || w->kind == DRAW_BLENDS)
        qxl_draw_narrow(w, &rest);
}

static void find_hidden(struct qxl *q, struct qxl_pending *p)
{
    const struct canvas *primary = q->surfaces[0].canvas;

    if (p->count < 2 || !primary || hidden_init(&p->hidden, primary->width, primary->height))
        return;
    for (uint32_t i = p->count; i-- > 0;) {
        struct draw *w = &p->commands[i];

        if (w->d.surface_id == 0)
            leave_out(&p->hidden, w);
        if (w->canvas && (w->d.surface_id == 0 || w->kind == DRAW_ANY))
            look_behind(&p->hidden, w);
    }
    hidden_fini(&p->hidden);
}

/* --- moves that repeat --- */

static bool same_move(const struct draw *a, const struct draw *b)
{
    const struct rect x = qxl_draw_box(a), y = qxl_draw_box(b);
    const struct canvas_point p = qxl_draw_source(a), r = qxl_draw_source(b);

    return a->canvas == b->canvas && x.left == y.left && x.top == y.top && x.right == y.right &&
           x.bottom == y.bottom && p.x == r.x && p.y == r.y;
}

/* The move itself and how often it comes again, before a command that could see a difference. */
static uint32_t repeats(const struct qxl_pending *p, uint32_t first)
{
    const struct draw *move = &p->commands[first];
    const struct rect to = qxl_draw_box(move);
    uint32_t count = 1;

    for (uint32_t i = first + 1; i < p->count; i++) {
        const struct draw *w = &p->commands[i];
        struct rect box = qxl_draw_box(w);

        if (!w->canvas)
            continue;
        if (w->kind == DRAW_MOVES && same_move(move, w)) {
            count++;
            continue;
        }
        box = rect_intersect(&box, &to);
        if (w->kind == DRAW_ANY || w->kind == DRAW_MOVES || (w->canvas == move->canvas && !rect_empty(&box)))
            break;
    }
    return count;
}

/* One of a series of the same move, `left` of which are to come, itself included. */
static int run_repeated(struct draw *w, bool first, uint32_t left)
{
    const struct rect to = qxl_draw_box(w);
    const struct canvas_point from = qxl_draw_source(w);
    pixman_region32_t region;
    int err = 0;

    canvas_move_again(&region, &to, from, left, first);
    if (pixman_region32_not_empty(&region))
        err = qxl_draw_move(w, &region, (struct canvas_point){from.x * (int32_t)left, from.y * (int32_t)left}, first);
    pixman_region32_fini(&region);
    return err;
}

/* --- drawing --- */

/* `left`: how many moves of a series are to come. */
static int draw_one(struct qxl_pending *p, uint32_t i, uint32_t *left)
{
    struct draw *w = &p->commands[i];
    bool first = *left == 0;
    int err;

    if (w->kind == DRAW_MOVES) {
        if (first)
            *left = repeats(p, i);
        err = run_repeated(w, first, (*left)--);
    } else {
        err = qxl_draw_run(w);
    }
    if (!err)
        qxl_record_draw(w);
    return err;
}

static void draw_all(struct qxl *q, struct qxl_pending *p)
{
    uint32_t left = 0;

    find_hidden(q, p);
    for (uint32_t i = 0; i < p->count; i++) {
        struct draw *w = &p->commands[i];

        if (__atomic_load_n(&q->bug, __ATOMIC_RELAXED))
            qxl_draw_close(w); /* nothing counts after the error */
        else
            qxl_draw_end(w, w->canvas ? draw_one(p, i, &left) : 0);
    }
    p->count = 0;
    p->pixels = p->rects = 0;
}

void qxl_pending_draw(struct qxl *q)
{
    struct qxl_pending *p = q->pending;

    if (p->count == 0)
        return;
    uv_timer_stop(&q->draw_timer);
    draw_all(q, p);
    qxl_report_damage(q);
    qxl_push_soon(q);
}

void qxl_pending_drop(struct qxl *q)
{
    struct qxl_pending *p = q->pending;

    while (p->count)
        qxl_draw_close(&p->commands[--p->count]);
    p->pixels = p->rects = 0;
}

/* --- taking --- */

static void weigh(struct qxl_pending *p, struct draw *w)
{
    const struct rect box = qxl_draw_box(w);

    p->pixels += (uint64_t)(box.right - box.left) * (uint32_t)(box.bottom - box.top);
    if (w->kind == DRAW_ANY || w->kind == DRAW_BLENDS)
        p->pixels += UNKNOWN_PIXELS;
    p->rects += pixman_region32_n_rects(&w->clip) + pixman_region32_n_rects(&w->place);
}

/* A recording has commands as they are drawn, all of them; a shadow follows what is drawn. */
static bool may_wait(const struct qxl *q)
{
    const struct qxl_pending *p = q->pending;

    return p->count < MAX_PENDING && p->pixels < MAX_PIXELS && p->rects < MAX_RECTS && q->trace.fd < 0 &&
           !q->shadow;
}

void qxl_command_draw(struct qxl *q, QXLPHYSICAL addr)
{
    struct qxl_pending *p = q->pending;
    struct draw *w = &p->commands[p->count];
    int err = qxl_draw_take(w, q, addr);

    if (err) {
        qxl_draw_end(w, err);
        return;
    }
    p->count++;
    weigh(p, w);
    if (!may_wait(q))
        qxl_pending_draw(q);
}

static void waited_enough(uv_timer_t *timer)
{
    qxl_pending_draw(timer->data);
}

void qxl_pending_announce(struct qxl *q)
{
    if (q->pending->count == 0)
        return;
    if (!uv_is_active((uv_handle_t *)&q->draw_timer))
        uv_timer_start(&q->draw_timer, waited_enough, MAX_WAIT_MS, 0);
    display_waiting(&q->head.display);
}

/* --- life --- */

int qxl_pending_init(struct qxl *q)
{
    q->pending = malloc(sizeof(*q->pending)); /* what is not used is never touched */
    if (!q->pending)
        return -ENOMEM;
    q->pending->count = 0;
    q->pending->pixels = q->pending->rects = 0;
    uv_timer_init(&q->head.loop.uv, &q->draw_timer);
    q->draw_timer.data = q;
    return 0;
}

void qxl_pending_fini(struct qxl *q)
{
    if (q->pending)
        qxl_pending_drop(q);
    free(q->pending);
}
