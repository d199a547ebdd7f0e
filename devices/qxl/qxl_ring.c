/* qxl_ring.c - the rings shared with the guest, what it gets back through them, and its interrupt. */
#include "base/log.h"
#include "devices/qxl/qxl_record.h"

#include <stdarg.h>
#include <stdio.h>

/* Lets a guest refill a ring so many times while it is emptied. */
#define DRAIN_ROUNDS      4
/*
 * A guest that puts so many commands into the rings in a millisecond need not tell of each: it is looked after every
 * millisecond, and tells when half a ring is full, until it puts fewer.
 */
#define BUSY_COMMANDS     16
#define NOTICE_AHEAD      (QXL_COMMAND_RING_SIZE / 2)
#define POLL_MS           1
#define MIN_PUSH_DELAY_MS 5
#define MAX_PUSH_DELAY_MS 1000

#define RING(q, field, type)                                                                       \
    (struct qxl_ring)                                                                              \
    {                                                                                              \
        (uint32_t *)((q)->header + offsetof(QXLRam, field.prod)),                                  \
            (uint32_t *)((q)->header + offsetof(QXLRam, field.notify_on_prod)),                    \
            (uint32_t *)((q)->header + offsetof(QXLRam, field.cons)),                              \
            (uint32_t *)((q)->header + offsetof(QXLRam, field.notify_on_cons)),                    \
            (q)->header + offsetof(QXLRam, field.items), sizeof(type##_ring_el),                   \
            ARRAY_SIZE(((QXLRam *)0)->field.items)                                                 \
    }

static uint32_t load(const uint32_t *p)
{
    return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

static void store(uint32_t *p, uint32_t value)
{
    __atomic_store_n(p, value, __ATOMIC_RELEASE);
}

static uint8_t *ring_item(const struct qxl_ring *r, uint32_t index)
{
    return r->items + (index & (r->count - 1)) * r->item_size;
}

void qxl_rings_attach(struct qxl *q)
{
    q->commands = RING(q, cmd_ring, QXLCommandRing);
    q->cursors = RING(q, cursor_ring, QXLCursorRing);
    q->releases = RING(q, release_ring, QXLReleaseRing);
    q->int_pending = (uint32_t *)(q->header + offsetof(QXLRam, int_pending));
    q->int_mask = (uint32_t *)(q->header + offsetof(QXLRam, int_mask));
}

static void set_next_release(struct qxl *q, uint64_t id)
{
    guest_copy(ring_item(&q->releases, load(q->releases.prod)), &id, sizeof(id));
}

static void ring_reset(struct qxl_ring *r)
{
    store(r->prod - 1, r->count); /* num_items comes first */
    store(r->prod, 0);
    store(r->cons, 0);
    store(r->notify_on_prod, 1);
    store(r->notify_on_cons, 0);
}

void qxl_rings_reset(struct qxl *q)
{
    ring_reset(&q->commands);
    ring_reset(&q->cursors);
    ring_reset(&q->releases);
    q->free_count = 0;
    q->last_release = 0;
    set_next_release(q, 0);
}

/* --- commands --- */

static unsigned notice(const struct qxl *q)
{
    return uv_is_active((const uv_handle_t *)&q->poll_timer) ? NOTICE_AHEAD : 1;
}

/* Nothing in the ring: ask to be told of what comes, and look again, as it may have come meanwhile. */
static bool ring_is_empty(const struct qxl *q, struct qxl_ring *r)
{
    uint32_t prod = load(r->prod);

    if (load(r->cons) != prod)
        return false;
    store(r->notify_on_prod, prod + notice(q));
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return load(r->cons) == load(r->prod);
}

static bool ring_pop(struct qxl *q, struct qxl_ring *r, QXLCommand *command, uint32_t interrupt)
{
    uint32_t cons;

    if (ring_is_empty(q, r))
        return false;
    cons = load(r->cons);
    if (load(r->prod) - cons > r->count) {
        qxl_bug(q, "a ring holds more than it can");
        return false;
    }
    guest_copy(command, ring_item(r, cons), sizeof(*command));
    store(r->cons, cons + 1);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (load(r->notify_on_cons) == cons + 1)
        qxl_interrupt(q, interrupt);
    return true;
}

static void run_command(struct qxl *q, const QXLCommand *command)
{
    switch (command->type) {
    case QXL_CMD_DRAW:
        qxl_command_draw(q, command->data);
        break;
    case QXL_CMD_SURFACE:
        qxl_command_surface(q, command->data);
        break;
    case QXL_CMD_CURSOR:
        qxl_command_cursor(q, command->data);
        break;
    case QXL_CMD_UPDATE: /* of drivers older than UPDATE_AREA: memory is up to date when it is released */
        qxl_surfaces_write_back(q);
        qxl_record_update(q, 0, &(QXLRect){0}, TRACE_UPDATE_COMMAND | TRACE_UPDATE_UNKNOWN);
        qxl_release(q, command->data);
        break;
    case QXL_CMD_MESSAGE:
        qxl_release(q, command->data);
        break;
    default:
        log_once(LOG_DEBUG, "qxl: the guest sends commands of the unknown type %u", command->type);
        break;
    }
}

static bool may_drain(const struct qxl *q)
{
    return !__atomic_load_n(&q->bug, __ATOMIC_RELAXED) && q->mode != QXL_MODE_VGA;
}

static bool run_next(struct qxl *q)
{
    QXLCommand command;

    if (!may_drain(q))
        return false;
    if (ring_pop(q, &q->commands, &command, QXL_INTERRUPT_DISPLAY) ||
        (may_drain(q) && ring_pop(q, &q->cursors, &command, QXL_INTERRUPT_CURSOR))) {
        run_command(q, &command);
        q->taken++;
        return true;
    }
    return false;
}

static void retry_push(uv_timer_t *timer)
{
    struct qxl *q = timer->data;
    uint64_t delay = uv_timer_get_repeat(timer) * 2;

    if (may_drain(q))
        qxl_push_releases(q);
    if (q->free_count == 0 || delay > MAX_PUSH_DELAY_MS)
        uv_timer_stop(timer);
    else
        uv_timer_start(timer, retry_push, delay, delay);
}

/* What finds no room now goes later, even if the guest sends nothing more. A guest that never looks is given up. */
void qxl_push_soon(struct qxl *q)
{
    qxl_push_releases(q);
    if (q->free_count && !uv_is_active((uv_handle_t *)&q->push_timer)) {
        q->push_timer.data = q;
        uv_timer_start(&q->push_timer, retry_push, MIN_PUSH_DELAY_MS, MIN_PUSH_DELAY_MS);
    }
}

/* What notice() says of rings that are empty is another thing than before. */
static void ask_anew(struct qxl *q)
{
    ring_is_empty(q, &q->commands);
    ring_is_empty(q, &q->cursors);
}

/* A millisecond of a busy guest is over. */
static void poll_rings(uv_timer_t *timer)
{
    struct qxl *q = timer->data;

    qxl_notified(q);
    if (q->taken < BUSY_COMMANDS) {
        uv_timer_stop(timer);
        ask_anew(q);
        notifier_signal(&q->notify); /* for what came while nobody would have told */
    }
    q->taken = 0;
}

/* Each millisecond counts anew; while the guest is busy, the timer's. */
static void count_anew(struct qxl *q)
{
    uint64_t now = uv_now(&q->head.loop.uv);

    if (now != q->taken_at && !uv_is_active((uv_handle_t *)&q->poll_timer))
        q->taken = 0;
    q->taken_at = now;
}

static void watch_rate(struct qxl *q)
{
    if (q->taken >= BUSY_COMMANDS && !uv_is_active((uv_handle_t *)&q->poll_timer)) {
        q->taken = 0;
        uv_timer_start(&q->poll_timer, poll_rings, POLL_MS, POLL_MS);
        if (may_drain(q))
            ask_anew(q);
    }
}

bool qxl_drain(struct qxl *q, unsigned limit)
{
    bool more = true;

    count_anew(q);
    for (unsigned i = 0; more && i < limit; i++)
        more = run_next(q);
    if (!more && may_drain(q))
        qxl_push_soon(q);
    watch_rate(q);
    qxl_pending_announce(q);
    return more;
}

void qxl_drain_all(struct qxl *q)
{
    qxl_drain(q, DRAIN_ROUNDS * (QXL_COMMAND_RING_SIZE + QXL_CURSOR_RING_SIZE));
    qxl_pending_draw(q);
}

/* --- releases --- */

/*
 * Released commands form a list through their release_info, in place; the ring's next item has the first one's id. The
 * ids are the guest's own affair.
 */
void qxl_release(struct qxl *q, QXLPHYSICAL info)
{
    const uint64_t end = 0;
    uint64_t id;

    if (qxl_read(q, info, &id, sizeof(id)) || qxl_write(q, info, &end, sizeof(end)))
        return;
    if (q->free_count == 0)
        set_next_release(q, id);
    else
        qxl_write(q, q->last_release, &id, sizeof(id));
    q->last_release = info;
    if (++q->free_count >= QXL_FREE_BUNCH)
        qxl_push_releases(q);
}

void qxl_push_releases(struct qxl *q)
{
    struct qxl_ring *r = &q->releases;
    uint32_t prod = load(r->prod);

    /* One item stays ours: it collects the next list. */
    if (q->free_count == 0 || prod - load(r->cons) + 1 >= r->count)
        return;
    q->free_count = 0;
    q->last_release = 0;
    store(r->prod, prod + 1);
    set_next_release(q, 0);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (load(r->notify_on_prod) == prod + 1)
        qxl_interrupt(q, QXL_INTERRUPT_DISPLAY);
}

/* --- interrupts and errors --- */

void qxl_update_irq(struct qxl *q)
{
    struct machine *machine = q->pci.base.machine;

    /* The display thread may not wait for the lock: if somebody has it, the main loop sets the line. */
    if (pthread_mutex_trylock(&machine->lock) != 0) {
        notifier_signal(&q->irq);
        return;
    }
    pci_set_intx(&q->pci, load(q->int_pending) & load(q->int_mask));
    machine_unlock(machine);
}

void qxl_interrupt(struct qxl *q, uint32_t bits)
{
    uint32_t old = __atomic_fetch_or(q->int_pending, bits, __ATOMIC_SEQ_CST);

    if ((old & bits) != bits)
        qxl_update_irq(q);
}

void qxl_bug(struct qxl *q, const char *fmt, ...)
{
    char text[128];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    if (__atomic_exchange_n(&q->bug, true, __ATOMIC_RELAXED))
        return;
    log_once(LOG_WARN,
             "qxl: the guest's driver broke the rules, the display stops until it is reset: %s",
             text);
    qxl_interrupt(q, QXL_INTERRUPT_ERROR);
}
