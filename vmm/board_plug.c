/* board_plug.c - PCI devices that come and go while the machine runs. */
#include "vmm/board_plug.h"

#include "base/error.h"
#include "devices/platform/pci_hotplug.h"
#include "devices/virtio/virtio_blk.h"
#include "devices/virtio/virtio_net.h"
#include "vmm/board_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* For so long a guest that was asked is taken to be at it; then it may be asked again: it may not have listened yet. */
#define UNPLUG_SECONDS 5

static const char *const driver_names[] = {[BOARD_DISK] = "virtio-blk-pci", [BOARD_NET] = "virtio-net-pci"};

struct plugged {
    TAILQ_ENTRY(plugged) link;
    struct backend *backend;
    unsigned slot;
    char id[BOARD_MAX_ID + 1], serial[BOARD_MAX_SERIAL + 1];
    unsigned queues;
    uint8_t mac[6];
    uint64_t asked_at; /* machine_clock(); meaningful if: */
    bool asked;
    bool drawn; /* under the device lock: written in vCPU threads */
    struct device *device;
};

static struct plugged *find_device(struct board *board, const char *id)
{
    struct plugged *p;

    TAILQ_FOREACH(p, &board->plugged, link)
        if (strcmp(p->id, id) == 0)
            return p;
    return NULL;
}

/* --- it comes --- */

static bool slot_is_free(const struct board *board, unsigned slot)
{
    return !pci_bus_device(board->machine.pci, PCI_DEVFN(slot, 0));
}

/* Takes the first free slot, or finds fault with the one that was chosen. The device lock is held. */
static int choose_slot(const struct board *board, struct plugged *p)
{
    const char *driver = driver_names[p->backend->kind];
    const unsigned first = PCI_HOTPLUG_FIRST_SLOT, end = first + PCI_HOTPLUG_SLOTS;

    if (p->slot) {
        if (p->slot < first || p->slot >= end)
            return fail(-EINVAL, "PCI: slot %u takes no hot plug; slots %u to %u do", p->slot, first, end - 1);
        return slot_is_free(board, p->slot) ? 0 : fail(-EBUSY, "PCI: slot %u function 0 not available for %s, in use",
                                                       p->slot, driver);
    }
    for (p->slot = first; p->slot < end; p->slot++)
        if (slot_is_free(board, p->slot))
            return 0;
    return fail(-ENOSPC, "PCI: no slot available for %s: slots %u to %u, which take hot plug, are all in use", driver,
                first, end - 1);
}

static int create_blk(struct board *board, const struct plugged *p)
{
    const struct virtio_blk_options options = {.disk = p->backend->disk,
                                               .loop = &board->disk_loop,
                                               .serial = p->serial[0] ? p->serial : NULL,
                                               .queues = p->queues ? p->queues : board->config->cpus};

    return virtio_blk_create(&board->machine, PCI_DEVFN(p->slot, 0), &options);
}

static int create_net(struct board *board, const struct plugged *p)
{
    struct virtio_net_options options = {.net = p->backend->net, .loop = &board->io_loop};

    memcpy(options.mac, p->mac, sizeof(options.mac));
    return virtio_net_create(&board->machine, PCI_DEVFN(p->slot, 0), &options, NULL);
}

/* The vCPUs run, and find the device in its slot when the lock is let go: whole, and as after a reset. */
static int create_device(struct board *board, struct plugged *p)
{
    int err = choose_slot(board, p);

    if (err)
        return err;
    err = p->backend->kind == BOARD_DISK ? create_blk(board, p) : create_net(board, p);
    if (err)
        return fail(err, "%s cannot be made: %s", driver_names[p->backend->kind], strerror(-err));
    p->device = &pci_bus_device(board->machine.pci, PCI_DEVFN(p->slot, 0))->base;
    p->device->ops->reset(p->device);
    p->backend->used = true;
    TAILQ_INSERT_TAIL(&board->plugged, p, link);
    return 0;
}

static int check_backend(struct board *board, struct plugged *p, const struct board_device *device)
{
    static const char *const properties[] = {[BOARD_DISK] = "drive", [BOARD_NET] = "netdev"};

    p->backend = board_find_backend(board, device->kind, device->backend);
    if (!p->backend)
        return fail(-EINVAL, "Property '%s.%s' can't find value '%s'", driver_names[device->kind],
                    properties[device->kind], device->backend);
    return p->backend->used ? fail(-EBUSY, "Property '%s.%s' can't take value '%s', it's in use",
                                   driver_names[device->kind], properties[device->kind], device->backend)
                            : 0;
}

static int check_device(struct board *board, struct plugged *p, const struct board_device *device)
{
    int err = board_check_id(device->id);

    if (!err && find_device(board, device->id))
        err = fail(-EEXIST, "Duplicate device ID '%s'", device->id);
    if (!err)
        err = check_backend(board, p, device);
    if (!err && device->serial && strlen(device->serial) > BOARD_MAX_SERIAL)
        err = fail(-EINVAL, "serial '%.40s' has more than %d bytes", device->serial, BOARD_MAX_SERIAL);
    if (!err && device->queues > VIRTIO_BLK_MAX_QUEUES)
        err = fail(-EINVAL, "num-queues is %u, but a disk has at most %d", device->queues, VIRTIO_BLK_MAX_QUEUES);
    return err;
}

static void describe(const struct board *board, struct plugged *p, const struct board_device *device)
{
    char name[256];

    strcpy(p->id, device->id);
    strcpy(p->serial, device->serial ? device->serial : "");
    p->slot = device->slot;
    p->queues = device->queues;
    snprintf(name, sizeof(name), "%s.%s", board->config->name, device->id);
    if (device->mac)
        memcpy(p->mac, device->mac, sizeof(p->mac));
    else
        net_default_mac(p->mac, name);
}

static int plug(struct board *board, const struct board_device *device, struct plugged **plugged)
{
    struct plugged *p = calloc(1, sizeof(*p));
    int err = p ? check_device(board, p, device) : fail(-ENOMEM, "out of memory");

    if (!err) {
        describe(board, p, device);
        machine_lock(&board->machine);
        err = create_device(board, p);
        machine_unlock(&board->machine);
    }
    if (err)
        free(p);
    else
        *plugged = p;
    return err;
}

int board_plug(struct board *board, const struct board_device *device)
{
    struct plugged *p;
    int err = plug(board, device, &p);

    if (err)
        return err;
    machine_lock(&board->machine);
    pci_hotplug_plugged(board->hotplug, p->slot);
    machine_unlock(&board->machine);
    return 0;
}

/* --- it goes --- */

int board_unplug(struct board *board, const char *id)
{
    struct plugged *p = find_device(board, id);
    uint64_t now = machine_clock(&board->machine);
    int err = 0;

    if (!p)
        return fail(-ENODEV, "Device '%s' not found", id);
    machine_lock(&board->machine);
    if (p->drawn || (p->asked && now - p->asked_at < UNPLUG_SECONDS * 1000000000ULL))
        err = fail(-EBUSY, "Device %s is already in the process of unplug", id);
    else
        pci_hotplug_ask(board->hotplug, p->slot);
    machine_unlock(&board->machine);
    if (err)
        return err;
    p->asked = true;
    p->asked_at = now;
    return 0;
}

void board_on_unplugged(struct board *board, void (*fn)(void *opaque, const char *id), void *opaque)
{
    board->on_unplugged = fn;
    board->on_unplugged_opaque = opaque;
}

/* From the register: a vCPU's thread, device lock held. */
static void ejected(void *opaque, unsigned slot)
{
    struct board *board = opaque;
    struct plugged *p;

    TAILQ_FOREACH(p, &board->plugged, link) {
        if (p->slot != slot || p->drawn)
            continue;
        p->drawn = true;
        pci_unplug(container_of(p->device, struct pci_device, base));
        notifier_signal(&board->ejected);
    }
}

static void remove_device(struct board *board, struct plugged *p)
{
    machine_lock(&board->machine);
    TAILQ_REMOVE(&board->plugged, p, link);
    device_destroy(p->device);
    machine_unlock(&board->machine);
    p->backend->used = false;
    if (board->on_unplugged)
        board->on_unplugged(board->on_unplugged_opaque, p->id);
    free(p);
}

void board_remove_drawn(struct board *board, bool asked_too)
{
    struct plugged *p, *next;

    for (p = TAILQ_FIRST(&board->plugged); p; p = next) {
        next = TAILQ_NEXT(p, link);
        if (p->drawn || (asked_too && p->asked))
            remove_device(board, p);
    }
}

/*
 * The vCPU that ejected it is out of it, for it held the lock; others may have found its registers before and wait for
 * the lock now. When all stand still none is in it.
 */
static void on_ejected(void *opaque)
{
    struct board *board = opaque;
    bool running = board_running(board);

    board_stop(board);
    board_remove_drawn(board, false);
    if (running)
        board_start(board);
}

/* --- saved state --- */

void board_save_plugged(void *opaque, struct writer *w)
{
    struct board *board = opaque;
    struct plugged *p;
    uint32_t count = 0;

    board_save_backends(board, w);
    TAILQ_FOREACH(p, &board->plugged, link)
        count++;
    writer_u32(w, count);
    TAILQ_FOREACH(p, &board->plugged, link) {
        writer_bytes(w, p->id, sizeof(p->id));
        writer_bytes(w, p->backend->id, sizeof(p->backend->id));
        writer_bytes(w, p->serial, sizeof(p->serial));
        writer_bytes(w, p->mac, sizeof(p->mac));
        writer_u8(w, (uint8_t)p->backend->kind);
        writer_u8(w, (uint8_t)p->slot);
        writer_u8(w, p->asked);
        writer_u32(w, p->queues);
    }
}

static int load_device(struct board *board, struct reader *r)
{
    char id[BOARD_MAX_ID + 1], backend[BOARD_MAX_ID + 1], serial[BOARD_MAX_SERIAL + 1];
    struct board_device device = {.id = id, .backend = backend, .serial = serial};
    struct plugged *p;
    uint8_t mac[6];
    bool asked;
    int err;

    reader_copy(r, id, sizeof(id));
    reader_copy(r, backend, sizeof(backend));
    reader_copy(r, serial, sizeof(serial));
    reader_copy(r, mac, sizeof(mac));
    id[BOARD_MAX_ID] = backend[BOARD_MAX_ID] = serial[BOARD_MAX_SERIAL] = 0;
    device.mac = mac;
    device.kind = reader_u8(r) == BOARD_DISK ? BOARD_DISK : BOARD_NET;
    device.slot = reader_u8(r);
    asked = reader_u8(r);
    device.queues = reader_u32(r);
    if (r->bad || !device.slot)
        return fail(-EINVAL, "its list of plugged devices makes no sense");
    err = plug(board, &device, &p);
    if (!err && asked) {
        p->asked = true;
        p->asked_at = machine_clock(&board->machine);
    }
    return err;
}

int board_load_plugged(void *opaque, struct reader *r)
{
    struct board *board = opaque;
    uint32_t i, count;
    int err = board_load_backends(board, r);

    count = err ? 0 : reader_u32(r);
    for (i = 0; i < count && !err; i++)
        err = load_device(board, r);
    return err ? err : r->bad ? -EINVAL : 0;
}

/* --- life --- */

int board_init_plugs(struct board *board)
{
    TAILQ_INIT(&board->plugged);
    TAILQ_INIT(&board->backends);
    return notifier_init(&board->ejected);
}

int board_create_hotplug(struct board *board)
{
    const struct pci_hotplug_config config = {.pm = board->pm, .ejected = ejected, .opaque = board};

    board->hotplug = pci_hotplug_create(&board->machine, &config);
    if (!board->hotplug)
        return fail(-ENOMEM, "cannot create the registers of hot plug: out of memory");
    return notifier_attach(&board->ejected, board->machine.loop, on_ejected, board);
}

void board_destroy_plugs(struct board *board)
{
    struct plugged *p;

    notifier_detach(&board->ejected);
    notifier_fini(&board->ejected);
    while ((p = TAILQ_FIRST(&board->plugged))) {
        TAILQ_REMOVE(&board->plugged, p, link);
        free(p);
    }
    board_free_backends(board);
}
