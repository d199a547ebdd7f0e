/* The balloon, driven as Linux' driver drives it: what goes back to the host is seen in the host's page tables. */
#include "devices/virtio/virtio_balloon.h"
#include "tests/lib/virtio_driver.h"

#include <linux/pci_regs.h>
#include <linux/virtio_balloon.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

#define DEVFN   PCI_DEVFN(5, 0)
#define BIT(n)  (1ULL << (n))
#define RAM     MIB(64)
#define EXTRA   GIB(4) /* another block, as memory above 4 GiB is */
#define VIDEO   0xd0000000u
#define ROM     0xc0000000u
#define SPACE   MIB(32) /* where the tests' pages lie */

enum { INFLATE, DEFLATE, STATS, REPORTING_COUNTED, REPORTING, QUEUES };

struct fixture {
    struct fake_machine m;
    struct driver d;
    struct driver_queue q[QUEUES];
    struct virtio_balloon *balloon;
    struct ram extra, video, rom;
    struct loop loop;
};

static void map(struct fixture *f, struct ram *ram, const char *name, unsigned flags, gpa_t base)
{
    assert_int_equal(ram_init(ram, name, MIB(4), flags), 0);
    memset(ram->host, 0x77, ram->size);
    assert_int_equal(memory_map_ram(f->m.base.memory, ram, base), 0);
}

static void configure(struct fixture *f, uint64_t features)
{
    unsigned i;

    driver_init(&f->d, &f->m, DEVFN, DRIVER_MODERN, true);
    assert_true(driver_negotiate(&f->d, features));
    for (i = 0; i < QUEUES; i++)
        driver_setup_queue(&f->d, &f->q[i], i, 128);
    fake_mmio_write(&f->m, f->d.common + VIRTIO_PCI_COMMON_MSIX, 0, 2);
    driver_ok(&f->d);
    fake_machine_run(&f->m, 0);
}

/* threaded: in a loop of its own, as in a machine. */
static struct fixture *start(bool threaded)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct virtio_balloon_options options = {RAM, threaded ? &f->loop : NULL};

    assert_int_equal(fake_machine_init(&f->m, RAM, true), 0);
    f->m.ram.flags |= RAM_DISCARD;
    memset(f->m.ram.host, 0x55, RAM);
    map(f, &f->extra, "extra", RAM_DISCARD, EXTRA);
    map(f, &f->video, "video", 0, VIDEO);
    map(f, &f->rom, "rom", RAM_READ_ONLY | RAM_DISCARD, ROM);
    assert_int_equal(loop_init(&f->loop), 0);
    if (threaded)
        assert_int_equal(loop_start(&f->loop, "balloon"), 0);
    assert_int_equal(virtio_balloon_create(&f->m.base, DEVFN, &options, &f->balloon), 0);
    configure(f, ~0ULL);
    return f;
}

static void stop(struct fixture *f)
{
    struct ram *blocks[] = {&f->extra, &f->video, &f->rom};
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(blocks); i++)
        memory_unmap_ram(f->m.base.memory, blocks[i]);
    fake_machine_fini(&f->m);
    for (i = 0; i < ARRAY_SIZE(blocks); i++)
        ram_fini(blocks[i]);
    loop_stop(&f->loop);
    loop_join(&f->loop);
    loop_fini(&f->loop);
    free(f);
}

/* Pages of the host that lie behind [p, p + size). */
static unsigned resident(const void *p, size_t size)
{
    unsigned char pages[16384];
    unsigned n = 0, i;

    assert_true(size / 4096 <= sizeof(pages));
    assert_int_equal(mincore((void *)p, size, pages), 0);
    for (i = 0; i < size / 4096; i++)
        n += pages[i] & 1;
    return n;
}

static void give(struct fixture *f, unsigned queue, const struct driver_buffer *buffers, unsigned count)
{
    uint16_t head, got;

    head = driver_add(&f->q[queue], buffers, count, 0);
    driver_kick(&f->q[queue]);
    assert_true(driver_wait_used(&f->q[queue], &got, NULL));
    assert_int_equal(got, head);
}

static void give_pfns(struct fixture *f, unsigned queue, const uint32_t *pfns, unsigned count)
{
    memcpy(driver_pointer(&f->d, MIB(20)), pfns, count * sizeof(*pfns));
    give(f, queue, &(struct driver_buffer){MIB(20), count * (uint32_t)sizeof(*pfns), false}, 1);
}

static void identity(void **state UNUSED)
{
    struct fixture *f = start(false);
    uint64_t offered = driver_offered(&f->d);

    assert_int_equal(fake_pci_read(&f->m, DEVFN, PCI_DEVICE_ID, 2), 0x1002);
    assert_int_equal(fake_pci_read(&f->m, DEVFN, PCI_SUBSYSTEM_ID, 2), 5);
    assert_true(offered & BIT(VIRTIO_BALLOON_F_STATS_VQ) && offered & BIT(VIRTIO_BALLOON_F_REPORTING));
    assert_true(offered & BIT(VIRTIO_BALLOON_F_DEFLATE_ON_OOM));
    assert_int_equal(driver_config(&f->d, 0, 4), 0);
    stop(f);
}

static void inflates(void **state UNUSED)
{
    unsigned way;

    for (way = 0; way < 2; way++) {
        struct fixture *f = start(way);
        uint32_t first = SPACE / 4096, pfns[600];
        const uint8_t *p = f->m.ram.host + SPACE;
        struct balloon_stats stats;
        unsigned i;

        for (i = 0; i < 200; i++)
            pfns[i] = first + i; /* upwards, */
        for (; i < 400; i++)
            pfns[i] = first + 799 - i; /* downwards: 400 to 599, */
        for (; i < 600; i++)
            pfns[i] = first + 800 + 2 * (i - 400); /* every other */
        give_pfns(f, INFLATE, pfns, 600);
        assert_int_equal(resident(p, 200 * 4096), 0);
        assert_int_equal(resident(p + 200 * 4096, 200 * 4096), 200);
        assert_int_equal(resident(p + 400 * 4096, 200 * 4096), 0);
        assert_int_equal(resident(p + 800 * 4096, 400 * 4096), 200);
        assert_int_equal(p[0], 0);
        assert_int_equal(p[300 * 4096], 0x55);
        virtio_balloon_stats(f->balloon, &stats);
        assert_int_equal(stats.returned, 600 * 4096);
        f->m.ram.host[SPACE] = 1;
        give_pfns(f, DEFLATE, pfns, 600); /* nothing to do, and nothing lost */
        assert_int_equal(f->m.ram.host[SPACE], 1);
        stop(f);
    }
}

/* Reports come on queue 4, or on 3 from drivers that count. */
static void reports(void **state UNUSED)
{
    unsigned queue;

    for (queue = REPORTING_COUNTED; queue <= REPORTING; queue++) {
        struct fixture *f = start(true);
        const struct driver_buffer blocks[] = {{SPACE, MIB(2), true},
                                               {SPACE + MIB(4), MIB(4), true},
                                               {EXTRA, MIB(4), true},
                                               {SPACE + MIB(9) + 100, 8192, true}};

        give(f, queue, blocks, ARRAY_SIZE(blocks));
        assert_int_equal(resident(f->m.ram.host + SPACE, MIB(2)), 0);
        assert_int_equal(resident(f->m.ram.host + SPACE + MIB(2), MIB(2)), 512);
        assert_int_equal(resident(f->m.ram.host + SPACE + MIB(4), MIB(4)), 0);
        assert_int_equal(resident(f->extra.host, MIB(4)), 0);
        assert_int_equal(resident(f->m.ram.host + SPACE + MIB(9), 12288), 2); /* whole pages only */
        assert_int_equal(f->m.ram.host[SPACE + MIB(9) + 99], 0x55);
        stop(f);
    }
}

/* Video memory, ROM, holes, registers, the end of memory, numbers that wrap: not the guest's to give. */
static void gives_what_is_not_its(void **state UNUSED)
{
    struct fixture *f = start(false);
    uint32_t pfns[] = {VIDEO / 4096,
                       ROM / 4096,
                       0xe0000000 / 4096,
                       (uint32_t)(f->d.common / 4096),
                       RAM / 4096,
                       0xffffffff,
                       0,
                       0xffffffff,
                       0x80000000,
                       (uint32_t)(EXTRA / 4096) + 1023,
                       (uint32_t)(EXTRA / 4096) + 1024};
    const struct driver_buffer video = {VIDEO, MIB(4), true};

    give_pfns(f, INFLATE, pfns, ARRAY_SIZE(pfns));
    give(f, REPORTING, &video, 1);
    assert_int_equal(f->video.host[0], 0x77);
    assert_int_equal(f->rom.host[0], 0x77);
    assert_int_equal(resident(f->video.host, MIB(4)), 1024);
    assert_int_equal(resident(f->rom.host, MIB(4)), 1024);
    assert_int_equal(f->m.ram.host[0], 0); /* the one page that was its own */
    assert_false(driver_status(&f->d) & VIRTIO_CONFIG_S_NEEDS_RESET);
    stop(f);

    f = start(false);
    driver_add(&f->q[REPORTING], &(struct driver_buffer){ROM, 4096, true}, 1, 0);
    driver_kick(&f->q[REPORTING]);
    fake_machine_run(&f->m, 5);
    assert_true(driver_status(&f->d) & VIRTIO_CONFIG_S_NEEDS_RESET); /* a device must not write there */
    assert_int_equal(f->rom.host[0], 0x77);
    stop(f);
}

static void same_pages_again(void **state UNUSED)
{
    struct fixture *f = start(true);
    uint32_t pfns[1000];
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(pfns); i++)
        pfns[i] = SPACE / 4096 + i % 2 * 7;
    for (i = 0; i < 50; i++) {
        give_pfns(f, INFLATE, pfns, ARRAY_SIZE(pfns));
        give_pfns(f, DEFLATE, pfns, ARRAY_SIZE(pfns));
    }
    give(f, INFLATE, &(struct driver_buffer){MIB(20), 3, false}, 1); /* less than a number */
    give(f, INFLATE, &(struct driver_buffer){MIB(20), 4096, true}, 1); /* the wrong way round */
    give(f, REPORTING, &(struct driver_buffer){SPACE, 4096, false}, 1);
    assert_int_equal(f->m.ram.host[SPACE + 4096], 0x55);
    stop(f);
}

/* --- the target --- */

static unsigned config_interrupts(struct fixture *f)
{
    struct fake_msi msi;
    unsigned n = 0;

    fake_machine_run(&f->m, 5);
    while (fake_machine_take_msi(&f->m, &msi))
        n += msi.data == DRIVER_MSI_DATA;
    return n;
}

static void target(void **state UNUSED)
{
    struct fixture *f = start(false);
    struct balloon_stats stats;

    config_interrupts(f);
    virtio_balloon_set_target(f->balloon, MIB(48));
    assert_int_equal(config_interrupts(f), 1);
    assert_int_equal(driver_config(&f->d, 0, 4), MIB(16) / 4096);
    fake_mmio_write(&f->m, f->d.config + 4, MIB(8) / 4096, 4); /* the driver got half of it */
    virtio_balloon_stats(f->balloon, &stats);
    assert_int_equal(stats.target, MIB(48));
    assert_int_equal(stats.actual, MIB(56));
    fake_mmio_write(&f->m, f->d.config + 4, 0xffffffff, 4);
    virtio_balloon_stats(f->balloon, &stats);
    assert_int_equal(stats.actual, 0);
    fake_mmio_write(&f->m, f->d.config, 1, 4); /* the target is not the driver's to set */
    assert_int_equal(driver_config(&f->d, 0, 4), MIB(16) / 4096);
    driver_reset(&f->d);
    assert_int_equal(driver_config(&f->d, 0, 4), MIB(16) / 4096); /* it holds for the next one */
    assert_int_equal(driver_config(&f->d, 4, 4), 0);
    virtio_balloon_set_target(f->balloon, GIB(100));
    assert_int_equal(driver_config(&f->d, 0, 4), 0);
    assert_int_equal(config_interrupts(f), 0); /* nobody is there */
    stop(f);
}

/* --- statistics --- */

static uint16_t offer_stats(struct fixture *f, uint64_t free, unsigned extra)
{
    struct virtio_balloon_stat *s = driver_pointer(&f->d, MIB(21));
    unsigned i;
    uint16_t head;

    s[0] = (struct virtio_balloon_stat){VIRTIO_BALLOON_S_MEMFREE, free};
    s[1] = (struct virtio_balloon_stat){0xffff, 1};
    s[2] = (struct virtio_balloon_stat){VIRTIO_BALLOON_S_MEMTOT, MIB(60)};
    for (i = 0; i < extra; i++)
        s[3 + i] = (struct virtio_balloon_stat){(uint16_t)(100 + i), i};
    head = driver_add(&f->q[STATS],
                      &(struct driver_buffer){MIB(21), (uint32_t)((3 + extra) * sizeof(*s)), false}, 1, 0);
    driver_kick(&f->q[STATS]);
    fake_machine_run(&f->m, 20);
    return head;
}

static void statistics(void **state UNUSED)
{
    unsigned way;

    for (way = 0; way < 2; way++) {
        struct fixture *f = start(way);
        struct balloon_stats stats;
        uint16_t head, got;

        virtio_balloon_stats(f->balloon, &stats);
        assert_int_equal(stats.updated, 0);
        assert_true(stats.value[BALLOON_FREE] == BALLOON_UNKNOWN);
        head = offer_stats(f, MIB(30), 0);
        assert_int_equal(__atomic_load_n(&f->q[STATS].used->idx, __ATOMIC_ACQUIRE), 0);
        virtio_balloon_stats(f->balloon, &stats);
        assert_int_equal(stats.value[BALLOON_FREE], MIB(30));
        assert_int_equal(stats.value[BALLOON_TOTAL], MIB(60));
        assert_true(stats.value[BALLOON_CACHES] == BALLOON_UNKNOWN);
        assert_true(stats.updated > 0);
        assert_true(driver_wait_used(&f->q[STATS], &got, NULL));
        assert_int_equal(got, head);
        offer_stats(f, MIB(31), 2000); /* a driver that talks a lot */
        fake_machine_run(&f->m, 20);
        assert_false(driver_take_used(&f->q[STATS], &got, NULL)); /* held until it is wanted */
        virtio_balloon_stats(f->balloon, &stats);
        assert_int_equal(stats.value[BALLOON_FREE], MIB(31));
        driver_reset(&f->d);
        virtio_balloon_stats(f->balloon, &stats);
        assert_int_equal(stats.updated, 0);
        stop(f);
    }
}

static void saved_state(void **state UNUSED)
{
    struct fixture *f = start(true);
    struct device *device = TAILQ_FIRST(&f->m.base.devices);
    struct balloon_stats stats;
    struct writer w;
    struct reader r;
    uint16_t head, got;
    size_t cut;

    offer_stats(f, MIB(30), 0);
    virtio_balloon_stats(f->balloon, &stats);
    assert_true(driver_wait_used(&f->q[STATS], &got, NULL));
    head = offer_stats(f, MIB(31), 0);
    virtio_balloon_set_target(f->balloon, MIB(40));
    fake_mmio_write(&f->m, f->d.config + 4, 100, 4);
    writer_init(&w, MIB(1));
    machine_lock(&f->m.base);
    device->ops->save(device, &w);
    machine_unlock(&f->m.base);
    fake_machine_reset(&f->m);
    virtio_balloon_set_target(f->balloon, MIB(64));
    for (cut = 0; cut <= w.size; cut++) {
        reader_init(&r, w.data, cut);
        machine_lock(&f->m.base);
        assert_int_equal(device->ops->load(device, &r, device->ops->version) == 0, cut == w.size);
        machine_unlock(&f->m.base);
    }
    device->ops->resume(device);
    virtio_balloon_stats(f->balloon, &stats);
    assert_int_equal(stats.target, MIB(40));
    assert_int_equal(stats.actual, RAM - 100 * 4096);
    assert_true(driver_wait_used(&f->q[STATS], &got, NULL)); /* the buffer that was held comes back */
    assert_int_equal(got, head);
    writer_fini(&w);
    stop(f);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(identity),   cmocka_unit_test(inflates),
        cmocka_unit_test(reports),    cmocka_unit_test(gives_what_is_not_its),
        cmocka_unit_test(same_pages_again), cmocka_unit_test(target),
        cmocka_unit_test(statistics), cmocka_unit_test(saved_state),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
