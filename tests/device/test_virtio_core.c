/* What all virtio devices share - identity, negotiation, rings, interrupts, saved state - seen through the entropy
 * device, the smallest of them. */
#include "devices/virtio/virtio_rng.h"
#include "tests/lib/virtio_driver.h"

#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define DEVFN     PCI_DEVFN(5, 0)
#define VERSION_1 (1ULL << VIRTIO_F_VERSION_1)
#define EVENT_IDX (1ULL << VIRTIO_RING_F_EVENT_IDX)
#define INDIRECT  (1ULL << VIRTIO_RING_F_INDIRECT_DESC)

struct fixture {
    struct fake_machine m;
    struct driver d;
    struct driver_queue q;
};

static struct fixture *start(bool irqfd, enum driver_interface interface, bool msix,
                             uint64_t wanted)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_int_equal(fake_machine_init(&f->m, MIB(8), irqfd), 0);
    assert_int_equal(virtio_rng_create(&f->m.base, DEVFN, GIB(1)), 0);
    driver_init(&f->d, &f->m, DEVFN, interface, msix);
    assert_true(driver_negotiate(&f->d, wanted | (interface == DRIVER_MODERN ? VERSION_1 : 0)));
    driver_setup_queue(&f->d, &f->q, 0, 8);
    driver_ok(&f->d);
    return f;
}

static void stop(struct fixture *f)
{
    fake_machine_fini(&f->m);
    free(f);
}

/* One request for random bytes, all the way. */
static void ask(struct fixture *f, uint32_t size, bool indirect)
{
    gpa_t addr = driver_alloc(&f->d, size), table = indirect ? driver_alloc(&f->d, 4096) : 0;
    const struct driver_buffer buffers[] = {{addr, size / 2, true},
                                            {addr + size / 2, size - size / 2, true}};
    uint16_t head, got;
    uint32_t written;
    const uint8_t *p = driver_pointer(&f->d, addr);
    unsigned i, zeroes = 0;

    driver_enable_interrupt(&f->q);
    head = driver_add(&f->q, buffers, 2, table);
    driver_kick(&f->q);
    assert_true(driver_wait_used(&f->q, &got, &written));
    assert_int_equal(got, head);
    assert_int_equal(written, size);
    for (i = 0; i < size; i++)
        zeroes += p[i] == 0;
    assert_true(zeroes < size / 8);
}

static unsigned msis(struct fixture *f, uint32_t vector)
{
    struct fake_msi msi;
    unsigned n = 0;

    fake_machine_run(&f->m, 0);
    while (fake_machine_take_msi(&f->m, &msi)) {
        assert_int_equal(msi.addr, DRIVER_MSI_ADDR);
        assert_int_equal(msi.data, DRIVER_MSI_DATA + vector);
        n++;
    }
    return n;
}

static unsigned link_of(void)
{
    return ((DEVFN >> 3) - 1) % FAKE_LINKS;
}

static void identity(void **state UNUSED)
{
    struct fixture *f = start(false, DRIVER_MODERN, false, 0);

    assert_int_equal(fake_pci_read(&f->m, DEVFN, PCI_VENDOR_ID, 2), 0x1af4);
    assert_int_equal(fake_pci_read(&f->m, DEVFN, PCI_DEVICE_ID, 2), 0x1005);
    assert_int_equal(fake_pci_read(&f->m, DEVFN, PCI_REVISION_ID, 1), 0);
    assert_int_equal(fake_pci_read(&f->m, DEVFN, PCI_SUBSYSTEM_ID, 2), 4);
    assert_int_equal(driver_offered(&f->d) & (VERSION_1 | EVENT_IDX | INDIRECT),
                     VERSION_1 | EVENT_IDX | INDIRECT);
    assert_int_equal(fake_mmio_read(&f->m, f->d.common + VIRTIO_PCI_COMMON_NUMQ, 2), 1);
    stop(f);
}

static void every_way(void **state UNUSED)
{
    static const uint64_t features[] = {0, EVENT_IDX, INDIRECT, EVENT_IDX | INDIRECT};
    unsigned i, round;

    for (i = 0; i < 2 * 2 * 2 * ARRAY_SIZE(features); i++) {
        bool irqfd = i & 1, msix = i & 4;
        uint64_t wanted = features[i / 8];
        struct fixture *f = start(irqfd, i & 2 ? DRIVER_MODERN : DRIVER_LEGACY, msix, wanted);

        for (round = 1; round <= 20; round++) {
            ask(f, 200, wanted & INDIRECT);
            if (msix) {
                assert_int_equal(msis(f, 1), 1);
                assert_int_equal(f->m.link_edges[link_of()], 0);
                continue;
            }
            fake_machine_run(&f->m, 0);
            assert_true(f->m.link_level[link_of()]);
            assert_int_equal(driver_isr(&f->d), 1);
            assert_false(f->m.link_level[link_of()]);
            assert_int_equal(driver_isr(&f->d), 0);
            assert_int_equal(f->m.link_edges[link_of()], round);
        }
        stop(f);
    }
}

static void no_interrupt_when_unwanted(void **state UNUSED)
{
    struct fixture *f = start(true, DRIVER_MODERN, true, 0);
    gpa_t addr = driver_alloc(&f->d, 64);
    uint16_t head;

    f->q.avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
    driver_add(&f->q, &(struct driver_buffer){addr, 64, true}, 1, 0);
    driver_kick(&f->q);
    assert_true(driver_wait_used(&f->q, &head, NULL));
    assert_int_equal(msis(f, 1), 0);
    stop(f);

    /* With event index: not before the entry that was asked for. */
    f = start(true, DRIVER_MODERN, true, EVENT_IDX);
    addr = driver_alloc(&f->d, 64);
    ask(f, 64, false);
    assert_int_equal(msis(f, 1), 1);
    f->q.avail->ring[f->q.size] = (uint16_t)(f->q.last_used + 1);
    driver_add(&f->q, &(struct driver_buffer){addr, 64, true}, 1, 0);
    driver_kick(&f->q);
    assert_true(driver_wait_used(&f->q, &head, NULL));
    assert_int_equal(msis(f, 1), 0);
    driver_add(&f->q, &(struct driver_buffer){addr, 64, true}, 1, 0);
    driver_kick(&f->q);
    assert_true(driver_wait_used(&f->q, &head, NULL));
    assert_int_equal(msis(f, 1), 1);
    stop(f);
}

static void masked_vector_waits(void **state UNUSED)
{
    struct fixture *f = start(true, DRIVER_MODERN, true, 0);
    uint64_t control =
        fake_pci_bar(&f->m, DEVFN, 1) + PCI_MSIX_ENTRY_SIZE + PCI_MSIX_ENTRY_VECTOR_CTRL;

    fake_mmio_write(&f->m, control, PCI_MSIX_ENTRY_CTRL_MASKBIT, 4);
    ask(f, 64, false);
    assert_int_equal(msis(f, 1), 0);
    fake_mmio_write(&f->m, control, 0, 4);
    assert_int_equal(msis(f, 1), 1);
    stop(f);
}

static void refuses_unknown_features(void **state UNUSED)
{
    struct fixture *f = start(false, DRIVER_MODERN, false, 0);
    uint8_t ok = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK;

    driver_reset(&f->d);
    assert_int_equal(driver_status(&f->d), 0);
    assert_false(driver_negotiate(&f->d, 0)); /* not even VERSION_1 */
    driver_reset(&f->d);
    fake_mmio_write(&f->m, f->d.common + VIRTIO_PCI_COMMON_GFSELECT, 1, 4);
    fake_mmio_write(&f->m, f->d.common + VIRTIO_PCI_COMMON_GF, 3, 4); /* VERSION_1 and bit 33 */
    driver_set_status(&f->d, ok);
    assert_int_equal(driver_status(&f->d), ok & ~VIRTIO_CONFIG_S_FEATURES_OK);
    stop(f);
}

static void reset_forgets(void **state UNUSED)
{
    struct fixture *f = start(true, DRIVER_MODERN, true, EVENT_IDX);

    ask(f, 64, false);
    driver_reset(&f->d);
    assert_int_equal(driver_status(&f->d), 0);
    assert_int_equal(fake_mmio_read(&f->m, f->d.common + VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
    assert_int_equal(fake_mmio_read(&f->m, f->d.common + VIRTIO_PCI_COMMON_Q_DESCLO, 4), 0);
    assert_int_equal(fake_mmio_read(&f->m, f->d.common + VIRTIO_PCI_COMMON_Q_MSIX, 2),
                     VIRTIO_MSI_NO_VECTOR);
    driver_notify(&f->q); /* nobody is at home */
    fake_machine_run(&f->m, 0);
    assert_true(driver_negotiate(&f->d, VERSION_1));
    driver_setup_queue(&f->d, &f->q, 0, 4);
    driver_ok(&f->d);
    msis(f, 1);
    ask(f, 64, false);
    assert_int_equal(msis(f, 1), 1);

    /* The machine's reset takes the BARs away; afterwards all is as at first. */
    fake_machine_reset(&f->m);
    assert_int_equal(fake_pci_read(&f->m, DEVFN, PCI_COMMAND, 2), 0);
    driver_init(&f->d, &f->m, DEVFN, DRIVER_LEGACY, false);
    assert_true(driver_negotiate(&f->d, 0));
    driver_setup_queue(&f->d, &f->q, 0, 0);
    driver_ok(&f->d);
    ask(f, 64, false);
    stop(f);
}

/* Notifications follow the BARs wherever the guest moves them. */
static void moved_bars(void **state UNUSED)
{
    struct fixture *f = start(false, DRIVER_MODERN, false, 0);
    uint64_t old = fake_pci_bar(&f->m, DEVFN, 4), new = 0xf1000000;

    fake_pci_write(&f->m, DEVFN, PCI_BASE_ADDRESS_0 + 16, (uint32_t) new, 4);
    fake_mmio_write(&f->m, f->q.notify_addr, 0, 2); /* to nothing */
    f->d.common += new - old;
    f->d.isr += new - old;
    f->q.notify_addr += new - old;
    ask(f, 64, false);
    fake_pci_write(&f->m, DEVFN, PCI_COMMAND, 0, 2);
    assert_int_equal(fake_mmio_read(&f->m, f->d.common, 4), 0xffffffff);
    fake_pci_write(&f->m, DEVFN, PCI_COMMAND, 7, 2);
    ask(f, 64, false);
    stop(f);
}

static unsigned window_capability(struct fixture *f)
{
    unsigned cap = 0;

    while ((cap = fake_pci_capability(&f->m, DEVFN, PCI_CAP_ID_VNDR, cap)))
        if (fake_pci_read(&f->m, DEVFN, cap + VIRTIO_PCI_CAP_CFG_TYPE, 1) == VIRTIO_PCI_CAP_PCI_CFG)
            break;
    assert_int_not_equal(cap, 0);
    return cap;
}

static void set_window(struct fixture *f, unsigned cap, uint32_t offset, uint32_t length)
{
    fake_pci_write(&f->m, DEVFN, cap + VIRTIO_PCI_CAP_BAR, 4, 1);
    fake_pci_write(&f->m, DEVFN, cap + VIRTIO_PCI_CAP_OFFSET, offset, 4);
    fake_pci_write(&f->m, DEVFN, cap + VIRTIO_PCI_CAP_LENGTH, length, 4);
}

/* Firmware that cannot reach the BAR uses the window in configuration space. */
static void configuration_window(void **state UNUSED)
{
    struct fixture *f = start(false, DRIVER_MODERN, false, 0);
    unsigned cap = window_capability(f), data = cap + sizeof(struct virtio_pci_cap);
    gpa_t addr = driver_alloc(&f->d, 64);
    uint32_t bad, round;
    uint16_t head;

    set_window(f, cap, VIRTIO_PCI_COMMON_NUMQ, 2);
    assert_int_equal(fake_pci_read(&f->m, DEVFN, data, 2), 1);
    set_window(f, cap, VIRTIO_PCI_COMMON_STATUS, 1);
    assert_int_equal(fake_pci_read(&f->m, DEVFN, data, 1), driver_status(&f->d));
    set_window(f, cap, (uint32_t)(f->q.notify_addr - fake_pci_bar(&f->m, DEVFN, 4)), 2);
    for (round = 0; round < 2; round++) { /* the same value twice */
        driver_add(&f->q, &(struct driver_buffer){addr, 64, true}, 1, 0);
        fake_pci_write(&f->m, DEVFN, data, 0, 2);
        assert_true(driver_wait_used(&f->q, &head, NULL));
    }
    for (bad = 0; bad < 64; bad++) { /* nonsense must do nothing */
        set_window(f, cap, bad * 0x11111111u, bad);
        fake_pci_write(&f->m, DEVFN, data, bad, 4);
        fake_pci_read(&f->m, DEVFN, data, 4);
    }
    set_window(f, cap, VIRTIO_PCI_COMMON_STATUS, 1);
    fake_pci_write(&f->m, DEVFN, data, 0, 1);
    assert_int_equal(driver_status(&f->d), 0);
    stop(f);
}

static void saved_state(void **state UNUSED)
{
    enum driver_interface interface;

    for (interface = DRIVER_LEGACY; interface <= DRIVER_MODERN; interface++) {
        struct fixture *f = start(true, interface, true, EVENT_IDX);
        struct device *device = TAILQ_FIRST(&f->m.base.devices);
        struct writer w;
        struct reader r;
        size_t cut;

        ask(f, 64, false);
        ask(f, 64, false);
        writer_init(&w, MIB(1));
        machine_lock(&f->m.base);
        device->ops->save(device, &w);
        device->ops->resume(device);
        machine_unlock(&f->m.base);
        assert_false(w.bad);
        ask(f, 64, false); /* it goes on after saving */
        msis(f, 1);

        /* What the ring says lies in RAM; take it back to where it was saved. */
        f->q.avail_idx = f->q.avail->idx = f->q.last_used = f->q.used->idx = 2;
        f->q.notified = 2;
        fake_machine_reset(&f->m);
        reader_init(&r, w.data, w.size);
        machine_lock(&f->m.base);
        assert_int_equal(device->ops->load(device, &r, device->ops->version), 0);
        device->ops->resume(device);
        machine_unlock(&f->m.base);
        assert_int_equal(reader_left(&r), 0);
        ask(f, 64, false);
        assert_true(msis(f, 1) >= 1);

        for (cut = 0; cut < w.size; cut += 7) {
            reader_init(&r, w.data, cut);
            machine_lock(&f->m.base);
            assert_int_not_equal(device->ops->load(device, &r, device->ops->version), 0);
            machine_unlock(&f->m.base);
        }
        writer_fini(&w);
        stop(f);
    }
}

static void rate_limit(void **state UNUSED)
{
    struct fixture *f = calloc(1, sizeof(*f));
    gpa_t addr;
    uint32_t written, total = 0;
    uint64_t begin;
    uint16_t head;

    assert_int_equal(fake_machine_init(&f->m, MIB(8), false), 0);
    assert_int_equal(virtio_rng_create(&f->m.base, DEVFN, KIB(10)), 0);
    driver_init(&f->d, &f->m, DEVFN, DRIVER_MODERN, false);
    assert_true(driver_negotiate(&f->d, VERSION_1));
    driver_setup_queue(&f->d, &f->q, 0, 8);
    driver_ok(&f->d);
    addr = driver_alloc(&f->d, KIB(64));
    begin = uv_hrtime();
    while (total < KIB(4)) {
        driver_add(&f->q, &(struct driver_buffer){addr, KIB(64), true}, 1, 0);
        driver_kick(&f->q);
        assert_true(driver_wait_used(&f->q, &head, &written));
        assert_in_range(written, 1, KIB(1));
        total += written;
    }
    assert_true(uv_hrtime() - begin > 250 * 1000000ULL);
    stop(f);
}

/* --- hostile rings --- */

static bool needs_reset(struct fixture *f)
{
    fake_machine_run(&f->m, 0);
    return driver_status(&f->d) & VIRTIO_CONFIG_S_NEEDS_RESET;
}

static void set_desc(struct fixture *f, unsigned i, uint64_t addr, uint32_t len, unsigned flags,
                     unsigned next)
{
    f->q.desc[i] = (struct vring_desc){addr, len, (uint16_t)flags, (uint16_t)next};
}

enum { W = VRING_DESC_F_WRITE, N = VRING_DESC_F_NEXT, I = VRING_DESC_F_INDIRECT };

static void cycle(struct fixture *f)
{
    set_desc(f, 0, MIB(2), 16, W | N, 1);
    set_desc(f, 1, MIB(3), 16, W | N, 0);
}

static void self_cycle(struct fixture *f)
{
    set_desc(f, 0, MIB(2), 0, W | N, 0);
}

static void bad_address(struct fixture *f)
{
    set_desc(f, 0, 0xe0000000, 16, W, 0);
}

static void own_registers(struct fixture *f)
{
    set_desc(f, 0, f->d.common, 16, W, 0);
}

static void beyond_ram(struct fixture *f)
{
    set_desc(f, 0, MIB(8) - 8, 16, W, 0);
}

static void huge_length(struct fixture *f)
{
    set_desc(f, 0, MIB(2), 0xffffffff, W, 0);
}

static void wrapping_address(struct fixture *f)
{
    set_desc(f, 0, UINT64_MAX - 7, 16, W, 0);
}

static void next_beyond(struct fixture *f)
{
    set_desc(f, 0, MIB(2), 16, W | N, 8);
}

static void wrong_order(struct fixture *f)
{
    set_desc(f, 0, MIB(2), 16, W | N, 1);
    set_desc(f, 1, MIB(2), 16, 0, 0);
}

static void nested_indirect(struct fixture *f)
{
    gpa_t table = driver_alloc(&f->d, 4096);
    struct vring_desc *desc = driver_pointer(&f->d, table);

    desc[0] = (struct vring_desc){table, 16, I, 0};
    set_desc(f, 0, table, 16, I, 0);
}

static void indirect_cycle(struct fixture *f)
{
    gpa_t table = driver_alloc(&f->d, 4096);
    struct vring_desc *desc = driver_pointer(&f->d, table);

    desc[0] = (struct vring_desc){MIB(2), 1, W | N, 0};
    set_desc(f, 0, table, 16, I, 0);
}

static void indirect_odd_size(struct fixture *f)
{
    set_desc(f, 0, MIB(2), 17, I, 0);
}

static void indirect_empty(struct fixture *f)
{
    set_desc(f, 0, MIB(2), 0, I, 0);
}

static void indirect_huge(struct fixture *f)
{
    set_desc(f, 0, MIB(2), 16 * 1025, I, 0);
}

static void indirect_in_hole(struct fixture *f)
{
    set_desc(f, 0, MIB(8), 16, I, 0);
}

static void indirect_with_next(struct fixture *f)
{
    set_desc(f, 0, MIB(2), 16, I | N, 1);
}

static void head_beyond(struct fixture *f)
{
    f->q.avail->ring[0] = 8;
}

static void too_many(struct fixture *f)
{
    f->q.avail->idx = 8;
}

static void hostile_rings(void **state UNUSED)
{
    static void (*const attacks[])(struct fixture * f) = {
        cycle,          self_cycle,      bad_address,      own_registers,
        beyond_ram,     huge_length,     wrapping_address, next_beyond,
        wrong_order,    nested_indirect, indirect_cycle,   indirect_odd_size,
        indirect_empty, indirect_huge,   indirect_in_hole, indirect_with_next,
        head_beyond,    too_many};
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(attacks); i++) {
        struct fixture *f = start(true, DRIVER_MODERN, true, INDIRECT | (i & 1 ? EVENT_IDX : 0));

        fake_mmio_write(&f->m, f->d.common + VIRTIO_PCI_COMMON_MSIX, 0, 2);
        attacks[i](f);
        driver_publish(&f->q, f->q.avail->ring[0]);
        if (attacks[i] == too_many)
            f->q.avail->idx = 9;
        driver_notify(&f->q);
        assert_true(needs_reset(f));
        assert_int_equal(msis(f, 0), 1); /* told by a configuration change */
        assert_int_equal(f->q.used->idx, 0);
        driver_notify(&f->q);
        assert_true(needs_reset(f));

        driver_reset(&f->d);
        assert_int_equal(driver_status(&f->d), 0);
        assert_true(driver_negotiate(&f->d, VERSION_1));
        driver_setup_queue(&f->d, &f->q, 0, 8);
        driver_ok(&f->d);
        ask(f, 64, false);
        stop(f);
    }
}

/* Rings that are themselves in no memory, or where no ring may be. */
static void hostile_ring_addresses(void **state UNUSED)
{
    static const struct {
        uint64_t desc, avail, used;
    } places[] = {
        {MIB(2) + 8, MIB(3), MIB(4)},
        {MIB(2), MIB(3) + 1, MIB(4)},
        {MIB(2), MIB(3), MIB(4) + 2},
        {MIB(2), MIB(8), MIB(4)},
        {MIB(2), MIB(3), MIB(8)},
        {MIB(2), UINT64_MAX - 1, MIB(4)},
        {MIB(2), MIB(8) - 10, MIB(4)},
        {MIB(2), MIB(3), MIB(8) - 8},
        {0xfffffffffffff000, MIB(3), MIB(4)},
    };
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(places); i++) {
        struct fixture *f = start(false, DRIVER_MODERN, false, 0);
        uint16_t *avail = driver_pointer(&f->d, MIB(3));

        avail[1] = 1; /* one buffer waits */
        driver_reset(&f->d);
        assert_true(driver_negotiate(&f->d, VERSION_1));
        fake_mmio_write(&f->m, f->d.common + VIRTIO_PCI_COMMON_Q_DESCLO, places[i].desc, 8);
        fake_mmio_write(&f->m, f->d.common + VIRTIO_PCI_COMMON_Q_AVAILLO, places[i].avail, 8);
        fake_mmio_write(&f->m, f->d.common + VIRTIO_PCI_COMMON_Q_USEDLO, places[i].used, 8);
        fake_mmio_write(&f->m, f->d.common + VIRTIO_PCI_COMMON_Q_ENABLE, 1, 2);
        driver_ok(&f->d);
        fake_mmio_write(&f->m, f->q.notify_addr, 0, 2);
        assert_true(needs_reset(f));
        stop(f);
    }
}

/* Buffers that a careful driver would not make, but that hurt nobody. */
static void odd_but_legal(void **state UNUSED)
{
    struct fixture *f = start(false, DRIVER_MODERN, false, INDIRECT);
    gpa_t addr = driver_alloc(&f->d, 64);
    struct driver_buffer readable = {addr, 64, false}, empty = {addr, 0, true};
    uint32_t written;
    uint16_t head;

    driver_add(&f->q, &readable, 1, 0);
    driver_kick(&f->q);
    assert_true(driver_wait_used(&f->q, &head, &written));
    assert_int_equal(written, 0);
    driver_add(&f->q, &empty, 1, 0);
    driver_kick(&f->q);
    assert_true(driver_wait_used(&f->q, &head, &written));
    assert_int_equal(written, 0);
    ask(f, 64, true);
    assert_false(needs_reset(f));
    stop(f);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(identity),
        cmocka_unit_test(every_way),
        cmocka_unit_test(no_interrupt_when_unwanted),
        cmocka_unit_test(masked_vector_waits),
        cmocka_unit_test(refuses_unknown_features),
        cmocka_unit_test(reset_forgets),
        cmocka_unit_test(moved_bars),
        cmocka_unit_test(configuration_window),
        cmocka_unit_test(saved_state),
        cmocka_unit_test(rate_limit),
        cmocka_unit_test(hostile_rings),
        cmocka_unit_test(hostile_ring_addresses),
        cmocka_unit_test(odd_but_legal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
