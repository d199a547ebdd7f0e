/* The registers of virtio over PCI: the legacy port BAR (virtio 1.2, 4.1.4.10), the modern structures in a memory BAR
 * (4.1.4), and the window to them in configuration space (4.1.4.9). */
#include "devices/virtio/virtio.h"

#include "base/log.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>
#include <string.h>

enum { LEGACY_BAR = 0, MSIX_BAR = 1, MODERN_BAR = 4 };

/* The modern BAR: a page for each structure. */
enum {
    COMMON_OFFSET = 0x0000,
    ISR_OFFSET = 0x1000,
    DEVICE_OFFSET = 0x2000,
    NOTIFY_OFFSET = 0x3000,
    MODERN_SIZE = 0x4000,
    PART_SIZE = 0x1000,
    NOTIFY_STRIDE = 4,
};

#define VENDOR_VIRTIO 0x1af4

static struct virtio_queue *selected_queue(struct virtio_device *d)
{
    return d->queue_select < d->queue_count ? &d->queues[d->queue_select] : NULL;
}

static uint16_t check_vector(const struct virtio_device *d, uint64_t vector)
{
    return vector < d->pci.msix_count ? (uint16_t)vector : VIRTIO_MSI_NO_VECTOR;
}

static void set_config_vector(struct virtio_device *d, uint64_t vector)
{
    __atomic_store_n(&d->config_vector, check_vector(d, vector), __ATOMIC_RELAXED);
}

static void set_queue_vector(struct virtio_device *d, uint64_t vector)
{
    struct virtio_queue *q = selected_queue(d);

    if (q)
        __atomic_store_n(&q->vector, check_vector(d, vector), __ATOMIC_RELAXED);
}

static void notify_queue(struct virtio_device *d, uint64_t index)
{
    if (index < d->queue_count)
        virtio_kick(&d->queues[index]);
}

static uint64_t read_config(const struct virtio_device *d, uint64_t offset, unsigned width)
{
    uint64_t value = 0;
    unsigned i;

    for (i = 0; i < width && offset + i < d->config_size; i++)
        value |= (uint64_t)__atomic_load_n(&d->config[offset + i], __ATOMIC_RELAXED) << 8 * i;
    return value;
}

static void write_config(struct virtio_device *d, uint64_t offset, uint64_t value, unsigned width)
{
    if (d->ops->config_written && offset + width <= d->config_size)
        d->ops->config_written(d, (unsigned)offset, (uint32_t)value, width);
}

/* --- legacy --- */

static uint64_t legacy_read(void *opaque, uint64_t offset, unsigned width)
{
    struct virtio_device *d = opaque;
    struct virtio_queue *q = selected_queue(d);
    unsigned config = VIRTIO_PCI_CONFIG_OFF(d->msix_on);

    if (offset >= config)
        return read_config(d, offset - config, width);
    switch (offset) {
    case VIRTIO_PCI_HOST_FEATURES:
        return (uint32_t)d->offered;
    case VIRTIO_PCI_GUEST_FEATURES:
        return (uint32_t)d->features;
    case VIRTIO_PCI_QUEUE_PFN:
        return q && q->enabled ? q->desc >> VIRTIO_PCI_QUEUE_ADDR_SHIFT : 0;
    case VIRTIO_PCI_QUEUE_NUM:
        return q ? q->max_size : 0;
    case VIRTIO_PCI_QUEUE_SEL:
        return d->queue_select;
    case VIRTIO_PCI_STATUS:
        return virtio_get_status(d);
    case VIRTIO_PCI_ISR:
        return virtio_take_isr(d);
    case VIRTIO_MSI_CONFIG_VECTOR:
        return d->config_vector;
    case VIRTIO_MSI_QUEUE_VECTOR:
        return q ? q->vector : VIRTIO_MSI_NO_VECTOR;
    default:
        return 0;
    }
}

/* The three parts of a legacy ring follow each other, the used ring on a page of its own (2.7.2). */
static void set_queue_pfn(struct virtio_device *d, uint64_t pfn)
{
    struct virtio_queue *q = selected_queue(d);

    if (pfn == 0) {
        virtio_set_status(d, 0);
        return;
    }
    if (!q || q->enabled)
        return;
    q->size = q->max_size;
    q->desc = pfn << VIRTIO_PCI_QUEUE_ADDR_SHIFT;
    q->avail = q->desc + q->size * sizeof(struct vring_desc);
    q->used = ALIGN_UP(q->avail + sizeof(struct vring_avail) + sizeof(uint16_t) * (q->size + 1u),
                       VIRTIO_PCI_VRING_ALIGN);
    virtio_enable_queue(q);
}

static void legacy_write(void *opaque, uint64_t offset, uint64_t value, unsigned width)
{
    struct virtio_device *d = opaque;
    unsigned config = VIRTIO_PCI_CONFIG_OFF(d->msix_on);

    if (offset >= config) {
        write_config(d, offset - config, value, width);
        return;
    }
    switch (offset << 4 | width) {
    case VIRTIO_PCI_GUEST_FEATURES << 4 | 4:
        virtio_set_features(d, value & d->offered);
        break;
    case VIRTIO_PCI_QUEUE_PFN << 4 | 4:
        set_queue_pfn(d, value);
        break;
    case VIRTIO_PCI_QUEUE_SEL << 4 | 2:
        d->queue_select = (uint16_t)value;
        break;
    case VIRTIO_PCI_QUEUE_NOTIFY << 4 | 2:
        notify_queue(d, value);
        break;
    case VIRTIO_PCI_STATUS << 4 | 1:
        virtio_set_status(d, (uint8_t)value);
        break;
    case VIRTIO_MSI_CONFIG_VECTOR << 4 | 2:
        set_config_vector(d, value);
        break;
    case VIRTIO_MSI_QUEUE_VECTOR << 4 | 2:
        set_queue_vector(d, value);
        break;
    default:
        log_once(LOG_DEBUG, "%s: a write of %u bytes to legacy register %u", d->pci.base.ops->name,
                 width, (unsigned)offset);
    }
}

/* --- modern: common configuration --- */

static uint32_t half(uint64_t value, uint32_t select)
{
    return select < 2 ? (uint32_t)(value >> 32 * select) : 0;
}

static void describe_queue(struct virtio_pci_common_cfg *c, const struct virtio_queue *q)
{
    c->queue_size = q->size;
    c->queue_msix_vector = q->vector;
    c->queue_enable = q->enabled;
    c->queue_notify_off = (uint16_t)q->index;
    c->queue_desc_lo = (uint32_t)q->desc;
    c->queue_desc_hi = (uint32_t)(q->desc >> 32);
    c->queue_avail_lo = (uint32_t)q->avail;
    c->queue_avail_hi = (uint32_t)(q->avail >> 32);
    c->queue_used_lo = (uint32_t)q->used;
    c->queue_used_hi = (uint32_t)(q->used >> 32);
}

static uint64_t common_read(struct virtio_device *d, uint64_t offset, unsigned width)
{
    struct virtio_pci_common_cfg c = {
        .device_feature_select = d->device_feature_select,
        .device_feature = half(d->offered, d->device_feature_select),
        .guest_feature_select = d->driver_feature_select,
        .guest_feature = half(d->features, d->driver_feature_select),
        .msix_config = d->config_vector,
        .num_queues = (uint16_t)d->queue_count,
        .device_status = virtio_get_status(d),
        .config_generation = __atomic_load_n(&d->config_generation, __ATOMIC_ACQUIRE),
        .queue_select = d->queue_select,
        .queue_msix_vector = VIRTIO_MSI_NO_VECTOR,
    };
    const struct virtio_queue *q = selected_queue(d);
    uint64_t value = 0;

    if (q)
        describe_queue(&c, q);
    if (offset + width <= sizeof(c))
        memcpy(&value, (const uint8_t *)&c + offset, width);
    return value;
}

static void write_features(struct virtio_device *d, uint32_t value)
{
    unsigned shift = 32 * d->driver_feature_select;

    if (d->driver_feature_select < 2)
        virtio_set_features(d,
                            (d->features & ~(0xffffffffULL << shift)) | (uint64_t)value << shift);
}

static void write_half(uint64_t *address, uint64_t offset, uint32_t value)
{
    unsigned shift = offset % 8 ? 32 : 0;

    *address = (*address & ~(0xffffffffULL << shift)) | (uint64_t)value << shift;
}

/* The registers of a queue that is not enabled yet. */
static void queue_write(struct virtio_queue *q, uint64_t offset, uint64_t value, unsigned width)
{
    switch (offset << 4 | width) {
    case VIRTIO_PCI_COMMON_Q_SIZE << 4 | 2:
        if (IS_POWER_OF_2(value) && value <= q->max_size)
            q->size = (uint16_t)value;
        break;
    case VIRTIO_PCI_COMMON_Q_ENABLE << 4 | 2:
        if (value == 1)
            virtio_enable_queue(q);
        break;
    case VIRTIO_PCI_COMMON_Q_DESCLO << 4 | 4:
    case VIRTIO_PCI_COMMON_Q_DESCHI << 4 | 4:
        write_half(&q->desc, offset - VIRTIO_PCI_COMMON_Q_DESCLO, (uint32_t)value);
        break;
    case VIRTIO_PCI_COMMON_Q_AVAILLO << 4 | 4:
    case VIRTIO_PCI_COMMON_Q_AVAILHI << 4 | 4:
        write_half(&q->avail, offset - VIRTIO_PCI_COMMON_Q_AVAILLO, (uint32_t)value);
        break;
    case VIRTIO_PCI_COMMON_Q_USEDLO << 4 | 4:
    case VIRTIO_PCI_COMMON_Q_USEDHI << 4 | 4:
        write_half(&q->used, offset - VIRTIO_PCI_COMMON_Q_USEDLO, (uint32_t)value);
        break;
    }
}

static void common_write(struct virtio_device *d, uint64_t offset, uint64_t value, unsigned width)
{
    struct virtio_queue *q = selected_queue(d);

    switch (offset << 4 | width) {
    case VIRTIO_PCI_COMMON_DFSELECT << 4 | 4:
        d->device_feature_select = (uint32_t)value;
        break;
    case VIRTIO_PCI_COMMON_GFSELECT << 4 | 4:
        d->driver_feature_select = (uint32_t)value;
        break;
    case VIRTIO_PCI_COMMON_GF << 4 | 4:
        write_features(d, (uint32_t)value);
        break;
    case VIRTIO_PCI_COMMON_MSIX << 4 | 2:
        set_config_vector(d, value);
        break;
    case VIRTIO_PCI_COMMON_STATUS << 4 | 1:
        virtio_set_status(d, (uint8_t)value);
        break;
    case VIRTIO_PCI_COMMON_Q_SELECT << 4 | 2:
        d->queue_select = (uint16_t)value;
        break;
    case VIRTIO_PCI_COMMON_Q_MSIX << 4 | 2:
        set_queue_vector(d, value);
        break;
    default:
        if (q && !q->enabled)
            queue_write(q, offset, value, width);
    }
}

static uint64_t modern_read(void *opaque, uint64_t offset, unsigned width)
{
    struct virtio_device *d = opaque;
    uint64_t in_part = offset % PART_SIZE;

    switch (offset - in_part) {
    case COMMON_OFFSET:
        return common_read(d, in_part, width);
    case ISR_OFFSET:
        return in_part == 0 ? virtio_take_isr(d) : 0;
    case DEVICE_OFFSET:
        return read_config(d, in_part, width);
    default:
        return 0;
    }
}

static void modern_write(void *opaque, uint64_t offset, uint64_t value, unsigned width)
{
    struct virtio_device *d = opaque;

    if (offset < COMMON_OFFSET + PART_SIZE)
        common_write(d, offset - COMMON_OFFSET, value, width);
    else if (offset >= DEVICE_OFFSET && offset < DEVICE_OFFSET + PART_SIZE)
        write_config(d, offset - DEVICE_OFFSET, value, width);
    else if (offset >= NOTIFY_OFFSET)
        notify_queue(d, (offset - NOTIFY_OFFSET) / NOTIFY_STRIDE);
}

/* --- the window in configuration space --- */

/* The region, and where in it, that the window's registers name; NULL if they name nothing that may be accessed. */
static struct region *window_target(struct virtio_device *d, uint64_t *offset, unsigned *width)
{
    struct virtio_pci_cap cap;
    struct region *region;

    memcpy(&cap, d->pci.config + d->window_cap, sizeof(cap));
    region = cap.bar == MODERN_BAR   ? &d->modern_region
             : cap.bar == LEGACY_BAR ? &d->legacy_region
                                     : NULL;
    *offset = cap.offset;
    *width = cap.length;
    if (!region || (cap.length != 1 && cap.length != 2 && cap.length != 4) ||
        !IS_ALIGNED(cap.offset, cap.length) || (uint64_t)cap.offset + cap.length > region->size)
        return NULL;
    return region;
}

static bool touches_window(const struct virtio_device *d, unsigned offset, unsigned size)
{
    unsigned data = d->window_cap + offsetof(struct virtio_pci_cfg_cap, pci_cfg_data);

    return offset < data + 4 && data < offset + size;
}

static void config_read(struct pci_device *pci, unsigned offset, unsigned size)
{
    struct virtio_device *d = container_of(pci, struct virtio_device, pci);
    uint8_t *data = pci->config + d->window_cap + offsetof(struct virtio_pci_cfg_cap, pci_cfg_data);
    struct region *region;
    uint64_t at;
    unsigned width;

    if (!touches_window(d, offset, size))
        return;
    region = window_target(d, &at, &width);
    if (region)
        store_le32(data, (uint32_t)region->ops->read(d, at, width));
}

static void write_window(struct virtio_device *d)
{
    const uint8_t *data =
        d->pci.config + d->window_cap + offsetof(struct virtio_pci_cfg_cap, pci_cfg_data);
    uint64_t at;
    unsigned width;
    struct region *region = window_target(d, &at, &width);

    if (region)
        region->ops->write(d, at, load_le32(data) & (0xffffffffu >> (32 - 8 * width)), width);
}

static void config_written(struct pci_device *pci, unsigned offset, unsigned size)
{
    struct virtio_device *d = container_of(pci, struct virtio_device, pci);

    virtio_pci_place_notifiers(d, false);
    if (touches_window(d, offset, size))
        write_window(d);
}

/* --- ioeventfds --- */

struct notifier_place {
    unsigned bar;
    uint64_t offset, stride;
    bool match; /* by value: the queue's number */
};

static const struct notifier_place places[2] = {
    {.bar = LEGACY_BAR, .offset = VIRTIO_PCI_QUEUE_NOTIFY, .match = true},
    {.bar = MODERN_BAR, .offset = NOTIFY_OFFSET, .stride = NOTIFY_STRIDE},
};

static struct bus *place_bus(const struct virtio_device *d, const struct notifier_place *place)
{
    struct machine *machine = d->pci.base.machine;

    return place->bar == LEGACY_BAR ? machine->pio : machine->mmio;
}

/* A place that cannot be had is no loss: the register's own write callback notifies as well. */
static void set_notifier(struct virtio_device *d, unsigned which, struct virtio_queue *q, bool on)
{
    const struct notifier_place *place = &places[which];
    struct bus *bus = place_bus(d, place);
    uint64_t addr = d->notifier_base[which] + place->offset + place->stride * q->index;
    uint64_t value = place->match ? q->index : 0;

    if (on)
        q->notifier_on[which] = bus_add_notifier(bus, addr, 2, place->match, value, &q->kick) == 0;
    else if (q->notifier_on[which])
        bus_remove_notifier(bus, addr, 2, place->match, value, &q->kick);
    if (!on)
        q->notifier_on[which] = false;
}

static void move_notifiers(struct virtio_device *d, unsigned which, uint64_t base)
{
    unsigned i;

    for (i = 0; i < d->queue_count && d->notifier_base[which] != UINT64_MAX; i++)
        set_notifier(d, which, &d->queues[i], false);
    d->notifier_base[which] = base;
    for (i = 0; i < d->queue_count && base != UINT64_MAX; i++)
        set_notifier(d, which, &d->queues[i], true);
}

void virtio_pci_place_notifiers(struct virtio_device *d, bool gone)
{
    unsigned i;

    __atomic_store_n(&d->msix_on, pci_msix_enabled(&d->pci), __ATOMIC_RELEASE);
    for (i = 0; i < ARRAY_SIZE(places); i++) {
        uint64_t base = gone ? UINT64_MAX : pci_bar_address(&d->pci, places[i].bar);

        if (base != d->notifier_base[i])
            move_notifiers(d, i, base);
    }
}

/* --- life --- */

static const struct region_ops legacy_ops = {.read = legacy_read, .write = legacy_write};
static const struct region_ops modern_ops = {.read = modern_read, .write = modern_write};

static void add_structure(struct virtio_device *d, uint8_t type, uint8_t size, uint32_t offset,
                          uint32_t length)
{
    struct virtio_pci_cap cap = {.bar = MODERN_BAR, .cfg_type = type, .cap_len = size};
    uint8_t at = pci_add_capability(&d->pci, PCI_CAP_ID_VNDR, size);

    memcpy(&cap, d->pci.config + at, 2); /* id and next */
    cap.offset = offset;
    cap.length = length;
    memcpy(d->pci.config + at, &cap, sizeof(cap));
    if (type == VIRTIO_PCI_CAP_NOTIFY_CFG)
        store_le32(d->pci.config + at + VIRTIO_PCI_NOTIFY_CAP_MULT, NOTIFY_STRIDE);
}

static void add_window(struct virtio_device *d)
{
    const struct virtio_pci_cfg_cap mask = {
        .cap = {.bar = 0xff, .offset = 0xffffffff, .length = 0xffffffff},
        .pci_cfg_data = {0xff, 0xff, 0xff, 0xff},
    };

    add_structure(d, VIRTIO_PCI_CAP_PCI_CFG, sizeof(struct virtio_pci_cfg_cap), 0, 0);
    d->window_cap = d->pci.config[PCI_CAPABILITY_LIST];
    memcpy(d->pci.writable + d->window_cap, &mask, sizeof(mask));
    d->pci.config_read = config_read;
    d->pci.config_written = config_written;
}

static void add_structures(struct virtio_device *d)
{
    const uint8_t plain = sizeof(struct virtio_pci_cap);

    add_window(d);
    add_structure(d, VIRTIO_PCI_CAP_NOTIFY_CFG, sizeof(struct virtio_pci_notify_cap), NOTIFY_OFFSET,
                  d->queue_count * NOTIFY_STRIDE);
    if (d->config_size)
        add_structure(d, VIRTIO_PCI_CAP_DEVICE_CFG, plain, DEVICE_OFFSET, d->config_size);
    add_structure(d, VIRTIO_PCI_CAP_ISR_CFG, plain, ISR_OFFSET, 1);
    add_structure(d, VIRTIO_PCI_CAP_COMMON_CFG, plain, COMMON_OFFSET,
                  sizeof(struct virtio_pci_common_cfg));
}

int virtio_pci_init(struct virtio_device *d, const struct device_ops *device_ops,
                    struct machine *machine, uint8_t devfn)
{
    const struct pci_ids ids = {
        .vendor = VENDOR_VIRTIO,
        .device = d->ops->pci_device,
        .subvendor = VENDOR_VIRTIO,
        .subdevice = d->ops->type,
        .class = d->ops->pci_class,
        .interrupt_pin = 1,
    };
    int err = pci_init(&d->pci, device_ops, machine, devfn, &ids);

    if (err)
        return err;
    d->notifier_base[0] = d->notifier_base[1] = UINT64_MAX;
    d->legacy_region = (struct region){device_ops->name, &legacy_ops, d,
                                       .size = VIRTIO_PCI_CONFIG_OFF(true) + d->config_size};
    d->modern_region = (struct region){device_ops->name, &modern_ops, d, .size = MODERN_SIZE};
    pci_add_bar(&d->pci, LEGACY_BAR, PCI_BAR_IO, &d->legacy_region);
    pci_add_bar(&d->pci, MODERN_BAR, PCI_BAR_MEM, &d->modern_region);
    err = pci_add_msix(&d->pci, MSIX_BAR, d->queue_count + 1);
    if (err) {
        pci_fini(&d->pci);
        TAILQ_REMOVE(&machine->devices, &d->pci.base, link);
        return err;
    }
    add_structures(d);
    return 0;
}
