/* Hashes of strips, and content that moved: found, proved, and put where it belongs. */
#include "spice/server/fill.h"
#include "spice/server/move_search.h"
#include "spice/server/regions.h"
#include "tests/lib/pictures.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A screen, what a client shows of it in truth and as the server has it in mind. */
struct scene {
    struct image now, client;
    struct display_surface surface;
    struct fingerprint print;
    struct view view;
    struct grid changed, scratch;
    struct change change;
};

static void scene_open(struct scene *s, uint32_t width, uint32_t height)
{
    *s = (struct scene){0};
    s->now = picture_new(SPICE_BITMAP_FMT_32BIT, width, height, 12);
    s->client = picture_new(SPICE_BITMAP_FMT_32BIT, width, height, 0);
    s->surface = (struct display_surface){width, height, s->now.stride, s->now.data};
    strip_key_init(&s->print.key, 0x123456789abcdef);
    assert_int_equal(fingerprint_resize(&s->print, width, height), 0);
    assert_int_equal(view_init(&s->view, width, height), 0);
    assert_int_equal(grid_init(&s->changed, s->print.now.columns, height), 0);
    assert_int_equal(grid_init(&s->scratch, s->print.now.columns, height), 0);
}

static void scene_close(struct scene *s)
{
    picture_free(&s->now);
    picture_free(&s->client);
    fingerprint_resize(&s->print, 0, 0);
    view_fini(&s->view);
    grid_fini(&s->changed);
    grid_fini(&s->scratch);
}

/* All of the screen may have changed: find out what did. */
static uint32_t scene_compare(struct scene *s)
{
    const struct rect all = {0, 0, s->now.width, s->now.height};

    damage_add(&s->print.stale, &all);
    damage_add(&s->view.behind, &all);
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

static uint32_t *pixel(const struct image *image, int32_t x, int32_t y)
{
    return (uint32_t *)image_row(image, y) + x;
}

/* The client gets pixels as they are now. */
static void show(struct scene *s, const struct rect *strips)
{
    struct rect r = strips_to_pixels(&s->print.now, strips);

    for (int32_t y = r.top; y < r.bottom; y++)
        memcpy(pixel(&s->client, r.left, y), pixel(&s->now, r.left, y), rect_width(&r) * 4);
}

static void show_all(struct scene *s)
{
    const struct rect all = {0, 0, s->print.now.columns, s->now.height};

    scene_compare(s);
    show(s, &all);
    view_sent(&s->view, &s->print.now, &all);
}

/* The client moves pixels, one rectangle after the other. */
static void copy(struct scene *s, const struct move *m, struct cover *cover)
{
    struct image before = picture_new(SPICE_BITMAP_FMT_32BIT, s->now.width, s->now.height, 0);
    struct rect strips;

    while (move_next(cover, m, &strips)) {
        struct rect r = strips_to_pixels(&s->print.now, &strips);

        assert_true(r.left - m->dx >= 0 && r.right - m->dx <= (int32_t)s->now.width);
        assert_true(r.top - m->dy >= 0 && r.bottom - m->dy <= (int32_t)s->now.height);
        image_copy_rows(&before, s->client.data, s->client.stride);
        for (int32_t y = r.top; y < r.bottom; y++)
            memcpy(pixel(&s->client, r.left, y), pixel(&before, r.left - m->dx, y - m->dy),
                   rect_width(&r) * 4);
    }
    picture_free(&before);
}

/* What the server would do; returns the pixels that moves spare. */
static uint32_t move_all(struct scene *s)
{
    struct move moves[2 * MOVE_MAX_FOUND];
    struct move_memory memory = {0};
    struct cover cover;
    uint32_t before = scene_compare(s);
    size_t count = move_search_vertical(&s->change, moves);

    for (size_t i = 0; i < count; i++) {
        move_take(&s->change, &moves[i], &cover);
        copy(s, &moves[i], &cover);
    }
    count = move_search_pixels(&s->change, &memory, moves);
    for (size_t i = 0; i < count; i++) {
        move_take(&s->change, &moves[i], &cover);
        copy(s, &moves[i], &cover);
    }
    return (before - grid_count(&s->changed, &s->change.bounds)) * STRIP;
}

/* The strips that are not called changed are what the client shows; then it gets the rest. */
static void finish(struct scene *s)
{
    struct rect rects[REGIONS_MAX];
    size_t count = regions_find(&s->changed, rects);

    for (size_t i = 0; i < count; i++) {
        show(s, &rects[i]);
        change_done(&s->change, &rects[i]);
    }
    assert_int_equal(s->change.count, 0);
    assert_true(picture_equal(&s->now, &s->client));
}

/* Content of a rectangle goes by (dx, dy), as far as it stays on the screen; what it leaves is noise. */
static void shift(struct scene *s, struct rect r, int32_t dx, int32_t dy, uint32_t *seed)
{
    struct image before = picture_new(SPICE_BITMAP_FMT_32BIT, s->now.width, s->now.height, 0);

    image_copy_rows(&before, s->now.data, s->now.stride);
    for (int32_t y = r.top; y < r.bottom; y++)
        for (int32_t x = r.left; x < r.right; x++) {
            bool inside = x - dx >= r.left && x - dx < r.right && y - dy >= r.top && y - dy < r.bottom;

            *pixel(&s->now, x, y) = inside ? *pixel(&before, x - dx, y - dy) : picture_random(seed);
        }
    picture_free(&before);
}

/* What is (dx, dy) before the rectangle comes into it. */
static void drag(struct scene *s, struct rect to, int32_t dx, int32_t dy)
{
    struct image before = picture_new(SPICE_BITMAP_FMT_32BIT, s->now.width, s->now.height, 0);

    image_copy_rows(&before, s->now.data, s->now.stride);
    for (int32_t y = to.top; y < to.bottom; y++)
        memcpy(pixel(&s->now, to.left, y), pixel(&before, to.left - dx, y - dy), rect_width(&to) * 4);
    picture_free(&before);
}

static void check_hashes(struct scene *s)
{
    const struct strip_map *now = &s->print.now;

    for (uint32_t y = 0; y < now->height; y++)
        for (uint32_t x = 0; x < now->columns; x++) {
            uint32_t count = MIN(STRIP, now->width - x * STRIP);

            assert_true(strip_row(now, y)[x] ==
                        strip_hash_part(&s->print.key, pixel(&s->now, x * STRIP, y), 0, count));
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
        struct scene s;
        uint32_t seed = i + 1;

        scene_open(&s, 500, 400);
        picture_draw(&s.now, PICTURE_NOISE, seed);
        show_all(&s);
        shift(&s, *w, cases[i].dx, cases[i].dy, &seed);
        assert_true(move_all(&s) >= stays);
        finish(&s);
        scene_close(&s);
    }
}

/* Whatever is drawn: what the server believes of the client is so. */
static void test_random(void **state UNUSED)
{
    uint32_t seed = 77;

    for (unsigned i = 0; i < 40; i++) {
        struct scene s;
        uint32_t width = 1 + picture_random(&seed) % 700, height = 1 + picture_random(&seed) % 300;

        scene_open(&s, width, height);
        picture_draw(&s.now, picture_random(&seed) % PICTURE_CONTENTS, seed);
        show_all(&s);
        for (unsigned k = 0; k < 12; k++) {
            struct rect r = {picture_random(&seed) % width, picture_random(&seed) % height};

            r.right = r.left + 1 + picture_random(&seed) % (width - r.left);
            r.bottom = r.top + 1 + picture_random(&seed) % (height - r.top);
            if (k % 4 == 3)
                picture_draw(&s.now, picture_random(&seed) % PICTURE_CONTENTS, seed);
            else
                shift(&s, r, (int32_t)(picture_random(&seed) % 101) - 50,
                      (int32_t)(picture_random(&seed) % 101) - 50, &seed);
            move_all(&s);
            finish(&s);
        }
        scene_close(&s);
    }
}

/* The hashes are those of the surface, also where they moved with what the guest moved. */
static void test_moved_hashes(void **state UNUSED)
{
    uint32_t seed = 3;

    for (unsigned i = 0; i < 20; i++) {
        struct scene s;
        int32_t width = 30 + picture_random(&seed) % 300, height = 30 + picture_random(&seed) % 300;

        scene_open(&s, width, height);
        picture_draw(&s.now, PICTURE_NOISE, seed);
        for (unsigned k = 0; k < 60; k++) {
            struct rect r = {picture_random(&seed) % width, picture_random(&seed) % height};
            int32_t dx = k % 4 ? 0 : (int32_t)(picture_random(&seed) % 41) - 20;
            int32_t dy = (int32_t)(picture_random(&seed) % 61) - 30;
            struct rect to, all = {MAX(dx, 0), MAX(dy, 0), width + MIN(dx, 0), height + MIN(dy, 0)};

            r.right = r.left + 1 + picture_random(&seed) % (width - r.left);
            r.bottom = r.top + 1 + picture_random(&seed) % (height - r.top);
            if (picture_random(&seed) % 3 == 0) {
                shift(&s, r, width, height, &seed); /* noise */
                damage_add(&s.print.stale, &r);
            }
            to = rect_intersect(&r, &all);
            if (k % 3 == 0 && !rect_empty(&all))
                to = all;
            if (!rect_empty(&to)) {
                drag(&s, to, dx, dy);
                fingerprint_moved(&s.print, &to, dx, dy);
            }
            if (picture_random(&seed) % 4)
                continue;
            fingerprint_refresh(&s.print, &s.surface);
            check_hashes(&s);
        }
        scene_close(&s);
    }
}

/* Large parts of one colour go as fills, and only those. */
static void test_fills(void **state UNUSED)
{
    struct cover cover;
    struct scene s;

    scene_open(&s, 500, 400);
    picture_draw(&s.now, PICTURE_NOISE, 3);
    show_all(&s);
    for (int32_t y = 50; y < 350; y++)
        for (int32_t x = 90; x < 430; x++)
            *pixel(&s.now, x, y) = 0x00336699;
    for (int32_t y = 0; y < 8; y++)
        for (int32_t x = 0; x < 40; x++)
            *pixel(&s.now, x, y) = 0x00ff0000;
    scene_compare(&s);
    fill_take(&s.change, &cover);
    assert_int_equal(cover.count, 1);
    assert_int_equal(cover.rects[0].kind, 0x336699);
    assert_memory_equal(&cover.rects[0].rect, (&(struct rect){6, 50, 26, 350}), sizeof(struct rect));
    show(&s, &cover.rects[0].rect);
    finish(&s);
    scene_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rolling),
        cmocka_unit_test(test_moves),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_moved_hashes),
        cmocka_unit_test(test_fills),
    };

    return cmocka_run_group_tests_name("moves", tests, NULL, NULL);
}
