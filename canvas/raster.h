/*
 * raster.h - the engine below the drawing operations; private to canvas/.
 *
 * A target's box is cut by the canvas, the clip and the mask to a region, and drawing happens rectangle by rectangle.
 */
#ifndef CANVAS_RASTER_H
#define CANVAS_RASTER_H

#include "canvas/canvas.h"

/*
 * One ternary operation on brush, picture and destination. What `rop3` does not depend on may be NULL; what it does
 * depend on is checked.
 */
int raster_draw(struct canvas *c, const struct canvas_target *t, const struct canvas_source *src,
                const struct canvas_brush *brush, uint8_t rop3);

/*
 * Call draw() for the region of the target, in bands if a mask could make it large. What draw() returns other than 0
 * ends it.
 */
typedef int raster_draw_fn(struct canvas *c, const pixman_region32_t *region, void *arg);
int raster_for_region(struct canvas *c, const struct canvas_target *t, raster_draw_fn *draw,
                      void *arg);

/* Whether the picture is the canvas itself: then drawing changes it. */
bool raster_is_canvas(const struct canvas *c, pixman_image_t *image);
/* -EINVAL unless the area is not empty and lies inside its picture. */
int raster_check_source(const struct canvas_source *src);
/*
 * A picture whose pixel (x + *dx, y + *dy) belongs to canvas pixel (x, y) of the target's box: the source itself with
 * its reference counted, a scaled view of it, or, when the source is the canvas, a copy. Unref it.
 */
int raster_open_source(const struct canvas *c, const struct canvas_target *t,
                       const struct canvas_source *src, pixman_image_t **image, int32_t *dx,
                       int32_t *dy);

#endif
