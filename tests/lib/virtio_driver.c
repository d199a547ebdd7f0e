#include "tests/lib/virtio_driver.h"

#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <string.h>

#define HEAP MIB(1)

/* --- registers --- */

static uint32_t common_read(struct driver *d, unsigned offset, unsigned width)
{
    return (uint32_t)fake_mmio_read(d->m, d->common + offset, width);
}

static void common_write(struct driver *d, unsigned offset, uint64_t value, unsigned width)
{
    fake_mmio_write(d->m, d->common + offset, value, width);
}

static void find_structure(struct driver *d, unsigned cap)
{
    uint8_t type = (uint8_t)fake_pci_read(d->m, d->devfn, cap + VIRTIO_PCI_CAP_CFG_TYPE, 1);
    uint8_t bar = (uint8_t)fake_pci_read(d->m, d->devfn, cap + VIRTIO_PCI_CAP_BAR, 1);
    uint32_t offset = fake_pci_read(d->m, d->devfn, cap + VIRTIO_PCI_CAP_OFFSET, 4);
    uint64_t addr = bar < PCI_BARS ? fake_pci_bar(d->m, d->devfn, bar) + offset : 0;

    switch (type) {
    case VIRTIO_PCI_CAP_COMMON_CFG:
        d->common = addr;
        break;
    case VIRTIO_PCI_CAP_NOTIFY_CFG:
        d->notify = addr;
        d->notify_multiplier = fake_pci_read(d->m, d->devfn, cap + VIRTIO_PCI_NOTIFY_CAP_MULT, 4);
        break;
    case VIRTIO_PCI_CAP_ISR_CFG:
        d->isr = addr;
        break;
    case VIRTIO_PCI_CAP_DEVICE_CFG:
        d->config = addr;
        break;
    }
}

static void enable_msix(struct driver *d)
{
    unsigned cap = fake_pci_capability(d->m, d->devfn, PCI_CAP_ID_MSIX, 0), i;
    uint32_t table = fake_pci_read(d->m, d->devfn, cap + PCI_MSIX_TABLE, 4);
    unsigned flags = fake_pci_read(d->m, d->devfn, cap + PCI_MSIX_FLAGS, 2);
    uint64_t addr = fake_pci_bar(d->m, d->devfn, table & 7) + (table & ~7u);

    for (i = 0; i <= (flags & PCI_MSIX_FLAGS_QSIZE); i++, addr += PCI_MSIX_ENTRY_SIZE) {
        fake_mmio_write(d->m, addr, DRIVER_MSI_ADDR, 4);
        fake_mmio_write(d->m, addr + 4, 0, 4);
        fake_mmio_write(d->m, addr + 8, DRIVER_MSI_DATA + i, 4);
        fake_mmio_write(d->m, addr + 12, 0, 4);
    }
    fake_pci_write(d->m, d->devfn, cap + PCI_MSIX_FLAGS, flags | PCI_MSIX_FLAGS_ENABLE, 2);
}

void driver_init(struct driver *d, struct fake_machine *m, uint8_t devfn,
                 enum driver_interface interface, bool msix)
{
    unsigned cap = 0;

    *d = (struct driver){
        .m = m, .devfn = devfn, .interface = interface, .msix = msix, .next_page = HEAP};
    fake_pci_setup(m, devfn);
    d->port = (uint16_t)fake_pci_bar(m, devfn, 0);
    while ((cap = fake_pci_capability(m, devfn, PCI_CAP_ID_VNDR, cap)))
        find_structure(d, cap);
    if (msix)
        enable_msix(d);
    driver_reset(d);
}

uint8_t driver_status(struct driver *d)
{
    return (uint8_t)(d->interface == DRIVER_LEGACY ? fake_in(d->m, d->port + VIRTIO_PCI_STATUS, 1)
                                                   : common_read(d, VIRTIO_PCI_COMMON_STATUS, 1));
}

void driver_set_status(struct driver *d, uint8_t status)
{
    if (d->interface == DRIVER_LEGACY)
        fake_out(d->m, d->port + VIRTIO_PCI_STATUS, status, 1);
    else
        common_write(d, VIRTIO_PCI_COMMON_STATUS, status, 1);
}

void driver_reset(struct driver *d)
{
    driver_set_status(d, 0);
    driver_isr(d);
}

uint8_t driver_isr(struct driver *d)
{
    return (uint8_t)(d->interface == DRIVER_LEGACY ? fake_in(d->m, d->port + VIRTIO_PCI_ISR, 1)
                                                   : fake_mmio_read(d->m, d->isr, 1));
}

uint64_t driver_config(struct driver *d, unsigned offset, unsigned width)
{
    return d->interface == DRIVER_LEGACY
               ? fake_in(d->m, (uint16_t)(d->port + VIRTIO_PCI_CONFIG_OFF(d->msix) + offset), width)
               : fake_mmio_read(d->m, d->config + offset, width);
}

uint64_t driver_offered(struct driver *d)
{
    uint64_t offered = 0;
    unsigned i;

    if (d->interface == DRIVER_LEGACY)
        return fake_in(d->m, d->port + VIRTIO_PCI_HOST_FEATURES, 4);
    for (i = 0; i < 2; i++) {
        common_write(d, VIRTIO_PCI_COMMON_DFSELECT, i, 4);
        offered |= (uint64_t)common_read(d, VIRTIO_PCI_COMMON_DF, 4) << 32 * i;
    }
    return offered;
}

bool driver_negotiate(struct driver *d, uint64_t wanted)
{
    uint8_t status = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;
    unsigned i;

    driver_set_status(d, VIRTIO_CONFIG_S_ACKNOWLEDGE);
    driver_set_status(d, status);
    d->features = driver_offered(d) & wanted;
    if (d->interface == DRIVER_LEGACY) {
        fake_out(d->m, d->port + VIRTIO_PCI_GUEST_FEATURES, (uint32_t)d->features, 4);
        return true;
    }
    for (i = 0; i < 2; i++) {
        common_write(d, VIRTIO_PCI_COMMON_GFSELECT, i, 4);
        common_write(d, VIRTIO_PCI_COMMON_GF, (uint32_t)(d->features >> 32 * i), 4);
    }
    status |= VIRTIO_CONFIG_S_FEATURES_OK;
    driver_set_status(d, status);
    return driver_status(d) & VIRTIO_CONFIG_S_FEATURES_OK;
}

void driver_ok(struct driver *d)
{
    driver_set_status(d, driver_status(d) | VIRTIO_CONFIG_S_DRIVER_OK);
}

/* --- memory --- */

void *driver_pointer(struct driver *d, gpa_t addr)
{
    return d->m->ram.host + addr;
}

gpa_t driver_alloc(struct driver *d, size_t size)
{
    gpa_t addr = d->next_page;

    d->next_page = ALIGN_UP(addr + size, 4096);
    assert(d->next_page <= d->m->ram.size);
    memset(driver_pointer(d, addr), 0, size);
    return addr;
}

/* --- rings --- */

static void setup_legacy(struct driver *d, struct driver_queue *q)
{
    fake_out(d->m, d->port + VIRTIO_PCI_QUEUE_SEL, q->index, 2);
    if (d->msix)
        fake_out(d->m, d->port + VIRTIO_MSI_QUEUE_VECTOR, q->index + 1, 2);
    fake_out(d->m, d->port + VIRTIO_PCI_QUEUE_PFN, (uint32_t)(q->desc_addr >> 12), 4);
}

static void write_address(struct driver *d, unsigned offset, gpa_t addr)
{
    common_write(d, offset, (uint32_t)addr, 4);
    common_write(d, offset + 4, addr >> 32, 4);
}

static void setup_modern(struct driver *d, struct driver_queue *q)
{
    common_write(d, VIRTIO_PCI_COMMON_Q_SELECT, q->index, 2);
    common_write(d, VIRTIO_PCI_COMMON_Q_SIZE, q->size, 2);
    write_address(d, VIRTIO_PCI_COMMON_Q_DESCLO, q->desc_addr);
    write_address(d, VIRTIO_PCI_COMMON_Q_AVAILLO, q->avail_addr);
    write_address(d, VIRTIO_PCI_COMMON_Q_USEDLO, q->used_addr);
    if (d->msix)
        common_write(d, VIRTIO_PCI_COMMON_Q_MSIX, q->index + 1, 2);
    q->notify_addr = d->notify + common_read(d, VIRTIO_PCI_COMMON_Q_NOFF, 2) * d->notify_multiplier;
    common_write(d, VIRTIO_PCI_COMMON_Q_ENABLE, 1, 2);
}

static uint16_t legacy_size(struct driver *d, unsigned index)
{
    fake_out(d->m, d->port + VIRTIO_PCI_QUEUE_SEL, index, 2);
    return (uint16_t)fake_in(d->m, d->port + VIRTIO_PCI_QUEUE_NUM, 2);
}

void driver_setup_queue(struct driver *d, struct driver_queue *q, unsigned index, uint16_t size)
{
    struct vring vring;
    gpa_t base;
    uint16_t i;

    size = d->interface == DRIVER_LEGACY ? legacy_size(d, index) : size;
    base = driver_alloc(d, vring_size(size, 4096));
    vring_init(&vring, size, driver_pointer(d, base), 4096);
    *q = (struct driver_queue){
        .d = d,
        .index = index,
        .size = size,
        .free_count = size,
        .desc_addr = base,
        .avail_addr = base + (gpa_t)((uint8_t *)vring.avail - (uint8_t *)vring.desc),
        .used_addr = base + (gpa_t)((uint8_t *)vring.used - (uint8_t *)vring.desc),
        .desc = vring.desc,
        .avail = vring.avail,
        .used = vring.used,
    };
    for (i = 0; i < size; i++)
        q->desc[i].next = (uint16_t)(i + 1);
    if (d->interface == DRIVER_LEGACY)
        setup_legacy(d, q);
    else
        setup_modern(d, q);
}

static void fill_descriptor(struct vring_desc *desc, const struct driver_buffer *buffer, bool last)
{
    desc->addr = buffer->addr;
    desc->len = buffer->size;
    desc->flags =
        (uint16_t)((buffer->in ? VRING_DESC_F_WRITE : 0) | (last ? 0 : VRING_DESC_F_NEXT));
}

static uint16_t take_descriptor(struct driver_queue *q)
{
    uint16_t i = q->free_head;

    assert(q->free_count);
    q->free_head = q->desc[i].next;
    q->free_count--;
    return i;
}

void driver_publish(struct driver_queue *q, uint16_t head)
{
    __atomic_store_n(&q->avail->ring[q->avail_idx % q->size], head, __ATOMIC_RELAXED);
    __atomic_store_n(&q->avail->idx, ++q->avail_idx, __ATOMIC_RELEASE);
}

static uint16_t add_indirect(struct driver_queue *q, const struct driver_buffer *buffers,
                             unsigned count, gpa_t table)
{
    struct vring_desc *desc = driver_pointer(q->d, table);
    uint16_t head = take_descriptor(q);
    unsigned i;

    for (i = 0; i < count; i++) {
        fill_descriptor(&desc[i], &buffers[i], i == count - 1);
        desc[i].next = (uint16_t)(i + 1);
    }
    q->desc[head].addr = table;
    q->desc[head].len = count * (uint32_t)sizeof(*desc);
    q->desc[head].flags = VRING_DESC_F_INDIRECT;
    return head;
}

uint16_t driver_add(struct driver_queue *q, const struct driver_buffer *buffers, unsigned count,
                    gpa_t table)
{
    uint16_t head = q->free_head;
    unsigned i;

    if (table)
        add_indirect(q, buffers, count, table);
    else
        for (i = 0; i < count; i++)
            fill_descriptor(&q->desc[take_descriptor(q)], &buffers[i], i == count - 1);
    driver_publish(q, head);
    return head;
}

void driver_notify(struct driver_queue *q)
{
    struct driver *d = q->d;

    q->kicks++;
    if (d->interface == DRIVER_LEGACY)
        fake_out(d->m, d->port + VIRTIO_PCI_QUEUE_NOTIFY, q->index, 2);
    else
        fake_mmio_write(d->m, q->notify_addr, q->index, 2);
}

static bool has_event_idx(const struct driver_queue *q)
{
    return q->d->features >> VIRTIO_RING_F_EVENT_IDX & 1;
}

bool driver_kick(struct driver_queue *q)
{
    uint16_t old = q->notified;
    bool needed;

    q->notified = q->avail_idx;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (has_event_idx(q))
        needed =
            vring_need_event(__atomic_load_n((uint16_t *)&q->used->ring[q->size], __ATOMIC_ACQUIRE),
                             q->avail_idx, old);
    else
        needed = !(__atomic_load_n(&q->used->flags, __ATOMIC_ACQUIRE) & VRING_USED_F_NO_NOTIFY);
    if (needed)
        driver_notify(q);
    return needed;
}

static void free_chain(struct driver_queue *q, uint16_t head)
{
    uint16_t i = head, n = 1;

    while ((q->desc[i].flags & VRING_DESC_F_NEXT) && n < q->size) {
        i = q->desc[i].next;
        n++;
    }
    q->desc[i].next = q->free_head;
    q->free_head = head;
    q->free_count = (uint16_t)(q->free_count + n);
}

bool driver_take_used(struct driver_queue *q, uint16_t *head, uint32_t *written)
{
    const struct vring_used_elem *entry = &q->used->ring[q->last_used % q->size];

    if (__atomic_load_n(&q->used->idx, __ATOMIC_ACQUIRE) == q->last_used)
        return false;
    *head = (uint16_t)entry->id;
    if (written)
        *written = entry->len;
    free_chain(q, *head);
    q->last_used++;
    return true;
}

static bool any_used(void *arg)
{
    const struct driver_queue *q = arg;

    return __atomic_load_n(&q->used->idx, __ATOMIC_ACQUIRE) != q->last_used;
}

bool driver_wait_used(struct driver_queue *q, uint16_t *head, uint32_t *written)
{
    fake_machine_wait(q->d->m, any_used, q, 5000);
    return driver_take_used(q, head, written);
}

void driver_enable_interrupt(struct driver_queue *q)
{
    if (has_event_idx(q))
        __atomic_store_n(&q->avail->ring[q->size], q->last_used, __ATOMIC_RELEASE);
    else
        __atomic_store_n(&q->avail->flags, 0, __ATOMIC_RELEASE);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}
