#include "tests/lib/fake_machine.h"

#include "base/error.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <string.h>
#include <sys/eventfd.h>

#define PORT_WINDOW 0xc000
#define PORT_STRIDE 0x100
#define MMIO_WINDOW 0xe0000000u
#define LARGE_WINDOW 0x40000000u /* for BARs of 256 MiB and more */
#define MMIO_STRIDE 0x100000u

TAILQ_HEAD(fake_devices, device); /* a name for what struct machine has, to walk it backwards */

static struct fake_machine *fake(struct machine *machine)
{
    return container_of(machine, struct fake_machine, base);
}

/* --- what the machine offers to its devices --- */

static void gsi_set(void *opaque, unsigned line, bool level)
{
    struct fake_machine *m = opaque;

    pthread_mutex_lock(&m->record_lock);
    m->gsi_edges[line] += level && !m->gsi_level[line];
    m->gsi_level[line] = level;
    pthread_mutex_unlock(&m->record_lock);
}

static struct irq gsi(struct machine *machine, unsigned n)
{
    assert(n < FAKE_GSIS);
    return (struct irq){gsi_set, fake(machine), n};
}

static void link_set(void *opaque, unsigned link, bool level)
{
    struct fake_machine *m = opaque;

    pthread_mutex_lock(&m->record_lock);
    m->link_edges[link] += level && !m->link_level[link];
    m->link_level[link] = level;
    pthread_mutex_unlock(&m->record_lock);
}

static void request(struct machine *machine, enum machine_request what)
{
    struct fake_machine *m = fake(machine);

    pthread_mutex_lock(&m->record_lock);
    m->requests[what]++;
    pthread_mutex_unlock(&m->record_lock);
}

/* The record's lock is held. */
static void record_msi(struct fake_machine *m, struct fake_msi msi)
{
    if (m->msi_count < FAKE_MSIS)
        m->msis[m->msi_count++] = msi;
}

static void msi_send(struct machine *machine, uint64_t addr, uint32_t data)
{
    struct fake_machine *m = fake(machine);

    pthread_mutex_lock(&m->record_lock);
    record_msi(m, (struct fake_msi){addr, data});
    pthread_mutex_unlock(&m->record_lock);
}

static int msi_eventfd(struct machine *machine, uint64_t addr, uint32_t data, int fd, int *route)
{
    struct fake_machine *m = fake(machine);
    int i;

    pthread_mutex_lock(&m->record_lock);
    for (i = 0; i < FAKE_ROUTES && m->routes[i].fd >= 0; i++)
        ;
    if (i < FAKE_ROUTES)
        m->routes[i] = (struct fake_route){.msi = {addr, data}, .fd = fd};
    pthread_mutex_unlock(&m->record_lock);
    *route = i;
    return i < FAKE_ROUTES ? 0 : -ENOSPC;
}

/* What KVM would have delivered by now. The record's lock is held. */
static void poll_routes(struct fake_machine *m)
{
    eventfd_t count;
    int i;

    for (i = 0; i < FAKE_ROUTES; i++)
        if (m->routes[i].fd >= 0 && eventfd_read(m->routes[i].fd, &count) == 0)
            record_msi(m, m->routes[i].msi);
}

static void msi_eventfd_remove(struct machine *machine, int fd UNUSED, int route)
{
    struct fake_machine *m = fake(machine);

    pthread_mutex_lock(&m->record_lock);
    poll_routes(m);
    m->routes[route].fd = -1;
    pthread_mutex_unlock(&m->record_lock);
}

bool fake_machine_take_msi(struct fake_machine *m, struct fake_msi *msi)
{
    bool any;

    pthread_mutex_lock(&m->record_lock);
    poll_routes(m);
    any = m->msi_count > 0;
    if (any) {
        *msi = m->msis[0];
        m->msi_count--;
        memmove(&m->msis[0], &m->msis[1], m->msi_count * sizeof(m->msis[0]));
    }
    pthread_mutex_unlock(&m->record_lock);
    return any;
}

/* --- life --- */

static void init_lock(pthread_mutex_t *lock)
{
    pthread_mutexattr_t attributes;

    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(lock, &attributes);
    pthread_mutexattr_destroy(&attributes);
}

int fake_machine_init(struct fake_machine *m, size_t ram_size, bool irqfd)
{
    struct machine *machine = &m->base;
    int i, err;

    *m = (struct fake_machine){0};
    TAILQ_INIT(&machine->devices);
    init_lock(&machine->lock);
    pthread_mutex_init(&m->record_lock, NULL);
    for (i = 0; i < FAKE_ROUTES; i++)
        m->routes[i].fd = -1;
    err = loop_init(&m->loop);
    if (err)
        return err;
    machine->loop = &m->loop;
    machine->memory = memory_create(NULL, NULL);
    machine->pio = bus_create("ports", 0x10000, &machine->lock, NULL, NULL);
    machine->mmio = bus_create("memory", UINT64_MAX, &machine->lock, NULL, NULL);
    machine->gsi = gsi;
    machine->request = request;
    machine->msi_send = msi_send;
    machine->msi_eventfd = irqfd ? msi_eventfd : NULL;
    machine->msi_eventfd_remove = msi_eventfd_remove;
    if (!machine->memory || !machine->pio || !machine->mmio)
        return -ENOMEM;
    machine->pci = pci_bus_create(machine);
    if (!machine->pci)
        return -ENOMEM;
    pci_bus_set_router(machine->pci, link_set, m);
    err = ram_init(&m->ram, "fake ram", ram_size, 0);
    return err ? err : memory_map_ram(machine->memory, &m->ram, 0);
}

void fake_machine_fini(struct fake_machine *m)
{
    struct machine *machine = &m->base;
    struct device *device;

    machine_lock(machine);
    while ((device = TAILQ_LAST(&machine->devices, fake_devices)))
        device_destroy(device);
    machine_unlock(machine);
    loop_fini(&m->loop);
    pci_bus_destroy(machine->pci);
    bus_destroy(machine->pio);
    bus_destroy(machine->mmio);
    memory_unmap_ram(machine->memory, &m->ram);
    memory_destroy(machine->memory);
    ram_fini(&m->ram);
    pthread_mutex_destroy(&m->record_lock);
    pthread_mutex_destroy(&machine->lock);
}

void fake_machine_reset(struct fake_machine *m)
{
    struct device *device;

    machine_lock(&m->base);
    pci_bus_reset(m->base.pci);
    TAILQ_FOREACH (device, &m->base.devices, link)
        if (device->ops->reset)
            device->ops->reset(device);
    machine_unlock(&m->base);
}

/* --- time --- */

static void tick(uv_timer_t *timer UNUSED)
{
}

static bool never(void *arg UNUSED)
{
    return false;
}

bool fake_machine_wait(struct fake_machine *m, bool (*condition)(void *arg), void *arg, unsigned ms)
{
    uint64_t end = uv_hrtime() + (uint64_t)ms * 1000000;
    uv_timer_t timer;
    bool met;

    /* Other threads' effects on memory wake nobody: look every millisecond. */
    uv_timer_init(&m->loop.uv, &timer);
    uv_timer_start(&timer, tick, 1, 1);
    do
        uv_run(&m->loop.uv, ms ? UV_RUN_ONCE : UV_RUN_NOWAIT);
    while (!(met = condition(arg)) && uv_hrtime() < end);
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&m->loop.uv, UV_RUN_NOWAIT);
    return met;
}

void fake_machine_run(struct fake_machine *m, unsigned ms)
{
    fake_machine_wait(m, never, NULL, ms);
}

/* --- a CPU's accesses --- */

uint32_t fake_in(struct fake_machine *m, uint16_t port, unsigned width)
{
    uint32_t value = 0;

    bus_read(m->base.pio, port, &value, width);
    return value;
}

void fake_out(struct fake_machine *m, uint16_t port, uint32_t value, unsigned width)
{
    bus_write(m->base.pio, port, &value, width);
}

uint64_t fake_mmio_read(struct fake_machine *m, uint64_t addr, unsigned width)
{
    uint64_t value = 0;

    bus_read(m->base.mmio, addr, &value, width);
    return value;
}

void fake_mmio_write(struct fake_machine *m, uint64_t addr, uint64_t value, unsigned width)
{
    bus_write(m->base.mmio, addr, &value, width);
}

static void select_config(struct fake_machine *m, uint8_t devfn, unsigned offset)
{
    fake_out(m, 0xcf8, 0x80000000u | (uint32_t)devfn << 8 | (offset & 0xfc), 4);
}

uint32_t fake_pci_read(struct fake_machine *m, uint8_t devfn, unsigned offset, unsigned width)
{
    select_config(m, devfn, offset);
    return fake_in(m, (uint16_t)(0xcfc + (offset & 3)), width);
}

void fake_pci_write(struct fake_machine *m, uint8_t devfn, unsigned offset, uint32_t value,
                    unsigned width)
{
    select_config(m, devfn, offset);
    fake_out(m, (uint16_t)(0xcfc + (offset & 3)), value, width);
}

void fake_pci_setup(struct fake_machine *m, uint8_t devfn)
{
    uint32_t port = PORT_WINDOW + (devfn >> 3) * PORT_STRIDE;
    uint32_t mmio = MMIO_WINDOW + (devfn >> 3) * MMIO_STRIDE, large = LARGE_WINDOW;
    unsigned n;

    for (n = 0; n < PCI_BARS; n++) {
        unsigned offset = PCI_BASE_ADDRESS_0 + 4 * n;
        uint32_t mask, size, *next;

        fake_pci_write(m, devfn, offset, 0xffffffff, 4);
        mask = fake_pci_read(m, devfn, offset, 4);
        if (!mask)
            continue;
        next = mask & PCI_BASE_ADDRESS_SPACE_IO ? &port : &mmio;
        size = ~(mask & (mask & PCI_BASE_ADDRESS_SPACE_IO ? ~3u : ~15u)) + 1;
        if (size >= MIB(256))
            next = &large;
        *next = ALIGN_UP(*next, size);
        fake_pci_write(m, devfn, offset, *next, 4);
        *next += size;
        if ((mask & PCI_BASE_ADDRESS_MEM_TYPE_MASK) == PCI_BASE_ADDRESS_MEM_TYPE_64 &&
            !(mask & PCI_BASE_ADDRESS_SPACE_IO))
            fake_pci_write(m, devfn, PCI_BASE_ADDRESS_0 + 4 * ++n, 0, 4);
    }
    fake_pci_write(m, devfn, PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER,
                   2);
}

uint64_t fake_pci_bar(struct fake_machine *m, uint8_t devfn, unsigned n)
{
    uint32_t low = fake_pci_read(m, devfn, PCI_BASE_ADDRESS_0 + 4 * n, 4);

    if (low & PCI_BASE_ADDRESS_SPACE_IO)
        return low & ~3u;
    if ((low & PCI_BASE_ADDRESS_MEM_TYPE_MASK) == PCI_BASE_ADDRESS_MEM_TYPE_64)
        return (uint64_t)fake_pci_read(m, devfn, PCI_BASE_ADDRESS_0 + 4 * n + 4, 4) << 32 |
               (low & ~15u);
    return low & ~15u;
}

unsigned fake_pci_capability(struct fake_machine *m, uint8_t devfn, uint8_t id, unsigned after)
{
    unsigned at =
        fake_pci_read(m, devfn, after ? after + PCI_CAP_LIST_NEXT : PCI_CAPABILITY_LIST, 1);

    while (at && fake_pci_read(m, devfn, at, 1) != id)
        at = fake_pci_read(m, devfn, at + PCI_CAP_LIST_NEXT, 1);
    return at;
}
