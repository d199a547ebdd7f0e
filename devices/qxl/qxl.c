/* qxl.c - the QXL device as a PCI function, its threads, and what its display's watchers may ask of it. */
#include "base/error.h"
#include "base/log.h"
#include "devices/qxl/qxl_device.h"

#include <errno.h>
#include <stdlib.h>

static struct qxl *from_device(struct device *device)
{
    return container_of(device, struct qxl, pci.base);
}

/* --- the display's side --- */

static void watched(void *device, bool on)
{
    head_watched(&((struct qxl *)device)->head, on);
}

static void update(void *device)
{
    struct qxl *q = device;

    if (q->mode == QXL_MODE_VGA)
        head_update(&q->head);
    else
        qxl_drain_all(q);
}

static void draw(void *device)
{
    qxl_pending_draw(device);
}

static bool client_heads(void *device, const struct display_head *heads, size_t count)
{
    return qxl_rom_set_heads(device, heads, count);
}

static void client_capabilities(void *device, bool present, const uint8_t caps[58])
{
    qxl_rom_set_capabilities(device, present, caps);
}

static const struct display_device_ops display_ops = {
    .watched = watched,
    .update = update,
    .draw = draw,
    .client_heads = client_heads,
    .client_capabilities = client_capabilities,
};

/* --- threads --- */

static void vga_written(void *opaque)
{
    struct qxl *q = opaque;

    if (q->revision > QXL_REVISION_STABLE_V12 ||
        __atomic_load_n(&q->mode, __ATOMIC_ACQUIRE) == QXL_MODE_VGA)
        return;
    if (!__atomic_exchange_n(&q->vga_touched, true, __ATOMIC_ACQ_REL))
        notifier_signal(&q->notify);
}

/*
 * The two ports that only say "look at the rings" signal the display thread without an exit to us. They follow the BAR.
 * The device lock is held.
 */
static void place_notifiers(struct qxl *q)
{
    struct bus *bus = q->pci.base.machine->pio;
    uint64_t base = pci_bar_address(&q->pci, QXL_IO_RANGE_INDEX);
    static const uint8_t ports[] = {QXL_IO_NOTIFY_CMD, QXL_IO_NOTIFY_CURSOR};

    if (base == q->notify_base)
        return;
    for (unsigned i = 0; i < ARRAY_SIZE(ports); i++) {
        if (q->notify_base != UINT64_MAX)
            bus_remove_notifier(bus, q->notify_base + ports[i], 1, false, 0, &q->notify);
        /* Without it the write reaches the IO region, which does the same. */
        if (base != UINT64_MAX &&
            bus_add_notifier(bus, base + ports[i], 1, false, 0, &q->notify) != 0)
            log_once(LOG_DEBUG, "qxl: no ioeventfd for notifications");
    }
    q->notify_base = base;
}

static void config_written(struct pci_device *pci, unsigned offset UNUSED, unsigned size UNUSED)
{
    place_notifiers(container_of(pci, struct qxl, pci));
}

static void irq_kicked(void *opaque)
{
    struct qxl *q = opaque;

    machine_lock(q->pci.base.machine);
    qxl_update_irq(q);
    machine_unlock(q->pci.base.machine);
}

static void run_reset(void *arg)
{
    qxl_hard_reset(arg);
}

static void reset(struct device *device)
{
    struct qxl *q = from_device(device);

    place_notifiers(q);
    vga_reset(&q->head.vga);
    loop_call_wait(&q->head.loop, run_reset, q);
}

/* --- life --- */

static void free_memory(struct qxl *q)
{
    trace_writer_close(&q->trace);
    qxl_pending_fini(q);
    ram_fini(&q->rom_ram);
    ram_fini(&q->vram);
    ram_fini(&q->ram);
    free(q);
}

static void detach_notify(void *arg)
{
    struct qxl *q = arg;

    notifier_detach(&q->notify);
}

static void destroy(struct device *device)
{
    struct qxl *q = from_device(device);

    loop_call_wait(&q->head.loop, detach_notify, q);
    head_stop(&q->head);
    notifier_detach(&q->irq);
    pci_fini(&q->pci);
    place_notifiers(q); /* the BAR is nowhere now */
    trace_writer_close(&q->trace); /* the guest did not ask for the end that comes now */
    qxl_surfaces_reset(q);
    canvas_destroy(q->shadow);
    pixman_region32_fini(&q->damage);
    head_fini(&q->head);
    notifier_fini(&q->notify);
    notifier_fini(&q->irq);
    free_memory(q);
}

static const struct device_ops qxl_ops = {
    .name = "qxl",
    .version = 2, /* 1 did not know how many monitors there could be */
    .reset = reset,
    .save = qxl_save,
    .load = qxl_load,
    .destroy = destroy,
};

static uint64_t size_or(uint64_t wanted, uint64_t fallback, uint64_t low, uint64_t high)
{
    uint64_t size = low;

    wanted = wanted ? wanted : fallback;
    while (size < wanted && size < high)
        size *= 2;
    return size;
}

static int alloc_memory(struct qxl *q, const struct qxl_config *config)
{
    uint64_t vram = size_or(config->vram, QXL_DEFAULT_MEMORY, 4096, QXL_MAX_MEMORY);
    int err;

    q->vgamem = size_or(config->vgamem, QXL_DEFAULT_VGAMEM, QXL_MIN_VGAMEM, QXL_MAX_VGAMEM);
    err = ram_init(&q->ram, "qxl ram",
                   size_or(config->ram, QXL_DEFAULT_MEMORY, 2 * q->vgamem, QXL_MAX_MEMORY), RAM_LOG_DIRTY);
    if (!err)
        err = ram_init(&q->vram, "qxl vram", size_or(config->vram64, vram, vram, QXL_MAX_MEMORY), 0);
    q->vram32 = (struct ram){.name = "qxl vram32", .host = q->vram.host, .size = vram};
    if (!err)
        err = ram_init(&q->rom_ram, "qxl rom", QXL_ROM_SIZE, RAM_READ_ONLY);
    if (err)
        return err;
    q->rom = (QXLRom *)q->rom_ram.host;
    q->header = q->ram.host + q->ram.size - ALIGN_UP(sizeof(QXLRam), 4096);
    qxl_rings_attach(q);
    return 0;
}

static int add_bars(struct qxl *q, const struct qxl_config *config)
{
    unsigned ports = q->revision < QXL_REVISION_STABLE_V10 ? QXL_IO_PORTS_V06 : QXL_IO_PORTS;

    q->io = (struct region){"qxl", &qxl_io_ops, q, ports, REGION_UNLOCKED};
    pci_add_ram_bar(&q->pci, QXL_RAM_RANGE_INDEX, PCI_BAR_MEM, &q->ram);
    pci_add_ram_bar(&q->pci, QXL_VRAM_RANGE_INDEX, PCI_BAR_MEM, &q->vram32);
    pci_add_ram_bar(&q->pci, QXL_ROM_RANGE_INDEX, PCI_BAR_MEM, &q->rom_ram);
    pci_add_bar(&q->pci, QXL_IO_RANGE_INDEX, PCI_BAR_IO, &q->io);
    if (q->vram32.size < q->vram.size)
        pci_add_ram_bar(&q->pci, QXL_VRAM64_BAR, PCI_BAR_MEM64_PREFETCH, &q->vram);
    if (q->secondary)
        return 0;
    q->head.vga.port_written = vga_written;
    q->head.vga.opaque = q;
    return pci_add_rom(&q->pci, config->rom ? config->rom : QXL_ROM_FILE);
}

static int start(struct qxl *q)
{
    int err = notifier_init(&q->notify);

    if (!err)
        err = notifier_init(&q->irq);
    if (!err)
        err = notifier_attach(&q->notify, &q->head.loop, qxl_notified, q);
    if (!err)
        err = notifier_attach(&q->irq, q->pci.base.machine->loop, irq_kicked, q);
    q->pci.config_written = config_written;
    if (!err && !q->secondary)
        err = vga_map(&q->head.vga);
    return err ? err : head_start(&q->head);
}

int qxl_create(struct machine *machine, uint8_t devfn, const struct qxl_config *config,
               struct display **display)
{
    struct pci_ids ids = {REDHAT_PCI_VENDOR_ID, QXL_DEVICE_ID_STABLE, 0x1af4, 0x1100,
                          .interrupt_pin = devfn % 4 + 1}; /* functions of one slot have one each */
    struct qxl *q = calloc(1, sizeof(*q));
    int err;

    if (!q)
        return -ENOMEM;
    q->revision = config->revision ? config->revision : QXL_REVISION_DEFAULT;
    q->max_heads = CLAMP(config->heads, 1, QXL_MAX_HEADS);
    q->secondary = config->id != 0;
    q->mode = q->secondary ? QXL_MODE_UNDEFINED : QXL_MODE_VGA;
    q->notify.fd = q->irq.fd = q->trace.fd = -1;
    q->notify_base = UINT64_MAX;
    pixman_region32_init(&q->damage);
    ids.class = q->secondary ? 0x038000 : 0x030000;
    ids.revision = q->revision;
    if (q->revision < 2 || q->revision > 5) {
        free(q);
        return fail(-EINVAL, "QXL revision %u does not exist; choose 2, 3, 4 or 5",
                    config->revision);
    }
    err = alloc_memory(q, config);
    if (!err && config->record)
        err = trace_writer_open(&q->trace, config->record);
    if (!err)
        err = head_init(&q->head, machine, &q->ram, q->vgamem, config->id, &display_ops, q);
    if (err)
        goto fail_memory;
    q->head.hidden = q->secondary;
    q->head.display.outputs = q->max_heads;
    head_set_address(&q->head, devfn);
    qxl_rom_init(q);
    uv_timer_init(&q->head.loop.uv, &q->push_timer);
    uv_timer_init(&q->head.loop.uv, &q->poll_timer);
    q->poll_timer.data = q;
    err = qxl_pending_init(q);
    if (!err)
        err = pci_init(&q->pci, &qxl_ops, machine, devfn, &ids);
    if (err)
        goto fail_pci;
    *display = &q->head.display;
    /* From here on the device is in the machine's list, which takes care of it. */
    err = add_bars(q, config);
    return err ? err : start(q);

fail_pci:
    head_fini(&q->head);
fail_memory:
    free_memory(q);
    return err;
}
