#include "spice/codec/glz.h"
#include "spice/codec/glz_window.h"
#include "spice/codec/lz.h"
#include "tests/lib/recorded.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#define FOLDER "tests/data/codec/"

/* A stream made by hand. */
static void begin(struct writer *w, unsigned type, uint32_t width, uint32_t height, uint64_t id,
                  uint32_t oldest)
{
    const uint32_t words[] = {0x20205a4c, 0x00010001,           width,        height,
                              4 * width,  (uint32_t)(id >> 32), (uint32_t)id, oldest};

    writer_reset(w);
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        store_be32(writer_extend(w, 4), words[i]);
        if (i == 1)
            writer_u8(w, (uint8_t)(type | 0x10));
    }
}

static void literals(struct writer *w, uint8_t first, unsigned count)
{
    writer_u8(w, (uint8_t)(count - 1));
    for (unsigned i = 0; i < count; i++)
        writer_bytes(w, (uint8_t[]){(uint8_t)(first + i), 0, 0xee}, 3);
}

static int decode(struct glz_window *window, const struct writer *w, uint32_t width,
                  uint32_t height, uint32_t *out)
{
    struct image image = {(uint8_t *)out, width, height, 4 * width, SPICE_BITMAP_FMT_32BIT};

    return glz_decode(window, w->data, w->size, &image);
}

/* One picture of 8 pixels numbered from `first`. */
static void add_plain(struct glz_window *window, struct writer *w, uint64_t id, uint8_t first,
                      uint32_t oldest)
{
    uint32_t out[8];

    begin(w, LZ_TYPE_RGB32, 8, 1, id, oldest);
    literals(w, first, 8);
    assert_int_equal(decode(window, w, 8, 1, out), 0);
    assert_int_equal(out[7], 0xee0000 + first + 7);
}

static void test_across_pictures(void **state)
{
    struct glz_window *window = glz_window_create(1000);
    struct writer w;
    uint32_t out[8];

    (void)state;
    writer_init(&w, KIB(4));
    add_plain(window, &w, 5, 10, 0);
    add_plain(window, &w, 6, 50, 1);
    begin(&w, LZ_TYPE_RGB32, 8, 1, 7, 2);
    writer_bytes(&w, (uint8_t[]){3 << 5 | 2, 0, 2}, 3); /* 3 pixels from 2 of picture 5 */
    writer_bytes(&w, (uint8_t[]){2 << 5 | 0x10, 0, 1 << 6, 1},
                 4);                                    /* 2 from 0 of 6, the long form */
    writer_bytes(&w, (uint8_t[]){3 << 5 | 1, 0, 0}, 3); /* 3 from 2 back */
    assert_int_equal(decode(window, &w, 8, 1, out), 0);
    for (int i = 0; i < 8; i++)
        assert_int_equal(out[i] & 0xff, ((int[]){12, 13, 14, 50, 51, 50, 51, 50})[i]);
    /* that id again; one pixel more than the other picture has; before its start; past the end of this one */
    assert_int_equal(decode(window, &w, 8, 1, out), -EBADMSG);
    begin(&w, LZ_TYPE_RGB32, 4, 1, 8, 2);
    writer_bytes(&w, (uint8_t[]){4 << 5 | 5, 0, 1}, 3);
    assert_int_equal(decode(window, &w, 4, 1, out), -EBADMSG);
    begin(&w, LZ_TYPE_RGB32, 4, 1, 8, 2);
    writer_bytes(&w, (uint8_t[]){4 << 5 | 0, 0, 0}, 3);
    assert_int_equal(decode(window, &w, 4, 1, out), -EBADMSG);
    begin(&w, LZ_TYPE_RGB32, 4, 1, 8, 2);
    writer_bytes(&w, (uint8_t[]){5 << 5 | 0, 0, 1}, 3);
    assert_int_equal(decode(window, &w, 4, 1, out), -EBADMSG);
    writer_fini(&w);
    glz_window_destroy(window);
}

/* Two channels: a picture may come before the one it refers to. */
static void test_out_of_order(void **state)
{
    struct glz_window *window = glz_window_create(1000);
    struct writer w, late;
    uint32_t out[8];

    (void)state;
    writer_init(&w, KIB(4));
    writer_init(&late, KIB(4));
    add_plain(window, &w, 1, 10, 0);
    begin(&late, LZ_TYPE_RGB32, 2, 1, 4, 1);
    writer_bytes(&late, (uint8_t[]){2 << 5, 0, 1}, 3);
    assert_int_equal(decode(window, &late, 2, 1, out), -EAGAIN);
    add_plain(window, &w, 3, 30, 0);
    assert_int_equal(window->next, 2);
    assert_int_equal(decode(window, &late, 2, 1, out), 0);
    assert_int_equal(out[1], 0xee0000 + 31);
    /* picture 4 needs none before 3, but 2 is still under way and may */
    assert_non_null(glz_window_find(window, 1));
    add_plain(window, &w, 2, 20, 0);
    assert_null(glz_window_find(window, 1));
    assert_int_equal(window->next, 5);
    /* what was let go will not come again */
    begin(&late, LZ_TYPE_RGB32, 2, 1, 5, 1);
    writer_bytes(&late, (uint8_t[]){2 << 5, 0, 4}, 3);
    assert_int_equal(decode(window, &late, 2, 1, out), -EBADMSG);
    writer_fini(&w);
    writer_fini(&late);
    glz_window_destroy(window);
}

/* A server that never lets go of pictures, and one that skips ids: memory stays within twice the window. */
static void test_window_is_bounded(void **state)
{
    struct glz_window *window = glz_window_create(10000);
    struct writer w;
    uint32_t out[1000];

    (void)state;
    writer_init(&w, KIB(4));
    for (uint64_t id = 0; id < 5000; id++) {
        begin(&w, LZ_TYPE_RGB32, 100, 10, id * 4096, 0);
        literals(&w, 1, 1);
        writer_bytes(&w, (uint8_t[]){7 << 5, 255, 255, 255, 999 - 7 - 765, 0, 0}, 7);
        assert_int_equal(decode(window, &w, 100, 10, out), 0);
        assert_int_equal(out[999], 0xee0001);
        assert_true(window->pixels <= 20000);
    }
    glz_window_clear(window);
    assert_int_equal(window->pixels, 0);
    for (uint64_t id = 0; id < 5000; id++)
        add_plain(window, &w, id * 3, 1, 0);
    assert_true(window->pixels <= 20000);
    writer_fini(&w);
    glz_window_destroy(window);
}

/* ---- what libspice-server made ---- */

/* The picture as it was drawn, in the form that GLZ has for it. */
static struct image drawn(const struct recorded *r)
{
    struct image image = picture_new(r->format, r->width, r->height, 0), wide;

    picture_draw(&image, r->content, r->seed);
    assert_int_equal(recorded_hash(&image), r->hash);
    if (r->format == SPICE_BITMAP_FMT_RGBA)
        return image;
    wide = picture_new(SPICE_BITMAP_FMT_32BIT, r->width, r->height, 0);
    for (uint32_t y = 0; y < r->height; y++)
        image_row_to_rgb32(image_row(&wide, y), image_row(&image, y), r->format, r->width, NULL);
    picture_free(&image);
    return wide;
}

static int decode_recorded(struct glz_window *window, const struct recorded *r, const uint8_t *data,
                           size_t size, const struct image *image)
{
    if (r->type == SPICE_IMAGE_TYPE_ZLIB_GLZ_RGB)
        return glz_decode_zlib(window, data, size, r->extra, image);
    return glz_decode(window, data, size, image);
}

static void check_recorded(const char *path, size_t at_least)
{
    struct glz_window *window = glz_window_create(4000000);
    struct recorded record;
    struct reader r;
    uint8_t *file = recorded_load(path, &r);
    size_t n = 0;

    for (; recorded_next(&r, &record); n++) {
        struct image want = drawn(&record);
        struct image got = picture_new(want.format, want.width, want.height, n % 3 * 4);

        assert_int_equal(decode_recorded(window, &record, record.data, record.size, &got), 0);
        if (!picture_equal(&want, &got))
            fail_msg("format %u, %ux%u, %s is not what was drawn", record.format, record.width,
                     record.height, picture_content_names[record.content]);
        picture_free(&want);
        picture_free(&got);
    }
    assert_true(n >= at_least);
    glz_window_destroy(window);
    free(file);
}

static void test_recorded(void **state)
{
    (void)state;
    check_recorded(FOLDER "glz.pictures", 24);
}

static void test_recorded_zlib(void **state)
{
    (void)state;
    check_recorded(FOLDER "zlib_glz.pictures", 8);
}

struct spoil {
    const struct recorded *first, *second;
};

/* The second record's data may be anything; the first is there to be referred to. */
static int decode_spoilt(void *opaque, const uint8_t *data, size_t size)
{
    const struct spoil *spoil = opaque;
    struct glz_window *window = glz_window_create(4000000);
    struct image a =
        picture_new(SPICE_BITMAP_FMT_32BIT, spoil->first->width, spoil->first->height, 0);
    struct image b =
        picture_new(SPICE_BITMAP_FMT_32BIT, spoil->second->width, spoil->second->height, 0);
    int err;

    decode_recorded(window, spoil->first, spoil->first->data, spoil->first->size, &a);
    err = decode_recorded(window, spoil->second, data, size, &b);
    picture_free(&a);
    picture_free(&b);
    glz_window_destroy(window);
    return err;
}

static void spoil_file(const char *path, uint8_t content)
{
    struct recorded records[2];
    struct spoil spoil = {&records[0], &records[1]};
    struct reader r;
    uint8_t *file = recorded_load(path, &r);
    int n = 0;

    while (n < 2 && recorded_next(&r, &records[n]))
        if (records[n].format == SPICE_BITMAP_FMT_32BIT && records[n].content == content)
            n++;
    assert_int_equal(n, 2);
    assert_int_equal(decode_spoilt(&spoil, records[1].data, records[1].size), 0);
    assert_int_equal(picture_spoil(records[1].data, records[1].size, 2000, decode_spoilt, &spoil),
                     0);
    free(file);
}

static void test_spoilt(void **state)
{
    (void)state;
    spoil_file(FOLDER "glz.pictures", PICTURE_TEXT);
    spoil_file(FOLDER "zlib_glz.pictures", PICTURE_TEXT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_across_pictures),   cmocka_unit_test(test_out_of_order),
        cmocka_unit_test(test_window_is_bounded), cmocka_unit_test(test_recorded),
        cmocka_unit_test(test_recorded_zlib),     cmocka_unit_test(test_spoilt),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
