/*
 * qxl_io.c - the IO ports: a byte written to port n is command n.
 *
 * A command that needs the display's state is carried to the display thread with a copy of its parameters. Synchronous
 * ones make the CPU wait for it, without the device lock; asynchronous ones end with an IO_CMD interrupt, whatever comes
 * of them, and only one may be under way.
 */
#include "base/log.h"
#include "devices/qxl/qxl_record.h"

#include <ctype.h>
#include <stdlib.h>

struct io_request {
    struct qxl *q;
    const struct io_command *command;
    uint8_t value;
    uint64_t bars[QXL_MEMORY_BARS]; /* where they are */
    /* From the RAM header, when the IO was made: */
    QXLRect area;
    uint32_t surface;
    QXLMemSlot slot;
    QXLSurfaceCreate create;
    QXLPHYSICAL monitors;
};

struct io_command {
    const char *name;
    void (*run)(const struct io_request *r);
    bool async;
    bool in_vga;          /* makes sense while the VGA is shown */
    uint8_t min_revision; /* of the device, or the port does not exist */
};

/* --- in the display thread --- */

static void run_update_area(const struct io_request *r)
{
    struct rect area = {r->area.left, r->area.top, r->area.right, r->area.bottom};

    if (r->surface >= QXL_SURFACES || area.left < 0 || area.top < 0 || area.left > area.right ||
        area.top > area.bottom) {
        qxl_bug(r->q, "area (%d, %d)-(%d, %d) of surface %u cannot be updated", area.left, area.top,
                area.right, area.bottom, r->surface);
        return;
    }
    qxl_drain_all(r->q);
    qxl_surface_write_back(r->q, r->surface, &area);
    qxl_record_update(r->q, r->surface, &r->area, r->command->async ? TRACE_UPDATE_ASYNC : TRACE_UPDATE_SYNC);
}

void qxl_hard_reset(struct qxl *q)
{
    qxl_pending_drop(q);
    for (unsigned i = 0; i < QXL_SLOTS; i++)
        q->slots[i].active = false;
    /* Without slots nothing is written back or released into memory that the next driver owns. */
    qxl_enter_vga(q);
    qxl_surfaces_reset(q);
    pixman_region32_clear(&q->damage);
    qxl_rom_init(q);
    display_set_takes_heads(&q->head.display, false);
    __atomic_store_n(&q->async, false, __ATOMIC_RELEASE);
    __atomic_store_n(&q->bug, false, __ATOMIC_RELEASE);
    qxl_update_irq(q);
}

static void run_reset(const struct io_request *r)
{
    qxl_hard_reset(r->q);
}

static void run_set_mode(const struct io_request *r)
{
    qxl_set_mode(r->q, r->value, r->bars);
}

static void run_slot_add(const struct io_request *r)
{
    qxl_slot_add(r->q, r->value, &r->slot, r->bars, 0);
}

static void run_slot_delete(const struct io_request *r)
{
    qxl_slot_delete(r->q, r->value);
}

static void run_nothing(const struct io_request *r UNUSED)
{
}

static void run_create_primary(const struct io_request *r)
{
    if (r->value)
        qxl_bug(r->q, "there is no surface %u to be the primary", r->value);
    else
        qxl_primary_create(r->q, &r->create, QXL_MODE_NATIVE);
}

static void run_destroy_primary(const struct io_request *r)
{
    if (r->value) {
        qxl_bug(r->q, "surface %u is not the primary", r->value);
        return;
    }
    qxl_drain_all(r->q);
    qxl_primary_destroy(r->q);
}

static void run_destroy_surface(const struct io_request *r)
{
    qxl_drain_all(r->q);
    if (r->value)
        qxl_surface_destroy(r->q, r->value);
    qxl_push_releases(r->q);
}

static void run_destroy_all(const struct io_request *r)
{
    qxl_drain_all(r->q);
    qxl_primary_destroy(r->q);
    qxl_surfaces_destroy(r->q);
    qxl_push_releases(r->q);
    __atomic_store_n(&r->q->mode, QXL_MODE_UNDEFINED, __ATOMIC_RELEASE);
}

static void run_flush_surfaces(const struct io_request *r)
{
    qxl_drain_all(r->q);
    qxl_surfaces_write_back(r->q);
    qxl_record_event(r->q, TRACE_FLUSH_SURFACES);
}

static void run_flush_release(const struct io_request *r)
{
    qxl_push_releases(r->q);
}

static void run_monitors_config(const struct io_request *r)
{
    qxl_drain_all(r->q);
    qxl_monitors_config(r->q, r->monitors);
}

static const struct io_command commands[QXL_IO_RANGE_SIZE] = {
    [QXL_IO_UPDATE_AREA] = {"UPDATE_AREA", run_update_area},
    [QXL_IO_RESET] = {"RESET", run_reset, .in_vga = true},
    [QXL_IO_SET_MODE] = {"SET_MODE", run_set_mode, .in_vga = true},
    [QXL_IO_MEMSLOT_ADD] = {"MEMSLOT_ADD", run_slot_add, .in_vga = true},
    [QXL_IO_MEMSLOT_DEL] = {"MEMSLOT_DEL", run_slot_delete, .in_vga = true},
    [QXL_IO_DETACH_PRIMARY] = {"DETACH_PRIMARY", run_nothing},
    [QXL_IO_ATTACH_PRIMARY] = {"ATTACH_PRIMARY", run_nothing},
    [QXL_IO_CREATE_PRIMARY] = {"CREATE_PRIMARY", run_create_primary, .in_vga = true},
    [QXL_IO_DESTROY_PRIMARY] = {"DESTROY_PRIMARY", run_destroy_primary},
    [QXL_IO_DESTROY_SURFACE_WAIT] = {"DESTROY_SURFACE_WAIT", run_destroy_surface},
    [QXL_IO_DESTROY_ALL_SURFACES] = {"DESTROY_ALL_SURFACES", run_destroy_all},
    [QXL_IO_UPDATE_AREA_ASYNC] = {"UPDATE_AREA_ASYNC", run_update_area, .async = true,
                                  .min_revision = 3},
    [QXL_IO_MEMSLOT_ADD_ASYNC] = {"MEMSLOT_ADD_ASYNC", run_slot_add, true, true, 3},
    [QXL_IO_CREATE_PRIMARY_ASYNC] = {"CREATE_PRIMARY_ASYNC", run_create_primary, true, true, 3},
    [QXL_IO_DESTROY_PRIMARY_ASYNC] = {"DESTROY_PRIMARY_ASYNC", run_destroy_primary, true, false, 3},
    [QXL_IO_DESTROY_SURFACE_ASYNC] = {"DESTROY_SURFACE_ASYNC", run_destroy_surface, true, false, 3},
    [QXL_IO_DESTROY_ALL_SURFACES_ASYNC] = {"DESTROY_ALL_SURFACES_ASYNC", run_destroy_all, true,
                                           false, 3},
    [QXL_IO_FLUSH_SURFACES_ASYNC] = {"FLUSH_SURFACES_ASYNC", run_flush_surfaces, true, false, 3},
    [QXL_IO_FLUSH_RELEASE] = {"FLUSH_RELEASE", run_flush_release, .min_revision = 3},
    [QXL_IO_MONITORS_CONFIG_ASYNC] = {"MONITORS_CONFIG_ASYNC", run_monitors_config, true, false, 4},
};

/* A revision up to 4 leaves native mode when somebody writes to the VGA; what follows finds it left. */
static void leave_native_if_touched(struct qxl *q)
{
    if (__atomic_exchange_n(&q->vga_touched, false, __ATOMIC_ACQ_REL))
        qxl_enter_vga(q);
}

static void run(void *arg)
{
    const struct io_request *r = arg;
    bool bug = __atomic_load_n(&r->q->bug, __ATOMIC_RELAXED);

    qxl_pending_draw(r->q);
    leave_native_if_touched(r->q);
    if (bug && r->command->run != run_reset)
        return;
    if (r->q->mode == QXL_MODE_VGA && !r->command->in_vga)
        log_once(LOG_DEBUG, "qxl: %s while the VGA is shown does nothing", r->command->name);
    else
        r->command->run(r);
    qxl_rom_watch_driver(r->q);
}

static void run_async(void *arg)
{
    struct io_request *r = arg;

    run(r);
    __atomic_store_n(&r->q->async, false, __ATOMIC_RELEASE);
    qxl_interrupt(r->q, QXL_INTERRUPT_IO_CMD);
    free(r);
}

/* The notifier's work: rings to look at, memory to give back, the VGA touched. */
void qxl_notified(void *opaque)
{
    struct qxl *q = opaque;

    leave_native_if_touched(q);
    if (__atomic_exchange_n(&q->oom, false, __ATOMIC_ACQ_REL)) {
        qxl_drain_all(q);
        qxl_push_releases(q);
        qxl_record_event(q, TRACE_OOM);
    }
    if (qxl_drain(q, QXL_COMMAND_RING_SIZE + QXL_CURSOR_RING_SIZE))
        notifier_signal(&q->notify);
}

/* --- in a CPU's thread --- */

static void fill_request(struct io_request *r, struct qxl *q, uint8_t value)
{
    const uint8_t *h = q->header;

    *r = (struct io_request){.q = q, .value = value};
    machine_lock(q->pci.base.machine);
    qxl_find_bars(q, r->bars);
    machine_unlock(q->pci.base.machine);
    guest_copy(&r->area, h + offsetof(QXLRam, update_area), sizeof(r->area));
    guest_copy(&r->surface, h + offsetof(QXLRam, update_surface), sizeof(r->surface));
    guest_copy(&r->slot, h + offsetof(QXLRam, mem_slot), sizeof(r->slot));
    guest_copy(&r->create, h + offsetof(QXLRam, create_surface), sizeof(r->create));
    guest_copy(&r->monitors, h + offsetof(QXLRam, monitors_config), sizeof(r->monitors));
}

static void start_async(struct qxl *q, const struct io_command *c, uint8_t value)
{
    struct io_request *r;

    if (__atomic_exchange_n(&q->async, true, __ATOMIC_ACQ_REL)) {
        qxl_bug(q, "%s before the asynchronous command before it ended", c->name);
        return;
    }
    r = malloc(sizeof(*r));
    if (!r) {
        __atomic_store_n(&q->async, false, __ATOMIC_RELEASE);
        qxl_interrupt(q, QXL_INTERRUPT_IO_CMD);
        return;
    }
    fill_request(r, q, value);
    r->command = c;
    loop_call(&q->head.loop, run_async, r);
}

static void log_message(struct qxl *q)
{
    char text[QXL_LOG_BUF_SIZE];

    guest_copy(text, q->header + offsetof(QXLRam, log_buf), sizeof(text));
    text[sizeof(text) - 1] = 0;
    for (char *p = text; *p; p++)
        if (!isprint((unsigned char)*p))
            *p = ' ';
    log_debug("qxl: the guest says: %s", text);
}

static void set_irq(struct qxl *q)
{
    machine_lock(q->pci.base.machine);
    qxl_update_irq(q);
    machine_unlock(q->pci.base.machine);
}

/* Commands that need no answer, or none from the display thread; false: it is another one. */
static bool quick_command(struct qxl *q, unsigned port)
{
    switch (port) {
    case QXL_IO_NOTIFY_OOM:
        __atomic_store_n(&q->oom, true, __ATOMIC_RELEASE);
        notifier_signal(&q->notify);
        return true;
    case QXL_IO_NOTIFY_CMD:
    case QXL_IO_NOTIFY_CURSOR:
        notifier_signal(&q->notify);
        return true;
    case QXL_IO_UPDATE_IRQ:
        set_irq(q);
        return true;
    case QXL_IO_LOG:
        log_message(q);
        return true;
    default:
        return false;
    }
}

static void io_write(void *opaque, uint64_t port, uint64_t value, unsigned width UNUSED)
{
    struct qxl *q = opaque;
    const struct io_command *c = port < ARRAY_SIZE(commands) ? &commands[port] : NULL;
    struct io_request r;

    if (__atomic_load_n(&q->bug, __ATOMIC_RELAXED) && port != QXL_IO_RESET) {
        if (c && c->async)
            qxl_interrupt(q, QXL_INTERRUPT_IO_CMD); /* or the driver waits for its time-out */
        return;
    }
    if (quick_command(q, port))
        return;
    if (!c || !c->run || c->min_revision > q->revision) {
        qxl_bug(q, "revision %u has no IO port %u", q->revision, (unsigned)port);
    } else if (c->async) {
        start_async(q, c, value);
    } else {
        fill_request(&r, q, value);
        r.command = c;
        loop_call_wait(&q->head.loop, run, &r);
    }
}

static uint64_t io_read(void *opaque UNUSED, uint64_t port UNUSED, unsigned width UNUSED)
{
    return 0xff;
}

const struct region_ops qxl_io_ops = {io_read, io_write, 1, 1};
