/*
 * The VGA: accesses of any width to its ports and its window, writes to the frame buffer, pictures taken in between. Each
 * step takes eight bytes; the last registers of one input do not reach the next.
 */
#include "backend/screenshot.h"
#include "devices/qxl/qxl.h"
#include "tests/lib/fake_machine.h"

#include <stdlib.h>

#define STEP      8
#define MAX_STEPS 300
#define MAX_SHOTS 3 /* of an input: they take long */
#define SLOT      PCI_DEVFN(2, 0)

struct fixture {
    struct fake_machine machine;
    struct display *display;
    uint8_t *memory;
    unsigned shots;
};

static struct fixture *create(void)
{
    static struct fixture f;
    struct qxl_config config = {.vgamem = MIB(1)};

    if (f.display)
        return &f;
    if (fake_machine_init(&f.machine, KIB(640), false) ||
        vga_create(&f.machine.base, SLOT, &config, &f.display))
        abort();
    return &f;
}

/* A shortcut to the modes: what a driver writes in many steps. */
static void set_dispi(struct fixture *f, const uint8_t *step)
{
    static const uint8_t depths[] = {4, 8, 15, 16, 24, 32};
    const uint16_t values[] = {load_le16(step + 2) & 0x3ff, load_le16(step + 4) & 0x3ff,
                               depths[step[6] % 6], 0x41};

    fake_out(&f->machine, 0x3c0, 0x20, 1);
    for (unsigned i = 0; i < 4; i++) {
        fake_out(&f->machine, 0x1ce, i + 1, 2);
        fake_out(&f->machine, 0x1cf, values[i], 2);
    }
}

static void shoot(struct fixture *f)
{
    struct screenshot shot;

    if (f->shots++ >= MAX_SHOTS || screenshot_take(&shot, f->display))
        return;
    screenshot_fini(&shot);
}

static void save_and_load(struct fixture *f, unsigned damage)
{
    struct device *device = TAILQ_FIRST(&f->machine.base.devices);
    struct writer w;
    struct reader r;

    writer_init(&w, MIB(2));
    device->ops->save(device, &w);
    w.data[damage % 2000] ^= damage >> 16 | 1;
    reader_init(&r, w.data, w.size);
    device->ops->load(device, &r, 1);
    writer_fini(&w);
}

static void do_step(struct fixture *f, const uint8_t *step)
{
    uint32_t addr = load_le32(step + 1) & 0x1ffff, value = load_le32(step + 4);
    unsigned width = 1u << (step[0] >> 5) % 4;

    switch (step[0] & 15) {
    case 0:
        shoot(f);
        break;
    case 1:
        set_dispi(f, step);
        break;
    case 2:
        save_and_load(f, value);
        break;
    case 3:
        f->memory[load_le32(step + 1) & (MIB(1) - 1)] = step[7];
        break;
    case 4 ... 6:
        fake_mmio_write(&f->machine, 0xa0000 + addr, value, width);
        break;
    case 7:
        fake_mmio_read(&f->machine, 0xa0000 + addr, width);
        break;
    case 8:
        fake_in(&f->machine, 0x3b0 + step[1] % 0x30, MIN(width, 4u));
        break;
    case 9:
        fake_out(&f->machine, 0x1ce, step[1] % 16, 2);
        fake_out(&f->machine, 0x1cf, value, 2);
        fake_in(&f->machine, 0x1cf, 2);
        break;
    default:
        fake_out(&f->machine, 0x3b0 + step[1] % 0x30, value, MIN(width, 4u));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fixture *f = create();

    f->shots = 0;
    fake_machine_reset(&f->machine);
    fake_pci_setup(&f->machine, SLOT);
    f->memory = memory_pointer(f->machine.base.memory, fake_pci_bar(&f->machine, SLOT, 0), MIB(1));
    for (unsigned i = 0; size >= STEP && i < MAX_STEPS; size -= STEP, data += STEP, i++)
        do_step(f, data);
    f->shots = 0;
    shoot(f);
    return 0;
}
