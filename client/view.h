/*
 * view.h - where a monitor's picture lies in its window, and which of its pixels is under the pointer. Plain
 * arithmetic.
 *
 * A window has a size in points, which is what SDL counts pointers and windows in, and one in pixels of the device
 * it is shown on: the same, but for displays of high density. At 100 % one pixel of the guest is one of the device.
 */
#ifndef CLIENT_VIEW_H
#define CLIENT_VIEW_H

#include "base/rect.h"

#define VIEW_FIT         0 /* per cent: as large as the window lets it be */
#define VIEW_MIN_PERCENT 25
#define VIEW_MAX_PERCENT 400

struct size {
    int width, height;
};

struct view {
    struct size guest;  /* of the monitor's picture; 0: there is none */
    struct size window; /* in points */
    struct size pixels; /* of the window */
    unsigned percent;   /* VIEW_FIT, or VIEW_MIN_PERCENT..VIEW_MAX_PERCENT; what does not fit is shown as VIEW_FIT */
};

/* In the window's pixels; empty if there is nothing to show. */
struct rect view_place(const struct view *v);
/* Whether every pixel of the guest becomes a square of the same whole number of pixels. */
bool view_is_exact(const struct view *v);
/*
 * The guest's pixel under a point of the window. Where a point is more than one pixel it is one of them, so that all
 * edges and corners can be reached. What is outside of the picture counts as its edge. There must be a picture.
 */
void view_to_guest(const struct view *v, int x, int y, int32_t *guest_x, int32_t *guest_y);
/* A part of a window (0..1 across and down, as touches come) as points. */
void view_of_touch(const struct view *v, float x, float y, int *point_x, int *point_y);
/* The window, in points, that shows the guest at this scale, at most so large; the ratio stays. */
struct size view_window_for(const struct view *v, struct size most);
/* The picture that would fill the window, for a guest that can choose. */
struct size view_guest_for(const struct view *v);
/* One step larger (+1) or smaller (-1): the multiple of 25 next to it. */
unsigned view_zoom(const struct view *v, int direction);

#endif
