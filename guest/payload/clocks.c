/*
 * The clocks against one another. The machine may be held up for a moment at any point, which only lengthens what is
 * measured: each span is tried a few times, and one good one counts.
 */
#include "payload.h"

#define PIT_HZ 1193182
#define TRIES   30
#define SECONDS 40 /* on a busy computer few of them are seen to start in time */

static bool near(uint64_t value, uint64_t expected, unsigned percent)
{
    return value + expected * percent / 100 >= expected &&
           value <= expected + expected * percent / 100;
}

/* PM timer ticks until the speaker's timer has counted down `count`. */
static uint32_t time_pit(uint16_t count)
{
    uint32_t start;

    outb(0x61, (inb(0x61) & 0xfc) | 1);
    outb(0x43, 0xb0); /* channel 2, one shot */
    outb(0x42, (uint8_t)count);
    outb(0x42, (uint8_t)(count >> 8));
    start = inl(PM_TIMER);
    while (!(inb(0x61) & 0x20))
        ;
    return pm_ticks_since(start);
}

static void test_pit(void)
{
    uint32_t expected = (uint32_t)((uint64_t)59659 * PM_TIMER_HZ / PIT_HZ), ticks = 0;
    unsigned i;

    for (i = 0; i < TRIES && !near(ticks, expected, 3); i++)
        ticks = time_pit(59659); /* 50 ms */
    check(near(ticks, expected, 3), "the PM timer and the PIT agree");
}

static void test_pm_timer(void)
{
    uint32_t last = inl(PM_TIMER), now, i;
    bool forward = true;

    check_equal(last >> 24, 0, "the PM timer has 24 bits");
    for (i = 0; i < 1000; i++) {
        now = inl(PM_TIMER);
        forward &= ((now - last) & 0xffffff) < 0x800000;
        last = now;
    }
    check(forward, "the PM timer never goes back");
}

static uint64_t tsc_per_span(void)
{
    uint64_t start = read_tsc();

    delay_ms(20);
    return read_tsc() - start;
}

static void test_tsc(void)
{
    uint64_t first = tsc_per_span(), second = tsc_per_span();
    unsigned i;

    check(first > 0, "the time stamp counter counts");
    for (i = 0; i < TRIES && !near(second, first, 10); i++) {
        first = second;
        second = tsc_per_span();
    }
    check(near(second, first, 10), "at a steady rate");
}

static void wait_for_second(void)
{
    uint8_t second = rtc_read(0);

    while (rtc_read(0) == second)
        ;
}

static void test_rtc(void)
{
    uint32_t start, ticks = 0;
    unsigned i;

    wait_for_second();
    for (i = 0; i < SECONDS && !near(ticks, PM_TIMER_HZ, 2); i++) {
        start = inl(PM_TIMER);
        wait_for_second();
        ticks = pm_ticks_since(start);
    }
    check(near(ticks, PM_TIMER_HZ, 2), "the clock's second is the PM timer's");
    check_equal(rtc_read(0x0d) & 0x80, 0x80, "the clock's battery is good");
}

static bool bcd_between(uint8_t value, uint8_t low, uint8_t high)
{
    return value >= low && value <= high && (value & 15) < 10;
}

static void test_date(void)
{
    rtc_write(0x0b, 0x02);
    check(bcd_between(rtc_read(0), 0, 0x59) && bcd_between(rtc_read(2), 0, 0x59) &&
              bcd_between(rtc_read(4), 0, 0x23),
          "the time of day is one");
    check(bcd_between(rtc_read(7), 1, 0x31) && bcd_between(rtc_read(8), 1, 0x12) &&
              bcd_between(rtc_read(6), 1, 7),
          "the date is one");
    check(bcd_between(rtc_read(0x32), 0x20, 0x21), "the century is right");
}

int main(void)
{
    test_pm_timer();
    test_pit();
    test_tsc();
    test_rtc();
    test_date();
    return 0;
}
