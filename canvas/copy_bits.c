#include "canvas/canvas.h"
#include "canvas/raster.h"

#include <errno.h>
#include <string.h>

struct move {
    int32_t dx, dy; /* source = destination + (dx, dy) */
};

static void move_rows(struct canvas *c, const pixman_box32_t *b, const struct move *m,
                      int bytes_per_pixel)
{
    size_t size = (size_t)(b->x2 - b->x1) * (size_t)bytes_per_pixel;
    int rows = b->y2 - b->y1;
    bool up = m->dy >= 0; /* the source is below: the first row first */

    for (int i = 0; i < rows; i++) {
        int y = up ? b->y1 + i : b->y2 - 1 - i;

        memmove(c->pixels + (size_t)y * c->stride + (size_t)(b->x1 * bytes_per_pixel),
                c->pixels + (size_t)(y + m->dy) * c->stride +
                    (size_t)((b->x1 + m->dx) * bytes_per_pixel),
                size);
    }
}

/*
 * Rectangles of a region are sorted by rows, and in a band from left to right. Going through them against the direction
 * of the move, no rectangle is overwritten before it was read.
 */
static void move_boxes(struct canvas *c, const pixman_box32_t *boxes, int count,
                       const struct move *m, int bytes)
{
    for (int i = 0; i < count;) {
        int band = m->dy >= 0 ? i : count - 1 - i, n = 1;
        int step = m->dy >= 0 ? 1 : -1, first;

        while (i + n < count && boxes[band + n * step].y1 == boxes[band].y1)
            n++;
        first = m->dy >= 0 ? band : band - n + 1;
        for (int k = 0; k < n; k++)
            move_rows(c, &boxes[m->dx >= 0 ? first + k : first + n - 1 - k], m, bytes);
        i += n;
    }
}

static int move_region(struct canvas *c, const pixman_region32_t *region, void *arg)
{
    int count, bpp = PIXMAN_FORMAT_BPP(pixman_image_get_format(c->image));
    const pixman_box32_t *boxes = pixman_region32_rectangles((pixman_region32_t *)region, &count);

    move_boxes(c, boxes, count, arg, bpp / 8);
    return 0;
}

/* What comes from outside the canvas does not exist; nothing is drawn there. */
static struct rect movable(const struct canvas *c, const struct rect *box, const struct move *m)
{
    struct rect from = {-m->dx, -m->dy, (int32_t)c->width - m->dx, (int32_t)c->height - m->dy};

    return rect_intersect(box, &from);
}

/* Bits do not move by bytes, and a mask comes in bands: copy through another picture. */
static int copy_through(struct canvas *c, const struct canvas_target *t, const struct move *m)
{
    struct rect box = movable(c, &t->box, m), bounds = canvas_bounds(c);
    struct canvas_target target = *t;
    struct canvas_source src = {c->image};

    box = rect_intersect(&box, &bounds);
    if (rect_empty(&box))
        return 0;
    target.box = box;
    target.mask_x += box.left - t->box.left;
    target.mask_y += box.top - t->box.top;
    src.area =
        (struct rect){box.left + m->dx, box.top + m->dy, box.right + m->dx, box.bottom + m->dy};
    return raster_draw(c, &target, &src, NULL, 0xcc);
}

int canvas_copy_bits(struct canvas *c, const struct canvas_target *t, int32_t x, int32_t y)
{
    int64_t dx = (int64_t)x - t->box.left, dy = (int64_t)y - t->box.top;
    struct canvas_target target = *t;
    struct move m;

    if (dx < -CANVAS_MAX_SIZE || dx > CANVAS_MAX_SIZE || dy < -CANVAS_MAX_SIZE ||
        dy > CANVAS_MAX_SIZE)
        return -EINVAL;
    m = (struct move){(int32_t)dx, (int32_t)dy};
    if (t->mask || PIXMAN_FORMAT_BPP(pixman_image_get_format(c->image)) == 1)
        return copy_through(c, t, &m);
    target.box = movable(c, &t->box, &m);
    return raster_for_region(c, &target, move_region, &m);
}

/* The part of `to` whose pixels come from inside of it `steps` times in a row. */
static void stays_inside(pixman_region32_t *r, const struct rect *to, struct canvas_point from, uint32_t steps)
{
    int64_t dx = (int64_t)from.x * steps, dy = (int64_t)from.y * steps;
    const struct rect inside = {MAX(to->left, to->left - dx), MAX(to->top, to->top - dy),
                                MIN(to->right, to->right - dx), MIN(to->bottom, to->bottom - dy)};

    if (rect_empty(&inside))
        pixman_region32_init(r);
    else
        pixman_region32_init_rect(r, inside.left, inside.top, inside.right - inside.left,
                                  inside.bottom - inside.top);
}

void canvas_move_again(pixman_region32_t *region, const struct rect *to, struct canvas_point from, uint32_t left,
                       bool first)
{
    pixman_region32_t further;

    stays_inside(region, to, from, left - 1);
    if (first)
        return;
    stays_inside(&further, to, from, left);
    pixman_region32_subtract(region, region, &further);
    pixman_region32_fini(&further);
}
