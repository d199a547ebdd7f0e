/*
 * Register accesses of any width to every part of the PC platform, mixed with input, serial data, jumps of the clock, DMA
 * commands, resets, and saves that must load again. Each step takes six bytes.
 */
#include "devices/platform/debugport.h"
#include "devices/platform/fw_cfg.h"
#include "devices/platform/hpet.h"
#include "devices/platform/i440fx.h"
#include "devices/platform/i6300esb.h"
#include "devices/platform/i8042.h"
#include "devices/platform/pci_hotplug.h"
#include "devices/platform/pflash.h"
#include "devices/platform/piix3.h"
#include "devices/platform/piix4_pm.h"
#include "devices/platform/pvpanic.h"
#include "devices/platform/rtc.h"
#include "devices/platform/uart16550.h"
#include "tests/lib/fake_machine.h"

#include <stdlib.h>
#include <string.h>

#define STEP      6
#define MAX_STEPS 400

#define WATCHDOG     PCI_DEVFN(31, 0)
#define WATCHDOG_BAR 0xe1f00000u /* where fake_pci_setup() puts it */
#define FLASH        0xffc00000u
#define FLASH_SIZE   (4 * PFLASH_BLOCK)

static const uint16_t ports[] = {
    0x60,  0x64,  0x70,  0x71,  0x80,  0x8f,  0x92,  0xb2,  0xb3,  0x2f8, 0x3f8,
    0x3f9, 0x3fa, 0x3fb, 0x3fc, 0x3fd, 0x3fe, 0x402, 0x510, 0x511, 0x514, 0x518,
    0x505, 0x600, 0x602, 0x604, 0x608, 0x700, 0x702, 0xcf8, 0xcf9, 0xcfc, 0xcfe, 0xafe0,
    0xae00, 0xae04, 0xae08, 0xae0c, 0xae10,
};

static const uint8_t functions[] = {PCI_DEVFN(0, 0), PCI_DEVFN(1, 0), PCI_DEVFN(1, 3), WATCHDOG};

static size_t back_write(struct chardev *c UNUSED, const uint8_t *data UNUSED, size_t size)
{
    return size - size / 3; /* short now and then */
}

static void back_accept(struct chardev *c UNUSED)
{
}

static const struct chardev_ops back_ops = {.write = back_write, .accept_input = back_accept};

struct fixture {
    struct fake_machine machine;
    struct ram shadow, bios, flash;
    struct input input;
    struct chardev back;
    struct pci_device *pm;
    struct device *hotplug;
};

static void build(void *opaque UNUSED, uint8_t *data, size_t size)
{
    memset(data, 0x55, size);
}

static void expired(void *opaque UNUSED)
{
}

static void ejected(void *opaque UNUSED, unsigned slot)
{
    if (slot < PCI_HOTPLUG_FIRST_SLOT || slot >= PCI_HOTPLUG_FIRST_SLOT + PCI_HOTPLUG_SLOTS)
        abort();
}

static void create(struct fixture *f)
{
    static const struct i6300esb_config watchdog = {expired, NULL};
    struct rtc_config rtc = {.ram_low = MIB(64), .cpus = 1};
    struct machine *machine = &f->machine.base;
    struct fw_cfg *fw_cfg;

    if (fake_machine_init(&f->machine, KIB(640), false) ||
        ram_init(&f->shadow, "shadow", I440FX_SHADOW_SIZE, 0) ||
        ram_init(&f->bios, "bios", I440FX_BIOS_SIZE, 0) || ram_init(&f->flash, "flash", FLASH_SIZE, RAM_READ_ONLY))
        abort();
    input_init(&f->input);
    f->back.ops = &back_ops;
    i440fx_create(machine, &(struct i440fx_config){f->shadow.host, f->bios.host});
    piix3_create(machine);
    f->pm = piix4_pm_create(machine);
    f->hotplug = pci_hotplug_create(machine, &(struct pci_hotplug_config){f->pm, ejected, NULL});
    fw_cfg = fw_cfg_create(machine);
    fw_cfg_add_file(fw_cfg, "etc/plain", "0123456789", 10);
    fw_cfg_add_built_file(fw_cfg, "etc/built", 100, build, NULL);
    fw_cfg_add_writable_file(fw_cfg, "etc/writable", 16);
    rtc.irq = hpet_rtc_irq(hpet_create(machine));
    rtc_create(machine, &rtc);
    pvpanic_create(machine);
    i6300esb_create(machine, WATCHDOG, &watchdog);
    i8042_create(machine, &f->input);
    uart16550_create(machine, UART_COM1, UART_COM1_IRQ, &f->back);
    uart16550_create(machine, UART_COM2, UART_COM2_IRQ, NULL);
    debugport_create(machine, NULL);
    pflash_create(machine, &(struct pflash_config){.ram = &f->flash, .base = FLASH, .fd = -1});
    fake_machine_reset(&f->machine);
    fake_pci_setup(&f->machine, WATCHDOG);
}

static void destroy(struct fixture *f)
{
    fake_machine_fini(&f->machine);
    ram_fini(&f->shadow);
    ram_fini(&f->bios);
    ram_fini(&f->flash);
}

/* What a device saves it must take back, all of it; and any damage to it without harm. */
static void save_and_load(struct fixture *f, unsigned damage)
{
    struct device *device;
    struct writer w;
    struct reader r;

    writer_init(&w, MIB(1));
    TAILQ_FOREACH (device, &f->machine.base.devices, link) {
        if (!device->ops->save)
            continue;
        writer_reset(&w);
        device->ops->save(device, &w);
        reader_init(&r, w.data, w.size);
        if (w.bad || device->ops->load(device, &r, device->ops->version) || reader_left(&r))
            abort();
        if (!damage || !w.size)
            continue;
        w.data[damage % w.size] ^= (uint8_t)(damage >> 8 | 1);
        reader_init(&r, w.data, w.size - damage % 3);
        device->ops->load(device, &r, device->ops->version);
    }
    writer_fini(&w);
}

static void receive(struct fixture *f, const uint8_t *data)
{
    const struct chardev_front_ops *ops = f->back.front_ops;
    size_t n = MIN(4u, ops->can_read(f->back.front));

    if (n)
        ops->read(f->back.front, data, n);
}

static void dma(struct fixture *f, const uint8_t *data)
{
    uint8_t *command = f->machine.ram.host + 0x100;

    store_be32(command, (uint32_t)(data[0] & 0x3f) << 16 | (data[1] & 0x1f));
    store_be32(command + 4, data[1] & 0x80 ? UINT32_MAX - data[2] : data[2]);
    store_be64(command + 8, data[1] & 0x40 ? KIB(640) - data[3] : 0x1000);
    fake_out(&f->machine, 0x514, 0, 4);
    fake_out(&f->machine, 0x518, __builtin_bswap32(0x100), 4);
}

static void do_step(struct fixture *f, const uint8_t *step)
{
    uint16_t port = ports[step[1] % ARRAY_SIZE(ports)];
    uint32_t value = load_le32(step + 2);
    unsigned width = 1u << (step[0] >> 6) % 3;
    uint64_t mmio = step[1] & 0x80 ? WATCHDOG_BAR + (step[1] & 15) : HPET_ADDRESS + step[1] * 4u;

    switch (step[0] & 31) {
    case 0:
        fake_machine_reset(&f->machine);
        break;
    case 1:
        save_and_load(f, value);
        break;
    case 2:
        f->machine.base.clock_offset -= (uint64_t)value * 1000;
        break;
    case 3:
        input_motion(&f->input, (int32_t)value, (int8_t)step[1], (int8_t)step[2], step[3]);
        break;
    case 4:
        input_scancode(&f->input, step[2]);
        break;
    case 5:
        receive(f, step + 2);
        break;
    case 6:
        f->back.front_ops->writable(f->back.front);
        break;
    case 7:
        fake_machine_run(&f->machine, 0);
        break;
    case 8:
        piix4_pm_power_button(f->pm);
        break;
    case 9:
        dma(f, step + 2);
        break;
    case 24:
        pci_hotplug_plugged(f->hotplug, PCI_HOTPLUG_FIRST_SLOT + step[2] % PCI_HOTPLUG_SLOTS);
        break;
    case 25:
        pci_hotplug_ask(f->hotplug, PCI_HOTPLUG_FIRST_SLOT + step[2] % PCI_HOTPLUG_SLOTS);
        break;
    case 10 ... 15:
        fake_pci_write(&f->machine, functions[step[1] % ARRAY_SIZE(functions)], step[2], value >> 8, width);
        break;
    case 21:
        fake_mmio_read(&f->machine, mmio, width);
        break;
    case 22 ... 23:
        fake_mmio_write(&f->machine, mmio, value, width);
        break;
    case 26:
        fake_mmio_write(&f->machine, FLASH + load_le16(step + 2) % FLASH_SIZE, step[1], 1);
        break;
    case 27:
        fake_mmio_read(&f->machine, FLASH + load_le16(step + 2) % FLASH_SIZE, width);
        break;
    case 16 ... 20:
        fake_in(&f->machine, port, width);
        break;
    default:
        fake_out(&f->machine, port, value, width);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fixture f;
    unsigned steps = 0;

    f = (struct fixture){0};
    create(&f);
    for (; size >= STEP && steps < MAX_STEPS; size -= STEP, data += STEP, steps++)
        do_step(&f, data);
    destroy(&f);
    return 0;
}
