/* Which codec has a form for which format, and that each refuses the others, what is no format, and impossible sizes. */
#include "spice/codec/glz_encode.h"
#include "spice/codec/jpeg.h"
#include "spice/codec/lz.h"
#include "spice/codec/lz4.h"
#include "spice/codec/quic.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static struct lz *lz;
static struct lz4 *lz4;
static struct quic *quic;
static struct jpeg *jpeg;
static struct glz_encoder *glz;

static int put_lz(struct writer *w, const struct image *image)
{
    return lz_encode(lz, w, image);
}

static int put_lz_alpha(struct writer *w, const struct image *image)
{
    return lz_encode_alpha(lz, w, image);
}

static int put_lz4(struct writer *w, const struct image *image)
{
    return lz4_encode(lz4, w, image, 1);
}

static int put_quic(struct writer *w, const struct image *image)
{
    return quic_encode(quic, w, image);
}

static int put_glz(struct writer *w, const struct image *image)
{
    uint64_t id;

    return glz_encode(glz, w, image, &id);
}

static int put_jpeg(struct writer *w, const struct image *image)
{
    return jpeg_encode(jpeg, w, image, 80);
}

static int put_jpeg_alpha(struct writer *w, const struct image *image)
{
    size_t size;

    return jpeg_alpha_encode(jpeg, lz, w, image, 80, &size);
}

#define BIT(format) (1u << SPICE_BITMAP_FMT_##format)
#define INDEXED     (BIT(1BIT_LE) | BIT(1BIT_BE) | BIT(4BIT_LE) | BIT(4BIT_BE) | BIT(8BIT))
#define COLORS      (BIT(16BIT) | BIT(24BIT) | BIT(32BIT) | BIT(RGBA))

static const struct {
    int (*encode)(struct writer *w, const struct image *image);
    uint32_t formats;
} codecs[] = {
    {put_lz, INDEXED | COLORS | BIT(8BIT_A)},
    {put_lz_alpha, BIT(RGBA)},
    {put_lz4, COLORS},
    {put_quic, COLORS | BIT(8BIT_A)},
    {put_glz, COLORS},
    {put_jpeg, COLORS},
    {put_jpeg_alpha, BIT(RGBA)},
};

static int set_up(void **state)
{
    (void)state;
    lz = lz_create();
    lz4 = lz4_create();
    quic = quic_create();
    jpeg = jpeg_codec_create();
    glz = glz_encoder_create(10000);
    return lz && lz4 && quic && jpeg && glz ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    lz_destroy(lz);
    lz4_destroy(lz4);
    quic_destroy(quic);
    jpeg_codec_destroy(jpeg);
    glz_encoder_destroy(glz);
    return 0;
}

static void test_formats(void **state)
{
    uint8_t pixels[4 * 8 * 8] = {0};

    (void)state;
    for (size_t c = 0; c < ARRAY_SIZE(codecs); c++)
        for (unsigned format = 0; format < 256; format++) {
            struct image image = {pixels, 8, 8, 32, (uint8_t)format};
            bool fit = format < 32 && codecs[c].formats >> format & 1;
            struct writer w;

            writer_init(&w, KIB(64));
            assert_int_equal(codecs[c].encode(&w, &image), fit ? 0 : -EINVAL);
            assert_int_equal(w.size != 0, fit);
            writer_fini(&w);
        }
}

static void test_sizes(void **state)
{
    static const uint32_t bad[][3] = {
        {0, 1, 4},
        {1, 0, 4},
        {2, 1, 7},
        {IMAGE_MAX_SIDE + 1, 1, UINT32_MAX},
        {1, IMAGE_MAX_SIDE + 1, 4},
        {IMAGE_MAX_SIDE, IMAGE_MAX_SIDE, 4 * IMAGE_MAX_SIDE},
    };
    uint8_t pixels[4] = {0};

    (void)state;
    for (size_t c = 0; c < ARRAY_SIZE(codecs); c++)
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
            struct image image = {pixels, bad[i][0], bad[i][1], bad[i][2], SPICE_BITMAP_FMT_RGBA};
            struct writer w;

            writer_init(&w, KIB(64));
            assert_int_equal(codecs[c].encode(&w, &image), -EINVAL);
            assert_int_equal(w.size, 0);
            writer_fini(&w);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formats),
        cmocka_unit_test(test_sizes),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
