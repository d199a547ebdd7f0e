/* The network device, driven as Linux' driver drives it, on a network that the test plays itself. */
#include "devices/virtio/virtio_net.h"
#include "tests/lib/virtio_driver.h"

#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <linux/virtio_pci.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define DEVFN           PCI_DEVFN(7, 0)
#define BIT(n)          (1ULL << (n))
#define MODERN_FEATURES (~0ULL)

enum { RX, TX };

struct fixture {
    struct fake_machine m;
    struct driver d;
    struct driver_queue q[2];
    /* the network */
    struct net net;
    uint8_t sent[NET_MAX_FRAME];
    size_t sent_size;
    unsigned sent_count, accepts;
    bool echo; /* what is sent comes back at once, as an ARP reply does */
    bool echoed;
};

static void net_send(struct net *net, const struct iovec *iov, unsigned count)
{
    struct fixture *f = container_of(net, struct fixture, net);
    unsigned i;

    f->sent_size = 0;
    for (i = 0; i < count; i++) {
        assert_true(f->sent_size + iov[i].iov_len <= sizeof(f->sent));
        memcpy(f->sent + f->sent_size, iov[i].iov_base, iov[i].iov_len);
        f->sent_size += iov[i].iov_len;
    }
    f->sent_count++;
    if (f->echo && net->front_ops->can_receive(net->front))
        f->echoed = net->front_ops->receive(net->front, f->sent, f->sent_size);
}

static void net_accept_input(struct net *net)
{
    container_of(net, struct fixture, net)->accepts++;
}

static const struct net_ops net_ops = {.send = net_send, .accept_input = net_accept_input};

static struct fixture *create(void)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct virtio_net_options options = {&f->net, {0x52, 0x54, 0, 1, 2, 3}};

    f->net.ops = &net_ops;
    assert_int_equal(fake_machine_init(&f->m, MIB(16), true), 0);
    assert_int_equal(virtio_net_create(&f->m.base, DEVFN, &options), 0);
    return f;
}

static struct fixture *start(enum driver_interface interface, bool msix, uint64_t features)
{
    struct fixture *f = create();

    driver_init(&f->d, &f->m, DEVFN, interface, msix);
    assert_true(driver_negotiate(&f->d, features));
    driver_setup_queue(&f->d, &f->q[RX], RX, 256);
    driver_setup_queue(&f->d, &f->q[TX], TX, 256);
    driver_ok(&f->d);
    fake_machine_run(&f->m, 0);
    return f;
}

static void stop(struct fixture *f)
{
    fake_machine_fini(&f->m);
    assert_null(f->net.front_ops);
    free(f);
}

static size_t header_size(const struct fixture *f)
{
    return f->d.features & (BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_NET_F_MRG_RXBUF)) ? 12 : 10;
}

static bool receive(struct fixture *f, const uint8_t *frame, size_t size)
{
    return f->net.front_ops->can_receive(f->net.front) &&
           f->net.front_ops->receive(f->net.front, frame, size);
}

static void identity(void **state UNUSED)
{
    static const uint8_t mac[] = {0x52, 0x54, 0, 1, 2, 3};
    struct fixture *f = start(DRIVER_MODERN, false, MODERN_FEATURES);
    unsigned i, way;

    assert_int_equal(fake_pci_read(&f->m, DEVFN, PCI_DEVICE_ID, 2), 0x1000);
    assert_int_equal(fake_pci_read(&f->m, DEVFN, PCI_SUBSYSTEM_ID, 2), 1);
    assert_int_equal(fake_pci_read(&f->m, DEVFN, PCI_CLASS_DEVICE, 2), 0x0200);
    for (way = 0; way < 2; way++) {
        f->d.interface = way ? DRIVER_MODERN : DRIVER_LEGACY;
        for (i = 0; i < sizeof(mac); i++)
            assert_int_equal(driver_config(&f->d, i, 1), mac[i]);
        assert_int_equal(driver_config(&f->d, 6, 2), VIRTIO_NET_S_LINK_UP);
    }
    stop(f);
}

static void sends(void **state UNUSED)
{
    unsigned way;

    for (way = 0; way < 4; way++) {
        struct fixture *f = start(way & 1 ? DRIVER_MODERN : DRIVER_LEGACY, true,
                                  way & 2 ? MODERN_FEATURES : BIT(VIRTIO_F_VERSION_1));
        gpa_t addr = driver_alloc(&f->d, 4096);
        uint32_t header = (uint32_t)header_size(f), i, written;
        uint8_t *p = driver_pointer(&f->d, addr);
        /* Header apart, then the frame in two pieces; and all in one. */
        struct driver_buffer apart[] = {
            {addr, header, false}, {addr + header, 20, false}, {addr + header + 20, 80, false}};
        struct driver_buffer whole = {addr, header + 100, false};
        uint16_t head;

        for (i = 0; i < 100; i++)
            p[header + i] = (uint8_t)(i + 1);
        for (i = 1; i <= 2; i++) {
            driver_enable_interrupt(&f->q[TX]);
            driver_add(&f->q[TX], i == 1 ? apart : &whole, i == 1 ? 3 : 1, 0);
            driver_kick(&f->q[TX]);
            assert_true(driver_wait_used(&f->q[TX], &head, &written));
            assert_int_equal(written, 0);
            assert_int_equal(f->sent_count, i);
            assert_int_equal(f->sent_size, 100);
            assert_memory_equal(f->sent, p + header, 100);
        }
        stop(f);
    }
}

/* Frames of impossible size are swallowed; the device goes on. */
static void odd_frames(void **state UNUSED)
{
    static const uint32_t sizes[] = {0, 1, 11, 12, 13, 12 + 13, 12 + NET_MAX_FRAME + 1, 1000000};
    struct fixture *f = start(DRIVER_MODERN, true, MODERN_FEATURES);
    struct driver_buffer b = {MIB(4), 0, false};
    uint16_t head;
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(sizes); i++) {
        b.size = sizes[i];
        driver_add(&f->q[TX], &b, 1, 0);
        driver_kick(&f->q[TX]);
        assert_true(driver_wait_used(&f->q[TX], &head, NULL));
    }
    assert_int_equal(f->sent_count, 0);
    for (b.size = 12 + 14; b.size <= 12 + NET_MAX_FRAME; b.size += NET_MAX_FRAME - 14) {
        driver_add(&f->q[TX], &b, 1, 0);
        driver_kick(&f->q[TX]);
        assert_true(driver_wait_used(&f->q[TX], &head, NULL));
    }
    assert_int_equal(f->sent_count, 2);
    assert_int_equal(f->sent_size, NET_MAX_FRAME);
    assert_false(driver_status(&f->d) & VIRTIO_CONFIG_S_NEEDS_RESET);
    stop(f);
}

static void fill(uint8_t *frame, size_t size)
{
    size_t i;

    for (i = 0; i < size; i++)
        frame[i] = (uint8_t)(i * 3 + 1);
}

static void receives(void **state UNUSED)
{
    unsigned way;

    for (way = 0; way < 4; way++) {
        struct fixture *f = start(way & 1 ? DRIVER_MODERN : DRIVER_LEGACY, true,
                                  way & 2 ? MODERN_FEATURES : BIT(VIRTIO_F_VERSION_1));
        uint32_t header = (uint32_t)header_size(f), written;
        gpa_t addr = driver_alloc(&f->d, 4096);
        uint8_t frame[1514], *p = driver_pointer(&f->d, addr);
        struct driver_buffer b[] = {{addr, header, true}, {addr + header, 1514, true}};
        struct fake_msi msi;
        uint16_t head, got;

        fill(frame, sizeof(frame));
        assert_false(receive(f, frame, 60)); /* there are no buffers */
        head = driver_add(&f->q[RX], b, 2, 0);
        driver_enable_interrupt(&f->q[RX]);
        assert_true(driver_kick(&f->q[RX]));
        fake_machine_run(&f->m, 0);
        assert_int_equal(f->accepts, 1);
        assert_true(receive(f, frame, sizeof(frame)));
        assert_true(driver_take_used(&f->q[RX], &got, &written));
        assert_int_equal(got, head);
        assert_int_equal(written, header + sizeof(frame));
        assert_memory_equal(p + header, frame, sizeof(frame));
        if (header == 12)
            assert_int_equal(load_le16(p + 10), 1);
        assert_int_equal(load_le64(p), 0);
        assert_true(fake_machine_take_msi(&f->m, &msi));
        assert_int_equal(msi.data, DRIVER_MSI_DATA + 1);
        stop(f);
    }
}

/* With mergeable buffers a frame may need many; they are shown to the driver all at once. */
static void merges(void **state UNUSED)
{
    struct fixture *f = start(DRIVER_MODERN, true, MODERN_FEATURES);
    gpa_t addr = driver_alloc(&f->d, KIB(64));
    uint8_t frame[1500], *p = driver_pointer(&f->d, addr), back[2000];
    uint32_t written, total = 0;
    uint16_t head;
    unsigned i;

    fill(frame, sizeof(frame));
    for (i = 0; i < 5; i++) {
        driver_add(&f->q[RX], &(struct driver_buffer){addr + 256 * i, 256, true}, 1, 0);
    }
    assert_false(receive(f, frame, sizeof(frame))); /* 1280 bytes: too few, nothing is taken */
    assert_int_equal(f->q[RX].used->idx, 0);
    driver_add(&f->q[RX], &(struct driver_buffer){addr + 256 * 5, 256, true}, 1, 0);
    assert_true(receive(f, frame, sizeof(frame)));
    assert_int_equal(f->q[RX].used->idx, 6);
    assert_int_equal(load_le16(p + 10), 6);
    for (i = 0; i < 6; i++) {
        assert_true(driver_take_used(&f->q[RX], &head, &written));
        memcpy(back + total, driver_pointer(&f->d, addr + 256 * i), written);
        total += written;
    }
    assert_int_equal(total, 12 + sizeof(frame));
    assert_memory_equal(back + 12, frame, sizeof(frame));

    /* Without the feature a frame that does not fit is dropped. */
    stop(f);
    f = start(DRIVER_MODERN, true, BIT(VIRTIO_F_VERSION_1));
    for (i = 0; i < 6; i++)
        driver_add(&f->q[RX], &(struct driver_buffer){MIB(4) + 256 * i, 256, true}, 1, 0);
    assert_false(receive(f, frame, sizeof(frame)));
    assert_true(receive(f, frame, 200));
    assert_int_equal(f->q[RX].used->idx, 1);
    stop(f);
}

static void hostile_buffers(void **state UNUSED)
{
    struct fixture *f = start(DRIVER_MODERN, true, MODERN_FEATURES);
    uint8_t frame[NET_MAX_FRAME + 1] = {0};
    unsigned i;

    for (i = 0; i < 200; i++) /* no room in any */
        driver_add(&f->q[RX], &(struct driver_buffer){MIB(4), 0, true}, 1, 0);
    assert_false(receive(f, frame, 60));
    assert_false(receive(f, frame, sizeof(frame)));
    assert_false(driver_status(&f->d) & VIRTIO_CONFIG_S_NEEDS_RESET);
    stop(f);

    f = start(DRIVER_MODERN, true, MODERN_FEATURES);
    for (i = 0; i < 200; i++) /* a byte in each: not even the header is in one piece */
        driver_add(&f->q[RX], &(struct driver_buffer){MIB(4) + 2 * i, 1, true}, 1, 0);
    assert_false(receive(f, frame, 60));
    assert_true(driver_status(&f->d) & VIRTIO_CONFIG_S_NEEDS_RESET);
    stop(f);

    f = start(DRIVER_MODERN, true, MODERN_FEATURES);
    driver_add(&f->q[RX], &(struct driver_buffer){MIB(4), 2000, false}, 1, 0); /* wrong direction */
    assert_false(receive(f, frame, 60));
    driver_add(&f->q[RX], &(struct driver_buffer){MIB(16), 2000, true}, 1, 0); /* no memory */
    assert_false(receive(f, frame, 60));
    assert_true(driver_status(&f->d) & VIRTIO_CONFIG_S_NEEDS_RESET);
    assert_false(f->net.front_ops->can_receive(f->net.front));
    stop(f);
}

/* A network that answers inside send(). */
static void answered_at_once(void **state UNUSED)
{
    struct fixture *f = start(DRIVER_MODERN, true, MODERN_FEATURES);
    gpa_t in = driver_alloc(&f->d, 4096), out = driver_alloc(&f->d, 4096);
    uint16_t head;

    f->echo = true;
    fill(driver_pointer(&f->d, out + 12), 100);
    driver_add(&f->q[RX], &(struct driver_buffer){in, 4096, true}, 1, 0);
    driver_kick(&f->q[RX]);
    driver_add(&f->q[TX], &(struct driver_buffer){out, 112, false}, 1, 0);
    driver_kick(&f->q[TX]);
    assert_true(driver_wait_used(&f->q[TX], &head, NULL));
    assert_true(f->echoed);
    assert_true(driver_take_used(&f->q[RX], &head, NULL));
    assert_memory_equal(driver_pointer(&f->d, in + 12), driver_pointer(&f->d, out + 12), 100);
    stop(f);
}

/* Before the driver is there, and after it has gone, nothing is received. */
static void no_driver(void **state UNUSED)
{
    struct fixture *f = create();
    uint8_t frame[60] = {0};

    assert_false(receive(f, frame, sizeof(frame)));
    assert_false(f->net.front_ops->receive(f->net.front, frame, sizeof(frame)));
    driver_init(&f->d, &f->m, DEVFN, DRIVER_MODERN, false);
    assert_true(driver_negotiate(&f->d, MODERN_FEATURES));
    driver_setup_queue(&f->d, &f->q[RX], RX, 256);
    driver_add(&f->q[RX], &(struct driver_buffer){MIB(4), 2000, true}, 1, 0);
    assert_false(receive(f, frame, sizeof(frame))); /* not before DRIVER_OK */
    driver_ok(&f->d);
    fake_machine_run(&f->m, 0);
    assert_int_equal(f->accepts, 1);
    assert_true(receive(f, frame, sizeof(frame)));
    driver_reset(&f->d);
    assert_false(receive(f, frame, sizeof(frame)));
    stop(f);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(identity),         cmocka_unit_test(sends),
        cmocka_unit_test(odd_frames),       cmocka_unit_test(receives),
        cmocka_unit_test(merges),           cmocka_unit_test(hostile_buffers),
        cmocka_unit_test(answered_at_once), cmocka_unit_test(no_driver),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
