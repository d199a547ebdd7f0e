/* Where the picture lies, and which pixel of the guest a point of the window is. */
#include "client/view.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdlib.h>

static struct view make(int guest_width, int guest_height, int width, int height, double density, unsigned percent)
{
    return (struct view){{guest_width, guest_height},
                         {width, height},
                         {(int)(width * density), (int)(height * density)},
                         percent};
}

static void assert_place(struct view v, int left, int top, int width, int height)
{
    struct rect r = view_place(&v);

    assert_int_equal(r.left, left);
    assert_int_equal(r.top, top);
    assert_int_equal(r.right - r.left, width);
    assert_int_equal(r.bottom - r.top, height);
}

static void test_places(void **state UNUSED)
{
    assert_place(make(640, 480, 640, 480, 1, VIEW_FIT), 0, 0, 640, 480);
    assert_place(make(640, 480, 1280, 960, 1, VIEW_FIT), 0, 0, 1280, 960);
    assert_place(make(640, 480, 1280, 480, 1, VIEW_FIT), 320, 0, 640, 480);
    assert_place(make(640, 480, 1280, 960, 1, 100), 320, 240, 640, 480);
    assert_place(make(640, 480, 640, 480, 2, 100), 320, 240, 640, 480);
    assert_place(make(640, 480, 640, 480, 2, 200), 0, 0, 1280, 960);
    /* too large for its window: it is made to fit */
    assert_place(make(640, 480, 320, 240, 1, 100), 0, 0, 320, 240);
    /* a guest that has rounded its size is not scaled by a hair */
    assert_place(make(800, 600, 805, 603, 1, VIEW_FIT), 2, 1, 800, 600);
    assert_place(make(0, 0, 640, 480, 1, VIEW_FIT), 0, 0, 0, 0);
    assert_place(make(16384, 1, 100, 100, 1, VIEW_FIT), 0, 49, 100, 1);
}

static void test_exactness(void **state UNUSED)
{
    struct view v = make(640, 480, 1280, 960, 1, 200);

    assert_true(view_is_exact(&v));
    v.percent = 150;
    assert_false(view_is_exact(&v));
    v.percent = 100;
    assert_true(view_is_exact(&v));
}

/* One guest pixel for each device pixel, as the nearest one is drawn: the centre of the device's lies in it. */
static void test_pixel_under_pointer(void **state UNUSED)
{
    static const unsigned percents[] = {100, 125, 150, 200, 300, 400};

    for (size_t i = 0; i < ARRAY_SIZE(percents); i++) {
        struct view v = make(320, 200, 1300, 900, 1, percents[i]);
        struct rect r = view_place(&v);

        for (int x = r.left; x < r.right; x++) {
            int32_t gx, gy;

            view_to_guest(&v, x, r.top, &gx, &gy);
            assert_int_equal(gx, (int)((x - r.left + 0.5) * 320 / (r.right - r.left)));
            assert_int_equal(gy, 0);
        }
    }
}

/* Every edge can be reached at every scale and density, positions never go back, and what is outside is the edge. */
static void test_edges(void **state UNUSED)
{
    static const double densities[] = {1, 1.5, 2, 3};

    for (size_t i = 0; i < ARRAY_SIZE(densities); i++)
        for (int width = 100; width < 1500; width += 37) {
            struct view v = make(800, 600, width, width * 3 / 4, densities[i], VIEW_FIT);
            int32_t before = 0, x, y;

            view_to_guest(&v, 0, 0, &x, &y);
            assert_true(x == 0 && y == 0);
            for (int at = 0; at < width; at++, before = x) {
                view_to_guest(&v, at, 0, &x, &y);
                assert_true(x >= before && x < 800);
            }
            assert_int_equal(x, 799);
            view_to_guest(&v, width + 50, 5000, &x, &y);
            assert_true(x == 799 && y == 599);
            view_to_guest(&v, -7, -1, &x, &y);
            assert_true(x == 0 && y == 0);
        }
}

/* With two pixels to a point the pixel told is one of the two. */
static void test_dense(void **state UNUSED)
{
    struct view v = make(800, 600, 400, 300, 2, 100);

    for (int at = 0; at < 400; at++) {
        int32_t x, y;

        view_to_guest(&v, at, 0, &x, &y);
        assert_true(x == 2 * at || x == 2 * at + 1);
    }
}

static void test_sizes(void **state UNUSED)
{
    struct view v = make(640, 480, 640, 480, 2, 100);
    struct size s = view_window_for(&v, (struct size){0});

    assert_true(s.width == 320 && s.height == 240);
    s = view_guest_for(&v);
    assert_true(s.width == 1280 && s.height == 960);
    v.percent = 200;
    s = view_guest_for(&v);
    assert_true(s.width == 640 && s.height == 480);
    s = view_window_for(&v, (struct size){320, 1000});
    assert_true(s.width == 320 && s.height == 240);
}

static void test_zoom(void **state UNUSED)
{
    struct view v = make(640, 480, 640, 480, 1, VIEW_FIT);

    assert_int_equal(view_zoom(&v, 1), 125);
    assert_int_equal(view_zoom(&v, -1), 75);
    v.percent = 400;
    assert_int_equal(view_zoom(&v, 1), 400);
    v.percent = 25;
    assert_int_equal(view_zoom(&v, -1), 25);
    v.percent = 110;
    assert_int_equal(view_zoom(&v, 1), 125);
    assert_int_equal(view_zoom(&v, -1), 100);
    v = make(640, 480, 1000, 750, 1, VIEW_FIT); /* 156 % */
    assert_int_equal(view_zoom(&v, 1), 175);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_places), cmocka_unit_test(test_exactness), cmocka_unit_test(test_pixel_under_pointer),
        cmocka_unit_test(test_edges),  cmocka_unit_test(test_dense),     cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_zoom),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
