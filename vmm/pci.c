#include "vmm/pci.h"

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <stdlib.h>
#include <string.h>

#define PCI_LINKS 4
#define PCI_ROM_MAX MIB(16)
#define ROM_SPARE 6    /* in its header: a byte without a meaning, */
#define ROM_PCIR  0x18 /* where its PCI data structure is */
#define ADDRESS_ENABLE 0x80000000u
#define COMMAND_WRITABLE                                                                           \
    (PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_PARITY |               \
     PCI_COMMAND_SERR | PCI_COMMAND_INTX_DISABLE)

struct pci_bus {
    struct machine *machine;
    struct pci_device *devices[256];
    uint32_t address; /* port 0xcf8 */
    struct region address_region, data_region;
    unsigned link_levels[PCI_LINKS]; /* how many devices assert it */
    void (*route)(void *opaque, unsigned link, bool level);
    void *route_opaque;
};

/* --- configuration mechanism 1 --- */

static struct pci_device *selected(const struct pci_bus *bus)
{
    if (!(bus->address & ADDRESS_ENABLE) || (bus->address >> 16 & 0xff) != 0)
        return NULL;
    return bus->devices[bus->address >> 8 & 0xff];
}

static uint64_t address_read(void *opaque, uint64_t offset, unsigned width)
{
    struct pci_bus *bus = opaque;

    return offset == 0 && width == 4 ? bus->address : ~0ULL;
}

static void address_write(void *opaque, uint64_t offset, uint64_t value, unsigned width)
{
    struct pci_bus *bus = opaque;

    if (offset == 0 && width == 4)
        bus->address = (uint32_t)value;
}

static uint64_t data_read(void *opaque, uint64_t offset, unsigned width)
{
    struct pci_bus *bus = opaque;
    struct pci_device *pci = selected(bus);
    unsigned at = (bus->address & 0xfc) + (unsigned)offset;
    uint64_t value = ~0ULL;

    if (pci && pci->config_read)
        pci->config_read(pci, at, width);
    if (pci)
        memcpy(&value, pci->config + at, width);
    return value;
}

static void config_write(struct pci_device *pci, unsigned offset, uint32_t value, unsigned width);

static void data_write(void *opaque, uint64_t offset, uint64_t value, unsigned width)
{
    struct pci_bus *bus = opaque;
    struct pci_device *pci = selected(bus);

    if (pci)
        config_write(pci, (bus->address & 0xfc) + (unsigned)offset, (uint32_t)value, width);
}

static const struct region_ops address_ops = {.read = address_read, .write = address_write};
static const struct region_ops data_ops = {.read = data_read, .write = data_write};

struct pci_bus *pci_bus_create(struct machine *machine)
{
    struct pci_bus *bus = calloc(1, sizeof(*bus));

    if (!bus)
        return NULL;
    bus->machine = machine;
    bus->address_region = (struct region){"pci address", &address_ops, bus, .size = 4};
    bus->data_region = (struct region){"pci data", &data_ops, bus, .size = 4};
    bus_map(machine->pio, &bus->address_region, 0xcf8);
    bus_map(machine->pio, &bus->data_region, 0xcfc);
    return bus;
}

void pci_bus_destroy(struct pci_bus *bus)
{
    if (!bus)
        return;
    bus_unmap(bus->machine->pio, &bus->address_region);
    bus_unmap(bus->machine->pio, &bus->data_region);
    free(bus);
}

/* --- INTx --- */

void pci_bus_set_router(struct pci_bus *bus, void (*set)(void *opaque, unsigned link, bool level), void *opaque)
{
    bus->route = set;
    bus->route_opaque = opaque;
}

static bool is_plugged(const struct pci_device *pci)
{
    return pci->bus->devices[pci->devfn] == pci;
}

static bool intx_enabled(const struct pci_device *pci)
{
    return is_plugged(pci) && !(load_le16(pci->config + PCI_COMMAND) & PCI_COMMAND_INTX_DISABLE);
}

/* Count the device's contribution to its link in or out. */
static void drive_link(struct pci_device *pci, bool level)
{
    struct pci_bus *bus = pci->bus;
    unsigned pin = pci->config[PCI_INTERRUPT_PIN];
    unsigned link = (pin - 1 + (pci->devfn >> 3) - 1) & (PCI_LINKS - 1);

    if (pin == 0 || pci->intx_driven == level)
        return;
    pci->intx_driven = level;
    bus->link_levels[link] += level ? 1 : -1u;
    if (bus->route && bus->link_levels[link] == (level ? 1u : 0u))
        bus->route(bus->route_opaque, link, level);
}

void pci_set_intx(struct pci_device *pci, bool level)
{
    uint16_t status = load_le16(pci->config + PCI_STATUS);

    pci->intx = level;
    status = (uint16_t)(level ? status | PCI_STATUS_INTERRUPT : status & ~PCI_STATUS_INTERRUPT);
    store_le16(pci->config + PCI_STATUS, status);
    drive_link(pci, level && intx_enabled(pci));
}

/* --- BARs --- */

static bool bar_is_io(const struct pci_bar *bar)
{
    return bar->type == PCI_BAR_IO;
}

static bool bar_is_64(const struct pci_bar *bar)
{
    return bar->type == PCI_BAR_MEM64_PREFETCH;
}

uint64_t pci_bar_address(const struct pci_device *pci, unsigned n)
{
    const struct pci_bar *bar = &pci->bars[n];
    unsigned offset = PCI_BASE_ADDRESS_0 + 4 * n;
    uint16_t command = load_le16(pci->config + PCI_COMMAND);
    uint64_t address;

    if (bar->type == PCI_BAR_NONE ||
        !(command & (bar_is_io(bar) ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY)))
        return UINT64_MAX;
    address = load_le32(pci->config + offset) & ~(bar_is_io(bar) ? 3u : 15u);
    if (bar_is_64(bar))
        address |= (uint64_t)load_le32(pci->config + offset + 4) << 32;
    /* Zero means that nobody has placed it; the very top is what sizing leaves behind. */
    if (address == 0 || address + bar->size - 1 < address ||
        (bar_is_io(bar) && address + bar->size > 0x10000) ||
        (!bar_is_64(bar) && address + bar->size > 0xffffffff))
        return UINT64_MAX;
    return address;
}

static void unmap_bar(struct pci_device *pci, struct pci_bar *bar)
{
    struct machine *machine = pci->base.machine;

    if (!bar->mapped)
        return;
    if (bar->ram)
        memory_unmap_ram(machine->memory, bar->ram);
    if (bar->region)
        bus_unmap(bar_is_io(bar) ? machine->pio : machine->mmio, bar->region);
    bar->mapped = false;
}

static void map_bar(struct pci_device *pci, struct pci_bar *bar, uint64_t address)
{
    struct machine *machine = pci->base.machine;
    int err = 0;

    if (bar->ram)
        err = memory_map_ram(machine->memory, bar->ram, address);
    if (!err && bar->region)
        err = bus_map(bar_is_io(bar) ? machine->pio : machine->mmio, bar->region, address);
    if (err && bar->ram)
        memory_unmap_ram(machine->memory, bar->ram);
    bar->address = address;
    bar->mapped = !err;
    if (err)
        log_debug("%s: a BAR cannot be mapped at %#llx", pci->base.ops->name, (unsigned long long)address);
}

static uint64_t rom_address(const struct pci_device *pci)
{
    uint32_t value = load_le32(pci->config + PCI_ROM_ADDRESS);

    if (!(value & PCI_ROM_ADDRESS_ENABLE) ||
        !(load_le16(pci->config + PCI_COMMAND) & PCI_COMMAND_MEMORY))
        return UINT64_MAX;
    return value & PCI_ROM_ADDRESS_MASK;
}

static void update_rom(struct pci_device *pci)
{
    struct memory *memory = pci->base.machine->memory;
    uint64_t address = pci->rom ? rom_address(pci) : UINT64_MAX;

    if (pci->rom_mapped && address != pci->rom->base) {
        memory_unmap_ram(memory, pci->rom);
        pci->rom_mapped = false;
    }
    if (!pci->rom_mapped && address != UINT64_MAX && address != 0)
        pci->rom_mapped = memory_map_ram(memory, pci->rom, address) == 0;
}

/* Map everything where the configuration says, all old places given up first so that BARs can trade places. */
static void update_bars(struct pci_device *pci)
{
    unsigned i;

    for (i = 0; i < PCI_BARS; i++)
        if (pci->bars[i].mapped && pci_bar_address(pci, i) != pci->bars[i].address)
            unmap_bar(pci, &pci->bars[i]);
    for (i = 0; i < PCI_BARS; i++) {
        uint64_t address = pci_bar_address(pci, i);

        if (!pci->bars[i].mapped && address != UINT64_MAX)
            map_bar(pci, &pci->bars[i], address);
    }
    update_rom(pci);
}

static void init_bar(struct pci_device *pci, unsigned n, enum pci_bar_type type, uint64_t size)
{
    static const uint32_t flags[] = {
        [PCI_BAR_IO] = PCI_BASE_ADDRESS_SPACE_IO,
        [PCI_BAR_MEM_PREFETCH] = PCI_BASE_ADDRESS_MEM_PREFETCH,
        [PCI_BAR_MEM64_PREFETCH] = PCI_BASE_ADDRESS_MEM_PREFETCH | PCI_BASE_ADDRESS_MEM_TYPE_64,
    };
    struct pci_bar *bar = &pci->bars[n];
    uint64_t rounded = type == PCI_BAR_IO ? 16 : 4096;

    while (rounded < size)
        rounded *= 2;
    bar->type = type;
    bar->size = rounded;
    store_le32(pci->config + PCI_BASE_ADDRESS_0 + 4 * n, flags[type]);
    store_le32(pci->writable + PCI_BASE_ADDRESS_0 + 4 * n, (uint32_t)~(rounded - 1));
    if (bar_is_64(bar))
        store_le32(pci->writable + PCI_BASE_ADDRESS_0 + 4 * n + 4, (uint32_t)(~(rounded - 1) >> 32));
}

void pci_add_bar(struct pci_device *pci, unsigned n, enum pci_bar_type type, struct region *region)
{
    init_bar(pci, n, type, region->size);
    pci->bars[n].region = region;
}

void pci_add_ram_bar(struct pci_device *pci, unsigned n, enum pci_bar_type type, struct ram *ram)
{
    init_bar(pci, n, type, ram->size);
    pci->bars[n].ram = ram;
}

/*
 * Firmware runs a ROM only for the ids in its header (PCI firmware specification, 5.1.2), and some ROMs serve more devices
 * than the one there: they are made this device's. Byte 6 is nobody's, and keeps the sum of all bytes.
 */
static void adopt_rom(const struct pci_device *pci, uint8_t *rom, size_t size)
{
    size_t at = load_le16(rom + ROM_PCIR), i;

    if (load_le16(rom) != 0xaa55 || at + 8 > size || memcmp(rom + at, "PCIR", 4) != 0)
        return;
    for (i = 0; i < 4; i++) {
        rom[ROM_SPARE] += rom[at + 4 + i] - pci->config[i];
        rom[at + 4 + i] = pci->config[i];
    }
}

int pci_add_rom(struct pci_device *pci, const char *path)
{
    struct file file;
    uint64_t size = 4096;
    int err = file_open(&file, "option ROM", path);

    if (err)
        return err == -ENOENT ? fail(err, "option ROM '%s' is missing; install the package 'seabios'", path) : err;
    while (size < file.size && size < PCI_ROM_MAX)
        size *= 2;
    pci->rom = calloc(1, sizeof(*pci->rom));
    if (!pci->rom)
        err = -ENOMEM;
    else if (size < file.size)
        err = fail(-EINVAL, "option ROM '%s' has an impossible size", path);
    else
        err = ram_init(pci->rom, "option rom", size, RAM_READ_ONLY);
    if (!err)
        err = file_read(&file, pci->rom->host, file.size, 0);
    if (!err)
        adopt_rom(pci, pci->rom->host, pci->rom->size);
    file_close(&file);
    store_le32(pci->writable + PCI_ROM_ADDRESS, (uint32_t)~(size - 1) | PCI_ROM_ADDRESS_ENABLE);
    return err;
}

/* --- configuration space --- */

uint8_t pci_add_capability(struct pci_device *pci, uint8_t id, uint8_t size)
{
    uint8_t offset = pci->next_cap;

    pci->next_cap = (uint8_t)ALIGN_UP(offset + size, 4);
    pci->config[offset + PCI_CAP_LIST_ID] = id;
    pci->config[offset + PCI_CAP_LIST_NEXT] = pci->config[PCI_CAPABILITY_LIST];
    pci->config[PCI_CAPABILITY_LIST] = offset;
    pci->config[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
    return offset;
}

static void msix_update(struct pci_device *pci);

static bool touches(unsigned offset, unsigned width, unsigned start, unsigned size)
{
    return offset < start + size && start < offset + width;
}

static void config_changed(struct pci_device *pci, unsigned offset, unsigned width)
{
    if (touches(offset, width, PCI_COMMAND, 2) || touches(offset, width, PCI_BASE_ADDRESS_0, 24) ||
        touches(offset, width, PCI_ROM_ADDRESS, 4))
        update_bars(pci);
    if (touches(offset, width, PCI_COMMAND, 2))
        drive_link(pci, pci->intx && intx_enabled(pci));
    if (pci->msix_cap && touches(offset, width, pci->msix_cap, 4))
        msix_update(pci);
}

static void config_write(struct pci_device *pci, unsigned offset, uint32_t value, unsigned width)
{
    bool changed = false;
    unsigned i;

    for (i = 0; i < width; i++) {
        uint8_t byte = (uint8_t)(value >> 8 * i), old = pci->config[offset + i];
        uint8_t writable = pci->writable[offset + i];

        pci->config[offset + i] = (uint8_t)((old & ~writable) | (byte & writable));
        pci->config[offset + i] &= (uint8_t)~(byte & pci->clearable[offset + i]);
        changed |= pci->config[offset + i] != old;
    }
    if (changed)
        config_changed(pci, offset, width);
    if (pci->config_written)
        pci->config_written(pci, offset, width);
}

static void set_ids(struct pci_device *pci, const struct pci_ids *ids)
{
    uint8_t *c = pci->config;

    store_le16(c + PCI_VENDOR_ID, ids->vendor);
    store_le16(c + PCI_DEVICE_ID, ids->device);
    store_le16(c + PCI_SUBSYSTEM_VENDOR_ID, ids->subvendor);
    store_le16(c + PCI_SUBSYSTEM_ID, ids->subdevice);
    store_le32(c + PCI_REVISION_ID, ids->class << 8 | ids->revision);
    c[PCI_INTERRUPT_PIN] = ids->interrupt_pin;
}

int pci_init(struct pci_device *pci, const struct device_ops *ops, struct machine *machine, uint8_t devfn,
             const struct pci_ids *ids)
{
    struct pci_bus *bus = machine->pci;

    if (bus->devices[devfn])
        return fail(-EBUSY, "%s: PCI slot %u function %u is taken by %s", ops->name, devfn >> 3, devfn & 7,
                    bus->devices[devfn]->base.ops->name);
    device_init(&pci->base, ops, machine);
    pci->bus = bus;
    pci->devfn = devfn;
    pci->next_cap = PCI_STD_HEADER_SIZEOF;
    set_ids(pci, ids);
    store_le16(pci->writable + PCI_COMMAND, COMMAND_WRITABLE);
    pci->writable[PCI_CACHE_LINE_SIZE] = 0xff;
    pci->writable[PCI_LATENCY_TIMER] = 0xff;
    pci->writable[PCI_INTERRUPT_LINE] = 0xff;
    store_le16(pci->clearable + PCI_STATUS, 0xf900);
    bus->devices[devfn] = pci;
    if (devfn & 7 && bus->devices[devfn & ~7])
        bus->devices[devfn & ~7]->config[PCI_HEADER_TYPE] |= PCI_HEADER_MULTIFUNCTION;
    return 0;
}

uint64_t pci_bus_memory(const struct pci_bus *bus)
{
    uint64_t sum = 0;

    for (unsigned devfn = 0; devfn < ARRAY_SIZE(bus->devices); devfn++) {
        const struct pci_device *pci = bus->devices[devfn];

        for (unsigned n = 0; pci && n < PCI_BARS; n++)
            if (pci->bars[n].type != PCI_BAR_NONE && !bar_is_io(&pci->bars[n]))
                sum += pci->bars[n].size;
        if (pci && pci->rom)
            sum += pci->rom->size;
    }
    return sum;
}

static void pci_reset(struct pci_device *pci)
{
    unsigned i;

    pci_set_intx(pci, false);
    store_le16(pci->config + PCI_COMMAND, 0);
    pci->config[PCI_INTERRUPT_LINE] = 0;
    for (i = 0; i < 24; i++)
        pci->config[PCI_BASE_ADDRESS_0 + i] &= (uint8_t)~pci->writable[PCI_BASE_ADDRESS_0 + i];
    store_le32(pci->config + PCI_ROM_ADDRESS, 0);
    update_bars(pci);
    if (pci->msi_cap)
        pci->config[pci->msi_cap + PCI_MSI_FLAGS] &= (uint8_t)~PCI_MSI_FLAGS_ENABLE;
    if (pci->msix_cap) {
        store_le16(pci->config + pci->msix_cap + PCI_MSIX_FLAGS, (uint16_t)(pci->msix_count - 1));
        for (i = 0; i < pci->msix_count; i++) {
            pci->msix[i].addr = pci->msix[i].data = 0;
            pci->msix[i].control = PCI_MSIX_ENTRY_CTRL_MASKBIT;
            pci->msix[i].pending = false;
        }
        msix_update(pci);
    }
}

void pci_bus_reset(struct pci_bus *bus)
{
    unsigned i;

    bus->address = 0;
    for (i = 0; i < ARRAY_SIZE(bus->devices); i++)
        if (bus->devices[i])
            pci_reset(bus->devices[i]);
}

void pci_unplug(struct pci_device *pci)
{
    if (!is_plugged(pci))
        return;
    pci_reset(pci);
    pci->bus->devices[pci->devfn] = NULL;
    /* As if the guest had switched it off: the model takes back what it has given others, such as notifiers. */
    if (pci->config_written)
        pci->config_written(pci, PCI_COMMAND, 2);
}

struct pci_device *pci_bus_device(const struct pci_bus *bus, uint8_t devfn)
{
    return bus->devices[devfn];
}

void pci_fini(struct pci_device *pci)
{
    unsigned i;

    if (is_plugged(pci)) {
        pci_reset(pci);
        pci->bus->devices[pci->devfn] = NULL;
    }
    for (i = 0; i < pci->msix_count; i++)
        notifier_fini(&pci->msix[i].notifier);
    free(pci->msix);
    if (pci->rom) {
        ram_fini(pci->rom);
        free(pci->rom);
    }
}

/* --- MSI --- */

void pci_add_msi(struct pci_device *pci)
{
    pci->msi_cap = pci_add_capability(pci, PCI_CAP_ID_MSI, 14);
    store_le16(pci->config + pci->msi_cap + PCI_MSI_FLAGS, PCI_MSI_FLAGS_64BIT);
    pci->writable[pci->msi_cap + PCI_MSI_FLAGS] = PCI_MSI_FLAGS_ENABLE;
    store_le32(pci->writable + pci->msi_cap + PCI_MSI_ADDRESS_LO, 0xfffffffc);
    store_le32(pci->writable + pci->msi_cap + PCI_MSI_ADDRESS_HI, 0xffffffff);
    store_le16(pci->writable + pci->msi_cap + PCI_MSI_DATA_64, 0xffff);
}

static bool bus_master(const struct pci_device *pci)
{
    return load_le16(pci->config + PCI_COMMAND) & PCI_COMMAND_MASTER;
}

bool pci_msi_enabled(const struct pci_device *pci)
{
    return pci->msi_cap && (pci->config[pci->msi_cap + PCI_MSI_FLAGS] & PCI_MSI_FLAGS_ENABLE);
}

void pci_msi_notify(struct pci_device *pci)
{
    struct machine *machine = pci->base.machine;
    const uint8_t *cap = pci->config + pci->msi_cap;

    machine_lock(machine);
    if (pci_msi_enabled(pci) && bus_master(pci))
        machine->msi_send(machine, load_le64(cap + PCI_MSI_ADDRESS_LO), load_le16(cap + PCI_MSI_DATA_64));
    machine_unlock(machine);
}

/* --- MSI-X --- */

#define MSIX_PBA_OFFSET 4096

bool pci_msix_enabled(const struct pci_device *pci)
{
    return pci->msix_cap &&
           (load_le16(pci->config + pci->msix_cap + PCI_MSIX_FLAGS) & PCI_MSIX_FLAGS_ENABLE);
}

static bool vector_masked(const struct pci_device *pci, const struct pci_msix_vector *v)
{
    uint16_t flags = load_le16(pci->config + pci->msix_cap + PCI_MSIX_FLAGS);

    return !(flags & PCI_MSIX_FLAGS_ENABLE) || (flags & PCI_MSIX_FLAGS_MASKALL) ||
           (v->control & PCI_MSIX_ENTRY_CTRL_MASKBIT);
}

static void vector_disconnect(struct machine *machine, struct pci_msix_vector *v)
{
    int route = v->route;

    if (route < 0)
        return;
    __atomic_store_n(&v->route, -1, __ATOMIC_RELEASE);
    machine->msi_eventfd_remove(machine, v->notifier.fd, route);
    /* What was signalled too late for KVM is not lost. */
    if (notifier_clear(&v->notifier))
        v->pending = true;
}

/* Bring one vector's irqfd in line with its table entry, and fire what waited for the unmasking. */
static void vector_update(struct pci_device *pci, struct pci_msix_vector *v)
{
    struct machine *machine = pci->base.machine;
    int route;

    vector_disconnect(machine, v);
    if (vector_masked(pci, v))
        return;
    if (machine->msi_eventfd &&
        machine->msi_eventfd(machine, v->addr, v->data, v->notifier.fd, &route) == 0)
        __atomic_store_n(&v->route, route, __ATOMIC_RELEASE);
    if (v->pending) {
        v->pending = false;
        machine->msi_send(machine, v->addr, v->data);
    }
}

static void msix_update(struct pci_device *pci)
{
    unsigned i;

    for (i = 0; i < pci->msix_count; i++)
        vector_update(pci, &pci->msix[i]);
}

static uint64_t pba_read(const struct pci_device *pci, uint64_t offset, unsigned width)
{
    uint64_t bits = 0;
    unsigned i;

    for (i = 0; i < pci->msix_count; i++)
        bits |= (uint64_t)pci->msix[i].pending << i;
    return offset < 8 ? bits >> 8 * offset & (width == 8 ? ~0ULL : 0xffffffff) : 0;
}

static uint64_t msix_read(void *opaque, uint64_t offset, unsigned width)
{
    const struct pci_device *pci = opaque;
    const struct pci_msix_vector *v = &pci->msix[offset / PCI_MSIX_ENTRY_SIZE];
    uint64_t words[2];

    if (offset >= MSIX_PBA_OFFSET)
        return pba_read(pci, offset - MSIX_PBA_OFFSET, width);
    if (offset / PCI_MSIX_ENTRY_SIZE >= pci->msix_count)
        return 0;
    words[0] = v->addr;
    words[1] = v->data | (uint64_t)v->control << 32;
    return words[offset / 8 % 2] >> 8 * (offset % 8);
}

static void msix_write(void *opaque, uint64_t offset, uint64_t value, unsigned width)
{
    struct pci_device *pci = opaque;
    struct pci_msix_vector *v = &pci->msix[offset / PCI_MSIX_ENTRY_SIZE];
    uint8_t entry[PCI_MSIX_ENTRY_SIZE];

    if (offset / PCI_MSIX_ENTRY_SIZE >= pci->msix_count)
        return;
    store_le64(entry, v->addr);
    store_le32(entry + PCI_MSIX_ENTRY_DATA, v->data);
    store_le32(entry + PCI_MSIX_ENTRY_VECTOR_CTRL, v->control);
    memcpy(entry + offset % PCI_MSIX_ENTRY_SIZE, &value, width);
    v->addr = load_le64(entry);
    v->data = load_le32(entry + PCI_MSIX_ENTRY_DATA);
    v->control = load_le32(entry + PCI_MSIX_ENTRY_VECTOR_CTRL);
    vector_update(pci, v);
}

static const struct region_ops msix_ops = {
    .read = msix_read, .write = msix_write, .min_width = 4, .max_width = 8};

int pci_add_msix(struct pci_device *pci, unsigned bar, unsigned count)
{
    uint8_t *cap;
    unsigned i;

    if (count == 0 || count > PCI_MSIX_MAX)
        return -EINVAL;
    pci->msix = calloc(count, sizeof(*pci->msix));
    if (!pci->msix)
        return -ENOMEM;
    pci->msix_count = (uint16_t)count;
    for (i = 0; i < count; i++) {
        int err = notifier_init(&pci->msix[i].notifier);

        if (err)
            return err;
        pci->msix[i].route = -1;
        pci->msix[i].control = PCI_MSIX_ENTRY_CTRL_MASKBIT;
    }
    pci->msix_cap = pci_add_capability(pci, PCI_CAP_ID_MSIX, PCI_CAP_MSIX_SIZEOF);
    cap = pci->config + pci->msix_cap;
    store_le16(cap + PCI_MSIX_FLAGS, (uint16_t)(count - 1));
    store_le32(cap + PCI_MSIX_TABLE, bar);
    store_le32(cap + PCI_MSIX_PBA, MSIX_PBA_OFFSET | bar);
    pci->writable[pci->msix_cap + PCI_MSIX_FLAGS + 1] =
        (PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL) >> 8;
    pci->msix_region = (struct region){"msi-x", &msix_ops, pci, .size = 2 * MSIX_PBA_OFFSET};
    pci_add_bar(pci, bar, PCI_BAR_MEM, &pci->msix_region);
    return 0;
}

bool pci_msix_try_notify(struct pci_device *pci, unsigned vector)
{
    struct pci_msix_vector *v;

    if (vector >= pci->msix_count)
        return true; /* nobody listens */
    v = &pci->msix[vector];
    if (__atomic_load_n(&v->route, __ATOMIC_ACQUIRE) < 0)
        return false;
    /* If the irqfd goes right now, the count stays in the eventfd, for the next one to find. */
    notifier_signal(&v->notifier);
    return true;
}

void pci_msix_notify(struct pci_device *pci, unsigned vector)
{
    struct machine *machine = pci->base.machine;
    struct pci_msix_vector *v;

    if (pci_msix_try_notify(pci, vector))
        return;
    v = &pci->msix[vector];
    machine_lock(machine);
    if (!pci_msix_enabled(pci))
        ; /* nobody listens */
    else if (vector_masked(pci, v))
        v->pending = true;
    else
        machine->msi_send(machine, v->addr, v->data);
    machine_unlock(machine);
}

/* --- saved state --- */

void pci_save(struct pci_device *pci, struct writer *w)
{
    unsigned i;

    writer_bytes(w, pci->config, sizeof(pci->config));
    writer_u8(w, pci->intx);
    writer_u16(w, pci->msix_count);
    for (i = 0; i < pci->msix_count; i++) {
        writer_u64(w, pci->msix[i].addr);
        writer_u32(w, pci->msix[i].data);
        writer_u32(w, pci->msix[i].control);
        writer_u8(w, pci->msix[i].pending || notifier_clear(&pci->msix[i].notifier));
    }
}

int pci_load(struct pci_device *pci, struct reader *r)
{
    const uint8_t *config = reader_bytes(r, sizeof(pci->config));
    bool intx = reader_u8(r);
    unsigned i, count = reader_u16(r);

    if (r->bad || count != pci->msix_count || memcmp(config, pci->config, 4) != 0)
        return fail(-EINVAL, "%s: the saved state is of another device", pci->base.ops->name);
    for (i = 0; i < sizeof(pci->config); i++)
        if (pci->writable[i] | pci->clearable[i])
            pci->config[i] = config[i];
    for (i = 0; i < count; i++) {
        pci->msix[i].addr = reader_u64(r);
        pci->msix[i].data = reader_u32(r);
        pci->msix[i].control = reader_u32(r);
        pci->msix[i].pending = reader_u8(r);
    }
    if (r->bad)
        return -EINVAL;
    update_bars(pci);
    pci_set_intx(pci, intx);
    msix_update(pci);
    return 0;
}
