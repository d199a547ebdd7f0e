#include "tests/lib/screens.h"

#include "spice/server/regions.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

void screens_open(struct screens *s, uint32_t width, uint32_t height)
{
    *s = (struct screens){0};
    s->now = picture_new(SPICE_BITMAP_FMT_32BIT, width, height, 12);
    s->client = picture_new(SPICE_BITMAP_FMT_32BIT, width, height, 0);
    s->surface = (struct display_surface){width, height, s->now.stride, s->now.data};
    strip_key_init(&s->print.key, 0x123456789abcdef);
    assert_int_equal(fingerprint_resize(&s->print, width, height), 0);
    assert_int_equal(view_init(&s->view, width, height), 0);
    assert_int_equal(grid_init(&s->changed, s->print.now.columns, height), 0);
    assert_int_equal(grid_init(&s->scratch, s->print.now.columns, height), 0);
}

void screens_close(struct screens *s)
{
    picture_free(&s->now);
    picture_free(&s->client);
    fingerprint_resize(&s->print, 0, 0);
    view_fini(&s->view);
    grid_fini(&s->changed);
    grid_fini(&s->scratch);
}

uint32_t screens_compare(struct screens *s)
{
    const struct rect all = {0, 0, s->now.width, s->now.height};

    damage_add(&s->print.stale, &all);
    view_damage(&s->view, &all);
    fingerprint_refresh(&s->print, &s->surface);
    s->change = (struct change){
        .surface = &s->surface,
        .key = &s->print.key,
        .now = &s->print.now,
        .view = &s->view,
        .changed = &s->changed,
        .scratch = &s->scratch,
        .count = view_compare(&s->view, &s->print.now, &s->changed),
    };
    s->change.bounds = grid_bounds(&s->changed, &s->changed);
    return s->change.count;
}

uint32_t *screens_pixel(const struct image *image, int32_t x, int32_t y)
{
    return (uint32_t *)image_row(image, y) + x;
}

void screens_show(struct screens *s, const struct rect *strips)
{
    struct rect r = strips_to_pixels(&s->print.now, strips);

    for (int32_t y = r.top; y < r.bottom; y++)
        memcpy(screens_pixel(&s->client, r.left, y), screens_pixel(&s->now, r.left, y),
               rect_width(&r) * 4);
}

void screens_show_all(struct screens *s)
{
    const struct rect all = {0, 0, s->print.now.columns, s->now.height};

    screens_compare(s);
    screens_show(s, &all);
    view_sent(&s->view, &s->print.now, &all);
}

void screens_copy(struct screens *s, const struct move *m, struct cover *cover,
                  const struct rect *limit)
{
    struct image before = picture_new(SPICE_BITMAP_FMT_32BIT, s->now.width, s->now.height, 0);
    struct rect strips;

    while (move_next(cover, m, &strips)) {
        struct rect r = strips_to_pixels(&s->print.now, &strips);

        r = limit ? rect_intersect(&r, limit) : r;
        assert_true(r.left - m->dx >= 0 && r.right - m->dx <= (int32_t)s->now.width);
        assert_true(r.top - m->dy >= 0 && r.bottom - m->dy <= (int32_t)s->now.height);
        image_copy_rows(&before, s->client.data, s->client.stride);
        for (int32_t y = r.top; y < r.bottom; y++)
            memcpy(screens_pixel(&s->client, r.left, y),
                   screens_pixel(&before, r.left - m->dx, y - m->dy), rect_width(&r) * 4);
    }
    picture_free(&before);
}

void screens_finish(struct screens *s)
{
    const struct rect all = {0, 0, s->print.now.columns, s->now.height};
    struct rect rects[REGIONS_MAX];
    size_t count = regions_find(&s->changed, &all, REGIONS_PLAIN, rects);

    for (size_t i = 0; i < count; i++) {
        screens_show(s, &rects[i]);
        change_done(&s->change, &rects[i]);
    }
    assert_int_equal(s->change.count, 0);
    assert_true(picture_equal(&s->now, &s->client));
}

void screens_shift(struct screens *s, struct rect r, int32_t dx, int32_t dy, uint32_t *seed)
{
    struct image before = picture_new(SPICE_BITMAP_FMT_32BIT, s->now.width, s->now.height, 0);

    image_copy_rows(&before, s->now.data, s->now.stride);
    for (int32_t y = r.top; y < r.bottom; y++)
        for (int32_t x = r.left; x < r.right; x++) {
            bool inside =
                x - dx >= r.left && x - dx < r.right && y - dy >= r.top && y - dy < r.bottom;

            *screens_pixel(&s->now, x, y) =
                inside ? *screens_pixel(&before, x - dx, y - dy) : picture_random(seed);
        }
    picture_free(&before);
}

void screens_drag(struct screens *s, struct rect to, int32_t dx, int32_t dy)
{
    struct image before = picture_new(SPICE_BITMAP_FMT_32BIT, s->now.width, s->now.height, 0);

    image_copy_rows(&before, s->now.data, s->now.stride);
    for (int32_t y = to.top; y < to.bottom; y++)
        memcpy(screens_pixel(&s->now, to.left, y), screens_pixel(&before, to.left - dx, y - dy),
               rect_width(&to) * 4);
    picture_free(&before);
}
