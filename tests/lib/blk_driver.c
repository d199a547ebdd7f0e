#include "tests/lib/blk_driver.h"

#include "devices/virtio/virtio_blk.h"

#include <errno.h>
#include <linux/virtio_blk.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* --- the disk --- */

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
        int err =
            __atomic_load_n(r->op == DISK_FLUSH ? &d->flush_error : &d->error, __ATOMIC_ACQUIRE);
        bool inside = r->offset <= d->disk.size && r->bytes <= d->disk.size - r->offset;

        r->done(r, err ? err : inside ? perform(d, r) : -EINVAL);
    }
}

static void submit(struct disk *disk, struct disk_request *r)
{
    struct fake_disk *d = container_of(disk, struct fake_disk, disk);

    assert_true(d->held_count < BLK_MAX_HELD);
    d->held[d->held_count] = r;
    __atomic_add_fetch(&d->held_count, 1, __ATOMIC_RELEASE);
    uv_async_send(&d->wake);
}

static const struct disk_ops fake_disk_ops = {.format = "fake", .submit = submit};
/* --- the driver --- */

struct blk_rig *blk_create_with_queues(bool read_only, bool irqfd, unsigned queues)
{
    struct blk_rig *f = calloc(1, sizeof(*f));
    struct virtio_blk_options options = {&f->disk.disk, &f->disk.loop, "MV-0123456789-0123456789",
                                         queues};
    unsigned i;

    for (i = 0; i < BLK_DISK_SIZE; i++)
        f->disk.data[i] = (uint8_t)(i * 7 + i / 512);
    f->disk.disk = (struct disk){&fake_disk_ops, BLK_DISK_SIZE, read_only};
    assert_int_equal(loop_init(&f->disk.loop), 0);
    uv_async_init(&f->disk.loop.uv, &f->disk.wake, release);
    assert_int_equal(loop_start(&f->disk.loop, "disk"), 0);
    assert_int_equal(fake_machine_init(&f->m, MIB(16), irqfd), 0);
    assert_int_equal(virtio_blk_create(&f->m.base, BLK_DEVFN, &options), 0);
    return f;
}

struct blk_rig *blk_create(bool read_only, bool irqfd)
{
    return blk_create_with_queues(read_only, irqfd, 1);
}

void blk_configure(struct blk_rig *f, enum driver_interface interface, bool msix, uint64_t features)
{
    driver_init(&f->d, &f->m, BLK_DEVFN, interface, msix);
    assert_true(driver_negotiate(&f->d, features));
    driver_setup_queue(&f->d, &f->q, 0, 256);
    f->headers = driver_alloc(&f->d, 16 * 256);
    f->statuses = driver_alloc(&f->d, 256);
    driver_ok(&f->d);
}

struct blk_rig *blk_start(enum driver_interface interface, bool msix, uint64_t features)
{
    struct blk_rig *f = blk_create(false, true);

    blk_configure(f, interface, msix, features);
    return f;
}

void blk_stop(struct blk_rig *f)
{
    fake_machine_fini(&f->m);
    loop_stop(&f->disk.loop);
    loop_join(&f->disk.loop);
    loop_fini(&f->disk.loop);
    free(f);
}

uint16_t blk_request(struct blk_rig *f, uint32_t type, uint64_t sector,
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

uint8_t blk_status(struct blk_rig *f, uint16_t head)
{
    return *(uint8_t *)driver_pointer(&f->d, f->statuses + head);
}

uint8_t blk_run(struct blk_rig *f, uint32_t type, uint64_t sector, const struct driver_buffer *data,
                unsigned count, uint32_t expected_written)
{
    bool indirect = f->d.features & (1ULL << VIRTIO_RING_F_INDIRECT_DESC);
    uint16_t head = blk_request(f, type, sector, data, count, indirect), got;
    uint32_t written;

    driver_kick(&f->q);
    assert_true(driver_wait_used(&f->q, &got, &written));
    assert_int_equal(got, head);
    assert_int_equal(written, expected_written);
    return blk_status(f, head);
}

uint8_t blk_run_one(struct blk_rig *f, uint32_t type, uint64_t sector, gpa_t addr, uint32_t size)
{
    bool in = type == VIRTIO_BLK_T_IN || type == VIRTIO_BLK_T_GET_ID;
    struct driver_buffer data = {addr, size, in};
    uint16_t head = blk_request(f, type, sector, &data, size ? 1 : 0, false), got;

    driver_kick(&f->q);
    assert_true(driver_wait_used(&f->q, &got, NULL));
    assert_int_equal(got, head);
    return blk_status(f, head);
}
