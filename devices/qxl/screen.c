#include "devices/qxl/screen.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void screen_init(struct screen *s, struct display *display)
{
    *s = (struct screen){.display = display};
}

void screen_fini(struct screen *s)
{
    free(s->pixels);
    s->pixels = NULL;
}

void screen_show(struct screen *s)
{
    struct display_surface surface = {s->width, s->height, s->width * 4,
                                      (const uint8_t *)s->pixels};
    struct display_head head = {.width = s->width, .height = s->height};

    s->damage_count = 0;
    if (!s->pixels)
        return;
    display_set_surface(s->display, &surface);
    display_set_heads(s->display, &head, 1, 1);
}

int screen_resize(struct screen *s, uint32_t width, uint32_t height)
{
    uint32_t *old = s->pixels, *pixels;

    if (old && s->width == width && s->height == height)
        return 0;
    pixels = calloc((size_t)width * height, sizeof(*pixels));
    if (!pixels)
        return -ENOMEM;
    s->pixels = pixels;
    s->width = width;
    s->height = height;
    screen_show(s);
    free(old); /* only now: until then sinks looked at it */
    return 1;
}

/* Rows drawn from top to bottom mostly prolong the last rectangle. */
static void add_damage(struct screen *s, const struct rect *r)
{
    struct rect *last = s->damage_count ? &s->damage[s->damage_count - 1] : NULL;

    if (last && (s->damage_count == SCREEN_MAX_DAMAGE ||
                 (r->top <= last->bottom && r->bottom >= last->top && r->left <= last->right &&
                  r->right >= last->left))) {
        *last = rect_union(last, r);
        return;
    }
    s->damage[s->damage_count++] = *r;
}

void screen_put(struct screen *s, uint32_t x, uint32_t y, const uint32_t *row, uint32_t width)
{
    uint32_t *old = s->pixels + (size_t)y * s->width + x, first = 0, end = width;

    if (memcmp(old, row, width * sizeof(*row)) == 0)
        return;
    while (old[first] == row[first])
        first++;
    while (old[end - 1] == row[end - 1])
        end--;
    memcpy(old + first, row + first, (end - first) * sizeof(*row));
    add_damage(s, &(struct rect){x + first, y, x + end, y + 1});
}

void screen_flush(struct screen *s)
{
    display_damage(s->display, s->damage, s->damage_count);
    s->damage_count = 0;
}
