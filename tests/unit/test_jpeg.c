#include "spice/codec/jpeg.h"
#include "tests/lib/recorded.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#define FOLDER "tests/data/codec/"

static struct jpeg *jpeg;
static struct lz *lz;

static int set_up(void **state)
{
    (void)state;
    jpeg = jpeg_codec_create();
    lz = lz_create();
    return jpeg && lz ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    jpeg_codec_destroy(jpeg);
    lz_destroy(lz);
    return 0;
}

/* Mean squared difference of the colours of two images of four-byte pixels. */
static double distance(const struct image *a, const struct image *b)
{
    uint64_t sum = 0;

    for (uint32_t y = 0; y < a->height; y++)
        for (uint32_t i = 0; i < 4 * a->width; i++) {
            int d = image_row(a, y)[i] - image_row(b, y)[i];
            sum += i % 4 == 3 ? 0 : (uint64_t)(d * d);
        }
    return (double)sum / a->width / a->height / 3;
}

static struct image widened(const struct image *image)
{
    struct image wide = picture_new(SPICE_BITMAP_FMT_32BIT, image->width, image->height, 0);

    for (uint32_t y = 0; y < image->height; y++)
        image_row_to_rgb32(image_row(&wide, y), image_row(image, y), image->format, image->width,
                           NULL);
    return wide;
}

static void round_trip(uint8_t format, uint32_t width, uint32_t height, uint32_t pad)
{
    struct image from = picture_new(format, width, height, pad), shape, want;
    struct image to = picture_new(SPICE_BITMAP_FMT_32BIT, width, height, pad);
    struct writer w;

    writer_init(&w, MIB(4));
    picture_draw(&from, PICTURE_GRADIENT, width);
    want = widened(&from);
    assert_int_equal(jpeg_encode(jpeg, &w, &from, 90), 0);
    assert_int_equal(jpeg_peek(jpeg, w.data, w.size, &shape), 0);
    assert_int_equal(shape.width, width);
    assert_int_equal(shape.height, height);
    assert_int_equal(jpeg_decode(jpeg, w.data, w.size, &to), 0);
    assert_true(distance(&want, &to) < 30);
    assert_int_equal(image_row(&to, height - 1)[4 * width - 1], 0);
    writer_fini(&w);
    picture_free(&from);
    picture_free(&to);
    picture_free(&want);
}

static void test_sizes(void **state)
{
    (void)state;
    for (uint8_t format = SPICE_BITMAP_FMT_16BIT; format <= SPICE_BITMAP_FMT_RGBA; format++)
        for (uint32_t width = 1; width <= 70; width += 3)
            round_trip(format, width, 1 + width * 7 % 40, width % 9);
}

static void test_alpha(void **state)
{
    struct image from = picture_new(SPICE_BITMAP_FMT_RGBA, 93, 47, 4);
    struct image to = picture_new(SPICE_BITMAP_FMT_RGBA, 93, 47, 0);
    struct writer w;
    size_t part;

    (void)state;
    writer_init(&w, KIB(64));
    picture_draw(&from, PICTURE_PHOTO, 4);
    assert_int_equal(jpeg_alpha_encode(jpeg, lz, &w, &from, 85, &part), 0);
    assert_int_equal(jpeg_alpha_decode(jpeg, lz, w.data, w.size, part, &to), 0);
    assert_true(distance(&from, &to) < 60);
    for (uint32_t y = 0; y < 47; y++)
        for (uint32_t x = 0; x < 93; x++)
            assert_int_equal(image_row(&from, y)[4 * x + 3], image_row(&to, y)[4 * x + 3]);
    for (size_t wrong = 0; wrong < w.size + 10; wrong += 7)
        if (wrong != part)
            assert_int_equal(jpeg_alpha_decode(jpeg, lz, w.data, w.size, wrong, &to), -EBADMSG);
    writer_fini(&w);
    picture_free(&from);
    picture_free(&to);
}

static void check_recorded(const char *path, size_t at_least)
{
    struct recorded record;
    struct reader r;
    uint8_t *file = recorded_load(path, &r);
    size_t n = 0;

    for (; recorded_next(&r, &record); n++) {
        struct image from = picture_new(record.format, record.width, record.height, 0);
        bool alpha = record.type == SPICE_IMAGE_TYPE_JPEG_ALPHA;
        struct image want, to = picture_new(alpha ? SPICE_BITMAP_FMT_RGBA : SPICE_BITMAP_FMT_32BIT,
                                            record.width, record.height, 0);

        picture_draw(&from, record.content, record.seed);
        want = widened(&from);
        if (alpha)
            assert_int_equal(
                jpeg_alpha_decode(jpeg, lz, record.data, record.size, record.extra, &to), 0);
        else
            assert_int_equal(jpeg_decode(jpeg, record.data, record.size, &to), 0);
        assert_true(distance(&want, &to) < 60);
        for (uint32_t y = 0; alpha && y < record.height; y++)
            for (uint32_t x = 0; x < record.width; x++)
                assert_int_equal(image_row(&from, y)[4 * x + 3], image_row(&to, y)[4 * x + 3]);
        picture_free(&from);
        picture_free(&to);
        picture_free(&want);
    }
    assert_true(n >= at_least);
    free(file);
}

static void test_recorded(void **state)
{
    (void)state;
    check_recorded(FOLDER "jpeg.pictures", 4);
    check_recorded(FOLDER "jpeg_alpha.pictures", 4);
}

static void test_refused(void **state)
{
    struct image from = picture_new(SPICE_BITMAP_FMT_32BIT, 100, 100, 0), other;
    struct writer w;

    (void)state;
    picture_draw(&from, PICTURE_NOISE, 1);
    writer_init(&w, 5000);
    writer_u32(&w, 42);
    assert_int_equal(jpeg_encode(jpeg, &w, &from, 90), -ENOSPC);
    assert_int_equal(w.size, 4);
    assert_int_equal(jpeg_encode(jpeg, &w, &from, 0), -EINVAL);
    w.max = KIB(64);
    assert_int_equal(jpeg_encode(jpeg, &w, &from, 90), 0);
    other = from;
    other.width = 99;
    assert_int_equal(jpeg_decode(jpeg, w.data + 4, w.size - 4, &other), -EBADMSG);
    assert_int_equal(jpeg_decode(jpeg, w.data + 4, w.size - 4, &from), 0);
    writer_fini(&w);
    picture_free(&from);
}

static int decode(void *opaque, const uint8_t *data, size_t size)
{
    return jpeg_decode(jpeg, data, size, opaque);
}

static void test_spoilt(void **state)
{
    struct image from = picture_new(SPICE_BITMAP_FMT_32BIT, 40, 33, 0);
    struct writer w;

    (void)state;
    writer_init(&w, KIB(64));
    picture_draw(&from, PICTURE_PHOTO, 7);
    assert_int_equal(jpeg_encode(jpeg, &w, &from, 80), 0);
    assert_int_equal(picture_spoil(w.data, w.size, 2000, decode, &from), 0);
    writer_fini(&w);
    picture_free(&from);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),    cmocka_unit_test(test_alpha),
        cmocka_unit_test(test_recorded), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_spoilt),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
