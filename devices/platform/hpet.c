#include "devices/platform/hpet.h"

#include "base/timer.h"

#include <errno.h>
#include <stdlib.h>

#define TIMERS          3
#define TICK_NS         10
#define TICK_FS         (TICK_NS * 1000000ull)
#define MIN_DELAY_NS    50000
#define PAUSED_CHECK_NS 100000000
#define ROUTES          0xff0000ull /* the pins that a comparator may take */
#define RTC_IRQ         8

/* Registers, and those of comparator n at TIMER + n * TIMER_STRIDE. */
enum {
    ID = 0x00,
    CONFIG = 0x10,
    STATUS = 0x20,
    COUNTER = 0xf0,
    TIMER = 0x100,
    TIMER_CONFIG = 0x00,
    TIMER_COMPARE = 0x08,
    TIMER_STRIDE = 0x20,
    SIZE = 0x400,
};

enum { ENABLE = 1, LEGACY = 2 }; /* CONFIG */

enum {
    T_LEVEL = 1 << 1,
    T_ENABLE = 1 << 2,
    T_PERIODIC = 1 << 3,
    T_SET_VALUE = 1 << 6, /* the next write is to the comparator, not to the period */
    T_32BIT = 1 << 8,
    T_ROUTE_SHIFT = 9,
    T_ROUTE = 31 << T_ROUTE_SHIFT,
    T_WRITABLE = T_LEVEL | T_ENABLE | T_PERIODIC | T_SET_VALUE | T_32BIT | T_ROUTE,
    T_FIXED = 1 << 4 | 1 << 5, /* can be periodic, has 64 bits */
};

struct comparator {
    struct hpet *hpet;
    struct timer timer; /* runs while a match would interrupt */
    uint64_t config, compare, period;
    uint64_t due; /* the counter at the next match */
    bool armed;   /* there is one */
};

struct hpet {
    struct device base;
    struct region region;
    struct comparator comparators[TIMERS];
    uint64_t config, status;
    uint64_t counter;    /* while it stands; while it runs: less the clock's ticks */
    uint32_t lines;      /* pins that are held up */
    bool rtc_level;
};

/* --- time --- */

static uint64_t now(const struct hpet *hpet)
{
    return hpet->counter + (hpet->config & ENABLE ? machine_clock(hpet->base.machine) / TICK_NS : 0);
}

static void set_counter(struct hpet *hpet, uint64_t value)
{
    hpet->counter = value - (hpet->config & ENABLE ? machine_clock(hpet->base.machine) / TICK_NS : 0);
}

static uint64_t mask(const struct comparator *c)
{
    return c->config & T_32BIT ? UINT32_MAX : UINT64_MAX;
}

/* The comparator was set, or the counter: a match that was just missed happens at once. */
static void arm(struct comparator *c)
{
    uint64_t counter = now(c->hpet), ahead = (c->compare - counter) & mask(c);

    c->armed = true;
    c->due = counter + (ahead > mask(c) / 2 ? 0 : ahead);
}

/* --- interrupts --- */

static unsigned index_of(const struct comparator *c)
{
    return (unsigned)(c - c->hpet->comparators);
}

/* The pin, or -1 if the guest chose one that there is not. */
static int pin_of(const struct comparator *c)
{
    unsigned route = (c->config & T_ROUTE) >> T_ROUTE_SHIFT;

    if (c->hpet->config & LEGACY && index_of(c) < 2)
        return index_of(c) == 0 ? 0 : RTC_IRQ;
    return ROUTES >> route & 1 ? (int)route : -1;
}

/* Pins are up while a level-triggered comparator that uses them has matched. */
static void update_lines(struct hpet *hpet)
{
    struct machine *machine = hpet->base.machine;
    uint32_t wanted = 0, changed;
    unsigned i;

    for (i = 0; i < TIMERS; i++) {
        const struct comparator *c = &hpet->comparators[i];

        if (hpet->status >> i & 1 && c->config & T_ENABLE && hpet->config & ENABLE && pin_of(c) >= 0)
            wanted |= 1u << pin_of(c);
    }
    changed = wanted ^ hpet->lines;
    hpet->lines = wanted;
    for (i = 0; changed >> i; i++)
        if (changed >> i & 1)
            irq_set(machine->gsi(machine, i), wanted >> i & 1);
}

static void interrupt(struct comparator *c)
{
    struct machine *machine = c->hpet->base.machine;

    if (c->config & T_LEVEL) {
        c->hpet->status |= 1u << index_of(c);
        update_lines(c->hpet);
    } else if (pin_of(c) >= 0) {
        irq_pulse(machine->gsi(machine, (unsigned)pin_of(c)));
    }
}

static bool may_interrupt(const struct comparator *c)
{
    return c->armed && c->hpet->config & ENABLE && c->config & T_ENABLE;
}

static void set_timer(struct comparator *c)
{
    uint64_t counter = now(c->hpet), ns;

    if (!may_interrupt(c)) {
        timer_stop(&c->timer);
        return;
    }
    ns = c->due > counter ? MIN(c->due - counter, UINT64_MAX / TICK_NS / 2) * TICK_NS : 0;
    if (__atomic_load_n(&c->hpet->base.machine->paused_at, __ATOMIC_ACQUIRE))
        ns = MAX(ns, (uint64_t)PAUSED_CHECK_NS);
    timer_set(&c->timer, MAX(ns, (uint64_t)MIN_DELAY_NS));
}

/* Account for matches up to now; true if there was one. */
static bool pass(struct comparator *c)
{
    uint64_t counter = now(c->hpet), periods;

    if (!c->armed || c->due > counter)
        return false;
    if (!(c->config & T_PERIODIC) || !c->period) {
        c->armed = false;
        return true;
    }
    periods = (counter - c->due) / c->period + 1;
    c->due += periods * c->period;
    c->compare = (c->compare + periods * c->period) & mask(c);
    return true;
}

static void timer_fired(void *opaque)
{
    struct comparator *c = opaque;
    struct machine *machine = c->hpet->base.machine;

    machine_lock(machine);
    if (may_interrupt(c) && pass(c))
        interrupt(c);
    set_timer(c);
    machine_unlock(machine);
}

/* --- legacy replacement --- */

static void rtc_line(void *opaque, unsigned line UNUSED, bool level)
{
    struct hpet *hpet = opaque;
    struct machine *machine = hpet->base.machine;

    hpet->rtc_level = level;
    if (!(hpet->config & LEGACY))
        irq_set(machine->gsi(machine, RTC_IRQ), level);
}

struct irq hpet_rtc_irq(struct device *device)
{
    return (struct irq){rtc_line, container_of(device, struct hpet, base), 0};
}

/* IRQ 0 and 8 change hands. */
static void replace(struct hpet *hpet)
{
    struct machine *machine = hpet->base.machine;
    bool legacy = hpet->config & LEGACY;

    if (machine->pit_interrupts)
        machine->pit_interrupts(machine, !legacy);
    irq_set(machine->gsi(machine, RTC_IRQ), !legacy && hpet->rtc_level);
}

/* --- registers --- */

static uint64_t read_comparator(struct comparator *c, unsigned offset)
{
    if (offset == TIMER_CONFIG)
        return ROUTES << 32 | T_FIXED | c->config;
    if (offset != TIMER_COMPARE)
        return 0;
    if (!may_interrupt(c) && c->hpet->config & ENABLE) /* else the timer does */
        pass(c);
    return c->compare & mask(c);
}

static uint64_t read_register(struct hpet *hpet, unsigned offset)
{
    switch (offset) {
    case ID:
        return TICK_FS << 32 | HPET_ID;
    case CONFIG:
        return hpet->config;
    case STATUS:
        return hpet->status;
    case COUNTER:
        return now(hpet);
    }
    if (offset < TIMER || offset >= TIMER + TIMERS * TIMER_STRIDE)
        return 0;
    return read_comparator(&hpet->comparators[(offset - TIMER) / TIMER_STRIDE], (offset - TIMER) % TIMER_STRIDE);
}

static void write_config(struct hpet *hpet, uint64_t value)
{
    uint64_t counter = now(hpet), changed = hpet->config ^ (value & (ENABLE | LEGACY));
    unsigned i;

    hpet->config ^= changed;
    set_counter(hpet, counter);
    if (changed & LEGACY)
        replace(hpet);
    update_lines(hpet);
    for (i = 0; i < TIMERS; i++)
        set_timer(&hpet->comparators[i]);
}

static void write_counter(struct hpet *hpet, uint64_t value)
{
    unsigned i;

    if (hpet->config & ENABLE)
        return;
    set_counter(hpet, value);
    for (i = 0; i < TIMERS; i++)
        if (hpet->comparators[i].armed)
            arm(&hpet->comparators[i]);
}

static void write_timer_config(struct comparator *c, uint64_t value)
{
    bool wanted = may_interrupt(c);

    /* What matched until now did so under the old configuration. */
    if (c->hpet->config & ENABLE && pass(c) && wanted)
        interrupt(c);
    c->config = value & T_WRITABLE;
    if (!(c->config & T_LEVEL))
        c->hpet->status &= ~(1ull << index_of(c));
    update_lines(c->hpet);
    set_timer(c);
}

/* Without SET_VALUE a periodic comparator takes what is written as its period alone. */
static void write_compare(struct comparator *c, uint64_t compare, uint64_t period)
{
    bool periodic = c->config & T_PERIODIC;

    if (!periodic || c->config & T_SET_VALUE)
        c->compare = compare & mask(c);
    if (periodic)
        c->period = period & mask(c) / 2;
    c->config &= ~(uint64_t)T_SET_VALUE;
    arm(c);
    set_timer(c);
}

/* What a dword written to half of the register makes of the whole. */
static uint64_t merge(uint64_t old, uint64_t value, bool high, unsigned width)
{
    if (width == 8)
        return value;
    return high ? (old & UINT32_MAX) | value << 32 : (old & ~(uint64_t)UINT32_MAX) | (uint32_t)value;
}

static void write_comparator(struct comparator *c, unsigned offset, uint64_t value, bool high, unsigned width)
{
    if (offset == TIMER_CONFIG)
        write_timer_config(c, merge(c->config, value, high, width));
    else if (offset == TIMER_COMPARE && !(high && c->config & T_32BIT))
        write_compare(c, merge(c->compare, value, high, width), merge(c->period, value, high, width));
}

static void write_status(struct hpet *hpet, uint64_t value)
{
    hpet->status &= ~value;
    update_lines(hpet);
}

static uint64_t hpet_read(void *opaque, uint64_t offset, unsigned width)
{
    uint64_t value = read_register(opaque, (unsigned)offset & ~7u);

    return width == 8 ? value : (uint32_t)(value >> (offset & 4) * 8);
}

static void hpet_write(void *opaque, uint64_t offset, uint64_t value, unsigned width)
{
    struct hpet *hpet = opaque;
    unsigned at = (unsigned)offset & ~7u;
    bool high = offset & 4;

    if (at == CONFIG)
        write_config(hpet, merge(hpet->config, value, high, width));
    else if (at == STATUS)
        write_status(hpet, merge(0, value, high, width));
    else if (at == COUNTER)
        write_counter(hpet, merge(now(hpet), value, high, width));
    else if (at >= TIMER && at < TIMER + TIMERS * TIMER_STRIDE)
        write_comparator(&hpet->comparators[(at - TIMER) / TIMER_STRIDE], (at - TIMER) % TIMER_STRIDE, value, high,
                         width);
}

static const struct region_ops region_ops = {.read = hpet_read, .write = hpet_write, .min_width = 4, .max_width = 8};

/* --- the device --- */

static void hpet_reset(struct device *device)
{
    struct hpet *hpet = container_of(device, struct hpet, base);
    bool legacy = hpet->config & LEGACY;
    unsigned i;

    for (i = 0; i < TIMERS; i++) {
        struct comparator *c = &hpet->comparators[i];

        timer_stop(&c->timer);
        c->config = c->period = c->due = 0;
        c->compare = UINT64_MAX;
        c->armed = false;
    }
    hpet->config = hpet->status = hpet->counter = 0;
    update_lines(hpet);
    if (legacy)
        replace(hpet);
}

/* The counter is saved as what it shows: the machine's clock goes on elsewhere. */
static void hpet_save(struct device *device, struct writer *w)
{
    struct hpet *hpet = container_of(device, struct hpet, base);
    unsigned i;

    writer_u64(w, hpet->config);
    writer_u64(w, hpet->status);
    writer_u64(w, now(hpet));
    for (i = 0; i < TIMERS; i++) {
        const struct comparator *c = &hpet->comparators[i];

        writer_u64(w, c->config);
        writer_u64(w, c->compare);
        writer_u64(w, c->period);
        writer_u64(w, c->due);
        writer_u8(w, c->armed);
    }
}

static int hpet_load(struct device *device, struct reader *r, uint32_t version UNUSED)
{
    struct hpet *hpet = container_of(device, struct hpet, base);
    unsigned i;

    hpet->config = reader_u64(r) & (ENABLE | LEGACY);
    hpet->status = reader_u64(r) & ((1 << TIMERS) - 1);
    set_counter(hpet, reader_u64(r));
    for (i = 0; i < TIMERS; i++) {
        struct comparator *c = &hpet->comparators[i];

        c->config = reader_u64(r) & T_WRITABLE;
        c->compare = reader_u64(r);
        c->period = reader_u64(r) & mask(c) / 2;
        c->due = reader_u64(r);
        c->armed = reader_u8(r) & 1;
        set_timer(c);
    }
    replace(hpet);
    update_lines(hpet);
    return r->bad ? -EINVAL : 0;
}

static void hpet_destroy(struct device *device)
{
    struct hpet *hpet = container_of(device, struct hpet, base);
    unsigned i;

    bus_unmap(device->machine->mmio, &hpet->region);
    for (i = 0; i < TIMERS; i++)
        timer_fini(&hpet->comparators[i].timer);
    free(hpet);
}

static const struct device_ops hpet_ops = {
    .name = "hpet",
    .version = 1,
    .reset = hpet_reset,
    .save = hpet_save,
    .load = hpet_load,
    .destroy = hpet_destroy,
};

struct device *hpet_create(struct machine *machine)
{
    struct hpet *hpet = calloc(1, sizeof(*hpet));
    unsigned i;
    int err = hpet ? 0 : -ENOMEM;

    for (i = 0; i < TIMERS && !err; i++) {
        hpet->comparators[i].hpet = hpet;
        err = timer_init(&hpet->comparators[i].timer, machine->loop, timer_fired, &hpet->comparators[i]);
    }
    if (err) {
        for (i = 0; hpet && i < TIMERS; i++)
            timer_fini(&hpet->comparators[i].timer);
        free(hpet);
        return NULL;
    }
    device_init(&hpet->base, &hpet_ops, machine);
    hpet->region = (struct region){"hpet", &region_ops, hpet, .size = SIZE};
    bus_map(machine->mmio, &hpet->region, HPET_ADDRESS);
    hpet_reset(&hpet->base);
    return &hpet->base;
}
