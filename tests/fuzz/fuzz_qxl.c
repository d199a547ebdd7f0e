/*
 * QXL: a driver that starts properly, lays out one sound object of each kind, and then does what the input says: commands
 * of all kinds that refer to those, objects overwritten in whole or in part, rings, IO of any kind, the RAM header scribbled
 * over. Memory is a few cells; an address is a cell's number. Each step takes twelve bytes. A step may have another CPU
 * change cells or rings from then on, or a viewer do what viewers do. Bytes that are too few for a step choose, if they are
 * odd, the device that records: there no command waits for others.
 */
#include "backend/screenshot.h"
#include "devices/qxl/qxl.h"
#include "spice/codec/lz.h"
#include "spice/codec/quic.h"
#include "tests/fuzz/fuzz_other_cpu.h"
#include "tests/lib/fake_machine.h"

#include <spice/enums.h>
#include <spice/qxl_dev.h>
#include <stdlib.h>

#define STEP      12
#define MAX_STEPS 300
#define SLOT      PCI_DEVFN(2, 0)
#define POOL      KIB(64) /* where commands are built; before it lies the primary surface */
#define CELL_SIZE 4096
#define SIDE      64

struct fixture {
    struct fake_machine machine;
    struct display *display;
    uint8_t *ram, *header;
    uint64_t base;
    uint16_t io;
    struct other_cpu other;
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

static struct fixture *create(bool records)
{
    static struct fixture both[2];
    struct fixture *f = &both[records];
    struct qxl_config config = {.ram = MIB(16), .vram = MIB(1), .vgamem = MIB(8), .record = records ? "/dev/null" : NULL};

    if (f->display)
        return f;
    if (fake_machine_init(&f->machine, KIB(640), false) || qxl_create(&f->machine.base, SLOT, &config, &f->display))
        abort();
    map(f);
    return f;
}

#define STORE(f, field, value)                                                                     \
    memcpy((f)->header + offsetof(QXLRam, field), &(value), sizeof(value))

/* The cells that start() fills; between the last of the first row and QUIC_IMAGE is room for commands. */
enum { BITMAP, MASK, SURFACE_IMAGE, PATH, STRING, CLIP, CURSOR, PALETTE, DATA, QUIC_IMAGE = 16, LZ_IMAGE, CELLS };

static uint64_t cell_address(uint8_t cell)
{
    return 1ULL << 56 | (POOL + cell % CELLS * CELL_SIZE);
}

/* A cell's address, or now and then a wild one. */
static uint64_t address(const uint8_t *p)
{
    return *p == 0xff ? load_le64(p) : cell_address(*p);
}

static uint8_t *cell(struct fixture *f, uint8_t n)
{
    return f->ram + POOL + n % CELLS * CELL_SIZE;
}

static void put_bitmap(struct fixture *f, uint8_t n, uint8_t format, uint32_t stride)
{
    QXLImage image = {.descriptor.type = SPICE_IMAGE_TYPE_BITMAP};

    image.bitmap = (QXLBitmap){format,
                               QXL_BITMAP_DIRECT | QXL_BITMAP_TOP_DOWN,
                               16,
                               16,
                               stride,
                               cell_address(PALETTE),
                               cell_address(DATA)};
    memcpy(cell(f, n), &image, sizeof(image));
}

static void put_lists(struct fixture *f)
{
    QXLPath path = {.data_size = 40, .chunk.data_size = 40};
    QXLPathSeg segment = {.flags = QXL_PATH_BEGIN | QXL_PATH_END, .count = 4};
    const int32_t points[] = {16, 16, 400, 32, 90, 800, 700, 700};
    QXLString string = {.data_size = 28, .length = 1, .flags = 1, .chunk.data_size = 28};
    QXLRasterGlyph glyph = {.render_pos = {5, 5}, .width = 8, .height = 8};
    QXLClipRects clip = {.num_rects = 2, .chunk.data_size = 32};
    const QXLRect rects[] = {{0, 0, 20, 20}, {10, 10, 60, 60}};

    memcpy(cell(f, PATH), &path, sizeof(path));
    memcpy(cell(f, PATH) + sizeof(path), &segment, sizeof(segment));
    memcpy(cell(f, PATH) + sizeof(path) + sizeof(segment), points, sizeof(points));
    memcpy(cell(f, STRING), &string, sizeof(string));
    memcpy(cell(f, STRING) + sizeof(string), &glyph, sizeof(glyph));
    memcpy(cell(f, CLIP), &clip, sizeof(clip));
    memcpy(cell(f, CLIP) + sizeof(clip), rects, sizeof(rects));
}

/* QUIC and LZ are laid out alike. */
static void put_stream(struct fixture *f, uint8_t n, uint8_t type, const struct writer *w)
{
    QXLImage image = {.descriptor = {.type = type, .width = 16, .height = 16}, .quic.data_size = w->size};
    QXLDataChunk chunk = {.data_size = w->size};
    size_t at = offsetof(QXLImage, quic) + offsetof(QXLQUICData, data);

    memcpy(cell(f, n), &image, sizeof(image));
    memcpy(cell(f, n) + at, &chunk, sizeof(chunk));
    memcpy(cell(f, n) + at + sizeof(chunk), w->data, w->size);
}

static void put_streams(struct fixture *f)
{
    static struct quic *quic;
    static struct lz *lz;
    struct image image = {cell(f, DATA), 16, 16, 64, SPICE_BITMAP_FMT_32BIT};
    struct writer w;

    if (!quic) {
        quic = quic_create();
        lz = lz_create();
    }
    writer_init(&w, CELL_SIZE / 2);
    if (quic_encode(quic, &w, &image) == 0)
        put_stream(f, QUIC_IMAGE, SPICE_IMAGE_TYPE_QUIC, &w);
    writer_reset(&w);
    if (lz_encode(lz, &w, &image) == 0)
        put_stream(f, LZ_IMAGE, SPICE_IMAGE_TYPE_LZ_RGB, &w);
    writer_fini(&w);
}

static void put_objects(struct fixture *f)
{
    QXLCursor cursor = {.header = {.type = SPICE_CURSOR_TYPE_ALPHA, .width = 8, .height = 8},
                        .chunk.data_size = 256};
    QXLImage surface = {.descriptor.type = SPICE_IMAGE_TYPE_SURFACE};
    QXLPalette palette = {.num_ents = 256};

    put_bitmap(f, BITMAP, SPICE_BITMAP_FMT_32BIT, 64);
    put_bitmap(f, MASK, SPICE_BITMAP_FMT_1BIT_BE, 4);
    memcpy(cell(f, SURFACE_IMAGE), &surface, sizeof(surface));
    memcpy(cell(f, CURSOR), &cursor, sizeof(cursor));
    memcpy(cell(f, PALETTE), &palette, sizeof(palette));
    memset(cell(f, PALETTE) + sizeof(palette), 0x5a, 1024);
    for (unsigned i = 0; i < 1024; i++)
        cell(f, DATA)[i] = i * 37;
    put_lists(f);
    put_streams(f);
}

static void start(struct fixture *f)
{
    QXLMemSlot slot = {f->base, f->base + POOL + CELLS * CELL_SIZE};
    QXLSurfaceCreate primary = {SIDE, SIDE, SIDE * 4, SPICE_SURFACE_FMT_32_xRGB, .mem = 1ULL << 56};

    other_cpu_stop(&f->other);
    out(f, QXL_IO_RESET, 0);
    memset(f->ram, 0, POOL + CELLS * CELL_SIZE);
    put_objects(f);
    STORE(f, mem_slot, slot);
    out(f, QXL_IO_MEMSLOT_ADD, 1);
    STORE(f, create_surface, primary);
    out(f, QXL_IO_CREATE_PRIMARY, 0);
}

static QXLBrush brush(uint8_t kind)
{
    QXLBrush b = {.type = kind % 3, .u.color = kind * 0x10305u};

    if (b.type == SPICE_BRUSH_TYPE_PATTERN)
        b.u.pattern =
            (QXLPattern){cell_address(kind & 4 ? SURFACE_IMAGE : BITMAP), {kind >> 3, kind >> 4}};
    return b;
}

/* The operation's own part: sound, but for what the input's bytes make of it. */
static void fill_body(QXLDrawable *d, const uint8_t *p)
{
    uint64_t src = p[0] & 1 ? cell_address(SURFACE_IMAGE) : address(p + 1);
    QXLRect area = {0, 0, p[2] & 31, p[3] & 31};
    QXLQMask mask = {p[0] >> 1 & 1, {p[2] & 7, p[3] & 7}, p[0] & 4 ? cell_address(MASK) : 0};
    uint16_t rop = 1 << p[4] % 11;

    switch (d->type) {
    case QXL_DRAW_FILL:
        d->u.fill = (QXLFill){brush(p[5]), rop, mask};
        break;
    case QXL_DRAW_OPAQUE:
        d->u.opaque = (QXLOpaque){src, area, brush(p[5]), rop, p[4] >> 7, mask};
        break;
    case QXL_DRAW_COPY:
    case QXL_DRAW_BLEND:
        d->u.copy = (QXLCopy){src, area, rop, p[4] >> 7, mask};
        break;
    case QXL_COPY_BITS:
        d->u.copy_bits.src_pos = (QXLPoint){(int8_t)p[2], (int8_t)p[3]};
        break;
    case QXL_DRAW_ROP3:
        d->u.rop3 = (QXLRop3){src, area, brush(p[5]), p[4], p[5] >> 7, mask};
        break;
    case QXL_DRAW_STROKE:
        d->u.stroke = (QXLStroke){
            cell_address(PATH), {p[2], 0, 0, p[3], 0, 0, cell_address(DATA)}, brush(p[5]), rop, 0};
        break;
    case QXL_DRAW_TEXT:
        d->u.text =
            (QXLText){cell_address(STRING), {0, 0, p[2], p[3]}, brush(p[5]), brush(p[4]), rop, rop};
        break;
    case QXL_DRAW_TRANSPARENT:
        d->u.transparent = (QXLTransparent){src, area, p[4], p[5]};
        break;
    case QXL_DRAW_ALPHA_BLEND:
        d->u.alpha_blend = (QXLAlphaBlend){p[5] & 3, p[4], src, area};
        break;
    case QXL_DRAW_COMPOSITE:
        d->u.composite = (QXLComposite){p[4] % 64 | p[5] << 8 | p[2] << 16 | (uint32_t)p[3] << 24,
                                        src, p[0] & 8 ? cell_address(DATA) : 0,
                                        p[0] & 16 ? cell_address(BITMAP) : 0, 0};
        break;
    default:
        d->u.blackness.mask = mask;
    }
}

static void build_drawable(struct fixture *f, const uint8_t *step)
{
    QXLDrawable d = {
        .surface_id = step[2] >> 6, .type = step[2] % 16, .self_bitmap = step[2] >> 5 & 1};

    d.bbox = (QXLRect){(int8_t)step[3], (int8_t)step[4], (int8_t)step[3] + step[5] % 90,
                       (int8_t)step[4] + step[5] / 2};
    d.self_bitmap_area = (QXLRect){0, 0, 16, 16};
    d.clip.type = step[2] >> 4 & 1;
    d.clip.data = cell_address(CLIP);
    fill_body(&d, step + 6);
    memcpy(cell(f, step[1]), &d, sizeof(d));
}

static void build_image(struct fixture *f, const uint8_t *step)
{
    static const uint8_t types[] = {SPICE_IMAGE_TYPE_BITMAP, SPICE_IMAGE_TYPE_SURFACE,
                                    SPICE_IMAGE_TYPE_QUIC, SPICE_IMAGE_TYPE_LZ_RGB};
    QXLImage image = {.descriptor.type = types[step[2] >> 4 & 3]};

    image.bitmap = (QXLBitmap){step[2] % 12, step[3] & 7,       step[4] & 63,     step[5] & 63,
                               step[6],      address(step + 7), address(step + 8)};
    if (image.descriptor.type == SPICE_IMAGE_TYPE_SURFACE)
        image.surface_image.surface_id = step[4] & 3;
    memcpy(cell(f, step[1]), &image, sizeof(image));
}

static const uint32_t surface_formats[] = {SPICE_SURFACE_FMT_1_A,     SPICE_SURFACE_FMT_8_A,     SPICE_SURFACE_FMT_16_555,
                                           SPICE_SURFACE_FMT_16_565,  SPICE_SURFACE_FMT_32_xRGB, SPICE_SURFACE_FMT_32_ARGB};

static void build_surface(struct fixture *f, const uint8_t *step)
{
    QXLSurfaceCmd c = {
        .surface_id = step[2] & 3, .type = step[2] >> 2 & 1, .flags = step[2] >> 3 & 1};

    c.u.surface_create = (QXLSurface){surface_formats[step[3] % 6], step[4], step[5], (int8_t)step[6] * 4,
                                      address(step + 7)};
    memcpy(cell(f, step[1]), &c, sizeof(c));
}

static void build_cursor(struct fixture *f, const uint8_t *step)
{
    QXLCursorCmd c = {.type = step[2] & 3};
    QXLCursor shape = {
        .header = {.type = step[3] % 8, .width = step[4] & 63, .height = step[5] & 63, 1, 1},
        .chunk.data_size = 2048};

    c.u.set.position = (QXLPoint16){step[6], step[7]};
    c.u.set.visible = step[2] >> 2 & 1;
    c.u.set.shape = cell_address(CURSOR);
    memcpy(cell(f, CURSOR), &shape, sizeof(shape));
    memcpy(cell(f, step[1]), &c, sizeof(c));
}

static void push(struct fixture *f, uint64_t addr, uint32_t type, bool cursor)
{
    size_t ring = cursor ? offsetof(QXLRam, cursor_ring) : offsetof(QXLRam, cmd_ring);
    uint32_t *prod = (uint32_t *)(f->header + ring + offsetof(QXLCommandRing, prod));
    QXLCommand command = {addr, type, 0};

    memcpy(f->header + ring + offsetof(QXLCommandRing, items) + *prod % 32 * sizeof(command),
           &command, sizeof(command));
    __atomic_store_n(prod, *prod + 1, __ATOMIC_SEQ_CST);
}

/* Have the display thread done with what was pushed, so that a run can be repeated. */
static void finish(struct fixture *f)
{
    QXLRect none = {0};

    STORE(f, update_area, none);
    out(f, QXL_IO_UPDATE_AREA, 0);
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

/* Another primary, where the first one lies. */
static void change_primary(struct fixture *f, const uint8_t *step)
{
    QXLSurfaceCreate primary = {step[1], step[2], (int8_t)step[3] * 4, surface_formats[step[4] % 6], .mem = 1ULL << 56};

    if (step[5] & 1)
        out(f, QXL_IO_DESTROY_PRIMARY, 0);
    STORE(f, create_surface, primary);
    out(f, step[5] & 2 ? QXL_IO_CREATE_PRIMARY_ASYNC : QXL_IO_CREATE_PRIMARY, 0);
}

struct wish {
    struct display *display;
    const uint8_t *step;
};

static void ask_display(void *arg)
{
    const struct wish *wish = arg;
    const struct display_device_ops *ops = wish->display->ops;
    const uint8_t *p = wish->step;
    const struct display_head heads[] = {{0, 0, 0, p[3] * 8, p[4] * 8}, {1, p[5], 0, p[6], p[7]}};
    uint8_t caps[58] = {p[3], p[4]};

    switch (p[2] % 5) {
    case 0:
        ops->watched(wish->display->device, p[1] & 1);
        break;
    case 1:
        ops->update(wish->display->device);
        break;
    case 2:
        ops->draw(wish->display->device);
        break;
    case 3:
        ops->client_heads(wish->display->device, heads, p[1] % 3);
        break;
    default:
        ops->client_capabilities(wish->display->device, p[1] & 1, caps);
    }
}

static void view(struct fixture *f, const uint8_t *step)
{
    struct wish wish = {f->display, step};

    loop_call_wait(f->display->loop, ask_display, &wish);
}

/* All cells, one of them, or the rings and what else is in the header. */
static void start_other_cpu(struct fixture *f, const uint8_t *step)
{
    uint64_t seed = load_le64(step + 3);

    if (step[2] & 0x80)
        other_cpu_start(&f->other, f->header, ALIGN_DOWN(sizeof(QXLRam), 4), seed);
    else if (step[2] & 0x40)
        other_cpu_start(&f->other, f->ram + POOL, CELLS * CELL_SIZE, seed);
    else
        other_cpu_start(&f->other, cell(f, step[2]), 256, seed);
}

static void do_step(struct fixture *f, const uint8_t *step)
{
    uint64_t addr = cell_address(step[1]);
    bool other = step[0] & 16;

    switch (step[0] & 15) {
    case 0 ... 4:
        build_drawable(f, step);
        push(f, addr, QXL_CMD_DRAW, false);
        if (!other) /* else it may wait for more */
            finish(f);
        break;
    case 5:
        build_image(f, step);
        break;
    case 6:
        build_surface(f, step);
        push(f, addr, QXL_CMD_SURFACE, false);
        finish(f);
        break;
    case 7:
        build_cursor(f, step);
        push(f, addr, QXL_CMD_CURSOR, true);
        finish(f);
        break;
    case 8 ... 9:
        memcpy(cell(f, step[1]) + step[2], step + 4, MIN(step[3], 8));
        break;
    case 10:
        push(f, address(step + 1), step[3], step[4] & 1);
        break;
    case 11:
        sync_area(f, step);
        break;
    case 12:
        memcpy(f->header + load_le16(step + 1) % (sizeof(QXLRam) - 8), step + 4, step[3] & 7);
        break;
    case 13:
        if (other)
            change_primary(f, step);
        else
            out(f, step[1] % 32, step[2] & 7);
        break;
    case 14:
        if (other)
            view(f, step);
        else
            fake_out(&f->machine, 0x3b0 + step[1] % 0x30, step[2], 1);
        break;
    default:
        if (step[1] < 16)
            save_and_load(f, load_le32(step + 2));
        else if (step[1] < 64)
            start(f);
        else
            start_other_cpu(f, step);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fixture *f = create(size % STEP % 2);
    struct screenshot shot;

    map(f);
    start(f);
    for (unsigned i = 0; size >= STEP && i < MAX_STEPS; size -= STEP, data += STEP, i++) {
        uint8_t step[STEP + 8] = {0}; /* fields may be read across its end */

        memcpy(step, data, STEP);
        do_step(f, step);
    }
    other_cpu_stop(&f->other);
    finish(f);
    if (screenshot_take(&shot, f->display) == 0)
        screenshot_fini(&shot);
    fake_machine_run(&f->machine, 0);
    return 0;
}
