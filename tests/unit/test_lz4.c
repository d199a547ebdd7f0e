#include "spice/codec/lz4.h"
#include "tests/lib/codec_checks.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static const uint8_t formats[] = {SPICE_BITMAP_FMT_16BIT, SPICE_BITMAP_FMT_24BIT,
                                  SPICE_BITMAP_FMT_32BIT, SPICE_BITMAP_FMT_RGBA};

static struct lz4 *lz4;
static const struct image *last; /* encoded */

static int set_up(void **state)
{
    (void)state;
    lz4 = lz4_create();
    return lz4 ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    lz4_destroy(lz4);
    return 0;
}

static int encode(struct writer *w, const struct image *from)
{
    last = from;
    return lz4_encode(lz4, w, from, 1);
}

/* The stream does not know its size. */
static int peek(const void *data, size_t size, struct image *shape)
{
    *shape = *last;
    return lz4_peek(data, size, &shape->format);
}

static int decode(void *to, const uint8_t *data, size_t size)
{
    return lz4_decode(lz4, data, size, to);
}

static const struct codec_under_test codec = {
    .formats = formats,
    .format_count = ARRAY_SIZE(formats),
    .encode = encode,
    .peek = peek,
    .decode = decode,
};

static void test_sizes(void **state)
{
    (void)state;
    codec_all_sizes(&codec);
}

static void test_many_blocks(void **state)
{
    (void)state;
    for (int content = 0; content < PICTURE_CONTENTS; content++)
        codec_round_trip(&codec, SPICE_BITMAP_FMT_32BIT, 1024, 1000, 0, content);
    codec_round_trip(&codec, SPICE_BITMAP_FMT_32BIT, 16384, 40, 4, PICTURE_UI);
}

/* Bytes are bytes: 16 bits of each of 20 pixels, or the alpha of 40. */
static void test_alpha(void **state)
{
    struct image from = picture_new(SPICE_BITMAP_FMT_16BIT, 20, 9, 0), to = picture_new(SPICE_BITMAP_FMT_8BIT_A, 40, 9, 3);
    struct writer w;
    uint8_t format;

    (void)state;
    writer_init(&w, KIB(64));
    picture_draw(&from, PICTURE_NOISE, 1);
    assert_int_equal(lz4_encode(lz4, &w, &from, 1), 0);
    w.data[1] = SPICE_BITMAP_FMT_8BIT_A;
    assert_int_equal(lz4_peek(w.data, w.size, &format), 0);
    assert_int_equal(format, SPICE_BITMAP_FMT_8BIT_A);
    assert_int_equal(lz4_decode(lz4, w.data, w.size, &to), 0);
    for (uint32_t y = 0; y < 9; y++)
        assert_memory_equal(image_row(&to, y), image_row(&from, y), 40);
    to.format = SPICE_BITMAP_FMT_32BIT;
    to.stride = 40;
    to.width = 10;
    assert_int_equal(lz4_decode(lz4, w.data, w.size, &to), -EINVAL);
    writer_fini(&w);
    picture_free(&from);
    picture_free(&to);
}

/* A stream of three blocks, the later two of which only point back, as a server's streaming dictionary makes them. */
static void test_blocks_refer_back(void **state)
{
    uint8_t px[64], out[3 * 64], stream[256] = {1, SPICE_BITMAP_FMT_32BIT, 0, 0, 0, 66, 0xf0, 49};
    struct image to = {out, 16, 3, 64, SPICE_BITMAP_FMT_32BIT};
    /* 1 literal; 58 bytes from 64 back; 5 literals */
    const uint8_t back[] = {0, 0, 0, 11, 0x1f, 7, 64, 0, 58 - 4 - 15, 0x50, 1, 2, 3, 4, 5};
    size_t n = 8;

    (void)state;
    for (int i = 0; i < 64; i++)
        px[i] = (uint8_t)(i * 37);
    memcpy(stream + n, px, 64);
    n += 64;
    for (int block = 0; block < 2; block++, n += sizeof(back))
        memcpy(stream + n, back, sizeof(back));
    assert_int_equal(lz4_decode(lz4, stream, n, &to), 0);
    for (int block = 1; block < 3; block++) {
        assert_int_equal(out[64 * block], 7);
        assert_memory_equal(out + 64 * block + 1, out + 64 * (block - 1) + 1, 58);
        assert_memory_equal(out + 64 * block + 59, "\1\2\3\4\5", 5);
    }
    stream[0] = 0; /* bottom-up */
    assert_int_equal(lz4_decode(lz4, stream, n, &to), 0);
    assert_memory_equal(out + 128, px, 64);
}

static void test_to_rgb32(void **state)
{
    uint8_t px[6] = {1, 2, 3, 4, 5, 6}, out[8];
    struct image from = {px, 2, 1, 6, SPICE_BITMAP_FMT_24BIT};
    struct image to = {out, 2, 1, 8, SPICE_BITMAP_FMT_32BIT};
    struct writer w;

    (void)state;
    writer_init(&w, KIB(1));
    assert_int_equal(lz4_encode(lz4, &w, &from, 1), 0);
    assert_int_equal(lz4_decode(lz4, w.data, w.size, &to), 0);
    assert_int_equal(load_le32(out), 0x030201);
    assert_int_equal(load_le32(out + 4), 0x060504);
    to.format = SPICE_BITMAP_FMT_RGBA;
    assert_int_equal(lz4_decode(lz4, w.data, w.size, &to), -EINVAL);
    writer_fini(&w);
}

static void test_writer_too_small(void **state)
{
    (void)state;
    codec_writer_too_small(&codec, 300, 300, 300000);
}

static void test_not_for_palettes(void **state)
{
    struct image from = picture_new(SPICE_BITMAP_FMT_8BIT, 10, 10, 0);
    struct writer w;

    (void)state;
    writer_init(&w, KIB(4));
    assert_int_equal(lz4_encode(lz4, &w, &from, 1), -EINVAL);
    writer_fini(&w);
    picture_free(&from);
}

static void test_spoilt(void **state)
{
    (void)state;
    codec_spoilt(&codec, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_many_blocks),
        cmocka_unit_test(test_alpha),
        cmocka_unit_test(test_blocks_refer_back),
        cmocka_unit_test(test_to_rgb32),
        cmocka_unit_test(test_writer_too_small),
        cmocka_unit_test(test_not_for_palettes),
        cmocka_unit_test(test_spoilt),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
