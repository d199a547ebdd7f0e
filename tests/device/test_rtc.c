/* test_rtc.c - the clock read, set and waited for as SeaBIOS, Linux and Windows do. */
#include "devices/platform/rtc.h"
#include "tests/lib/fake_machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
/* cmocka wants the headers above first. */
#include <cmocka.h>

#define IRQ    8
#define SECOND 1000000000ULL

enum {
    SECONDS,
    SECONDS_ALARM,
    MINUTES,
    MINUTES_ALARM,
    HOURS,
    HOURS_ALARM,
    WEEKDAY,
    DAY,
    MONTH,
    YEAR
};
enum { A = 10, B = 11, C = 12, D = 13, CENTURY = 0x32 };
enum {
    B_24H = 2,
    B_BINARY = 4,
    UPDATE = 0x10,
    ALARM = 0x20,
    PERIODIC = 0x40,
    SET = 0x80,
    IRQF = 0x80
};

struct fixture {
    struct fake_machine machine;
    struct device *rtc;
};

static void create(struct fixture *f, bool local_time)
{
    struct rtc_config config = {
        .ram_low = MIB(3072),
        .ram_high = GIB(5),
        .cpus = 4,
        .local_time = local_time,
        .boot = {RTC_BOOT_CDROM, RTC_BOOT_DISK, RTC_BOOT_NETWORK},
    };

    assert_int_equal(fake_machine_init(&f->machine, KIB(640), false), 0);
    f->rtc = rtc_create(&f->machine.base, &config);
    assert_non_null(f->rtc);
    fake_machine_reset(&f->machine);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    create(f, false);
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

static uint8_t get(struct fixture *f, uint8_t index)
{
    fake_out(&f->machine, 0x70, index, 1);
    return (uint8_t)fake_in(&f->machine, 0x71, 1);
}

static void set(struct fixture *f, uint8_t index, uint8_t value)
{
    fake_out(&f->machine, 0x70, index, 1);
    fake_out(&f->machine, 0x71, value, 1);
}

static int from_bcd(uint8_t v)
{
    return (v >> 4) * 10 + (v & 15);
}

/* As a careful driver: not while an update is near. BCD, 24 hours. */
static time_t read_date(struct fixture *f)
{
    struct tm tm = {0};

    while (get(f, A) & 0x80)
        ;
    tm.tm_sec = from_bcd(get(f, SECONDS));
    tm.tm_min = from_bcd(get(f, MINUTES));
    tm.tm_hour = from_bcd(get(f, HOURS));
    tm.tm_mday = from_bcd(get(f, DAY));
    tm.tm_mon = from_bcd(get(f, MONTH)) - 1;
    tm.tm_year = from_bcd(get(f, YEAR)) + from_bcd(get(f, CENTURY)) * 100 - 1900;
    return timegm(&tm);
}

/* As Linux does: held by SET and the divider, so that the first second is half of one. */
static void write_date(struct fixture *f, const uint8_t *bcd)
{
    static const uint8_t registers[] = {CENTURY, YEAR, MONTH, DAY, HOURS, MINUTES, SECONDS};
    uint8_t b = get(f, B), a = get(f, A);
    unsigned i;

    set(f, B, b | SET);
    set(f, A, (a & 0x0f) | 0x70);
    for (i = 0; i < sizeof(registers); i++)
        set(f, registers[i], bcd[i]);
    set(f, B, b);
    set(f, A, a & 0x7f);
}

static bool irq_is_up(void *arg)
{
    return ((struct fixture *)arg)->machine.gsi_level[IRQ];
}

/* --- tests --- */

static void shows_the_hosts_time(void **state)
{
    struct fixture *f = *state;

    assert_in_range(read_date(f), time(NULL) - 2, time(NULL) + 1);
    assert_int_equal(get(f, D), 0x80);
}

static void shows_local_time(void **state UNUSED)
{
    struct fixture *f = calloc(1, sizeof(*f));
    void *as_state = f;

    setenv("TZ", "XXX-5:30", 1);
    tzset();
    create(f, true);
    assert_in_range(read_date(f) - 19800, time(NULL) - 2, time(NULL) + 1);
    teardown(&as_state);
    unsetenv("TZ");
    tzset();
}

static void can_be_set(void **state)
{
    struct fixture *f = *state;
    const uint8_t new_year[] = {0x19, 0x99, 0x12, 0x31, 0x23, 0x59, 0x58};
    time_t start;

    write_date(f, new_year);
    start = read_date(f);
    assert_int_equal(start, 946684798);
    assert_int_equal(from_bcd(get(f, WEEKDAY)), 6); /* Friday */
    while (read_date(f) < start + 2)
        fake_machine_run(&f->machine, 20);
    assert_int_equal(get(f, CENTURY), 0x20);
    assert_int_equal(get(f, YEAR), 0);
    assert_int_equal(get(f, DAY), 1);
    assert_int_equal(get(f, 0x37), 0x20); /* the PS/2's place for it */
}

static void is_frozen_while_set(void **state)
{
    struct fixture *f = *state;

    set(f, B, get(f, B) | SET);
    set(f, SECONDS, 0x42);
    fake_machine_run(&f->machine, 1100);
    assert_int_equal(get(f, SECONDS), 0x42);
    assert_int_equal(get(f, A) & 0x80, 0);
    set(f, B, get(f, B) & ~SET);
    assert_in_range(from_bcd(get(f, SECONDS)), 42, 43);
}

static void knows_all_formats(void **state)
{
    struct fixture *f = *state;
    const uint8_t evening[] = {0x20, 0x26, 0x03, 0x15, 0x21, 0x47, 0x10};

    write_date(f, evening);
    assert_int_equal(get(f, HOURS), 0x21);
    set(f, B, B_24H | B_BINARY);
    assert_int_equal(get(f, HOURS), 21);
    assert_int_equal(get(f, MINUTES), 47);
    set(f, B, 0);
    assert_int_equal(get(f, HOURS), 0x89);
    set(f, B, B_BINARY);
    assert_int_equal(get(f, HOURS), 0x89);
    set(f, HOURS, 12); /* midnight, as twelve-hour clocks have it */
    set(f, B, B_24H);
    assert_int_equal(get(f, HOURS), 0);
    set(f, B, 0);
    set(f, HOURS, 0x92); /* noon */
    set(f, B, B_24H);
    assert_int_equal(get(f, HOURS), 0x12);
}

static void tells_updates(void **state)
{
    struct fixture *f = *state;

    get(f, C);
    set(f, B, B_24H | UPDATE);
    assert_true(fake_machine_wait(&f->machine, irq_is_up, f, 1500));
    assert_int_equal(get(f, C) & (IRQF | UPDATE), IRQF | UPDATE);
    assert_false(f->machine.gsi_level[IRQ]);
    assert_int_equal(get(f, C) & (IRQF | UPDATE), 0);
    assert_true(fake_machine_wait(&f->machine, irq_is_up, f, 1500)); /* and again */
}

/* Polled by a guest without interrupts: UIP rises before each second and falls with it. */
static void warns_before_updates(void **state)
{
    struct fixture *f = *state;
    uint8_t before, after;

    while (get(f, A) & 0x80)
        ;
    while (!(get(f, A) & 0x80))
        ;
    before = get(f, SECONDS);
    while (get(f, A) & 0x80)
        ;
    after = get(f, SECONDS);
    assert_int_equal((from_bcd(before) + 1) % 60, from_bcd(after));
}

static void wakes_at_the_alarm(void **state)
{
    struct fixture *f = *state;
    const uint8_t date[] = {0x20, 0x26, 0x02, 0x28, 0x23, 0x59, 0x58};

    set(f, SECONDS_ALARM, 0x00);
    set(f, MINUTES_ALARM, 0xff); /* any */
    set(f, HOURS_ALARM, 0x00);
    write_date(f, date);
    get(f, C);
    set(f, B, B_24H | ALARM);
    fake_machine_run(&f->machine, 100);
    assert_false(f->machine.gsi_level[IRQ]);
    assert_true(fake_machine_wait(&f->machine, irq_is_up, f, 2500));
    assert_int_equal(get(f, SECONDS), 0);
    assert_int_equal(get(f, C) & (IRQF | ALARM), IRQF | ALARM);
    assert_int_equal(get(f, MONTH), 3);
}

static void impossible_alarms_never_go_off(void **state)
{
    struct fixture *f = *state;

    set(f, SECONDS_ALARM, 0x61);
    set(f, MINUTES_ALARM, 0xff);
    set(f, HOURS_ALARM, 0xff);
    get(f, C);
    set(f, B, B_24H | ALARM);
    assert_false(fake_machine_wait(&f->machine, irq_is_up, f, 1200));
    set(f, SECONDS_ALARM, 0xff); /* every second */
    assert_true(fake_machine_wait(&f->machine, irq_is_up, f, 1500));
}

static void ticks_periodically(void **state)
{
    struct fixture *f = *state;
    uint64_t start = machine_clock(&f->machine.base);
    unsigned ticks;

    set(f, A, 0x26); /* 1024 Hz */
    set(f, B, B_24H | PERIODIC);
    for (ticks = 0; ticks < 256; ticks++) {
        assert_true(fake_machine_wait(&f->machine, irq_is_up, f, 1000));
        assert_int_equal(get(f, C) & (IRQF | PERIODIC), IRQF | PERIODIC);
    }
    assert_in_range(machine_clock(&f->machine.base) - start, SECOND / 4 - SECOND / 100, SECOND);
    set(f, B, B_24H);
    get(f, C);
    fake_machine_run(&f->machine, 5);
    assert_false(f->machine.gsi_level[IRQ]);
    assert_int_equal(get(f, C) & PERIODIC, PERIODIC); /* the flag itself goes on */
}

/* Ticks that a guest takes which looks every half period. */
static unsigned take_ticks(struct fixture *f, unsigned half_periods, uint64_t half_period)
{
    unsigned ticks = 0;

    while (half_periods--) {
        f->machine.base.clock_offset -= half_period;
        ticks += !!(get(f, C) & PERIODIC);
    }
    return ticks;
}

/* A guest that did not run for a quarter of a second gets its ticks afterwards, none lost, not more than a second's. */
static void makes_up_for_lost_ticks(void **state)
{
    struct fixture *f = *state;

    set(f, A, 0x2a); /* 64 Hz */
    set(f, B, B_24H | PERIODIC);
    get(f, C);
    f->machine.base.clock_offset -= SECOND / 4; /* 16 ticks, and 32 while they are made up */
    assert_in_range(take_ticks(f, 64, SECOND / 128), 47, 50);
    f->machine.base.clock_offset -= 1000 * SECOND;
    assert_in_range(take_ticks(f, 200, SECOND / 128), 64 + 99, 64 + 103);
}

static bool has_ticked(void *arg)
{
    return get(arg, C) & PERIODIC;
}

/* It also gets on meanwhile, although an interrupt may take it longer than a period, as iPXE in a software host. */
static void leaves_time_between_lost_ticks(void **state)
{
    struct fixture *f = *state;
    uint64_t start;

    set(f, A, 0x2f); /* 2 Hz */
    set(f, B, B_24H | PERIODIC);
    f->machine.base.clock_offset -= SECOND;
    start = machine_clock(&f->machine.base);
    assert_true(has_ticked(f));
    assert_false(f->machine.gsi_level[IRQ]);
    /* Reading C in vain does not put it off. */
    assert_true(fake_machine_wait(&f->machine, has_ticked, f, 2000));
    assert_true(machine_clock(&f->machine.base) - start >= SECOND / 4);
    assert_false(f->machine.gsi_level[IRQ]);
    assert_true(fake_machine_wait(&f->machine, irq_is_up, f, 2000));
}

static void holds_the_configuration(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(get(f, 0x15) | get(f, 0x16) << 8, 640);
    assert_int_equal(get(f, 0x17) | get(f, 0x18) << 8, 65535);
    assert_int_equal(get(f, 0x30) | get(f, 0x31) << 8, 65535);
    assert_int_equal(get(f, 0x34) | get(f, 0x35) << 8, (3072 - 16) * 16);
    assert_int_equal(get(f, 0x5b) | get(f, 0x5c) << 8 | get(f, 0x5d) << 16, 5 * 1024 * 16);
    assert_int_equal(get(f, 0x5f), 3);
    assert_int_equal(get(f, 0x3d), 0x23);
    assert_int_equal(get(f, 0x39), 0x55);
    assert_int_equal(get(f, 0x38) & 0xf0, 0x40);
}

static void memory_survives_a_reset(void **state)
{
    struct fixture *f = *state;

    set(f, 0x0f, 0x5a);
    set(f, 0x8f, 0x5b); /* the NMI bit is not part of the index */
    set(f, B, B_24H | PERIODIC | UPDATE);
    fake_machine_reset(&f->machine);
    assert_int_equal(get(f, 0x0f), 0x5b);
    assert_int_equal(get(f, B), B_24H);
    assert_false(f->machine.gsi_level[IRQ]);
}

static void takes_any_value(void **state)
{
    struct fixture *f = *state;
    unsigned index, value;

    for (value = 0; value < 256; value += 5)
        for (index = 0; index < 0x80; index++) {
            set(f, (uint8_t)index, (uint8_t)value);
            get(f, (uint8_t)(0x7f - index));
        }
    set(f, A, 0x26);
    set(f, B, B_24H);
    set(f, CENTURY, 0xff);
    set(f, YEAR, 0xff);
    set(f, MONTH, 0xff);
    set(f, DAY, 0);
    get(f, SECONDS);
}

static void survives_save_and_load(void **state)
{
    struct fixture *f = *state;
    const uint8_t date[] = {0x20, 0x01, 0x09, 0x09, 0x01, 0x46, 0x40};
    struct writer w;
    struct reader r;
    size_t i;

    writer_init(&w, KIB(4));
    write_date(f, date);
    set(f, B, B_24H | UPDATE);
    set(f, 0x40, 0x77);
    f->rtc->ops->save(f->rtc, &w);
    write_date(f, (const uint8_t[]){0x21, 0, 1, 1, 0, 0, 0});
    set(f, 0x40, 0);
    reader_init(&r, w.data, w.size);
    assert_int_equal(f->rtc->ops->load(f->rtc, &r, 1), 0);
    assert_int_equal(reader_left(&r), 0);
    assert_int_equal(get(f, 0x40), 0x77);
    assert_in_range(read_date(f), 1000000000, 1000000002);
    assert_true(fake_machine_wait(&f->machine, irq_is_up, f, 1500));
    for (i = 0; i < w.size; i++) {
        reader_init(&r, w.data, i);
        assert_int_not_equal(f->rtc->ops->load(f->rtc, &r, 1), 0);
    }
    writer_fini(&w);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(shows_the_hosts_time),
        cmocka_unit_test(shows_local_time),
        TEST(can_be_set),
        TEST(is_frozen_while_set),
        TEST(knows_all_formats),
        TEST(tells_updates),
        TEST(warns_before_updates),
        TEST(wakes_at_the_alarm),
        TEST(impossible_alarms_never_go_off),
        TEST(ticks_periodically),
        TEST(makes_up_for_lost_ticks),
        TEST(leaves_time_between_lost_ticks),
        TEST(holds_the_configuration),
        TEST(memory_survives_a_reset),
        TEST(takes_any_value),
        TEST(survives_save_and_load),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
