/* test_i8042.c - keyboard controller, keyboard and mouse driven as SeaBIOS and Linux do. */
#include "devices/platform/i8042.h"
#include "devices/platform/ps2.h"
#include "tests/lib/fake_machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the headers above first. */
#include <cmocka.h>

#define KEYBOARD_IRQ 1
#define AUX_IRQ      12
#define NOTHING      (-1)

struct fixture {
    struct fake_machine machine;
    struct input input;
    struct input_listener listener;
    unsigned leds;
    struct device *kbc;
};

static void leds_changed(struct input_listener *listener, unsigned leds)
{
    container_of(listener, struct fixture, listener)->leds = leds;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_int_equal(fake_machine_init(&f->machine, KIB(640), false), 0);
    input_init(&f->input);
    f->listener.leds = leds_changed;
    input_add_listener(&f->input, &f->listener);
    f->kbc = i8042_create(&f->machine.base, &f->input);
    assert_non_null(f->kbc);
    fake_machine_reset(&f->machine);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    fake_machine_fini(&f->machine);
    free(f);
    return 0;
}

/* --- a driver --- */

static uint8_t status(struct fixture *f)
{
    return (uint8_t)fake_in(&f->machine, 0x64, 1);
}

static void command(struct fixture *f, uint8_t byte)
{
    assert_int_equal(status(f) & 2, 0);
    fake_out(&f->machine, 0x64, byte, 1);
}

static void data(struct fixture *f, uint8_t byte)
{
    fake_out(&f->machine, 0x60, byte, 1);
}

/* The next byte from the keyboard or the controller, NOTHING if there is none or it is the mouse's. */
static int get(struct fixture *f)
{
    return (status(f) & 0x21) == 0x01 ? (int)fake_in(&f->machine, 0x60, 1) : NOTHING;
}

static int get_aux(struct fixture *f)
{
    return (status(f) & 0x21) == 0x21 ? (int)fake_in(&f->machine, 0x60, 1) : NOTHING;
}

static void set_mode(struct fixture *f, uint8_t mode)
{
    command(f, 0x60);
    data(f, mode);
}

static void mouse(struct fixture *f, uint8_t byte)
{
    command(f, 0xd4);
    data(f, byte);
}

#define EXPECT(get, f, ...)                                                                        \
    do {                                                                                           \
        const int expected_[] = {__VA_ARGS__};                                                     \
        unsigned i_;                                                                               \
        for (i_ = 0; i_ < ARRAY_SIZE(expected_); i_++)                                             \
            assert_int_equal(get(f), expected_[i_]);                                               \
        assert_int_equal(get(f), NOTHING);                                                         \
    } while (0)

static void keys(struct fixture *f, const char *codes, size_t count)
{
    while (count--)
        input_scancode(&f->input, (uint8_t)*codes++);
}

#define KEYS(f, codes) keys(f, codes, sizeof(codes) - 1)

/* --- the controller --- */

/* The way SeaBIOS brings it up. */
static void starts_as_firmware_wants(void **state)
{
    struct fixture *f = *state;

    command(f, 0xad);
    command(f, 0xa7);
    command(f, 0xaa);
    EXPECT(get, f, 0x55);
    command(f, 0xab);
    EXPECT(get, f, 0x00);
    set_mode(f, 0x30);
    data(f, 0xff); /* to the keyboard, which starts its port */
    EXPECT(get, f, 0xfa, 0xaa);
    data(f, 0xf5);
    EXPECT(get, f, 0xfa);
    data(f, 0xf0);
    EXPECT(get, f, 0xfa);
    data(f, 0x02);
    EXPECT(get, f, 0xfa);
    set_mode(f, 0x61);
    command(f, 0x20);
    EXPECT(get, f, 0x61);
    data(f, 0xf4);
    EXPECT(get, f, 0xfa);
}

static void answers_queries(void **state)
{
    struct fixture *f = *state;

    command(f, 0xa9);
    EXPECT(get, f, 0x00);
    command(f, 0xa4);
    EXPECT(get, f, 0xf1);
    command(f, 0xc0);
    EXPECT(get, f, 0x80);
    command(f, 0x65);
    data(f, 0x77);
    command(f, 0x25);
    EXPECT(get, f, 0x77);
    command(f, 0x99); /* unknown */
    EXPECT(get, f, NOTHING);
    assert_int_equal(status(f) & 0x18, 0x18);
    data(f, 0xee);
    assert_int_equal(status(f) & 0x08, 0);
    EXPECT(get, f, 0xee);
}

static void loops_bytes_back(void **state)
{
    struct fixture *f = *state;

    set_mode(f, 0x03);
    command(f, 0xd2);
    data(f, 0x5a);
    assert_true(f->machine.gsi_level[KEYBOARD_IRQ]);
    EXPECT(get, f, 0x5a);
    assert_false(f->machine.gsi_level[KEYBOARD_IRQ]);
    command(f, 0xd3);
    data(f, 0xa5);
    assert_true(f->machine.gsi_level[AUX_IRQ]);
    assert_false(f->machine.gsi_level[KEYBOARD_IRQ]);
    EXPECT(get_aux, f, 0xa5);
    assert_false(f->machine.gsi_level[AUX_IRQ]);
}

static void switches_a20_and_resets(void **state)
{
    struct fixture *f = *state;
    unsigned *resets = &f->machine.requests[MACHINE_RESET];

    command(f, 0xd0);
    EXPECT(get, f, 0xc3);
    command(f, 0xd1);
    data(f, 0xdd);
    command(f, 0xd0);
    EXPECT(get, f, 0xc1);
    command(f, 0xdf);
    command(f, 0xd0);
    EXPECT(get, f, 0xc3);
    command(f, 0xff); /* pulses nothing */
    assert_int_equal(*resets, 0);
    command(f, 0xfe);
    assert_int_equal(*resets, 1);
    command(f, 0xd1);
    data(f, 0xde);
    assert_int_equal(*resets, 2);
}

/* --- the keyboard --- */

static void translates_keys(void **state)
{
    struct fixture *f = *state;

    KEYS(f, "\x1e\x9e\xe0\x48\xe0\xc8"); /* a, up */
    EXPECT(get, f, 0x1e, 0x9e, 0xe0, 0x48, 0xe0, 0xc8);
    KEYS(f, "\xe1\x1d\x45\xe1\x9d\xc5"); /* pause */
    EXPECT(get, f, 0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5);
    KEYS(f, "\x41\xc1\x54\xd4");
    EXPECT(get, f, 0x41, 0xc1, 0x54, 0xd4);
}

static void speaks_set_2(void **state)
{
    struct fixture *f = *state;

    set_mode(f, 0x05);
    KEYS(f, "\x1e\x9e\xe0\x48\xe0\xc8");
    EXPECT(get, f, 0x1c, 0xf0, 0x1c, 0xe0, 0x75, 0xe0, 0xf0, 0x75);
    KEYS(f, "\xe1\x1d\x45\xe1\x9d\xc5");
    EXPECT(get, f, 0xe1, 0x14, 0x77, 0xe1, 0xf0, 0x14, 0xf0, 0x77);
    KEYS(f, "\x41\x01"); /* F7, escape */
    EXPECT(get, f, 0x83, 0x76);
    data(f, 0xf0);
    EXPECT(get, f, 0xfa);
    data(f, 1);
    KEYS(f, "\xe0\x1d\xe0\x9d"); /* right control in set 1, untranslated */
    EXPECT(get, f, 0xfa, 0xe0, 0x1d, 0xe0, 0x9d);
}

/* Every code of set 1 comes out as it went in when the controller translates. */
static void translation_is_complete(void **state)
{
    struct fixture *f = *state;
    uint8_t code;

    for (code = 1; code < 0x80; code++) {
        if (code == 0x60 || code == 0x61) /* e0 and e1 without their top bit: prefixes */
            continue;
        input_scancode(&f->input, code);
        EXPECT(get, f, code);
        input_scancode(&f->input, code | 0x80);
        EXPECT(get, f, code | 0x80);
    }
}

static void interrupts_for_each_byte(void **state)
{
    struct fixture *f = *state;

    KEYS(f, "\xe0\x48");
    assert_int_equal(f->machine.gsi_edges[KEYBOARD_IRQ], 1);
    assert_int_equal(get(f), 0xe0);
    assert_int_equal(f->machine.gsi_edges[KEYBOARD_IRQ], 2);
    assert_true(f->machine.gsi_level[KEYBOARD_IRQ]);
    assert_int_equal(get(f), 0x48);
    assert_false(f->machine.gsi_level[KEYBOARD_IRQ]);
    fake_in(&f->machine, 0x60, 1); /* stale, harmless */
    assert_int_equal(f->machine.gsi_edges[KEYBOARD_IRQ], 2);
    set_mode(f, 0x44);
    KEYS(f, "\x1e");
    assert_false(f->machine.gsi_level[KEYBOARD_IRQ]);
    set_mode(f, 0x45); /* it waits; enabling tells it */
    assert_true(f->machine.gsi_level[KEYBOARD_IRQ]);
    EXPECT(get, f, 0x1e);
}

static void holds_keys_while_off(void **state)
{
    struct fixture *f = *state;

    command(f, 0xad);
    KEYS(f, "\x1e");
    EXPECT(get, f, NOTHING);
    command(f, 0xae);
    EXPECT(get, f, 0x1e);
    data(f, 0xf5);
    EXPECT(get, f, 0xfa);
    KEYS(f, "\x1e");
    EXPECT(get, f, NOTHING);
    data(f, 0xf4);
    EXPECT(get, f, 0xfa);
}

static void obeys_keyboard_commands(void **state)
{
    struct fixture *f = *state;

    data(f, 0xf2);
    EXPECT(get, f, 0xfa, 0xab, 0x41); /* 83 translated */
    data(f, 0xfe);
    EXPECT(get, f, 0x41);
    data(f, 0xf3);
    data(f, 0x20);
    EXPECT(get, f, 0xfa, 0xfa);
    data(f, 0xf0);
    data(f, 0x00);
    EXPECT(get, f, 0xfa, 0xfa, 0x41); /* set 2, translated */
    data(f, 0xf0);
    data(f, 0x03);
    EXPECT(get, f, 0xfa, 0xfe);
    data(f, 0xed);
    data(f, 0xee); /* not a parameter: a new command */
    EXPECT(get, f, 0xfa, 0xee);
    data(f, 0x12);
    EXPECT(get, f, 0xfe);
}

static void reports_leds(void **state)
{
    struct fixture *f = *state;

    data(f, 0xed);
    data(f, 0x06);
    EXPECT(get, f, 0xfa, 0xfa);
    assert_int_equal(f->leds, 0);
    fake_machine_run(&f->machine, 5);
    assert_int_equal(f->leds, INPUT_LED_NUM | INPUT_LED_CAPS);
    data(f, 0xff);
    fake_machine_run(&f->machine, 5);
    assert_int_equal(f->leds, 0);
}

/* A guest that reads nothing: presses are lost before releases, and never half a key. */
static void loses_whole_keys_only(void **state)
{
    struct fixture *f = *state;
    int presses = 0, releases = 0, byte;
    unsigned i;

    set_mode(f, 0x05);
    for (i = 0; i < 2100; i++)
        KEYS(f, "\xe0\x48");
    for (i = 0; i < 100; i++)
        KEYS(f, "\xe0\xc8");
    data(f, 0xee);
    while ((byte = get(f)) == 0xe0) {
        byte = get(f);
        if (byte == 0xf0) {
            byte = get(f);
            releases++;
        } else {
            presses++;
        }
        assert_int_equal(byte, 0x75);
    }
    assert_int_equal(byte, 0xee);
    assert_in_range(presses, 1900, 2099);
    assert_in_range(releases, 10, 40);
}

/* --- the mouse --- */

static void enable_mouse(struct fixture *f)
{
    command(f, 0xa8);
    mouse(f, 0xf4);
    EXPECT(get_aux, f, 0xfa);
}

static void set_rate(struct fixture *f, uint8_t rate)
{
    mouse(f, 0xf3);
    mouse(f, rate);
    EXPECT(get_aux, f, 0xfa, 0xfa);
}

static void mouse_comes_up(void **state)
{
    struct fixture *f = *state;

    set_mode(f, 0x47);
    command(f, 0xa8);
    mouse(f, 0xff);
    assert_true(f->machine.gsi_level[AUX_IRQ]);
    EXPECT(get_aux, f, 0xfa, 0xaa, 0x00);
    assert_int_equal(f->machine.gsi_edges[AUX_IRQ], 3);
    mouse(f, 0xf2);
    EXPECT(get_aux, f, 0xfa, 0x00);
    mouse(f, 0xe9);
    EXPECT(get_aux, f, 0xfa, 0x00, 0x02, 100);
    mouse(f, 0xe8);
    mouse(f, 3);
    mouse(f, 0xe7);
    mouse(f, 0xf4);
    EXPECT(get_aux, f, 0xfa, 0xfa, 0xfa, 0xfa);
    input_motion(&f->input, 0, 0, 0, 1u << INPUT_RIGHT);
    EXPECT(get_aux, f, 0x0a, 0, 0);
    mouse(f, 0xe9);
    EXPECT(get_aux, f, 0xfa, 0x31, 0x03, 100);
    mouse(f, 0x42);
    EXPECT(get_aux, f, 0xfe);
}

static void mouse_moves(void **state)
{
    struct fixture *f = *state;

    input_motion(&f->input, 5, 5, 0, 0); /* nobody listens yet */
    enable_mouse(f);
    EXPECT(get_aux, f, NOTHING);
    input_motion(&f->input, 3, 2, 0, 1u << INPUT_LEFT); /* right and down */
    EXPECT(get_aux, f, 0x29, 3, 0xfe);
    input_motion(&f->input, -300, 0, 1, 1u << INPUT_MIDDLE);
    EXPECT(get_aux, f, 0x1c, 0x01, 0, 0x1c, 0xd3, 0);
    command(f, 0xa7);
    input_motion(&f->input, 1, 0, 0, 0);
    EXPECT(get_aux, f, NOTHING);
}

static void mouse_wheels(void **state)
{
    struct fixture *f = *state;

    command(f, 0xa8);
    set_rate(f, 200);
    set_rate(f, 100);
    set_rate(f, 80);
    mouse(f, 0xf2);
    EXPECT(get_aux, f, 0xfa, 3);
    enable_mouse(f);
    input_motion(&f->input, 0, 0, -1, 0);
    EXPECT(get_aux, f, 0x08, 0, 0, 0xff);
    set_rate(f, 200);
    set_rate(f, 200);
    set_rate(f, 80);
    mouse(f, 0xf2);
    EXPECT(get_aux, f, 0xfa, 4);
    input_motion(&f->input, 0, 0, 9, 1u << INPUT_EXTRA | 1u << INPUT_SIDE);
    EXPECT(get_aux, f, 0x08, 0, 0, 0x37, 0x08, 0, 0, 0x32);
    mouse(f, 0xff);
    EXPECT(get_aux, f, 0xfa, 0xaa, 0x00);
    mouse(f, 0xf2);
    EXPECT(get_aux, f, 0xfa, 0);
}

/* Motion adds up while the guest is slow; clicks are all told. */
static void mouse_adds_up(void **state)
{
    struct fixture *f = *state;
    int packets = 0, clicks = 0, sum = 0, byte;
    unsigned i;

    enable_mouse(f);
    for (i = 0; i < 200; i++)
        input_motion(&f->input, 1, 0, 0, 0);
    for (i = 0; i < 10; i++) {
        input_motion(&f->input, 1, 0, 0, 1u << INPUT_LEFT);
        input_motion(&f->input, 0, 0, 0, 0);
    }
    for (; (byte = get_aux(f)) != NOTHING; packets++) {
        clicks += byte & 1;
        sum += get_aux(f);
        assert_int_equal(get_aux(f), 0);
    }
    assert_int_equal(sum, 210);
    assert_int_equal(clicks, 10);
    assert_in_range(packets, 20, 26);
}

static void mouse_is_asked(void **state)
{
    struct fixture *f = *state;

    enable_mouse(f);
    mouse(f, 0xf0);
    input_motion(&f->input, 4, 0, 0, 0);
    EXPECT(get_aux, f, 0xfa);
    mouse(f, 0xeb);
    EXPECT(get_aux, f, 0xfa, 0x08, 4, 0);
    mouse(f, 0xee);
    mouse(f, 0xf2);
    EXPECT(get_aux, f, 0xfa, 0xf2);
    mouse(f, 0xec);
    mouse(f, 0xea);
    EXPECT(get_aux, f, 0xfa, 0xfa);
}

static void keyboard_and_mouse_share_the_buffer(void **state)
{
    struct fixture *f = *state;

    enable_mouse(f);
    KEYS(f, "\x1e");
    input_motion(&f->input, 1, 0, 0, 0);
    KEYS(f, "\x9e");
    assert_int_equal(get(f), 0x1e);
    assert_int_equal(get(f), 0x9e);
    EXPECT(get_aux, f, 0x08, 1, 0);
}

/* --- all of it --- */

static void takes_anything(void **state)
{
    struct fixture *f = *state;
    unsigned i, seed = 1;

    for (i = 0; i < 50000; i++) {
        seed = seed * 1103515245 + 12345;
        switch (seed >> 28) {
        case 0 ... 4:
            fake_out(&f->machine, 0x64, seed >> 16 & 0xff, 1);
            break;
        case 5 ... 9:
            fake_out(&f->machine, 0x60, seed >> 16 & 0xff, 1);
            break;
        case 10:
            input_scancode(&f->input, (uint8_t)(seed >> 16));
            break;
        case 11:
            input_motion(&f->input, (int)seed, INT32_MIN, INT32_MAX, seed);
            break;
        default:
            fake_in(&f->machine, 0x60, 1);
        }
    }
}

static void survives_save_and_load(void **state)
{
    struct fixture *f = *state;
    struct writer w;
    struct reader r;
    size_t i;

    writer_init(&w, KIB(4));
    enable_mouse(f);
    data(f, 0xed);
    data(f, 0x04);
    EXPECT(get, f, 0xfa, 0xfa);
    command(f, 0xd4);
    KEYS(f, "\x1e\xe0\x48");
    f->kbc->ops->save(f->kbc, &w);
    fake_machine_reset(&f->machine);
    reader_init(&r, w.data, w.size);
    assert_int_equal(f->kbc->ops->load(f->kbc, &r, 1), 0);
    assert_int_equal(reader_left(&r), 0);
    assert_true(f->machine.gsi_level[KEYBOARD_IRQ]);
    EXPECT(get, f, 0x1e, 0xe0, 0x48);
    data(f, 0xf2);
    EXPECT(get_aux, f, 0xfa, 0x00);
    fake_machine_run(&f->machine, 5);
    assert_int_equal(f->leds, INPUT_LED_CAPS);
    for (i = 0; i < w.size; i++) {
        reader_init(&r, w.data, i);
        assert_int_not_equal(f->kbc->ops->load(f->kbc, &r, 1), 0);
    }
    writer_fini(&w);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(starts_as_firmware_wants),
        TEST(answers_queries),
        TEST(loops_bytes_back),
        TEST(switches_a20_and_resets),
        TEST(translates_keys),
        TEST(speaks_set_2),
        TEST(translation_is_complete),
        TEST(interrupts_for_each_byte),
        TEST(holds_keys_while_off),
        TEST(obeys_keyboard_commands),
        TEST(reports_leds),
        TEST(loses_whole_keys_only),
        TEST(mouse_comes_up),
        TEST(mouse_moves),
        TEST(mouse_wheels),
        TEST(mouse_adds_up),
        TEST(mouse_is_asked),
        TEST(keyboard_and_mouse_share_the_buffer),
        TEST(takes_anything),
        TEST(survives_save_and_load),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
