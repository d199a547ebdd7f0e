/*
 * qxl_driver.h - a QXL driver for tests: memory slots, rings and asynchronous IO as Linux' qxl module uses them.
 *
 * Memory comes from a bump allocator in BAR 0 behind the frame buffer. All calls are made in the test's thread.
 */
#ifndef TESTS_QXL_DRIVER_H
#define TESTS_QXL_DRIVER_H

#include "backend/screenshot.h"
#include "devices/qxl/qxl.h"
#include "tests/lib/fake_machine.h"

#include <setjmp.h>
#include <spice/enums.h>
#include <spice/qxl_dev.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the headers above first. */
#include <cmocka.h>

#define QXL_SLOT PCI_DEVFN(2, 0)
#define QXL_LINK 1 /* INTA of slot 2 */
#define WAIT_MS  5000

struct driver {
    struct fake_machine machine;
    struct display *display;
    uint8_t *ram, *vram;
    uint64_t ram_base, vram_base;
    const QXLRom *rom;
    QXLRam *header;
    uint16_t io;
    uint64_t main_slot, vram_slot; /* high bits of addresses */
    uint64_t next;                 /* free memory in ram */
    uint64_t released[4096];
    unsigned release_count;
};

static inline void driver_out(struct driver *d, unsigned port, uint8_t value)
{
    fake_out(&d->machine, d->io + port, value, 1);
}

static inline uint32_t shared_load(const void *p)
{
    return __atomic_load_n((const uint32_t *)p, __ATOMIC_ACQUIRE);
}

static inline void shared_store(void *p, uint32_t value)
{
    __atomic_store_n((uint32_t *)p, value, __ATOMIC_SEQ_CST);
}

#define FIELD(d, name) ((void *)((uint8_t *)(d)->header + offsetof(QXLRam, name)))

static inline bool line_is_high(void *arg)
{
    struct driver *d = arg;
    bool level;

    pthread_mutex_lock(&d->machine.record_lock);
    level = d->machine.link_level[QXL_LINK];
    pthread_mutex_unlock(&d->machine.record_lock);
    return level;
}

/* The interrupt handler: what was pending; the line is low afterwards. */
static inline uint32_t driver_ack(struct driver *d)
{
    uint32_t pending = __atomic_exchange_n((uint32_t *)FIELD(d, int_pending), 0, __ATOMIC_SEQ_CST);

    driver_out(d, QXL_IO_UPDATE_IRQ, 0);
    return pending;
}

/* Wait for an interrupt with one of these bits. */
static inline uint32_t driver_wait_irq(struct driver *d, uint32_t bits)
{
    for (int i = 0; i < 100; i++) {
        uint32_t pending;

        assert_true(fake_machine_wait(&d->machine, line_is_high, d, WAIT_MS));
        pending = driver_ack(d);
        if (pending & bits)
            return pending;
    }
    fail_msg("no interrupt with bits %x", bits);
    return 0;
}

static inline void driver_async(struct driver *d, unsigned port, uint8_t value)
{
    driver_out(d, port, value);
    driver_wait_irq(d, QXL_INTERRUPT_IO_CMD);
}

static inline void driver_map(struct driver *d)
{
    struct memory *memory = d->machine.base.memory;

    fake_pci_setup(&d->machine, QXL_SLOT);
    d->ram_base = fake_pci_bar(&d->machine, QXL_SLOT, 0);
    d->vram_base = fake_pci_bar(&d->machine, QXL_SLOT, 1);
    d->rom = memory_const_pointer(memory, fake_pci_bar(&d->machine, QXL_SLOT, 2), 8192);
    d->io = fake_pci_bar(&d->machine, QXL_SLOT, 3);
    d->ram = memory_pointer(memory, d->ram_base, MIB(64));
    d->vram = memory_pointer(memory, d->vram_base, MIB(64));
    assert_non_null(d->rom);
    assert_non_null(d->ram);
    d->header = (QXLRam *)(d->ram + d->rom->ram_header_offset);
}

static inline struct driver *driver_create_with(const struct qxl_config *config)
{
    struct driver *d = calloc(1, sizeof(*d));

    assert_int_equal(fake_machine_init(&d->machine, KIB(640), false), 0);
    assert_int_equal(qxl_create(&d->machine.base, QXL_SLOT, config, &d->display), 0);
    driver_map(d);
    return d;
}

/* record: a file for what is drawn, or NULL. */
static inline struct driver *driver_create(unsigned revision, const char *record)
{
    return driver_create_with(
        &(struct qxl_config){.revision = revision, .heads = QXL_MAX_HEADS, .record = record});
}

static inline void driver_destroy(struct driver *d)
{
    fake_machine_fini(&d->machine);
    free(d);
}

static inline uint64_t driver_add_slot(struct driver *d, unsigned id, uint64_t start, uint64_t end)
{
    QXLMemSlot slot = {start, end};

    memcpy(FIELD(d, mem_slot), &slot, sizeof(slot));
    driver_async(d, QXL_IO_MEMSLOT_ADD_ASYNC, id);
    return (uint64_t)id << 56 | (uint64_t)d->rom->slot_generation << 48;
}

/* What a driver does when it is loaded. */
static inline void driver_start(struct driver *d)
{
    driver_out(d, QXL_IO_RESET, 0);
    shared_store(FIELD(d, int_mask), QXL_INTERRUPT_DISPLAY | QXL_INTERRUPT_CURSOR |
                                         QXL_INTERRUPT_IO_CMD | QXL_INTERRUPT_ERROR |
                                         QXL_INTERRUPT_CLIENT_MONITORS_CONFIG);
    d->main_slot = driver_add_slot(d, 1, d->ram_base, d->ram_base + d->rom->ram_header_offset);
    d->vram_slot = driver_add_slot(d, 2, d->vram_base, d->vram_base + MIB(64));
    d->next = d->rom->pages_offset;
    d->release_count = 0;
}

/* size bytes in BAR 0; their address as the device knows it goes to *addr. */
static inline void *driver_alloc(struct driver *d, size_t size, uint64_t *addr)
{
    void *p = d->ram + d->next;

    *addr = d->main_slot | d->next;
    d->next += ALIGN_UP(size, 16);
    assert_true(d->next <= d->rom->ram_header_offset);
    return p;
}

static inline void driver_create_primary(struct driver *d, uint32_t width, uint32_t height,
                                         int32_t stride, uint32_t format, uint32_t flags)
{
    QXLSurfaceCreate c = {.width = width,
                          .height = height,
                          .stride = stride,
                          .format = format,
                          .flags = flags,
                          .mem = d->main_slot};

    memcpy(FIELD(d, create_surface), &c, sizeof(c));
    driver_async(d, QXL_IO_CREATE_PRIMARY_ASYNC, 0);
}

static inline bool command_ring_has_room(void *arg)
{
    struct driver *d = arg;

    return shared_load(FIELD(d, cmd_ring.prod)) - shared_load(FIELD(d, cmd_ring.cons)) <
           QXL_COMMAND_RING_SIZE;
}

/* The ring has room. */
static inline void driver_put(struct driver *d, uint32_t type, uint64_t addr)
{
    QXLCommand command = {.data = addr, .type = type};
    uint32_t prod = shared_load(FIELD(d, cmd_ring.prod));

    memcpy((uint8_t *)FIELD(d, cmd_ring.items) + prod % QXL_COMMAND_RING_SIZE * sizeof(QXLCommand),
           &command, sizeof(command));
    shared_store(FIELD(d, cmd_ring.prod), prod + 1);
    if (shared_load(FIELD(d, cmd_ring.notify_on_prod)) == prod + 1)
        driver_out(d, QXL_IO_NOTIFY_CMD, 0);
}

/* With time for the device to look at what came before. */
static inline void driver_push(struct driver *d, uint32_t type, uint64_t addr)
{
    assert_true(fake_machine_wait(&d->machine, command_ring_has_room, d, WAIT_MS));
    driver_put(d, type, addr);
}

static inline void driver_push_cursor(struct driver *d, uint64_t addr)
{
    QXLCommand command = {.data = addr, .type = QXL_CMD_CURSOR};
    uint32_t prod = shared_load(FIELD(d, cursor_ring.prod));

    memcpy((uint8_t *)FIELD(d, cursor_ring.items) +
               prod % QXL_CURSOR_RING_SIZE * sizeof(QXLCommand),
           &command, sizeof(command));
    shared_store(FIELD(d, cursor_ring.prod), prod + 1);
    if (shared_load(FIELD(d, cursor_ring.notify_on_prod)) == prod + 1)
        driver_out(d, QXL_IO_NOTIFY_CMD, 0); /* Linux uses this port for both */
}

/* Have everything drawn and this area of surface 0 written back. */
static inline void driver_update_area(struct driver *d, uint32_t surface, QXLRect area)
{
    memcpy(FIELD(d, update_area), &area, sizeof(area));
    memcpy(FIELD(d, update_surface), &surface, sizeof(surface));
    driver_async(d, QXL_IO_UPDATE_AREA_ASYNC, 0);
}

static inline void driver_sync(struct driver *d)
{
    driver_update_area(d, 0, (QXLRect){0});
}

/* Take all that the release ring holds; an id is an address's offset. */
static inline void driver_collect(struct driver *d)
{
    uint32_t cons = shared_load(FIELD(d, release_ring.cons));

    while (cons != shared_load(FIELD(d, release_ring.prod))) {
        uint64_t id;

        memcpy(&id, (uint8_t *)FIELD(d, release_ring.items) + cons % QXL_RELEASE_RING_SIZE * 8, 8);
        while (id) {
            assert_true(d->release_count < ARRAY_SIZE(d->released));
            d->released[d->release_count++] = id;
            memcpy(&id, d->ram + id, 8); /* release_info.next */
        }
        shared_store(FIELD(d, release_ring.cons), ++cons);
    }
}

static inline unsigned times_released(const struct driver *d, uint64_t addr)
{
    unsigned n = 0;

    for (unsigned i = 0; i < d->release_count; i++)
        n += d->released[i] == (addr & 0xffffffff);
    return n;
}

/* A drawable on a surface, ready to be completed; its id is its offset in BAR 0. */
static inline QXLDrawable *driver_drawable(struct driver *d, uint8_t type, uint32_t surface,
                                           QXLRect box, uint64_t *addr)
{
    QXLDrawable *p = driver_alloc(d, sizeof(*p), addr);

    memset(p, 0, sizeof(*p));
    p->release_info.id = *addr & 0xffffffff;
    p->surface_id = surface;
    p->effect = QXL_EFFECT_OPAQUE;
    p->type = type;
    p->bbox = box;
    for (int i = 0; i < 3; i++)
        p->surfaces_dest[i] = -1;
    return p;
}

/* Put data into chunks of at most `piece` bytes; returns the first one's address. */
static inline uint64_t driver_chunks(struct driver *d, const void *data, size_t size, size_t piece)
{
    const uint8_t *p = data;
    uint64_t first = 0;
    QXLDataChunk *last = NULL;

    do {
        size_t n = MIN(size, piece);
        uint64_t addr;
        QXLDataChunk *chunk = driver_alloc(d, sizeof(*chunk) + n, &addr);

        *chunk = (QXLDataChunk){.data_size = n};
        memcpy(chunk->data, p, n);
        if (last)
            last->next_chunk = addr;
        else
            first = addr;
        last = chunk;
        p += n;
        size -= n;
    } while (size);
    return first;
}

/* A bitmap; piece 0: direct data. */
static inline uint64_t driver_bitmap(struct driver *d, uint8_t format, uint32_t width,
                                     uint32_t height, uint32_t stride, const void *data,
                                     size_t piece, bool top_down)
{
    uint64_t addr, direct;
    QXLImage *image = driver_alloc(d, sizeof(QXLImageDescriptor) + sizeof(QXLBitmap), &addr);
    void *p;

    memset(image, 0, sizeof(QXLImageDescriptor) + sizeof(QXLBitmap));
    image->descriptor =
        (QXLImageDescriptor){.type = SPICE_IMAGE_TYPE_BITMAP, .width = width, .height = height};
    image->bitmap =
        (QXLBitmap){.format = format,
                    .flags = (top_down ? QXL_BITMAP_TOP_DOWN : 0) | (piece ? 0 : QXL_BITMAP_DIRECT),
                    .x = width,
                    .y = height,
                    .stride = stride};
    if (piece) {
        image->bitmap.data = driver_chunks(d, data, (size_t)stride * height, piece);
        return addr;
    }
    p = driver_alloc(d, (size_t)stride * height, &direct);
    memcpy(p, data, (size_t)stride * height);
    image->bitmap.data = direct;
    return addr;
}

/* A command that sets the cursor: 50 bytes of its data with the shape, the rest in pieces. */
static inline uint64_t driver_cursor(struct driver *d, QXLCursorHeader header, QXLPoint16 place, const void *data,
                                     size_t size, size_t piece)
{
    size_t first = MIN(size, 50);
    uint64_t addr, shape;
    QXLCursor *cursor = driver_alloc(d, sizeof(*cursor) + first, &shape);
    QXLCursorCmd *c = driver_alloc(d, sizeof(*c), &addr);

    *cursor = (QXLCursor){.header = header, .data_size = size, .chunk.data_size = first};
    memcpy(cursor->chunk.data, data, first);
    if (size > first)
        cursor->chunk.next_chunk = driver_chunks(d, (const uint8_t *)data + first, size - first, piece);
    *c = (QXLCursorCmd){.release_info.id = addr & 0xffffffff,
                        .type = QXL_CURSOR_SET,
                        .u.set = {.position = place, .visible = 1, .shape = shape}};
    return addr;
}

static inline uint64_t driver_clip(struct driver *d, const QXLRect *rects, uint32_t count,
                                   size_t piece)
{
    uint8_t data[64 * sizeof(QXLRect)];
    uint64_t addr, rest;
    QXLClipRects *clip;
    size_t size = count * sizeof(QXLRect), first = MIN(size, piece);

    memcpy(data, rects, size);
    clip = driver_alloc(d, sizeof(*clip) + first, &addr);
    *clip = (QXLClipRects){.num_rects = count, .chunk.data_size = first};
    memcpy(clip->chunk.data, data, first);
    if (size > first) {
        rest = driver_chunks(d, data + first, size - first, piece);
        clip->chunk.next_chunk = rest;
    }
    return addr;
}

/* An opaque copy of a whole picture to a place. */
static inline uint64_t driver_copy(struct driver *d, uint32_t surface, int32_t x, int32_t y,
                                   uint32_t width, uint32_t height, uint64_t image)
{
    uint64_t addr;
    QXLDrawable *p = driver_drawable(
        d, QXL_DRAW_COPY, surface,
        (QXLRect){.left = x, .top = y, .right = x + width, .bottom = y + height}, &addr);

    p->u.copy.src_bitmap = image;
    p->u.copy.src_area = (QXLRect){.right = width, .bottom = height};
    p->u.copy.rop_descriptor = SPICE_ROPD_OP_PUT;
    return addr;
}

#endif
