#include "devices/platform/pci_hotplug.h"

#include "devices/platform/piix4_pm.h"

#include <errno.h>
#include <stdlib.h>

enum { UP = 0, DOWN = 4, EJECT = 8, REMOVABLE = 12, BUS = 16 };

#define BIT(slot)  (1u << (slot))
#define REMOVABLES (((1u << PCI_HOTPLUG_SLOTS) - 1) << PCI_HOTPLUG_FIRST_SLOT)

static_assert(PCI_HOTPLUG_FIRST_SLOT + PCI_HOTPLUG_SLOTS <= 32, "a bus has 32 slots");

struct pci_hotplug {
    struct device base;
    struct pci_hotplug_config config;
    struct region region;
    uint32_t up, down, bus;
};

static struct pci_hotplug *of_device(struct device *device)
{
    return container_of(device, struct pci_hotplug, base);
}

static uint32_t take_up(struct pci_hotplug *h)
{
    uint32_t up = h->up;

    h->up = 0;
    return up;
}

static uint64_t hotplug_read(void *opaque, uint64_t offset, unsigned width UNUSED)
{
    struct pci_hotplug *h = opaque;

    if (offset == BUS)
        return h->bus;
    if (h->bus != 0)
        return 0;
    switch (offset) {
    case UP:
        return take_up(h);
    case DOWN:
        return h->down;
    case REMOVABLE:
        return REMOVABLES;
    default:
        return 0;
    }
}

static void eject(struct pci_hotplug *h, uint32_t slots)
{
    h->up &= ~slots;
    h->down &= ~slots;
    for (; slots; slots &= slots - 1)
        h->config.ejected(h->config.opaque, (unsigned)__builtin_ctz(slots));
}

static void hotplug_write(void *opaque, uint64_t offset, uint64_t value, unsigned width UNUSED)
{
    struct pci_hotplug *h = opaque;

    if (offset == BUS)
        h->bus = (uint32_t)value;
    else if (offset == EJECT && h->bus == 0)
        eject(h, (uint32_t)value & REMOVABLES);
}

static const struct region_ops region_ops = {
    .read = hotplug_read, .write = hotplug_write, .min_width = 4, .max_width = 4};

void pci_hotplug_plugged(struct device *device, unsigned slot)
{
    struct pci_hotplug *h = of_device(device);

    h->up |= BIT(slot);
    piix4_pm_general_event(h->config.pm, PCI_HOTPLUG_EVENT);
}

void pci_hotplug_ask(struct device *device, unsigned slot)
{
    struct pci_hotplug *h = of_device(device);

    h->down |= BIT(slot);
    piix4_pm_general_event(h->config.pm, PCI_HOTPLUG_EVENT);
}

/* --- life --- */

static void hotplug_reset(struct device *device)
{
    struct pci_hotplug *h = of_device(device);

    h->up = h->down = h->bus = 0;
}

static void hotplug_save(struct device *device, struct writer *w)
{
    const struct pci_hotplug *h = of_device(device);

    writer_u32(w, h->up);
    writer_u32(w, h->down);
    writer_u32(w, h->bus);
}

static int hotplug_load(struct device *device, struct reader *r, uint32_t version UNUSED)
{
    struct pci_hotplug *h = of_device(device);

    h->up = reader_u32(r) & REMOVABLES;
    h->down = reader_u32(r) & REMOVABLES;
    h->bus = reader_u32(r);
    return r->bad ? -EINVAL : 0;
}

static void hotplug_destroy(struct device *device)
{
    struct pci_hotplug *h = of_device(device);

    bus_unmap(device->machine->pio, &h->region);
    free(h);
}

static const struct device_ops hotplug_ops = {
    .name = "pci_hotplug",
    .version = 1,
    .reset = hotplug_reset,
    .save = hotplug_save,
    .load = hotplug_load,
    .destroy = hotplug_destroy,
};

struct device *pci_hotplug_create(struct machine *machine, const struct pci_hotplug_config *config)
{
    struct pci_hotplug *h = calloc(1, sizeof(*h));

    if (!h)
        return NULL;
    h->config = *config;
    device_init(&h->base, &hotplug_ops, machine);
    h->region = (struct region){"pci hot plug", &region_ops, h, .size = PCI_HOTPLUG_SIZE};
    bus_map(machine->pio, &h->region, PCI_HOTPLUG_PORT);
    return &h->base;
}
