/*
 * Everything that a saved machine must bring back, in motion until a byte comes over the serial port: counters that must
 * not go back, timers that must go on ticking, memory that must keep its content.
 */
#include "payload.h"

#define PIT_HZ         1193182
#define TICKS_HZ       100
#define PAGES          4096
#define MEMORY         0x1000000 /* above all that the payload uses */
#define UART_LSR       0x3fd
#define LSR_READY      1
#define LAPIC_PERIODIC (1 << 17)
#define TIMER_GSI      2
/* Of the PM timer between two looks: a machine that is held up for so long has a jump, not a pause. */
#define PM_JUMP (PM_TIMER_HZ * 2)

static unsigned tsc_back, pm_jumps, wrong_pages, stalls;

static uint32_t value_at(uint32_t page, uint32_t round)
{
    return (page * 2654435761u) ^ (round * 0x9e3779b9u);
}

static void start_timers(void)
{
    uint16_t divider = PIT_HZ / TICKS_HZ;

    ioapic_route(TIMER_GSI, IOAPIC_VECTOR(TIMER_GSI), false);
    outb(0x43, 0x34); /* channel 0, rate generator */
    outb(0x40, (uint8_t)divider);
    outb(0x40, (uint8_t)(divider >> 8));
    lapic_write(LAPIC_TIMER_DIVIDE, 3); /* by 16 */
    lapic_write(LAPIC_LVT_TIMER, LAPIC_TIMER_VECTOR | LAPIC_PERIODIC);
    lapic_write(LAPIC_TIMER_INITIAL, 1000000);
}

static void look_at_clocks(void)
{
    static uint64_t tsc;
    static uint32_t pm;
    static bool started;
    uint64_t now = read_tsc();

    tsc_back += started && now < tsc;
    pm_jumps += started && pm_ticks_since(pm) > PM_JUMP;
    tsc = now;
    pm = inl(PM_TIMER);
    started = true;
}

/* One pass over the memory: what the last one left is there, and becomes something else. */
static void walk(uint32_t round)
{
    uint32_t i;

    for (i = 0; i < PAGES; i++) {
        volatile uint32_t *word = (volatile uint32_t *)(uintptr_t)(MEMORY + i * 4096);

        wrong_pages += round && *word != value_at(i, round - 1);
        *word = value_at(i, round);
        if (i % 256 == 0)
            look_at_clocks();
    }
}

static void look_at_ticks(unsigned vector)
{
    stalls += !wait_for(&interrupts[vector], interrupts[vector] + 1, 2000);
}

int main(void)
{
    uint32_t round = 0;

    idt_init();
    pic_init();
    pic_mask_all();
    lapic_enable();
    start_timers();
    interrupts_on();
    put("churning\n");
    while (!(inb(UART_LSR) & LSR_READY)) {
        walk(round++);
        look_at_ticks(LAPIC_TIMER_VECTOR);
        look_at_ticks(IOAPIC_VECTOR(TIMER_GSI));
    }
    interrupts_off();
    check(round > 1, "the memory was walked through");
    check_equal(wrong_pages, 0, "it kept its content");
    check_equal(tsc_back, 0, "the time stamp counter never went back");
    check_equal(pm_jumps, 0, "the PM timer never jumped");
    check_equal(stalls, 0, "the timers went on ticking");
    return 0;
}
