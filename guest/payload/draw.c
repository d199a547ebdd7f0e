/*
 * Draws at random on a QXL device: for each line "SEED COUNT" on the serial port so many of that seed's commands, and
 * answers with a hash of each surface as the device has written it into memory, and how many commands came back. An empty
 * line ends it. tests/payload/draw compares with an oracle.
 */
#include "drawing.h"
#include "payload.h"

#include <spice/enums.h>
#include <spice/qxl_dev.h>

#define UART     0x3f8
#define UART_LSR (UART + 5)
#define PATIENCE (PM_TIMER_HZ * 3)
#define SPARE    0x100000 /* behind the commands' memory */
#define SLOT(n)  ((uint64_t)(n) << 56)

__asm__(".section .rodata\n"
        "recorded_start:\n"
        ".incbin \"tests/data/codec/quic.pictures\"\n"
        ".incbin \"tests/data/codec/lz.pictures\"\n"
        "recorded_end:\n"
        ".previous\n");
extern const uint8_t recorded_start[], recorded_end[];

static struct {
    uint8_t *ram, *vram;
    const QXLRom *rom;
    uint8_t *header;
    uint16_t io;
    struct drawing_memory memory;
    unsigned pushed, released;
} qxl;

static struct drawing_size sizes[DRAWING_MAX_STREAMS];
static const uint8_t *streams[DRAWING_MAX_STREAMS];
static uint8_t stream_types[DRAWING_MAX_STREAMS];
static struct drawing_streams all_streams = {0, sizes};
static struct drawing_surface surfaces[DRAWING_SURFACES];

/* As tests/lib/recorded.h describes them. */
static void find_streams(void)
{
    const uint8_t *p = recorded_start;
    uint32_t size;
    uint16_t shape[2];

    for (; p < recorded_end; p += 28 + size) {
        unsigned n = all_streams.count;

        memcpy(&size, p + 24, sizeof(size));
        memcpy(shape, p + 4, sizeof(shape));
        if (n == DRAWING_MAX_STREAMS || !drawing_takes_stream(p[0], p[1], shape[0], shape[1]))
            continue;
        sizes[n] = (struct drawing_size){shape[0], shape[1]};
        streams[n] = p + 24;
        stream_types[n] = p[0];
        all_streams.count++;
    }
}

/* --- the device --- */

#define FIELD(name) (qxl.header + offsetof(QXLRam, name))

static uint32_t shared_load(const void *p)
{
    return __atomic_load_n((const uint32_t *)p, __ATOMIC_ACQUIRE);
}

static void shared_store(void *p, uint32_t value)
{
    __atomic_store_n((uint32_t *)p, value, __ATOMIC_SEQ_CST);
}

static void command(unsigned port, uint8_t value)
{
    outb((uint16_t)(qxl.io + port), value);
}

static void add_slot(unsigned id, uint64_t start, uint64_t size)
{
    QXLMemSlot slot = {start, start + size};

    memcpy(FIELD(mem_slot), &slot, sizeof(slot));
    command(QXL_IO_MEMSLOT_ADD, (uint8_t)id);
}

static bool find_device(void)
{
    int devfn = pci_find(REDHAT_PCI_VENDOR_ID, QXL_DEVICE_ID_STABLE);

    if (devfn < 0)
        return false;
    qxl.ram = (uint8_t *)pci_bar((unsigned)devfn, QXL_RAM_RANGE_INDEX);
    qxl.vram = (uint8_t *)pci_bar((unsigned)devfn, QXL_VRAM_RANGE_INDEX);
    qxl.rom = (const QXLRom *)pci_bar((unsigned)devfn, QXL_ROM_RANGE_INDEX);
    qxl.io = (uint16_t)pci_bar((unsigned)devfn, QXL_IO_RANGE_INDEX);
    qxl.header = qxl.ram + qxl.rom->ram_header_offset;
    return qxl.rom->magic == QXL_ROM_MAGIC;
}

/* What the device gives back; the id is the offset. */
static void collect(void)
{
    uint32_t cons = shared_load(FIELD(release_ring.cons));

    while (cons != shared_load(FIELD(release_ring.prod))) {
        uint64_t id;

        memcpy(&id, FIELD(release_ring.items) + cons % QXL_RELEASE_RING_SIZE * 8, 8);
        for (; id; qxl.released++)
            memcpy(&id, qxl.ram + id, 8);
        shared_store(FIELD(release_ring.cons), ++cons);
    }
}

static void push(uint32_t type, uint64_t addr)
{
    uint32_t prod = shared_load(FIELD(cmd_ring.prod));
    QXLCommand c = {.data = addr, .type = type};

    while (prod - shared_load(FIELD(cmd_ring.cons)) >= QXL_COMMAND_RING_SIZE)
        collect();
    memcpy(FIELD(cmd_ring.items) + prod % QXL_COMMAND_RING_SIZE * sizeof(c), &c, sizeof(c));
    shared_store(FIELD(cmd_ring.prod), prod + 1);
    if (shared_load(FIELD(cmd_ring.notify_on_prod)) == prod + 1)
        command(QXL_IO_NOTIFY_CMD, 0);
    qxl.pushed++;
}

/* --- drawing --- */

static uint8_t *memory_of(unsigned surface)
{
    return surface ? qxl.vram + (surface << 17) : qxl.ram;
}

static uint64_t address_of(unsigned surface)
{
    return surface ? SLOT(2) | surface << 17 : SLOT(1);
}

static void push_surface(unsigned surface, bool create, bool keep)
{
    push(QXL_CMD_SURFACE, drawing_encode_surface(&qxl.memory, surface, &surfaces[surface], address_of(surface), create, keep));
}

static void begin(void)
{
    QXLSurfaceCreate create = {.width = surfaces[0].width,
                               .height = surfaces[0].height,
                               .stride = drawing_stride(&surfaces[0]),
                               .format = surfaces[0].format,
                               .mem = SLOT(1)};

    command(QXL_IO_RESET, 0);
    add_slot(1, (uint64_t)qxl.ram, qxl.rom->ram_header_offset);
    add_slot(2, (uint64_t)qxl.vram, DRAWING_SURFACES << 17);
    memcpy(FIELD(create_surface), &create, sizeof(create));
    command(QXL_IO_CREATE_PRIMARY, 0);
    qxl.pushed = qxl.released = 0;
    qxl.memory = (struct drawing_memory){.base = qxl.ram,
                                         .slot = SLOT(1),
                                         .next = qxl.rom->pages_offset,
                                         .end = qxl.rom->ram_header_offset - SPARE,
                                         .streams = streams,
                                         .stream_types = stream_types};
    for (unsigned i = 1; i < DRAWING_SURFACES; i++)
        push_surface(i, true, false);
}

static void draw(struct drawing_random *random, uint32_t count)
{
    static struct drawing d;

    for (uint32_t i = 0; i < count; i++) {
        drawing_next(random, surfaces, &all_streams, &d);
        if (d.type != DRAWING_REMAKE) {
            push(QXL_CMD_DRAW, drawing_encode(&qxl.memory, &d));
        } else {
            push_surface(d.surface, false, false);
            push_surface(d.surface, true, true);
        }
    }
}

static uint64_t hash_of(unsigned surface)
{
    const struct drawing_surface *s = &surfaces[surface];
    QXLRect all = {.right = s->width, .bottom = s->height};

    memcpy(FIELD(update_area), &all, sizeof(all));
    memcpy(FIELD(update_surface), &surface, sizeof(uint32_t));
    command(QXL_IO_UPDATE_AREA, 0);
    return drawing_hash(s, memory_of(surface));
}

/* All commands come back, those that made surfaces too. */
static void wait_for_releases(void)
{
    uint32_t start = inl(PM_TIMER);

    command(QXL_IO_DESTROY_ALL_SURFACES, 0);
    while (qxl.released < qxl.pushed && pm_ticks_since(start) < PATIENCE) {
        collect();
        command(QXL_IO_FLUSH_RELEASE, 0);
    }
}

/* --- the serial port --- */

/* A number and what ends it. */
static uint32_t read_number(char *end)
{
    uint32_t value = 0;

    for (;;) {
        char c;

        while (!(inb(UART_LSR) & 1))
            ;
        c = (char)inb(UART);
        if (c < '0' || c > '9') {
            *end = c;
            return value;
        }
        value = value * 10 + (uint32_t)(c - '0');
    }
}

static void put_word(uint64_t value)
{
    put_hex(value);
    put(" ");
}

static void answer(uint32_t seed, uint32_t count)
{
    struct drawing_random random;

    drawing_start(&random, seed, surfaces);
    begin();
    draw(&random, count);
    put("= ");
    for (unsigned i = 0; i < DRAWING_SURFACES; i++)
        put_word(hash_of(i));
    wait_for_releases();
    put_word(qxl.pushed);
    put_word(qxl.released);
    put_word(qxl.memory.full || shared_load(FIELD(int_pending)) & QXL_INTERRUPT_ERROR);
    put("\n");
}

int main(void)
{
    if (!find_device()) {
        check(false, "there is a QXL device");
        return 0;
    }
    find_streams();
    put("drawing\n");
    for (;;) {
        char end;
        uint32_t seed = read_number(&end);

        if (end != ' ')
            return 0;
        answer(seed, read_number(&end));
    }
}
