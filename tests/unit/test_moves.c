/* Hashes of strips, and content that moved: found, proved, and put where it belongs. */
#include "spice/server/fill.h"
#include "spice/server/move_search.h"
#include "tests/lib/screens.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* What the server would do; returns the pixels that moves spare. */
static uint32_t move_all(struct screens *s)
{
    struct move moves[2 * MOVE_MAX_FOUND];
    struct move_memory memory = {0};
    struct cover cover;
    uint32_t before = screens_compare(s);
    size_t count = move_search_vertical(&s->change, moves);

    for (size_t i = 0; i < count; i++) {
        move_take(&s->change, &moves[i], &cover);
        screens_copy(s, &moves[i], &cover, NULL);
    }
    count = move_search_pixels(&s->change, &memory, moves);
    for (size_t i = 0; i < count; i++) {
        move_take(&s->change, &moves[i], &cover);
        screens_copy(s, &moves[i], &cover, NULL);
    }
    return (before - grid_count(&s->changed, &s->change.bounds)) * STRIP;
}

static void check_hashes(struct screens *s)
{
    const struct strip_map *now = &s->print.now;

    for (uint32_t y = 0; y < now->height; y++)
        for (uint32_t x = 0; x < now->columns; x++) {
            uint32_t count = MIN(STRIP, now->width - x * STRIP);

            assert_true(strip_row(now, y)[x] ==
                        strip_hash_part(&s->print.key, screens_pixel(&s->now, x * STRIP, y), 0, count));
        }
}

static void test_rolling(void **state UNUSED)
{
    struct strip_key key;
    uint32_t pixels[100], seed = 5;
    uint64_t hash;

    strip_key_init(&key, 99);
    for (size_t i = 0; i < ARRAY_SIZE(pixels); i++)
        pixels[i] = i % 3 ? picture_random(&seed) : UINT32_MAX;
    hash = strip_hash(&key, pixels);
    for (size_t i = 0; i + STRIP < ARRAY_SIZE(pixels); i++) {
        hash = strip_roll(&key, hash, pixels[i], pixels[i + STRIP]);
        assert_true(hash == strip_hash(&key, pixels + i + 1));
    }
    for (size_t count = 0; count <= 6; count++) {
        uint64_t many[6];

        strip_hash_many(&key, pixels, count, many);
        for (size_t i = 0; i < count; i++)
            assert_true(many[i] == strip_hash(&key, pixels + i * STRIP));
    }
    for (int i = 0; i < STRIP; i++)
        pixels[i] = 0x12ffffff;
    assert_true(strip_hash(&key, pixels) == strip_flat(&key, 0xffffff));
    pixels[7] ^= 0xff000000; /* shows nowhere */
    assert_true(strip_hash(&key, pixels) == strip_flat(&key, 0xffffff));
    pixels[7] ^= 1;
    assert_true(strip_hash(&key, pixels) != strip_flat(&key, 0xffffff));
    memset(pixels + 5, 0, sizeof(pixels) - 5 * 4);
    assert_true(strip_hash(&key, pixels) == strip_hash_part(&key, pixels, 0, 5));
    for (uint32_t i = 0; i < STRIP; i++)
        pixels[i] = picture_random(&seed);
    for (uint32_t i = 0; i <= STRIP; i++) {
        uint64_t part = strip_hash_part(&key, pixels, 0, i);

        hash = strip_hash_part(&key, pixels, i, STRIP);
        assert_true(strip_without(strip_hash(&key, pixels), part) == hash);
        assert_true(strip_without(strip_hash(&key, pixels), hash) == part);
    }
}

/* Below each other, whole or in part, into hashes that lie apart. */
static void test_columns(void **state UNUSED)
{
    enum { STRIDE = 37, ROWS = 11, PLACE = 3 };
    uint32_t pixels[ROWS * STRIDE], seed = 6;
    struct strip_key key;

    strip_key_init(&key, 98);
    for (size_t i = 0; i < ARRAY_SIZE(pixels); i++)
        pixels[i] = picture_random(&seed);
    for (uint32_t from = 0; from < STRIP; from++)
        for (uint32_t to = from; to <= STRIP; to++) {
            const struct strip_key part = strip_key_of_part(&key, from, to);
            size_t count = (from + to) % (ROWS + 1);
            uint64_t hashes[(ROWS + 1) * PLACE] = {0};

            strip_hash_column(&part, pixels + 5, STRIDE, count, hashes, PLACE);
            for (size_t i = 0; i < ROWS + 1; i++)
                assert_true(hashes[i * PLACE] ==
                            (i < count ? strip_hash_part(&key, pixels + 5 + i * STRIDE, from, to) : 0));
            assert_true(hashes[1] == 0 && hashes[2] == 0);
        }
}

static void test_bits(void **state UNUSED)
{
    for (unsigned n = 0; n <= 64; n++) {
        uint64_t low = n ? UINT64_MAX >> (64 - n) : 0, mixed = low * 0x9e3779b97f4a7c15;

        assert_int_equal(count_bits(low), n);
        assert_int_equal(count_bits(mixed), __builtin_popcountll(mixed));
    }
}

/* Windows of any place scrolled or dragged by any distance: nearly all of it is found. */
static void test_moves(void **state UNUSED)
{
    static const struct {
        struct rect window;
        int32_t dx, dy;
    } cases[] = {
        {{0, 0, 500, 400}, 0, -13},      {{0, 0, 500, 400}, 0, 1},
        {{0, 0, 500, 400}, 0, 200},      {{37, 20, 411, 390}, 0, -7},
        {{37, 20, 411, 390}, 64, 30},    {{37, 20, 411, 390}, 5, 0},
        {{37, 20, 411, 390}, -41, 17},   {{3, 5, 499, 399}, 100, -120},
        {{100, 100, 400, 300}, -1, -1},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const struct rect *w = &cases[i].window;
        int64_t stays = (int64_t)(rect_width(w) - abs(cases[i].dx) - 4 * STRIP) *
                        (w->bottom - w->top - abs(cases[i].dy));
        struct screens s;
        uint32_t seed = i + 1;

        screens_open(&s, 500, 400);
        picture_draw(&s.now, PICTURE_NOISE, seed);
        screens_show_all(&s);
        screens_shift(&s, *w, cases[i].dx, cases[i].dy, &seed);
        assert_true(move_all(&s) >= stays);
        screens_finish(&s);
        screens_close(&s);
    }
}

/* Whatever is drawn: what the server believes of the client is so. */
static void test_random(void **state UNUSED)
{
    uint32_t seed = 77;

    for (unsigned i = 0; i < 40; i++) {
        struct screens s;
        uint32_t width = 1 + picture_random(&seed) % 700, height = 1 + picture_random(&seed) % 300;

        screens_open(&s, width, height);
        picture_draw(&s.now, picture_random(&seed) % PICTURE_CONTENTS, seed);
        screens_show_all(&s);
        for (unsigned k = 0; k < 12; k++) {
            struct rect r = {picture_random(&seed) % width, picture_random(&seed) % height};

            r.right = r.left + 1 + picture_random(&seed) % (width - r.left);
            r.bottom = r.top + 1 + picture_random(&seed) % (height - r.top);
            if (k % 4 == 3)
                picture_draw(&s.now, picture_random(&seed) % PICTURE_CONTENTS, seed);
            else
                screens_shift(&s, r, (int32_t)(picture_random(&seed) % 101) - 50,
                      (int32_t)(picture_random(&seed) % 101) - 50, &seed);
            move_all(&s);
            screens_finish(&s);
        }
        screens_close(&s);
    }
}

/* The hashes are those of the surface, also where they moved with what the guest moved. */
static void test_moved_hashes(void **state UNUSED)
{
    uint32_t seed = 3;

    for (unsigned i = 0; i < 20; i++) {
        struct screens s;
        int32_t width = 30 + picture_random(&seed) % 300, height = 30 + picture_random(&seed) % 300;

        screens_open(&s, width, height);
        picture_draw(&s.now, PICTURE_NOISE, seed);
        for (unsigned k = 0; k < 60; k++) {
            struct rect r = {picture_random(&seed) % width, picture_random(&seed) % height};
            int32_t dx = k % 4 ? 0 : (int32_t)(picture_random(&seed) % 41) - 20;
            int32_t dy = (int32_t)(picture_random(&seed) % 61) - 30;
            struct rect to, all = {MAX(dx, 0), MAX(dy, 0), width + MIN(dx, 0), height + MIN(dy, 0)};

            r.right = r.left + 1 + picture_random(&seed) % (width - r.left);
            r.bottom = r.top + 1 + picture_random(&seed) % (height - r.top);
            if (picture_random(&seed) % 3 == 0) {
                screens_shift(&s, r, width, height, &seed); /* noise */
                damage_add(&s.print.stale, &r);
            }
            to = rect_intersect(&r, &all);
            if (k % 3 == 0 && !rect_empty(&all))
                to = all;
            if (!rect_empty(&to)) {
                screens_drag(&s, to, dx, dy);
                fingerprint_moved(&s.print, &to, dx, dy);
            }
            if (picture_random(&seed) % 4)
                continue;
            fingerprint_refresh(&s.print, &s.surface);
            check_hashes(&s);
        }
        screens_close(&s);
    }
}

/* Large parts of one colour go as fills, and only those. */
static void test_fills(void **state UNUSED)
{
    struct cover cover;
    struct screens s;

    screens_open(&s, 500, 400);
    picture_draw(&s.now, PICTURE_NOISE, 3);
    screens_show_all(&s);
    for (int32_t y = 50; y < 350; y++)
        for (int32_t x = 90; x < 430; x++)
            *screens_pixel(&s.now, x, y) = 0x00336699;
    for (int32_t y = 0; y < 8; y++)
        for (int32_t x = 0; x < 40; x++)
            *screens_pixel(&s.now, x, y) = 0x00ff0000;
    screens_compare(&s);
    fill_take(&s.change, &cover);
    assert_int_equal(cover.count, 1);
    assert_int_equal(cover.rects[0].kind, 0x336699);
    assert_memory_equal(&cover.rects[0].rect, (&(struct rect){6, 50, 26, 350}), sizeof(struct rect));
    screens_show(&s, &cover.rects[0].rect);
    screens_finish(&s);
    screens_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rolling),
        cmocka_unit_test(test_columns),
        cmocka_unit_test(test_bits),
        cmocka_unit_test(test_moves),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_moved_hashes),
        cmocka_unit_test(test_fills),
    };

    return cmocka_run_group_tests_name("moves", tests, NULL, NULL);
}
