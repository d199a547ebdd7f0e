#include "spice/server/cover.h"

/* Strips that a rectangle may lose when it grows narrower. */
#define MAX_LOSS 48

/* Make the rectangle a row longer, if little is lost by it. */
static bool prolong(struct rect *r, const struct rect *run, int32_t slack)
{
    int32_t left = MAX(r->left, run->left), right = MIN(r->right, run->right);

    if (r->bottom != run->top || right <= left || rect_width(run) - (right - left) > slack)
        return false;
    if ((int64_t)(rect_width(r) - (right - left)) * (r->bottom - r->top) > (slack ? MAX_LOSS : 0))
        return false;
    *r = (struct rect){left, r->top, right, run->bottom};
    return true;
}

void cover_add(struct cover *c, const struct rect *run, uint64_t kind, bool start)
{
    for (size_t i = c->count; i-- > 0;)
        if (c->rects[i].kind == kind && prolong(&c->rects[i].rect, run, c->slack))
            return;
    if (start && c->count < COVER_MAX)
        c->rects[c->count++] = (struct cover_rect){*run, kind};
}

void cover_prune(struct cover *c, bool (*worth)(void *arg, const struct cover_rect *r), void *arg)
{
    size_t kept = 0;

    for (size_t i = 0; i < c->count; i++)
        if (worth(arg, &c->rects[i]))
            c->rects[kept++] = c->rects[i];
    c->count = kept;
}
