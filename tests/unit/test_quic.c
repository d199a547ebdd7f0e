#include "spice/codec/quic_model.h"
#include "tests/lib/codec_checks.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static const uint8_t formats[] = {SPICE_BITMAP_FMT_8BIT_A, SPICE_BITMAP_FMT_16BIT,
                                  SPICE_BITMAP_FMT_24BIT, SPICE_BITMAP_FMT_32BIT,
                                  SPICE_BITMAP_FMT_RGBA};

static struct quic *quic;

static int set_up(void **state)
{
    (void)state;
    quic = quic_create();
    return quic ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    quic_destroy(quic);
    return 0;
}

static int encode(struct writer *w, const struct image *from)
{
    return quic_encode(quic, w, from);
}

static int decode(void *to, const uint8_t *data, size_t size)
{
    return quic_decode(quic, data, size, to);
}

static const struct codec_under_test codec = {
    .formats = formats,
    .format_count = ARRAY_SIZE(formats),
    .encode = encode,
    .peek = quic_peek,
    .decode = decode,
};

static void test_sizes(void **state)
{
    (void)state;
    codec_all_sizes(&codec);
}

/* The loops for any processor, where the tests' own one has better. */
static void test_any_processor(void **state)
{
    const struct quic_ops *ops = quic->ops;

    (void)state;
    quic->ops = &quic_ops_any;
    codec_all_sizes(&codec);
    quic->ops = ops;
}

static void test_both_loops_agree(void **state)
{
    const struct quic_ops *ops = quic->ops;

    (void)state;
    for (int content = 0; content < PICTURE_CONTENTS; content++) {
        struct image from = picture_new(SPICE_BITMAP_FMT_RGBA, 613, 101, 0);
        struct writer a, b;

        writer_init(&a, MIB(8));
        writer_init(&b, MIB(8));
        picture_draw(&from, content, 3);
        assert_int_equal(quic_encode(quic, &a, &from), 0);
        quic->ops = &quic_ops_any;
        assert_int_equal(quic_encode(quic, &b, &from), 0);
        quic->ops = ops;
        assert_int_equal(a.size, b.size);
        assert_memory_equal(a.data, b.data, a.size);
        writer_fini(&a);
        writer_fini(&b);
        picture_free(&from);
    }
}

static void test_large(void **state)
{
    (void)state;
    for (int content = 0; content < PICTURE_CONTENTS; content++)
        for (size_t f = 0; f < ARRAY_SIZE(formats); f++)
            codec_round_trip(&codec, formats[f], 1023, 200, 0, content);
    codec_round_trip(&codec, SPICE_BITMAP_FMT_32BIT, 16384, 3, 0, PICTURE_UI);
    codec_round_trip(&codec, SPICE_BITMAP_FMT_32BIT, 16384, 3, 0, PICTURE_FLAT);
}

static void test_ratio(void **state)
{
    struct image from = picture_new(SPICE_BITMAP_FMT_32BIT, 640, 480, 0);
    struct writer w;

    (void)state;
    writer_init(&w, MIB(4));
    picture_draw(&from, PICTURE_GRADIENT, 1);
    assert_int_equal(quic_encode(quic, &w, &from), 0);
    assert_true(w.size < 640 * 480 * 4 / 5);
    writer_fini(&w);
    picture_free(&from);
}

static void test_to_rgb32(void **state)
{
    uint8_t words[4] = {0xff, 0x7f, 0x00, 0x7c}, bytes[6] = {1, 2, 3, 4, 5, 6}, out[8];
    struct image from = {words, 2, 1, 4, SPICE_BITMAP_FMT_16BIT};
    struct image to = {out, 2, 1, 8, SPICE_BITMAP_FMT_32BIT};
    struct writer w;

    (void)state;
    writer_init(&w, KIB(1));
    assert_int_equal(quic_encode(quic, &w, &from), 0);
    assert_int_equal(quic_decode(quic, w.data, w.size, &to), 0);
    assert_int_equal(load_le32(out), 0xffffff);
    assert_int_equal(load_le32(out + 4), 0xff0000);
    writer_reset(&w);
    from = (struct image){bytes, 2, 1, 6, SPICE_BITMAP_FMT_24BIT};
    assert_int_equal(quic_encode(quic, &w, &from), 0);
    assert_int_equal(quic_decode(quic, w.data, w.size, &to), 0);
    assert_int_equal(load_le32(out), 0x030201);
    assert_int_equal(load_le32(out + 4), 0x060504);
    to.format = SPICE_BITMAP_FMT_RGBA;
    assert_int_equal(quic_decode(quic, w.data, w.size, &to), -EINVAL);
    writer_fini(&w);
}

static void test_writer_too_small(void **state)
{
    (void)state;
    codec_writer_too_small(&codec, 100, 100, 20000);
}

static void test_not_for_palettes(void **state)
{
    struct image from = picture_new(SPICE_BITMAP_FMT_8BIT, 10, 10, 0);
    struct writer w;

    (void)state;
    writer_init(&w, KIB(4));
    assert_int_equal(quic_encode(quic, &w, &from), -EINVAL);
    writer_fini(&w);
    picture_free(&from);
}

/* The two last words are a filler and what decoders read ahead: streams without them are still whole. */
static void test_spoilt(void **state)
{
    (void)state;
    codec_spoilt(&codec, 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_any_processor),
        cmocka_unit_test(test_both_loops_agree),
        cmocka_unit_test(test_large),
        cmocka_unit_test(test_ratio),
        cmocka_unit_test(test_to_rgb32),
        cmocka_unit_test(test_writer_too_small),
        cmocka_unit_test(test_not_for_palettes),
        cmocka_unit_test(test_spoilt),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
