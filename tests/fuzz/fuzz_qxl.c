/*
 * QXL: a driver that starts properly and then does what the input says: fields of commands anywhere in a small pool,
 * addresses that mostly hit it, commands into the rings, IO of any kind, the RAM header scribbled over. Each step takes
 * twelve bytes.
 */
#include "backend/screenshot.h"
#include "devices/qxl/qxl.h"
#include "tests/lib/fake_machine.h"

#include <spice/enums.h>
#include <spice/qxl_dev.h>
#include <stdlib.h>

#define STEP      12
#define MAX_STEPS 300
#define SLOT      PCI_DEVFN(2, 0)
#define POOL      KIB(64) /* where commands are built; before it lies the primary surface */
#define POOL_SIZE KIB(64)
#define SIDE      64

struct fixture {
    struct fake_machine machine;
    struct display *display;
    uint8_t *ram, *header;
    uint64_t base;
    uint16_t io;
};

static void out(struct fixture *f, unsigned port, uint8_t value)
{
    fake_out(&f->machine, f->io + port, value, 1);
}

static void map(struct fixture *f)
{
    const QXLRom *rom;

    fake_pci_setup(&f->machine, SLOT);
    f->base = fake_pci_bar(&f->machine, SLOT, 0);
    f->io = fake_pci_bar(&f->machine, SLOT, 3);
    rom = memory_const_pointer(f->machine.base.memory, fake_pci_bar(&f->machine, SLOT, 2), 8192);
    f->ram = memory_pointer(f->machine.base.memory, f->base, MIB(16));
    f->header = f->ram + rom->ram_header_offset;
}

static struct fixture *create(void)
{
    static struct fixture f;
    struct qxl_config config = {.ram = MIB(16), .vram = MIB(1), .vgamem = MIB(8)};

    if (f.display)
        return &f;
    if (fake_machine_init(&f.machine, KIB(640), false) ||
        qxl_create(&f.machine.base, SLOT, &config, &f.display))
        abort();
    map(&f);
    return &f;
}

#define STORE(f, field, value)                                                                     \
    memcpy((f)->header + offsetof(QXLRam, field), &(value), sizeof(value))

static void start(struct fixture *f)
{
    QXLMemSlot slot = {f->base, f->base + POOL + POOL_SIZE};
    QXLSurfaceCreate primary = {SIDE, SIDE, SIDE * 4, SPICE_SURFACE_FMT_32_xRGB, .mem = 1ULL << 56};

    out(f, QXL_IO_RESET, 0);
    memset(f->ram, 0, POOL + POOL_SIZE);
    STORE(f, mem_slot, slot);
    out(f, QXL_IO_MEMSLOT_ADD, 1);
    STORE(f, create_surface, primary);
    out(f, QXL_IO_CREATE_PRIMARY, 0);
}

/* An address in the pool, or now and then a wild one. */
static uint64_t address(const uint8_t *p)
{
    uint16_t low = load_le16(p);

    return low == 0xffff ? load_le64(p) : 1ULL << 56 | (POOL + (low & ~3u) % POOL_SIZE);
}

static uint8_t *pool(struct fixture *f, const uint8_t *p)
{
    return f->ram + POOL + (load_le16(p) & ~3u) % (POOL_SIZE - 512);
}

/* The commons of a command, so that the input need not guess them. */
static void build_drawable(struct fixture *f, const uint8_t *step)
{
    QXLDrawable d = {.surface_id = step[3] & 3, .type = step[4] % 16, .self_bitmap = step[5] == 1};

    d.bbox = (QXLRect){(int8_t)step[6], (int8_t)step[7], (int8_t)step[6] + step[8],
                       (int8_t)step[7] + step[9]};
    d.clip.type = step[5] & 1;
    d.clip.data = address(step + 10);
    memset(&d.u, 0, sizeof(d.u));
    d.u.copy.src_bitmap = address(step + 8);
    d.u.copy.src_area = (QXLRect){0, 0, step[9] & 31, step[8] & 31};
    d.u.copy.rop_descriptor = 1 << step[10] % 11;
    memcpy(pool(f, step + 1), &d, sizeof(d));
}

static void build_image(struct fixture *f, const uint8_t *step)
{
    static const uint8_t types[] = {SPICE_IMAGE_TYPE_BITMAP, SPICE_IMAGE_TYPE_SURFACE,
                                    SPICE_IMAGE_TYPE_QUIC, SPICE_IMAGE_TYPE_LZ_RGB};
    QXLImage image = {.descriptor.type = types[step[3] % 4]};

    image.bitmap = (QXLBitmap){step[4] % 12, step[5] & 7,       step[6] & 63,      step[7] & 63,
                               step[8],      address(step + 9), address(step + 10)};
    if (step[3] & 4)
        image.surface_image.surface_id = step[4] & 3;
    memcpy(pool(f, step + 1), &image, sizeof(image));
}

static void build_surface(struct fixture *f, const uint8_t *step)
{
    QXLSurfaceCmd c = {.surface_id = step[3] & 3, .type = step[4] & 1, .flags = step[5] & 1};
    static const uint32_t formats[] = {SPICE_SURFACE_FMT_1_A,     SPICE_SURFACE_FMT_8_A,
                                       SPICE_SURFACE_FMT_16_555,  SPICE_SURFACE_FMT_16_565,
                                       SPICE_SURFACE_FMT_32_xRGB, SPICE_SURFACE_FMT_32_ARGB};

    c.u.surface_create = (QXLSurface){formats[step[6] % 6], step[7], step[8], (int8_t)step[9] * 4,
                                      address(step + 10)};
    memcpy(pool(f, step + 1), &c, sizeof(c));
}

static void push(struct fixture *f, const uint8_t *step, bool cursor)
{
    size_t ring = cursor ? offsetof(QXLRam, cursor_ring) : offsetof(QXLRam, cmd_ring);
    uint32_t *prod = (uint32_t *)(f->header + ring + offsetof(QXLCommandRing, prod));
    static const uint8_t types[] = {
        QXL_CMD_DRAW,   QXL_CMD_DRAW,    QXL_CMD_SURFACE, QXL_CMD_CURSOR,
        QXL_CMD_UPDATE, QXL_CMD_MESSAGE, QXL_CMD_NOP,     99};
    QXLCommand command = {address(step + 1), types[step[3] % 8], 0};

    memcpy(f->header + ring + offsetof(QXLCommandRing, items) + *prod % 32 * sizeof(command),
           &command, sizeof(command));
    __atomic_store_n(prod, *prod + 1, __ATOMIC_SEQ_CST);
    if (step[4] & 1)
        out(f, QXL_IO_NOTIFY_CMD, 0);
}

static void sync_area(struct fixture *f, const uint8_t *step)
{
    QXLRect area = {step[1], step[2], step[1] + step[3], step[2] + step[4]};
    uint32_t surface = step[5] & 3;

    STORE(f, update_area, area);
    STORE(f, update_surface, surface);
    out(f, step[6] & 1 ? QXL_IO_UPDATE_AREA : QXL_IO_UPDATE_AREA_ASYNC, 0);
}

static void save_and_load(struct fixture *f, unsigned damage)
{
    struct device *device = TAILQ_FIRST(&f->machine.base.devices);
    struct writer w;
    struct reader r;

    writer_init(&w, MIB(20));
    device->ops->save(device, &w);
    w.data[damage % w.size] ^= damage >> 16 | 1;
    reader_init(&r, w.data, w.size);
    device->ops->load(device, &r, 1);
    writer_fini(&w);
    map(f);
}

static void do_step(struct fixture *f, const uint8_t *step)
{
    switch (step[0] & 15) {
    case 0 ... 1:
        build_drawable(f, step);
        break;
    case 2:
        build_image(f, step);
        break;
    case 3:
        build_surface(f, step);
        break;
    case 4 ... 6:
        push(f, step, step[5] == 7);
        break;
    case 7:
        push(f, step, true);
        break;
    case 8 ... 9:
        memcpy(pool(f, step + 1) + (step[3] & 127), step + 4, 8);
        break;
    case 10: {
        uint64_t addr = address(step + 4);

        memcpy(pool(f, step + 1) + (step[3] & 127), &addr, sizeof(addr));
        break;
    }
    case 11:
        sync_area(f, step);
        break;
    case 12:
        memcpy(f->header + load_le16(step + 1) % (sizeof(QXLRam) - 8), step + 4, step[3] & 7);
        break;
    case 13:
        out(f, step[1] % 32, step[2] & 7);
        break;
    case 14:
        fake_out(&f->machine, 0x3b0 + step[1] % 0x30, step[2], 1);
        break;
    default:
        if (step[1] < 16)
            save_and_load(f, load_le32(step + 2));
        else
            start(f);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fixture *f = create();
    struct screenshot shot;

    map(f);
    start(f);
    for (unsigned i = 0; size >= STEP && i < MAX_STEPS; size -= STEP, data += STEP, i++) {
        uint8_t step[STEP + 8] = {0}; /* fields may be read across its end */

        memcpy(step, data, STEP);
        do_step(f, step);
    }
    out(f, QXL_IO_UPDATE_AREA, 0);
    if (screenshot_take(&shot, f->display) == 0)
        screenshot_fini(&shot);
    fake_machine_run(&f->machine, 0);
    return 0;
}
