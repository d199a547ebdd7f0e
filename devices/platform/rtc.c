#include "devices/platform/rtc.h"

#include "base/timer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NS 1000000000LL

enum {
    SECONDS,
    SECONDS_ALARM,
    MINUTES,
    MINUTES_ALARM,
    HOURS,
    HOURS_ALARM,
    WEEKDAY, /* 1 is Sunday */
    DAY,
    MONTH,
    YEAR,
    REG_A,
    REG_B,
    REG_C,
    REG_D,
    EQUIPMENT = 0x14,
    BASE_MEMORY = 0x15,     /* KiB below 640 */
    EXTENDED_MEMORY = 0x17, /* KiB above 1 MiB */
    EXTENDED_MEMORY_2 = 0x30,
    CENTURY = 0x32,
    MEMORY_ABOVE_16M = 0x34, /* 64 KiB units */
    CENTURY_PS2 = 0x37,
    BOOT_THIRD = 0x38,
    DISK_TRANSLATION = 0x39, /* two bits for each IDE disk */
    BOOT_FIRST = 0x3d,
    MEMORY_ABOVE_4G = 0x5b, /* 64 KiB units, three bytes */
    CPUS = 0x5f,            /* less one */
    CMOS_SIZE = 0x80,
};

enum {
    A_RATE = 0x0f,
    A_DIVIDER = 0x70,
    A_DIVIDER_RUN = 0x20,
    A_UIP = 0x80,
    B_24H = 0x02,
    B_BINARY = 0x04,
    B_SQWE = 0x08,
    B_SET = 0x80,
    /* The same bits enable in B and tell in C. */
    UPDATE = 0x10,
    ALARM = 0x20,
    PERIODIC = 0x40,
    FLAGS = UPDATE | ALARM | PERIODIC,
    C_IRQF = 0x80,
    D_VALID = 0x80,
};

/* The dates that fit into nanoseconds: 1900-01-01 to 2250-01-01. */
#define FIRST_SECOND    (-2208988800LL)
#define LAST_SECOND     8835955200LL
#define UIP_NS          244000   /* how long before a second's end UIP warns of the update */
#define HALF_SECOND     (NS / 2) /* from the divider's start to the first update */
#define DAY_SECONDS     86400
#define PAUSED_CHECK_NS (NS / 10)

struct rtc {
    struct device base;
    struct region ports;
    struct irq irq;
    struct timer
        timer; /* for the next interrupt; flags without interrupt are worked out when read */
    uint8_t cmos[CMOS_SIZE];
    uint8_t index;
    int64_t offset;       /* ns: the guest's date less the host's, while it runs */
    int64_t seen_second;  /* updates and alarms up to here are in C */
    uint64_t period_seen; /* machine clock, ns: periods up to here are in C or in missed */
    uint64_t taken_at;    /* machine clock, ns: a period was last read from C */
    uint32_t missed;      /* periodic interrupts owed */
};

/* --- the date --- */

static int64_t host_time(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    return ts.tv_sec * NS + ts.tv_nsec;
}

static int64_t floor_div(int64_t n, int64_t d)
{
    return n / d - (n % d < 0);
}

/* The date in ns since 1970 in the clock's own zone. */
static int64_t now_ns(const struct rtc *rtc)
{
    return host_time() + rtc->offset;
}

static int64_t now_second(const struct rtc *rtc)
{
    return floor_div(now_ns(rtc), NS);
}

static bool running(const struct rtc *rtc)
{
    return !(rtc->cmos[REG_B] & B_SET) && (rtc->cmos[REG_A] & A_DIVIDER) == A_DIVIDER_RUN;
}

static uint8_t encode(const struct rtc *rtc, int n)
{
    return (uint8_t)(rtc->cmos[REG_B] & B_BINARY ? n : n / 10 << 4 | n % 10);
}

static int decode(const struct rtc *rtc, uint8_t byte)
{
    return rtc->cmos[REG_B] & B_BINARY ? byte : (byte >> 4) * 10 + (byte & 15);
}

static uint8_t encode_hour(const struct rtc *rtc, int hour)
{
    int twelve = hour % 12 ? hour % 12 : 12;

    if (rtc->cmos[REG_B] & B_24H)
        return encode(rtc, hour);
    return (uint8_t)(encode(rtc, twelve) | (hour >= 12 ? 0x80 : 0));
}

static int decode_hour(const struct rtc *rtc, uint8_t byte)
{
    if (rtc->cmos[REG_B] & B_24H)
        return decode(rtc, byte);
    return decode(rtc, byte & 0x7f) % 12 + (byte & 0x80 ? 12 : 0);
}

static void date_to_registers(struct rtc *rtc)
{
    time_t second = now_second(rtc);
    struct tm tm;

    gmtime_r(&second, &tm);
    rtc->cmos[SECONDS] = encode(rtc, tm.tm_sec);
    rtc->cmos[MINUTES] = encode(rtc, tm.tm_min);
    rtc->cmos[HOURS] = encode_hour(rtc, tm.tm_hour);
    rtc->cmos[WEEKDAY] = encode(rtc, tm.tm_wday + 1);
    rtc->cmos[DAY] = encode(rtc, tm.tm_mday);
    rtc->cmos[MONTH] = encode(rtc, tm.tm_mon + 1);
    rtc->cmos[YEAR] = encode(rtc, tm.tm_year % 100);
    rtc->cmos[CENTURY] = encode(rtc, (tm.tm_year / 100 + 19) % 100);
}

/* What the registers say becomes the date; impossible values carry over, as 31 February does. */
static void date_from_registers(struct rtc *rtc, int64_t fraction)
{
    struct tm tm = {
        .tm_sec = decode(rtc, rtc->cmos[SECONDS]),
        .tm_min = decode(rtc, rtc->cmos[MINUTES]),
        .tm_hour = decode_hour(rtc, rtc->cmos[HOURS]),
        .tm_mday = decode(rtc, rtc->cmos[DAY]),
        .tm_mon = decode(rtc, rtc->cmos[MONTH]) - 1,
        .tm_year = decode(rtc, rtc->cmos[YEAR]) + decode(rtc, rtc->cmos[CENTURY]) * 100 - 1900,
    };

    rtc->offset =
        CLAMP((int64_t)timegm(&tm), FIRST_SECOND, LAST_SECOND) * NS + fraction - host_time();
    rtc->seen_second = now_second(rtc);
}

/* --- flags and interrupts --- */

static bool alarm_field(const struct rtc *rtc, unsigned reg, int value)
{
    uint8_t byte = rtc->cmos[reg];

    if ((byte & 0xc0) == 0xc0)
        return true; /* any */
    return (reg == HOURS_ALARM ? decode_hour(rtc, byte) : decode(rtc, byte)) == value;
}

/* The first value of the field in from .. limit - 1 that matches the alarm, or -1. */
static int next_match(const struct rtc *rtc, unsigned reg, int from, int limit)
{
    while (from < limit && !alarm_field(rtc, reg, from))
        from++;
    return from < limit ? from : -1;
}

/* The same within an hour: seconds since its start. */
static int alarm_in_hour(const struct rtc *rtc, int from)
{
    int minute = from / 60, second;

    while (minute < 60 && (minute = next_match(rtc, MINUTES_ALARM, minute, 60)) >= 0) {
        second = next_match(rtc, SECONDS_ALARM, MAX(0, from - minute * 60), 60);
        if (second >= 0)
            return minute * 60 + second;
        minute++;
    }
    return -1;
}

/* The same within a day. */
static int alarm_in_day(const struct rtc *rtc, int from)
{
    int hour = from / 3600, in_hour;

    if (next_match(rtc, SECONDS_ALARM, 0, 60) < 0)
        return -1;
    while (hour < 24 && (hour = next_match(rtc, HOURS_ALARM, hour, 24)) >= 0) {
        in_hour = alarm_in_hour(rtc, MAX(0, from - hour * 3600));
        if (in_hour >= 0)
            return hour * 3600 + in_hour;
        hour++;
    }
    return -1;
}

/* The first second after `after` at which the alarm goes off, INT64_MAX: never. */
static int64_t next_alarm(const struct rtc *rtc, int64_t after)
{
    int64_t day = floor_div(after + 1, DAY_SECONDS) * DAY_SECONDS;
    int in_day = alarm_in_day(rtc, (int)(after + 1 - day));

    if (in_day < 0) {
        day += DAY_SECONDS;
        in_day = alarm_in_day(rtc, 0);
    }
    return in_day < 0 ? INT64_MAX : day + in_day;
}

/* Nanoseconds, 0: no periodic interrupt. Rates 1 and 2 are 256 and 128 Hz with the usual time base. */
static uint64_t period(const struct rtc *rtc)
{
    unsigned rate = rtc->cmos[REG_A] & A_RATE;

    if (rate == 0 || (rtc->cmos[REG_A] & A_DIVIDER) != A_DIVIDER_RUN)
        return 0;
    return (uint64_t)NS * (1u << ((rate <= 2 ? rate + 7 : rate) - 1)) / 32768;
}

static void collect_updates(struct rtc *rtc)
{
    int64_t second;

    if (!running(rtc))
        return;
    second = now_second(rtc);
    if (second == rtc->seen_second)
        return;
    rtc->cmos[REG_C] |= UPDATE;
    /* The host's clock may be set back: then the alarm starts over from there. */
    if (next_alarm(rtc, rtc->seen_second) <= second)
        rtc->cmos[REG_C] |= ALARM;
    rtc->seen_second = second;
}

/*
 * When the next periodic interrupt is due, on the machine's clock, ns being the period. One that is owed leaves the guest
 * half a period after it has taken another: were it to follow at once, a guest that takes longer for an interrupt than a period
 * would do nothing else.
 */
static uint64_t next_period(const struct rtc *rtc, uint64_t ns)
{
    return rtc->missed ? rtc->taken_at + ns / 2 : rtc->period_seen + ns;
}

static void collect_periods(struct rtc *rtc)
{
    uint64_t ns = period(rtc), now = machine_clock(rtc->base.machine), n;

    if (!ns)
        return;
    n = (now - rtc->period_seen) / ns;
    rtc->period_seen += n * ns;
    if (!(rtc->cmos[REG_B] & PERIODIC)) {
        rtc->cmos[REG_C] |= n ? PERIODIC : 0;
        return;
    }
    rtc->missed = (uint32_t)MIN(rtc->missed + n, (uint64_t)NS / ns);
    if (rtc->missed && !(rtc->cmos[REG_C] & PERIODIC) && now >= next_period(rtc, ns)) {
        rtc->missed--;
        rtc->cmos[REG_C] |= PERIODIC;
    }
}

static void update_irq(struct rtc *rtc)
{
    bool level = rtc->cmos[REG_B] & rtc->cmos[REG_C] & FLAGS;

    rtc->cmos[REG_C] = (uint8_t)((rtc->cmos[REG_C] & ~C_IRQF) | (level ? C_IRQF : 0));
    irq_set(rtc->irq, level);
}

static void collect(struct rtc *rtc)
{
    collect_updates(rtc);
    collect_periods(rtc);
    update_irq(rtc);
}

/* Until the next flag that may interrupt, in ns; UINT64_MAX: none may. */
static uint64_t next_event(const struct rtc *rtc)
{
    uint8_t wanted = rtc->cmos[REG_B] & FLAGS & ~rtc->cmos[REG_C];
    uint64_t delay = UINT64_MAX, ns = period(rtc), due;

    if ((wanted & PERIODIC) && ns) {
        uint64_t now = machine_clock(rtc->base.machine);

        due = next_period(rtc, ns);
        delay = due - MIN(now, due);
    }
    if ((wanted & (UPDATE | ALARM)) && running(rtc)) {
        int64_t second = rtc->seen_second + 1, left;

        if (!(wanted & UPDATE))
            second = next_alarm(rtc, rtc->seen_second);
        if (second == INT64_MAX)
            return delay;
        /* Look again every hour, lest the host's clock was set. */
        left = second * NS - now_ns(rtc);
        delay = MIN(delay, (uint64_t)CLAMP(left, 0, 3600 * NS));
    }
    return delay;
}

static void set_timer(struct rtc *rtc)
{
    uint64_t delay = next_event(rtc);

    if (delay == UINT64_MAX)
        timer_stop(&rtc->timer);
    else if (__atomic_load_n(&rtc->base.machine->paused_at, __ATOMIC_ACQUIRE))
        timer_set(&rtc->timer, PAUSED_CHECK_NS);
    else
        timer_set(&rtc->timer, delay);
}

static void timer_fired(void *opaque)
{
    struct rtc *rtc = opaque;

    machine_lock(rtc->base.machine);
    collect(rtc);
    set_timer(rtc);
    machine_unlock(rtc->base.machine);
}

/* --- registers --- */

/* Reading C acknowledges. */
static uint8_t read_c(struct rtc *rtc)
{
    uint8_t value;

    collect(rtc);
    value = rtc->cmos[REG_C];
    rtc->cmos[REG_C] = 0;
    if (value & PERIODIC)
        rtc->taken_at = machine_clock(rtc->base.machine);
    update_irq(rtc);
    set_timer(rtc);
    return value;
}

static uint8_t read_a(const struct rtc *rtc)
{
    int64_t now = now_ns(rtc);
    bool updating = running(rtc) && now - floor_div(now, NS) * NS >= NS - UIP_NS;

    return rtc->cmos[REG_A] | (updating ? A_UIP : 0);
}

static bool is_date(unsigned index)
{
    return index == SECONDS || index == MINUTES || index == HOURS ||
           (index >= WEEKDAY && index <= YEAR) || index == CENTURY;
}

static uint8_t read_register(struct rtc *rtc, unsigned index)
{
    if (index == REG_A)
        return read_a(rtc);
    if (index == REG_C)
        return read_c(rtc);
    if (is_date(index) && running(rtc))
        date_to_registers(rtc);
    return rtc->cmos[index];
}

static void write_date(struct rtc *rtc, unsigned index, uint8_t value)
{
    int64_t now = now_ns(rtc);

    if (!running(rtc)) {
        rtc->cmos[index] = value;
        return;
    }
    date_to_registers(rtc);
    rtc->cmos[index] = value;
    date_from_registers(rtc, now - floor_div(now, NS) * NS);
}

/* A and B decide whether the date runs: the registers freeze with what it is, and set it when it goes on. */
static void write_control(struct rtc *rtc, unsigned index, uint8_t value)
{
    bool was_running = running(rtc);
    bool was_held = (rtc->cmos[REG_A] & A_DIVIDER) != A_DIVIDER_RUN;
    uint64_t old_period = period(rtc);
    int64_t now = now_ns(rtc);

    collect(rtc);
    if (was_running)
        date_to_registers(rtc);
    rtc->cmos[index] = value;
    if (was_running && running(rtc))
        date_to_registers(rtc); /* perhaps in another format */
    else if (running(rtc))
        date_from_registers(rtc, was_held ? HALF_SECOND : now - floor_div(now, NS) * NS);
    if (period(rtc) != old_period) {
        rtc->period_seen = machine_clock(rtc->base.machine);
        rtc->missed = 0;
    }
    if (!(rtc->cmos[REG_B] & PERIODIC))
        rtc->missed = 0;
    update_irq(rtc);
    set_timer(rtc);
}

static void write_register(struct rtc *rtc, unsigned index, uint8_t value)
{
    switch (index) {
    case REG_A:
        write_control(rtc, index, value & ~A_UIP);
        break;
    case REG_B:
        write_control(rtc, index, value & B_SET ? value & ~UPDATE : value);
        break;
    case REG_C:
    case REG_D:
        break;
    case SECONDS_ALARM:
    case MINUTES_ALARM:
    case HOURS_ALARM:
        collect(rtc);
        rtc->cmos[index] = value;
        set_timer(rtc);
        break;
    default:
        if (is_date(index))
            write_date(rtc, index, value);
        else
            rtc->cmos[index] = value;
    }
}

static uint64_t rtc_read(void *opaque, uint64_t offset, unsigned width UNUSED)
{
    struct rtc *rtc = opaque;

    return offset ? read_register(rtc, rtc->index) : 0xff;
}

static void rtc_write(void *opaque, uint64_t offset, uint64_t value, unsigned width UNUSED)
{
    struct rtc *rtc = opaque;

    if (offset == 0) { /* bit 7 masks NMIs, of which there are none */
        rtc->index = value & 0x7f;
        if (rtc->index == CENTURY_PS2)
            rtc->index = CENTURY;
        return;
    }
    write_register(rtc, rtc->index, (uint8_t)value);
}

static const struct region_ops rtc_region_ops = {
    .read = rtc_read, .write = rtc_write, .max_width = 1};

/* --- the device --- */

static void store_memory_sizes(uint8_t *cmos, const struct rtc_config *config)
{
    uint64_t above_1m = config->ram_low > MIB(1) ? config->ram_low - MIB(1) : 0;
    uint64_t above_16m = config->ram_low > MIB(16) ? config->ram_low - MIB(16) : 0;
    uint16_t extended = (uint16_t)MIN(above_1m >> 10, UINT16_MAX);
    uint32_t high = (uint32_t)(config->ram_high >> 16);

    store_le16(cmos + BASE_MEMORY, 640);
    store_le16(cmos + EXTENDED_MEMORY, extended);
    store_le16(cmos + EXTENDED_MEMORY_2, extended);
    store_le16(cmos + MEMORY_ABOVE_16M, (uint16_t)MIN(above_16m >> 16, UINT16_MAX));
    store_le16(cmos + MEMORY_ABOVE_4G, (uint16_t)high);
    cmos[MEMORY_ABOVE_4G + 2] = (uint8_t)(high >> 16);
}

static void store_config(struct rtc *rtc, const struct rtc_config *config)
{
    uint8_t *cmos = rtc->cmos;

    store_memory_sizes(cmos, config);
    cmos[EQUIPMENT] = 0x06; /* a coprocessor, a PS/2 mouse, no floppy */
    cmos[CPUS] = (uint8_t)(config->cpus - 1);
    cmos[BOOT_FIRST] = (uint8_t)(config->boot[1] << 4 | config->boot[0]);
    cmos[BOOT_THIRD] = (uint8_t)(config->boot[2] << 4 | 1); /* 1: no check of floppy signatures */
    cmos[DISK_TRANSLATION] = 0x55; /* LBA-assisted: all of a disk is within reach of old loaders' CHS calls */
    cmos[REG_A] = A_DIVIDER_RUN | 6;
    cmos[REG_B] = B_24H;
    cmos[REG_D] = D_VALID;
}

static int64_t zone_offset(bool local_time)
{
    time_t now = time(NULL);
    struct tm tm;

    return local_time && localtime_r(&now, &tm) ? tm.tm_gmtoff * NS : 0;
}

static void rtc_reset(struct device *device)
{
    struct rtc *rtc = container_of(device, struct rtc, base);

    rtc->cmos[REG_B] &= ~(FLAGS | B_SQWE);
    rtc->cmos[REG_C] = 0;
    rtc->index = 0;
    rtc->missed = 0;
    update_irq(rtc);
    set_timer(rtc);
}

/* The date is saved as its distance from the host's clock, so that a restored guest shows the right time. */
static void rtc_save(struct device *device, struct writer *w)
{
    struct rtc *rtc = container_of(device, struct rtc, base);

    collect(rtc);
    writer_bytes(w, rtc->cmos, sizeof(rtc->cmos));
    writer_u8(w, rtc->index);
    writer_u64(w, (uint64_t)rtc->offset);
    writer_u64(w, machine_clock(device->machine) - rtc->period_seen);
    writer_u32(w, rtc->missed);
}

static int rtc_load(struct device *device, struct reader *r, uint32_t version UNUSED)
{
    struct rtc *rtc = container_of(device, struct rtc, base);
    const uint8_t *cmos = reader_bytes(r, sizeof(rtc->cmos));
    uint8_t index = reader_u8(r);
    int64_t offset = (int64_t)reader_u64(r);
    uint64_t phase = reader_u64(r);
    uint32_t missed = reader_u32(r);

    if (r->bad || index >= CMOS_SIZE)
        return -EINVAL;
    memcpy(rtc->cmos, cmos, sizeof(rtc->cmos));
    rtc->index = index;
    rtc->offset = CLAMP(offset, FIRST_SECOND * NS - host_time(), LAST_SECOND * NS - host_time());
    rtc->seen_second = now_second(rtc);
    rtc->period_seen = machine_clock(device->machine) - MIN(phase, (uint64_t)NS);
    rtc->missed = MIN(missed, 8192u);
    rtc->taken_at = machine_clock(device->machine);
    update_irq(rtc);
    set_timer(rtc);
    return 0;
}

static void rtc_destroy(struct device *device)
{
    struct rtc *rtc = container_of(device, struct rtc, base);

    bus_unmap(device->machine->pio, &rtc->ports);
    timer_fini(&rtc->timer);
    free(rtc);
}

static const struct device_ops rtc_ops = {
    .name = "rtc",
    .version = 1,
    .reset = rtc_reset,
    .save = rtc_save,
    .load = rtc_load,
    .destroy = rtc_destroy,
};

struct device *rtc_create(struct machine *machine, const struct rtc_config *config)
{
    struct rtc *rtc = calloc(1, sizeof(*rtc));

    if (!rtc || timer_init(&rtc->timer, machine->loop, timer_fired, rtc)) {
        free(rtc);
        return NULL;
    }
    device_init(&rtc->base, &rtc_ops, machine);
    rtc->irq = config->irq.set ? config->irq : machine->gsi(machine, 8);
    rtc->offset = zone_offset(config->local_time);
    rtc->seen_second = now_second(rtc);
    store_config(rtc, config);
    rtc->ports = (struct region){"rtc", &rtc_region_ops, rtc, .size = 2};
    bus_map(machine->pio, &rtc->ports, 0x70);
    return &rtc->base;
}
