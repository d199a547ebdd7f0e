/* What libspice-server encoded (tests/data/codec) decodes to the pixels that were drawn, and QUIC encodes to its very bytes. */
#include "tests/lib/recorded.h"

#include "spice/codec/lz.h"
#include "spice/codec/lz4.h"
#include "spice/codec/quic.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#define FOLDER "tests/data/codec/"

static struct quic *quic;
static struct lz *lz;
static struct lz4 *lz4;

static int set_up(void **state)
{
    (void)state;
    quic = quic_create();
    lz = lz_create();
    lz4 = lz4_create();
    return quic && lz && lz4 ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    quic_destroy(quic);
    lz_destroy(lz);
    lz4_destroy(lz4);
    return 0;
}

static int decode(const struct recorded *r, const struct image *image)
{
    switch (r->type) {
    case SPICE_IMAGE_TYPE_QUIC:
        return quic_decode(quic, r->data, r->size, image);
    case SPICE_IMAGE_TYPE_LZ_RGB:
    case SPICE_IMAGE_TYPE_LZ_PLT:
        return lz_decode(lz, r->data, r->size, image, NULL);
    case SPICE_IMAGE_TYPE_LZ4:
        return lz4_decode(lz4, r->data, r->size, image);
    }
    return -1;
}

static void check_one(const struct recorded *r, const struct image *image)
{
    struct writer w;

    if (decode(r, image) || recorded_hash(image) != r->hash)
        fail_msg("type %u, format %u, %ux%u, %s is not what was drawn", r->type, r->format,
                 r->width, r->height, picture_content_names[r->content]);
    if (r->type != SPICE_IMAGE_TYPE_QUIC)
        return;
    writer_init(&w, MIB(4));
    assert_int_equal(quic_encode(quic, &w, image), 0);
    assert_int_equal(w.size, r->size);
    assert_memory_equal(w.data, r->data, r->size);
    writer_fini(&w);
}

static void check(const char *path, size_t at_least)
{
    struct recorded record;
    struct reader r;
    uint8_t *file = recorded_load(path, &r);
    size_t n = 0;

    for (; recorded_next(&r, &record); n++) {
        struct image image = picture_new(record.format, record.width, record.height, n % 3 * 4);

        check_one(&record, &image);
        picture_free(&image);
    }
    assert_true(n >= at_least);
    assert_int_equal(reader_left(&r), 0);
    free(file);
}

static void test_quic(void **state)
{
    (void)state;
    check(FOLDER "quic.pictures", 60);
    check(FOLDER "quic_large.pictures", 4);
}

static void test_lz(void **state)
{
    (void)state;
    check(FOLDER "lz.pictures", 50);
}

static void test_lz_plt(void **state)
{
    (void)state;
    check(FOLDER "lz_plt.pictures", 24);
}

static void test_lz4(void **state)
{
    (void)state;
    check(FOLDER "lz4.pictures", 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quic),
        cmocka_unit_test(test_lz),
        cmocka_unit_test(test_lz_plt),
        cmocka_unit_test(test_lz4),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
