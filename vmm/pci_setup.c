#include "vmm/pci_setup.h"

#include <linux/pci_regs.h>
#include <stdlib.h>

#define IO_START 0xc000

#define PIIX3_DEVFN PCI_DEVFN(1, 0)
#define PIIX3_PIRQ 0x60
#define PIIX3_IDE_DEVFN PCI_DEVFN(1, 1)
#define PIIX3_IDETIM 0x40 /* and 0x42 */
#define PIIX3_IDETIM_DECODE 0x8000u
#define PIIX4_PM_DEVFN PCI_DEVFN(1, 3)
#define PIIX4_PM_BASE 0x40
#define PIIX4_PM_ENABLE 0x80

/* The ISA interrupts of the links PIRQA..D. */
static const uint8_t link_irq[] = {10, 10, 11, 11};

struct windows {
    uint64_t io, mem;
};

/* A BAR that waits for its place. */
struct wanted {
    uint8_t devfn, n;
    bool io, wide;
    uint64_t size;
};

#define MAX_WANTED 256 /* of a bus with 32 devices */

/* Through the ports, as firmware would: the devices see nothing unusual. */
static void config_write(struct machine *machine, unsigned devfn, unsigned offset, uint32_t value, unsigned width)
{
    uint32_t address = 0x80000000u | devfn << 8 | (offset & 0xfc);

    bus_write(machine->pio, 0xcf8, &address, 4);
    bus_write(machine->pio, 0xcfc + (offset & 3), &value, width);
}

static uint32_t config_read(struct machine *machine, unsigned devfn, unsigned offset, unsigned width)
{
    uint32_t address = 0x80000000u | devfn << 8 | (offset & 0xfc), value = 0;

    bus_write(machine->pio, 0xcf8, &address, 4);
    bus_read(machine->pio, 0xcfc + (offset & 3), &value, width);
    return value;
}

/* Size BAR n the way the specification says; returns how many registers it takes. */
static unsigned size_bar(struct machine *machine, unsigned devfn, unsigned n, struct wanted *bar)
{
    unsigned offset = PCI_BASE_ADDRESS_0 + 4 * n;
    uint32_t mask;

    config_write(machine, devfn, offset, 0xffffffff, 4);
    mask = config_read(machine, devfn, offset, 4);
    *bar = (struct wanted){.devfn = (uint8_t)devfn, .n = (uint8_t)n, .io = mask & PCI_BASE_ADDRESS_SPACE_IO};
    if (mask == 0)
        return 1;
    bar->wide = !bar->io && (mask & PCI_BASE_ADDRESS_MEM_TYPE_MASK) == PCI_BASE_ADDRESS_MEM_TYPE_64;
    bar->size = (~(mask & (bar->io ? ~3u : ~15u)) & (bar->io ? 0xffffu : ~0u)) + 1ull;
    return bar->wide ? 2 : 1;
}

static void place_bar(struct machine *machine, const struct wanted *bar, struct windows *next)
{
    unsigned offset = PCI_BASE_ADDRESS_0 + 4u * bar->n;
    uint64_t *window = bar->io ? &next->io : &next->mem, place = ALIGN_UP(*window, bar->size);

    if (place + bar->size > (bar->io ? 0x10000u : PCI_WINDOW_END)) {
        config_write(machine, bar->devfn, offset, 0, 4); /* no room: the guest may find some */
    } else {
        config_write(machine, bar->devfn, offset, (uint32_t)place, 4);
        *window = place + bar->size;
    }
    if (bar->wide)
        config_write(machine, bar->devfn, offset + 4, 0, 4);
}

static void set_up_function(struct machine *machine, unsigned devfn)
{
    unsigned pin = config_read(machine, devfn, PCI_INTERRUPT_PIN, 1);

    if (pin)
        config_write(machine, devfn, PCI_INTERRUPT_LINE, link_irq[(pin - 1 + (devfn >> 3) - 1) & 3], 1);
    config_write(machine, devfn, PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY, 2);
}

uint32_t pci_setup_bar(struct machine *machine, unsigned devfn, unsigned n)
{
    uint32_t bar = config_read(machine, devfn, PCI_BASE_ADDRESS_0 + 4 * n, 4);

    return bar == UINT32_MAX ? 0 : bar & (uint32_t)PCI_BASE_ADDRESS_MEM_MASK;
}

static unsigned size_bars(struct machine *machine, struct wanted bars[MAX_WANTED])
{
    unsigned count = 0;

    for (unsigned devfn = 0; devfn < 256; devfn++)
        if (config_read(machine, devfn, PCI_VENDOR_ID, 2) != 0xffff)
            for (unsigned n = 0; n < PCI_BARS && count < MAX_WANTED;) {
                n += size_bar(machine, devfn, n, &bars[count]);
                count += bars[count].size != 0;
            }
    return count;
}

/* The largest first, so that no room is lost between them; alike ones in the order of the bus. */
static int compare_bars(const void *a, const void *b)
{
    const struct wanted *x = a, *y = b;

    if (x->size != y->size)
        return x->size < y->size ? 1 : -1;
    return x->devfn != y->devfn ? x->devfn - y->devfn : x->n - y->n;
}

void pci_setup(struct machine *machine, uint32_t mem_start)
{
    struct windows next = {.io = IO_START, .mem = mem_start};
    struct wanted bars[MAX_WANTED];
    unsigned count = size_bars(machine, bars), devfn, i, link;

    qsort(bars, count, sizeof(bars[0]), compare_bars);
    for (i = 0; i < count; i++)
        place_bar(machine, &bars[i], &next);
    for (devfn = 0; devfn < 256; devfn++)
        if (config_read(machine, devfn, PCI_VENDOR_ID, 2) != 0xffff)
            set_up_function(machine, devfn);
    for (link = 0; link < ARRAY_SIZE(link_irq); link++)
        config_write(machine, PIIX3_DEVFN, PIIX3_PIRQ + link, link_irq[link], 1);
    config_write(machine, PIIX3_IDE_DEVFN, PIIX3_IDETIM, PIIX3_IDETIM_DECODE << 16 | PIIX3_IDETIM_DECODE, 4);
    config_write(machine, PIIX4_PM_DEVFN, PIIX4_PM_BASE, PCI_SETUP_PM_BASE | 1, 4);
    config_write(machine, PIIX4_PM_DEVFN, PIIX4_PM_ENABLE, 1, 1);
}
