#include "tests/lib/codec_checks.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

void codec_round_trip(const struct codec_under_test *codec, uint8_t format, uint32_t width, uint32_t height,
                      uint32_t pad, enum picture_content content)
{
    struct image from = picture_new(format, width, height, pad), shape;
    struct image to = picture_new(format, width, height, pad / 2);
    struct writer w;

    writer_init(&w, MIB(64));
    picture_draw(&from, content, width * 31 + height);
    assert_int_equal(codec->encode(&w, &from), 0);
    assert_int_equal(codec->peek(w.data, w.size, &shape), 0);
    assert_int_equal(shape.width, width);
    assert_int_equal(shape.height, height);
    assert_int_equal(shape.format, format);
    assert_int_equal(codec->decode(&to, w.data, w.size), 0);
    if (!picture_equal(&from, &to))
        fail_msg("format %u, %ux%u, %s differs", format, width, height, picture_content_names[content]);
    writer_fini(&w);
    picture_free(&from);
    picture_free(&to);
}

void codec_all_sizes(const struct codec_under_test *codec)
{
    uint32_t random = 1;

    for (size_t f = 0; f < codec->format_count; f++)
        for (uint32_t width = 1; width <= 70; width++)
            for (int content = 0; content < PICTURE_CONTENTS; content++) {
                uint32_t height = 1 + picture_random(&random) % 40;

                codec_round_trip(codec, codec->formats[f], width, height, picture_random(&random) % 9, content);
            }
}

void codec_writer_too_small(const struct codec_under_test *codec, uint32_t width, uint32_t height, size_t room)
{
    struct image from = picture_new(SPICE_BITMAP_FMT_32BIT, width, height, 0);
    struct writer w;

    picture_draw(&from, PICTURE_NOISE, 1);
    writer_init(&w, room);
    writer_u32(&w, 42);
    assert_int_equal(codec->encode(&w, &from), -ENOSPC);
    assert_int_equal(w.size, 4);
    assert_false(w.bad);
    picture_draw(&from, PICTURE_FLAT, 1);
    assert_int_equal(codec->encode(&w, &from), 0);
    writer_fini(&w);
    picture_free(&from);
}

void codec_spoilt(const struct codec_under_test *codec, size_t whole)
{
    for (size_t f = 0; f < codec->format_count; f++)
        for (int content = 0; content < PICTURE_CONTENTS; content++) {
            struct image from = picture_new(codec->formats[f], 37, 11, 0);
            struct writer w;

            writer_init(&w, KIB(64));
            picture_draw(&from, content, 7);
            assert_int_equal(codec->encode(&w, &from), 0);
            assert_true(picture_spoil(w.data, w.size, 500, codec->decode, &from) <= whole);
            writer_fini(&w);
            picture_free(&from);
        }
}
