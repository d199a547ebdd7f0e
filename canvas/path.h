/*
 * path.h - lines and Bezier curves in 28.4 fixed point, flattened to the points of canvas_stroke().
 *
 * Coordinates may be anything; a path of more than PATH_MAX_POINTS points is refused (-E2BIG).
 */
#ifndef CANVAS_PATH_H
#define CANVAS_PATH_H

#include "canvas/canvas.h"

#define PATH_MAX_POINTS 65536

struct path {
    struct canvas_point *points; /* whole pixels; owned */
    size_t count, capacity;
};

/* Zeroed is empty. */
void path_fini(struct path *p);
static inline void path_clear(struct path *p)
{
    p->count = 0;
}
int path_add(struct path *p, int32_t x, int32_t y);
/* From the last point by two control points to the third. -EINVAL without a last point. */
int path_add_curve(struct path *p, const struct canvas_point control[3]);
/* Back to the first point. */
int path_close(struct path *p);

#endif
