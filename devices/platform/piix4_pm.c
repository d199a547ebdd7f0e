#include "devices/platform/piix4_pm.h"

#include "base/log.h"
#include "base/timer.h"
#include "devices/platform/smbus.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <stdlib.h>
#include <string.h>

/* Configuration registers. */
#define PMBA        0x40
#define PMBA_FIRST  0x0600
#define BASE_MASK   0xffc0 /* of PMBA and SMBBA alike, but for the SMBus' four more bits */
#define SMB_MASK    0xfff0
#define DEVACTB_SMI 0x5b /* bit 1: SMIs for APM commands are on */
#define PMREGMISC   0x80 /* bit 0: the PM block answers */
#define SMBBA       0x90
#define SMBBA_FIRST 0x0700
#define SMBHSTCFG   0xd2 /* bit 0: the SMBus block answers; 8: interrupts by IRQ 9 */

#define EVENT_SIZE   4
#define CONTROL_SIZE 2
#define TIMER_HZ     3579545ULL
#define TIMER_BITS   24
#define NS           1000000000ULL

/* PM1 status, and enable where the bit exists there. */
enum {
    PM1_TIMER = 1 << 0,
    PM1_GLOBAL = 1 << 5,
    PM1_POWER_BUTTON = 1 << 8,
    PM1_RTC = 1 << 10,
    PM1_WAKE = 1 << 15,
    PM1_EVENTS = PM1_TIMER | PM1_GLOBAL | PM1_POWER_BUTTON | PM1_RTC,
};

enum {
    CONTROL_SCI_EN = 1 << 0,
    CONTROL_SLP_TYP = 7 << 10,
    CONTROL_SLP_EN = 1 << 13,
    CONTROL_WRITABLE = CONTROL_SCI_EN | 1 << 1 | CONTROL_SLP_TYP,
};

struct piix4_pm {
    struct pci_device pci;
    struct region event_region, control_region, timer_region, gpe_region, apm_region;
    struct smbus smbus;
    struct irq sci;
    struct timer timer; /* for the next PM timer interrupt, only while one is asked for */
    uint16_t status, enable, control, gpe_status, gpe_enable;
    uint8_t apm[2];     /* command, status: scratch for firmware */
    uint64_t half_seen; /* how many half turns of the timer are in the status */
};

static struct piix4_pm *of_pci(struct pci_device *pci)
{
    return container_of(pci, struct piix4_pm, pci);
}

static struct piix4_pm *of_device(struct device *device)
{
    return container_of(device, struct piix4_pm, pci.base);
}

/* --- the timer and the SCI --- */

static uint64_t timer_ticks(const struct piix4_pm *pm)
{
    return (uint64_t)((unsigned __int128)machine_clock(pm->pci.base.machine) * TIMER_HZ / NS);
}

/* TMR_STS is set whenever the top bit changes. */
static void collect_timer(struct piix4_pm *pm)
{
    uint64_t half = timer_ticks(pm) >> (TIMER_BITS - 1);

    if (half != pm->half_seen)
        pm->status |= PM1_TIMER;
    pm->half_seen = half;
}

static void update_sci(struct piix4_pm *pm)
{
    bool event = (pm->status & pm->enable & PM1_EVENTS) || (pm->gpe_status & pm->gpe_enable);

    irq_set(pm->sci, event && (pm->control & CONTROL_SCI_EN));
}

static void set_timer(struct piix4_pm *pm)
{
    uint64_t next = (pm->half_seen + 1) << (TIMER_BITS - 1), now = timer_ticks(pm);

    if ((pm->enable & PM1_TIMER) && !(pm->status & PM1_TIMER))
        timer_set(&pm->timer, next > now ? (next - now) * NS / TIMER_HZ + 1 : 0);
    else
        timer_stop(&pm->timer);
}

static void update_events(struct piix4_pm *pm)
{
    collect_timer(pm);
    update_sci(pm);
    set_timer(pm);
}

static void timer_fired(void *opaque)
{
    struct piix4_pm *pm = opaque;

    machine_lock(pm->pci.base.machine);
    update_events(pm);
    machine_unlock(pm->pci.base.machine);
}

void piix4_pm_power_button(struct pci_device *pci)
{
    struct piix4_pm *pm = of_pci(pci);

    machine_lock(pci->base.machine);
    pm->status |= PM1_POWER_BUTTON;
    update_events(pm);
    machine_unlock(pci->base.machine);
}

void piix4_pm_general_event(struct pci_device *pci, unsigned n)
{
    struct piix4_pm *pm = of_pci(pci);

    machine_lock(pci->base.machine);
    pm->gpe_status |= (uint16_t)(1u << n);
    update_sci(pm);
    machine_unlock(pci->base.machine);
}

/* --- registers --- */

/* A status register beside its enable register, 16 bits each. */
static uint64_t read_pair(uint16_t status, uint16_t enable, uint64_t offset)
{
    uint32_t both = status | (uint32_t)enable << 16;

    return both >> 8 * offset;
}

/* Ones written to the status clear; the enable register is set, each byte on its own. */
static void write_pair(uint16_t *status, uint16_t *enable, uint64_t offset, uint64_t value,
                       unsigned width)
{
    uint32_t mask = (width == 1 ? 0xffu : 0xffffu) << 8 * offset;
    uint32_t bits = (uint32_t)value << 8 * offset & mask;

    *status &= (uint16_t)~bits;
    *enable = (uint16_t)((*enable & ~(mask >> 16)) | bits >> 16);
}

static uint64_t event_read(void *opaque, uint64_t offset, unsigned width UNUSED)
{
    struct piix4_pm *pm = opaque;

    collect_timer(pm);
    return read_pair(pm->status, pm->enable, offset);
}

static void event_write(void *opaque, uint64_t offset, uint64_t value, unsigned width)
{
    struct piix4_pm *pm = opaque;

    collect_timer(pm);
    write_pair(&pm->status, &pm->enable, offset, value, width);
    pm->enable &= PM1_EVENTS;
    update_events(pm);
}

static void sleep_now(struct piix4_pm *pm)
{
    struct machine *machine = pm->pci.base.machine;
    unsigned type = (pm->control & CONTROL_SLP_TYP) >> 10;

    if (type == PIIX4_PM_SLP_TYP_S5)
        machine->request(machine, MACHINE_POWEROFF);
    else
        log_once(LOG_WARN, "the guest asked for sleep type %u, which this machine does not have",
                 type);
}

static uint64_t control_read(void *opaque, uint64_t offset, unsigned width UNUSED)
{
    return ((struct piix4_pm *)opaque)->control >> 8 * offset;
}

static void control_write(void *opaque, uint64_t offset, uint64_t value, unsigned width)
{
    struct piix4_pm *pm = opaque;
    uint16_t mask = (uint16_t)((width == 1 ? 0xffu : 0xffffu) << 8 * offset);
    uint16_t bits = (uint16_t)(value << 8 * offset) & mask;

    pm->control = (uint16_t)(((pm->control & ~mask) | bits) & CONTROL_WRITABLE);
    if (bits & CONTROL_SLP_EN)
        sleep_now(pm);
    update_sci(pm);
}

static uint64_t timer_read(void *opaque, uint64_t offset UNUSED, unsigned width UNUSED)
{
    return timer_ticks(opaque) & ((1u << TIMER_BITS) - 1);
}

static uint64_t gpe_read(void *opaque, uint64_t offset, unsigned width UNUSED)
{
    const struct piix4_pm *pm = opaque;

    return read_pair(pm->gpe_status, pm->gpe_enable, offset);
}

static void gpe_write(void *opaque, uint64_t offset, uint64_t value, unsigned width)
{
    struct piix4_pm *pm = opaque;

    write_pair(&pm->gpe_status, &pm->gpe_enable, offset, value, width);
    update_sci(pm);
}

static uint64_t apm_read(void *opaque, uint64_t offset, unsigned width UNUSED)
{
    return ((struct piix4_pm *)opaque)->apm[offset];
}

static void apm_write(void *opaque, uint64_t offset, uint64_t value, unsigned width UNUSED)
{
    struct piix4_pm *pm = opaque;

    pm->apm[offset] = (uint8_t)value;
    if (offset)
        return;
    if (value == PIIX4_PM_ACPI_ENABLE)
        pm->control |= CONTROL_SCI_EN;
    else if (value == PIIX4_PM_ACPI_DISABLE)
        pm->control &= (uint16_t)~CONTROL_SCI_EN;
    update_sci(pm);
}

static const struct region_ops event_ops = {
    .read = event_read, .write = event_write, .max_width = 2};
static const struct region_ops control_ops = {
    .read = control_read, .write = control_write, .max_width = 2};
static const struct region_ops timer_ops = {.read = timer_read, .min_width = 4, .max_width = 4};
static const struct region_ops gpe_ops = {.read = gpe_read, .write = gpe_write, .max_width = 2};
static const struct region_ops apm_ops = {.read = apm_read, .write = apm_write, .max_width = 1};

/* --- configuration space --- */

uint16_t piix4_pm_base(struct pci_device *pci)
{
    return pci->config[PMREGMISC] & 1 ? load_le16(pci->config + PMBA) & BASE_MASK : 0;
}

static void map_at(struct bus *pio, struct region *region, uint16_t base, unsigned offset)
{
    if (region->mapped && region->base == base + offset)
        return;
    bus_unmap(pio, region);
    if (base)
        bus_map(pio, region, base + offset);
}

static void update_regions(struct piix4_pm *pm)
{
    struct bus *pio = pm->pci.base.machine->pio;
    uint16_t base = piix4_pm_base(&pm->pci), smb = load_le16(pm->pci.config + SMBBA) & SMB_MASK;

    map_at(pio, &pm->event_region, base, 0);
    map_at(pio, &pm->control_region, base, EVENT_SIZE);
    map_at(pio, &pm->timer_region, base, PIIX4_PM_TIMER);
    map_at(pio, &pm->smbus.region, pm->pci.config[SMBHSTCFG] & 1 ? smb : 0, 0);
}

static void config_written(struct pci_device *pci, unsigned offset UNUSED, unsigned size UNUSED)
{
    update_regions(of_pci(pci));
}

/* Both blocks answer where firmware would put them, for a kernel that is started without any. */
static void reset_config(struct pci_device *pci)
{
    uint8_t *config = pci->config;

    store_le32(config + PMBA, PMBA_FIRST | PCI_BASE_ADDRESS_SPACE_IO);
    config[DEVACTB_SMI] =
        0x02; /* already on: firmware then does not try to install an SMI handler */
    config[PMREGMISC] = 1;
    store_le32(config + SMBBA, SMBBA_FIRST | PCI_BASE_ADDRESS_SPACE_IO);
    config[SMBHSTCFG] = 0x09;
    config[PCI_INTERRUPT_LINE] = PIIX4_PM_SCI;
    store_le16(config + PCI_COMMAND, PCI_COMMAND_IO);
}

static void init_config(struct pci_device *pci)
{
    uint8_t *writable = pci->writable;

    store_le16(writable + PMBA, BASE_MASK);
    memset(writable + 0x44, 0xff, PMREGMISC - 0x44); /* device activity and traps: memory */
    writable[PMREGMISC] = 1;
    store_le16(writable + SMBBA, SMB_MASK);
    memset(writable + SMBHSTCFG, 0xff, 4);
    pci->config[0xd6] = 0; /* SMBus revision */
}

/* --- the device --- */

static void piix4_pm_reset(struct device *device)
{
    struct piix4_pm *pm = of_device(device);

    reset_config(&pm->pci);
    smbus_reset(&pm->smbus);
    pm->status = pm->enable = pm->control = pm->gpe_status = pm->gpe_enable = 0;
    memset(pm->apm, 0, sizeof(pm->apm));
    pm->half_seen = timer_ticks(pm) >> (TIMER_BITS - 1);
    update_regions(pm);
    update_events(pm);
}

static void piix4_pm_save(struct device *device, struct writer *w)
{
    struct piix4_pm *pm = of_device(device);

    collect_timer(pm);
    pci_save(&pm->pci, w);
    smbus_save(&pm->smbus, w);
    writer_u16(w, pm->status);
    writer_u16(w, pm->enable);
    writer_u16(w, pm->control);
    writer_u16(w, pm->gpe_status);
    writer_u16(w, pm->gpe_enable);
    writer_bytes(w, pm->apm, sizeof(pm->apm));
}

/* The timer's count itself is the machine's clock, saved by its owner. */
static int piix4_pm_load(struct device *device, struct reader *r, uint32_t version UNUSED)
{
    struct piix4_pm *pm = of_device(device);
    int err = pci_load(&pm->pci, r);

    if (!err)
        err = smbus_load(&pm->smbus, r);
    if (err)
        return err;
    pm->status = reader_u16(r);
    pm->enable = reader_u16(r) & PM1_EVENTS;
    pm->control = reader_u16(r) & CONTROL_WRITABLE;
    pm->gpe_status = reader_u16(r);
    pm->gpe_enable = reader_u16(r);
    pm->apm[0] = reader_u8(r);
    pm->apm[1] = reader_u8(r);
    pm->half_seen = timer_ticks(pm) >> (TIMER_BITS - 1);
    update_regions(pm);
    update_events(pm);
    return r->bad ? -EINVAL : 0;
}

static void piix4_pm_destroy(struct device *device)
{
    struct piix4_pm *pm = of_device(device);
    struct region *regions[] = {&pm->event_region, &pm->control_region, &pm->timer_region,
                                &pm->gpe_region,   &pm->apm_region,     &pm->smbus.region};
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(regions); i++)
        bus_unmap(device->machine->pio, regions[i]);
    timer_fini(&pm->timer);
    pci_fini(&pm->pci);
    free(pm);
}

static const struct device_ops piix4_pm_ops = {
    .name = "piix4_pm",
    .version = 1,
    .reset = piix4_pm_reset,
    .save = piix4_pm_save,
    .load = piix4_pm_load,
    .destroy = piix4_pm_destroy,
};

static void init_regions(struct piix4_pm *pm)
{
    struct bus *pio = pm->pci.base.machine->pio;

    pm->event_region = (struct region){"pm1 event", &event_ops, pm, .size = EVENT_SIZE};
    pm->control_region = (struct region){"pm1 control", &control_ops, pm, .size = CONTROL_SIZE};
    pm->timer_region = (struct region){"pm timer", &timer_ops, pm, .size = 4};
    pm->gpe_region = (struct region){"gpe0", &gpe_ops, pm, .size = PIIX4_PM_GPE0_SIZE};
    pm->apm_region = (struct region){"apm", &apm_ops, pm, .size = 2};
    bus_map(pio, &pm->gpe_region, PIIX4_PM_GPE0);
    bus_map(pio, &pm->apm_region, PIIX4_PM_SMI_CMD);
    smbus_init(&pm->smbus);
}

struct pci_device *piix4_pm_create(struct machine *machine)
{
    static const struct pci_ids ids = {
        .vendor = 0x8086,
        .device = 0x7113,
        .subvendor = 0x1af4,
        .subdevice = 0x1100,
        .class = 0x068000,
        .revision = 3,
        .interrupt_pin = 1,
    };
    struct piix4_pm *pm = calloc(1, sizeof(*pm));

    if (!pm || timer_init(&pm->timer, machine->loop, timer_fired, pm)) {
        free(pm);
        return NULL;
    }
    if (pci_init(&pm->pci, &piix4_pm_ops, machine, PCI_DEVFN(1, 3), &ids)) {
        timer_fini(&pm->timer);
        free(pm);
        return NULL;
    }
    pm->sci = machine->gsi(machine, PIIX4_PM_SCI);
    init_config(&pm->pci);
    init_regions(pm);
    pm->pci.config_written = config_written;
    piix4_pm_reset(&pm->pci.base);
    return &pm->pci;
}
