/* What is sent of what changed: which rectangles, and how close these are cut. */
#include "spice/server/regions.h"
#include "tests/lib/screens.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static uint32_t below(uint32_t *seed, uint32_t limit)
{
    return picture_random(seed) % limit;
}

static struct rect random_rect(uint32_t *seed, int32_t width, int32_t height)
{
    struct rect r = {below(seed, width), below(seed, height)};

    r.right = r.left + 1 + below(seed, MIN(width - r.left, 90));
    r.bottom = r.top + 1 + below(seed, MIN(height - r.top, 90));
    return r;
}

/* The guest draws noise there. */
static void draw(struct screens *s, const struct rect *r, uint32_t *seed)
{
    for (int32_t y = r->top; y < r->bottom; y++)
        for (int32_t x = r->left; x < r->right; x++)
            *screens_pixel(&s->now, x, y) = picture_random(seed) & 0xffffff;
    damage_add(&s->print.stale, r);
    view_damage(&s->view, r);
}

static uint32_t compare(struct screens *s)
{
    fingerprint_refresh(&s->print, &s->surface);
    return view_compare(&s->view, &s->print.now, &s->changed);
}

/* The client gets these pixels and nothing more, and is taken to show the strips. */
static void give(struct screens *s, const struct rect *strips, const struct rect *pixels)
{
    for (int32_t y = pixels->top; y < pixels->bottom; y++)
        memcpy(screens_pixel(&s->client, pixels->left, y), screens_pixel(&s->now, pixels->left, y),
               (pixels->right - pixels->left) * 4);
    view_sent(&s->view, &s->print.now, strips);
}

static void check_shown(const struct screens *s)
{
    for (uint32_t y = 0; y < s->now.height; y++)
        for (uint32_t x = 0; x < s->now.width; x++)
            if (strip_row(&s->view.shown, y)[x / STRIP] == strip_row(&s->print.now, y)[x / STRIP] &&
                *screens_pixel(&s->client, x, y) != *screens_pixel(&s->now, x, y))
                fail_msg("the client shows something else at %u, %u", x, y);
}

/* Of one rectangle that was drawn all over, nothing but it. */
static void test_one_rectangle(void **state UNUSED)
{
    uint32_t seed = 5;

    for (unsigned i = 0; i < 300; i++) {
        int32_t width = 1 + below(&seed, 200), height = 1 + below(&seed, 120);
        const struct rect drawn = random_rect(&seed, width, height);
        struct rect strips, pixels;
        struct screens s;

        screens_open(&s, width, height);
        screens_show_all(&s);
        assert_int_equal(compare(&s), 0);
        draw(&s, &drawn, &seed);
        compare(&s);
        strips = strips_of_pixels(&drawn);
        pixels = view_tighten(&s.view, &s.changed, &strips);
        assert_memory_equal(&pixels, &drawn, sizeof(pixels));
        screens_close(&s);
    }
}

/* Many, over each other, some of which are sent late. */
static void test_many(void **state UNUSED)
{
    uint32_t seed = 6;

    for (unsigned i = 0; i < 60; i++) {
        int32_t width = 20 + below(&seed, 400), height = 20 + below(&seed, 200);
        struct rect regions[REGIONS_MAX];
        struct screens s;

        screens_open(&s, width, height);
        screens_show_all(&s);
        for (unsigned k = 0; k < 20; k++) {
            const struct rect all = {0, 0, s.print.now.columns, height};
            size_t count;

            for (unsigned n = below(&seed, 7); n > 0; n--) {
                struct rect r = random_rect(&seed, width, height);

                draw(&s, &r, &seed);
            }
            compare(&s);
            count = regions_find(&s.changed, &all, k % 2 ? REGIONS_PLAIN : REGIONS_COSTLY, regions);
            for (size_t r = 0; r < count; r++) {
                const struct rect pixels = view_tighten(&s.view, &s.changed, &regions[r]);
                const struct rect whole = strips_to_pixels(&s.print.now, &regions[r]);

                if (below(&seed, 4))
                    give(&s, &regions[r], &pixels);
                else
                    view_damage(&s.view, &whole);
            }
            for (size_t r = 0; r < count; r++)
                grid_remove(&s.changed, &regions[r]);
            assert_int_equal(grid_count(&s.changed, &all), 0);
            check_shown(&s);
        }
        screens_close(&s);
    }
}

static void add(struct grid *g, int32_t left, int32_t top, int32_t right, int32_t bottom)
{
    grid_add(g, &(struct rect){left, top, right, bottom});
}

static size_t find(const struct grid *g, enum regions_cost cost, struct rect *regions)
{
    return regions_find(g, &(struct rect){0, 0, g->columns, g->rows}, cost, regions);
}

/* A gap is worth another message if much would be sent in vain: it is tall, or it costs. */
static void test_gaps(void **state UNUSED)
{
    struct rect regions[REGIONS_MAX];
    struct grid g;

    assert_int_equal(grid_init(&g, 100, 400), 0);
    add(&g, 3, 100, 20, 110);
    add(&g, 24, 100, 40, 110);
    assert_int_equal(find(&g, REGIONS_PLAIN, regions), 1);
    assert_memory_equal(&regions[0], (&(struct rect){3, 100, 40, 110}), sizeof(*regions));
    assert_int_equal(find(&g, REGIONS_COSTLY, regions), 2);

    grid_clear(&g);
    add(&g, 3, 10, 20, 390);
    add(&g, 24, 20, 40, 395);
    assert_int_equal(find(&g, REGIONS_PLAIN, regions), 2);
    assert_memory_equal(&regions[0], (&(struct rect){3, 10, 20, 390}), sizeof(*regions));
    assert_memory_equal(&regions[1], (&(struct rect){24, 20, 40, 395}), sizeof(*regions));
    grid_fini(&g);
}

/* Only what is in the rectangle, and however much it is, all of that. */
static void test_within(void **state UNUSED)
{
    const struct rect within = {7, 13, 93, 377};
    uint32_t seed = 9;

    for (unsigned i = 0; i < 100; i++) {
        struct rect regions[REGIONS_MAX];
        struct grid g;
        size_t count;

        assert_int_equal(grid_init(&g, 100, 400), 0);
        for (unsigned n = below(&seed, i % 2 ? 5000 : 40); n > 0; n--)
            grid_put(&g, below(&seed, 100), below(&seed, 400));
        count = regions_find(&g, &within, i % 4 < 2 ? REGIONS_PLAIN : REGIONS_COSTLY, regions);
        for (size_t r = 0; r < count; r++) {
            const struct rect inside = rect_intersect(&regions[r], &within);

            assert_memory_equal(&inside, &regions[r], sizeof(inside));
            grid_remove(&g, &regions[r]);
        }
        assert_int_equal(grid_count(&g, &within), 0);
        grid_fini(&g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_rectangle),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_gaps),
        cmocka_unit_test(test_within),
    };

    return cmocka_run_group_tests_name("regions", tests, NULL, NULL);
}
