/* Video: what becomes a stream and what does not, seen by a client that looks at every pixel. */
#include "spice/codec/video.h"
#include "tests/lib/spice_rig.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define FRAME_MS 33
#define PATIENCE 600  /* frames */
#define STOPPED_MS 9000 /* until all is full that is sent without an answer, and then some seconds */
#define REST_MS  2500 /* then all is exact; by itself it takes half a second and a little */
#define VIDEO_CAPS                                                                                 \
    (1u << SPICE_DISPLAY_CAP_MULTI_CODEC | 1u << SPICE_DISPLAY_CAP_CODEC_MJPEG |                   \
     1u << SPICE_DISPLAY_CAP_CODEC_VP8 | 1u << SPICE_DISPLAY_CAP_STREAM_REPORT)

static const struct rect film = {101, 83, 442, 300}; /* no edge is that of a strip */
static struct rig rig;
static struct peer m, p;
static struct peer_screen s;
static uint32_t session, number;

static void join(uint32_t caps, enum streaming streaming, const char *codecs)
{
    const struct spice_config config = {
        .name = "rig", .streaming = streaming, .video_codecs = codecs};

    rig_start(&rig, &config);
    m = (struct peer){0};
    p = (struct peer){.caps = caps};
    s = (struct peer_screen){0};
    number = 0;
    fake_display_draw(&rig.display, "text");
    session = rig_main(&rig, &m);
    rig_join_display(&rig, &p, session);
    assert_true(rig_catch_up(&rig, &p, &s));
}

static void leave(void)
{
    peer_screen_fini(&s);
    peer_close(&p);
    peer_close(&m);
    rig_stop(&rig);
}

/* After a failure, too. */
static int clean_up(void **state UNUSED)
{
    if (rig.server)
        leave();
    return 0;
}

static uint64_t now_ms(void)
{
    return uv_hrtime() / 1000000;
}

/* Apply what comes for so long. */
static void look(int ms)
{
    struct pollfd readable = {.fd = p.fd, .events = POLLIN};
    const struct spice_msg_info *info;
    uint64_t until = now_ms() + ms;
    void *msg;

    for (int64_t left = ms; left > 0; left = (int64_t)(until - now_ms())) {
        if (poll(&readable, 1, (int)left) != 1)
            continue;
        info = peer_receive(&p, &msg, PEER_TIMEOUT_MS);
        assert_non_null(info);
        peer_screen_apply(&s, info, msg);
    }
}

static void play(struct rect where, unsigned frames, bool tiles)
{
    for (unsigned i = 0; i < frames; i++) {
        fake_display_film(&rig.display, where, number++, tiles);
        look(FRAME_MS);
    }
}

/* Until it is a stream, of so many frames: sanitizers and other programs may make all of this slow. */
static const struct peer_stream *play_until_streamed(struct rect where, uint8_t codec, bool tiles)
{
    const struct peer_stream *stream = NULL;

    for (unsigned i = 0; i < PATIENCE; i++) {
        play(where, 1, tiles);
        stream = peer_only_stream(&s);
        if (stream && stream->codec == codec && stream->frames >= 10)
            return stream;
    }
    fail_msg("no stream of codec %u", codec);
    return NULL;
}

/*
 * Of the pixels in `in` but not in `out`: the mean of the squared differences from what is drawn. No other thread has these, and to
 * watch each byte would take so long that films stand still.
 */
__attribute__((no_sanitize("thread"))) static double error_of(struct rect in, struct rect out)
{
    uint32_t width, height;
    uint8_t *rgb = fake_display_rgb(&rig.display, &width, &height);
    uint64_t sum = 0, count = 0;

    for (int32_t y = in.top; y < in.bottom; y++)
        for (int32_t x = in.left; x < in.right; x++) {
            if (x >= out.left && x < out.right && y >= out.top && y < out.bottom)
                continue;
            for (int k = 0; k < 3; k++) {
                int d = rgb[((size_t)y * width + x) * 3 + k] -
                        s.pixels[((size_t)y * width + x) * 4 + 2 - k];

                sum += (uint64_t)(d * d);
            }
            count += 3;
        }
    free(rgb);
    return (double)sum / (double)count;
}

static const struct rect all = {0, 0, 640, 480}, nothing = {0};

static bool exact(struct rect in, struct rect out)
{
    return error_of(in, out) == 0;
}

static void expect_rest(void)
{
    for (uint64_t until = now_ms() + REST_MS; !exact(all, nothing) && now_ms() < until;)
        look(20);
    assert_true(exact(all, nothing));
}

/* Until a frame is shown well, but not exactly: on a busy computer it comes late, or not before the stream has ended. */
static void play_until_seen(uint8_t codec, bool tiles)
{
    double error = 0;

    for (unsigned i = 0; i < PATIENCE / 30; i++) {
        play_until_streamed(film, codec, tiles);
        for (uint64_t until = now_ms() + REST_MS; now_ms() < until && !exact(all, nothing);) {
            error = error_of(film, nothing);
            if (error > 0 && error < 25)
                return;
            look(5);
        }
    }
    fail_msg("what is shown of the film differs by %f", error);
}

/* Streamed to the pixel and well, in this codec; exact soon after the last frame; and again when it goes on. */
static void check_film(uint32_t caps, const char *codecs, uint8_t codec, bool tiles)
{
    join(caps, STREAMING_FILTER, codecs);
    for (int again = 0; again < 2; again++) {
        const struct peer_stream *stream = play_until_streamed(film, codec, tiles);
        uint64_t bytes;

        assert_memory_equal(&stream->dest, &film, sizeof(film));
        play_until_seen(codec, tiles);
        assert_true(exact(all, film));
        expect_rest();
        assert_null(peer_only_stream(&s));
        look(500); /* what else was not exact, though it looks so */
        bytes = p.bytes;
        look(700);
        assert_int_equal(p.bytes, bytes);
    }
    leave();
}

static void test_film(void **state UNUSED)
{
    check_film(VIDEO_CAPS, NULL, SPICE_VIDEO_CODEC_TYPE_VP8, false);
    check_film(VIDEO_CAPS, NULL, SPICE_VIDEO_CODEC_TYPE_VP8, true);
    check_film(VIDEO_CAPS, "mjpeg,vp8", SPICE_VIDEO_CODEC_TYPE_MJPEG, true);
    check_film(0, NULL, SPICE_VIDEO_CODEC_TYPE_MJPEG, false);
}

/* A client on this host gets exact pictures, unless it is said otherwise; with no codec in common everybody does. */
static void check_none(uint32_t caps, enum streaming streaming, const char *codecs)
{
    join(caps, streaming, codecs);
    play(film, 40, false);
    assert_int_equal(s.streams_begun, 0);
    assert_true(rig_catch_up(&rig, &p, &s));
    leave();
}

static void test_off(void **state UNUSED)
{
    check_none(VIDEO_CAPS, STREAMING_AUTO, NULL);
    check_none(VIDEO_CAPS, STREAMING_OFF, NULL);
    check_none(1u << SPICE_DISPLAY_CAP_MULTI_CODEC, STREAMING_FILTER, NULL);
    check_none(0, STREAMING_FILTER, "vp8");
}

/* Text beside the film, over it and in the tiles that its edges cut is exact whenever it changes. */
static const struct rect over = {192, 160, 320, 224};

/* A film with a hole, in which a window lies. */
static void play_around(unsigned frames)
{
    const struct rect parts[] = {{film.left, film.top, film.right, over.top},
                                 {film.left, over.bottom, film.right, film.bottom},
                                 {film.left, over.top, over.left, over.bottom},
                                 {over.right, over.top, film.right, over.bottom}};

    for (; frames; frames--, number++) {
        for (size_t k = 0; k < ARRAY_SIZE(parts); k++)
            fake_display_film(&rig.display, parts[k], number, false);
        look(FRAME_MS);
    }
}

static void test_text_beside(void **state UNUSED)
{
    const struct rect beside = {442, 96, 460, 112}, above = {96, 66, 300, 83};

    join(VIDEO_CAPS, STREAMING_FILTER, NULL);
    fake_display_fill(&rig.display, over, 0x202020);
    for (uint32_t i = 0; i < 12; i++) {
        const struct rect letter = {over.left + 8 + i * 8, over.top + 8, over.left + 14 + i * 8,
                                    over.top + 20};

        fake_display_fill(&rig.display, letter, 0xe0e0e0);
        fake_display_fill(&rig.display, beside, i * 0x10305);
        fake_display_fill(&rig.display, above, i * 0x30501);
        for (int k = 0; k < 6 || (k < PATIENCE && !(exact(all, film) && exact(over, nothing))); k++) {
            play_around(1);
            look(k < 30 ? 0 : k); /* a computer that is too busy for the film's pace gets a slower one */
        }
        assert_true(exact(all, film) && exact(over, nothing));
    }
    for (int i = 0; i < PATIENCE && s.frames < 20; i++)
        play_around(1);
    assert_true(s.frames >= 20);
    assert_true(exact(over, nothing));
    expect_rest();
    leave();
}

/* Rows of letters, each time others. */
static void write_over(uint32_t turn)
{
    fake_display_fill(&rig.display, over, 0x202020);
    for (int32_t y = over.top + 2; y + 12 <= over.bottom; y += 16)
        for (int32_t x = over.left + 1; x + 6 <= over.right; x += 8, turn = turn * 5 + 3) {
            const struct rect letter = {x, y + (int32_t)(turn >> 4 & 3), x + 2 + (int32_t)(turn & 3), y + 12};

            fake_display_fill(&rig.display, letter, 0xe0e0e0);
        }
}

static unsigned live_streams(void)
{
    unsigned live = 0;

    for (size_t i = 0; i < PEER_STREAMS; i++)
        live += s.streams[i].decoder && s.streams[i].frames >= 5;
    return live;
}

/* Text that changes as often as the film around it is no film: it is exact as soon as it is shown. */
static void test_busy_text(void **state UNUSED)
{
    unsigned shown = 0;

    join(VIDEO_CAPS, STREAMING_FILTER, NULL);
    for (int i = 0; i < PATIENCE && shown < 10; i++) {
        write_over((uint32_t)i);
        play_around(1);
        for (int k = 0; k < 20 && !exact(over, nothing); k++)
            look(5);
        shown += s.frames >= 20 && exact(over, nothing); /* as a film's part it never would be */
    }
    assert_int_equal(shown, 10);
    expect_rest();
    leave();
}

static void test_two(void **state UNUSED)
{
    const struct rect a = {16, 16, 216, 160}, b = {350, 250, 620, 470};

    join(VIDEO_CAPS, STREAMING_FILTER, NULL);
    for (int i = 0; i < PATIENCE && live_streams() < 2; i++) {
        fake_display_film(&rig.display, b, 1000 + i, false);
        play(a, 1, true);
    }
    assert_int_equal(live_streams(), 2);
    for (int i = 0; i < PATIENCE && !exact(b, nothing); i++)
        play(a, 1, true); /* b is made exact while a goes on */
    assert_true(exact(b, nothing));
    assert_memory_equal(&peer_only_stream(&s)->dest, &a, sizeof(a));
    expect_rest();
    leave();
}

/* When only a part of the film goes on, frames are of that part, if the client and the codec can have that. */
static void check_part(uint32_t caps, const char *codecs, uint8_t codec, bool sized)
{
    const struct rect part = {200, 150, 290, 220}, tiles = {192, 144, 304, 224};
    const struct rect *in = &s.sized;

    join(caps, STREAMING_FILTER, codecs);
    play_until_streamed(film, codec, false);
    for (int i = 0; i < PATIENCE && sized && s.sized_frames < 5; i++) {
        play(film, i % 20 == 0, false); /* else the stream becomes smaller */
        play(part, 1, false);
    }
    if (!sized)
        play(part, 15, false);
    assert_int_equal(s.sized_frames > 0, sized);
    assert_true(in->left >= tiles.left * sized && in->top >= tiles.top * sized && in->right <= tiles.right &&
                in->bottom <= tiles.bottom);
    assert_true(exact(all, film));
    for (int i = 0; i < 20 && error_of(film, nothing) >= 25; i++) /* the last frame is on its way */
        look(10);
    assert_true(error_of(film, nothing) < 25);
    expect_rest();
    leave();
}

static void test_part(void **state UNUSED)
{
    const uint32_t can = VIDEO_CAPS | 1u << SPICE_DISPLAY_CAP_SIZED_STREAM;

    check_part(can, "mjpeg", SPICE_VIDEO_CODEC_TYPE_MJPEG, true);
    check_part(VIDEO_CAPS, "mjpeg", SPICE_VIDEO_CODEC_TYPE_MJPEG, false);
    check_part(can, "vp8", SPICE_VIDEO_CODEC_TYPE_VP8, false);
}

/* --- what is no video --- */

static void scroll_text(uint32_t i UNUSED)
{
    fake_display_scroll(&rig.display, 1);
}

static void write_text(uint32_t i UNUSED)
{
    fake_display_draw(&rig.display, "text");
}

static void blink(uint32_t i)
{
    fake_display_fill(&rig.display, (struct rect){100, 100, 108, 116}, i / 8 % 2 ? 0xffffff : 0);
}

static void drag_window(uint32_t i)
{
    const int32_t x = 20 + 4 * (int32_t)i;

    fake_display_drag(&rig.display, (struct rect){x, 40, x + 200, 240}, 4, 0);
}

static void scroll_photograph(uint32_t i)
{
    fake_display_drag(&rig.display, (struct rect){50, 58, 600, 450}, 0, -8);
    fake_display_film(&rig.display, (struct rect){50, 442, 600, 450}, i, false);
}

static void tick(uint32_t i)
{
    if (i % 12 == 0) /* a slide show, in a hurry */
        fake_display_film(&rig.display, film, i, false);
}

static void flicker(uint32_t i)
{
    fake_display_film(&rig.display, (struct rect){100, 100, 150, 150}, i, false);
}

static void test_no_video(void **state UNUSED)
{
    static const struct {
        void (*draw)(uint32_t i);
        const char *picture;
    } cases[] = {{scroll_text, "text"},
                 {write_text, "text"},
                 {blink, "text"},
                 {drag_window, "gradient"},
                 {scroll_photograph, "gradient"},
                 {tick, "text"},
                 {flicker, "text"}};

    for (size_t k = 0; k < ARRAY_SIZE(cases); k++) {
        join(VIDEO_CAPS, STREAMING_FILTER, NULL);
        fake_display_draw(&rig.display, cases[k].picture);
        for (uint32_t i = 0; i < 45; i++) {
            cases[k].draw(i);
            look(FRAME_MS);
        }
        if (s.streams_begun)
            fail_msg("case %zu became a stream", k);
        assert_true(rig_catch_up(&rig, &p, &s));
        leave();
    }
}

/* --- the client's wishes --- */

static void send_report(uint32_t drops, bool other)
{
    const struct peer_stream *stream = peer_only_stream(&s);
    const struct spice_msgc_display_stream_report report = {
        .stream_id = other ? 1000 : (uint32_t)(stream - s.streams),
        .unique_id = drops == UINT32_MAX ? 0 : stream->unique_id, /* as spice-gtk has it */
        .num_frames = drops == UINT32_MAX ? 0 : 10,
        .num_drops = drops};

    assert_int_not_equal(stream->unique_id, 0);
    peer_send(&p, SPICE_MSGC_DISPLAY_STREAM_REPORT, &report);
}

static void test_wishes(void **state UNUSED)
{
    const uint8_t codecs[] = {SPICE_VIDEO_CODEC_TYPE_H265, SPICE_VIDEO_CODEC_TYPE_MJPEG};

    join(VIDEO_CAPS, STREAMING_FILTER, NULL);
    play_until_streamed(film, SPICE_VIDEO_CODEC_TYPE_VP8, false);
    peer_send(&p, SPICE_MSGC_DISPLAY_PREFERRED_VIDEO_CODEC_TYPE,
              &(struct spice_msgc_display_preferred_video_codec_type){2, codecs});
    play_until_streamed(film, SPICE_VIDEO_CODEC_TYPE_MJPEG, false);
    send_report(UINT32_MAX, false); /* it cannot show that: another codec */
    play_until_streamed(film, SPICE_VIDEO_CODEC_TYPE_VP8, false);
    leave();
}

static size_t frame_bytes(unsigned frames)
{
    uint64_t bytes = p.bytes;
    unsigned before = s.frames;

    play(film, frames, false);
    return (p.bytes - bytes) / MAX(s.frames - before, 1);
}

/* Frames that come late make the next ones smaller; about streams that are not there nothing can be said. */
static void test_reports(void **state UNUSED)
{
    size_t before;

    join(VIDEO_CAPS, STREAMING_FILTER, "mjpeg");
    play_until_streamed(film, SPICE_VIDEO_CODEC_TYPE_MJPEG, false);
    before = frame_bytes(10);
    for (int i = 0; i < 30; i++) {
        send_report(5, i % 2);
        play_until_streamed(film, SPICE_VIDEO_CODEC_TYPE_MJPEG, false);
    }
    assert_true(frame_bytes(10) < before * 3 / 4);
    leave();
}

/* Who joins while it plays gets the whole picture exactly, then the stream; a surface that goes takes it along. */
static void test_join(void **state UNUSED)
{
    struct peer p2 = {.caps = VIDEO_CAPS}, first;
    struct peer_screen s2 = {0}, shown;
    const struct spice_msg_info *info;
    void *msg;

    join(VIDEO_CAPS, STREAMING_FILTER, NULL);
    play_until_streamed(film, SPICE_VIDEO_CODEC_TYPE_VP8, false);
    rig_join_display(&rig, &p2, session); /* in place of the first, whose connection is lost */
    while (!s2.marked && (info = peer_receive(&p2, &msg, PEER_TIMEOUT_MS)))
        peer_screen_apply(&s2, info, msg);
    first = p;
    shown = s;
    p = p2;
    s = s2;
    assert_true(exact(all, nothing));
    play_until_streamed(film, SPICE_VIDEO_CODEC_TYPE_VP8, false);
    fake_display_resize(&rig.display, 400, 300);
    fake_display_draw(&rig.display, "mixed");
    assert_true(rig_catch_up(&rig, &p, &s));
    assert_null(peer_only_stream(&s));
    peer_screen_fini(&shown);
    peer_close(&first);
    leave();
}

/*
 * Who takes nothing for seconds has no encoder any more. He goes on with the same stream, by a frame that needs none before it: the
 * client's decoder would not know what to do with another.
 */
static void test_stopped(void **state UNUSED)
{
    unsigned begun, keys;

    join(VIDEO_CAPS, STREAMING_FILTER, NULL);
    play_until_streamed(film, SPICE_VIDEO_CODEC_TYPE_VP8, false);
    begun = s.streams_begun;
    keys = s.keys;
    for (uint64_t until = now_ms() + STOPPED_MS; now_ms() < until; usleep(FRAME_MS * 1000))
        fake_display_film(&rig.display, film, number++, false);
    for (int i = 0; i < PATIENCE && s.keys == keys; i++)
        play(film, 1, false);
    assert_int_equal(s.keys, keys + 1);
    play(film, 10, false);
    assert_true(exact(all, film));
    assert_int_equal(s.keys, keys + 1);
    assert_int_equal(s.streams_begun, begun);
    expect_rest();
    leave();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_film, clean_up),
        cmocka_unit_test_teardown(test_part, clean_up),
        cmocka_unit_test_teardown(test_off, clean_up),
        cmocka_unit_test_teardown(test_text_beside, clean_up),
        cmocka_unit_test_teardown(test_busy_text, clean_up),
        cmocka_unit_test_teardown(test_two, clean_up),
        cmocka_unit_test_teardown(test_no_video, clean_up),
        cmocka_unit_test_teardown(test_wishes, clean_up),
        cmocka_unit_test_teardown(test_reports, clean_up),
        cmocka_unit_test_teardown(test_join, clean_up),
        cmocka_unit_test_teardown(test_stopped, clean_up),
    };

    return cmocka_run_group_tests_name("server_video", tests, NULL, NULL);
}
