/* The block device, driven as Linux' and SeaBIOS' drivers drive it, on a disk in memory whose timing the test controls,
 * and on a real file. */
#include "devices/virtio/virtio_blk.h"
#include "tests/lib/blk_driver.h"

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

#define BIT(n) (1ULL << (n))
static unsigned msis(struct blk_rig *f)
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
    struct blk_rig *f = blk_start(DRIVER_MODERN, false, BLK_ALL_FEATURES);
    enum driver_interface i;

    assert_int_equal(fake_pci_read(&f->m, BLK_DEVFN, PCI_DEVICE_ID, 2), 0x1001);
    assert_int_equal(fake_pci_read(&f->m, BLK_DEVFN, PCI_SUBSYSTEM_ID, 2), 2);
    assert_int_equal(fake_pci_read(&f->m, BLK_DEVFN, PCI_CLASS_DEVICE, 2), 0x0100);
    for (i = DRIVER_LEGACY; i <= DRIVER_MODERN; i++) {
        f->d.interface = i;
        assert_int_equal(driver_config(&f->d, offsetof(struct virtio_blk_config, capacity), 4),
                         BLK_DISK_SIZE / 512);
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
    blk_stop(f);
}

static void reads_and_writes(void **state UNUSED)
{
    unsigned way;

    for (way = 0; way < 8; way++) {
        uint64_t features =
            way & 4 ? BLK_ALL_FEATURES : BLK_ALL_FEATURES & ~BIT(VIRTIO_RING_F_INDIRECT_DESC);
        struct blk_rig *f = blk_start(way & 1 ? DRIVER_MODERN : DRIVER_LEGACY, way & 2, features);
        gpa_t addr = driver_alloc(&f->d, KIB(64));
        uint8_t *p = driver_pointer(&f->d, addr);
        struct driver_buffer in[] = {
            {addr + 4096, 512, true}, {addr, 1024, true}, {addr + 20000, 4096 + 512, true}};
        struct driver_buffer out[] = {{addr, 256, false}, {addr + 1000, 256, false}};

        driver_enable_interrupt(&f->q);
        assert_int_equal(blk_run(f, VIRTIO_BLK_T_IN, 3, in, 3, 512 + 1024 + 4608 + 1),
                         VIRTIO_BLK_S_OK);
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
        assert_int_equal(blk_run(f, VIRTIO_BLK_T_OUT, 100, out, 2, 1), VIRTIO_BLK_S_OK);
        memset(p, 0x5a, 512);
        assert_memory_equal(p, f->disk.data + 100 * 512, 512);
        assert_int_not_equal(f->disk.data[101 * 512], 0x5a);
        blk_stop(f);
    }
}

static void other_requests(void **state UNUSED)
{
    struct blk_rig *f = blk_start(DRIVER_MODERN, true, BLK_ALL_FEATURES);
    gpa_t addr = driver_alloc(&f->d, 4096);
    struct virtio_blk_discard_write_zeroes *ranges = driver_pointer(&f->d, addr);
    struct driver_buffer id = {addr, 20, true};

    assert_int_equal(blk_run(f, VIRTIO_BLK_T_GET_ID, 0, &id, 1, 21), VIRTIO_BLK_S_OK);
    assert_memory_equal(driver_pointer(&f->d, addr), "MV-0123456789-012345", 20);
    assert_int_equal(blk_run(f, VIRTIO_BLK_T_FLUSH, 0, NULL, 0, 1), VIRTIO_BLK_S_OK);
    assert_int_equal(f->disk.flushes, 1);

    ranges[0] = (struct virtio_blk_discard_write_zeroes){8, 8, 0};
    ranges[1] =
        (struct virtio_blk_discard_write_zeroes){32, 16, VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP};
    assert_int_equal(blk_run_one(f, VIRTIO_BLK_T_WRITE_ZEROES, 0, addr, 32), VIRTIO_BLK_S_OK);
    assert_int_equal(f->disk.zeroes, 2);
    assert_int_equal(f->disk.unmaps, 1);
    assert_int_equal(f->disk.data[8 * 512 + 5], 0);
    assert_int_equal(f->disk.data[47 * 512 + 5], 0);
    assert_int_not_equal(f->disk.data[48 * 512 + 5], 0);
    assert_int_equal(blk_run_one(f, VIRTIO_BLK_T_DISCARD, 0, addr, 16), VIRTIO_BLK_S_OK);
    assert_int_equal(f->disk.discards, 1);
    assert_int_equal(blk_run_one(f, VIRTIO_BLK_T_DISCARD, 0, addr + 16, 16),
                     VIRTIO_BLK_S_UNSUPP); /* flags */
    assert_int_equal(blk_run_one(f, VIRTIO_BLK_T_SCSI_CMD, 0, addr, 16), VIRTIO_BLK_S_UNSUPP);
    assert_int_equal(blk_run_one(f, VIRTIO_BLK_T_SECURE_ERASE, 0, addr, 16), VIRTIO_BLK_S_UNSUPP);
    assert_int_equal(blk_run_one(f, 0xffffffff, 0, addr, 16), VIRTIO_BLK_S_UNSUPP);
    assert_int_equal(f->disk.discards, 1);
    blk_stop(f);
}

/* A driver that knows no flushing (and no features at all, as old ones) gets its writes made durable. */
static void write_through(void **state UNUSED)
{
    struct blk_rig *f = blk_start(DRIVER_LEGACY, false, 0);
    gpa_t addr = driver_alloc(&f->d, 4096);

    assert_int_equal(blk_run_one(f, VIRTIO_BLK_T_OUT, 1, addr, 512), VIRTIO_BLK_S_OK);
    assert_int_equal(f->disk.flushes, 1);
    assert_int_equal(blk_run_one(f, VIRTIO_BLK_T_IN, 1, addr, 512), VIRTIO_BLK_S_OK);
    assert_int_equal(f->disk.flushes, 1);
    blk_stop(f);
}

static void bad_requests(void **state UNUSED)
{
    struct blk_rig *f =
        blk_start(DRIVER_MODERN, false, BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_BLK_F_FLUSH));
    gpa_t addr = driver_alloc(&f->d, KIB(64));
    struct virtio_blk_discard_write_zeroes *range = driver_pointer(&f->d, addr);
    struct driver_buffer many[200];
    unsigned i;

    assert_int_equal(blk_run_one(f, VIRTIO_BLK_T_IN, BLK_DISK_SIZE / 512, addr, 512),
                     VIRTIO_BLK_S_IOERR);
    assert_int_equal(blk_run_one(f, VIRTIO_BLK_T_IN, BLK_DISK_SIZE / 512 - 1, addr, 1024),
                     VIRTIO_BLK_S_IOERR);
    assert_int_equal(blk_run_one(f, VIRTIO_BLK_T_IN, UINT64_MAX, addr, 512), VIRTIO_BLK_S_IOERR);
    assert_int_equal(blk_run_one(f, VIRTIO_BLK_T_IN, UINT64_MAX / 512, addr, 512),
                     VIRTIO_BLK_S_IOERR);
    assert_int_equal(blk_run_one(f, VIRTIO_BLK_T_IN, 0, addr, 511), VIRTIO_BLK_S_IOERR);
    assert_int_equal(blk_run_one(f, VIRTIO_BLK_T_IN, 0, 0, 0), VIRTIO_BLK_S_IOERR);
    assert_int_equal(blk_run_one(f, VIRTIO_BLK_T_OUT, 0, 0, 0), VIRTIO_BLK_S_IOERR);
    assert_int_equal(blk_run_one(f, VIRTIO_BLK_T_OUT, BLK_DISK_SIZE / 512, addr, 512),
                     VIRTIO_BLK_S_IOERR);
    *range = (struct virtio_blk_discard_write_zeroes){BLK_DISK_SIZE / 512 - 1, 2, 0};
    assert_int_equal(blk_run_one(f, VIRTIO_BLK_T_WRITE_ZEROES, 0, addr, 16), VIRTIO_BLK_S_IOERR);
    *range = (struct virtio_blk_discard_write_zeroes){UINT64_MAX, 1, 0};
    assert_int_equal(blk_run_one(f, VIRTIO_BLK_T_WRITE_ZEROES, 0, addr, 16), VIRTIO_BLK_S_IOERR);
    *range = (struct virtio_blk_discard_write_zeroes){0, 0, 0};
    assert_int_equal(blk_run_one(f, VIRTIO_BLK_T_DISCARD, 0, addr, 16), VIRTIO_BLK_S_IOERR);
    assert_int_equal(blk_run_one(f, VIRTIO_BLK_T_DISCARD, 0, addr, 15), VIRTIO_BLK_S_IOERR);
    assert_int_equal(blk_run_one(f, VIRTIO_BLK_T_DISCARD, 0, addr, 17 * 16), VIRTIO_BLK_S_IOERR);
    assert_int_equal(blk_run_one(f, VIRTIO_BLK_T_DISCARD, 0, 0, 0), VIRTIO_BLK_S_IOERR);
    /* More than a disk takes in one go, made of the same memory again and again. */
    for (i = 0; i < ARRAY_SIZE(many); i++)
        many[i] = (struct driver_buffer){MIB(1), MIB(1), true};
    assert_int_equal(blk_run(f, VIRTIO_BLK_T_IN, 0, many, ARRAY_SIZE(many), 1), VIRTIO_BLK_S_IOERR);
    assert_int_equal(driver_status(&f->d) & VIRTIO_CONFIG_S_NEEDS_RESET, 0);
    assert_int_equal(f->disk.discards + f->disk.zeroes, 0);
    blk_stop(f);
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
        struct blk_rig *f = blk_start(DRIVER_MODERN, false, BIT(VIRTIO_F_VERSION_1));

        driver_add(&f->q, cases[i], 2, 0);
        driver_notify(&f->q);
        fake_machine_run(&f->m, 20);
        assert_true(driver_status(&f->d) & VIRTIO_CONFIG_S_NEEDS_RESET);
        blk_configure(f, DRIVER_MODERN, false, BLK_ALL_FEATURES);
        assert_int_equal(blk_run_one(f, VIRTIO_BLK_T_IN, 0, driver_alloc(&f->d, 512), 512),
                         VIRTIO_BLK_S_OK);
        blk_stop(f);
    }
}

static void read_only(void **state UNUSED)
{
    struct blk_rig *f = blk_create(true, true);
    gpa_t addr;

    blk_configure(f, DRIVER_MODERN, true, BLK_ALL_FEATURES);
    addr = driver_alloc(&f->d, 4096);
    assert_true(f->d.features & BIT(VIRTIO_BLK_F_RO));
    assert_false(f->d.features & BIT(VIRTIO_BLK_F_DISCARD));
    assert_int_equal(blk_run_one(f, VIRTIO_BLK_T_IN, 0, addr, 512), VIRTIO_BLK_S_OK);
    assert_int_equal(blk_run_one(f, VIRTIO_BLK_T_OUT, 0, addr, 512), VIRTIO_BLK_S_IOERR);
    assert_int_equal(blk_run_one(f, VIRTIO_BLK_T_WRITE_ZEROES, 0, addr, 16), VIRTIO_BLK_S_IOERR);
    assert_int_equal(blk_run_one(f, VIRTIO_BLK_T_FLUSH, 0, 0, 0), VIRTIO_BLK_S_OK);
    blk_stop(f);
}

static void disk_errors(void **state UNUSED)
{
    struct blk_rig *f = blk_start(DRIVER_MODERN, true, BLK_ALL_FEATURES);
    gpa_t addr = driver_alloc(&f->d, 4096);

    __atomic_store_n(&f->disk.error, -EIO, __ATOMIC_RELEASE);
    assert_int_equal(blk_run_one(f, VIRTIO_BLK_T_IN, 0, addr, 512), VIRTIO_BLK_S_IOERR);
    __atomic_store_n(&f->disk.error, -ENOSPC, __ATOMIC_RELEASE);
    assert_int_equal(blk_run_one(f, VIRTIO_BLK_T_OUT, 0, addr, 512), VIRTIO_BLK_S_IOERR);
    __atomic_store_n(&f->disk.flush_error, -EIO, __ATOMIC_RELEASE);
    assert_int_equal(blk_run_one(f, VIRTIO_BLK_T_FLUSH, 0, 0, 0), VIRTIO_BLK_S_IOERR);
    __atomic_store_n(&f->disk.flush_error, -ENOTSUP, __ATOMIC_RELEASE);
    assert_int_equal(blk_run_one(f, VIRTIO_BLK_T_FLUSH, 0, 0, 0), VIRTIO_BLK_S_UNSUPP);
    __atomic_store_n(&f->disk.flush_error, 0, __ATOMIC_RELEASE);
    assert_int_equal(blk_run_one(f, VIRTIO_BLK_T_FLUSH, 0, 0, 0), VIRTIO_BLK_S_OK);
    blk_stop(f);
}

static bool all_held(void *arg)
{
    struct blk_rig *f = arg;

    return __atomic_load_n(&f->disk.held_count, __ATOMIC_ACQUIRE) == 128;
}

static void hold(struct blk_rig *f, bool on)
{
    __atomic_store_n(&f->disk.hold, on, __ATOMIC_RELEASE);
    uv_async_send(&f->disk.wake);
}

/* 128 reads, all in flight at once, on their way back in another order. */
static void fill_queue(struct blk_rig *f, gpa_t addr)
{
    unsigned i;

    hold(f, true);
    for (i = 0; i < 128; i++) {
        struct driver_buffer data = {addr + 512 * i, 512, true};

        blk_request(f, VIRTIO_BLK_T_IN, i, &data, 1, true);
        driver_kick(&f->q);
    }
    assert_true(fake_machine_wait(&f->m, all_held, f, 5000));
}

static void many_in_flight(void **state UNUSED)
{
    struct blk_rig *f = blk_start(DRIVER_MODERN, true, BLK_ALL_FEATURES);
    gpa_t addr = driver_alloc(&f->d, 128 * 512);
    uint16_t head;
    unsigned i;

    fill_queue(f, addr);
    assert_int_equal(f->q.used->idx, 0);
    hold(f, false);
    for (i = 0; i < 128; i++) {
        assert_true(driver_wait_used(&f->q, &head, NULL));
        assert_int_equal(blk_status(f, head), VIRTIO_BLK_S_OK);
    }
    assert_memory_equal(driver_pointer(&f->d, addr), f->disk.data, 128 * 512);
    assert_int_equal(f->q.free_count, 256);
    blk_stop(f);
}

/* Thousands of requests as fast as they go: nothing is lost, and notifications and interrupts are fewer. */
static void stream(void **state UNUSED)
{
    struct blk_rig *f = blk_start(DRIVER_MODERN, true, BLK_ALL_FEATURES);
    gpa_t addr = driver_alloc(&f->d, 512);
    struct driver_buffer data = {addr, 512, true};
    unsigned sent = 0, done = 0, interrupts = 0;
    uint16_t head;

    while (done < 20000) {
        while (sent < 20000 && f->q.free_count >= 3) {
            blk_request(f, VIRTIO_BLK_T_IN, sent % 1000, &data, 1, false);
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
    blk_stop(f);
}

static void let_go_later(void *arg)
{
    usleep(50000);
    hold(arg, false);
}

/* A reset with requests in flight: when it returns, none of them touches memory any more. */
static void reset_in_flight(void **state UNUSED)
{
    struct blk_rig *f = blk_start(DRIVER_MODERN, true, BLK_ALL_FEATURES);
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
        blk_configure(f, DRIVER_MODERN, true, BLK_ALL_FEATURES);
        assert_int_equal(blk_run_one(f, VIRTIO_BLK_T_IN, 0, addr, 512), VIRTIO_BLK_S_OK);
    }
    fill_queue(f, addr);
    uv_thread_create(&helper, let_go_later, f);
    blk_stop(f); /* with all of them in flight */
    uv_thread_join(&helper);
}

/* Masked, or without irqfds, the interrupt needs the device lock; a reset holds it and waits for this very thread. */
static void reset_while_masked(void **state UNUSED)
{
    struct blk_rig *f = blk_create(false, false);
    unsigned round;
    uv_thread_t helper;

    for (round = 0; round < 20; round++) {
        gpa_t addr;

        blk_configure(f, DRIVER_MODERN, true, BLK_ALL_FEATURES);
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
    blk_stop(f);
}

static void saved_in_flight(void **state UNUSED)
{
    struct blk_rig *f = blk_start(DRIVER_MODERN, true, BLK_ALL_FEATURES);
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
    assert_int_equal(blk_run_one(f, VIRTIO_BLK_T_IN, 0, addr, 512), VIRTIO_BLK_S_OK);
    writer_fini(&w);
    blk_stop(f);
}

/* More heads than the queue has descriptors, all of them the same. */
static void one_head_again_and_again(void **state UNUSED)
{
    struct blk_rig *f =
        blk_start(DRIVER_MODERN, true, BLK_ALL_FEATURES & ~BIT(VIRTIO_RING_F_EVENT_IDX));
    gpa_t addr = driver_alloc(&f->d, 512);
    struct driver_buffer data = {addr, 512, true};
    uint16_t head;
    unsigned i, used = 0;

    hold(f, true);
    head = blk_request(f, VIRTIO_BLK_T_IN, 0, &data, 1, false);
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
    blk_stop(f);
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
    struct blk_rig *f = calloc(1, sizeof(*f));
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
    assert_int_equal(virtio_blk_create(&f->m.base, BLK_DEVFN, &options), 0);
    blk_configure(f, DRIVER_MODERN, true, BLK_ALL_FEATURES);
    addr = driver_alloc(&f->d, 8192);
    memset(driver_pointer(&f->d, addr), 0x77, 4096);
    assert_int_equal(blk_run_one(f, VIRTIO_BLK_T_OUT, 8, addr, 4096), VIRTIO_BLK_S_OK);
    assert_int_equal(blk_run_one(f, VIRTIO_BLK_T_FLUSH, 0, 0, 0), VIRTIO_BLK_S_OK);
    assert_int_equal(blk_run_one(f, VIRTIO_BLK_T_IN, 8, addr + 4096, 4096), VIRTIO_BLK_S_OK);
    assert_memory_equal(driver_pointer(&f->d, addr), driver_pointer(&f->d, addr + 4096), 4096);
    assert_int_equal(pread(fd, back, sizeof(back), 4096), sizeof(back));
    assert_memory_equal(back, driver_pointer(&f->d, addr), sizeof(back));
    assert_int_equal(blk_run_one(f, VIRTIO_BLK_T_IN, MIB(1) / 512, addr, 512), VIRTIO_BLK_S_IOERR);
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
    assert_int_equal(virtio_blk_create(&m.base, BLK_DEVFN, &options), -EINVAL);
    fake_machine_fini(&m);
}

/* --- several queues --- */

/* Requests on each queue complete there, by its own vector, whatever order they finish in. */
static void many_queues(void **state UNUSED)
{
    struct blk_rig *f = blk_create_with_queues(false, true, 4);
    struct driver_queue q[4];
    uint16_t head, heads[4];
    struct fake_msi msi;
    unsigned i, seen = 0;

    driver_init(&f->d, &f->m, BLK_DEVFN, DRIVER_MODERN, true);
    assert_true(driver_negotiate(&f->d, BLK_ALL_FEATURES));
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
        heads[i] = blk_request(f, VIRTIO_BLK_T_IN, i, &data, 1, false);
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
    blk_stop(f);
}

/* A full device remembers each queue that waits for it, and comes back to it. */
static void queues_wait_for_room(void **state UNUSED)
{
    struct blk_rig *f = blk_create_with_queues(false, true, 2);
    struct driver_queue q[2];
    unsigned i, k, done[2] = {0};
    uint16_t head;

    driver_init(&f->d, &f->m, BLK_DEVFN, DRIVER_MODERN, true);
    assert_true(driver_negotiate(&f->d, BLK_ALL_FEATURES));
    for (i = 0; i < 2; i++)
        driver_setup_queue(&f->d, &q[i], i, 256);
    driver_ok(&f->d);
    hold(f, true);
    for (i = 0; i < 2; i++) {
        f->q = q[i];
        f->headers = driver_alloc(&f->d, 16 * 256);
        f->statuses = driver_alloc(&f->d, 256);
        for (k = 0; k < 200; k++)
            blk_request(f, VIRTIO_BLK_T_IN, k, &(struct driver_buffer){MIB(8), 512, true}, 1, true);
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
    blk_stop(f);
}

/* --- the write cache --- */

static void write_cache_switch(void **state UNUSED)
{
    struct blk_rig *f = blk_start(DRIVER_MODERN, true, BLK_ALL_FEATURES);
    struct device *device = TAILQ_FIRST(&f->m.base.devices);
    unsigned wce = offsetof(struct virtio_blk_config, wce), before;
    gpa_t addr = driver_alloc(&f->d, 512);
    struct writer w;
    struct reader r;

    assert_int_equal(driver_config(&f->d, wce, 1), 1);
    assert_int_equal(
        driver_config(&f->d, offsetof(struct virtio_blk_config, physical_block_exp), 1), 3);
    assert_int_equal(blk_run_one(f, VIRTIO_BLK_T_OUT, 1, addr, 512), VIRTIO_BLK_S_OK);
    assert_int_equal(f->disk.flushes, 0);
    fake_mmio_write(&f->m, f->d.config + wce, 0, 1);
    assert_int_equal(driver_config(&f->d, wce, 1), 0);
    assert_int_equal(blk_run_one(f, VIRTIO_BLK_T_OUT, 1, addr, 512), VIRTIO_BLK_S_OK);
    assert_int_equal(f->disk.flushes, 1); /* durable when it completes */
    fake_mmio_write(&f->m, f->d.config + wce, 7, 1);
    fake_mmio_write(&f->m, f->d.config, 0, 4);
    assert_int_equal(driver_config(&f->d, wce, 1), 0);
    assert_int_equal(driver_config(&f->d, 0, 4), BLK_DISK_SIZE / 512);

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
    assert_int_equal(blk_run_one(f, VIRTIO_BLK_T_OUT, 1, addr, 512), VIRTIO_BLK_S_OK);
    assert_int_equal(f->disk.flushes, before + 1);
    driver_reset(&f->d);
    assert_int_equal(driver_config(&f->d, wce, 1), 1);
    blk_stop(f);
}
int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(identity),           cmocka_unit_test(reads_and_writes),
        cmocka_unit_test(other_requests),     cmocka_unit_test(write_through),
        cmocka_unit_test(bad_requests),       cmocka_unit_test(no_header_or_status),
        cmocka_unit_test(read_only),          cmocka_unit_test(disk_errors),
        cmocka_unit_test(many_in_flight),     cmocka_unit_test(stream),
        cmocka_unit_test(reset_in_flight),    cmocka_unit_test(reset_while_masked),
        cmocka_unit_test(saved_in_flight),    cmocka_unit_test(one_head_again_and_again),
        cmocka_unit_test(on_a_file),          cmocka_unit_test(needs_a_loop),
        cmocka_unit_test(many_queues),        cmocka_unit_test(queues_wait_for_room),
        cmocka_unit_test(write_cache_switch),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
