#include "client/screen.h"

#include <stdio.h>
#include <stdlib.h>

#define MAX_DAMAGE_RECTS 64 /* more of them become their bounding box */

void screen_init(struct screen *s)
{
    *s = (struct screen){0};
    pthread_mutex_init(&s->lock, NULL);
    for (size_t i = 0; i < SCREEN_MAX_DISPLAYS; i++)
        pixman_region32_init(&s->displays[i].damage);
}

void screen_fini(struct screen *s)
{
    for (size_t i = 0; i < SCREEN_MAX_DISPLAYS; i++) {
        free(s->displays[i].cursor.pixels);
        pixman_region32_fini(&s->displays[i].damage);
    }
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

void screen_set_primary(struct screen_display *d, struct canvas *primary)
{
    d->primary = primary;
    d->primary_serial++;
    pixman_region32_clear(&d->damage);
    if (!primary)
        d->marked = false;
    else
        screen_add_damage_rect(
            d, &(struct rect){0, 0, (int32_t)primary->width, (int32_t)primary->height});
}

void screen_clear_display(struct screen_display *d)
{
    screen_set_primary(d, NULL);
    d->head_count = 0;
    d->cursor_visible = false;
}

void screen_add_damage(struct screen_display *d, const pixman_region32_t *region)
{
    pixman_region32_union(&d->damage, &d->damage, (pixman_region32_t *)region);
    if (pixman_region32_n_rects(&d->damage) > MAX_DAMAGE_RECTS) {
        pixman_box32_t box = *pixman_region32_extents(&d->damage);

        pixman_region32_reset(&d->damage, &box);
    }
}

void screen_add_damage_rect(struct screen_display *d, const struct rect *r)
{
    struct rect bounds, part;
    pixman_region32_t region;

    if (!d->primary)
        return;
    bounds = canvas_bounds(d->primary);
    part = rect_intersect(r, &bounds);
    if (rect_empty(&part))
        return;
    pixman_region32_init_rect(&region, part.left, part.top, (unsigned)(part.right - part.left),
                              (unsigned)(part.bottom - part.top));
    screen_add_damage(d, &region);
    pixman_region32_fini(&region);
}

void screen_take_damage(struct screen_display *d, pixman_region32_t *region)
{
    pixman_region32_copy(region, &d->damage);
    pixman_region32_clear(&d->damage);
}

void screen_set_cursor(struct screen_display *d, const struct cursor_shape *shape)
{
    free(d->cursor.pixels);
    d->cursor = *shape;
    d->cursor_serial++;
}

unsigned screen_monitors(const struct screen_display *d, struct screen_head heads[SCREEN_MAX_HEADS])
{
    struct rect bounds;
    unsigned count = 0;

    if (!d->primary)
        return 0;
    bounds = canvas_bounds(d->primary);
    for (unsigned i = 0; i < d->head_count; i++) {
        heads[count] = d->heads[i];
        heads[count].area = rect_intersect(&heads[count].area, &bounds);
        count += !rect_empty(&heads[count].area);
    }
    if (!count)
        heads[count++] = (struct screen_head){d->head_count ? d->heads[0].id : 0, bounds};
    return count;
}

struct screen_display *screen_first_picture(struct screen *s)
{
    for (size_t i = 0; i < SCREEN_MAX_DISPLAYS; i++)
        if (s->displays[i].primary)
            return &s->displays[i];
    return &s->displays[0];
}
