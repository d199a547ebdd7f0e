#include "spice/codec/content.h"
#include "spice/codec/lz.h"
#include "spice/codec/quic.h"
#include "tests/lib/pictures.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static const uint8_t formats[] = {SPICE_BITMAP_FMT_16BIT, SPICE_BITMAP_FMT_24BIT,
                                  SPICE_BITMAP_FMT_32BIT, SPICE_BITMAP_FMT_RGBA};

static void check(uint8_t format, uint32_t width, uint32_t height, int content, bool gradual)
{
    struct image image = picture_new(format, width, height, 0);

    picture_draw(&image, content, 3);
    if (content_is_gradual(&image) != gradual)
        fail_msg("%s of %ux%u, format %u: %s", picture_content_names[content], width, height,
                 format, gradual ? "not seen as gradual" : "seen as gradual");
    picture_free(&image);
}

static void test_kinds(void **state)
{
    static const uint32_t sizes[][2] = {{1920, 1080}, {640, 33}, {100, 100}, {33, 200}};

    (void)state;
    for (size_t f = 0; f < ARRAY_SIZE(formats); f++)
        for (size_t s = 0; s < ARRAY_SIZE(sizes); s++) {
            check(formats[f], sizes[s][0], sizes[s][1], PICTURE_FLAT, false);
            check(formats[f], sizes[s][0], sizes[s][1], PICTURE_TEXT, false);
            check(formats[f], sizes[s][0], sizes[s][1], PICTURE_UI, false);
            check(formats[f], sizes[s][0], sizes[s][1], PICTURE_NOISE, false);
            /* At five bits a smooth picture is steps, which suit LZ as well. */
            if (formats[f] != SPICE_BITMAP_FMT_16BIT) {
                check(formats[f], sizes[s][0], sizes[s][1], PICTURE_GRADIENT, true);
                check(formats[f], sizes[s][0], sizes[s][1], PICTURE_PHOTO, true);
            }
        }
}

/* The choice never costs more than half again of what the better codec needs. */
static void test_choice_is_good(void **state)
{
    struct quic *quic = quic_create();
    struct lz *lz = lz_create();

    (void)state;
    for (int content = 0; content < PICTURE_CONTENTS; content++) {
        struct image image = picture_new(SPICE_BITMAP_FMT_32BIT, 800, 600, 0);
        struct writer a, b;
        size_t chosen;

        writer_init(&a, MIB(4));
        writer_init(&b, MIB(4));
        picture_draw(&image, content, 9);
        assert_int_equal(quic_encode(quic, &a, &image), 0);
        assert_int_equal(lz_encode(lz, &b, &image), 0);
        chosen = content_is_gradual(&image) ? a.size : b.size;
        assert_true(chosen * 2 <= 3 * MIN(a.size, b.size));
        writer_fini(&a);
        writer_fini(&b);
        picture_free(&image);
    }
    quic_destroy(quic);
    lz_destroy(lz);
}

static void test_tiny_and_odd(void **state)
{
    (void)state;
    for (uint32_t width = 1; width < 20; width++)
        for (uint32_t height = 1; height < 4; height++)
            check(SPICE_BITMAP_FMT_32BIT, width, height, PICTURE_FLAT, false);
    check(SPICE_BITMAP_FMT_8BIT, 100, 100, PICTURE_GRADIENT, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_choice_is_good),
        cmocka_unit_test(test_tiny_and_odd),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
