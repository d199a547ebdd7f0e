/* rect.h - rectangles of pixels: left and top belong to it, right and bottom do not. */
#ifndef BASE_RECT_H
#define BASE_RECT_H

#include "base/base.h"

struct rect {
    int32_t left, top, right, bottom;
};

static inline bool rect_empty(const struct rect *r)
{
    return r->left >= r->right || r->top >= r->bottom;
}

static inline struct rect rect_intersect(const struct rect *a, const struct rect *b)
{
    return (struct rect){MAX(a->left, b->left), MAX(a->top, b->top), MIN(a->right, b->right),
                         MIN(a->bottom, b->bottom)};
}

/* The smallest rectangle that holds both; an empty one adds nothing. */
static inline struct rect rect_union(const struct rect *a, const struct rect *b)
{
    if (rect_empty(a))
        return *b;
    if (rect_empty(b))
        return *a;
    return (struct rect){MIN(a->left, b->left), MIN(a->top, b->top), MAX(a->right, b->right),
                         MAX(a->bottom, b->bottom)};
}

/* Whether all of r lies inside of outer. */
static inline bool rect_contains(const struct rect *outer, const struct rect *r)
{
    return r->left >= outer->left && r->top >= outer->top && r->right <= outer->right && r->bottom <= outer->bottom;
}

static inline int32_t rect_width(const struct rect *r)
{
    return r->right - r->left;
}

static inline int64_t rect_area(const struct rect *r)
{
    return (int64_t)rect_width(r) * (r->bottom - r->top);
}

#endif
