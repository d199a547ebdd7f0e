/* Frames through each codec and back: how near they come, what they take, and what spoilt ones do. */
#include "spice/codec/video.h"
#include "spice/codec/yuv.h"
#include "tests/lib/pictures.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define RICH 100000000u /* bits a second: quality alone decides */

static const uint8_t codecs[] = {SPICE_VIDEO_CODEC_TYPE_MJPEG, SPICE_VIDEO_CODEC_TYPE_VP8,
                                 SPICE_VIDEO_CODEC_TYPE_H264};

static double psnr(const struct image *a, const struct image *b)
{
    uint64_t sum = 0;

    for (uint32_t y = 0; y < a->height; y++)
        for (uint32_t i = 0; i < 4 * a->width; i++) {
            int d = i % 4 == 3 ? 0 : image_row(a, y)[i] - image_row(b, y)[i];

            sum += (uint64_t)(d * d);
        }
    return sum ? 10 * log10(255.0 * 255 * 3 * a->width * a->height / (double)sum) : 99;
}

/* A photograph that goes by, a little each frame. */
static void draw(const struct image *frame, const struct image *photo, uint32_t number)
{
    for (uint32_t y = 0; y < frame->height; y++)
        memcpy(image_row(frame, y), image_row(photo, y + 7 * number % 32) + 4 * (11 * number % 64),
               4 * frame->width);
}

static struct image new_photo(uint32_t width, uint32_t height)
{
    struct image photo = picture_new(SPICE_BITMAP_FMT_32BIT, width + 64, height + 32, 0);

    picture_draw(&photo, PICTURE_PHOTO, 1);
    return photo;
}

struct play {
    struct image photo, frame, shown;
    struct video_encoder *encoder;
    struct video_decoder *decoder;
    struct writer w;
    uint32_t number;
};

static void play_start(struct play *p, uint8_t codec, uint32_t width, uint32_t height)
{
    *p = (struct play){.photo = new_photo(width, height),
                       .frame = picture_new(SPICE_BITMAP_FMT_32BIT, width, height, 8),
                       .shown = picture_new(SPICE_BITMAP_FMT_32BIT, width, height, 4),
                       .encoder = video_encoder_create(codec, width, height),
                       .decoder = video_decoder_create(codec)};
    assert_non_null(p->encoder);
    assert_non_null(p->decoder);
    writer_init(&p->w, MIB(64));
}

static void play_end(struct play *p)
{
    video_encoder_destroy(p->encoder);
    video_decoder_destroy(p->decoder);
    picture_free(&p->photo);
    picture_free(&p->frame);
    picture_free(&p->shown);
    writer_fini(&p->w);
}

/* The next frame; how well it is shown. */
static double play_frame(struct play *p, uint32_t bits_per_s, bool key)
{
    struct video_wish wish = {bits_per_s, p->number * 33, key};

    draw(&p->frame, &p->photo, p->number++);
    writer_reset(&p->w);
    assert_int_equal(video_encode(p->encoder, &p->w, &p->frame, &wish), 0);
    assert_int_equal(video_decode(p->decoder, p->w.data, p->w.size, &p->shown), 0);
    return psnr(&p->frame, &p->shown);
}

static void check_size(uint8_t codec, uint32_t width, uint32_t height)
{
    struct play p;

    play_start(&p, codec, width, height);
    for (int i = 0; i < 5; i++)
        assert_true(play_frame(&p, RICH, i == 3) > 32);
    play_end(&p);
}

static void test_sizes(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_SIZE(codecs); i++) {
        if (!video_can_encode(codecs[i]))
            continue;
        check_size(codecs[i], 16, 16);
        check_size(codecs[i], 322, 178);
        check_size(codecs[i], 130, 600); /* the other matrix */
        if (codecs[i] == SPICE_VIDEO_CODEC_TYPE_H264)
            assert_null(video_encoder_create(codecs[i], 321, 178));
        else
            check_size(codecs[i], 321, 177);
        assert_null(video_encoder_create(codecs[i], 15, 100));
        assert_null(video_encoder_create(codecs[i], IMAGE_MAX_SIDE + 1, 100));
    }
    assert_false(video_can_encode(SPICE_VIDEO_CODEC_TYPE_VP9));
    assert_true(video_can_decode(SPICE_VIDEO_CODEC_TYPE_VP9));
    assert_false(video_can_decode(0) || video_can_decode(SPICE_VIDEO_CODEC_TYPE_H265) ||
                 video_can_decode(255));
}

/* Pure colours come through, whatever the matrix. */
static void test_colours(void **state UNUSED)
{
    static const uint32_t colours[] = {0, 0xffffff, 0xff0000, 0xff00, 0xff, 0x808080, 0x123456};

    for (uint32_t height = 64; height <= 640; height += 576)
        for (size_t i = 0; i < ARRAY_SIZE(colours); i++) {
            struct image a = picture_new(SPICE_BITMAP_FMT_32BIT, 33, height, 0);
            struct image b = picture_new(SPICE_BITMAP_FMT_32BIT, 33, height, 0);
            uint8_t *memory = malloc(33 * 640 + 2 * 17 * 320);
            struct yuv planes = {{memory, memory + 33 * 640, memory + 33 * 640 + 17 * 320},
                                 {33, 17, 17}};

            for (size_t k = 0; k < (size_t)33 * height; k++)
                store_le32(a.data + 4 * k, colours[i]);
            yuv_from_image(&planes, &a);
            yuv_to_image(&b, &planes);
            assert_true(psnr(&a, &b) > 45);
            free(memory);
            picture_free(&a);
            picture_free(&b);
        }
}

/* Each keeps to a rate that is short, and recovers its quality when it is not. */
static void test_rate(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_SIZE(codecs); i++) {
        const uint32_t poor = codecs[i] == SPICE_VIDEO_CODEC_TYPE_MJPEG ? 700000 : 120000;
        size_t bytes = 0;
        double good = 0, bad = 0, again = 0;
        struct play p;

        if (!video_can_encode(codecs[i]))
            continue;
        play_start(&p, codecs[i], 320, 240);
        for (int k = 0; k < 30; k++)
            good = play_frame(&p, RICH, false);
        for (int k = 0; k < 90; k++) {
            bad = play_frame(&p, poor, false);
            bytes += k >= 30 ? p.w.size : 0;
        }
        for (int k = 0; k < 60; k++)
            again = play_frame(&p, RICH, false);
        print_message("codec %u: %.1f dB, %.1f dB at %.0f kbit/s, %.1f dB\n", codecs[i], good, bad,
                      (double)bytes * 8 / (60 * 33), again);
        assert_true(bytes * 8 / (60 * 33) < poor / 1000 * 5 / 4);
        assert_true(good > bad + 1 && again > bad + 1);
        play_end(&p);
    }
}

/* --- spoilt frames --- */

struct spoilt {
    struct video_decoder *decoder;
    struct image shown;
};

static int try_decode(void *opaque, const uint8_t *data, size_t size)
{
    struct spoilt *s = opaque;

    return video_decode(s->decoder, data, size, &s->shown);
}

static void test_spoilt(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_SIZE(codecs); i++) {
        struct play p;
        struct spoilt s;

        if (!video_can_encode(codecs[i]))
            continue;
        play_start(&p, codecs[i], 64, 48);
        play_frame(&p, RICH, true);
        s = (struct spoilt){p.decoder, p.shown};
        picture_spoil(p.w.data, p.w.size, 300, try_decode, &s);
        assert_int_not_equal(video_decode(p.decoder, p.w.data, 0, &p.shown), 0);
        assert_true(play_frame(&p, RICH, true) >
                    32); /* one that needs none before it puts all right */
        play_end(&p);
    }
}

/* A frame of another size than the stream's is refused. */
static void test_other_size(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_SIZE(codecs); i++) {
        struct image other = picture_new(SPICE_BITMAP_FMT_32BIT, 48, 64, 0);
        struct play p;

        if (!video_can_encode(codecs[i]))
            continue;
        play_start(&p, codecs[i], 64, 48);
        play_frame(&p, RICH, true);
        assert_int_equal(video_decode(p.decoder, p.w.data, p.w.size, &other), -EBADMSG);
        assert_int_equal(video_encode(p.encoder, &p.w, &other, &(struct video_wish){RICH}),
                         -EINVAL);
        picture_free(&other);
        play_end(&p);
    }
}

/* Frames of a part: where each stands alone, and no larger than was said at first. */
static void test_part(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_SIZE(codecs); i++) {
        struct image part = picture_new(SPICE_BITMAP_FMT_32BIT, 40, 48, 0);
        struct play p;
        int err;

        if (!video_can_encode(codecs[i]))
            continue;
        assert_int_equal(video_any_size(codecs[i]), codecs[i] == SPICE_VIDEO_CODEC_TYPE_MJPEG);
        play_start(&p, codecs[i], 64, 48);
        play_frame(&p, RICH, true);
        writer_reset(&p.w);
        err = video_encode(p.encoder, &p.w, &part, &(struct video_wish){RICH});
        assert_int_equal(err, video_any_size(codecs[i]) ? 0 : -EINVAL);
        if (!err)
            assert_int_equal(video_decode(p.decoder, p.w.data, p.w.size, &part), 0);
        picture_free(&part);
        play_end(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),      cmocka_unit_test(test_colours),
        cmocka_unit_test(test_rate),       cmocka_unit_test(test_spoilt),
        cmocka_unit_test(test_other_size), cmocka_unit_test(test_part),
    };

    return cmocka_run_group_tests_name("video", tests, NULL, NULL);
}
