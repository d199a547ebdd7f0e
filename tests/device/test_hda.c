/* test_hda.c - the HD Audio controller and its codec driven as Linux' snd_hda_intel does, and as by one who lies. */
#include "devices/audio/hda.h"
#include "devices/audio/hda_device.h"
#include "tests/lib/fake_machine.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the headers above first. */
#include <cmocka.h>

#define DEVFN PCI_DEVFN(5, 0)
#define LINK  ((5 - 1) & 3)

/* Where the driver has its things. */
#define CORB      0x10000u
#define RIRB      0x11000u
#define POSITIONS 0x12000u
#define BDL       0x13000u
#define BUFFERS   0x20000u
#define NOWHERE   0x40000000u

#define OUT      4 /* the first output stream */
#define IN       0
#define TAG      5
#define STEREO48 0x0011
#define MAX_HEARD 200000

struct fixture {
    struct fake_machine machine;
    struct sound sound;
    struct sound_end end;
    struct pci_device *hda;
    uint64_t bar;
    uint8_t corb, rirb;
    struct sound_format heard_format;
    struct sound_volume volume[SOUND_DIRECTIONS];
    unsigned starts, stops;
    int16_t heard[MAX_HEARD];
    size_t heard_frames;
    int16_t spoken; /* counts up, a frame at a time */
    bool speaks;
};

static struct fixture *of_end(struct sound_end *end)
{
    return container_of(end, struct fixture, end);
}

static void on_running(struct sound_end *end, enum sound_direction direction, const struct sound_format *format)
{
    struct fixture *f = of_end(end);

    if (direction != SOUND_PLAYBACK)
        return;
    if (format) {
        f->heard_format = *format;
        f->starts++;
    } else {
        f->stops++;
    }
}

static void on_play(struct sound_end *end, const int16_t *samples, size_t frames)
{
    struct fixture *f = of_end(end);
    unsigned channels = f->heard_format.channels;

    assert_true(f->starts > f->stops);
    for (size_t i = 0; i < frames * channels && f->heard_frames * channels + i < MAX_HEARD; i++)
        f->heard[f->heard_frames * channels + i] = samples[i];
    f->heard_frames += frames;
}

static size_t on_record(struct sound_end *end, int16_t *samples, size_t frames)
{
    struct fixture *f = of_end(end);
    unsigned channels = f->sound.format[SOUND_RECORD].channels;

    for (size_t i = 0; f->speaks && i < frames; i++, f->spoken++)
        for (unsigned c = 0; c < channels; c++)
            samples[i * channels + c] = (int16_t)(c ? -f->spoken : f->spoken);
    return f->speaks ? frames : 0;
}

static void on_volume(struct sound_end *end, enum sound_direction direction, const struct sound_volume *volume)
{
    of_end(end)->volume[direction] = *volume;
}

static const struct sound_end_ops end_ops = {on_running, on_play, on_record, on_volume};

static struct fixture *create(enum hda_codec_kind kind)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    assert_int_equal(fake_machine_init(&f->machine, MIB(1), false), 0);
    sound_init(&f->sound, &f->machine.loop);
    f->end.ops = &end_ops;
    sound_add_end(&f->sound, &f->end);
    f->hda = hda_create(&f->machine.base, DEVFN, kind, &f->sound);
    assert_non_null(f->hda);
    fake_machine_reset(&f->machine);
    fake_pci_setup(&f->machine, DEVFN);
    f->bar = fake_pci_bar(&f->machine, DEVFN, 0);
    return f;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    fake_machine_fini(&f->machine);
    sound_fini(&f->sound);
    free(f);
    return 0;
}

static void put(struct fixture *f, unsigned reg, uint32_t value, unsigned width)
{
    fake_mmio_write(&f->machine, f->bar + reg, value, width);
}

static uint32_t get(struct fixture *f, unsigned reg, unsigned width)
{
    return (uint32_t)fake_mmio_read(&f->machine, f->bar + reg, width);
}

static void poke(struct fixture *f, uint64_t addr, const void *data, size_t size)
{
    assert_int_equal(memory_write(f->machine.base.memory, addr, data, size), 0);
}

static void poke32(struct fixture *f, uint64_t addr, uint32_t value)
{
    poke(f, addr, &value, sizeof(value));
}

static uint32_t peek32(struct fixture *f, uint64_t addr)
{
    uint32_t value;

    assert_int_equal(memory_read(f->machine.base.memory, addr, &value, sizeof(value)), 0);
    return value;
}

static unsigned stream(unsigned n, unsigned reg)
{
    return STREAMS + n * STREAM_SIZE + reg;
}

/* As azx_init_chip(). */
static void start_controller(struct fixture *f)
{
    put(f, GCTL, 0, 4);
    assert_int_equal(get(f, GCTL, 4) & 1, 0);
    put(f, STATESTS, 0x7fff, 2);
    put(f, GCTL, 1, 4);
    assert_int_equal(get(f, GCTL, 4) & 1, 1);
    assert_int_equal(get(f, STATESTS, 2), 1);
    put(f, STATESTS, 1, 2);
    put(f, INTCTL, 0xc0000000, 4);
    put(f, CORBLBASE, CORB, 4);
    put(f, CORBSIZE, 2, 1);
    assert_int_equal(get(f, CORBSIZE, 1), 0x42);
    put(f, CORBWP, 0, 2);
    put(f, CORBRP, 0x8000, 2);
    assert_int_equal(get(f, CORBRP, 2), 0x8000);
    put(f, CORBRP, 0, 2);
    assert_int_equal(get(f, CORBRP, 2), 0);
    put(f, CORBCTL, 2, 1);
    put(f, RIRBLBASE, RIRB, 4);
    put(f, RIRBWP, 0x8000, 2);
    put(f, RINTCNT, 1, 2);
    put(f, RIRBCTL, 3, 1);
    put(f, DPLBASE, POSITIONS | 1, 4);
    f->corb = f->rirb = 0;
}

static uint32_t verb(struct fixture *f, unsigned node, uint32_t word)
{
    poke32(f, CORB + ++f->corb * 4u, (uint32_t)node << 20 | word);
    put(f, CORBWP, f->corb, 2);
    assert_int_equal(get(f, RIRBWP, 2), ++f->rirb);
    assert_int_equal(peek32(f, RIRB + f->rirb * 8u + 4), 0);
    assert_true(get(f, INTSTS, 4) & 1u << 30);
    assert_true(f->machine.link_level[LINK]);
    put(f, RIRBSTS, 5, 1);
    assert_false(get(f, INTSTS, 4) & 1u << 30);
    return peek32(f, RIRB + f->rirb * 8u);
}

static uint32_t parameter(struct fixture *f, unsigned node, unsigned id)
{
    return verb(f, node, 0xf0000 | id);
}

static int setup(void **state)
{
    struct fixture *f = create(HDA_DUPLEX);

    start_controller(f);
    *state = f;
    return 0;
}

/* --- the codec --- */

static void test_identity(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(fake_pci_read(&f->machine, DEVFN, 0, 4), 0x26688086);
    assert_int_equal(fake_pci_read(&f->machine, DEVFN, 8, 4) >> 8, 0x040300);
    assert_int_equal(get(f, GCAP, 2), 0x4401);
    assert_int_equal(get(f, VMAJ, 1), 1);
}

static void check_tree(struct fixture *f, uint32_t id, unsigned widgets)
{
    assert_int_equal(parameter(f, 0, 0), 0x1af40000 | id);
    assert_int_equal(parameter(f, 0, 4), 0x10001);
    assert_int_equal(parameter(f, 1, 5), 1);
    assert_int_equal(parameter(f, 1, 4), 2 << 16 | widgets);
    assert_int_equal(parameter(f, 2, 9) >> 20 & 15, 0);
    assert_int_equal(parameter(f, 2, 0x12), 0x80034a4a);
    assert_int_equal(parameter(f, 3, 9) >> 20 & 15, 4);
    assert_int_equal(verb(f, 3, 0xf0200), 2); /* the pin hears the DAC */
    assert_int_equal(parameter(f, 2 + widgets, 9), 0);
}

static void test_codecs(void **state)
{
    static const struct {
        enum hda_codec_kind kind;
        uint32_t id, pin_out;
        unsigned widgets;
    } codecs[] = {{HDA_DUPLEX, 0x22, 0x01014010, 4}, {HDA_OUTPUT, 0x12, 0x01014010, 2}, {HDA_MICRO, 0x32, 0x90170010, 4}};

    teardown(state);
    for (size_t i = 0; i < ARRAY_SIZE(codecs); i++) {
        struct fixture *f = create(codecs[i].kind);

        start_controller(f);
        check_tree(f, codecs[i].id, codecs[i].widgets);
        assert_int_equal(verb(f, 3, 0xf1c00), codecs[i].pin_out);
        assert_int_equal(verb(f, 3, 0xf0900), 0x80000000);
        *state = f;
        teardown(state);
    }
    *state = create(HDA_DUPLEX);
}

/* What is set can be read, where there is such a thing. */
static void test_settings(void **state)
{
    static const struct {
        unsigned node;
        uint32_t set, get, expected;
    } settings[] = {
        {2, 0x24011, 0xa0000, 0x4011}, {2, 0x70650, 0xf0600, 0x50}, {2, 0x70503, 0xf0500, 0x33},
        {3, 0x70740, 0xf0700, 0x40},   {3, 0x70720, 0xf0700, 0},    {5, 0x70720, 0xf0700, 0x20},
        {3, 0x70885, 0xf0800, 0x85},   {3, 0x70c02, 0xf0c00, 2},    {3, 0x71c55, 0xf1c00, 0x01014055},
        {1, 0x72011, 0xf2000, 0x1af40011}, {4, 0x36030, 0xb2000, 0x30}, {2, 0x3a0ff, 0xba000, 0xca},
        {3, 0x24011, 0xa0000, 0},      {2, 0x70740, 0xf0700, 0},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_SIZE(settings); i++) {
        verb(f, settings[i].node, settings[i].set);
        assert_int_equal(verb(f, settings[i].node, settings[i].get), settings[i].expected);
    }
    verb(f, 1, 0x7ff00);
    assert_int_equal(verb(f, 2, 0xa0000), STEREO48);
    assert_int_equal(verb(f, 9, 0xf0000), 0);
}

static void test_immediate(void **state)
{
    struct fixture *f = *state;

    put(f, ICW, 0xf0000, 4);
    put(f, ICS, 1, 2);
    assert_int_equal(get(f, ICS, 2), 2);
    assert_int_equal(get(f, IRR, 4), 0x1af40022);
    put(f, ICS, 2, 2);
    assert_int_equal(get(f, ICS, 2), 0);
    put(f, ICW, 3u << 28 | 0xf0000, 4); /* nobody */
    put(f, ICS, 1, 2);
    assert_int_equal(get(f, ICS, 2), 0);
}

/* --- playing --- */

struct buffer {
    uint64_t address;
    uint32_t length, flags;
};

static void set_stream(struct fixture *f, unsigned n, uint16_t format, const struct buffer *buffers, unsigned count)
{
    uint32_t all = 0;

    put(f, stream(n, SDCTL), 1, 1);
    assert_int_equal(get(f, stream(n, SDCTL), 1) & 1, 1);
    put(f, stream(n, SDCTL), 0, 1);
    assert_int_equal(get(f, stream(n, SDCTL), 1) & 1, 0);
    assert_int_equal(get(f, stream(n, SDLPIB), 4), 0);
    for (unsigned i = 0; i < count; i++) {
        poke(f, BDL + i * 16, &buffers[i], 16);
        all += buffers[i].length;
    }
    put(f, stream(n, SDCTL), TAG << 20, 4);
    put(f, stream(n, SDCBL), all, 4);
    put(f, stream(n, SDFMT), format, 2);
    put(f, stream(n, SDLVI), count - 1, 2);
    put(f, stream(n, SDBDPL), BDL, 4);
    put(f, stream(n, SDBDPU), 0, 4);
    verb(f, n < 4 ? 4 : 2, 0x20000 | format);
    verb(f, n < 4 ? 4 : 2, 0x70600 | TAG << 4);
}

static void run_stream(struct fixture *f, unsigned n, bool on)
{
    put(f, INTCTL, 0xc0000000 | (on ? 1u << n : 0), 4);
    put(f, stream(n, SDCTL), on ? SDCTL_RUN | SDCTL_ENABLES : 0, 1);
}

static const struct buffer two[] = {{BUFFERS, 4800, 1}, {BUFFERS + 0x4000, 4800, 1}};

/* Two periods of 25 ms: left counts up, right down. */
static void fill_two(struct fixture *f)
{
    for (int i = 0; i < 2400; i++) {
        const int16_t frame[2] = {(int16_t)i, (int16_t)-i};

        poke(f, two[i / 1200].address + (unsigned)(i % 1200) * 4u, frame, 4);
    }
}

static bool has_completed(void *arg)
{
    struct fixture *f = arg;

    return f->machine.link_level[LINK];
}

static void test_play(void **state)
{
    struct fixture *f = *state;

    set_stream(f, OUT, STEREO48, two, 2);
    fill_two(f);
    run_stream(f, OUT, true);
    for (unsigned period = 0; period < 4; period++) {
        uint32_t at;

        assert_true(fake_machine_wait(&f->machine, has_completed, f, 500));
        assert_true(get(f, INTSTS, 4) & 1u << OUT);
        at = get(f, stream(OUT, SDLPIB), 4);
        /* Not before the buffer's end, and not long after it. */
        assert_true(period % 2 ? at < 4800 : at >= 4800);
        assert_int_equal(peek32(f, POSITIONS + OUT * 8), at);
        assert_int_equal(get(f, 0x2084 + OUT * 0x20, 4), at);
        put(f, stream(OUT, SDSTS), SDSTS_COMPLETE, 1);
        assert_false(f->machine.link_level[LINK]);
    }
    assert_int_equal(f->heard_format.rate, 48000);
    assert_int_equal(f->heard_format.channels, 2);
    assert_true(f->heard_frames >= 4800);
    for (size_t i = 0; i < f->heard_frames; i++) {
        assert_int_equal(f->heard[2 * i], (int16_t)(i % 2400));
        assert_int_equal(f->heard[2 * i + 1], -(int16_t)(i % 2400));
    }
    run_stream(f, OUT, false);
    fake_machine_run(&f->machine, 20);
    assert_int_equal(f->stops, 1);
}

/* As many frames as time has passed. */
static void test_pace(void **state)
{
    struct fixture *f = *state;
    uint64_t begin, ns;

    set_stream(f, OUT, STEREO48, two, 2);
    run_stream(f, OUT, true);
    begin = machine_clock(&f->machine.base);
    fake_machine_run(&f->machine, 300);
    ns = machine_clock(&f->machine.base) - begin;
    assert_in_range(f->heard_frames, (ns - 40000000) * 48 / 1000000, ns * 48 / 1000000 + 48);
    assert_in_range(get(f, WALCLK, 4), 300 * 24000, 400000 * 24);
}

/* Every format is 16 bits of the same sound. */
static void test_formats(void **state)
{
    static const struct {
        uint16_t format;
        uint32_t rate, channels;
        unsigned bytes;
        uint8_t sample[4];
        int16_t expected;
    } formats[] = {
        {0x0000, 48000, 1, 1, {0xc0}, 0x4000},          {0x4011, 44100, 2, 2, {0x34, 0x12}, 0x1234},
        {0x0021, 48000, 2, 4, {0, 0, 0x34, 0x12}, 0x1234}, {0x0841, 96000, 2, 4, {0, 0, 0x34, 0x92}, -28108},
        {0x0511, 8000, 2, 2, {0xff, 0xff}, -1},         {0x1815, 192000, 2, 2, {1, 0}, 1},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
        f->heard_frames = 0;
        set_stream(f, OUT, formats[i].format, two, 2);
        for (unsigned at = 0; at < 4800; at += formats[i].bytes)
            for (unsigned b = 0; b < 2; b++)
                poke(f, two[b].address + at, formats[i].sample, formats[i].bytes);
        run_stream(f, OUT, true);
        fake_machine_run(&f->machine, 30);
        run_stream(f, OUT, false);
        fake_machine_run(&f->machine, 0);
        assert_int_equal(f->heard_format.rate, formats[i].rate);
        assert_int_equal(f->heard_format.channels, formats[i].channels);
        assert_true(f->heard_frames > formats[i].rate / 100);
        for (size_t s = 0; s < MIN(f->heard_frames, 50) * formats[i].channels; s++)
            assert_int_equal(f->heard[s], formats[i].expected);
    }
}

/* A converter that listens to another tag, or a pin that is off. */
static void test_not_heard(void **state)
{
    struct fixture *f = *state;

    set_stream(f, OUT, STEREO48, two, 2);
    verb(f, 2, 0x70600 | (TAG + 1) << 4);
    run_stream(f, OUT, true);
    fake_machine_run(&f->machine, 40);
    assert_int_equal(f->heard_frames, 0);
    assert_true(get(f, stream(OUT, SDLPIB), 4) > 0); /* it runs all the same */
    verb(f, 2, 0x70600 | TAG << 4);
    fake_machine_run(&f->machine, 40);
    assert_true(f->heard_frames > 0);
}

static void test_volume(void **state)
{
    struct fixture *f = *state;

    fake_machine_run(&f->machine, 0);
    assert_int_equal(f->volume[SOUND_PLAYBACK].level[0], 65535);
    verb(f, 2, 0x3a000 | (74 - 20)); /* left: -20 dB is a tenth */
    fake_machine_run(&f->machine, 0);
    assert_in_range(f->volume[SOUND_PLAYBACK].level[0], (unsigned)(65535 * cbrt(0.1)) - 1, (unsigned)(65535 * cbrt(0.1)) + 1);
    assert_int_equal(f->volume[SOUND_PLAYBACK].level[1], 65535);
    verb(f, 2, 0x39000 | 0x80 | 74); /* right: mute */
    fake_machine_run(&f->machine, 0);
    assert_int_equal(f->volume[SOUND_PLAYBACK].level[1], 0);
    assert_false(f->volume[SOUND_PLAYBACK].mute);
    verb(f, 2, 0x3a080 | 74);
    fake_machine_run(&f->machine, 0);
    assert_true(f->volume[SOUND_PLAYBACK].mute);
    verb(f, 2, 0x3b000 | 74);
    verb(f, 3, 0x70700);
    fake_machine_run(&f->machine, 0);
    assert_true(f->volume[SOUND_PLAYBACK].mute);
    assert_false(f->volume[SOUND_RECORD].mute);
    verb(f, 4, 0x37080);
    fake_machine_run(&f->machine, 0);
    assert_true(f->volume[SOUND_RECORD].mute);
}

/* --- recording --- */

static void test_record(void **state)
{
    struct fixture *f = *state;

    f->speaks = true;
    set_stream(f, IN, STEREO48, two, 2);
    run_stream(f, IN, true);
    assert_true(fake_machine_wait(&f->machine, has_completed, f, 500));
    for (uint32_t i = 0; i < 1200; i++)
        assert_int_equal(peek32(f, BUFFERS + i * 4), (i & 0xffff) | (-i & 0xffff) << 16);
}

static void test_record_silence(void **state)
{
    struct fixture *f = *state;

    fill_two(f);
    set_stream(f, IN, STEREO48, two, 2);
    run_stream(f, IN, true);
    assert_true(fake_machine_wait(&f->machine, has_completed, f, 500));
    for (uint32_t i = 0; i < 1200; i++)
        assert_int_equal(peek32(f, BUFFERS + i * 4), 0);
}

/* --- time that stands still, and state --- */

static void test_paused(void **state)
{
    struct fixture *f = *state;
    size_t before;

    set_stream(f, OUT, STEREO48, two, 2);
    run_stream(f, OUT, true);
    fake_machine_run(&f->machine, 50);
    machine_clock_stop(&f->machine.base);
    fake_machine_run(&f->machine, 20); /* what was due */
    before = f->heard_frames;
    fake_machine_run(&f->machine, 100);
    assert_int_equal(f->heard_frames, before);
    machine_clock_start(&f->machine.base);
    fake_machine_run(&f->machine, 60);
    assert_in_range(f->heard_frames - before, 1, 48 * 80);
}

/* Whoever comes late skips, and does not hear all of it at once. */
static void test_stalled(void **state)
{
    struct fixture *f = *state;
    size_t before;

    set_stream(f, OUT, STEREO48, two, 2);
    run_stream(f, OUT, true);
    fake_machine_run(&f->machine, 20);
    before = f->heard_frames;
    usleep(400000);
    fake_machine_run(&f->machine, 0);
    assert_in_range(f->heard_frames - before, 4000, 5200);
}

static void test_saved(void **state)
{
    struct fixture *f = *state;
    struct device *device = &f->hda->base;
    struct writer w;
    struct reader r;
    size_t before;
    uint32_t position;

    set_stream(f, OUT, STEREO48, two, 2);
    fill_two(f);
    verb(f, 2, 0x3b000 | 40);
    run_stream(f, OUT, true);
    fake_machine_run(&f->machine, 40);
    writer_init(&w, KIB(64));
    machine_lock(&f->machine.base);
    device->ops->save(device, &w);
    before = f->heard_frames;
    position = get(f, stream(OUT, SDLPIB), 4);
    device->ops->reset(device);
    pci_bus_reset(f->machine.base.pci);
    reader_init(&r, w.data, w.size);
    assert_int_equal(device->ops->load(device, &r, 1), 0);
    machine_unlock(&f->machine.base);
    assert_int_equal(reader_left(&r), 0);
    assert_int_equal(get(f, stream(OUT, SDLPIB), 4), position);
    fake_machine_run(&f->machine, 40);
    assert_true(f->heard_frames > before + 1000);
    for (size_t i = 0; i < f->heard_frames; i++)
        assert_int_equal(f->heard[2 * i], (int16_t)(i % 2400));
    assert_int_equal(f->volume[SOUND_PLAYBACK].level[0], f->volume[SOUND_PLAYBACK].level[1]);
    assert_true(f->volume[SOUND_PLAYBACK].level[0] < 30000);
    writer_fini(&w);
}

/* --- lies --- */

static void expect_error(struct fixture *f, unsigned n)
{
    f->heard_frames = 0;
    fake_machine_run(&f->machine, 30);
    assert_true(get(f, stream(n, SDSTS), 1) & SDSTS_BDL_ERROR);
    assert_true(f->machine.link_level[LINK]);
    assert_int_equal(f->sound.format[n == IN ? SOUND_RECORD : SOUND_PLAYBACK].rate, 0); /* those who hear know */
    put(f, stream(n, SDSTS), 0x1c, 1);
    run_stream(f, n, false);
}

static void test_bad_lists(void **state)
{
    static const struct buffer empty[] = {{BUFFERS, 0, 1}, {BUFFERS, 0, 1}}, nowhere[] = {{NOWHERE, 4800, 1}},
                               registers[] = {{0xe0000000, 4800, 1}}, tiny[] = {{BUFFERS, 1, 1}, {BUFFERS, 1, 1}};
    struct fixture *f = *state;

    set_stream(f, OUT, STEREO48, empty, 2);
    put(f, stream(OUT, SDCBL), 100, 4);
    run_stream(f, OUT, true);
    expect_error(f, OUT);
    set_stream(f, OUT, STEREO48, nowhere, 1);
    run_stream(f, OUT, true);
    expect_error(f, OUT);
    set_stream(f, IN, STEREO48, registers, 1);
    run_stream(f, IN, true);
    expect_error(f, IN);
    set_stream(f, OUT, 0x1819, tiny, 2); /* ten channels at 192 kHz */
    run_stream(f, OUT, true);
    expect_error(f, OUT);
    set_stream(f, OUT, STEREO48, two, 2);
    put(f, stream(OUT, SDCBL), 0, 4);
    run_stream(f, OUT, true);
    expect_error(f, OUT);
    set_stream(f, OUT, STEREO48, two, 2);
    put(f, stream(OUT, SDBDPL), NOWHERE, 4);
    run_stream(f, OUT, true);
    expect_error(f, OUT);
    set_stream(f, OUT, 0x7f7f, two, 2);
    run_stream(f, OUT, true);
    expect_error(f, OUT);
    /* And after all that it plays. */
    set_stream(f, OUT, STEREO48, two, 2);
    run_stream(f, OUT, true);
    fake_machine_run(&f->machine, 30);
    assert_true(f->heard_frames > 0);
}

static void test_bad_rings(void **state)
{
    struct fixture *f = *state;

    put(f, CORBLBASE, NOWHERE, 4);
    put(f, CORBWP, 200, 2);
    assert_int_equal(get(f, CORBCTL, 1) & 2, 0);
    assert_int_equal(get(f, CORBSTS, 1), 1);
    put(f, CORBLBASE, CORB, 4);
    put(f, RIRBLBASE, NOWHERE, 4);
    put(f, CORBCTL, 2, 1);
    assert_int_equal(get(f, CORBRP, 2), 200);
}

static void test_reset_in_flight(void **state)
{
    struct fixture *f = *state;

    set_stream(f, OUT, STEREO48, two, 2);
    run_stream(f, OUT, true);
    fake_machine_run(&f->machine, 20);
    put(f, stream(OUT, SDCTL), SDCTL_RESET | SDCTL_RUN, 1);
    assert_int_equal(get(f, stream(OUT, SDCTL), 1), SDCTL_RESET);
    fake_machine_run(&f->machine, 20);
    assert_int_equal(f->stops, f->starts);
    put(f, GCTL, 0, 4);
    put(f, stream(OUT, SDCBL), 5, 4); /* in reset: nothing */
    put(f, GCTL, 1, 4);
    assert_int_equal(get(f, stream(OUT, SDCBL), 4), 0);
    fake_machine_run(&f->machine, 10);
}

static void test_synchronized(void **state)
{
    struct fixture *f = *state;

    set_stream(f, OUT, STEREO48, two, 2);
    put(f, SSYNC, 1u << OUT, 4);
    run_stream(f, OUT, true);
    fake_machine_run(&f->machine, 30);
    assert_int_equal(f->heard_frames, 0);
    put(f, SSYNC, 0, 4);
    fake_machine_run(&f->machine, 30);
    assert_true(f->heard_frames > 0);
}

static void test_msi(void **state)
{
    struct fixture *f = *state;
    unsigned cap = fake_pci_capability(&f->machine, DEVFN, 5, 0);
    struct fake_msi msi;

    assert_true(cap > 0);
    fake_pci_write(&f->machine, DEVFN, cap + 4, 0xfee00000, 4);
    fake_pci_write(&f->machine, DEVFN, cap + 8, 0, 4);
    fake_pci_write(&f->machine, DEVFN, cap + 12, 0x41, 2);
    fake_pci_write(&f->machine, DEVFN, cap + 2, 1, 2);
    poke32(f, CORB + 4, 0xf0000);
    put(f, CORBWP, 1, 2);
    assert_true(fake_machine_take_msi(&f->machine, &msi));
    assert_int_equal(msi.data, 0x41);
    assert_false(f->machine.link_level[LINK]);
    assert_false(fake_machine_take_msi(&f->machine, &msi));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_identity),    TEST(test_codecs),   TEST(test_settings), TEST(test_immediate),       TEST(test_play),
        TEST(test_pace),        TEST(test_formats),  TEST(test_not_heard), TEST(test_volume),         TEST(test_record),
        TEST(test_record_silence), TEST(test_paused), TEST(test_stalled), TEST(test_saved),           TEST(test_bad_lists),
        TEST(test_bad_rings),   TEST(test_reset_in_flight), TEST(test_synchronized), TEST(test_msi),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
