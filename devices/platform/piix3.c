#include "devices/platform/piix3.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <stdlib.h>
#include <string.h>

#define PIRQRC        0x60
#define PIRQ_LINKS    4
#define PIRQ_DISABLED 0x80
#define ISA_IRQS      16
/* IRQs 0, 1, 2, 8 and 13 are the board's own. */
#define IRQS_ALLOWED         0xdef8
#define DMA_PAGE_PORTS       16

enum { RESET_HARD = 2, RESET_CPU = 4 };  /* port 0xcf9 */
enum { FAST_RESET = 1, A20_ENABLE = 2 }; /* port 0x92 */

struct piix3 {
    struct pci_device pci;
    struct region reset_region, control_region, dma_page_region;
    bool link_level[PIRQ_LINKS];
    uint16_t driven; /* bit n: this bridge holds IRQ n up */
    uint8_t reset_control, system_control;
    uint8_t dma_pages[DMA_PAGE_PORTS];
};

static struct piix3 *of_device(struct device *device)
{
    return container_of(device, struct piix3, pci.base);
}

/* --- interrupt routing --- */

/* The IRQs that the links, as routed now, hold up. */
static uint16_t wanted_irqs(const struct piix3 *bridge)
{
    uint16_t irqs = 0;
    unsigned i;

    for (i = 0; i < PIRQ_LINKS; i++) {
        uint8_t route = bridge->pci.config[PIRQRC + i];

        if (bridge->link_level[i] && !(route & PIRQ_DISABLED))
            irqs |= (uint16_t)(1u << (route & 15));
    }
    return irqs & IRQS_ALLOWED;
}

static void update_irqs(struct piix3 *bridge)
{
    struct machine *machine = bridge->pci.base.machine;
    uint16_t wanted = wanted_irqs(bridge), changed = wanted ^ bridge->driven;
    unsigned i;

    bridge->driven = wanted;
    for (i = 0; i < ISA_IRQS; i++)
        if (changed & (1u << i))
            irq_set(machine->gsi(machine, i), wanted & (1u << i));
}

static void set_link(void *opaque, unsigned link, bool level)
{
    struct piix3 *bridge = opaque;

    bridge->link_level[link] = level;
    update_irqs(bridge);
}

static void config_written(struct pci_device *pci, unsigned offset UNUSED, unsigned size UNUSED)
{
    update_irqs(container_of(pci, struct piix3, pci));
}

/* --- ports --- */

static void request_reset(struct piix3 *bridge)
{
    struct machine *machine = bridge->pci.base.machine;

    machine->request(machine, MACHINE_RESET);
}

static uint64_t reset_read(void *opaque, uint64_t offset UNUSED, unsigned width UNUSED)
{
    return ((struct piix3 *)opaque)->reset_control;
}

static void reset_write(void *opaque, uint64_t offset UNUSED, uint64_t value, unsigned width UNUSED)
{
    struct piix3 *bridge = opaque;
    bool rises = (value & RESET_CPU) && !(bridge->reset_control & RESET_CPU);

    bridge->reset_control = value & (RESET_HARD | RESET_CPU);
    if (rises)
        request_reset(bridge);
}

static uint64_t control_read(void *opaque, uint64_t offset UNUSED, unsigned width UNUSED)
{
    return ((struct piix3 *)opaque)->system_control;
}

/* The A20 line cannot be held down; the bit is kept for those who ask. */
static void control_write(void *opaque, uint64_t offset UNUSED, uint64_t value,
                          unsigned width UNUSED)
{
    struct piix3 *bridge = opaque;
    bool rises = (value & FAST_RESET) && !(bridge->system_control & FAST_RESET);

    bridge->system_control = (uint8_t)value;
    if (rises)
        request_reset(bridge);
}

static uint64_t dma_page_read(void *opaque, uint64_t offset, unsigned width UNUSED)
{
    return ((struct piix3 *)opaque)->dma_pages[offset];
}

static void dma_page_write(void *opaque, uint64_t offset, uint64_t value, unsigned width UNUSED)
{
    ((struct piix3 *)opaque)->dma_pages[offset] = (uint8_t)value;
}

static const struct region_ops reset_ops = {
    .read = reset_read, .write = reset_write, .max_width = 1};
static const struct region_ops control_ops = {
    .read = control_read, .write = control_write, .max_width = 1};
static const struct region_ops dma_page_ops = {
    .read = dma_page_read, .write = dma_page_write, .max_width = 1};

/* --- the device --- */

static void piix3_reset(struct device *device)
{
    struct piix3 *bridge = of_device(device);

    memset(bridge->pci.config + PIRQRC, PIRQ_DISABLED, PIRQ_LINKS);
    store_le16(bridge->pci.config + PCI_COMMAND,
               PCI_COMMAND_IO | PCI_COMMAND_MEMORY |
                   PCI_COMMAND_MASTER); /* for good, in this chip */
    bridge->reset_control = 0;
    bridge->system_control = A20_ENABLE;
    memset(bridge->dma_pages, 0, sizeof(bridge->dma_pages));
    update_irqs(bridge);
}

/* The links' levels are not saved: the other PCI devices drive them again as they are loaded. */
static void piix3_save(struct device *device, struct writer *w)
{
    struct piix3 *bridge = of_device(device);

    pci_save(&bridge->pci, w);
    writer_u8(w, bridge->reset_control);
    writer_u8(w, bridge->system_control);
    writer_bytes(w, bridge->dma_pages, sizeof(bridge->dma_pages));
}

static int piix3_load(struct device *device, struct reader *r, uint32_t version UNUSED)
{
    struct piix3 *bridge = of_device(device);
    int err = pci_load(&bridge->pci, r);
    const uint8_t *pages;

    if (err)
        return err;
    bridge->reset_control = reader_u8(r);
    bridge->system_control = reader_u8(r);
    pages = reader_bytes(r, sizeof(bridge->dma_pages));
    if (!pages)
        return -EINVAL;
    memcpy(bridge->dma_pages, pages, sizeof(bridge->dma_pages));
    update_irqs(bridge);
    return 0;
}

static void piix3_destroy(struct device *device)
{
    struct piix3 *bridge = of_device(device);
    struct bus *pio = device->machine->pio;

    bus_unmap(pio, &bridge->reset_region);
    bus_unmap(pio, &bridge->control_region);
    bus_unmap(pio, &bridge->dma_page_region);
    pci_bus_set_router(device->machine->pci, NULL, NULL);
    pci_fini(&bridge->pci);
    free(bridge);
}

static const struct device_ops piix3_ops = {
    .name = "piix3",
    .version = 1,
    .reset = piix3_reset,
    .save = piix3_save,
    .load = piix3_load,
    .destroy = piix3_destroy,
};

struct pci_device *piix3_create(struct machine *machine)
{
    static const struct pci_ids ids = {
        .vendor = 0x8086,
        .device = 0x7000,
        .subvendor = 0x1af4,
        .subdevice = 0x1100,
        .class = 0x060100,
    };
    struct piix3 *bridge = calloc(1, sizeof(*bridge));

    if (!bridge || pci_init(&bridge->pci, &piix3_ops, machine, PCI_DEVFN(1, 0), &ids)) {
        free(bridge);
        return NULL;
    }
    bridge->pci.config[PCI_HEADER_TYPE] = PCI_HEADER_MULTIFUNCTION;
    store_le16(bridge->pci.writable + PCI_COMMAND, 0);
    memset(bridge->pci.writable + PIRQRC, 0x8f, PIRQ_LINKS);
    bridge->pci.config_written = config_written;
    pci_bus_set_router(machine->pci, set_link, bridge);
    bridge->reset_region = (struct region){"reset control", &reset_ops, bridge, .size = 1};
    bridge->control_region = (struct region){"system control", &control_ops, bridge, .size = 1};
    bridge->dma_page_region =
        (struct region){"dma pages", &dma_page_ops, bridge, .size = DMA_PAGE_PORTS};
    bus_map(machine->pio, &bridge->reset_region, 0xcf9);
    bus_map(machine->pio, &bridge->control_region, 0x92);
    bus_map(machine->pio, &bridge->dma_page_region, 0x80);
    piix3_reset(&bridge->pci.base);
    return &bridge->pci;
}
