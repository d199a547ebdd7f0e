/* Recordings of stock guests, played into the device: its picture is that of a plain replay, pixel by pixel. */
#include "backend/screenshot.h"
#include "base/error.h"
#include "tests/lib/qxl_guest.h"
#include "tests/lib/replay.h"
#include "tests/lib/trace.h"

#include <png.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const recordings[] = {"term", "office"};

struct rig {
    struct fake_machine machine;
    struct qxl_guest guest;
    struct trace trace;
    struct replay replay; /* of all of it */
};

/* --- set-up --- */

static void load(struct trace *trace, struct replay *replay, const char *name)
{
    const struct trace_options options = {.no_marker = true};
    char path[64];

    snprintf(path, sizeof(path), "tests/data/traces/%s.qxt.zst", name);
    if (trace_open(trace, path, &options))
        fail_msg("%s", fail_text());
    assert_int_equal(replay_init(replay, &trace->script), 0);
    for (size_t i = 0; i < trace->script.count; i++)
        if (replay_step(replay, &trace->script.steps[i]))
            fail_msg("%s", fail_text());
}

static void start(struct rig *rig, const char *name)
{
    load(&rig->trace, &rig->replay, name);
    assert_int_equal(fake_machine_init(&rig->machine, KIB(640), false), 0);
    assert_int_equal(qxl_guest_init(&rig->guest, &rig->machine), 0);
    qxl_guest_start(&rig->guest);
}

static void stop(struct rig *rig)
{
    fake_machine_fini(&rig->machine);
    replay_fini(&rig->replay);
    trace_close(&rig->trace);
}

static void play(struct rig *rig)
{
    for (size_t i = 0; i < rig->trace.script.count; i++)
        if (qxl_guest_step(&rig->guest, &rig->trace.script.steps[i]))
            fail_msg("%s", fail_text());
}

/* --- tests --- */

/* What the replay draws is what the file's own picture shows. */
static void test_replay(void **state UNUSED)
{
    for (unsigned i = 0; i < ARRAY_SIZE(recordings); i++) {
        png_image png = {.version = PNG_IMAGE_VERSION};
        struct trace trace;
        struct replay replay;
        uint8_t *pixels;
        char path[64];

        load(&trace, &replay, recordings[i]);
        snprintf(path, sizeof(path), "tests/data/traces/%s.png", recordings[i]);
        assert_true(png_image_begin_read_from_file(&png, path));
        png.format = PNG_FORMAT_BGRA;
        assert_int_equal(png.width, trace.script.screen.width);
        assert_int_equal(png.height, trace.script.screen.height);
        pixels = malloc(PNG_IMAGE_SIZE(png));
        assert_true(png_image_finish_read(&png, NULL, pixels, 0, NULL));
        assert_int_equal(replay_compare(&replay, pixels, png.width * 4, UINT64_MAX), 0);
        free(pixels);
        replay_fini(&replay);
        trace_close(&trace);
    }
}

static void test_device(void **state UNUSED)
{
    for (unsigned i = 0; i < ARRAY_SIZE(recordings); i++) {
        struct screenshot shot;
        struct rig rig;

        start(&rig, recordings[i]);
        play(&rig);
        assert_int_equal(screenshot_take(&shot, rig.guest.display), 0);
        assert_int_equal(shot.width, rig.trace.script.screen.width);
        assert_int_equal(
            replay_compare(&rig.replay, (const uint8_t *)shot.pixels, shot.width * 4, UINT64_MAX), 0);
        screenshot_fini(&shot);
        stop(&rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replay),
        cmocka_unit_test(test_device),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
