#include "spice/codec/lz.h"
#include "tests/lib/codec_checks.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static const uint8_t formats[] = {
    SPICE_BITMAP_FMT_1BIT_LE, SPICE_BITMAP_FMT_1BIT_BE, SPICE_BITMAP_FMT_4BIT_LE,
    SPICE_BITMAP_FMT_4BIT_BE, SPICE_BITMAP_FMT_8BIT,    SPICE_BITMAP_FMT_16BIT,
    SPICE_BITMAP_FMT_24BIT,   SPICE_BITMAP_FMT_32BIT,   SPICE_BITMAP_FMT_RGBA,
    SPICE_BITMAP_FMT_8BIT_A,
};

static struct lz *lz;

static int set_up(void **state)
{
    (void)state;
    lz = lz_create();
    return lz ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    lz_destroy(lz);
    return 0;
}

static int encode(struct writer *w, const struct image *from)
{
    return lz_encode(lz, w, from);
}

static int decode(void *to, const uint8_t *data, size_t size)
{
    return lz_decode(lz, data, size, to, NULL);
}

static const struct codec_under_test codec = {
    .formats = formats,
    .format_count = ARRAY_SIZE(formats),
    .encode = encode,
    .peek = lz_peek,
    .decode = decode,
};

static void test_sizes(void **state)
{
    (void)state;
    codec_all_sizes(&codec);
}

static void test_large(void **state)
{
    (void)state;
    for (int content = 0; content < PICTURE_CONTENTS; content++) {
        codec_round_trip(&codec, SPICE_BITMAP_FMT_32BIT, 1024, 300, 0, content);
        codec_round_trip(&codec, SPICE_BITMAP_FMT_RGBA, 500, 301, 12, content);
        codec_round_trip(&codec, SPICE_BITMAP_FMT_16BIT, 801, 300, 2, content);
        codec_round_trip(&codec, SPICE_BITMAP_FMT_8BIT, 1280, 400, 0, content);
    }
}

/* The table of places outlives a picture: none may be found in the next one. */
static void test_same_again(void **state)
{
    (void)state;
    for (int i = 0; i < 200; i++)
        codec_round_trip(&codec, SPICE_BITMAP_FMT_32BIT, 33, 9, 0, PICTURE_TEXT);
}

static void test_repeats_are_small(void **state)
{
    struct image from = picture_new(SPICE_BITMAP_FMT_32BIT, 640, 480, 0);
    struct writer w;

    (void)state;
    writer_init(&w, MIB(4));
    picture_draw(&from, PICTURE_FLAT, 1);
    assert_int_equal(lz_encode(lz, &w, &from), 0);
    assert_true(w.size < 6000);
    writer_reset(&w);
    picture_draw(&from, PICTURE_TEXT, 1);
    assert_int_equal(lz_encode(lz, &w, &from), 0);
    assert_true(w.size < 640 * 480 * 4 / 8);
    writer_fini(&w);
    picture_free(&from);
}

static void test_to_rgb32(void **state)
{
    /* 4 pixels of 4 bits: 1 2 3 15; of 5:5:5: white, red */
    uint8_t nibbles[2] = {0x12, 0x3f}, words[4] = {0xff, 0x7f, 0x00, 0x7c}, out[16];
    const uint32_t colors[] = {0x111111, 0x222222, 0x333333, 0xff444444};
    struct palette palette = {colors, 4};
    struct image from = {nibbles, 4, 1, 2, SPICE_BITMAP_FMT_4BIT_BE};
    struct image to = {out, 4, 1, 16, SPICE_BITMAP_FMT_32BIT};
    struct writer w;

    (void)state;
    writer_init(&w, KIB(4));
    assert_int_equal(lz_encode(lz, &w, &from), 0);
    assert_int_equal(lz_decode(lz, w.data, w.size, &to, NULL), -EINVAL);
    assert_int_equal(lz_decode(lz, w.data, w.size, &to, &palette), 0);
    assert_int_equal(load_le32(out), 0x222222);
    assert_int_equal(load_le32(out + 4), 0x333333);
    assert_int_equal(load_le32(out + 8), 0x444444);
    assert_int_equal(load_le32(out + 12), 0);
    writer_reset(&w);
    from = (struct image){words, 2, 1, 4, SPICE_BITMAP_FMT_16BIT};
    to.width = 2;
    assert_int_equal(lz_encode(lz, &w, &from), 0);
    assert_int_equal(lz_decode(lz, w.data, w.size, &to, NULL), 0);
    assert_int_equal(load_le32(out), 0xffffff);
    assert_int_equal(load_le32(out + 4), 0xff0000);
    writer_fini(&w);
}

/* The reference writes bottom-up pictures as they are; here rows always go from top to bottom. */
static void test_bottom_up(void **state)
{
    uint8_t pixels[3 * 4] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, out[12];
    struct image from = {pixels, 4, 3, 4, SPICE_BITMAP_FMT_8BIT}, to = from;
    struct writer w;

    (void)state;
    to.data = out;
    writer_init(&w, KIB(4));
    assert_int_equal(lz_encode(lz, &w, &from), 0);
    w.data[27] = 0;
    assert_int_equal(lz_decode(lz, w.data, w.size, &to, NULL), 0);
    for (int y = 0; y < 3; y++)
        assert_memory_equal(out + 4 * y, pixels + 4 * (2 - y), 4);
    writer_fini(&w);
}

static void test_alpha_plane(void **state)
{
    struct image from = picture_new(SPICE_BITMAP_FMT_RGBA, 61, 17, 4);
    struct image to = picture_new(SPICE_BITMAP_FMT_RGBA, 61, 17, 0);
    struct writer w;

    (void)state;
    writer_init(&w, KIB(64));
    picture_draw(&from, PICTURE_GRADIENT, 4);
    memset(to.data, 0x55, to.stride * to.height);
    assert_int_equal(lz_encode_alpha(lz, &w, &from), 0);
    assert_int_equal(lz_decode(lz, w.data, w.size, &to, NULL), -EINVAL);
    assert_int_equal(lz_decode_alpha(lz, w.data, w.size, &to), 0);
    for (uint32_t y = 0; y < 17; y++)
        for (uint32_t x = 0; x < 61; x++) {
            assert_int_equal(image_row(&to, y)[4 * x], 0x55);
            assert_int_equal(image_row(&to, y)[4 * x + 3], image_row(&from, y)[4 * x + 3]);
        }
    writer_fini(&w);
    picture_free(&from);
    picture_free(&to);
}

static void test_writer_too_small(void **state)
{
    (void)state;
    codec_writer_too_small(&codec, 100, 100, 20000);
}

static void test_spoilt(void **state)
{
    (void)state;
    codec_spoilt(&codec, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),       cmocka_unit_test(test_large),
        cmocka_unit_test(test_same_again),  cmocka_unit_test(test_repeats_are_small),
        cmocka_unit_test(test_to_rgb32),    cmocka_unit_test(test_bottom_up),
        cmocka_unit_test(test_alpha_plane), cmocka_unit_test(test_writer_too_small),
        cmocka_unit_test(test_spoilt),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
