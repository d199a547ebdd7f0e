/* What is taken for video, and where its edges are, of patterns of change made up by time. */
#include "base/bytes.h"
#include "spice/server/video_find.h"
#include "spice/server/video_measure.h"
#include "tests/lib/pictures.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define WIDTH  1280
#define HEIGHT 720
#define MS     1000000ull

static struct image picture;
static struct display_surface surface;
static struct video_find find;
static struct grid strips;
static uint64_t now;

static int start(void **state UNUSED)
{
    picture = picture_new(SPICE_BITMAP_FMT_32BIT, WIDTH, HEIGHT, 0);
    picture_draw(&picture, PICTURE_PHOTO, 1);
    surface = (struct display_surface){WIDTH, HEIGHT, picture.stride, picture.data};
    now = 5000 * MS;
    return video_find_init(&find, WIDTH, HEIGHT, false) ||
           grid_init(&strips, DIV_ROUND_UP(WIDTH, STRIP), HEIGHT);
}

static int stop(void **state UNUSED)
{
    video_find_fini(&find);
    grid_fini(&strips);
    picture_free(&picture);
    return 0;
}

/* An update at which this changed, so long after the one before. */
static void update(unsigned ms, bool held, const struct rect *pixels)
{
    const struct rect r = strips_of_pixels(pixels);

    now += ms * MS;
    video_find_tick(&find, now, held, &surface);
    grid_clear(&strips);
    grid_add(&strips, &r);
    video_find_add(&find, &strips);
}

static void updates(unsigned count, unsigned ms, const struct rect *pixels)
{
    for (unsigned i = 0; i < count; i++)
        update(ms, false, pixels);
}

/* The tiles of the only film; empty: there is none. */
static struct rect found(void)
{
    struct rect rects[VIDEO_FIND_MAX], film = {0};
    size_t count = video_find_rects(&find, rects), films = 0;

    for (size_t i = 0; i < count; i++)
        if (video_find_is_sure(&find, &rects[i])) {
            film = rects[i];
            films++;
        }
    assert_in_range(films, 0, 1);
    return film;
}

static void expect(int32_t left, int32_t top, int32_t right, int32_t bottom)
{
    const struct rect r = found(), wanted = {left, top, right, bottom};

    assert_memory_equal(&r, &wanted, sizeof(r));
}

static const struct rect film = {161, 100, 481, 280};

/* At 60, 30 and 10 a second; found within a second, and gone a second after its end. */
static void test_rates(void **state UNUSED)
{
    static const unsigned intervals[] = {16, 33, 100};

    for (size_t i = 0; i < ARRAY_SIZE(intervals); i++) {
        updates(1000 / intervals[i], intervals[i], &film);
        expect(10, 6, 31, 18);
        update(1000, false, &(struct rect){0});
        expect(0, 0, 0, 0);
    }
}

static void test_too_slow(void **state UNUSED)
{
    updates(50, 160, &film);
    expect(0, 0, 0, 0);
}

/* A client that takes four pictures a second has no time to see more. */
static void test_slow_client(void **state UNUSED)
{
    for (int i = 0; i < 8; i++)
        update(250, true, &film);
    expect(10, 6, 31, 18);
}

static void test_too_small(void **state UNUSED)
{
    updates(40, 33, &(struct rect){160, 96, 240, 176});
    expect(0, 0, 0, 0);
    updates(40, 33, &(struct rect){160, 96, 800, 112});
    expect(0, 0, 0, 0);
}

static void test_text(void **state UNUSED)
{
    picture_draw(&picture, PICTURE_TEXT, 1);
    updates(40, 33, &film);
    expect(0, 0, 0, 0);
}

/* Each place changes now and then, and somewhere there is always something. */
static void test_restless(void **state UNUSED)
{
    for (int i = 0; i < 60; i++)
        update(33, false, &(struct rect){i % 8 * 160, 0, i % 8 * 160 + 160, 720});
    expect(0, 0, 0, 0);
}

/* A tile here and there, each drawn by itself, is one film; one that is far away is another. */
static void test_tiles(void **state UNUSED)
{
    struct rect rects[VIDEO_FIND_MAX];

    for (int i = 0; i < 40; i++) {
        for (int k = 0; k < 100; k++)
            update(0, false,
                   &(struct rect){160 + k % 10 * 32, 96 + k / 10 * 32, 176 + k % 10 * 32,
                                  112 + k / 10 * 32});
        update(33, false, &(struct rect){1000, 500, 1200, 650});
    }
    assert_int_equal(video_find_rects(&find, rects), 2);
}

static void test_all(void **state UNUSED)
{
    find.all = true;
    picture_draw(&picture, PICTURE_TEXT, 1);
    updates(40, 33, &(struct rect){160, 96, 208, 144});
    expect(10, 6, 13, 9);
}

/* --- edges --- */

static void draw(const struct rect *r, uint32_t seed)
{
    for (int32_t y = r->top; y < r->bottom; y++)
        for (int32_t x = r->left; x < r->right; x++)
            store_le32(image_row(&picture, y) + 4 * x, picture_random(&seed));
}

static void check_edges(struct rect video)
{
    const struct rect tiles = tiles_touched(&video);
    const struct rect beside = {video.right, video.top, tiles.right * STRIP, video.top + 9};
    struct video_measure m = {0};
    struct rect result;
    int looks = 0;

    assert_int_equal(video_measure_start(&m, &tiles, &surface), 0);
    do {
        draw(&video, looks);
        if (looks == 1) /* a button lights up */
            draw(&beside, looks);
        looks++;
    } while (!video_measure_look(&m, &surface));
    result = video_measure_result(&m);
    assert_memory_equal(&result, &video, sizeof(video));
    video_measure_stop(&m);
}

static void test_edges(void **state UNUSED)
{
    check_edges((struct rect){161, 97, 479, 287});
    check_edges((struct rect){160, 96, 480, 288});
    check_edges((struct rect){175, 111, 465, 273});
    check_edges((struct rect){0, 0, WIDTH, HEIGHT});
}

/* Tiles at the edge that were warm and are quiet now are left out. */
static void test_quiet_edge(void **state UNUSED)
{
    const struct rect video = {176, 96, 464, 272}, tiles = {10, 6, 30, 18},
                      wanted = {176, 96, 464, 272};
    struct video_measure m = {0};
    struct rect result;

    assert_int_equal(video_measure_start(&m, &tiles, &surface), 0);
    for (uint32_t i = 0; i < 3; i++) {
        draw(&video, i);
        video_measure_look(&m, &surface);
    }
    result = video_measure_result(&m);
    assert_memory_equal(&result, &wanted, sizeof(wanted));
    video_measure_stop(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_rates, start, stop),
        cmocka_unit_test_setup_teardown(test_too_slow, start, stop),
        cmocka_unit_test_setup_teardown(test_slow_client, start, stop),
        cmocka_unit_test_setup_teardown(test_too_small, start, stop),
        cmocka_unit_test_setup_teardown(test_text, start, stop),
        cmocka_unit_test_setup_teardown(test_restless, start, stop),
        cmocka_unit_test_setup_teardown(test_tiles, start, stop),
        cmocka_unit_test_setup_teardown(test_all, start, stop),
        cmocka_unit_test_setup_teardown(test_edges, start, stop),
        cmocka_unit_test_setup_teardown(test_quiet_edge, start, stop),
    };

    return cmocka_run_group_tests_name("video_find", tests, NULL, NULL);
}
