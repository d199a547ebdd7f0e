#include "client/screen.h"

#include <stdio.h>
#include <stdlib.h>

#define MAX_DAMAGE_RECTS 64 /* more of them become their bounding box */

void screen_init(struct screen *s)
{
    *s = (struct screen){0};
    pthread_mutex_init(&s->lock, NULL);
    pixman_region32_init(&s->damage);
}

void screen_fini(struct screen *s)
{
    free(s->cursor.pixels);
    pixman_region32_fini(&s->damage);
    pthread_mutex_destroy(&s->lock);
}

void screen_lock(struct screen *s)
{
    pthread_mutex_lock(&s->lock);
}

void screen_unlock(struct screen *s)
{
    pthread_mutex_unlock(&s->lock);
}

void screen_wake(struct screen *s)
{
    if (s->wake)
        s->wake(s->opaque);
}

void screen_set_status(struct screen *s, enum client_state state, const char *text)
{
    screen_lock(s);
    s->status.state = state;
    snprintf(s->status.text, sizeof(s->status.text), "%s", text ? text : "");
    screen_unlock(s);
    screen_wake(s);
}

void screen_set_primary(struct screen *s, struct canvas *primary)
{
    s->primary = primary;
    s->primary_serial++;
    pixman_region32_clear(&s->damage);
    if (!primary)
        s->marked = false;
    else
        screen_add_damage_rect(
            s, &(struct rect){0, 0, (int32_t)primary->width, (int32_t)primary->height});
}

void screen_add_damage(struct screen *s, const pixman_region32_t *region)
{
    pixman_region32_union(&s->damage, &s->damage, (pixman_region32_t *)region);
    if (pixman_region32_n_rects(&s->damage) > MAX_DAMAGE_RECTS) {
        pixman_box32_t box = *pixman_region32_extents(&s->damage);

        pixman_region32_reset(&s->damage, &box);
    }
}

void screen_add_damage_rect(struct screen *s, const struct rect *r)
{
    struct rect bounds, part;
    pixman_region32_t region;

    if (!s->primary)
        return;
    bounds = canvas_bounds(s->primary);
    part = rect_intersect(r, &bounds);
    if (rect_empty(&part))
        return;
    pixman_region32_init_rect(&region, part.left, part.top, (unsigned)(part.right - part.left),
                              (unsigned)(part.bottom - part.top));
    screen_add_damage(s, &region);
    pixman_region32_fini(&region);
}

void screen_take_damage(struct screen *s, pixman_region32_t *region)
{
    pixman_region32_copy(region, &s->damage);
    pixman_region32_clear(&s->damage);
}

void screen_set_cursor(struct screen *s, const struct cursor_shape *shape)
{
    free(s->cursor.pixels);
    s->cursor = *shape;
    s->cursor_serial++;
}
