/* Rectangles that the guest copies up and down: moved to the pixel where that is proved, and nowhere else. */
#include "spice/server/edges.h"
#include "tests/lib/screens.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define WIDTH  500 /* 31 strips and a short one */
#define HEIGHT 400

/* Strips of a row that the rectangle touches. */
static uint32_t touched(const struct rect *r)
{
    struct rect strips = strips_of_pixels(r);

    return rect_width(&strips);
}

static void open_noise(struct screens *s, struct edges *e, uint32_t seed)
{
    screens_open(s, WIDTH, HEIGHT);
    assert_int_equal(edges_init(e, HEIGHT), 0);
    picture_draw(&s->now, PICTURE_NOISE, seed);
    screens_show_all(s);
}

static void close_both(struct screens *s, struct edges *e)
{
    edges_fini(e);
    screens_close(s);
}

/* A window is scrolled, its new rows are noise; what the guest's copy was. */
static struct copied scroll(struct screens *s, const struct rect *window, int32_t dy, uint32_t *seed)
{
    struct copied copied = {{window->left, MAX(window->top, window->top + dy), window->right,
                             MIN(window->bottom, window->bottom + dy)},
                            {0, dy}};

    screens_shift(s, *window, 0, dy, seed);
    return copied;
}

/* Server and client follow the hint. Returns how many strips are left to be sent. */
static uint32_t follow(struct screens *s, struct edges *e, const struct copied *hint)
{
    struct cover cover;

    screens_compare(s);
    edges_take(e, &s->change, hint, &cover);
    screens_copy(s, &hint->by, &cover, &hint->to);
    return s->change.count;
}

/* Of the strips that are not called changed the client shows each pixel. */
static void check_shown(struct screens *s)
{
    for (uint32_t y = 0; y < s->now.height; y++)
        for (uint32_t x = 0; x < s->now.width; x++)
            if (!grid_has(&s->changed, x / STRIP, y))
                assert_int_equal(*screens_pixel(&s->now, x, y) & 0xffffff,
                                 *screens_pixel(&s->client, x, y) & 0xffffff);
}

/* From the second time on nothing but the new rows is left. */
static void test_scroll(void **state UNUSED)
{
    static const struct rect windows[] = {
        {37, 20, 411, 390}, {32, 20, 411, 390}, {37, 20, 400, 390}, {0, 0, 411, 400},
        {37, 0, 500, 400},  {3, 5, 499, 399},   {47, 1, 129, 400},
    };
    static const int32_t distances[] = {-13, 1, 60, -200, 300};

    for (size_t i = 0; i < ARRAY_SIZE(windows) * ARRAY_SIZE(distances); i++) {
        const struct rect *w = &windows[i % ARRAY_SIZE(windows)];
        int32_t dy = distances[i / ARRAY_SIZE(windows)];
        uint32_t news = abs(dy) * touched(w), seed = i + 1;
        struct edges e;
        struct screens s;

        open_noise(&s, &e, seed);
        for (unsigned k = 0; k < 4; k++) {
            struct copied copied = scroll(&s, w, dy, &seed);
            uint32_t left = follow(&s, &e, &copied);

            /* First it is not known what lies beside what was scrolled out of the window. */
            assert_in_range(left, news, k ? news : news + abs(dy) * touched(w));
            screens_finish(&s);
        }
        close_both(&s, &e);
    }
}

/* It goes on beside pixels that change, and with pixels that do: where they are, strips are sent. */
static void test_changes(void **state UNUSED)
{
    const struct rect window = {37, 20, 411, 390}, edge = {411, 100, 416, 111}, text = {30, 200, 44, 240};
    struct copied copied;
    struct edges e;
    struct screens s;
    uint32_t seed = 8, news = 20 * touched(&window);

    open_noise(&s, &e, seed);
    copied = scroll(&s, &window, -20, &seed);
    follow(&s, &e, &copied);
    screens_finish(&s);

    copied = scroll(&s, &window, -20, &seed);
    screens_shift(&s, edge, WIDTH, 0, &seed); /* noise */
    assert_int_equal(follow(&s, &e, &copied), news + 11);
    screens_finish(&s);

    screens_shift(&s, text, WIDTH, 0, &seed); /* before the scroll, at an edge and outside */
    screens_compare(&s);
    screens_finish(&s);
    copied = scroll(&s, &window, -20, &seed);
    assert_int_equal(follow(&s, &e, &copied), news);
    screens_finish(&s);

    copied = scroll(&s, &window, 30, &seed); /* the other way */
    assert_int_equal(follow(&s, &e, &copied), 30 * touched(&window));
    screens_finish(&s);
    close_both(&s, &e);
}

static void paint(struct screens *s, const struct rect *r, uint32_t colour)
{
    for (int32_t y = r->top; y < r->bottom; y++)
        for (int32_t x = r->left; x < r->right; x++)
            *screens_pixel(&s->now, x, y) = colour;
}

/* A page that has margins above goes in one piece from the first time on: strips that stay what they are are known. */
static void test_margins(void **state UNUSED)
{
    const struct rect window = {37, 20, 411, 390}, margins[] = {{37, 20, 50, 60}, {390, 20, 411, 60}};
    struct copied copied;
    struct cover cover;
    struct edges e;
    struct screens s;
    uint32_t seed = 9;

    open_noise(&s, &e, seed);
    paint(&s, &margins[0], 0xffffff);
    paint(&s, &margins[1], 0xffffff);
    screens_show_all(&s);
    copied = scroll(&s, &window, -20, &seed);
    screens_compare(&s);
    edges_take(&e, &s.change, &copied, &cover);
    assert_int_equal(cover.count, 1);
    screens_copy(&s, &copied.by, &cover, &copied.to);
    screens_finish(&s);
    close_both(&s, &e);
}

/* Of a window that was moved by other means, in another direction or to nowhere nothing is taken from the hint. */
static void test_not_up_or_down(void **state UNUSED)
{
    static const struct copied hints[] = {
        {{37, 20, 411, 390}, {5, -20}},
        {{37, 20, 411, 370}, {0, 0}},
        {{32, 20, 400, 370}, {0, -20}}, /* for move_take() */
        {{37, 20, 48, 370}, {0, -20}},  /* no whole strips */
        {{37, 20, 47, 370}, {0, -20}},
        {{0}, {0, 0}},
    };
    const struct rect window = {37, 20, 411, 390};
    struct edges e;
    struct screens s;
    uint32_t seed = 8;

    open_noise(&s, &e, seed);
    for (size_t i = 0; i < ARRAY_SIZE(hints); i++) {
        uint32_t all;

        scroll(&s, &window, -20, &seed);
        all = screens_compare(&s);
        assert_int_equal(follow(&s, &e, &hints[i]), all);
        screens_finish(&s);
    }
    close_both(&s, &e);
}

/* Rectangles and distances that are not those of the guest's copy: what strips they cut are not moved with them. */
static void test_lies(void **state UNUSED)
{
    static const struct copied lies[] = {
        {{-1, 0, 0, 0}, {0, 0}}, {{1, 0, 0, 0}, {0, 0}},  {{0, 0, 1, 0}, {0, 0}},
        {{0, 0, -1, 0}, {0, 0}}, {{-7, 0, 7, 0}, {0, 0}}, {{-16, 0, 16, 0}, {0, 0}},
        {{20, 0, -9, 0}, {0, 0}}, {{0, -9, 0, 9}, {0, 0}}, {{0, 0, 0, 0}, {0, 1}},
        {{0, 0, 0, 0}, {0, -7}}, {{0, 0, 0, 0}, {0, 40}}, {{-36, 0, 80, 0}, {0, 0}},
    };
    const struct rect window = {37, 20, 411, 390};
    struct edges e;
    struct screens s;
    uint32_t seed = 21;

    open_noise(&s, &e, seed);
    for (size_t i = 0; i < 2 * ARRAY_SIZE(lies); i++) {
        const struct copied *lie = &lies[i / 2];
        struct copied copied = scroll(&s, &window, -20, &seed);
        uint32_t least = 20 * touched(&window);

        if (i % 2) { /* what is known is of the right edges, or of the wrong ones */
            copied.to.left += lie->to.left;
            copied.to.top += lie->to.top;
            copied.to.right += lie->to.right;
            copied.to.bottom += lie->to.bottom;
            copied.by.dy += lie->by.dy;
            least += lie->to.left || lie->to.right ? 350 : 0;
        }
        assert_true(follow(&s, &e, &copied) >= least);
        check_shown(&s);
        screens_finish(&s);
    }
    close_both(&s, &e);
}

/* The rectangle is drawn as it was, dy further down. */
static void draw_kept(struct screens *s, const struct image *kept, const struct rect *r, int32_t dy)
{
    for (int32_t y = r->top; y < r->bottom; y++)
        memcpy(screens_pixel(&s->now, r->left, y + dy), screens_pixel(kept, r->left, y),
               (r->right - r->left) * 4);
}

/* What was known of strips that the client does not show any more is not true of those that it does. */
static void test_stale(void **state UNUSED)
{
    const struct rect window = {37, 20, 411, 390}, outside = {32, 100, 37, 110}, inside = {400, 200, 411, 210};
    struct image kept = picture_new(SPICE_BITMAP_FMT_32BIT, WIDTH, HEIGHT, 0);
    struct copied copied;
    struct edges e;
    struct screens s;
    uint32_t seed = 5, news = 20 * touched(&window);

    open_noise(&s, &e, seed);
    for (unsigned k = 0; k < 2; k++) {
        copied = scroll(&s, &window, -20, &seed);
        follow(&s, &e, &copied);
        screens_finish(&s);
    }
    image_copy_rows(&kept, s.now.data, s.now.stride);
    screens_shift(&s, outside, WIDTH, 0, &seed); /* noise */
    screens_shift(&s, inside, WIDTH, 0, &seed);
    screens_compare(&s);
    screens_finish(&s);

    copied = scroll(&s, &window, -20, &seed);
    draw_kept(&s, &kept, &outside, 0);
    draw_kept(&s, &kept, &inside, -20);
    assert_true(follow(&s, &e, &copied) >= news + 20);
    check_shown(&s);
    screens_finish(&s);
    picture_free(&kept);
    close_both(&s, &e);
}

/* What was known with another edge in the same strips: a hash without black pixels is that of another part. */
static void test_another_edge(void **state UNUSED)
{
    const struct rect all = {0, 0, WIDTH, HEIGHT}, window = {44, 20, 411, 390}, beside = {40, 100, 44, 200};
    struct copied copied;
    struct edges e;
    struct screens s;
    uint32_t seed = 6;

    open_noise(&s, &e, seed);
    paint(&s, &all, 0);
    screens_shift(&s, window, WIDTH, 0, &seed); /* noise */
    paint(&s, &beside, 0xffffff);
    screens_show_all(&s);
    for (unsigned k = 0; k < 3; k++) {
        copied = scroll(&s, &window, -20, &seed);
        copied.to.left = k < 2 ? window.left : beside.left;
        follow(&s, &e, &copied);
        check_shown(&s);
        screens_finish(&s);
    }
    close_both(&s, &e);
}

static struct rect random_rect(uint32_t *seed, int32_t width, int32_t height)
{
    struct rect r = {picture_random(seed) % width, picture_random(seed) % height};

    r.right = r.left + 1 + picture_random(seed) % (width - r.left);
    r.bottom = r.top + 1 + picture_random(seed) % (height - r.top);
    return r;
}

/* The guest copies some of its rectangles, by little mostly, and tells of it the truth or anything. */
static struct copied random_copies(struct screens *s, const struct rect *windows, uint32_t *seed)
{
    const int32_t width = s->now.width, height = s->now.height;
    struct copied hint = {0};

    for (unsigned n = picture_random(seed) % 4; n < 4; n++) {
        int32_t dx = picture_random(seed) % 8 ? 0 : (int32_t)(picture_random(seed) % 41) - 20;
        int32_t dy = (int32_t)(picture_random(seed) % 41) - 20;
        struct rect to = windows[picture_random(seed) % 4 ? 0 : 1], from, screen = {0, 0, width, height};

        if (picture_random(seed) % 8 == 0)
            to = random_rect(seed, width, height);
        from = (struct rect){MAX(dx, 0), MAX(dy, 0), width + MIN(dx, 0), height + MIN(dy, 0)};
        to = rect_intersect(&to, &from);
        to = rect_intersect(&to, &screen);
        if (rect_empty(&to))
            continue;
        if (picture_random(seed) % 8)
            screens_drag(s, to, dx, dy);
        if (picture_random(seed) % 8)
            copied_add(&hint, &to, dx, dy);
    }
    return hint;
}

/* Whatever is copied, drawn, told and not sent: what the server believes of the client is so. */
static void test_random(void **state UNUSED)
{
    uint32_t seed = 78, moved = 0;

    for (unsigned i = 0; i < 40; i++) {
        int32_t width = 100 + picture_random(&seed) % 400, height = 50 + picture_random(&seed) % 300;
        struct rect windows[2] = {random_rect(&seed, width, height), random_rect(&seed, width, height)};
        struct edges e;
        struct screens s;

        screens_open(&s, width, height);
        assert_int_equal(edges_init(&e, height), 0);
        picture_draw(&s.now, picture_random(&seed) % PICTURE_CONTENTS, seed);
        if (picture_random(&seed) % 4)
            screens_show_all(&s);
        for (unsigned k = 0; k < 20; k++) {
            struct copied hint = random_copies(&s, windows, &seed);
            uint32_t before;

            if (picture_random(&seed) % 3 == 0)
                screens_shift(&s, random_rect(&seed, width, height), width, 0, &seed); /* noise */
            before = screens_compare(&s);
            moved += before - follow(&s, &e, &hint);
            check_shown(&s);
            if (picture_random(&seed) % 3)
                screens_finish(&s);
        }
        close_both(&s, &e);
    }
    assert_true(moved > 10000);
}

/* Copies that follow each other are one, as far as it goes. */
static void test_copies_add_up(void **state UNUSED)
{
    struct copied c = {0};

    copied_add(&c, &(struct rect){100, 100, 700, 500}, 0, -20);
    copied_add(&c, &(struct rect){100, 100, 700, 500}, 0, -20);
    copied_add(&c, &(struct rect){100, 100, 700, 500}, 0, -20);
    assert_memory_equal(&c, (&(struct copied){{100, 100, 700, 460}, {0, -60}}), sizeof(c));
    copied_add(&c, &(struct rect){90, 120, 300, 500}, 7, 10);
    assert_memory_equal(&c, (&(struct copied){{107, 120, 300, 470}, {7, -50}}), sizeof(c));
    copied_add(&c, &(struct rect){400, 100, 700, 500}, 0, -20); /* another one */
    assert_memory_equal(&c, (&(struct copied){{400, 100, 700, 500}, {0, -20}}), sizeof(c));
    copied_add(&c, &(struct rect){400, 100, 700, 500}, 0, -400); /* none of it is left */
    assert_memory_equal(&c, (&(struct copied){{400, 100, 700, 500}, {0, -400}}), sizeof(c));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scroll),
        cmocka_unit_test(test_changes),
        cmocka_unit_test(test_margins),
        cmocka_unit_test(test_not_up_or_down),
        cmocka_unit_test(test_lies),
        cmocka_unit_test(test_stale),
        cmocka_unit_test(test_another_edge),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_copies_add_up),
    };

    return cmocka_run_group_tests_name("edges", tests, NULL, NULL);
}
