/* Recordings of stock guests, played into the device: its picture is that of a plain replay, pixel by pixel. */
#include "backend/screenshot.h"
#include "base/error.h"
#include "tests/lib/disk_model.h"
#include "tests/lib/pictures.h"
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

static void start(struct rig *rig, const char *name, const char *record)
{
    load(&rig->trace, &rig->replay, name);
    assert_int_equal(fake_machine_init(&rig->machine, KIB(640), false), 0);
    assert_int_equal(qxl_guest_init(&rig->guest, &rig->machine, record), 0);
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

        start(&rig, recordings[i], NULL);
        play(&rig);
        assert_int_equal(screenshot_take(&shot, rig.guest.display), 0);
        assert_int_equal(shot.width, rig.trace.script.screen.width);
        assert_int_equal(
            replay_compare(&rig.replay, (const uint8_t *)shot.pixels, shot.width * 4, UINT64_MAX), 0);
        screenshot_fini(&shot);
        stop(&rig);
    }
}

/* --- recorded again --- */

static void open_file(struct trace *trace, const char *path)
{
    if (trace_open(trace, path, &(struct trace_options){.no_marker = true}))
        fail_msg("%s", fail_text());
}

/* The device's own recording of what was played into it leads to the same picture. */
static void test_recorded(void **state UNUSED)
{
    struct replay again;
    struct trace trace;
    char path[256];
    struct rig rig;

    snprintf(path, sizeof(path), "%s/again.qxt", test_directory());
    start(&rig, "office", path);
    play(&rig);
    qxl_guest_sync(&rig.guest);
    fake_machine_fini(&rig.machine);
    open_file(&trace, path);
    assert_int_equal(replay_init(&again, &trace.script), 0);
    for (size_t i = 0; i < trace.script.count; i++)
        assert_int_equal(replay_step(&again, &trace.script.steps[i]), 0);
    assert_int_equal(replay_compare(&again, (const uint8_t *)pixman_image_get_data(rig.replay.surfaces[0]),
                                    pixman_image_get_stride(rig.replay.surfaces[0]), UINT64_MAX),
                     0);
    replay_fini(&again);
    trace_close(&trace);
    replay_fini(&rig.replay);
    trace_close(&rig.trace);
}

static uint64_t address_of(struct script *s, const void *data, size_t size)
{
    return (uintptr_t)memcpy(script_alloc(s, size), data, size);
}

static void add_copy(struct script *s, QXLRect box)
{
    static const uint8_t pixels[12];
    const QXLRect clips[2] = {box, {.left = 4, .right = 8, .bottom = 1}};
    const struct {
        QXLPalette p;
        uint32_t c[2];
    } palette = {{1, 2}, {0, 0xffffff}};
    QXLImage *image = script_image(s, 4, 3, pixels);
    QXLDrawable *d = script_drawable(s, QXL_DRAW_COPY, box);
    QXLClipRects *clip = script_alloc(s, sizeof(*clip) + sizeof(clips));

    image->bitmap.format = SPICE_BITMAP_FMT_8BIT;
    image->bitmap.stride = 4;
    image->bitmap.palette = address_of(s, &palette, sizeof(QXLPalette) + 8);
    clip->num_rects = ARRAY_SIZE(clips);
    clip->chunk.data_size = sizeof(clips);
    memcpy(clip->chunk.data, clips, sizeof(clips));
    d->clip = (QXLClip){SPICE_CLIP_TYPE_RECTS, (uintptr_t)clip};
    d->u.copy.src_bitmap = (uintptr_t)image;
    d->u.copy.src_area = box;
    d->u.copy.rop_descriptor = SPICE_ROPD_OP_PUT;
    script_add(s, 0, STEP_DRAW, d);
}

static void add_composite(struct script *s, QXLRect box)
{
    static const uint8_t pixels[4 * 3 * 4];
    const QXLTransform unchanged = {65536, 0, 0, 0, 65536, 0};
    QXLDrawable *d = script_drawable(s, QXL_DRAW_COMPOSITE, box);

    d->u.composite.flags = PIXMAN_OP_OVER;
    d->u.composite.src = (uintptr_t)script_image(s, 4, 3, pixels);
    d->u.composite.src_transform = address_of(s, &unchanged, sizeof(unchanged));
    script_add(s, 0, STEP_DRAW, d);
}

/* A screen, a copy with clip and palette, a composition, a fill. */
static void write_small_trace(const char *path)
{
    static uint8_t pixels[8 * 8 * 4];
    const struct script_primary primary = {8, 8, SPICE_SURFACE_FMT_32_xRGB, 32, pixels};
    const QXLRect box = {.right = 4, .bottom = 3};
    struct fake_machine machine;
    struct qxl_guest guest;
    struct script s;

    assert_int_equal(script_init(&s), 0);
    assert_int_equal(fake_machine_init(&machine, KIB(640), false), 0);
    assert_int_equal(qxl_guest_init(&guest, &machine, path), 0);
    qxl_guest_start(&guest);
    script_add(&s, 0, STEP_PRIMARY, &primary);
    add_copy(&s, box);
    add_composite(&s, box);
    script_fill(&s, 0, box, 0x123456);
    for (size_t i = 0; i < s.count; i++)
        assert_int_equal(qxl_guest_step(&guest, &s.steps[i]), 0);
    qxl_guest_sync(&guest);
    fake_machine_fini(&machine);
    script_fini(&s);
}

static void write_file(const char *path, const uint8_t *data, size_t size)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, size, f), size);
    fclose(f);
}

/* Whatever a file says, reading it ends, and touches nothing outside of it (the sanitizer looks). */
static void test_spoilt(void **state UNUSED)
{
    enum { SIZE = 3000, ROUNDS = 300 };
    uint32_t seed = 1, good = 0;
    struct trace whole, spoilt;
    uint8_t data[SIZE];
    char path[256];

    snprintf(path, sizeof(path), "%s/spoilt.qxt", test_directory());
    write_small_trace(path);
    open_file(&whole, path);
    assert_in_range(whole.file.size, 1000, SIZE);
    for (int i = 0; i < ROUNDS; i++) {
        size_t size = i % 3 ? whole.file.size : picture_random(&seed) % whole.file.size;

        memcpy(data, whole.file.data, size);
        for (int flips = i % 4; flips && size; flips--)
            data[picture_random(&seed) % size] ^= 1 << picture_random(&seed) % 8;
        write_file(path, data, size);
        if (trace_open(&spoilt, path, &(struct trace_options){.guest_stride = true}) == 0) {
            good++;
            trace_close(&spoilt);
        }
    }
    assert_in_range(good, 1, ROUNDS - 20);
    trace_close(&whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replay),
        cmocka_unit_test(test_device),
        cmocka_unit_test(test_recorded),
        cmocka_unit_test(test_spoilt),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
