/* test_ac97.c - the AC'97 controller and its codec driven as Linux' snd_intel8x0 does, and as by one who lies. */
#include "devices/audio/ac97.h"
#include "tests/lib/fake_machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the headers above first. */
#include <cmocka.h>

#define DEVFN   PCI_DEVFN(5, 0)
#define LINK    ((5 - 1) & 3)
#define LIST    0x10000u
#define BUFFERS 0x20000u
#define NOWHERE 0x40000000u

/* Boxes, their registers, and the global ones. */
enum { PCM_IN = 0x00, PCM_OUT = 0x10, MIC_IN = 0x20 };
enum { BDBAR = 0x0, CIV = 0x4, LVI = 0x5, SR = 0x6, PICB = 0x8, PIV = 0xa, CR = 0xb, GLOB_CNT = 0x2c, GLOB_STA = 0x30, CAS = 0x34 };
/* The mixer's. */
enum { MASTER = 0x02, PCM = 0x18, GAIN = 0x1c, POWER = 0x26, EXTENDED = 0x2a, DAC_RATE = 0x2c };
enum { HALTED = 1, AT_LAST = 2, LAST_DONE = 4, DONE = 8, FIFO_ERROR = 16 };
enum { RUN = 1, RESET = 2, INTERRUPTS = 0x1c };
#define PERIOD 480 /* frames, 10 ms */

struct fixture {
    struct fake_machine machine;
    struct sound sound;
    struct sound_end end;
    struct pci_device *card;
    uint16_t mixer, master;
    struct sound_format format[SOUND_DIRECTIONS];
    struct sound_volume volume[SOUND_DIRECTIONS];
    unsigned stops;
    size_t frames;
    int16_t next; /* of the left channel */
    unsigned wrong;
};

static void on_running(struct sound_end *end, enum sound_direction direction, const struct sound_format *format)
{
    struct fixture *f = container_of(end, struct fixture, end);

    f->stops += !format && direction == SOUND_PLAYBACK;
    f->format[direction] = format ? *format : (struct sound_format){0};
}

/* The left channel counts up over two periods, the right one down. */
static void on_play(struct sound_end *end, const int16_t *samples, size_t frames)
{
    struct fixture *f = container_of(end, struct fixture, end);

    for (size_t i = 0; i < frames; i++, f->next = (int16_t)((f->next + 1) % (2 * PERIOD)))
        f->wrong += samples[2 * i] != f->next || samples[2 * i + 1] != -f->next;
    f->frames += frames;
}

static size_t on_record(struct sound_end *end UNUSED, int16_t *samples, size_t frames)
{
    samples[0] = 0x1234;
    return frames ? 1 : 0;
}

static void on_volume(struct sound_end *end, enum sound_direction direction, const struct sound_volume *volume)
{
    container_of(end, struct fixture, end)->volume[direction] = *volume;
}

static const struct sound_end_ops end_ops = {on_running, on_play, on_record, on_volume};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    assert_int_equal(fake_machine_init(&f->machine, MIB(1), false), 0);
    sound_init(&f->sound, &f->machine.loop);
    f->end.ops = &end_ops;
    sound_add_end(&f->sound, &f->end);
    f->card = ac97_create(&f->machine.base, DEVFN, &f->sound);
    assert_non_null(f->card);
    fake_machine_reset(&f->machine);
    fake_pci_setup(&f->machine, DEVFN);
    f->mixer = (uint16_t)fake_pci_bar(&f->machine, DEVFN, 0);
    f->master = (uint16_t)fake_pci_bar(&f->machine, DEVFN, 1);
    fake_out(&f->machine, (uint16_t)(f->master + GLOB_CNT), 2, 4);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    fake_machine_fini(&f->machine);
    sound_fini(&f->sound);
    free(f);
    return 0;
}

static uint32_t get(struct fixture *f, unsigned reg, unsigned width)
{
    return fake_in(&f->machine, (uint16_t)(f->master + reg), width);
}

static void put(struct fixture *f, unsigned reg, uint32_t value, unsigned width)
{
    fake_out(&f->machine, (uint16_t)(f->master + reg), value, width);
}

static uint16_t mixer(struct fixture *f, unsigned reg)
{
    return (uint16_t)fake_in(&f->machine, (uint16_t)(f->mixer + reg), 2);
}

static void set_mixer(struct fixture *f, unsigned reg, uint16_t value)
{
    fake_out(&f->machine, (uint16_t)(f->mixer + reg), value, 2);
}

static void poke(struct fixture *f, uint64_t addr, const void *data, size_t size)
{
    assert_int_equal(memory_write(f->machine.base.memory, addr, data, size), 0);
}

static void set_entry(struct fixture *f, unsigned n, uint32_t address, uint16_t samples, uint16_t flags)
{
    const uint32_t entry[2] = {address, samples | (uint32_t)flags << 16};

    poke(f, LIST + n * 8, entry, sizeof(entry));
}

/* A list of 32 entries, two buffers in turn, each of which interrupts. */
static void set_list(struct fixture *f, unsigned box)
{
    for (int i = 0; i < 2 * PERIOD; i++) {
        const int16_t frame[2] = {(int16_t)i, (int16_t)-i};

        poke(f, BUFFERS + (unsigned)i * 4u, frame, sizeof(frame));
    }
    for (unsigned n = 0; n < 32; n++)
        set_entry(f, n, BUFFERS + n % 2 * PERIOD * 4, PERIOD * 2, 0x8000);
    put(f, box + CR, RESET, 1);
    put(f, box + BDBAR, LIST, 4);
}

/* --- registers --- */

static void test_identity(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(fake_pci_read(&f->machine, DEVFN, 0, 4), 0x24158086);
    assert_int_equal(fake_pci_read(&f->machine, DEVFN, 8, 4) >> 8, 0x040100);
    assert_int_equal(mixer(f, 0x7c), 0x8384);
    assert_int_equal(mixer(f, 0x7e), 0x7600);
    assert_true(get(f, GLOB_STA, 4) & 0x100);
    put(f, GLOB_CNT, 0, 4);
    assert_false(get(f, GLOB_STA, 4) & 0x100);
    /* Warm resets end at once. */
    put(f, GLOB_CNT, 6, 4);
    assert_int_equal(get(f, GLOB_CNT, 4), 2);
    assert_int_equal(get(f, CAS, 1), 0);
    assert_int_equal(get(f, CAS, 1), 1);
    mixer(f, 0);
    assert_int_equal(get(f, CAS, 1), 0);
}

static void test_mixer(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(mixer(f, MASTER), 0x8000);
    set_mixer(f, MASTER, 0xffff);
    assert_int_equal(mixer(f, MASTER), 0x9f1f);
    assert_int_equal(mixer(f, 0x24), 0);
    assert_int_equal(mixer(f, 0xfe), 0);
    /* Rates are fixed until they may vary, and then within what there is. */
    set_mixer(f, DAC_RATE, 44100);
    assert_int_equal(mixer(f, DAC_RATE), 48000);
    set_mixer(f, EXTENDED, 1);
    set_mixer(f, DAC_RATE, 44100);
    assert_int_equal(mixer(f, DAC_RATE), 44100);
    set_mixer(f, DAC_RATE, 0);
    assert_int_equal(mixer(f, DAC_RATE), 8000);
    set_mixer(f, DAC_RATE, 0xffff);
    assert_int_equal(mixer(f, DAC_RATE), 48000);
    assert_int_equal(mixer(f, POWER), 0xf);
    set_mixer(f, POWER, 0x0300);
    assert_int_equal(mixer(f, POWER), 0x30c);
    set_mixer(f, 0, 0);
    assert_int_equal(mixer(f, MASTER), 0x8000);
}

static void test_volume(void **state)
{
    struct fixture *f = *state;

    fake_machine_run(&f->machine, 0);
    assert_true(f->volume[SOUND_PLAYBACK].mute);
    assert_true(f->volume[SOUND_RECORD].mute);
    set_mixer(f, MASTER, 0x0004); /* 6 dB less on the right */
    set_mixer(f, PCM, 0x0808);
    set_mixer(f, GAIN, 0);
    fake_machine_run(&f->machine, 5);
    assert_false(f->volume[SOUND_PLAYBACK].mute);
    assert_false(f->volume[SOUND_RECORD].mute);
    assert_int_equal(f->volume[SOUND_PLAYBACK].level[0], 65535);
    assert_in_range(f->volume[SOUND_PLAYBACK].level[1], 51900, 52200); /* the cube root of a half */
}

/* --- streams --- */

struct waiting {
    struct fixture *f;
    unsigned box, bits;
};

static bool has_status(void *arg)
{
    const struct waiting *w = arg;

    return (get(w->f, w->box + SR, 2) & w->bits) == w->bits;
}

static void wait_for(struct fixture *f, unsigned box, unsigned bits)
{
    assert_true(fake_machine_wait(&f->machine, has_status, &(struct waiting){f, box, bits}, 1000));
}

static void test_play(void **state)
{
    struct fixture *f = *state;

    set_list(f, PCM_OUT);
    put(f, PCM_OUT + LVI, 5, 1);
    put(f, PCM_OUT + CR, RUN | INTERRUPTS, 1);
    assert_int_equal(get(f, PCM_OUT + CIV, 1), 0);
    assert_int_equal(get(f, PCM_OUT + PIV, 1), 1);
    wait_for(f, PCM_OUT, DONE);
    assert_true(f->machine.link_level[LINK]);
    assert_int_equal(get(f, GLOB_STA, 4), 0x140);
    put(f, PCM_OUT + SR, DONE, 2);
    wait_for(f, PCM_OUT, LAST_DONE | AT_LAST | HALTED);
    assert_int_equal(get(f, PCM_OUT + CIV, 1), 5);
    assert_int_equal(get(f, PCM_OUT + PICB, 2), 0);
    put(f, PCM_OUT + SR, DONE | LAST_DONE, 1);
    assert_false(f->machine.link_level[LINK]);
    assert_int_equal(f->frames, 6 * PERIOD);
    /* There is more. */
    put(f, PCM_OUT + LVI, 7, 1);
    assert_false(get(f, PCM_OUT + SR, 2) & (HALTED | AT_LAST));
    wait_for(f, PCM_OUT, LAST_DONE);
    assert_int_equal(f->frames, 8 * PERIOD);
    assert_int_equal(f->wrong, 0);
    fake_machine_run(&f->machine, 10);
    assert_int_equal(f->format[SOUND_PLAYBACK].rate, 0);
}

static void test_pause(void **state)
{
    struct fixture *f = *state;
    size_t heard;

    set_list(f, PCM_OUT);
    put(f, PCM_OUT + LVI, 31, 1);
    put(f, PCM_OUT + CR, RUN, 1);
    fake_machine_run(&f->machine, 30);
    put(f, PCM_OUT + CR, 0, 1);
    fake_machine_run(&f->machine, 5);
    heard = f->frames;
    assert_true(heard > 0);
    fake_machine_run(&f->machine, 30);
    assert_int_equal(f->frames, heard);
    put(f, PCM_OUT + CR, RUN, 1);
    fake_machine_run(&f->machine, 30);
    assert_true(f->frames > heard);
    assert_int_equal(f->wrong, 0);
    /* In flight it is reset only after it was stopped. */
    put(f, PCM_OUT + CR, RUN | RESET, 1);
    assert_int_equal(get(f, PCM_OUT + BDBAR, 4), LIST);
    put(f, PCM_OUT + CR, 0, 1);
    put(f, PCM_OUT + CR, RESET, 1);
    assert_int_equal(get(f, PCM_OUT + BDBAR, 4), 0);
    assert_int_equal(get(f, PCM_OUT + SR, 2), HALTED);
}

static void test_record(void **state)
{
    static const struct {
        unsigned box;
        uint32_t channels;
    } inputs[] = {{PCM_IN, 2}, {MIC_IN, 1}};
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_SIZE(inputs); i++) {
        int16_t first;

        set_list(f, inputs[i].box);
        put(f, inputs[i].box + LVI, 1, 1);
        put(f, inputs[i].box + CR, RUN | INTERRUPTS, 1);
        fake_machine_run(&f->machine, 1);
        assert_int_equal(f->format[SOUND_RECORD].channels, inputs[i].channels);
        wait_for(f, inputs[i].box, LAST_DONE | DONE);
        assert_int_equal(memory_read(f->machine.base.memory, BUFFERS, &first, 2), 0);
        assert_int_equal(first, 0x1234);
        put(f, inputs[i].box + CR, 0, 1);
        put(f, inputs[i].box + SR, 0xff, 2);
    }
}

/* --- nonsense --- */

static void test_nonsense(void **state)
{
    struct fixture *f = *state;

    /* Buffers of no length: the list is gone through once. */
    put(f, PCM_OUT + BDBAR, LIST, 4);
    for (unsigned n = 0; n < 32; n++)
        set_entry(f, n, BUFFERS, 0, 0x8000);
    put(f, PCM_OUT + LVI, 31, 1);
    put(f, PCM_OUT + CR, RUN | INTERRUPTS, 1);
    wait_for(f, PCM_OUT, LAST_DONE | HALTED);
    assert_int_equal(f->frames, 0);
    put(f, PCM_OUT + CR, 0, 1);
    put(f, PCM_OUT + CR, RESET, 1);
    /* A list, and a buffer, that are no memory. */
    put(f, PCM_OUT + BDBAR, NOWHERE, 4);
    put(f, PCM_OUT + CR, RUN, 1);
    assert_int_equal(get(f, PCM_OUT + SR, 2), HALTED | FIFO_ERROR);
    put(f, PCM_OUT + CR, 0, 1);
    put(f, PCM_OUT + CR, RESET, 1);
    put(f, PCM_OUT + BDBAR, LIST, 4);
    set_entry(f, 0, NOWHERE, PERIOD, 0);
    put(f, PCM_OUT + CR, RUN, 1);
    wait_for(f, PCM_OUT, HALTED | FIFO_ERROR);
    /* A stream of odd lengths, reset with everything while it runs. */
    put(f, PCM_OUT + CR, 0, 1);
    put(f, PCM_OUT + CR, RESET, 1);
    put(f, PCM_OUT + BDBAR, LIST, 4);
    for (unsigned n = 0; n < 32; n++)
        set_entry(f, n, BUFFERS + 1, (uint16_t)(n * 2 + 1), 0);
    put(f, PCM_OUT + LVI, 30, 1);
    put(f, PCM_OUT + CR, RUN, 1);
    fake_machine_run(&f->machine, 10);
    put(f, GLOB_CNT, 0, 4);
    fake_machine_run(&f->machine, 10);
    assert_int_equal(f->format[SOUND_PLAYBACK].rate, 0);
    for (unsigned reg = 0; reg < 64; reg++)
        for (unsigned width = 1; width <= 4 && reg % width == 0; width *= 2) {
            put(f, reg, UINT32_MAX, width);
            get(f, reg, width);
        }
    fake_machine_run(&f->machine, 10);
}

static void test_saved(void **state)
{
    struct fixture *f = *state;
    const struct device_ops *ops = f->card->base.ops;
    struct writer w;
    struct reader r;
    uint32_t before;

    set_mixer(f, EXTENDED, 1);
    set_mixer(f, DAC_RATE, 44100);
    set_list(f, PCM_OUT);
    put(f, PCM_OUT + LVI, 31, 1);
    put(f, PCM_OUT + CR, RUN | INTERRUPTS, 1);
    fake_machine_run(&f->machine, 40);
    writer_init(&w, KIB(4));
    machine_lock(&f->machine.base);
    ops->save(&f->card->base, &w);
    before = get(f, PCM_OUT + CIV, 4);
    ops->reset(&f->card->base);
    reader_init(&r, w.data, w.size);
    assert_int_equal(ops->load(&f->card->base, &r, ops->version), 0);
    machine_unlock(&f->machine.base);
    assert_int_equal(get(f, PCM_OUT + CIV, 4), before);
    assert_int_equal(mixer(f, DAC_RATE), 44100);
    fake_machine_run(&f->machine, 40);
    assert_true(get(f, PCM_OUT + CIV, 1) > (before & 0xff));
    assert_int_equal(f->wrong, 0);
    /* What is cut off is refused. */
    reader_init(&r, w.data, w.size - 1);
    assert_true(ops->load(&f->card->base, &r, ops->version) < 0);
    writer_fini(&w);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {TEST(test_identity), TEST(test_mixer), TEST(test_volume), TEST(test_play),  TEST(test_pause),
                                       TEST(test_record),   TEST(test_nonsense), TEST(test_saved)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
