/* The block device, driven as Linux' and SeaBIOS' drivers drive it, on a disk in memory whose timing the test controls,
 * and on a real file. */
#include "devices/virtio/virtio_blk.h"
#include "tests/lib/fault_watch.h"
#include "tests/lib/virtio_driver.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define DEVFN        PCI_DEVFN(6, 0)
#define DISK_SIZE    MIB(4)
#define MAX_HELD     512
#define ALL_FEATURES (~0ULL)
#define BIT(n)       (1ULL << (n))

/* A disk in memory. Requests complete a moment later, in reverse order; or wait until they are let go. */
struct fake_disk {
    struct disk disk;
    struct loop loop;
    uint8_t data[DISK_SIZE];
    uv_async_t wake;
    bool hold; /* atomic */
    int error, flush_error; /* atomic: what requests end with */
    struct disk_request *held[MAX_HELD];
    unsigned held_count; /* atomic for readers */
    unsigned flushes, discards, zeroes, unmaps;
};

static int perform(struct fake_disk *d, struct disk_request *r)
{
    uint64_t at = r->offset;
    unsigned i;

    switch (r->op) {
    case DISK_READ:
    case DISK_WRITE:
        for (i = 0; i < r->iov_count; i++) {
            if (r->op == DISK_READ)
                memcpy(r->iov[i].iov_base, d->data + at, r->iov[i].iov_len);
            else
                memcpy(d->data + at, r->iov[i].iov_base, r->iov[i].iov_len);
            at += r->iov[i].iov_len;
        }
        return at == r->offset + r->bytes ? 0 : -EIO;
    case DISK_FLUSH:
        d->flushes++;
        return 0;
    case DISK_DISCARD:
        d->discards++;
        return 0;
    case DISK_ZERO:
        d->zeroes++;
        d->unmaps += r->unmap;
        memset(d->data + r->offset, 0, r->bytes);
        return 0;
    }
    return -EINVAL;
}

static void release(uv_async_t *wake)
{
    struct fake_disk *d = container_of(wake, struct fake_disk, wake);

    while (d->held_count && !__atomic_load_n(&d->hold, __ATOMIC_ACQUIRE)) {
        struct disk_request *r = d->held[__atomic_sub_fetch(&d->held_count, 1, __ATOMIC_RELEASE)];
        int err = __atomic_load_n(r->op == DISK_FLUSH ? &d->flush_error : &d->error, __ATOMIC_ACQUIRE);
        bool inside = r->offset <= d->disk.size && r->bytes <= d->disk.size - r->offset;

        r->done(r, err ? err : inside ? perform(d, r) : -EINVAL);
    }
}

static void submit(struct disk *disk, struct disk_request *r)
{
    struct fake_disk *d = container_of(disk, struct fake_disk, disk);

    assert_true(d->held_count < MAX_HELD);
    d->held[d->held_count] = r;
    __atomic_add_fetch(&d->held_count, 1, __ATOMIC_RELEASE);
    uv_async_send(&d->wake);
}

static const struct disk_ops fake_disk_ops = {.format = "fake", .submit = submit};

struct fixture {
    struct fake_machine m;
    struct fake_disk disk;
    struct driver d;
    struct driver_queue q;
    gpa_t headers, statuses; /* 16 bytes and a byte for each descriptor */
};

static struct fixture *create_with_queues(bool read_only, bool irqfd, unsigned queues)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct virtio_blk_options options = {&f->disk.disk, &f->disk.loop, "MV-0123456789-0123456789",
                                         queues};
    unsigned i;

    for (i = 0; i < DISK_SIZE; i++)
        f->disk.data[i] = (uint8_t)(i * 7 + i / 512);
    f->disk.disk = (struct disk){&fake_disk_ops, DISK_SIZE, read_only};
    assert_int_equal(loop_init(&f->disk.loop), 0);
    uv_async_init(&f->disk.loop.uv, &f->disk.wake, release);
    assert_int_equal(loop_start(&f->disk.loop, "disk"), 0);
    assert_int_equal(fake_machine_init(&f->m, MIB(16), irqfd), 0);
    assert_int_equal(virtio_blk_create(&f->m.base, DEVFN, &options), 0);
    return f;
}

static struct fixture *create(bool read_only, bool irqfd)
{
    return create_with_queues(read_only, irqfd, 1);
}

static void configure(struct fixture *f, enum driver_interface interface, bool msix,
                      uint64_t features)
{
    driver_init(&f->d, &f->m, DEVFN, interface, msix);
    assert_true(driver_negotiate(&f->d, features));
    driver_setup_queue(&f->d, &f->q, 0, 256);
    f->headers = driver_alloc(&f->d, 16 * 256);
    f->statuses = driver_alloc(&f->d, 256);
    driver_ok(&f->d);
}

static struct fixture *start(enum driver_interface interface, bool msix, uint64_t features)
{
    struct fixture *f = create(false, true);

    configure(f, interface, msix, features);
    return f;
}

static void stop(struct fixture *f)
{
    fake_machine_fini(&f->m);
    loop_stop(&f->disk.loop);
    loop_join(&f->disk.loop);
    loop_fini(&f->disk.loop);
    free(f);
}

/* Make a request of a header, up to 254 pieces of data and a status byte available; returns its head. */
static uint16_t request(struct fixture *f, uint32_t type, uint64_t sector,
                        const struct driver_buffer *data, unsigned count, bool indirect)
{
    struct driver_buffer buffers[256];
    gpa_t header = f->headers + 16 * f->q.free_head, status = f->statuses + f->q.free_head;
    struct virtio_blk_outhdr *h = driver_pointer(&f->d, header);

    *h = (struct virtio_blk_outhdr){.type = type, .sector = sector};
    *(uint8_t *)driver_pointer(&f->d, status) = 0xff;
    buffers[0] = (struct driver_buffer){header, sizeof(*h), false};
    if (count)
        memcpy(buffers + 1, data, count * sizeof(*data));
    buffers[count + 1] = (struct driver_buffer){status, 1, true};
    return driver_add(&f->q, buffers, count + 2, indirect ? driver_alloc(&f->d, 4096) : 0);
}

static uint8_t status_of(struct fixture *f, uint16_t head)
{
    return *(uint8_t *)driver_pointer(&f->d, f->statuses + head);
}

/* The whole way of one request; returns its status. */
static uint8_t run(struct fixture *f, uint32_t type, uint64_t sector,
                   const struct driver_buffer *data, unsigned count, uint32_t expected_written)
{
    bool indirect = f->d.features & BIT(VIRTIO_RING_F_INDIRECT_DESC);
    uint16_t head = request(f, type, sector, data, count, indirect), got;
    uint32_t written;

    driver_kick(&f->q);
    assert_true(driver_wait_used(&f->q, &got, &written));
    assert_int_equal(got, head);
    assert_int_equal(written, expected_written);
    return status_of(f, head);
}

static uint8_t run_one(struct fixture *f, uint32_t type, uint64_t sector, gpa_t addr, uint32_t size)
{
    bool in = type == VIRTIO_BLK_T_IN || type == VIRTIO_BLK_T_GET_ID;
    struct driver_buffer data = {addr, size, in};
    uint16_t head = request(f, type, sector, &data, size ? 1 : 0, false), got;

    driver_kick(&f->q);
    assert_true(driver_wait_used(&f->q, &got, NULL));
    assert_int_equal(got, head);
    return status_of(f, head);
}

static unsigned msis(struct fixture *f)
{
    struct fake_msi msi;
    unsigned n = 0;

    fake_machine_run(&f->m, 0);
    while (fake_machine_take_msi(&f->m, &msi)) {
        assert_int_equal(msi.data, DRIVER_MSI_DATA + 1);
        n++;
    }
    return n;
}

static void identity(void **state UNUSED)
{
    struct fixture *f = start(DRIVER_MODERN, false, ALL_FEATURES);
    enum driver_interface i;

    assert_int_equal(fake_pci_read(&f->m, DEVFN, PCI_DEVICE_ID, 2), 0x1001);
    assert_int_equal(fake_pci_read(&f->m, DEVFN, PCI_SUBSYSTEM_ID, 2), 2);
    assert_int_equal(fake_pci_read(&f->m, DEVFN, PCI_CLASS_DEVICE, 2), 0x0100);
    for (i = DRIVER_LEGACY; i <= DRIVER_MODERN; i++) {
        f->d.interface = i;
        assert_int_equal(driver_config(&f->d, offsetof(struct virtio_blk_config, capacity), 4),
                         DISK_SIZE / 512);
        assert_int_equal(driver_config(&f->d, offsetof(struct virtio_blk_config, capacity) + 4, 4),
                         0);
        assert_int_equal(driver_config(&f->d, offsetof(struct virtio_blk_config, seg_max), 4), 254);
        assert_int_equal(driver_config(&f->d, offsetof(struct virtio_blk_config, blk_size), 4),
                         512);
        assert_true(
            driver_config(&f->d, offsetof(struct virtio_blk_config, max_discard_sectors), 4) > 0);
    }
    f->d.interface = DRIVER_MODERN;
    assert_false(driver_offered(&f->d) & BIT(VIRTIO_BLK_F_RO));
    stop(f);
}

static void reads_and_writes(void **state UNUSED)
{
    unsigned way;

    for (way = 0; way < 8; way++) {
        uint64_t features =
            way & 4 ? ALL_FEATURES : ALL_FEATURES & ~BIT(VIRTIO_RING_F_INDIRECT_DESC);
        struct fixture *f = start(way & 1 ? DRIVER_MODERN : DRIVER_LEGACY, way & 2, features);
        gpa_t addr = driver_alloc(&f->d, KIB(64));
        uint8_t *p = driver_pointer(&f->d, addr);
        struct driver_buffer in[] = {
            {addr + 4096, 512, true}, {addr, 1024, true}, {addr + 20000, 4096 + 512, true}};
        struct driver_buffer out[] = {{addr, 256, false}, {addr + 1000, 256, false}};

        driver_enable_interrupt(&f->q);
        assert_int_equal(run(f, VIRTIO_BLK_T_IN, 3, in, 3, 512 + 1024 + 4608 + 1), VIRTIO_BLK_S_OK);
        assert_memory_equal(p + 4096, f->disk.data + 3 * 512, 512);
        assert_memory_equal(p, f->disk.data + 4 * 512, 1024);
        assert_memory_equal(p + 20000, f->disk.data + 6 * 512, 4608);
        if (way & 2)
            assert_int_equal(msis(f), 1);
        else
            fake_machine_run(&f->m, 5);
        if (!(way & 2))
            assert_int_equal(driver_isr(&f->d), 1);
        memset(p, 0x5a, 2000);
        assert_int_equal(run(f, VIRTIO_BLK_T_OUT, 100, out, 2, 1), VIRTIO_BLK_S_OK);
        memset(p, 0x5a, 512);
        assert_memory_equal(p, f->disk.data + 100 * 512, 512);
        assert_int_not_equal(f->disk.data[101 * 512], 0x5a);
        stop(f);
    }
}

static void other_requests(void **state UNUSED)
{
    struct fixture *f = start(DRIVER_MODERN, true, ALL_FEATURES);
    gpa_t addr = driver_alloc(&f->d, 4096);
    struct virtio_blk_discard_write_zeroes *ranges = driver_pointer(&f->d, addr);
    struct driver_buffer id = {addr, 20, true};

    assert_int_equal(run(f, VIRTIO_BLK_T_GET_ID, 0, &id, 1, 21), VIRTIO_BLK_S_OK);
    assert_memory_equal(driver_pointer(&f->d, addr), "MV-0123456789-012345", 20);
    assert_int_equal(run(f, VIRTIO_BLK_T_FLUSH, 0, NULL, 0, 1), VIRTIO_BLK_S_OK);
    assert_int_equal(f->disk.flushes, 1);

    ranges[0] = (struct virtio_blk_discard_write_zeroes){8, 8, 0};
    ranges[1] =
        (struct virtio_blk_discard_write_zeroes){32, 16, VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP};
    assert_int_equal(run_one(f, VIRTIO_BLK_T_WRITE_ZEROES, 0, addr, 32), VIRTIO_BLK_S_OK);
    assert_int_equal(f->disk.zeroes, 2);
    assert_int_equal(f->disk.unmaps, 1);
    assert_int_equal(f->disk.data[8 * 512 + 5], 0);
    assert_int_equal(f->disk.data[47 * 512 + 5], 0);
    assert_int_not_equal(f->disk.data[48 * 512 + 5], 0);
    assert_int_equal(run_one(f, VIRTIO_BLK_T_DISCARD, 0, addr, 16), VIRTIO_BLK_S_OK);
    assert_int_equal(f->disk.discards, 1);
    assert_int_equal(run_one(f, VIRTIO_BLK_T_DISCARD, 0, addr + 16, 16),
                     VIRTIO_BLK_S_UNSUPP); /* flags */
    assert_int_equal(run_one(f, VIRTIO_BLK_T_SCSI_CMD, 0, addr, 16), VIRTIO_BLK_S_UNSUPP);
    assert_int_equal(run_one(f, VIRTIO_BLK_T_SECURE_ERASE, 0, addr, 16), VIRTIO_BLK_S_UNSUPP);
    assert_int_equal(run_one(f, 0xffffffff, 0, addr, 16), VIRTIO_BLK_S_UNSUPP);
    assert_int_equal(f->disk.discards, 1);
    stop(f);
}

/* A driver that knows no flushing (and no features at all, as old ones) gets its writes made durable. */
static void write_through(void **state UNUSED)
{
    struct fixture *f = start(DRIVER_LEGACY, false, 0);
    gpa_t addr = driver_alloc(&f->d, 4096);

    assert_int_equal(run_one(f, VIRTIO_BLK_T_OUT, 1, addr, 512), VIRTIO_BLK_S_OK);
    assert_int_equal(f->disk.flushes, 1);
    assert_int_equal(run_one(f, VIRTIO_BLK_T_IN, 1, addr, 512), VIRTIO_BLK_S_OK);
    assert_int_equal(f->disk.flushes, 1);
    stop(f);
}

static void bad_requests(void **state UNUSED)
{
    struct fixture *f =
        start(DRIVER_MODERN, false, BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_BLK_F_FLUSH));
    gpa_t addr = driver_alloc(&f->d, KIB(64));
    struct virtio_blk_discard_write_zeroes *range = driver_pointer(&f->d, addr);
    struct driver_buffer many[200];
    unsigned i;

    assert_int_equal(run_one(f, VIRTIO_BLK_T_IN, DISK_SIZE / 512, addr, 512), VIRTIO_BLK_S_IOERR);
    assert_int_equal(run_one(f, VIRTIO_BLK_T_IN, DISK_SIZE / 512 - 1, addr, 1024),
                     VIRTIO_BLK_S_IOERR);
    assert_int_equal(run_one(f, VIRTIO_BLK_T_IN, UINT64_MAX, addr, 512), VIRTIO_BLK_S_IOERR);
    assert_int_equal(run_one(f, VIRTIO_BLK_T_IN, UINT64_MAX / 512, addr, 512), VIRTIO_BLK_S_IOERR);
    assert_int_equal(run_one(f, VIRTIO_BLK_T_IN, 0, addr, 511), VIRTIO_BLK_S_IOERR);
    assert_int_equal(run_one(f, VIRTIO_BLK_T_IN, 0, 0, 0), VIRTIO_BLK_S_IOERR);
    assert_int_equal(run_one(f, VIRTIO_BLK_T_OUT, 0, 0, 0), VIRTIO_BLK_S_IOERR);
    assert_int_equal(run_one(f, VIRTIO_BLK_T_OUT, DISK_SIZE / 512, addr, 512), VIRTIO_BLK_S_IOERR);
    *range = (struct virtio_blk_discard_write_zeroes){DISK_SIZE / 512 - 1, 2, 0};
    assert_int_equal(run_one(f, VIRTIO_BLK_T_WRITE_ZEROES, 0, addr, 16), VIRTIO_BLK_S_IOERR);
    *range = (struct virtio_blk_discard_write_zeroes){UINT64_MAX, 1, 0};
    assert_int_equal(run_one(f, VIRTIO_BLK_T_WRITE_ZEROES, 0, addr, 16), VIRTIO_BLK_S_IOERR);
    *range = (struct virtio_blk_discard_write_zeroes){0, 0, 0};
    assert_int_equal(run_one(f, VIRTIO_BLK_T_DISCARD, 0, addr, 16), VIRTIO_BLK_S_IOERR);
    assert_int_equal(run_one(f, VIRTIO_BLK_T_DISCARD, 0, addr, 15), VIRTIO_BLK_S_IOERR);
    assert_int_equal(run_one(f, VIRTIO_BLK_T_DISCARD, 0, addr, 17 * 16), VIRTIO_BLK_S_IOERR);
    assert_int_equal(run_one(f, VIRTIO_BLK_T_DISCARD, 0, 0, 0), VIRTIO_BLK_S_IOERR);
    /* More than a disk takes in one go, made of the same memory again and again. */
    for (i = 0; i < ARRAY_SIZE(many); i++)
        many[i] = (struct driver_buffer){MIB(1), MIB(1), true};
    assert_int_equal(run(f, VIRTIO_BLK_T_IN, 0, many, ARRAY_SIZE(many), 1), VIRTIO_BLK_S_IOERR);
    assert_int_equal(driver_status(&f->d) & VIRTIO_CONFIG_S_NEEDS_RESET, 0);
    assert_int_equal(f->disk.discards + f->disk.zeroes, 0);
    stop(f);
}

/* Chains without room for a header or a status byte leave the device no way to answer. */
static void no_header_or_status(void **state UNUSED)
{
    static const struct driver_buffer cases[][2] = {
        {{MIB(8), 15, false}, {MIB(9), 1, true}},
        {{MIB(8), 16, false}, {MIB(9), 0, true}},
        {{MIB(8), 0, false}, {MIB(9), 512, true}},
        {{MIB(8), 0, false}, {MIB(9), 0, false}},
    };
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(cases); i++) {
        struct fixture *f = start(DRIVER_MODERN, false, BIT(VIRTIO_F_VERSION_1));

        driver_add(&f->q, cases[i], 2, 0);
        driver_notify(&f->q);
        fake_machine_run(&f->m, 20);
        assert_true(driver_status(&f->d) & VIRTIO_CONFIG_S_NEEDS_RESET);
        configure(f, DRIVER_MODERN, false, ALL_FEATURES);
        assert_int_equal(run_one(f, VIRTIO_BLK_T_IN, 0, driver_alloc(&f->d, 512), 512),
                         VIRTIO_BLK_S_OK);
        stop(f);
    }
}

static void read_only(void **state UNUSED)
{
    struct fixture *f = create(true, true);
    gpa_t addr;

    configure(f, DRIVER_MODERN, true, ALL_FEATURES);
    addr = driver_alloc(&f->d, 4096);
    assert_true(f->d.features & BIT(VIRTIO_BLK_F_RO));
    assert_false(f->d.features & BIT(VIRTIO_BLK_F_DISCARD));
    assert_int_equal(run_one(f, VIRTIO_BLK_T_IN, 0, addr, 512), VIRTIO_BLK_S_OK);
    assert_int_equal(run_one(f, VIRTIO_BLK_T_OUT, 0, addr, 512), VIRTIO_BLK_S_IOERR);
    assert_int_equal(run_one(f, VIRTIO_BLK_T_WRITE_ZEROES, 0, addr, 16), VIRTIO_BLK_S_IOERR);
    assert_int_equal(run_one(f, VIRTIO_BLK_T_FLUSH, 0, 0, 0), VIRTIO_BLK_S_OK);
    stop(f);
}

static void disk_errors(void **state UNUSED)
{
    struct fixture *f = start(DRIVER_MODERN, true, ALL_FEATURES);
    gpa_t addr = driver_alloc(&f->d, 4096);

    __atomic_store_n(&f->disk.error, -EIO, __ATOMIC_RELEASE);
    assert_int_equal(run_one(f, VIRTIO_BLK_T_IN, 0, addr, 512), VIRTIO_BLK_S_IOERR);
    __atomic_store_n(&f->disk.error, -ENOSPC, __ATOMIC_RELEASE);
    assert_int_equal(run_one(f, VIRTIO_BLK_T_OUT, 0, addr, 512), VIRTIO_BLK_S_IOERR);
    __atomic_store_n(&f->disk.flush_error, -EIO, __ATOMIC_RELEASE);
    assert_int_equal(run_one(f, VIRTIO_BLK_T_FLUSH, 0, 0, 0), VIRTIO_BLK_S_IOERR);
    __atomic_store_n(&f->disk.flush_error, -ENOTSUP, __ATOMIC_RELEASE);
    assert_int_equal(run_one(f, VIRTIO_BLK_T_FLUSH, 0, 0, 0), VIRTIO_BLK_S_UNSUPP);
    __atomic_store_n(&f->disk.flush_error, 0, __ATOMIC_RELEASE);
    assert_int_equal(run_one(f, VIRTIO_BLK_T_FLUSH, 0, 0, 0), VIRTIO_BLK_S_OK);
    stop(f);
}

static bool all_held(void *arg)
{
    struct fixture *f = arg;

    return __atomic_load_n(&f->disk.held_count, __ATOMIC_ACQUIRE) == 128;
}

static void hold(struct fixture *f, bool on)
{
    __atomic_store_n(&f->disk.hold, on, __ATOMIC_RELEASE);
    uv_async_send(&f->disk.wake);
}

/* 128 reads, all in flight at once, on their way back in another order. */
static void fill_queue(struct fixture *f, gpa_t addr)
{
    unsigned i;

    hold(f, true);
    for (i = 0; i < 128; i++) {
        struct driver_buffer data = {addr + 512 * i, 512, true};

        request(f, VIRTIO_BLK_T_IN, i, &data, 1, true);
        driver_kick(&f->q);
    }
    assert_true(fake_machine_wait(&f->m, all_held, f, 5000));
}

static void many_in_flight(void **state UNUSED)
{
    struct fixture *f = start(DRIVER_MODERN, true, ALL_FEATURES);
    gpa_t addr = driver_alloc(&f->d, 128 * 512);
    uint16_t head;
    unsigned i;

    fill_queue(f, addr);
    assert_int_equal(f->q.used->idx, 0);
    hold(f, false);
    for (i = 0; i < 128; i++) {
        assert_true(driver_wait_used(&f->q, &head, NULL));
        assert_int_equal(status_of(f, head), VIRTIO_BLK_S_OK);
    }
    assert_memory_equal(driver_pointer(&f->d, addr), f->disk.data, 128 * 512);
    assert_int_equal(f->q.free_count, 256);
    stop(f);
}

/* Thousands of requests as fast as they go: nothing is lost, and notifications and interrupts are fewer. */
static void stream(void **state UNUSED)
{
    struct fixture *f = start(DRIVER_MODERN, true, ALL_FEATURES);
    gpa_t addr = driver_alloc(&f->d, 512);
    struct driver_buffer data = {addr, 512, true};
    unsigned sent = 0, done = 0, interrupts = 0;
    uint16_t head;

    while (done < 20000) {
        while (sent < 20000 && f->q.free_count >= 3) {
            request(f, VIRTIO_BLK_T_IN, sent % 1000, &data, 1, false);
            driver_kick(&f->q);
            sent++;
        }
        driver_enable_interrupt(&f->q);
        if (!driver_wait_used(&f->q, &head, NULL))
            break;
        done++;
        while (driver_take_used(&f->q, &head, NULL))
            done++;
        interrupts += msis(f);
    }
    assert_int_equal(done, 20000);
    assert_in_range(f->q.kicks, 1, 10000);
    assert_in_range(interrupts, 1, 10000);
    stop(f);
}

static void let_go_later(void *arg)
{
    usleep(50000);
    hold(arg, false);
}

/* A reset with requests in flight: when it returns, none of them touches memory any more. */
static void reset_in_flight(void **state UNUSED)
{
    struct fixture *f = start(DRIVER_MODERN, true, ALL_FEATURES);
    gpa_t addr = driver_alloc(&f->d, 128 * 512);
    uint8_t *p = driver_pointer(&f->d, addr), before[512];
    uv_thread_t helper;
    unsigned round;

    for (round = 0; round < 2; round++) {
        fill_queue(f, addr);
        uv_thread_create(&helper, let_go_later, f);
        if (round == 0)
            driver_reset(&f->d);
        else
            fake_machine_reset(&f->m);
        assert_int_equal(f->disk.held_count, 0);
        memset(p, 0xee, 512);
        memcpy(before, p, 512);
        uv_thread_join(&helper);
        fake_machine_run(&f->m, 20);
        assert_memory_equal(p, before, 512);
        msis(f);
        configure(f, DRIVER_MODERN, true, ALL_FEATURES);
        assert_int_equal(run_one(f, VIRTIO_BLK_T_IN, 0, addr, 512), VIRTIO_BLK_S_OK);
    }
    fill_queue(f, addr);
    uv_thread_create(&helper, let_go_later, f);
    stop(f); /* with all of them in flight */
    uv_thread_join(&helper);
}

/* Masked, or without irqfds, the interrupt needs the device lock; a reset holds it and waits for this very thread. */
static void reset_while_masked(void **state UNUSED)
{
    struct fixture *f = create(false, false);
    unsigned round;
    uv_thread_t helper;

    for (round = 0; round < 20; round++) {
        gpa_t addr;

        configure(f, DRIVER_MODERN, true, ALL_FEATURES);
        addr = driver_alloc(&f->d, 128 * 512);
        fill_queue(f, addr);
        uv_thread_create(&helper, round % 4 ? (uv_thread_cb)fake_machine_reset : let_go_later,
                         round % 4 ? (void *)&f->m : (void *)f);
        if (round % 4)
            hold(f, false);
        else
            driver_reset(&f->d);
        uv_thread_join(&helper);
        fake_machine_run(&f->m, 0);
    }
    stop(f);
}

static void saved_in_flight(void **state UNUSED)
{
    struct fixture *f = start(DRIVER_MODERN, true, ALL_FEATURES);
    gpa_t addr = driver_alloc(&f->d, 128 * 512);
    struct device *device = TAILQ_FIRST(&f->m.base.devices);
    struct writer w;
    struct reader r;
    uv_thread_t helper;
    uint16_t head;
    unsigned i;

    fill_queue(f, addr);
    uv_thread_create(&helper, let_go_later, f);
    writer_init(&w, MIB(1));
    machine_lock(&f->m.base);
    device->ops->save(device, &w); /* waits for them */
    machine_unlock(&f->m.base);
    uv_thread_join(&helper);
    assert_int_equal(f->q.used->idx, 128);
    fake_machine_reset(&f->m);
    reader_init(&r, w.data, w.size);
    machine_lock(&f->m.base);
    assert_int_equal(device->ops->load(device, &r, 1), 0);
    device->ops->resume(device);
    machine_unlock(&f->m.base);
    for (i = 0; i < 128; i++)
        assert_true(driver_take_used(&f->q, &head, NULL));
    assert_int_equal(run_one(f, VIRTIO_BLK_T_IN, 0, addr, 512), VIRTIO_BLK_S_OK);
    writer_fini(&w);
    stop(f);
}

/* More heads than the queue has descriptors, all of them the same. */
static void one_head_again_and_again(void **state UNUSED)
{
    struct fixture *f = start(DRIVER_MODERN, true, ALL_FEATURES & ~BIT(VIRTIO_RING_F_EVENT_IDX));
    gpa_t addr = driver_alloc(&f->d, 512);
    struct driver_buffer data = {addr, 512, true};
    uint16_t head;
    unsigned i, used = 0;

    hold(f, true);
    head = request(f, VIRTIO_BLK_T_IN, 0, &data, 1, false);
    driver_notify(&f->q);
    for (i = 0; i < 1000; i++) {
        while ((uint16_t)(f->q.avail_idx - used) >= 256) {
            fake_machine_run(&f->m, 1);
            used += (uint16_t)(__atomic_load_n(&f->q.used->idx, __ATOMIC_ACQUIRE) - used);
            hold(f, false);
        }
        driver_publish(&f->q, head);
        driver_notify(&f->q);
    }
    hold(f, false);
    for (i = 0; i < 500 && __atomic_load_n(&f->q.used->idx, __ATOMIC_ACQUIRE) != 1001; i++)
        fake_machine_run(&f->m, 10);
    assert_int_equal(f->q.used->idx, 1001);
    stop(f);
}

/* --- a real file --- */

struct file_disk {
    struct loop loop;
    struct disk *disk;
    char path[64];
    int err;
};

static void open_file(void *arg)
{
    struct file_disk *d = arg;

    d->err =
        disk_open(&d->disk, &d->loop, &(struct disk_options){.path = d->path, .format = "raw"});
}

static void close_file(void *arg)
{
    struct file_disk *d = arg;

    d->err = disk_close(d->disk);
}

static void on_a_file(void **state UNUSED)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct file_disk d = {.path = "/tmp/minivm-blk-XXXXXX"};
    struct virtio_blk_options options = {.loop = &d.loop};
    uint8_t back[4096];
    gpa_t addr;
    int fd = mkstemp(d.path);

    assert_int_equal(ftruncate(fd, MIB(1)), 0);
    assert_int_equal(loop_init(&d.loop), 0);
    assert_int_equal(loop_start(&d.loop, "disk"), 0);
    loop_call_wait(&d.loop, open_file, &d);
    assert_int_equal(d.err, 0);
    options.disk = d.disk;
    assert_int_equal(fake_machine_init(&f->m, MIB(16), true), 0);
    assert_int_equal(virtio_blk_create(&f->m.base, DEVFN, &options), 0);
    configure(f, DRIVER_MODERN, true, ALL_FEATURES);
    addr = driver_alloc(&f->d, 8192);
    memset(driver_pointer(&f->d, addr), 0x77, 4096);
    assert_int_equal(run_one(f, VIRTIO_BLK_T_OUT, 8, addr, 4096), VIRTIO_BLK_S_OK);
    assert_int_equal(run_one(f, VIRTIO_BLK_T_FLUSH, 0, 0, 0), VIRTIO_BLK_S_OK);
    assert_int_equal(run_one(f, VIRTIO_BLK_T_IN, 8, addr + 4096, 4096), VIRTIO_BLK_S_OK);
    assert_memory_equal(driver_pointer(&f->d, addr), driver_pointer(&f->d, addr + 4096), 4096);
    assert_int_equal(pread(fd, back, sizeof(back), 4096), sizeof(back));
    assert_memory_equal(back, driver_pointer(&f->d, addr), sizeof(back));
    assert_int_equal(run_one(f, VIRTIO_BLK_T_IN, MIB(1) / 512, addr, 512), VIRTIO_BLK_S_IOERR);
    fake_machine_fini(&f->m);
    loop_call_wait(&d.loop, close_file, &d);
    assert_int_equal(d.err, 0);
    loop_stop(&d.loop);
    loop_join(&d.loop);
    loop_fini(&d.loop);
    unlink(d.path);
    close(fd);
    free(f);
}

static void needs_a_loop(void **state UNUSED)
{
    struct fake_machine m;
    struct virtio_blk_options options = {.loop = &m.loop};

    assert_int_equal(fake_machine_init(&m, MIB(1), false), 0);
    assert_int_equal(virtio_blk_create(&m.base, DEVFN, &options), -EINVAL);
    fake_machine_fini(&m);
}

/* --- several queues --- */

/* Requests on each queue complete there, by its own vector, whatever order they finish in. */
static void many_queues(void **state UNUSED)
{
    struct fixture *f = create_with_queues(false, true, 4);
    struct driver_queue q[4];
    uint16_t head, heads[4];
    struct fake_msi msi;
    unsigned i, seen = 0;

    driver_init(&f->d, &f->m, DEVFN, DRIVER_MODERN, true);
    assert_true(driver_negotiate(&f->d, ALL_FEATURES));
    assert_true(f->d.features & BIT(VIRTIO_BLK_F_MQ));
    assert_int_equal(driver_config(&f->d, offsetof(struct virtio_blk_config, num_queues), 2), 4);
    for (i = 0; i < 4; i++)
        driver_setup_queue(&f->d, &q[i], i, 256);
    driver_ok(&f->d);
    hold(f, true);
    for (i = 0; i < 4; i++) { /* the sectors' first bytes tell which queue read them */
        struct driver_buffer data = {MIB(8) + 512 * i, 512, true};

        f->disk.data[512 * i] = (uint8_t)(0xa0 + i);
        f->q = q[i];
        f->headers = driver_alloc(&f->d, 16);
        f->statuses = driver_alloc(&f->d, 1);
        heads[i] = request(f, VIRTIO_BLK_T_IN, i, &data, 1, false);
        driver_kick(&f->q);
        q[i] = f->q;
    }
    hold(f, false);
    for (i = 0; i < 4; i++) {
        assert_true(driver_wait_used(&q[i], &head, NULL));
        assert_int_equal(head, heads[i]);
        assert_int_equal(*(uint8_t *)driver_pointer(&f->d, MIB(8) + 512 * i), 0xa0 + i);
    }
    fake_machine_run(&f->m, 10);
    while (fake_machine_take_msi(&f->m, &msi))
        seen |= 1u << (msi.data - DRIVER_MSI_DATA);
    assert_int_equal(seen, 0x1e);
    stop(f);
}

/* A full device remembers each queue that waits for it, and comes back to it. */
static void queues_wait_for_room(void **state UNUSED)
{
    struct fixture *f = create_with_queues(false, true, 2);
    struct driver_queue q[2];
    unsigned i, k, done[2] = {0};
    uint16_t head;

    driver_init(&f->d, &f->m, DEVFN, DRIVER_MODERN, true);
    assert_true(driver_negotiate(&f->d, ALL_FEATURES));
    for (i = 0; i < 2; i++)
        driver_setup_queue(&f->d, &q[i], i, 256);
    driver_ok(&f->d);
    hold(f, true);
    for (i = 0; i < 2; i++) {
        f->q = q[i];
        f->headers = driver_alloc(&f->d, 16 * 256);
        f->statuses = driver_alloc(&f->d, 256);
        for (k = 0; k < 200; k++)
            request(f, VIRTIO_BLK_T_IN, k, &(struct driver_buffer){MIB(8), 512, true}, 1, true);
        driver_kick(&f->q);
        q[i] = f->q;
    }
    fake_machine_run(&f->m, 20);
    assert_int_equal(__atomic_load_n(&f->disk.held_count, __ATOMIC_ACQUIRE), 256);
    hold(f, false);
    for (i = 0; i < 2; i++)
        while (done[i] < 200 && driver_wait_used(&q[i], &head, NULL))
            done[i]++;
    assert_int_equal(done[0] + done[1], 400);
    stop(f);
}

/* --- the write cache --- */

static void write_cache_switch(void **state UNUSED)
{
    struct fixture *f = start(DRIVER_MODERN, true, ALL_FEATURES);
    struct device *device = TAILQ_FIRST(&f->m.base.devices);
    unsigned wce = offsetof(struct virtio_blk_config, wce), before;
    gpa_t addr = driver_alloc(&f->d, 512);
    struct writer w;
    struct reader r;

    assert_int_equal(driver_config(&f->d, wce, 1), 1);
    assert_int_equal(driver_config(&f->d, offsetof(struct virtio_blk_config, physical_block_exp), 1), 3);
    assert_int_equal(run_one(f, VIRTIO_BLK_T_OUT, 1, addr, 512), VIRTIO_BLK_S_OK);
    assert_int_equal(f->disk.flushes, 0);
    fake_mmio_write(&f->m, f->d.config + wce, 0, 1);
    assert_int_equal(driver_config(&f->d, wce, 1), 0);
    assert_int_equal(run_one(f, VIRTIO_BLK_T_OUT, 1, addr, 512), VIRTIO_BLK_S_OK);
    assert_int_equal(f->disk.flushes, 1); /* durable when it completes */
    fake_mmio_write(&f->m, f->d.config + wce, 7, 1);
    fake_mmio_write(&f->m, f->d.config, 0, 4);
    assert_int_equal(driver_config(&f->d, wce, 1), 0);
    assert_int_equal(driver_config(&f->d, 0, 4), DISK_SIZE / 512);

    writer_init(&w, MIB(1));
    machine_lock(&f->m.base);
    device->ops->save(device, &w);
    fake_mmio_write(&f->m, f->d.config + wce, 1, 1);
    reader_init(&r, w.data, w.size);
    assert_int_equal(device->ops->load(device, &r, device->ops->version), 0);
    device->ops->resume(device);
    machine_unlock(&f->m.base);
    writer_fini(&w);
    assert_int_equal(driver_config(&f->d, wce, 1), 0);
    before = f->disk.flushes;
    assert_int_equal(run_one(f, VIRTIO_BLK_T_OUT, 1, addr, 512), VIRTIO_BLK_S_OK);
    assert_int_equal(f->disk.flushes, before + 1);
    driver_reset(&f->d);
    assert_int_equal(driver_config(&f->d, wce, 1), 1);
    stop(f);
}

/* --- a host without room --- */

static void set_error(struct fixture *f, int error)
{
    __atomic_store_n(&f->disk.error, error, __ATOMIC_RELEASE);
    __atomic_store_n(&f->disk.flush_error, error, __ATOMIC_RELEASE);
}

static const uint32_t without_room[] = {VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_FLUSH, VIRTIO_BLK_T_DISCARD,
                                        VIRTIO_BLK_T_WRITE_ZEROES};

/* One of each kind, for a host that cannot do them. They write 0x77 to sector 8. */
static void give_without_room(struct fixture *f, struct fault_watch *w, gpa_t addr)
{
    static const struct virtio_blk_discard_write_zeroes range = {.sector = 16, .num_sectors = 8};
    unsigned i, before = fault_watch_count(&w->kept);

    memset(driver_pointer(&f->d, addr), 0x77, 512);
    memcpy(driver_pointer(&f->d, addr + 512), &range, sizeof(range));
    set_error(f, -ENOSPC);
    for (i = 0; i < ARRAY_SIZE(without_room); i++) {
        struct driver_buffer data = {addr, 512, false};

        if (without_room[i] == VIRTIO_BLK_T_DISCARD || without_room[i] == VIRTIO_BLK_T_WRITE_ZEROES)
            data = (struct driver_buffer){addr + 512, sizeof(range), false};
        request(f, without_room[i], without_room[i] == VIRTIO_BLK_T_OUT ? 8 : 0, &data,
                without_room[i] == VIRTIO_BLK_T_FLUSH ? 0 : 1, false);
    }
    driver_kick(&f->q);
    assert_true(fault_watch_wait(&f->m, &w->kept, before + 1));
    fake_machine_run(&f->m, 20);
    assert_int_equal(f->q.used->idx, f->q.last_used);
}

static struct fixture *start_watched(struct fault_watch *w)
{
    struct fixture *f = start(DRIVER_MODERN, true, ALL_FEATURES);

    fault_watch_start(w, &f->disk.disk, &f->disk.loop);
    return f;
}

static void take_all(struct fixture *f, unsigned n)
{
    uint16_t head;

    for (; n; n--) {
        assert_true(driver_wait_used(&f->q, &head, NULL));
        assert_int_equal(status_of(f, head), VIRTIO_BLK_S_OK);
    }
}

/* Nothing is told to the guest and nothing new is taken until it can be done; then all of it is. */
static void waits_for_room(void **state UNUSED)
{
    struct fault_watch w;
    struct fixture *f = start_watched(&w);
    gpa_t addr = driver_alloc(&f->d, 4096);
    struct driver_buffer read = {addr + 1024, 512, true};
    unsigned i;

    give_without_room(f, &w, addr);
    assert_int_equal(fault_watch_count(&w.kept), 1);
    set_error(f, 0);
    request(f, VIRTIO_BLK_T_IN, 3, &read, 1, false);
    driver_kick(&f->q);
    fake_machine_run(&f->m, 20);
    assert_int_equal(f->q.used->idx, 0);
    set_error(f, -ENOSPC);
    fault_watch_retry(&f->m); /* in vain */
    assert_true(fault_watch_wait(&f->m, &w.kept, 2));
    fake_machine_run(&f->m, 20);
    assert_int_equal(f->q.used->idx, 0);
    set_error(f, 0);
    fault_watch_retry(&f->m);
    take_all(f, ARRAY_SIZE(without_room) + 1);
    assert_int_equal(fault_watch_count(&w.recovered), 1);
    assert_int_equal(f->disk.flushes, 1);
    assert_int_equal(f->disk.discards, 1);
    assert_int_equal(f->disk.zeroes, 1);
    for (i = 0; i < 512; i++)
        assert_int_equal(f->disk.data[8 * 512 + i], 0x77);
    assert_memory_equal(driver_pointer(&f->d, addr + 1024), f->disk.data + 3 * 512, 512);
    stop(f);
}

/* Without a write cache that its driver flushes, a write is done when the flush after it is. */
static void flush_waits_for_room(void **state UNUSED)
{
    struct fault_watch w;
    struct fixture *f = create(false, true);
    gpa_t addr;

    configure(f, DRIVER_MODERN, true, ALL_FEATURES & ~BIT(VIRTIO_BLK_F_FLUSH) & ~BIT(VIRTIO_BLK_F_CONFIG_WCE));
    fault_watch_start(&w, &f->disk.disk, &f->disk.loop);
    addr = driver_alloc(&f->d, 4096);
    memset(driver_pointer(&f->d, addr), 0x77, 512);
    __atomic_store_n(&f->disk.flush_error, -ENOSPC, __ATOMIC_RELEASE);
    request(f, VIRTIO_BLK_T_OUT, 8, &(struct driver_buffer){addr, 512, false}, 1, false);
    driver_kick(&f->q);
    assert_true(fault_watch_wait(&f->m, &w.kept, 1));
    assert_int_equal(f->q.used->idx, 0);
    __atomic_store_n(&f->disk.flush_error, 0, __ATOMIC_RELEASE);
    fault_watch_retry(&f->m);
    take_all(f, 1);
    assert_int_equal(f->disk.flushes, 1);
    assert_int_equal(f->disk.data[8 * 512], 0x77);
    stop(f);
}

/* A reset drops what waits, without waiting for room, and nothing of it comes later. */
static void reset_without_room(void **state UNUSED)
{
    unsigned round;

    for (round = 0; round < 2; round++) {
        struct fault_watch w;
        struct fixture *f = start_watched(&w);
        gpa_t addr = driver_alloc(&f->d, 4096);

        give_without_room(f, &w, addr);
        if (round == 0)
            driver_reset(&f->d);
        else
            fake_machine_reset(&f->m);
        assert_true(fault_watch_wait(&f->m, &w.recovered, 1));
        set_error(f, 0);
        fault_watch_retry(&f->m);
        fake_machine_run(&f->m, 20);
        assert_int_equal(f->disk.flushes + f->disk.discards + f->disk.zeroes, 0);
        assert_int_not_equal(f->disk.data[8 * 512], 0x77);
        configure(f, DRIVER_MODERN, true, ALL_FEATURES);
        assert_int_equal(run_one(f, VIRTIO_BLK_T_IN, 0, addr, 512), VIRTIO_BLK_S_OK);
        stop(f);
    }
}

/* Saving does not wait for room; when the machine goes on instead, nothing is lost. */
static void saved_without_room(void **state UNUSED)
{
    struct fault_watch w;
    struct fixture *f = start_watched(&w);
    struct device *device = TAILQ_FIRST(&f->m.base.devices);
    gpa_t addr = driver_alloc(&f->d, 4096);
    struct writer writer;

    give_without_room(f, &w, addr);
    writer_init(&writer, MIB(1));
    machine_lock(&f->m.base);
    device->ops->save(device, &writer);
    device->ops->resume(device);
    machine_unlock(&f->m.base);
    writer_fini(&writer);
    set_error(f, 0);
    fault_watch_retry(&f->m);
    take_all(f, ARRAY_SIZE(without_room));
    assert_int_equal(f->disk.flushes + f->disk.discards + f->disk.zeroes, 3);
    stop(f);
}

static void destroyed_without_room(void **state UNUSED)
{
    struct fault_watch w;
    struct fixture *f = start_watched(&w);

    give_without_room(f, &w, driver_alloc(&f->d, 4096));
    stop(f);
    assert_int_equal(w.recovered, 1);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(identity),        cmocka_unit_test(reads_and_writes),
        cmocka_unit_test(other_requests),  cmocka_unit_test(write_through),
        cmocka_unit_test(bad_requests),    cmocka_unit_test(no_header_or_status),
        cmocka_unit_test(read_only),       cmocka_unit_test(disk_errors),
        cmocka_unit_test(many_in_flight),  cmocka_unit_test(stream),
        cmocka_unit_test(reset_in_flight), cmocka_unit_test(reset_while_masked),
        cmocka_unit_test(saved_in_flight), cmocka_unit_test(one_head_again_and_again),
        cmocka_unit_test(on_a_file),       cmocka_unit_test(needs_a_loop),
        cmocka_unit_test(many_queues),     cmocka_unit_test(queues_wait_for_room),
        cmocka_unit_test(write_cache_switch), cmocka_unit_test(waits_for_room),
        cmocka_unit_test(flush_waits_for_room), cmocka_unit_test(reset_without_room),
        cmocka_unit_test(saved_without_room), cmocka_unit_test(destroyed_without_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
