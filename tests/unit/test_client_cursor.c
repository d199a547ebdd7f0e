/* Cursor pictures of every type, and the client's caches. */
#include "client/cursor_shape.h"
#include "client/picture_cache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int decode(uint8_t type, uint16_t width, uint16_t height, const void *data, uint32_t size,
                  struct cursor_shape *shape)
{
    struct spice_cursor c = {.type = type,
                             .width = width,
                             .height = height,
                             .hot_x = 1,
                             .hot_y = 70,
                             .data_size = size,
                             .data = data};

    return cursor_shape_decode(&c, shape);
}

static void test_alpha(void **state UNUSED)
{
    static const uint32_t pixels[] = {0x80402010, 0xffffffff, 0, 0xff000000};
    struct cursor_shape s;

    assert_int_equal(decode(SPICE_CURSOR_TYPE_ALPHA, 2, 2, pixels, sizeof(pixels), &s), 0);
    assert_memory_equal(s.pixels, pixels, sizeof(pixels));
    assert_int_equal(s.hot_x, 1);
    assert_int_equal(s.hot_y, 1); /* brought inside */
    free(s.pixels);
}

/* AND and XOR bits: 0 0 black, 0 1 white, 1 0 transparent, 1 1 inverted. */
static void test_mono(void **state UNUSED)
{
    static const uint8_t bits[] = {0x30, 0x50};
    struct cursor_shape s;

    assert_int_equal(decode(SPICE_CURSOR_TYPE_MONO, 4, 1, bits, sizeof(bits), &s), 0);
    assert_int_equal(s.pixels[0], 0xff000000);
    assert_int_equal(s.pixels[1], 0xffffffff);
    assert_int_equal(s.pixels[2], 0);
    assert_int_equal(s.pixels[3] >> 24, 0xff);
    free(s.pixels);
}

static void test_colors(void **state UNUSED)
{
    static const uint8_t c32[] = {3, 2, 1, 0, 0, 0, 0, 0, 0x40}, c24[] = {3, 2, 1, 0, 0, 0, 0x40};
    static const uint8_t c16[] = {0x00, 0x7c, 0, 0, 0x40};
    uint8_t c8[2 + 1024 + 1] = {5, 0}, c4[1 + 64 + 1] = {0x50};
    struct cursor_shape s;

    assert_int_equal(decode(SPICE_CURSOR_TYPE_COLOR32, 2, 1, c32, sizeof(c32), &s), 0);
    assert_int_equal(s.pixels[0], 0xff010203);
    assert_int_equal(s.pixels[1], 0);
    free(s.pixels);
    assert_int_equal(decode(SPICE_CURSOR_TYPE_COLOR24, 2, 1, c24, sizeof(c24), &s), 0);
    assert_int_equal(s.pixels[0], 0xff010203);
    assert_int_equal(s.pixels[1], 0);
    free(s.pixels);
    assert_int_equal(decode(SPICE_CURSOR_TYPE_COLOR16, 2, 1, c16, sizeof(c16), &s), 0);
    assert_int_equal(s.pixels[0], 0xffff0000);
    assert_int_equal(s.pixels[1], 0);
    free(s.pixels);
    memcpy(c8 + 2 + 5 * 4, "\x03\x02\x01", 3);
    c8[sizeof(c8) - 1] = 0x40;
    assert_int_equal(decode(SPICE_CURSOR_TYPE_COLOR8, 2, 1, c8, sizeof(c8), &s), 0);
    assert_int_equal(s.pixels[0], 0xff010203);
    assert_int_equal(s.pixels[1], 0);
    free(s.pixels);
    memcpy(c4 + 1 + 5 * 4, "\x03\x02\x01", 3);
    c4[sizeof(c4) - 1] = 0x40;
    assert_int_equal(decode(SPICE_CURSOR_TYPE_COLOR4, 2, 1, c4, sizeof(c4), &s), 0);
    assert_int_equal(s.pixels[0], 0xff010203);
    assert_int_equal(s.pixels[1], 0);
    free(s.pixels);
}

/* One byte less than needed, of each type; sizes of nothing and of too much. */
static void test_short(void **state UNUSED)
{
    static const uint32_t needed[] = {
        4 * 9 * 5,         2 * 2 * 5,         5 * 5 + 64 + 2 * 5, 9 * 5 + 1024 + 2 * 5,
        2 * 9 * 5 + 2 * 5, 3 * 9 * 5 + 2 * 5, 4 * 9 * 5 + 2 * 5};
    struct cursor_shape s;

    for (uint8_t type = 0; type < ARRAY_SIZE(needed); type++) {
        uint8_t *data = calloc(1, needed[type]);

        assert_int_equal(decode(type, 9, 5, data, needed[type] - 1, &s), -EINVAL);
        assert_int_equal(decode(type, 9, 5, data, needed[type], &s), 0);
        free(s.pixels);
        assert_int_equal(decode(type, 0, 5, data, needed[type], &s), -EINVAL);
        assert_int_equal(decode(type, 9, 0, data, needed[type], &s), -EINVAL);
        assert_int_equal(decode(type, 65535, 65535, data, needed[type], &s), -EINVAL);
        free(data);
    }
    assert_int_equal(decode(200, 1, 1, needed, sizeof(needed), &s), -EINVAL);
}

static void test_picture_cache(void **state UNUSED)
{
    struct picture_cache *cache = calloc(1, sizeof(*cache));
    pixman_image_t *p = pixman_image_create_bits(PIXMAN_x8r8g8b8, 10, 10, NULL, 0);

    cache->max_pixels = 100 * 3000;
    for (uint64_t id = 0; id < 3000; id++)
        assert_int_equal(picture_cache_add(cache, id << 40, p), 0);
    assert_int_equal(picture_cache_add(cache, 1, p), -E2BIG);
    assert_int_equal(picture_cache_add(cache, 2ull << 40, p), 0); /* replaces */
    assert_ptr_equal(picture_cache_find(cache, 7ull << 40), p);
    picture_cache_remove(cache, 7ull << 40);
    assert_null(picture_cache_find(cache, 7ull << 40));
    picture_cache_remove(cache, 7ull << 40);
    assert_int_equal(picture_cache_add(cache, 1, p), 0);
    picture_cache_clear(cache);
    assert_int_equal(cache->pixels, 0);
    assert_null(picture_cache_find(cache, 1));
    assert_true(pixman_image_unref(p)); /* nobody else holds it */
    free(cache);
}

static void test_palette_cache(void **state UNUSED)
{
    static const uint32_t colors[256] = {1, 2};
    struct palette_cache *cache = calloc(1, sizeof(*cache));

    assert_int_equal(palette_cache_add(cache, 1, colors, 0), -E2BIG);
    assert_int_equal(palette_cache_add(cache, 1, colors, 257), -E2BIG);
    for (uint64_t id = 0; id < PALETTE_CACHE_SIZE; id++)
        assert_int_equal(palette_cache_add(cache, id, colors, 2), 0);
    assert_int_equal(palette_cache_add(cache, 999, colors, 2), -E2BIG);
    assert_int_equal(palette_cache_add(cache, 5, colors, 256), 0);
    assert_int_equal(palette_cache_find(cache, 5)->count, 256);
    palette_cache_clear(cache);
    assert_null(palette_cache_find(cache, 5));
    free(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alpha),         cmocka_unit_test(test_mono),
        cmocka_unit_test(test_colors),        cmocka_unit_test(test_short),
        cmocka_unit_test(test_picture_cache), cmocka_unit_test(test_palette_cache),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
