#include "canvas/path.h"

#include <errno.h>
#include <stdlib.h>

#define MAX_HALVINGS 10 /* of a curve: 1024 lines at most */

void path_fini(struct path *p)
{
    free(p->points);
    *p = (struct path){0};
}

static int add_pixel(struct path *p, int32_t x, int32_t y)
{
    if (p->count == PATH_MAX_POINTS)
        return -E2BIG;
    if (p->count == p->capacity) {
        size_t capacity = MAX(64, p->capacity * 2);
        struct canvas_point *points = realloc(p->points, capacity * sizeof(*points));

        if (!points)
            return -ENOMEM;
        p->points = points;
        p->capacity = capacity;
    }
    p->points[p->count++] = (struct canvas_point){x, y};
    return 0;
}

/* Half a pixel rounds down. */
static int32_t whole(int32_t fixed)
{
    return (fixed >> 4) + ((fixed & 15) > 8);
}

int path_add(struct path *p, int32_t x, int32_t y)
{
    return add_pixel(p, whole(x), whole(y));
}

struct vector {
    double x, y;
};

static struct vector between(struct vector a, struct vector b)
{
    return (struct vector){(a.x + b.x) / 2, (a.y + b.y) / 2};
}

/* Whether c is less than 0.7 pixels away from the line from a to b, which ends there: a loop's is a point. */
static bool is_near(struct vector a, struct vector b, struct vector c)
{
    struct vector line = {b.x - a.x, b.y - a.y}, way = {c.x - a.x, c.y - a.y};
    double square = line.x * line.x + line.y * line.y, along = way.x * line.x + way.y * line.y;
    double at = along <= 0 ? 0 : along >= square ? 1 : along / square; /* of the line, what is nearest to c */

    way.x -= at * line.x;
    way.y -= at * line.y;
    return way.x * way.x + way.y * way.y <= 16 * 16 / 2;
}

static int add_curve(struct path *p, struct vector a, struct vector b, struct vector c,
                     struct vector d, int halvings)
{
    struct vector ab = between(a, b), bc = between(b, c), cd = between(c, d);
    struct vector left = between(ab, bc), right = between(bc, cd), middle = between(left, right);
    int err;

    if (halvings == 0 || (is_near(a, d, b) && is_near(a, d, c)))
        return path_add(p, (int32_t)d.x, (int32_t)d.y);
    err = add_curve(p, a, ab, left, middle, halvings - 1);
    return err ? err : add_curve(p, middle, right, cd, d, halvings - 1);
}

int path_add_curve(struct path *p, const struct canvas_point control[3])
{
    struct canvas_point *last = p->count ? &p->points[p->count - 1] : NULL;

    if (!last)
        return -EINVAL;
    return add_curve(p, (struct vector){last->x * 16.0, last->y * 16.0},
                     (struct vector){control[0].x, control[0].y},
                     (struct vector){control[1].x, control[1].y},
                     (struct vector){control[2].x, control[2].y}, MAX_HALVINGS);
}

int path_close(struct path *p)
{
    return p->count ? add_pixel(p, p->points[0].x, p->points[0].y) : 0;
}
