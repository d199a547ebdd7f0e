#include "spice/codec/quic_model.h"
#include "tests/lib/pictures.h"

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

static void round_trip(uint8_t format, uint32_t width, uint32_t height, uint32_t pad, int content)
{
    struct image from = picture_new(format, width, height, pad), shape;
    struct image to = picture_new(format, width, height, pad / 2);
    struct writer w;

    writer_init(&w, MIB(64));
    picture_draw(&from, content, width * 31 + height);
    assert_int_equal(quic_encode(quic, &w, &from), 0);
    assert_int_equal(quic_peek(w.data, w.size, &shape), 0);
    assert_int_equal(shape.width, width);
    assert_int_equal(shape.height, height);
    assert_int_equal(shape.format, format);
    assert_int_equal(quic_decode(quic, w.data, w.size, &to), 0);
    if (!picture_equal(&from, &to))
        fail_msg("format %u, %ux%u, %s differs", format, width, height,
                 picture_content_names[content]);
    writer_fini(&w);
    picture_free(&from);
    picture_free(&to);
}

static void all_sizes(void)
{
    uint32_t random = 1;

    for (size_t f = 0; f < ARRAY_SIZE(formats); f++)
        for (uint32_t width = 1; width <= 70; width++)
            for (int content = 0; content < PICTURE_CONTENTS; content++)
                round_trip(formats[f], width, 1 + picture_random(&random) % 40,
                           picture_random(&random) % 9, content);
}

static void test_sizes(void **state)
{
    (void)state;
    all_sizes();
}

/* The loops for any processor, where the tests' own one has better. */
static void test_any_processor(void **state)
{
    const struct quic_ops *ops = quic->ops;

    (void)state;
    quic->ops = &quic_ops_any;
    all_sizes();
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
            round_trip(formats[f], 1023, 200, 0, content);
    round_trip(SPICE_BITMAP_FMT_32BIT, 16384, 3, 0, PICTURE_UI);
    round_trip(SPICE_BITMAP_FMT_32BIT, 16384, 3, 0, PICTURE_FLAT);
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
    struct image from = picture_new(SPICE_BITMAP_FMT_32BIT, 100, 100, 0);
    struct writer w;

    (void)state;
    picture_draw(&from, PICTURE_NOISE, 1);
    writer_init(&w, 20000);
    writer_u32(&w, 42);
    assert_int_equal(quic_encode(quic, &w, &from), -ENOSPC);
    assert_int_equal(w.size, 4);
    assert_false(w.bad);
    from.format = SPICE_BITMAP_FMT_8BIT;
    assert_int_equal(quic_encode(quic, &w, &from), -EINVAL);
    writer_fini(&w);
    picture_free(&from);
}

static int decode(void *opaque, const uint8_t *data, size_t size)
{
    return quic_decode(quic, data, size, opaque);
}

/* The two last words are a filler and what decoders read ahead: streams without them are still whole. */
static void test_spoilt(void **state)
{
    (void)state;
    for (size_t f = 0; f < ARRAY_SIZE(formats); f++)
        for (int content = 0; content < PICTURE_CONTENTS; content++) {
            struct image from = picture_new(formats[f], 37, 11, 0);
            struct writer w;

            writer_init(&w, KIB(64));
            picture_draw(&from, content, 7);
            assert_int_equal(quic_encode(quic, &w, &from), 0);
            assert_true(picture_spoil(w.data, w.size, 500, decode, &from) <= 8);
            writer_fini(&w);
            picture_free(&from);
        }
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
        cmocka_unit_test(test_spoilt),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
