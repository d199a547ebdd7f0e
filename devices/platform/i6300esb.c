#include "devices/platform/i6300esb.h"

#include "base/log.h"
#include "base/timer.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <stdlib.h>

#define PRELOAD_MAX     0xfffffu
#define PCI_CLOCK_NS    30
#define MIN_STAGE_NS    1000000ull
#define PAUSED_CHECK_NS 100000000ull

/* Configuration space */
#define CONFIG 0x60 /* 16 bits */
#define LOCK   0x68

enum {
    CONFIG_INT_TYPE = 3, /* 0: an interrupt at the end of the first stage */
    CONFIG_FAST = 1 << 2,
    CONFIG_NO_REBOOT = 1 << 5,
    CONFIG_WRITABLE = CONFIG_INT_TYPE | CONFIG_FAST | CONFIG_NO_REBOOT,
};

enum { LOCK_LOCKED = 1, LOCK_ENABLED = 2, LOCK_FREE_RUN = 4, LOCK_WRITABLE = 7 };

/* Registers in BAR 0 */
enum { PRELOAD_1 = 0, PRELOAD_2 = 4, INTERRUPT = 8, RELOAD = 12, SIZE = 16 };

enum { RELOAD_PING = 1 << 8, RELOAD_TIMED_OUT = 1 << 9 }; /* RELOAD */

enum { UNLOCK_1 = 0x80, UNLOCK_2 = 0x86 }; /* written to RELOAD, one after the other */

struct i6300esb {
    struct pci_device pci;
    struct i6300esb_config config;
    struct region region;
    struct timer timer;
    uint32_t preload[2];
    unsigned stage;     /* 0 or 1: the running one */
    uint64_t stage_end; /* machine clock, ns */
    unsigned unlocked;  /* magic bytes seen */
    bool interrupt, timed_out;
};

static struct i6300esb *of_device(struct device *device)
{
    return container_of(device, struct i6300esb, pci.base);
}

static bool enabled(const struct i6300esb *w)
{
    return w->pci.config[LOCK] & LOCK_ENABLED;
}

/* --- time --- */

static uint64_t stage_length(const struct i6300esb *w)
{
    unsigned scale = w->pci.config[CONFIG] & CONFIG_FAST ? 5 : 15;

    return MAX(((uint64_t)w->preload[w->stage] << scale) * PCI_CLOCK_NS, MIN_STAGE_NS);
}

static void set_timer(struct i6300esb *w)
{
    struct machine *machine = w->pci.base.machine;
    uint64_t now = machine_clock(machine), left = w->stage_end > now ? w->stage_end - now : 0;

    if (!enabled(w))
        timer_stop(&w->timer);
    else if (__atomic_load_n(&machine->paused_at, __ATOMIC_ACQUIRE))
        timer_set(&w->timer, MAX(left, PAUSED_CHECK_NS));
    else
        timer_set(&w->timer, left);
}

static void start_stage(struct i6300esb *w, unsigned stage)
{
    w->stage = stage;
    w->stage_end = machine_clock(w->pci.base.machine) + stage_length(w);
    set_timer(w);
}

static void end_first_stage(struct i6300esb *w)
{
    if ((w->pci.config[CONFIG] & CONFIG_INT_TYPE) == 0) {
        w->interrupt = true;
        pci_set_intx(&w->pci, true);
    }
    start_stage(w, 1);
}

/* What acts ends the run; a timer that must not starts over, or stops. */
static void end_second_stage(struct i6300esb *w)
{
    w->timed_out = true;
    if (w->pci.config[LOCK] & LOCK_FREE_RUN)
        start_stage(w, 0);
    else
        w->pci.config[LOCK] &= ~LOCK_ENABLED;
    if (!(w->pci.config[CONFIG] & CONFIG_NO_REBOOT))
        w->config.expired(w->config.opaque);
}

static void timer_fired(void *opaque)
{
    struct i6300esb *w = opaque;
    struct machine *machine = w->pci.base.machine;

    machine_lock(machine);
    if (!enabled(w) || machine_clock(machine) < w->stage_end)
        set_timer(w);
    else if (w->stage == 0)
        end_first_stage(w);
    else
        end_second_stage(w);
    machine_unlock(machine);
}

/* --- registers --- */

static uint64_t esb_read(void *opaque, uint64_t offset, unsigned width UNUSED)
{
    const struct i6300esb *w = opaque;

    switch (offset & ~3ull) {
    case INTERRUPT:
        return w->interrupt;
    case RELOAD:
        return (uint64_t)(w->timed_out ? RELOAD_TIMED_OUT : 0) >> (offset & 3) * 8;
    default:
        return 0; /* the preloads cannot be read */
    }
}

static void write_reload(struct i6300esb *w, uint64_t value)
{
    if (value & RELOAD_TIMED_OUT)
        w->timed_out = false;
    if (value & RELOAD_PING && enabled(w))
        start_stage(w, 0);
}

/* True for a write that follows both magic bytes; the first of them starts anew at any time. */
static bool is_unlocked(struct i6300esb *w, uint64_t offset, uint64_t value)
{
    unsigned before = w->unlocked;

    w->unlocked = 0;
    if (offset == RELOAD && value == UNLOCK_1)
        w->unlocked = 1;
    else if (offset == RELOAD && value == UNLOCK_2 && before == 1)
        w->unlocked = 2;
    return before == 2 && !w->unlocked;
}

static void esb_write(void *opaque, uint64_t offset, uint64_t value, unsigned width)
{
    struct i6300esb *w = opaque;

    if (offset == INTERRUPT && value & 1) {
        w->interrupt = false;
        pci_set_intx(&w->pci, false);
        return;
    }
    if (!is_unlocked(w, offset, value))
        return;
    if ((offset == PRELOAD_1 || offset == PRELOAD_2) && width == 4)
        w->preload[offset / 4] = (uint32_t)value & PRELOAD_MAX;
    else if (offset == RELOAD)
        write_reload(w, value);
}

static const struct region_ops region_ops = {.read = esb_read, .write = esb_write, .max_width = 4};

/* --- configuration space --- */

static void config_written(struct pci_device *pci, unsigned offset, unsigned size)
{
    struct i6300esb *w = container_of(pci, struct i6300esb, pci);

    if (offset > LOCK || offset + size <= LOCK)
        return;
    if (pci->config[LOCK] & LOCK_LOCKED)
        pci->writable[LOCK] = 0; /* until reset */
    if (enabled(w) && !w->stage_end)
        start_stage(w, 0);
    else if (!enabled(w)) {
        w->stage_end = 0;
        set_timer(w);
    }
}

/* --- the device --- */

/* That the machine was reset by the watchdog, the next system may know: the flag stays. */
static void esb_reset(struct device *device)
{
    struct i6300esb *w = of_device(device);

    store_le16(w->pci.config + CONFIG, 0);
    w->pci.config[LOCK] = 0;
    w->pci.writable[LOCK] = LOCK_WRITABLE;
    w->preload[0] = w->preload[1] = PRELOAD_MAX;
    w->stage = w->unlocked = 0;
    w->stage_end = 0;
    w->interrupt = false;
    pci_set_intx(&w->pci, false);
    timer_stop(&w->timer);
}

static void esb_save(struct device *device, struct writer *writer)
{
    struct i6300esb *w = of_device(device);
    uint64_t now = machine_clock(device->machine);

    pci_save(&w->pci, writer);
    writer_u32(writer, w->preload[0]);
    writer_u32(writer, w->preload[1]);
    writer_u8(writer, (uint8_t)w->stage);
    writer_u64(writer, w->stage_end > now ? w->stage_end - now : 0);
    writer_u8(writer, (uint8_t)w->unlocked);
    writer_u8(writer, w->interrupt);
    writer_u8(writer, w->timed_out);
}

static int esb_load(struct device *device, struct reader *r, uint32_t version UNUSED)
{
    struct i6300esb *w = of_device(device);
    uint64_t left;
    int err;

    w->pci.writable[LOCK] = LOCK_WRITABLE;
    err = pci_load(&w->pci, r);
    if (err)
        return err;
    w->pci.writable[LOCK] = w->pci.config[LOCK] & LOCK_LOCKED ? 0 : LOCK_WRITABLE;
    w->preload[0] = reader_u32(r) & PRELOAD_MAX;
    w->preload[1] = reader_u32(r) & PRELOAD_MAX;
    w->stage = reader_u8(r) & 1;
    left = reader_u64(r);
    w->stage_end = machine_clock(device->machine) + MIN(left, stage_length(w));
    w->unlocked = reader_u8(r) & 3;
    w->interrupt = reader_u8(r) & 1;
    w->timed_out = reader_u8(r) & 1;
    pci_set_intx(&w->pci, w->interrupt);
    if (!enabled(w))
        w->stage_end = 0;
    set_timer(w);
    return r->bad ? -EINVAL : 0;
}

static void esb_destroy(struct device *device)
{
    struct i6300esb *w = of_device(device);

    timer_fini(&w->timer);
    pci_fini(&w->pci);
    free(w);
}

static const struct device_ops i6300esb_ops = {
    .name = "i6300esb",
    .version = 1,
    .reset = esb_reset,
    .save = esb_save,
    .load = esb_load,
    .destroy = esb_destroy,
};

struct pci_device *i6300esb_create(struct machine *machine, uint8_t devfn, const struct i6300esb_config *config)
{
    static const struct pci_ids ids = {
        .vendor = 0x8086,
        .device = 0x25ab,
        .subvendor = 0x1af4,
        .subdevice = 0x1100,
        .class = 0x088000,
        .interrupt_pin = 1,
    };
    struct i6300esb *w = calloc(1, sizeof(*w));

    if (!w || timer_init(&w->timer, machine->loop, timer_fired, w)) {
        free(w);
        return NULL;
    }
    if (pci_init(&w->pci, &i6300esb_ops, machine, devfn, &ids)) {
        timer_fini(&w->timer);
        free(w);
        return NULL;
    }
    w->config = *config;
    w->region = (struct region){"i6300esb", &region_ops, w, .size = SIZE};
    pci_add_bar(&w->pci, 0, PCI_BAR_MEM, &w->region);
    store_le16(w->pci.writable + CONFIG, CONFIG_WRITABLE);
    w->pci.config_written = config_written;
    esb_reset(&w->pci.base);
    return &w->pci;
}
