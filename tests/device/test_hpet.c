/* test_hpet.c - the event timer driven as Linux' hpet.c and firmware do. */
#include "devices/platform/hpet.h"
#include "devices/platform/rtc.h"
#include "tests/lib/fake_machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the headers above first. */
#include <cmocka.h>

enum { CONFIG = 0x10, STATUS = 0x20, COUNTER = 0xf0, T0 = 0x100, T1 = 0x120, T2 = 0x140, COMPARE = 8 };
enum { ON = 1, LEGACY = 2, LEVEL = 2, INTERRUPT = 4, PERIODIC = 8, SET_VALUE = 0x40, BITS32 = 0x100 };
#define ROUTE(pin) ((uint32_t)(pin) << 9)
#define MS         100000u /* ticks */

struct fixture {
    struct fake_machine machine;
    struct device *hpet;
    bool pit;
    unsigned gsi, edges; /* what a wait is for */
};

static struct fixture *current;

static void pit_interrupts(struct machine *machine UNUSED, bool on)
{
    current->pit = on;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_int_equal(fake_machine_init(&f->machine, KIB(640), false), 0);
    f->machine.base.pit_interrupts = pit_interrupts;
    f->pit = true;
    current = f;
    f->hpet = hpet_create(&f->machine.base);
    assert_non_null(f->hpet);
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

static uint64_t get(struct fixture *f, unsigned reg, unsigned width)
{
    return fake_mmio_read(&f->machine, HPET_ADDRESS + reg, width);
}

static void put(struct fixture *f, unsigned reg, uint64_t value, unsigned width)
{
    fake_mmio_write(&f->machine, HPET_ADDRESS + reg, value, width);
}

static bool has_edges(void *arg)
{
    struct fixture *f = arg;

    return f->machine.gsi_edges[f->gsi] >= f->edges;
}

static bool wait_edges(struct fixture *f, unsigned gsi, unsigned edges, unsigned ms)
{
    f->gsi = gsi;
    f->edges = f->machine.gsi_edges[gsi] + edges;
    return fake_machine_wait(&f->machine, has_edges, f, ms);
}

/* Let the machine's clock run ahead. */
static void pass_time(struct fixture *f, uint64_t ns)
{
    f->machine.base.clock_offset -= ns;
}

static void says_what_it_is(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(get(f, 0, 4), 0x8086a201);
    assert_int_equal(get(f, 4, 4), 10000000); /* fs */
    assert_true(get(f, 0, 8) == 0x009896808086a201);
    assert_int_equal(get(f, T0, 4), 0x30);
    assert_int_equal(get(f, T2 + 4, 4), 0xff0000);
    put(f, T1, UINT64_MAX, 8);
    assert_true(get(f, T1, 8) == 0xff000000003f7e);
    assert_int_equal(get(f, T0 + 3 * 0x20, 4), 0); /* a fourth */
    put(f, 0x3f8, 1, 8);
    assert_int_equal(get(f, 0x3f8, 8), 0);
}

static void counts_when_it_is_on(void **state)
{
    struct fixture *f = *state;
    uint64_t counter;

    put(f, COUNTER, 1000, 4);
    put(f, COUNTER + 4, 7, 4);
    pass_time(f, 1000000);
    assert_true(get(f, COUNTER, 8) == (7ull << 32 | 1000));
    put(f, CONFIG, ON, 4);
    pass_time(f, 5000000000);
    counter = get(f, COUNTER, 8) - (7ull << 32 | 1000);
    assert_in_range(counter, 500 * 1000000, 600 * 1000000);
    put(f, COUNTER, 1, 8); /* not while it runs */
    assert_true(get(f, COUNTER, 8) > 7ull << 32);
    put(f, CONFIG, 0, 4);
    counter = get(f, COUNTER, 8);
    pass_time(f, 1000000);
    assert_true(get(f, COUNTER, 8) == counter);
}

/* Linux: hpet_clkevt_set_state_oneshot() and _set_next_event(). */
static void fires_once(void **state)
{
    struct fixture *f = *state;

    put(f, CONFIG, ON, 4);
    put(f, T0, INTERRUPT | BITS32 | ROUTE(20), 4);
    fake_machine_run(&f->machine, 5);
    assert_int_equal(f->machine.gsi_edges[20], 0); /* no comparator was set */
    put(f, T0 + COMPARE, (uint32_t)get(f, COUNTER, 4) + 10 * MS, 4);
    fake_machine_run(&f->machine, 3);
    assert_int_equal(f->machine.gsi_edges[20], 0);
    assert_true(wait_edges(f, 20, 1, 2000));
    fake_machine_run(&f->machine, 15);
    assert_int_equal(f->machine.gsi_edges[20], 1);
    assert_false(f->machine.gsi_level[20]);
    put(f, T0 + COMPARE, (uint32_t)get(f, COUNTER, 4) - 10, 4); /* just missed */
    assert_true(wait_edges(f, 20, 1, 2000));
}

/* Linux: hpet_clkevt_set_state_periodic(). */
static void fires_again_and_again(void **state)
{
    struct fixture *f = *state;
    uint64_t first;

    put(f, CONFIG, ON, 4);
    first = (uint32_t)get(f, COUNTER, 4) + 2 * MS;
    put(f, T1, INTERRUPT | PERIODIC | SET_VALUE | BITS32 | ROUTE(21), 4);
    put(f, T1 + COMPARE, first, 4);
    assert_int_equal(get(f, T1, 4) & SET_VALUE, 0);
    put(f, T1 + COMPARE, 2 * MS, 4);
    assert_true(wait_edges(f, 21, 5, 2000));
    assert_int_equal((get(f, T1 + COMPARE, 4) - first) % (2 * MS), 0);
    put(f, T1, PERIODIC | BITS32 | ROUTE(21), 4);
    fake_machine_run(&f->machine, 3);
    assert_false(wait_edges(f, 21, 1, 10));
}

static void missed_periods_are_one(void **state)
{
    struct fixture *f = *state;

    put(f, CONFIG, ON, 4);
    put(f, T0, INTERRUPT | PERIODIC | SET_VALUE | ROUTE(20), 8);
    put(f, T0 + COMPARE, get(f, COUNTER, 8) + 3600ull * 1000 * MS, 8);
    put(f, T0 + COMPARE, 3600ull * 1000 * MS, 8); /* an hour */
    pass_time(f, 7 * 3600ull * 1000000000);
    put(f, T0, INTERRUPT | PERIODIC | ROUTE(20), 8);
    assert_int_equal(f->machine.gsi_edges[20], 1);
    assert_false(wait_edges(f, 20, 1, 20));
    assert_true(get(f, T0 + COMPARE, 8) > get(f, COUNTER, 8));
}

/* The shortest period there is keeps the loop no busier than one of 50 us. */
static void short_periods_are_bounded(void **state)
{
    struct fixture *f = *state;

    put(f, CONFIG, ON, 4);
    put(f, T0, INTERRUPT | PERIODIC | SET_VALUE | BITS32 | ROUTE(20), 4);
    put(f, T0 + COMPARE, 1, 4);
    fake_machine_run(&f->machine, 50);
    assert_in_range(f->machine.gsi_edges[20], 2, 1100);
    put(f, T0 + COMPARE, 0, 4); /* no period: it fires once */
    fake_machine_run(&f->machine, 5);
}

static void levels_last_until_acknowledged(void **state)
{
    struct fixture *f = *state;

    put(f, CONFIG, ON, 4);
    put(f, T2, INTERRUPT | LEVEL | ROUTE(22), 4);
    put(f, T2 + COMPARE, get(f, COUNTER, 8) + MS, 8);
    assert_true(wait_edges(f, 22, 1, 2000));
    assert_true(f->machine.gsi_level[22]);
    assert_int_equal(get(f, STATUS, 4), 4);
    put(f, STATUS, 3, 4);
    assert_true(f->machine.gsi_level[22]);
    put(f, STATUS, 4, 4);
    assert_false(f->machine.gsi_level[22]);
    assert_int_equal(get(f, STATUS, 4), 0);
}

static void only_the_pins_that_there_are(void **state)
{
    struct fixture *f = *state;
    unsigned i;

    put(f, CONFIG, ON, 4);
    for (i = 0; i < 16; i++) {
        put(f, T0, INTERRUPT | ROUTE(i), 4);
        put(f, T0 + COMPARE, get(f, COUNTER, 8), 8);
        fake_machine_run(&f->machine, 1);
    }
    put(f, T0, INTERRUPT | LEVEL | ROUTE(31), 4);
    put(f, T0 + COMPARE, get(f, COUNTER, 8), 8);
    fake_machine_run(&f->machine, 1);
    for (i = 0; i < FAKE_GSIS; i++)
        assert_int_equal(f->machine.gsi_edges[i], 0);
}

static void replaces_the_legacy_timers(void **state)
{
    struct fixture *f = *state;
    struct irq rtc = hpet_rtc_irq(f->hpet);

    irq_set(rtc, true);
    assert_true(f->machine.gsi_level[8]);
    put(f, CONFIG, ON | LEGACY, 4);
    assert_false(f->pit);
    assert_false(f->machine.gsi_level[8]);
    put(f, T0, INTERRUPT | ROUTE(20), 4);
    put(f, T0 + COMPARE, get(f, COUNTER, 8) + MS, 8);
    assert_true(wait_edges(f, 0, 1, 2000));
    assert_int_equal(f->machine.gsi_edges[20], 0);
    put(f, T1, INTERRUPT, 4);
    put(f, T1 + COMPARE, get(f, COUNTER, 8) + MS, 8);
    assert_true(wait_edges(f, 8, 1, 2000));
    put(f, CONFIG, ON, 4);
    assert_true(f->pit);
    assert_true(f->machine.gsi_level[8]); /* the clock still asks */
    irq_set(rtc, false);
    assert_false(f->machine.gsi_level[8]);
    put(f, CONFIG, LEGACY, 4);
    fake_machine_reset(&f->machine);
    assert_true(f->pit);
}

static void the_clock_uses_its_line(void **state)
{
    struct fixture *f = *state;
    struct rtc_config config = {.ram_low = MIB(64), .cpus = 1, .irq = hpet_rtc_irq(f->hpet)};

    assert_non_null(rtc_create(&f->machine.base, &config));
    put(f, CONFIG, ON | LEGACY, 4);
    fake_out(&f->machine, 0x70, 0x0b, 1);
    fake_out(&f->machine, 0x71, 0x42, 1); /* periodic interrupts */
    fake_machine_run(&f->machine, 10);
    assert_int_equal(f->machine.gsi_edges[8], 0);
    put(f, CONFIG, ON, 4);
    assert_true(f->machine.gsi_level[8]);
}

static void is_saved_whole(void **state)
{
    struct fixture *f = *state;
    struct writer w;
    struct reader r;
    uint64_t compare;

    put(f, CONFIG, ON | LEGACY, 4);
    put(f, T1, INTERRUPT | PERIODIC | SET_VALUE, 4);
    compare = get(f, COUNTER, 8) + 20 * MS;
    put(f, T1 + COMPARE, compare, 8);
    writer_init(&w, KIB(4));
    f->hpet->ops->save(f->hpet, &w);
    fake_machine_reset(&f->machine);
    pass_time(f, 1000000000000); /* the clock of another machine */
    reader_init(&r, w.data, w.size);
    assert_int_equal(f->hpet->ops->load(f->hpet, &r, 1), 0);
    assert_int_equal(reader_left(&r), 0);
    writer_fini(&w);
    assert_false(f->pit);
    assert_true(get(f, T1 + COMPARE, 8) == compare);
    assert_in_range(get(f, COUNTER, 8), 0, compare);
    assert_true(wait_edges(f, 8, 1, 2000));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(says_what_it_is),
        TEST(counts_when_it_is_on),
        TEST(fires_once),
        TEST(fires_again_and_again),
        TEST(missed_periods_are_one),
        TEST(short_periods_are_bounded),
        TEST(levels_last_until_acknowledged),
        TEST(only_the_pins_that_there_are),
        TEST(replaces_the_legacy_timers),
        TEST(the_clock_uses_its_line),
        TEST(is_saved_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
