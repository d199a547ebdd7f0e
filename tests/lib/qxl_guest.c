#include "tests/lib/qxl_guest_memory.h"

#include "base/bytes.h"
#include "base/error.h"
#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define DEVFN     PCI_DEVFN(2, 0)
#define BAR_SIZE  MIB(64)
#define POLL_US   50
#define MAX_POLLS (20 * 1000000 / POLL_US)
#define IN_VRAM   (1ULL << 63) /* in a release id */

#define FIELD(g, name) ((g)->header + offsetof(QXLRam, name))

/* --- the device's registers and shared words --- */

static uint32_t load(const void *p)
{
    return __atomic_load_n((const uint32_t *)p, __ATOMIC_ACQUIRE);
}

static void store(void *p, uint32_t value)
{
    __atomic_store_n((uint32_t *)p, value, __ATOMIC_SEQ_CST);
}

static void out(struct qxl_guest *g, unsigned port, uint8_t value)
{
    fake_out(g->machine, g->io + port, value, 1);
}

/* A guest sleeps here until an interrupt; that the device never gets on is a bug of the device. */
static void wait_until(struct qxl_guest *g, bool (*condition)(struct qxl_guest *g), const char *what)
{
    for (unsigned i = 0; !condition(g); i++) {
        if (i == MAX_POLLS)
            die("the device does not get on: %s", what);
        usleep(POLL_US);
    }
}

/* --- set-up --- */

/* The same content in shared memory, at the same place. Nothing uses it yet. */
static int share(uint8_t *memory, size_t size)
{
    uint8_t *copy = malloc(size);

    if (!copy)
        return -ENOMEM;
    memcpy(copy, memory, size);
    if (mmap(memory, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
        abort(); /* the old mapping is gone */
    for (size_t i = 0; i < size; i += 4096)
        if (!is_zero(copy + i, 4096))
            memcpy(memory + i, copy + i, 4096);
    free(copy);
    return 0;
}

int qxl_guest_init(struct qxl_guest *g, struct fake_machine *m, const char *record)
{
    struct qxl_config config = {.ram = BAR_SIZE, .vram = BAR_SIZE, .heads = QXL_MAX_HEADS, .record = record};
    int err;

    *g = (struct qxl_guest){.machine = m};
    err = qxl_create(&m->base, DEVFN, &config, &g->display);
    if (err)
        return err;
    fake_pci_setup(m, DEVFN);
    g->ram_base = fake_pci_bar(m, DEVFN, 0);
    g->vram_base = fake_pci_bar(m, DEVFN, 1);
    g->io = fake_pci_bar(m, DEVFN, 3);
    g->ram = memory_pointer(m->base.memory, g->ram_base, BAR_SIZE);
    g->vram = memory_pointer(m->base.memory, g->vram_base, BAR_SIZE);
    g->rom = memory_const_pointer(m->base.memory, fake_pci_bar(m, DEVFN, 2), sizeof(*g->rom));
    if (!g->ram || !g->vram || !g->rom)
        return fail(-EIO, "the QXL device's memory is not where it should be");
    g->header = g->ram + g->rom->ram_header_offset;
    err = share(g->ram, BAR_SIZE);
    return err ? err : share(g->vram, BAR_SIZE);
}

static uint64_t add_slot(struct qxl_guest *g, unsigned id, uint64_t start, uint64_t end)
{
    QXLMemSlot slot = {start, end};

    memcpy(FIELD(g, mem_slot), &slot, sizeof(slot));
    out(g, QXL_IO_MEMSLOT_ADD, id);
    return (uint64_t)id << 56 | (uint64_t)g->rom->slot_generation << 48;
}

void qxl_guest_start(struct qxl_guest *g)
{
    out(g, QXL_IO_RESET, 0);
    g->ram_slot = add_slot(g, 1, g->ram_base, g->ram_base + g->rom->ram_header_offset);
    g->vram_slot = add_slot(g, 2, g->vram_base, g->vram_base + BAR_SIZE);
    g->next = g->rom->pages_offset;
    g->vram_next = g->pushed = g->released = 0;
}

/* --- what comes back --- */

static void collect(struct qxl_guest *g)
{
    uint32_t cons = load(FIELD(g, release_ring.cons));

    while (cons != load(FIELD(g, release_ring.prod))) {
        uint64_t id;

        memcpy(&id, FIELD(g, release_ring.items) + cons % QXL_RELEASE_RING_SIZE * sizeof(id), sizeof(id));
        while (id) {
            bool in_vram = id & IN_VRAM;

            g->released += !in_vram;
            memcpy(&id, (in_vram ? g->vram : g->ram) + (id & ~IN_VRAM), sizeof(id)); /* release_info.next */
        }
        store(FIELD(g, release_ring.cons), ++cons);
    }
}

static bool all_released(struct qxl_guest *g)
{
    collect(g);
    return g->released == g->pushed;
}

/* --- memory --- */

void *qxl_guest_alloc(struct qxl_guest *g, size_t size, uint64_t *addr)
{
    uint64_t end = g->rom->ram_header_offset;
    void *p;

    if (size > end - g->rom->pages_offset)
        die("the device's memory is too small for a command with %zu bytes", size);
    if (size > end - g->next) {
        wait_until(g, all_released, "its memory is not given back");
        g->next = g->rom->pages_offset;
    }
    p = g->ram + g->next;
    *addr = g->ram_slot | g->next;
    g->next += ALIGN_UP(size, 64);
    return p;
}

static uint64_t vram_place(struct qxl_guest *g, const void *data, size_t size)
{
    uint64_t addr = g->vram_slot | g->vram_next;

    if (size > BAR_SIZE - g->vram_next)
        die("the device's memory is too small for the script's surfaces");
    memcpy(g->vram + g->vram_next, data, size);
    g->vram_next += ALIGN_UP(size, 4096);
    return addr;
}

/* --- rings --- */

static bool command_ring_has_room(struct qxl_guest *g)
{
    return load(FIELD(g, cmd_ring.prod)) - load(FIELD(g, cmd_ring.cons)) < QXL_COMMAND_RING_SIZE;
}

static bool cursor_ring_has_room(struct qxl_guest *g)
{
    return load(FIELD(g, cursor_ring.prod)) - load(FIELD(g, cursor_ring.cons)) < QXL_CURSOR_RING_SIZE;
}

/* After the item was written: make it the device's, and say so if the device asked for that. */
static void publish(struct qxl_guest *g, uint8_t *prod, const uint8_t *notify, unsigned port)
{
    uint32_t next = load(prod) + 1;

    store(prod, next);
    if (load(notify) == next)
        out(g, port, 0);
    collect(g);
}

static void push(struct qxl_guest *g, uint32_t type, uint64_t addr)
{
    QXLCommand command = {.data = addr, .type = type};

    wait_until(g, command_ring_has_room, "its command ring is full");
    memcpy(FIELD(g, cmd_ring.items) + load(FIELD(g, cmd_ring.prod)) % QXL_COMMAND_RING_SIZE * sizeof(command),
           &command, sizeof(command));
    publish(g, FIELD(g, cmd_ring.prod), FIELD(g, cmd_ring.notify_on_prod), QXL_IO_NOTIFY_CMD);
}

static void push_cursor(struct qxl_guest *g, uint64_t addr)
{
    QXLCommand command = {.data = addr, .type = QXL_CMD_CURSOR};

    wait_until(g, cursor_ring_has_room, "its cursor ring is full");
    memcpy(FIELD(g, cursor_ring.items) +
               load(FIELD(g, cursor_ring.prod)) % QXL_CURSOR_RING_SIZE * sizeof(command),
           &command, sizeof(command));
    publish(g, FIELD(g, cursor_ring.prod), FIELD(g, cursor_ring.notify_on_prod), QXL_IO_NOTIFY_CURSOR);
}

/* --- steps --- */

static int draw(struct qxl_guest *g, const QXLDrawable *from)
{
    QXLDrawable d = *from, *to;
    uint64_t addr;

    qxl_guest_place_parts(g, &d);
    to = qxl_guest_alloc(g, sizeof(d), &addr);
    d.release_info.id = addr & 0xffffffff;
    *to = d;
    g->pushed++;
    push(g, QXL_CMD_DRAW, addr);
    return 0;
}

/* Released when the surface is destroyed, so it does not lie in memory that is used in turn. */
static void create_surface(struct qxl_guest *g, QXLSurfaceCmd *c)
{
    QXLSurface *s = &c->u.surface_create;
    uint64_t addr;

    s->data = vram_place(g, script_pointer(s->data), (size_t)s->stride * s->height);
    c->release_info.id = IN_VRAM | g->vram_next;
    addr = vram_place(g, c, sizeof(*c));
    push(g, QXL_CMD_SURFACE, addr);
}

static int surface(struct qxl_guest *g, const QXLSurfaceCmd *from)
{
    QXLSurfaceCmd c = *from, *to;
    uint64_t addr;

    if (c.type == QXL_SURFACE_CMD_CREATE) {
        create_surface(g, &c);
        return 0;
    }
    to = qxl_guest_alloc(g, sizeof(c), &addr);
    c.release_info.id = addr & 0xffffffff;
    *to = c;
    g->pushed++;
    push(g, QXL_CMD_SURFACE, addr);
    return 0;
}

static int cursor(struct qxl_guest *g, const QXLCursorCmd *from)
{
    QXLCursorCmd c = *from, *to;
    uint64_t addr;

    if (c.type == QXL_CURSOR_SET) {
        const QXLCursor *shape = script_pointer(c.u.set.shape);

        c.u.set.shape = qxl_guest_place(g, shape, sizeof(*shape) + shape->chunk.data_size);
    }
    to = qxl_guest_alloc(g, sizeof(c), &addr);
    c.release_info.id = addr & 0xffffffff;
    *to = c;
    g->pushed++;
    push_cursor(g, addr);
    return 0;
}

static int primary(struct qxl_guest *g, const struct script_primary *p)
{
    QXLSurfaceCreate c = {.width = p->width,
                          .height = p->height,
                          .stride = (int32_t)p->stride,
                          .format = p->format,
                          .flags = QXL_SURF_FLAG_KEEP_DATA,
                          .mem = g->ram_slot};

    if ((uint64_t)p->stride * p->height > g->rom->pages_offset)
        return fail(-E2BIG, "the device has no room for a screen of %u x %u", p->width, p->height);
    out(g, QXL_IO_DESTROY_PRIMARY, 0);
    memcpy(g->ram, p->pixels, (size_t)p->stride * p->height);
    memcpy(FIELD(g, create_surface), &c, sizeof(c));
    out(g, QXL_IO_CREATE_PRIMARY, 0);
    return 0;
}

static int monitors(struct qxl_guest *g, const QXLMonitorsConfig *m)
{
    uint64_t addr = qxl_guest_place(g, m, sizeof(*m) + m->count * sizeof(m->heads[0]));

    memcpy(FIELD(g, monitors_config), &addr, sizeof(addr));
    out(g, QXL_IO_MONITORS_CONFIG_ASYNC, 0);
    qxl_guest_sync(g);
    return 0;
}

static int update_area(struct qxl_guest *g, const struct script_update *u)
{
    memcpy(FIELD(g, update_area), &u->area, sizeof(u->area));
    memcpy(FIELD(g, update_surface), &u->surface, sizeof(u->surface));
    out(g, QXL_IO_UPDATE_AREA, 0);
    return 0;
}

void qxl_guest_sync(struct qxl_guest *g)
{
    update_area(g, &(struct script_update){0});
}

int qxl_guest_step(struct qxl_guest *g, const struct step *step)
{
    switch (step->kind) {
    case STEP_PRIMARY:
        return primary(g, step->primary);
    case STEP_DRAW:
        return draw(g, step->draw);
    case STEP_SURFACE:
        return surface(g, step->surface);
    case STEP_CURSOR:
        return cursor(g, step->cursor);
    case STEP_MONITORS:
        return monitors(g, step->monitors);
    case STEP_UPDATE_AREA:
        return update_area(g, step->update);
    case STEP_OOM:
        out(g, QXL_IO_NOTIFY_OOM, 0);
        return 0;
    case STEP_FLUSH:
        out(g, QXL_IO_FLUSH_SURFACES_ASYNC, 0);
        qxl_guest_sync(g);
        return 0;
    case STEP_CURSOR_RESET: /* the device's own affair */
    case STEP_RESET_IMAGE_CACHE:
        return 0;
    }
    return fail(-EINVAL, "unknown step %u", step->kind);
}
