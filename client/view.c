#include "client/view.h"

#include <math.h>

#define SLACK 16 /* pixels of a window that stay empty rather than have the picture scaled by a hair */
#define STEP  25 /* per cent */

static bool fits(struct size what, struct size into)
{
    return what.width <= into.width && what.height <= into.height;
}

/* As large as the ratio allows. */
static struct size fit(struct size what, struct size into)
{
    if ((int64_t)what.width * into.height > (int64_t)what.height * into.width)
        return (struct size){into.width, MAX(1, (int)((int64_t)what.height * into.width / what.width))};
    return (struct size){MAX(1, (int)((int64_t)what.width * into.height / what.height)), into.height};
}

static struct size scaled(struct size s, unsigned percent)
{
    return (struct size){(int)((int64_t)s.width * percent / 100), (int)((int64_t)s.height * percent / 100)};
}

static struct size shown_size(const struct view *v)
{
    struct size wanted = scaled(v->guest, v->percent);

    if (v->percent != VIEW_FIT && fits(wanted, v->pixels))
        return (struct size){MAX(1, wanted.width), MAX(1, wanted.height)};
    if (v->percent == VIEW_FIT && fits(v->guest, v->pixels) && v->pixels.width - v->guest.width < SLACK &&
        v->pixels.height - v->guest.height < SLACK)
        return v->guest;
    return fit(v->guest, v->pixels);
}

struct rect view_place(const struct view *v)
{
    struct size s;
    int left, top;

    if (v->guest.width <= 0 || v->guest.height <= 0 || v->pixels.width <= 0 || v->pixels.height <= 0)
        return (struct rect){0};
    s = shown_size(v);
    left = (v->pixels.width - s.width) / 2;
    top = (v->pixels.height - s.height) / 2;
    return (struct rect){left, top, left + s.width, top + s.height};
}

bool view_is_exact(const struct view *v)
{
    struct rect r = view_place(v);
    int width = r.right - r.left, height = r.bottom - r.top;

    return !rect_empty(&r) && width % v->guest.width == 0 && height % v->guest.height == 0 &&
           width / v->guest.width == height / v->guest.height;
}

/* One axis: a point covers some of the `pixels`, of which the picture has `length` from `start` on. */
static int32_t along(int point, int points, int pixels, int start, int length, int guest)
{
    double size = (double)pixels / points;
    bool dense = size * guest > length; /* than the guest's pixels are */
    double part = dense ? CLAMP((point * size - start) / MAX(1, length - size), 0, 1) : 0.5;
    double at = floor(((point + part) * size - start) * guest / length);

    return (int32_t)CLAMP(at, 0, guest - 1);
}

void view_to_guest(const struct view *v, int x, int y, int32_t *guest_x, int32_t *guest_y)
{
    struct rect r = view_place(v);

    *guest_x = *guest_y = 0;
    if (rect_empty(&r) || v->window.width <= 0 || v->window.height <= 0)
        return;
    *guest_x = along(x, v->window.width, v->pixels.width, r.left, r.right - r.left, v->guest.width);
    *guest_y = along(y, v->window.height, v->pixels.height, r.top, r.bottom - r.top, v->guest.height);
}

void view_of_touch(const struct view *v, float x, float y, int *point_x, int *point_y)
{
    *point_x = (int)CLAMP(x * (float)v->window.width, 0, (float)MAX(0, v->window.width - 1));
    *point_y = (int)CLAMP(y * (float)v->window.height, 0, (float)MAX(0, v->window.height - 1));
}

static double density(const struct view *v)
{
    return v->window.width > 0 && v->pixels.width > 0 ? (double)v->pixels.width / v->window.width : 1;
}

struct size view_window_for(const struct view *v, struct size most)
{
    struct size pixels = scaled(v->guest, v->percent ? v->percent : 100);
    struct size points = {(int)ceil(pixels.width / density(v)), (int)ceil(pixels.height / density(v))};

    if (most.width > 0 && most.height > 0 && !fits(points, most))
        points = fit(points, most);
    return (struct size){MAX(1, points.width), MAX(1, points.height)};
}

struct size view_guest_for(const struct view *v)
{
    unsigned percent = v->percent ? v->percent : 100;

    return (struct size){(int)((int64_t)v->pixels.width * 100 / percent),
                         (int)((int64_t)v->pixels.height * 100 / percent)};
}

unsigned view_zoom(const struct view *v, int direction)
{
    struct rect r = view_place(v);
    int now = rect_empty(&r)   ? 100
              : v->percent     ? (int)v->percent
                               : (int)lround((r.right - r.left) * 100.0 / v->guest.width);
    int next = direction > 0 ? (now / STEP + 1) * STEP : (DIV_ROUND_UP(now, STEP) - 1) * STEP;

    return (unsigned)CLAMP(next, VIEW_MIN_PERCENT, VIEW_MAX_PERCENT);
}
