#include "spice/codec/glz.h"
#include "spice/codec/glz_deflate.h"
#include "spice/codec/glz_dictionary.h"
#include "spice/codec/glz_encode.h"
#include "spice/codec/glz_window.h"
#include "tests/lib/pictures.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static const uint8_t formats[] = {SPICE_BITMAP_FMT_16BIT, SPICE_BITMAP_FMT_24BIT,
                                  SPICE_BITMAP_FMT_32BIT, SPICE_BITMAP_FMT_RGBA};

/* An encoder, and the window of a client that is told everything it makes. */
struct pair {
    struct glz_encoder *encoder;
    struct glz_window *window;
    struct writer w;
    uint64_t id;
};

static void open_pair(struct pair *p, uint32_t window)
{
    *p = (struct pair){.encoder = glz_encoder_create(window), .window = glz_window_create(window)};
    assert_non_null(p->encoder);
    assert_non_null(p->window);
    writer_init(&p->w, MIB(64));
}

static void close_pair(struct pair *p)
{
    glz_encoder_destroy(p->encoder);
    glz_window_destroy(p->window);
    writer_fini(&p->w);
}

/* The form that a decoder has for the picture. */
static struct image decoded_form(const struct image *image)
{
    uint8_t format =
        image->format == SPICE_BITMAP_FMT_RGBA ? SPICE_BITMAP_FMT_RGBA : SPICE_BITMAP_FMT_32BIT;
    struct image to = picture_new(format, image->width, image->height, image->height % 3 * 4);

    for (uint32_t y = 0; y < image->height; y++)
        image_row_to_rgb32(image_row(&to, y), image_row(image, y), image->format, image->width,
                           NULL);
    return to;
}

/* Whether the stream gives the picture. */
static bool shows(struct glz_window *window, const struct writer *w, const struct image *image)
{
    struct image want = decoded_form(image),
                 got = picture_new(want.format, want.width, want.height, 0);
    bool good = glz_decode(window, w->data, w->size, &got) == 0 && picture_equal(&want, &got);

    picture_free(&want);
    picture_free(&got);
    return good;
}

/* Encode, decode, compare; returns the bytes. */
static size_t pass_on(struct pair *p, const struct image *image)
{
    writer_reset(&p->w);
    assert_int_equal(glz_encode(p->encoder, &p->w, image, &p->id), 0);
    if (!shows(p->window, &p->w, image))
        fail_msg("picture %u: format %u, %ux%u differs", (unsigned)p->id, image->format,
                 image->width, image->height);
    return p->w.size;
}

static size_t pass_on_drawn(struct pair *p, uint8_t format, uint32_t width, uint32_t height,
                            int content, uint32_t seed)
{
    struct image image = picture_new(format, width, height, seed % 7);
    size_t size;

    picture_draw(&image, content, seed);
    size = pass_on(p, &image);
    picture_free(&image);
    return size;
}

/* All formats in one dictionary, so that each finds the others' pictures. */
static void test_sizes(void **state)
{
    uint32_t random = 1;
    struct pair p;

    (void)state;
    open_pair(&p, 60000);
    for (uint32_t width = 1; width <= 70; width++)
        for (int content = 0; content < PICTURE_CONTENTS; content++)
            for (size_t f = 0; f < ARRAY_SIZE(formats); f++) {
                uint32_t height = 1 + picture_random(&random) % 40;

                pass_on_drawn(&p, formats[f], width, height, content, width % 5);
            }
    assert_int_equal(p.id, 70 * PICTURE_CONTENTS * ARRAY_SIZE(formats) - 1);
    close_pair(&p);
}

static void test_large(void **state)
{
    struct pair p;

    (void)state;
    open_pair(&p, GLZ_ENCODER_MAX_PIXELS);
    for (int content = 0; content < PICTURE_CONTENTS; content++)
        for (size_t f = 0; f < ARRAY_SIZE(formats); f++)
            pass_on_drawn(&p, formats[f], 801, 500, content, 3);
    close_pair(&p);
}

/* What was shown before costs next to nothing, be it the whole picture or a piece of it somewhere else. */
static void test_seen_before(void **state)
{
    struct image noise = picture_new(SPICE_BITMAP_FMT_32BIT, 500, 500, 0), piece = noise;
    struct pair p;
    size_t first;

    (void)state;
    open_pair(&p, 1 << 20);
    picture_draw(&noise, PICTURE_NOISE, 1);
    first = pass_on(&p, &noise);
    assert_true(first > 500 * 500 * 3);
    assert_true(pass_on(&p, &noise) < first / 20);
    piece.data += 100 * noise.stride + 4 * 77;
    piece.width = 300;
    piece.height = 200;
    assert_true(pass_on(&p, &piece) < 300 * 200 * 3 / 20);
    assert_int_equal(p.id, 2);
    picture_free(&noise);
    close_pair(&p);
}

/* Pictures fall out of a small window: what is out is not referred to, and the client is told to let go of it. */
static void test_small_window(void **state)
{
    uint32_t random = 7;
    struct pair p;

    (void)state;
    open_pair(&p, 3000);
    for (int i = 0; i < 4000; i++) {
        uint32_t width = 1 + picture_random(&random) % 60,
                 height = 1 + picture_random(&random) % 40;

        pass_on_drawn(&p, formats[picture_random(&random) % ARRAY_SIZE(formats)], width, height,
                      (int)(picture_random(&random) % PICTURE_CONTENTS),
                      picture_random(&random) % 4);
        assert_true(p.window->pixels <= 3000);
    }
    close_pair(&p);
}

/* More pictures than the dictionary has places for. */
static void test_many_tiny(void **state)
{
    struct pair p;

    (void)state;
    open_pair(&p, GLZ_ENCODER_MAX_PIXELS);
    for (uint32_t i = 0; i < GLZ_SOURCES + 1000; i++)
        pass_on_drawn(&p, SPICE_BITMAP_FMT_32BIT, 1 + i % 9, 3, PICTURE_NOISE, i % 50);
    assert_int_equal(load_be32(p.w.data + 29), GLZ_SOURCES - 1);
    close_pair(&p);
}

static void test_refusals(void **state)
{
    struct image large = picture_new(SPICE_BITMAP_FMT_32BIT, 101, 10, 0),
                 indexed = picture_new(SPICE_BITMAP_FMT_8BIT, 10, 10, 0);
    struct pair p;
    uint64_t id;

    (void)state;
    open_pair(&p, 1000);
    assert_int_equal(glz_encode(p.encoder, &p.w, &large, &id), -E2BIG);
    assert_int_equal(glz_encode(p.encoder, &p.w, &indexed, &id), -EINVAL);
    assert_int_equal(p.w.size, 0);
    large.width = 100;
    pass_on(&p, &large);
    assert_int_equal(p.id, 0);
    close_pair(&p);
    open_pair(&p, 0);
    large.width = large.height = 1;
    assert_int_equal(glz_encode(p.encoder, &p.w, &large, &id), -E2BIG);
    close_pair(&p);
    picture_free(&large);
    picture_free(&indexed);
}

/* Neither a failure nor a stream that is not sent leaves a gap in the ids, or anything that a later picture refers to. */
static void test_no_gaps(void **state)
{
    struct image noise = picture_new(SPICE_BITMAP_FMT_RGBA, 90, 50, 0);
    struct pair p;
    struct writer small;
    uint64_t id;

    (void)state;
    open_pair(&p, 10000);
    writer_init(&small, 9000);
    pass_on_drawn(&p, SPICE_BITMAP_FMT_RGBA, 80, 50, PICTURE_TEXT, 1);
    for (uint32_t i = 0; i < 50; i++) {
        picture_draw(&noise, PICTURE_NOISE, i);
        writer_reset(&small);
        writer_u32(&small, 42);
        assert_int_equal(glz_encode(p.encoder, &small, &noise, &id), -ENOSPC);
        assert_int_equal(small.size, 4);
        pass_on(&p, &noise);
        assert_int_equal(p.id, 1 + i);
        picture_draw(&noise, PICTURE_NOISE, i + 100);
        writer_reset(&p.w);
        assert_int_equal(glz_encode(p.encoder, &p.w, &noise, &id), 0);
        assert_int_equal(glz_withdraw(p.encoder, id - 1), -EBUSY);
        assert_int_equal(glz_withdraw(p.encoder, id), 0);
    }
    pass_on(&p, &noise);
    writer_fini(&small);
    picture_free(&noise);
    close_pair(&p);
}

static void test_reset(void **state)
{
    struct pair p;

    (void)state;
    open_pair(&p, 5000);
    for (int round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < 20; i++)
            pass_on_drawn(&p, SPICE_BITMAP_FMT_32BIT, 40, 30, PICTURE_TEXT, i % 3);
        assert_int_equal(p.id, 19);
        glz_encoder_reset(p.encoder);
        glz_window_clear(p.window);
    }
    close_pair(&p);
}

/* In zlib's form the pictures are the same, and smaller unless they are noise. */
static void test_deflated(void **state)
{
    struct glz_deflate *deflate = glz_deflate_create();
    struct writer small;
    struct pair p;

    (void)state;
    open_pair(&p, 500000);
    writer_init(&small, MIB(4));
    for (int i = 0; i < 4 * PICTURE_CONTENTS; i++) {
        struct image image = picture_new(SPICE_BITMAP_FMT_32BIT, 300, 200, 0), back;
        int err;

        picture_draw(&image, i % PICTURE_CONTENTS, (uint32_t)i);
        back = decoded_form(&image);
        writer_reset(&p.w);
        writer_reset(&small);
        writer_u32(&small, 42);
        assert_int_equal(glz_encode(p.encoder, &p.w, &image, &p.id), 0);
        err = glz_deflate(deflate, &small, p.w.data, p.w.size);
        assert_true(err == 0 || i % PICTURE_CONTENTS == PICTURE_NOISE);
        assert_true(err ? small.size == 4 : small.size - 4 < p.w.size);
        if (!err)
            err = glz_decode_zlib(p.window, small.data + 4, small.size - 4, p.w.size, &back);
        else
            err = glz_decode(p.window, p.w.data, p.w.size, &back);
        assert_int_equal(err, 0);
        assert_true(picture_equal(&image, &back));
        picture_free(&image);
        picture_free(&back);
    }
    assert_int_equal(glz_deflate(deflate, &small, p.w.data, 0), -ENOSPC);
    assert_int_equal(glz_deflate(deflate, &small, p.w.data, 99), -ENOSPC);
    writer_fini(&small);
    close_pair(&p);
    glz_deflate_destroy(deflate);
}

/* ---- several channels ---- */

#define CHANNELS 3
#define EACH     200

struct channel {
    struct glz_encoder *encoder;
    uint32_t seed;
    struct image pictures[EACH];
    struct writer streams[EACH];
    uint64_t ids[EACH];
};

static void *encode_many(void *arg)
{
    struct channel *c = arg;

    for (int i = 0; i < EACH; i++) {
        c->pictures[i] = picture_new(SPICE_BITMAP_FMT_32BIT, 64, 30, 0);
        picture_draw(&c->pictures[i], i % PICTURE_CONTENTS, c->seed + (uint32_t)i % 3);
        writer_init(&c->streams[i], MIB(1));
        if (glz_encode(c->encoder, &c->streams[i], &c->pictures[i], &c->ids[i]))
            abort();
    }
    return NULL;
}

/* Threads share a dictionary: each id is there once, and in their order the streams give the pictures. */
static void test_threads(void **state)
{
    static struct channel channels[CHANNELS];
    pthread_t threads[CHANNELS];
    int next[CHANNELS] = {0}, c;
    struct pair p;

    (void)state;
    open_pair(&p, 20000);
    for (c = 0; c < CHANNELS; c++) {
        channels[c] = (struct channel){.encoder = p.encoder, .seed = (uint32_t)c};
        assert_int_equal(pthread_create(&threads[c], NULL, encode_many, &channels[c]), 0);
    }
    for (c = 0; c < CHANNELS; c++)
        pthread_join(threads[c], NULL);
    for (uint64_t id = 0; id < CHANNELS * EACH; id++) {
        for (c = 0; c < CHANNELS; c++)
            if (next[c] < EACH && channels[c].ids[next[c]] == id)
                break;
        assert_true(c < CHANNELS);
        assert_true(shows(p.window, &channels[c].streams[next[c]], &channels[c].pictures[next[c]]));
        writer_fini(&channels[c].streams[next[c]]);
        picture_free(&channels[c].pictures[next[c]++]);
    }
    close_pair(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),       cmocka_unit_test(test_large),
        cmocka_unit_test(test_seen_before), cmocka_unit_test(test_small_window),
        cmocka_unit_test(test_many_tiny),   cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_no_gaps),     cmocka_unit_test(test_deflated),
        cmocka_unit_test(test_threads),     cmocka_unit_test(test_reset),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
