/* qxl_state.c - the device's saved state. */
#include "base/error.h"
#include "devices/qxl/qxl_record.h"

#include <errno.h>

#define PAGE         4096
#define END_OF_PAGES UINT32_MAX

/* Pages that hold something, each after its number. */
static void save_ram(const struct ram *ram, struct writer *w)
{
    for (uint32_t i = 0; i < ram->size / PAGE; i++) {
        const uint8_t *page = ram->host + (size_t)i * PAGE;

        if (is_zero(page, PAGE))
            continue;
        writer_u32(w, i);
        writer_bytes(w, page, PAGE);
    }
    writer_u32(w, END_OF_PAGES);
}

static int load_ram(struct ram *ram, struct reader *r)
{
    uint32_t next = 0, i;

    while ((i = reader_u32(r)) != END_OF_PAGES) {
        const uint8_t *page = reader_bytes(r, PAGE);

        if (!page || i >= ram->size / PAGE || i < next)
            return fail(-EINVAL, "the saved state of the QXL's memory is damaged");
        memset(ram->host + (size_t)next * PAGE, 0, (size_t)(i - next) * PAGE);
        memcpy(ram->host + (size_t)i * PAGE, page, PAGE);
        next = i + 1;
    }
    memset(ram->host + (size_t)next * PAGE, 0, ram->size - (size_t)next * PAGE);
    return 0;
}

static void save_slots(const struct qxl *q, struct writer *w)
{
    for (unsigned i = 0; i < QXL_SLOTS; i++) {
        const struct qxl_slot *s = &q->slots[i];

        writer_u8(w, s->active);
        writer_u8(w, s->ram == &q->vram);
        writer_u64(w, s->start);
        writer_u64(w, s->size);
        writer_u64(w, s->delta);
    }
}

static int load_slots(struct qxl *q, struct reader *r)
{
    for (unsigned i = 0; i < QXL_SLOTS; i++) {
        struct qxl_slot *s = &q->slots[i];

        s->active = reader_u8(r);
        s->ram = reader_u8(r) ? &q->vram : &q->ram;
        s->start = reader_u64(r);
        s->size = reader_u64(r);
        s->delta = reader_u64(r);
        if (s->start > s->ram->size || s->size > s->ram->size - s->start)
            return fail(-EINVAL, "the saved state of the QXL's memory slot %u is damaged", i);
    }
    return 0;
}

static void save_surfaces(const struct qxl *q, struct writer *w)
{
    for (uint32_t id = 0; id < QXL_SURFACES; id++) {
        const struct qxl_surface *s = &q->surfaces[id];

        if (!s->canvas)
            continue;
        writer_u32(w, id);
        writer_u32(w, s->canvas->format);
        writer_u32(w, s->canvas->width);
        writer_u32(w, s->canvas->height);
        writer_u32(w, s->stride);
        writer_u64(w, s->data);
        writer_u64(w, s->create_command);
    }
    writer_u32(w, UINT32_MAX);
}

/* Their pixels are in the guest's memory, written back before it was saved. */
static int load_surfaces(struct qxl *q, struct reader *r, unsigned mode)
{
    uint32_t id;

    while ((id = reader_u32(r)) != UINT32_MAX && !r->bad) {
        struct qxl_surface_args a = {.format = reader_u32(r),
                                     .width = reader_u32(r),
                                     .height = reader_u32(r),
                                     .stride = reader_u32(r),
                                     .data = reader_u64(r),
                                     .keep = true};
        QXLPHYSICAL command = reader_u64(r);
        QXLSurfaceCreate primary = {
            a.width, a.height, a.stride, a.format, .flags = QXL_SURF_FLAG_KEEP_DATA, .mem = a.data};

        if (id >= QXL_SURFACES || q->surfaces[id].canvas)
            return fail(-EINVAL, "the saved state has an impossible QXL surface %u", id);
        if (id == 0)
            qxl_primary_create(q, &primary, mode);
        else if (qxl_surface_create(q, id, &a, command) != 0)
            return fail(-EINVAL, "the saved QXL surface %u is damaged", id);
    }
    return r->bad || q->bug ? fail(-EINVAL, "the saved state of the QXL is damaged") : 0;
}

static void save_display(const struct display *d, struct writer *w)
{
    writer_u32(w, d->cursor_x);
    writer_u32(w, d->cursor_y);
    writer_u8(w, d->cursor_visible);
    writer_u32(w, d->cursor.data ? d->cursor.size : 0);
    if (d->cursor.data) {
        writer_u8(w, d->cursor.type);
        writer_u32(w, d->cursor.width);
        writer_u32(w, d->cursor.height);
        writer_u32(w, d->cursor.hot_x);
        writer_u32(w, d->cursor.hot_y);
        writer_bytes(w, d->cursor.data, d->cursor.size);
    }
    writer_u32(w, d->head_count);
    for (size_t i = 0; i < d->head_count; i++) {
        writer_u32(w, d->heads[i].id);
        writer_u32(w, d->heads[i].x);
        writer_u32(w, d->heads[i].y);
        writer_u32(w, d->heads[i].width);
        writer_u32(w, d->heads[i].height);
    }
    writer_u32(w, d->max_heads);
}

static size_t cursor_bytes(const struct display_cursor *c)
{
    if (c->type == DISPLAY_CURSOR_ALPHA)
        return (size_t)c->width * c->height * 4;
    return 2 * (size_t)DIV_ROUND_UP(c->width, 8) * c->height;
}

static int load_cursor(struct display *d, struct reader *r, uint32_t size)
{
    struct display_cursor c = {.type = reader_u8(r),
                               .width = reader_u32(r),
                               .height = reader_u32(r),
                               .hot_x = reader_u32(r),
                               .hot_y = reader_u32(r),
                               .size = size};

    c.data = reader_bytes(r, size);
    if (!c.data || c.type > DISPLAY_CURSOR_MONO || !c.width || !c.height ||
        c.width > DISPLAY_MAX_CURSOR || c.height > DISPLAY_MAX_CURSOR || c.hot_x >= c.width ||
        c.hot_y >= c.height || size != cursor_bytes(&c))
        return fail(-EINVAL, "the saved cursor is damaged");
    display_set_cursor(d, &c);
    return 0;
}

static int load_display(struct display *d, struct reader *r, uint32_t version)
{
    int32_t x = reader_u32(r), y = reader_u32(r);
    bool visible = reader_u8(r);
    uint32_t size = reader_u32(r), count, max;
    struct display_head heads[DISPLAY_MAX_HEADS];
    int err = size ? load_cursor(d, r, size) : 0;

    if (err)
        return err;
    display_move_cursor(d, x, y, visible);
    count = reader_u32(r);
    if (count > DISPLAY_MAX_HEADS)
        return fail(-EINVAL, "the saved monitors are damaged");
    for (uint32_t i = 0; i < count; i++)
        heads[i] = (struct display_head){reader_u32(r), reader_u32(r), reader_u32(r), reader_u32(r),
                                         reader_u32(r)};
    max = version < 2 ? count : reader_u32(r);
    if (!r->bad)
        display_set_heads(d, heads, count, max);
    return r->bad ? -EINVAL : 0;
}

struct state_call {
    struct qxl *q;
    struct writer *w;
    struct reader *r;
    uint32_t version;
    int err;
};

static void save_in_thread(void *arg)
{
    struct state_call *call = arg;
    struct qxl *q = call->q;

    qxl_surfaces_write_back(q);
    writer_u8(call->w, q->mode);
    writer_u8(call->w, q->bug);
    writer_u32(call->w, q->free_count);
    writer_u64(call->w, q->last_release);
    writer_bytes(call->w, q->rom_ram.host, QXL_ROM_SIZE);
    save_ram(&q->ram, call->w);
    save_ram(&q->vram, call->w);
    save_slots(q, call->w);
    save_surfaces(q, call->w);
    save_display(&q->head.display, call->w);
}

static int load_parts(struct qxl *q, struct reader *r, uint32_t version)
{
    unsigned mode = reader_u8(r);
    bool bug = reader_u8(r);
    uint32_t free_count = reader_u32(r);
    uint64_t last_release = reader_u64(r);
    const uint8_t *rom = reader_bytes(r, QXL_ROM_SIZE);
    int err;

    if (!rom || mode > QXL_MODE_NATIVE || (q->secondary && mode == QXL_MODE_VGA))
        return fail(-EINVAL, "the saved state of the QXL is damaged");
    qxl_hard_reset(q);
    memcpy(q->rom_ram.host, rom, QXL_ROM_SIZE);
    err = load_ram(&q->ram, r);
    if (!err)
        err = load_ram(&q->vram, r);
    if (!err)
        err = load_slots(q, r);
    if (!err)
        err = load_surfaces(q, r, mode);
    if (!err)
        err = load_display(&q->head.display, r, version);
    if (mode == QXL_MODE_UNDEFINED)
        head_show_vga(&q->head, false);
    __atomic_store_n(&q->mode, mode, __ATOMIC_RELEASE);
    q->bug = bug;
    q->free_count = free_count;
    q->last_release = last_release;
    if (err)
        return err;
    qxl_rom_loaded(q);
    qxl_rom_watch_driver(q);
    qxl_record_loaded(q);
    return err;
}

static void load_in_thread(void *arg)
{
    struct state_call *call = arg;

    call->err = load_parts(call->q, call->r, call->version);
    if (call->err)
        qxl_hard_reset(call->q);
    /* The rings may hold what nobody will be notified of again. */
    notifier_signal(&call->q->notify);
}

void qxl_save(struct device *device, struct writer *w)
{
    struct qxl *q = container_of(device, struct qxl, pci.base);
    struct state_call call = {.q = q, .w = w};

    pci_save(&q->pci, w);
    vga_save(&q->head.vga, w);
    loop_call_wait(&q->head.loop, save_in_thread, &call);
}

int qxl_load(struct device *device, struct reader *r, uint32_t version)
{
    struct qxl *q = container_of(device, struct qxl, pci.base);
    struct state_call call = {.q = q, .r = r, .version = version};
    int err = pci_load(&q->pci, r);

    q->pci.config_written(&q->pci, 0, 0); /* the BARs may have moved */
    if (!err)
        err = vga_load(&q->head.vga, r);
    if (err)
        return err;
    loop_call_wait(&q->head.loop, load_in_thread, &call);
    return call.err ? fail(call.err, "the saved state of the QXL is damaged") : 0;
}
