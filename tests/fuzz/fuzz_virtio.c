/*
 * The block, network, entropy and balloon devices under a hostile guest: any access to any register, any ring content, frames
 * from outside, resets, saves that must load again, and another CPU that changes rings and buffers meanwhile. A step is an
 * operation byte, a device byte, a count byte, and that many bytes more; one operation sets a device up as a driver would,
 * so that rings are reached soon.
 */
#include "devices/virtio/virtio_balloon.h"
#include "devices/virtio/virtio_blk.h"
#include "devices/virtio/virtio_net.h"
#include "devices/virtio/virtio_rng.h"
#include "devices/virtio/virtio_serial.h"
#include "tests/fuzz/fuzz_other_cpu.h"
#include "tests/lib/virtio_driver.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <stdlib.h>
#include <string.h>

#define RAM_SIZE  MIB(4)
#define DISK_SIZE KIB(64)
#define MAX_STEPS 200
#define MAX_HELD  1024

#define MAX_QUEUES     6
#define MAX_QUEUE_SIZE 1024

enum { RNG, NET, BLK, BALLOON, SERIAL, DEVICES };

static const uint8_t slots[DEVICES] = {PCI_DEVFN(4, 0), PCI_DEVFN(5, 0), PCI_DEVFN(6, 0),
                                       PCI_DEVFN(7, 0), PCI_DEVFN(8, 0)};
/* The network card: two pairs and the control queue. Serial: ports 0 and 1, and control between. */
static const unsigned queue_counts[DEVICES] = {[RNG] = 1, [NET] = 5, [BLK] = 2, [BALLOON] = 5, [SERIAL] = 6};

struct fixture {
    struct fake_machine m;
    struct driver drivers[DEVICES];
    struct driver_queue queues[DEVICES][MAX_QUEUES];
    struct virtio_net *card;
    struct virtio_balloon *balloon;
    struct virtio_serial *serial;
    struct chardev echo; /* the other end of port 1 */
    bool echo_full, echo_leaves;
    bool set_up[DEVICES];
    struct net net;
    /* A disk whose loop is run here, between steps; so no request is in flight when a step begins. */
    struct loop disk_loop;
    struct disk disk;
    uint8_t disk_data[DISK_SIZE];
    struct disk_request *held[MAX_HELD];
    unsigned held_count;
    struct other_cpu other;
};

struct input {
    const uint8_t *p;
    size_t size;
};

/* --- the outside --- */

static const struct virtio_net_hdr no_header;

static void net_send(struct net *net, unsigned queue, const struct virtio_net_hdr *header,
                     const struct iovec *iov, unsigned count)
{
    static uint8_t frame[NET_MAX_FRAME];
    size_t size = 0;
    unsigned i;

    for (i = 0; i < count; i++) {
        if (size + iov[i].iov_len > sizeof(frame))
            abort();
        memcpy(frame + size, iov[i].iov_base, iov[i].iov_len);
        size += iov[i].iov_len;
    }
    if (size < 14 || (header->flags && (size_t)header->csum_start + header->csum_offset + 2 > size))
        abort();
    net->front_ops->receive(net->front, queue, header, frame, size);
}

static void net_accept_input(struct net *net UNUSED, unsigned queue UNUSED)
{
}

static void net_set_offloads(struct net *net, unsigned offloads)
{
    if (offloads & ~net->receive_offloads)
        abort();
}

static void net_set_queues(struct net *net, unsigned queues)
{
    if (queues == 0 || queues > net->queues)
        abort();
}

static const struct net_ops net_ops = {
    .send = net_send,
    .accept_input = net_accept_input,
    .set_offloads = net_set_offloads,
    .set_queues = net_set_queues,
};

/* What comes goes back as far as it fits; some bytes make it take no more, or leave. */
static size_t echo_write(struct chardev *c, const uint8_t *data, size_t size)
{
    struct fixture *f = container_of(c, struct fixture, echo);
    size_t n = size ? MIN(size, 1 + data[0] % 64u) : 0, room;

    if (!f->echo.front_ops)
        abort();
    f->echo_full = size && data[0] == 0xfe;
    f->echo_leaves |= size && data[0] == 0xfd;
    room = f->echo.front_ops->can_read(f->echo.front);
    if (room && n)
        f->echo.front_ops->read(f->echo.front, data, MIN(room, n));
    return f->echo_full ? 0 : n;
}

static void echo_accept_input(struct chardev *c UNUSED)
{
}

static const struct chardev_ops echo_ops = {.write = echo_write, .accept_input = echo_accept_input};

static void add_echo(struct fixture *f)
{
    const struct serial_port port = {1, "echo", false, &f->echo};

    f->echo.connected = !f->echo.connected;
    if (virtio_serial_add(f->serial, &port))
        abort();
}

static void turn_echo(struct fixture *f)
{
    if (f->echo_full)
        f->echo.front_ops->writable(f->echo.front);
    if (f->echo_leaves) {
        if (virtio_serial_remove(f->serial, 1))
            abort();
        add_echo(f);
    }
    f->echo_full = f->echo_leaves = false;
}

static int transfer(struct fixture *f, struct disk_request *r)
{
    uint64_t at = r->offset;
    unsigned i;

    if (r->offset % DISK_SECTOR || r->bytes % DISK_SECTOR)
        abort();
    if (r->op == DISK_FLUSH)
        return 0;
    if (r->bytes > DISK_SIZE || r->offset > DISK_SIZE - r->bytes)
        return -EINVAL;
    for (i = 0; i < r->iov_count; at += r->iov[i++].iov_len) {
        if (r->op == DISK_READ)
            memcpy(r->iov[i].iov_base, f->disk_data + at, r->iov[i].iov_len);
        else
            memcpy(f->disk_data + at, r->iov[i].iov_base, r->iov[i].iov_len);
    }
    if (r->iov_count && at != r->offset + r->bytes)
        abort();
    return 0;
}

static void disk_take(struct disk *disk, struct disk_request *r)
{
    struct fixture *f = container_of(disk, struct fixture, disk);

    if (f->held_count == MAX_HELD)
        abort();
    f->held[f->held_count++] = r;
}

static const struct disk_ops disk_ops = {.format = "fuzz", .submit = disk_take};

static void pump(struct fixture *f)
{
    unsigned turns;

    uv_run(&f->m.loop.uv, UV_RUN_NOWAIT);
    turn_echo(f);
    for (turns = 0; turns < 3 || f->held_count; turns++) {
        uv_run(&f->disk_loop.uv, UV_RUN_NOWAIT);
        while (f->held_count) {
            struct disk_request *r = f->held[--f->held_count];

            r->done(r, transfer(f, r));
        }
    }
    uv_run(&f->m.loop.uv, UV_RUN_NOWAIT);
}

/* --- steps --- */

static uint64_t take(struct input *in, unsigned size)
{
    uint64_t value = 0;

    size = (unsigned)MIN(size, in->size);
    memcpy(&value, in->p, size);
    in->p += size;
    in->size -= size;
    return value;
}

static void access_mmio(struct fixture *f, unsigned n, struct input *in)
{
    unsigned width = 1u << (take(in, 1) & 3);
    uint64_t addr = fake_pci_bar(&f->m, slots[n], take(in, 1) & 1 ? 1 : 4) + take(in, 2) % 0x4010;

    if (in->size)
        fake_mmio_write(&f->m, addr, take(in, 8), width);
    else
        fake_mmio_read(&f->m, addr, width);
}

static void access_common(struct fixture *f, unsigned n, struct input *in)
{
    unsigned width = 1u << (take(in, 1) & 3);
    uint64_t addr = fake_pci_bar(&f->m, slots[n], 4) + take(in, 1) % 64;

    fake_mmio_write(&f->m, addr, take(in, 8), width);
}

static void access_port(struct fixture *f, unsigned n, struct input *in)
{
    unsigned width = 1u << take(in, 1) % 3;
    uint16_t port = (uint16_t)(fake_pci_bar(&f->m, slots[n], 0) + take(in, 1));

    if (in->size)
        fake_out(&f->m, port, (uint32_t)take(in, 4), width);
    else
        fake_in(&f->m, port, width);
}

static void access_config(struct fixture *f, unsigned n, struct input *in)
{
    unsigned width = 1u << take(in, 1) % 3;
    unsigned offset = (unsigned)take(in, 1) & ~(width - 1);

    if (in->size)
        fake_pci_write(&f->m, slots[n], offset, (uint32_t)take(in, 4), width);
    else
        fake_pci_read(&f->m, slots[n], offset, width);
}

static void write_memory(struct fixture *f, unsigned n UNUSED, struct input *in)
{
    size_t at = take(in, 3) % (RAM_SIZE - 256);

    memcpy(f->m.ram.host + at, in->p, in->size);
}

/* The registers are where the driver takes them to be: a BAR may be off, or another device's in its place. */
static bool answers(struct driver *d)
{
    if (d->interface == DRIVER_MODERN)
        return true;
    fake_out(d->m, d->port + VIRTIO_PCI_QUEUE_SEL, 0, 2);
    return fake_in(d->m, d->port + VIRTIO_PCI_QUEUE_NUM, 2) <= MAX_QUEUE_SIZE;
}

/* As a driver does it; the features are the input's choice. */
static void set_up(struct fixture *f, unsigned n, struct input *in)
{
    enum driver_interface interface = take(in, 1) & 1 ? DRIVER_MODERN : DRIVER_LEGACY;
    bool msix = take(in, 1) & 1;
    uint64_t features = take(in, 5);
    struct driver *d = &f->drivers[n];
    unsigned i;

    driver_init(d, &f->m, slots[n], interface, msix);
    d->next_page += n * KIB(256);
    f->set_up[n] = driver_negotiate(d, features | 1ULL << VIRTIO_F_VERSION_1) && answers(d);
    if (!f->set_up[n])
        return;
    for (i = 0; i < queue_counts[n]; i++)
        driver_setup_queue(d, &f->queues[n][i], i, 16);
    driver_ok(d);
}

static struct driver_queue *queue_of(struct fixture *f, unsigned n, struct input *in)
{
    unsigned index = (unsigned)take(in, 1);

    return f->set_up[n] ? &f->queues[n][index % queue_counts[n]] : NULL;
}

static void put_descriptor(struct fixture *f, unsigned n, struct input *in)
{
    static const uint64_t bases[] = {0,          MIB(2),         MIB(2) + KIB(8), RAM_SIZE - 64,
                                     0xe0000000, UINT64_MAX - 64};
    struct driver_queue *q = queue_of(f, n, in);
    uint64_t base = bases[take(in, 1) % ARRAY_SIZE(bases)];
    struct vring_desc *desc;

    if (!q)
        return;
    desc = &q->desc[take(in, 1) % q->size];
    desc->addr = base + take(in, 2);
    desc->len = (uint32_t)take(in, 3);
    desc->flags = (uint16_t)take(in, 1);
    desc->next = (uint16_t)take(in, 1);
}

/* A block request's header, where descriptors point. */
static void put_header(struct fixture *f, unsigned n UNUSED, struct input *in)
{
    uint8_t *header = f->m.ram.host + MIB(2) + (take(in, 1) & 0xf0);

    store_le32(header, (uint32_t)take(in, 1));
    store_le64(header + 8, take(in, 1));
}

static void publish(struct fixture *f, unsigned n, struct input *in)
{
    struct driver_queue *q = queue_of(f, n, in);

    if (!q)
        return;
    while (in->size)
        driver_publish(q, (uint16_t)take(in, 1));
    driver_notify(q);
}

static void frame_arrives(struct fixture *f, unsigned n UNUSED, struct input *in)
{
    uint8_t frame[2000] = {0};
    size_t size = 14 + take(in, 2) % (sizeof(frame) - 14);
    struct virtio_net_hdr header = {0};

    memcpy(&header, in->p, MIN(in->size, sizeof(header)));
    memcpy(frame, in->p, MIN(in->size, size));
    f->net.front_ops->receive(f->net.front, size & 1, size & 2 ? &header : &no_header, frame, size);
}

static void reset(struct fixture *f, unsigned n UNUSED, struct input *in UNUSED)
{
    unsigned i;

    fake_machine_reset(&f->m);
    for (i = 0; i < DEVICES; i++) {
        f->set_up[i] = false;
        fake_pci_setup(&f->m, slots[i]);
    }
}

static void save_and_load(struct fixture *f, unsigned n UNUSED, struct input *in)
{
    struct device *device;
    struct writer w;
    struct reader r;
    size_t spoil = take(in, 2);

    other_cpu_stop(&f->other); /* CPUs stand still */
    machine_lock(&f->m.base);
    TAILQ_FOREACH (device, &f->m.base.devices, link) {
        writer_init(&w, MIB(1));
        device->ops->save(device, &w);
        if (w.bad)
            abort();
        if (spoil && in->size) /* a state file may be anybody's */
            w.data[spoil % w.size] ^= *in->p;
        reader_init(&r, w.data, w.size);
        if (device->ops->load(device, &r, device->ops->version) != 0 && !(spoil && in->size))
            abort();
        device->ops->resume(device);
        writer_fini(&w);
    }
    machine_unlock(&f->m.base);
}

/* A command of the control queue: class, number and what it says, then room for the answer. */
static void control(struct fixture *f, unsigned n UNUSED, struct input *in)
{
    struct driver_queue *q = f->set_up[NET] ? &f->queues[NET][take(in, 1) & 1 ? 4 : 2] : NULL;
    uint8_t *p = f->m.ram.host + MIB(3);

    if (!q)
        return;
    memcpy(p, in->p, in->size);
    q->desc[0] = (struct vring_desc){MIB(3), (uint32_t)in->size, VRING_DESC_F_NEXT, 1};
    q->desc[1] = (struct vring_desc){MIB(3) + 1024, 1, VRING_DESC_F_WRITE, 0};
    driver_publish(q, 0);
    driver_notify(q);
}

static void host_asks(struct fixture *f, unsigned n UNUSED, struct input *in)
{
    struct balloon_stats stats;

    virtio_balloon_set_target(f->balloon, take(in, 4));
    virtio_balloon_stats(f->balloon, &stats);
    virtio_net_set_link(f->card, take(in, 1) & 1);
    if (stats.actual > RAM_SIZE || stats.target > RAM_SIZE)
        abort();
}

/* From a place on, so that it is a ring, a few descriptors, or all of them; without a size it ends. */
static void other_cpu(struct fixture *f, unsigned n, struct input *in)
{
    static const size_t sizes[] = {0, 16, 256, KIB(4), KIB(64)};
    struct driver_queue *q = queue_of(f, n, in);
    gpa_t at = q && take(in, 1) & 1 ? q->desc_addr : MIB(2) + (take(in, 2) & ~3u);
    size_t size = sizes[take(in, 1) % ARRAY_SIZE(sizes)];

    if (size && at + size <= RAM_SIZE)
        other_cpu_start(&f->other, f->m.ram.host + at, size, take(in, 8));
    else
        other_cpu_stop(&f->other);
}

static void (*const steps[])(struct fixture *f, unsigned n, struct input *in) = {
    access_mmio,    access_common, access_port, access_config, write_memory,  set_up,
    put_descriptor, put_header,    publish,     frame_arrives, save_and_load, reset,
    control,        host_asks,     other_cpu,
};

static void create(struct fixture *f)
{
    struct machine *machine = &f->m.base;
    struct virtio_net_options net = {&f->net, {2, 0, 0, 0, 0, 1}, NULL};
    struct virtio_blk_options blk = {&f->disk, &f->disk_loop, "fuzz", 2};
    struct virtio_balloon_options balloon = {.memory = RAM_SIZE};

    f->net = (struct net){.ops = &net_ops,
                          .send_offloads = NET_CSUM | NET_TSO4 | NET_TSO6 | NET_ECN | NET_USO,
                          .receive_offloads = NET_CSUM | NET_TSO4 | NET_TSO6,
                          .queues = 2,
                          .mtu = 9000};
    f->disk = (struct disk){&disk_ops, DISK_SIZE, false};
    if (fake_machine_init(&f->m, RAM_SIZE, true) || loop_init(&f->disk_loop) ||
        virtio_rng_create(machine, slots[RNG], 0) || virtio_net_create(machine, slots[NET], &net, &f->card) ||
        virtio_blk_create(machine, slots[BLK], &blk) ||
        virtio_balloon_create(machine, slots[BALLOON], &balloon, &f->balloon) ||
        virtio_serial_create(machine, slots[SERIAL], &f->serial))
        abort();
    f->echo.ops = &echo_ops;
    add_echo(f);
    f->m.ram.flags |= RAM_DISCARD;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fixture *f = calloc(1, sizeof(*f));
    unsigned n;

    create(f);
    reset(f, 0, NULL);
    for (n = 0; n < MAX_STEPS && size >= 3; n++) {
        struct input in = {data + 3, MIN(data[2], size - 3)};
        size_t used = 3 + in.size;

        steps[data[0] % ARRAY_SIZE(steps)](f, data[1] % DEVICES, &in);
        pump(f);
        data += used;
        size -= used;
    }
    other_cpu_stop(&f->other);
    fake_machine_fini(&f->m);
    loop_fini(&f->disk_loop);
    free(f);
    return 0;
}
