#include "devices/virtio/virtio.h"

#include "base/error.h"
#include "base/log.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>
#include <string.h>

#define RING_FEATURES                                                                              \
    (1ULL << VIRTIO_F_VERSION_1 | 1ULL << VIRTIO_F_ANY_LAYOUT |                                    \
     1ULL << VIRTIO_RING_F_INDIRECT_DESC | 1ULL << VIRTIO_RING_F_EVENT_IDX)

bool virtio_has(const struct virtio_device *d, unsigned feature)
{
    return d->features >> feature & 1;
}

bool virtio_is_modern(const struct virtio_device *d)
{
    return virtio_has(d, VIRTIO_F_VERSION_1);
}

static bool is_broken(const struct virtio_device *d)
{
    return __atomic_load_n(&d->broken, __ATOMIC_ACQUIRE);
}

/* --- interrupts: from the device's loop to the driver --- */

static void set_msi_pending(struct virtio_device *d, uint16_t vector)
{
    if (vector == VIRTIO_MSI_NO_VECTOR || pci_msix_try_notify(&d->pci, vector))
        return;
    __atomic_or_fetch(&d->pending_vectors, 1ULL << vector, __ATOMIC_RELEASE);
    notifier_signal(&d->interrupt);
}

static void interrupt_driver(struct virtio_device *d, uint16_t vector, uint8_t isr)
{
    if (__atomic_load_n(&d->msix_on, __ATOMIC_ACQUIRE)) {
        set_msi_pending(d, vector);
        return;
    }
    __atomic_or_fetch(&d->isr, isr, __ATOMIC_RELEASE);
    notifier_signal(&d->interrupt);
}

void virtio_interrupt(struct virtio_queue *q)
{
    if (virtq_should_interrupt(&q->vq))
        interrupt_driver(q->device, __atomic_load_n(&q->vector, __ATOMIC_RELAXED), 1);
}

/* In the main loop: what needs the device lock. */
static void raise_locked(void *opaque)
{
    struct virtio_device *d = opaque;
    struct machine *machine = d->pci.base.machine;
    uint64_t vectors;

    machine_lock(machine);
    vectors = __atomic_exchange_n(&d->pending_vectors, 0, __ATOMIC_ACQ_REL);
    for (; vectors; vectors &= vectors - 1)
        pci_msix_notify(&d->pci, (unsigned)__builtin_ctzll(vectors));
    if (!d->msix_on)
        pci_set_intx(&d->pci, __atomic_load_n(&d->isr, __ATOMIC_ACQUIRE) != 0);
    machine_unlock(machine);
}

uint8_t virtio_take_isr(struct virtio_device *d)
{
    uint8_t isr = __atomic_exchange_n(&d->isr, 0, __ATOMIC_ACQ_REL);

    pci_set_intx(&d->pci, false);
    return isr;
}

static void interrupt_for_config(struct virtio_device *d)
{
    interrupt_driver(d, __atomic_load_n(&d->config_vector, __ATOMIC_RELAXED),
                     VIRTIO_PCI_ISR_CONFIG);
}

void virtio_set_config(struct virtio_device *d, unsigned offset, const void *data, unsigned size)
{
    const uint8_t *bytes = data;
    unsigned i;

    assert(offset + size <= d->config_size);
    for (i = 0; i < size; i++)
        __atomic_store_n(&d->config[offset + i], bytes[i], __ATOMIC_RELAXED);
    __atomic_add_fetch(&d->config_generation, 1, __ATOMIC_RELEASE);
}

void virtio_config_changed(struct virtio_device *d)
{
    if (__atomic_load_n(&d->status, __ATOMIC_RELAXED) & VIRTIO_CONFIG_S_DRIVER_OK)
        interrupt_for_config(d);
}

void virtio_break(struct virtio_device *d)
{
    if (__atomic_exchange_n(&d->broken, true, __ATOMIC_ACQ_REL))
        return;
    log_once(LOG_WARN, "%s: given up until the guest resets it", d->pci.base.ops->name);
    if (virtio_is_modern(d))
        interrupt_for_config(d);
}

/* --- the device's loop --- */

void virtio_enter(struct virtio_device *d)
{
    if (!d->threaded)
        machine_lock(d->pci.base.machine);
}

void virtio_leave(struct virtio_device *d)
{
    if (!d->threaded)
        machine_unlock(d->pci.base.machine);
}

void virtio_in_loop(struct virtio_device *d, void (*fn)(void *arg), void *arg)
{
    if (d->threaded)
        loop_call_wait(d->loop, fn, arg);
    else
        fn(arg);
}

static void run_queue(struct virtio_queue *q)
{
    struct virtio_device *d = q->device;

    if (!q->live || is_broken(d))
        return;
    d->ops->run(d, q);
    if (q->vq.broken)
        virtio_break(d);
}

static void kicked(void *opaque)
{
    struct virtio_queue *q = opaque;

    virtio_enter(q->device);
    run_queue(q);
    virtio_leave(q->device);
}

void virtio_kick(struct virtio_queue *q)
{
    notifier_signal(&q->kick);
}

void virtio_begin(struct virtio_device *d)
{
    d->in_flight++;
}

void virtio_end(struct virtio_device *d)
{
    d->in_flight--;
    if (d->in_flight || !d->draining)
        return;
    d->draining = false;
    sem_post(&d->drained);
}

/* --- queues come and go --- */

/* Take over the registers; position and all that the loop owns start here. */
static void prepare_queue(struct virtio_queue *q)
{
    struct virtio_device *d = q->device;

    q->vq = (struct virtqueue){
        .memory = d->pci.base.machine->memory,
        .name = d->pci.base.ops->name,
        .size = q->size,
        .desc = q->desc,
        .avail = q->avail,
        .used = q->used,
        .event_idx = virtio_has(d, VIRTIO_RING_F_EVENT_IDX),
        .indirect = virtio_has(d, VIRTIO_RING_F_INDIRECT_DESC),
    };
    if (virtq_start(&q->vq) != 0)
        virtio_break(d);
}

static void go_live(void *opaque)
{
    struct virtio_queue *q = opaque;

    q->live = true;
    virtio_kick(q); /* the driver may have filled it already */
}

static bool any_live(const struct virtio_device *d)
{
    unsigned i;

    for (i = 0; i < d->queue_count; i++)
        if (d->queues[i].live)
            return true;
    return false;
}

static void start_queue(void *opaque)
{
    struct virtio_queue *q = opaque;

    if (q->live)
        return;
    if (q->device->ops->start && !any_live(q->device))
        q->device->ops->start(q->device);
    prepare_queue(q);
    go_live(q);
}

static bool may_be_live(const struct virtio_queue *q)
{
    const struct virtio_device *d = q->device;

    /* Old drivers use their queues before they say DRIVER_OK (3.1.2). */
    return q->enabled && (!virtio_is_modern(d) || (d->status & VIRTIO_CONFIG_S_DRIVER_OK));
}

void virtio_enable_queue(struct virtio_queue *q)
{
    q->enabled = true;
    if (may_be_live(q))
        virtio_in_loop(q->device, start_queue, q);
}

static void stop_queues(void *opaque)
{
    struct virtio_device *d = opaque;
    unsigned i;

    for (i = 0; i < d->queue_count; i++)
        d->queues[i].live = false;
    d->draining = d->in_flight > 0;
    if (!d->draining)
        sem_post(&d->drained);
}

/* No queue is live afterwards, and no request in flight. */
static void quiesce(struct virtio_device *d)
{
    virtio_in_loop(d, stop_queues, d);
    while (sem_wait(&d->drained) != 0)
        ;
}

/* --- the driver's side of the state machine --- */

uint8_t virtio_get_status(const struct virtio_device *d)
{
    bool needs_reset = is_broken(d) && virtio_is_modern(d);

    return d->status | (needs_reset ? VIRTIO_CONFIG_S_NEEDS_RESET : 0);
}

void virtio_set_features(struct virtio_device *d, uint64_t features)
{
    unsigned i;

    if (d->status & (VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK))
        return;
    for (i = 0; i < d->queue_count; i++)
        if (d->queues[i].enabled)
            return;
    d->features = features;
}

static void reset_registers(struct virtio_device *d)
{
    unsigned i;

    __atomic_store_n(&d->status, 0, __ATOMIC_RELAXED);
    d->features = 0;
    d->device_feature_select = d->driver_feature_select = 0;
    d->queue_select = 0;
    d->config_vector = VIRTIO_MSI_NO_VECTOR;
    for (i = 0; i < d->queue_count; i++) {
        struct virtio_queue *q = &d->queues[i];

        q->size = q->max_size;
        q->desc = q->avail = q->used = 0;
        q->enabled = false;
        __atomic_store_n(&q->vector, VIRTIO_MSI_NO_VECTOR, __ATOMIC_RELAXED);
    }
}

static void reset_model(void *opaque)
{
    struct virtio_device *d = opaque;

    d->ops->reset(d);
}

static void reset_device(struct virtio_device *d)
{
    quiesce(d);
    if (d->ops->reset)
        virtio_in_loop(d, reset_model, d);
    reset_registers(d);
    __atomic_store_n(&d->broken, false, __ATOMIC_RELEASE);
    __atomic_store_n(&d->pending_vectors, 0, __ATOMIC_RELEASE);
    virtio_take_isr(d);
}

void virtio_set_status(struct virtio_device *d, uint8_t status)
{
    uint8_t risen = status & ~d->status;
    unsigned i;

    if (status == 0) {
        reset_device(d);
        return;
    }
    if ((risen & VIRTIO_CONFIG_S_FEATURES_OK) &&
        ((d->features & ~d->offered) || !virtio_is_modern(d)))
        status &= ~VIRTIO_CONFIG_S_FEATURES_OK; /* 3.1.1: the driver reads it back */
    __atomic_store_n(&d->status, status & ~VIRTIO_CONFIG_S_NEEDS_RESET, __ATOMIC_RELAXED);
    if (!(risen & VIRTIO_CONFIG_S_DRIVER_OK) || !virtio_is_modern(d))
        return;
    for (i = 0; i < d->queue_count; i++)
        if (may_be_live(&d->queues[i]))
            virtio_in_loop(d, start_queue, &d->queues[i]);
}

/* --- life --- */

static void attach_kicks(void *opaque)
{
    struct virtio_device *d = opaque;
    unsigned i;

    for (i = 0; i < d->queue_count; i++)
        notifier_attach(&d->queues[i].kick, d->loop, kicked, &d->queues[i]);
}

static void detach_kicks(void *opaque)
{
    struct virtio_device *d = opaque;
    unsigned i;

    for (i = 0; i < d->queue_count; i++)
        notifier_detach(&d->queues[i].kick);
}

static void fini_notifiers(struct virtio_device *d)
{
    unsigned i;

    for (i = 0; i < d->queue_count; i++)
        notifier_fini(&d->queues[i].kick);
    notifier_fini(&d->interrupt);
    sem_destroy(&d->drained);
}

static int init_notifiers(struct virtio_device *d)
{
    int err = notifier_init(&d->interrupt);
    unsigned i;

    sem_init(&d->drained, 0, 0);
    for (i = 0; i < d->queue_count; i++) {
        int e = notifier_init(&d->queues[i].kick);

        err = err ? err : e;
    }
    if (err)
        fini_notifiers(d);
    return err;
}

int virtio_init(struct virtio_device *d, const struct device_ops *device_ops,
                struct machine *machine, uint8_t devfn, const uint16_t *queue_sizes,
                unsigned queue_count)
{
    unsigned i;
    int err;

    assert(queue_count <= VIRTIO_MAX_QUEUES);
    d->threaded = d->loop && d->loop != machine->loop;
    d->loop = d->threaded ? d->loop : machine->loop;
    d->offered |= RING_FEATURES;
    d->queue_count = queue_count;
    for (i = 0; i < queue_count; i++)
        d->queues[i] = (struct virtio_queue){.device = d, .index = i, .max_size = queue_sizes[i]};
    err = init_notifiers(d);
    if (err)
        return err;
    err = virtio_pci_init(d, device_ops, machine, devfn);
    if (err) {
        fini_notifiers(d);
        return err;
    }
    reset_registers(d);
    notifier_attach(&d->interrupt, machine->loop, raise_locked, d);
    virtio_in_loop(d, attach_kicks, d);
    return 0;
}

void virtio_fini(struct virtio_device *d)
{
    virtio_pci_place_notifiers(d, true);
    quiesce(d);
    virtio_in_loop(d, detach_kicks, d);
    notifier_detach(&d->interrupt);
    pci_fini(&d->pci);
    fini_notifiers(d);
}

void virtio_reset(struct device *device)
{
    struct virtio_device *d = container_of(device, struct virtio_device, pci.base);

    virtio_pci_place_notifiers(d, false);
    reset_device(d);
}

/* --- saved state --- */

static void resume_queues(void *opaque)
{
    struct virtio_device *d = opaque;
    unsigned i;

    for (i = 0; i < d->queue_count; i++)
        if (may_be_live(&d->queues[i]))
            go_live(&d->queues[i]);
}

static void save_queue(const struct virtio_queue *q, struct writer *w)
{
    writer_u16(w, q->size);
    writer_u64(w, q->desc);
    writer_u64(w, q->avail);
    writer_u64(w, q->used);
    writer_u8(w, q->enabled);
    writer_u16(w, q->vector);
    writer_u16(w, q->vq.last_avail);
    writer_u16(w, q->vq.used_next);
}

void virtio_save(struct device *device, struct writer *w)
{
    struct virtio_device *d = container_of(device, struct virtio_device, pci.base);
    unsigned i;

    quiesce(d);
    pci_save(&d->pci, w);
    writer_u8(w, d->status);
    writer_u64(w, d->features);
    writer_u32(w, d->device_feature_select);
    writer_u32(w, d->driver_feature_select);
    writer_u16(w, d->queue_select);
    writer_u16(w, d->config_vector);
    writer_u8(w, d->isr);
    writer_u64(w, d->pending_vectors);
    writer_u8(w, d->broken);
    writer_u8(w, (uint8_t)d->queue_count);
    for (i = 0; i < d->queue_count; i++)
        save_queue(&d->queues[i], w);
}

static int load_queue(struct virtio_queue *q, struct reader *r)
{
    uint16_t last_avail, used_next;

    q->size = reader_u16(r);
    q->desc = reader_u64(r);
    q->avail = reader_u64(r);
    q->used = reader_u64(r);
    q->enabled = reader_u8(r);
    q->vector = reader_u16(r);
    last_avail = reader_u16(r);
    used_next = reader_u16(r);
    if (r->bad || !IS_POWER_OF_2(q->size) || q->size > q->max_size)
        return -EINVAL;
    if (!may_be_live(q))
        return 0;
    prepare_queue(q);
    q->vq.last_avail = last_avail;
    q->vq.used_next = used_next;
    return 0;
}

static int load_registers(struct virtio_device *d, struct reader *r)
{
    d->status = reader_u8(r);
    d->features = reader_u64(r) & d->offered;
    d->device_feature_select = reader_u32(r);
    d->driver_feature_select = reader_u32(r);
    d->queue_select = reader_u16(r);
    d->config_vector = reader_u16(r);
    d->isr = reader_u8(r);
    d->pending_vectors = reader_u64(r);
    d->broken = reader_u8(r);
    return r->bad || reader_u8(r) != d->queue_count ? -EINVAL : 0;
}

int virtio_load(struct device *device, struct reader *r, uint32_t version UNUSED)
{
    struct virtio_device *d = container_of(device, struct virtio_device, pci.base);
    int err = pci_load(&d->pci, r);
    unsigned i;

    if (err)
        return err;
    quiesce(d);
    err = load_registers(d, r);
    for (i = 0; !err && i < d->queue_count; i++)
        err = load_queue(&d->queues[i], r);
    if (err) {
        reset_device(d);
        return fail(err, "%s: the saved state makes no sense", device->ops->name);
    }
    virtio_pci_place_notifiers(d, false);
    return 0;
}

void virtio_resume(struct device *device)
{
    struct virtio_device *d = container_of(device, struct virtio_device, pci.base);

    virtio_in_loop(d, resume_queues, d);
    notifier_signal(&d->interrupt);
}
