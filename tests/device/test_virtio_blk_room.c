/* The block device on a host that has no room for what its guest writes. */
#include "tests/lib/blk_driver.h"
#include "tests/lib/fault_watch.h"

#include <errno.h>
#include <linux/virtio_blk.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define BIT(n) (1ULL << (n))

static void set_error(struct blk_rig *f, int error)
{
    __atomic_store_n(&f->disk.error, error, __ATOMIC_RELEASE);
    __atomic_store_n(&f->disk.flush_error, error, __ATOMIC_RELEASE);
}

static const uint32_t without_room[] = {VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_FLUSH, VIRTIO_BLK_T_DISCARD,
                                        VIRTIO_BLK_T_WRITE_ZEROES};

/* One of each kind, for a host that cannot do them. They write 0x77 to sector 8. */
static void give_without_room(struct blk_rig *f, struct fault_watch *w, gpa_t addr)
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
        blk_request(f, without_room[i], without_room[i] == VIRTIO_BLK_T_OUT ? 8 : 0, &data,
                    without_room[i] == VIRTIO_BLK_T_FLUSH ? 0 : 1, false);
    }
    driver_kick(&f->q);
    assert_true(fault_watch_wait(&f->m, &w->kept, before + 1));
    fake_machine_run(&f->m, 20);
    assert_int_equal(f->q.used->idx, f->q.last_used);
}

static struct blk_rig *start_watched(struct fault_watch *w)
{
    struct blk_rig *f = blk_start(DRIVER_MODERN, true, BLK_ALL_FEATURES);

    fault_watch_start(w, &f->disk.disk, &f->disk.loop);
    return f;
}

static void take_all(struct blk_rig *f, unsigned n)
{
    uint16_t head;

    for (; n; n--) {
        assert_true(driver_wait_used(&f->q, &head, NULL));
        assert_int_equal(blk_status(f, head), VIRTIO_BLK_S_OK);
    }
}

/* Nothing is told to the guest and nothing new is taken until it can be done; then all of it is. */
static void waits_for_room(void **state UNUSED)
{
    struct fault_watch w;
    struct blk_rig *f = start_watched(&w);
    gpa_t addr = driver_alloc(&f->d, 4096);
    struct driver_buffer read = {addr + 1024, 512, true};
    unsigned i;

    give_without_room(f, &w, addr);
    assert_int_equal(fault_watch_count(&w.kept), 1);
    set_error(f, 0);
    blk_request(f, VIRTIO_BLK_T_IN, 3, &read, 1, false);
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
    blk_stop(f);
}

/* Without a write cache that its driver flushes, a write is done when the flush after it is. */
static void flush_waits_for_room(void **state UNUSED)
{
    struct fault_watch w;
    struct blk_rig *f = blk_create(false, true);
    gpa_t addr;

    blk_configure(f, DRIVER_MODERN, true,
                  BLK_ALL_FEATURES & ~BIT(VIRTIO_BLK_F_FLUSH) & ~BIT(VIRTIO_BLK_F_CONFIG_WCE));
    fault_watch_start(&w, &f->disk.disk, &f->disk.loop);
    addr = driver_alloc(&f->d, 4096);
    memset(driver_pointer(&f->d, addr), 0x77, 512);
    __atomic_store_n(&f->disk.flush_error, -ENOSPC, __ATOMIC_RELEASE);
    blk_request(f, VIRTIO_BLK_T_OUT, 8, &(struct driver_buffer){addr, 512, false}, 1, false);
    driver_kick(&f->q);
    assert_true(fault_watch_wait(&f->m, &w.kept, 1));
    assert_int_equal(f->q.used->idx, 0);
    __atomic_store_n(&f->disk.flush_error, 0, __ATOMIC_RELEASE);
    fault_watch_retry(&f->m);
    take_all(f, 1);
    assert_int_equal(f->disk.flushes, 1);
    assert_int_equal(f->disk.data[8 * 512], 0x77);
    blk_stop(f);
}

/* A reset drops what waits, without waiting for room, and nothing of it comes later. */
static void reset_without_room(void **state UNUSED)
{
    unsigned round;

    for (round = 0; round < 2; round++) {
        struct fault_watch w;
        struct blk_rig *f = start_watched(&w);
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
        blk_configure(f, DRIVER_MODERN, true, BLK_ALL_FEATURES);
        assert_int_equal(blk_run_one(f, VIRTIO_BLK_T_IN, 0, addr, 512), VIRTIO_BLK_S_OK);
        blk_stop(f);
    }
}

/* Saving does not wait for room; when the machine goes on instead, nothing is lost. */
static void saved_without_room(void **state UNUSED)
{
    struct fault_watch w;
    struct blk_rig *f = start_watched(&w);
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
    blk_stop(f);
}

static void destroyed_without_room(void **state UNUSED)
{
    struct fault_watch w;
    struct blk_rig *f = start_watched(&w);

    give_without_room(f, &w, driver_alloc(&f->d, 4096));
    blk_stop(f);
    assert_int_equal(w.recovered, 1);
}
int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(waits_for_room),         cmocka_unit_test(flush_waits_for_room),
        cmocka_unit_test(reset_without_room),     cmocka_unit_test(saved_without_room),
        cmocka_unit_test(destroyed_without_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
