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
#define MAC                                                                                        \
    {                                                                                              \
        0x52, 0x54, 0, 1, 2, 3                                                                     \
    }

enum { RX, TX };

struct fixture {
    struct fake_machine m;
    struct driver d;
    struct driver_queue q[2];
    /* the network */
    struct net net;
    struct virtio_net *card;
    uint8_t sent[NET_MAX_FRAME];
    size_t sent_size;
    struct virtio_net_hdr sent_header;
    unsigned sent_count, sent_queue, accepts, offloads, queues;
    bool echo; /* what is sent comes back at once, as an ARP reply does */
    bool echoed;
};

static const struct virtio_net_hdr no_header;

static void net_send(struct net *net, unsigned queue, const struct virtio_net_hdr *header,
                     const struct iovec *iov, unsigned count)
{
    struct fixture *f = container_of(net, struct fixture, net);
    unsigned i;

    f->sent_queue = queue;
    f->sent_header = *header;

    f->sent_size = 0;
    for (i = 0; i < count; i++) {
        assert_true(f->sent_size + iov[i].iov_len <= sizeof(f->sent));
        memcpy(f->sent + f->sent_size, iov[i].iov_base, iov[i].iov_len);
        f->sent_size += iov[i].iov_len;
    }
    f->sent_count++;
    if (f->echo)
        f->echoed = net->front_ops->receive(net->front, 0, &no_header, f->sent, f->sent_size);
}

static void net_accept_input(struct net *net, unsigned queue UNUSED)
{
    container_of(net, struct fixture, net)->accepts++;
}

static void net_set_offloads(struct net *net, unsigned offloads)
{
    container_of(net, struct fixture, net)->offloads = offloads;
}

static void net_set_queues(struct net *net, unsigned queues)
{
    container_of(net, struct fixture, net)->queues = queues;
}

static const struct net_ops net_ops = {
    .send = net_send,
    .accept_input = net_accept_input,
    .set_offloads = net_set_offloads,
    .set_queues = net_set_queues,
};

static struct fixture *create(const struct net *net)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct virtio_net_options options = {&f->net, MAC, NULL};

    f->net = *net;
    f->net.ops = &net_ops;
    assert_int_equal(fake_machine_init(&f->m, MIB(16), true), 0);
    assert_int_equal(virtio_net_create(&f->m.base, DEVFN, &options, &f->card), 0);
    return f;
}

static const struct net plain;

static struct fixture *start_on(const struct net *net, enum driver_interface interface, bool msix, uint64_t features)
{
    struct fixture *f = create(net);

    driver_init(&f->d, &f->m, DEVFN, interface, msix);
    assert_true(driver_negotiate(&f->d, features));
    driver_setup_queue(&f->d, &f->q[RX], RX, 256);
    driver_setup_queue(&f->d, &f->q[TX], TX, 256);
    driver_ok(&f->d);
    fake_machine_run(&f->m, 0);
    return f;
}

static struct fixture *start(enum driver_interface interface, bool msix, uint64_t features)
{
    return start_on(&plain, interface, msix, features);
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
    return f->net.front_ops->receive(f->net.front, 0, &no_header, frame, size);
}

static void identity(void **state UNUSED)
{
    static const uint8_t mac[] = MAC;
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
    assert_true(receive(f, frame, sizeof(frame)));
    assert_int_equal(f->q[RX].used->idx, 0);
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
    assert_true(receive(f, frame, sizeof(frame)));
    assert_int_equal(f->q[RX].used->idx, 0);
    assert_false(driver_status(&f->d) & VIRTIO_CONFIG_S_NEEDS_RESET);
    stop(f);

    f = start(DRIVER_MODERN, true, MODERN_FEATURES);
    for (i = 0; i < 200; i++) /* a byte in each: not even the header is in one piece */
        driver_add(&f->q[RX], &(struct driver_buffer){MIB(4) + 2 * i, 1, true}, 1, 0);
    assert_true(receive(f, frame, 60));
    assert_true(driver_status(&f->d) & VIRTIO_CONFIG_S_NEEDS_RESET);
    stop(f);

    f = start(DRIVER_MODERN, true, MODERN_FEATURES);
    driver_add(&f->q[RX], &(struct driver_buffer){MIB(4), 2000, false}, 1, 0); /* wrong direction */
    assert_false(receive(f, frame, 60));
    driver_add(&f->q[RX], &(struct driver_buffer){MIB(16), 2000, true}, 1, 0); /* no memory */
    assert_true(receive(f, frame, 60));
    assert_true(driver_status(&f->d) & VIRTIO_CONFIG_S_NEEDS_RESET);
    assert_true(receive(f, frame, 60));
    assert_int_equal(f->q[RX].used->idx, 0);
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

/* Before the driver is there, and after it has gone, frames are lost; nothing waits for it. */
static void no_driver(void **state UNUSED)
{
    struct fixture *f = create(&plain);
    uint8_t frame[60] = {0};

    assert_true(receive(f, frame, sizeof(frame)));
    driver_init(&f->d, &f->m, DEVFN, DRIVER_MODERN, false);
    assert_true(driver_negotiate(&f->d, MODERN_FEATURES));
    driver_setup_queue(&f->d, &f->q[RX], RX, 256);
    driver_add(&f->q[RX], &(struct driver_buffer){MIB(4), 2000, true}, 1, 0);
    assert_true(receive(f, frame, sizeof(frame)));
    assert_int_equal(f->q[RX].used->idx, 0); /* not before DRIVER_OK */
    driver_ok(&f->d);
    fake_machine_run(&f->m, 0);
    assert_true(receive(f, frame, sizeof(frame)));
    assert_int_equal(f->q[RX].used->idx, 1);
    driver_add(&f->q[RX], &(struct driver_buffer){MIB(4), 2000, true}, 1, 0);
    driver_reset(&f->d);
    assert_true(receive(f, frame, sizeof(frame)));
    assert_int_equal(f->q[RX].used->idx, 1);
    stop(f);
}

/* A merged frame that lacks buffers: the network is told when more come, not for those that were there. */
static void waits_for_buffers(void **state UNUSED)
{
    struct fixture *f = start(DRIVER_MODERN, true, MODERN_FEATURES);
    gpa_t addr = driver_alloc(&f->d, KIB(16));
    uint8_t frame[3000] = {0};
    unsigned i;

    for (i = 0; i < 2; i++)
        driver_add(&f->q[RX], &(struct driver_buffer){addr + 1024 * i, 1024, true}, 1, 0);
    driver_kick(&f->q[RX]);
    fake_machine_run(&f->m, 0);
    assert_false(receive(f, frame, sizeof(frame)));
    fake_machine_run(&f->m, 0);
    assert_int_equal(f->accepts, 0);
    driver_add(&f->q[RX], &(struct driver_buffer){addr + 1024 * i, 1024, true}, 1, 0);
    assert_true(driver_kick(&f->q[RX]));
    fake_machine_run(&f->m, 0);
    assert_int_equal(f->accepts, 1);
    assert_true(receive(f, frame, sizeof(frame)));
    assert_int_equal(f->q[RX].used->idx, 3);
    driver_add(&f->q[RX], &(struct driver_buffer){addr, 1024, true}, 1, 0);
    assert_false(driver_kick(&f->q[RX])); /* nobody waits */
    stop(f);
}

/* --- offloads --- */

enum { ALL_OFFLOADS = NET_CSUM | NET_TSO4 | NET_TSO6 | NET_ECN | NET_UFO | NET_USO };

static const struct net able = {
    .send_offloads = ALL_OFFLOADS, .receive_offloads = ALL_OFFLOADS, .mtu = 9000, .queues = 4};

static struct fixture *start_able(uint64_t features)
{
    return start_on(&able, DRIVER_MODERN, true, features);
}

static void send_with(struct fixture *f, struct virtio_net_hdr header, uint32_t size)
{
    gpa_t addr = MIB(4);
    uint16_t head;

    memcpy(driver_pointer(&f->d, addr), &header, sizeof(header));
    driver_add(&f->q[TX], &(struct driver_buffer){addr, 12 + size, false}, 1, 0);
    driver_kick(&f->q[TX]);
    assert_true(driver_wait_used(&f->q[TX], &head, NULL));
}

/* What is left to the network arrives there; what it cannot, or what lies outside the frame, does not. */
static void sends_offloads(void **state UNUSED)
{
    static const struct virtio_net_hdr good[] = {
        {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 34, .csum_offset = 16},
        {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 98, .csum_offset = 0},
        {VIRTIO_NET_HDR_F_NEEDS_CSUM, VIRTIO_NET_HDR_GSO_TCPV4, 54, 1448, 34, 16},
        {VIRTIO_NET_HDR_F_NEEDS_CSUM, VIRTIO_NET_HDR_GSO_TCPV6 | VIRTIO_NET_HDR_GSO_ECN, 74, 8, 54, 16},
        {VIRTIO_NET_HDR_F_NEEDS_CSUM, 5 /* UDP_L4 */, 42, 1448, 34, 6},
    };
    static const struct virtio_net_hdr bad[] = {
        {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 98, .csum_offset = 1},
        {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 0xffff, .csum_offset = 0xffff},
        {VIRTIO_NET_HDR_F_NEEDS_CSUM, VIRTIO_NET_HDR_GSO_TCPV4, 54, 0, 34, 16},
        {VIRTIO_NET_HDR_F_NEEDS_CSUM, VIRTIO_NET_HDR_GSO_TCPV4, 101, 8, 34, 16},
        {VIRTIO_NET_HDR_F_NEEDS_CSUM, 2, 54, 8, 34, 16},
        {VIRTIO_NET_HDR_F_NEEDS_CSUM, 0x7f, 54, 8, 34, 16},
    };
    struct fixture *f = start_able(MODERN_FEATURES);
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(good); i++) {
        send_with(f, good[i], 100);
        assert_int_equal(f->sent_count, i + 1);
        assert_memory_equal(&f->sent_header, &good[i], sizeof(good[i]));
        assert_int_equal(f->sent_size, 100);
    }
    f->sent_count = 0;
    for (i = 0; i < ARRAY_SIZE(bad); i++)
        send_with(f, bad[i], 100);
    assert_int_equal(f->sent_count, 0);
    assert_false(driver_status(&f->d) & VIRTIO_CONFIG_S_NEEDS_RESET);
    stop(f);

    f = start(DRIVER_MODERN, true, MODERN_FEATURES); /* a network that can nothing */
    assert_false(driver_offered(&f->d) & (BIT(VIRTIO_NET_F_CSUM) | BIT(VIRTIO_NET_F_HOST_TSO4) |
                                          BIT(VIRTIO_NET_F_GUEST_CSUM) | BIT(VIRTIO_NET_F_MTU)));
    send_with(f, good[0], 100);
    assert_int_equal(f->sent_count, 0);
    stop(f);
}

static bool receive_with(struct fixture *f, struct virtio_net_hdr header, unsigned pair)
{
    static uint8_t frame[100] = MAC;

    return f->net.front_ops->receive(f->net.front, pair, &header, frame, sizeof(frame));
}

/* --- the control queue --- */

struct control {
    struct fixture *f;
    struct driver_queue q;
};

static uint8_t command(struct control *c, uint8_t class, uint8_t what, const void *data, uint32_t size)
{
    gpa_t addr = MIB(5);
    uint8_t *p = driver_pointer(&c->f->d, addr);
    const struct driver_buffer buffers[] = {
        {addr, 2, false}, {addr + 16, size, false}, {addr + KIB(16), 1, true}};
    uint16_t head;

    p[0] = class;
    p[1] = what;
    memcpy(p + 16, data, size);
    p[KIB(16)] = 0xee;
    driver_add(&c->q, buffers, 3, 0);
    driver_kick(&c->q);
    assert_true(driver_wait_used(&c->q, &head, NULL));
    return p[KIB(16)];
}

static uint8_t set_mode(struct control *c, uint8_t what, uint8_t on)
{
    return command(c, VIRTIO_NET_CTRL_RX, what, &on, 1);
}

/* With a control queue, which comes after 4 pairs or after the only one. */
static struct control start_control(uint64_t features)
{
    struct control c = {.f = create(&able)};
    struct fixture *f = c.f;

    driver_init(&f->d, &f->m, DEVFN, DRIVER_MODERN, true);
    assert_true(driver_negotiate(&f->d, features));
    driver_setup_queue(&f->d, &f->q[RX], RX, 256);
    driver_setup_queue(&f->d, &f->q[TX], TX, 256);
    driver_setup_queue(&f->d, &c.q, features & BIT(VIRTIO_NET_F_MQ) ? 8 : 2, 64);
    driver_ok(&f->d);
    fake_machine_run(&f->m, 0);
    return c;
}

/* Whether a frame to this address, with a VLAN tag if vlan is not 0, gets to the driver. */
static bool passes(struct fixture *f, const uint8_t *mac, unsigned vlan)
{
    uint8_t frame[64] = {0};
    uint16_t before = f->q[RX].used->idx;

    memcpy(frame, mac, 6);
    store_be16(frame + 12, vlan ? 0x8100 : 0x0800);
    store_be16(frame + 14, (uint16_t)vlan);
    driver_add(&f->q[RX], &(struct driver_buffer){MIB(4), 2000, true}, 1, 0);
    assert_true(receive(f, frame, sizeof(frame)));
    if (f->q[RX].used->idx == before)
        return false;
    assert_true(driver_take_used(&f->q[RX], &(uint16_t){0}, NULL));
    return true;
}

static const uint8_t own[] = MAC, other[] = {2, 2, 2, 2, 2, 2}, group[] = {1, 0, 0x5e, 0, 0, 1},
                     all[] = {255, 255, 255, 255, 255, 255};

static void filters(void **state UNUSED)
{
    struct control c = start_control(MODERN_FEATURES & ~BIT(VIRTIO_NET_F_CTRL_VLAN));
    struct fixture *f = c.f;
    uint8_t tables[4 + 6 + 4 + 6] = {1, 0, 0, 0, 2, 2, 2, 2, 2, 2, 1, 0, 0, 0, 1, 0, 0x5e, 0, 0, 1};
    static const uint8_t next[] = {0x52, 0x54, 0, 9, 9, 9};

    assert_true(passes(f, other, 0) && passes(f, group, 0)); /* until the driver says otherwise */
    assert_int_equal(set_mode(&c, VIRTIO_NET_CTRL_RX_PROMISC, 0), VIRTIO_NET_OK);
    assert_true(passes(f, own, 0) && passes(f, all, 0));
    assert_false(passes(f, other, 0) || passes(f, group, 0));
    assert_int_equal(set_mode(&c, VIRTIO_NET_CTRL_RX_ALLMULTI, 1), VIRTIO_NET_OK);
    assert_true(passes(f, group, 0) && !passes(f, other, 0));
    assert_int_equal(set_mode(&c, VIRTIO_NET_CTRL_RX_NOBCAST, 1), VIRTIO_NET_OK);
    assert_int_equal(set_mode(&c, VIRTIO_NET_CTRL_RX_ALLMULTI, 0), VIRTIO_NET_OK);
    assert_int_equal(set_mode(&c, VIRTIO_NET_CTRL_RX_ALLUNI, 1), VIRTIO_NET_OK);
    assert_true(passes(f, other, 0) && !passes(f, all, 0) && !passes(f, group, 0));
    assert_int_equal(set_mode(&c, VIRTIO_NET_CTRL_RX_ALLUNI, 0), VIRTIO_NET_OK);
    assert_int_equal(command(&c, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, tables,
                             sizeof(tables)),
                     VIRTIO_NET_OK);
    assert_true(passes(f, other, 0) && passes(f, group, 0));
    assert_false(passes(f, next, 0));
    assert_int_equal(command(&c, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, next, 6),
                     VIRTIO_NET_OK);
    assert_true(passes(f, next, 0) && !passes(f, own, 0));
    assert_int_equal(driver_config(&f->d, 5, 1), 9);
    assert_true(passes(f, next, 7)); /* no VLANs were asked for */
    driver_reset(&f->d);
    assert_int_equal(driver_config(&f->d, 5, 1), 3);
    stop(f);
}

static void vlans(void **state UNUSED)
{
    struct control c = start_control(MODERN_FEATURES);
    uint16_t seven = 7, high = 4096;

    assert_true(passes(c.f, own, 0) && !passes(c.f, own, 7));
    assert_int_equal(command(&c, VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_CTRL_VLAN_ADD, &seven, 2), VIRTIO_NET_OK);
    assert_true(passes(c.f, own, 7) && !passes(c.f, own, 8));
    assert_int_equal(command(&c, VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_CTRL_VLAN_DEL, &seven, 2), VIRTIO_NET_OK);
    assert_false(passes(c.f, own, 7));
    assert_int_equal(command(&c, VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_CTRL_VLAN_ADD, &high, 2), VIRTIO_NET_ERR);
    stop(c.f);
}

/* A table that has no room is none: what it would let in comes in. */
static void large_and_lying_tables(void **state UNUSED)
{
    struct control c = start_control(MODERN_FEATURES);
    uint8_t tables[4 + 6 * 100 + 4] = {100};

    set_mode(&c, VIRTIO_NET_CTRL_RX_PROMISC, 0);
    assert_int_equal(command(&c, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, tables, sizeof(tables)),
                     VIRTIO_NET_OK);
    assert_true(passes(c.f, other, 0) && !passes(c.f, group, 0));
    tables[3] = 0x80; /* two thousand million addresses */
    assert_int_equal(command(&c, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, tables, sizeof(tables)),
                     VIRTIO_NET_ERR);
    assert_true(passes(c.f, other, 0)); /* as before */
    stop(c.f);
}

static void nonsense_commands(void **state UNUSED)
{
    struct control c = start_control(MODERN_FEATURES & ~BIT(VIRTIO_NET_F_MQ));
    uint8_t data[64] = {0};
    unsigned class, what, size;

    for (class = 0; class < 9; class++)
        for (what = 0; what < 8; what++)
            for (size = 0; size < 8; size++)
                assert_true(command(&c, (uint8_t)class, (uint8_t)what, data, size) <= VIRTIO_NET_ERR);
    assert_int_equal(set_mode(&c, 6, 1), VIRTIO_NET_ERR);
    assert_int_equal(command(&c, VIRTIO_NET_CTRL_MQ, 0, "\1", 2), VIRTIO_NET_ERR); /* not negotiated */
    assert_int_equal(command(&c, 0x77, 0, "", 1), VIRTIO_NET_ERR);
    assert_false(driver_status(&c.f->d) & VIRTIO_CONFIG_S_NEEDS_RESET);
    stop(c.f);
}

static void guest_offloads(void **state UNUSED)
{
    struct control c = start_control(MODERN_FEATURES);
    struct fixture *f = c.f;
    const struct virtio_net_hdr tso = {VIRTIO_NET_HDR_F_NEEDS_CSUM, VIRTIO_NET_HDR_GSO_TCPV4, 54, 8, 34, 16};
    uint64_t some = BIT(VIRTIO_NET_F_GUEST_CSUM) | BIT(VIRTIO_NET_F_GUEST_TSO6), none = 0,
             wrong = BIT(VIRTIO_NET_F_HOST_TSO4) | BIT(40);
    uint8_t *p = driver_pointer(&f->d, MIB(4));
    unsigned i;

    for (i = 0; i < 8; i++)
        driver_add(&f->q[RX], &(struct driver_buffer){MIB(4), 2000, true}, 1, 0);
    assert_int_equal(f->offloads, ALL_OFFLOADS);
    assert_int_equal(driver_config(&f->d, offsetof(struct virtio_net_config, mtu), 2), 9000);
    assert_true(receive_with(f, tso, 0));
    assert_int_equal(f->q[RX].used->idx, 1);
    assert_memory_equal(p, &tso, sizeof(tso));
    assert_int_equal(command(&c, VIRTIO_NET_CTRL_GUEST_OFFLOADS, 0, &some, 8), VIRTIO_NET_OK);
    assert_int_equal(f->offloads, NET_CSUM | NET_TSO6);
    assert_true(receive_with(f, tso, 0)); /* on its way before: lost */
    assert_int_equal(f->q[RX].used->idx, 1);
    assert_int_equal(command(&c, VIRTIO_NET_CTRL_GUEST_OFFLOADS, 0, &wrong, 8), VIRTIO_NET_ERR);
    assert_int_equal(command(&c, VIRTIO_NET_CTRL_GUEST_OFFLOADS, 0, &none, 8), VIRTIO_NET_OK);
    assert_int_equal(f->offloads, 0);
    assert_true(receive_with(f, (struct virtio_net_hdr){.flags = VIRTIO_NET_HDR_F_DATA_VALID}, 0));
    assert_int_equal(f->q[RX].used->idx, 2);
    assert_int_equal(p[0], 0); /* a flag that it does not know of */
    driver_reset(&f->d);
    assert_int_equal(f->offloads, 0);
    stop(f);
}

static void queue_pairs(void **state UNUSED)
{
    struct control c = start_control(MODERN_FEATURES);
    struct fixture *f = c.f;
    struct driver_queue rx, tx;
    uint16_t three = 3, none = 0, many = 5, head;
    struct fake_msi msi;

    driver_reset(&f->d);
    assert_true(driver_negotiate(&f->d, MODERN_FEATURES));
    driver_setup_queue(&f->d, &f->q[RX], RX, 256);
    driver_setup_queue(&f->d, &f->q[TX], TX, 256);
    driver_setup_queue(&f->d, &rx, 4, 256);
    driver_setup_queue(&f->d, &tx, 5, 256);
    driver_setup_queue(&f->d, &c.q, 8, 64);
    driver_ok(&f->d);
    fake_machine_run(&f->m, 0);
    while (fake_machine_take_msi(&f->m, &msi))
        ;
    assert_int_equal(driver_config(&f->d, offsetof(struct virtio_net_config, max_virtqueue_pairs), 2), 4);
    assert_int_equal(f->queues, 1);
    driver_add(&f->q[RX], &(struct driver_buffer){MIB(4), 2000, true}, 1, 0);
    driver_add(&rx, &(struct driver_buffer){MIB(4), 2000, true}, 1, 0);
    assert_true(receive_with(f, no_header, 2)); /* the first serves all until more are in use */
    assert_int_equal(f->q[RX].used->idx, 1);
    assert_int_equal(command(&c, VIRTIO_NET_CTRL_MQ, 0, &none, 2), VIRTIO_NET_ERR);
    assert_int_equal(command(&c, VIRTIO_NET_CTRL_MQ, 0, &many, 2), VIRTIO_NET_ERR);
    assert_int_equal(command(&c, VIRTIO_NET_CTRL_MQ, 0, &three, 2), VIRTIO_NET_OK);
    assert_int_equal(f->queues, 3);
    while (fake_machine_take_msi(&f->m, &msi))
        ;
    driver_enable_interrupt(&rx);
    assert_true(receive_with(f, no_header, 2));
    assert_int_equal(rx.used->idx, 1);
    assert_true(fake_machine_take_msi(&f->m, &msi));
    assert_int_equal(msi.data, DRIVER_MSI_DATA + 5);
    driver_add(&tx, &(struct driver_buffer){MIB(4), 12 + 60, false}, 1, 0);
    driver_kick(&tx);
    assert_true(driver_wait_used(&tx, &head, NULL));
    assert_int_equal(f->sent_queue, 2);
    driver_reset(&f->d);
    assert_int_equal(f->queues, 1);
    stop(f);
}

static void link_and_announcement(void **state UNUSED)
{
    struct control c = start_control(MODERN_FEATURES);
    struct fixture *f = c.f;
    struct device *device = TAILQ_FIRST(&f->m.base.devices);
    unsigned status = offsetof(struct virtio_net_config, status);
    struct fake_msi msi;
    struct writer w;
    struct reader r;

    set_mode(&c, VIRTIO_NET_CTRL_RX_PROMISC, 0);
    fake_mmio_write(&f->m, f->d.common + VIRTIO_PCI_COMMON_MSIX, 0, 2);
    while (fake_machine_take_msi(&f->m, &msi))
        ;
    virtio_net_set_link(f->card, false);
    fake_machine_run(&f->m, 0);
    assert_int_equal(driver_config(&f->d, status, 2), 0);
    assert_true(fake_machine_take_msi(&f->m, &msi));
    assert_int_equal(msi.data, DRIVER_MSI_DATA); /* the configuration's vector */
    assert_false(passes(f, own, 0));
    send_with(f, no_header, 60);
    assert_int_equal(f->sent_count, 0);
    virtio_net_set_link(f->card, true);
    virtio_net_set_link(f->card, true);
    assert_true(passes(f, own, 0));

    writer_init(&w, MIB(1));
    machine_lock(&f->m.base);
    device->ops->save(device, &w);
    device->ops->resume(device);
    set_mode(&c, VIRTIO_NET_CTRL_RX_PROMISC, 1);
    reader_init(&r, w.data, w.size);
    assert_int_equal(device->ops->load(device, &r, device->ops->version), 0);
    device->ops->resume(device);
    machine_unlock(&f->m.base);
    assert_int_equal(reader_left(&r), 0);
    assert_int_equal(driver_config(&f->d, status, 2), VIRTIO_NET_S_LINK_UP | VIRTIO_NET_S_ANNOUNCE);
    assert_int_equal(f->offloads, ALL_OFFLOADS);
    c.q.avail_idx--; /* the ring, in memory, is as it was saved */
    c.q.avail->idx--, c.q.used->idx--, c.q.last_used--, c.q.notified--;
    assert_int_equal(command(&c, VIRTIO_NET_CTRL_ANNOUNCE, VIRTIO_NET_CTRL_ANNOUNCE_ACK, "", 0), VIRTIO_NET_OK);
    assert_int_equal(driver_config(&f->d, status, 2), VIRTIO_NET_S_LINK_UP);
    assert_false(passes(f, other, 0));
    writer_fini(&w);
    stop(f);
}

/* As in a machine: the network and its card in a thread that never waits for the device lock. */
static void own_thread(void **state UNUSED)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct loop loop;
    struct virtio_net_options options = {.net = &f->net, .mac = MAC, .loop = &loop};
    unsigned i;

    f->net.ops = &net_ops;
    assert_int_equal(loop_init(&loop), 0);
    assert_int_equal(loop_start(&loop, "net"), 0);
    assert_int_equal(fake_machine_init(&f->m, MIB(16), true), 0);
    assert_int_equal(virtio_net_create(&f->m.base, DEVFN, &options, NULL), 0);
    for (i = 0; i < 20; i++) {
        driver_init(&f->d, &f->m, DEVFN, DRIVER_MODERN, true);
        assert_true(driver_negotiate(&f->d, MODERN_FEATURES));
        driver_setup_queue(&f->d, &f->q[RX], RX, 256);
        driver_setup_queue(&f->d, &f->q[TX], TX, 256);
        driver_ok(&f->d);
        machine_lock(&f->m.base); /* a vCPU in some register */
        send_with(f, no_header, 60);
        machine_unlock(&f->m.base);
        driver_notify(&f->q[TX]); /* and a reset right behind */
        driver_reset(&f->d);
    }
    assert_int_equal(f->sent_count, 20);
    fake_machine_fini(&f->m);
    loop_stop(&loop);
    loop_join(&loop);
    loop_fini(&loop);
    free(f);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(identity),         cmocka_unit_test(sends),
        cmocka_unit_test(odd_frames),       cmocka_unit_test(receives),
        cmocka_unit_test(merges),           cmocka_unit_test(hostile_buffers),
        cmocka_unit_test(answered_at_once), cmocka_unit_test(no_driver),
        cmocka_unit_test(waits_for_buffers), cmocka_unit_test(sends_offloads),
        cmocka_unit_test(filters), cmocka_unit_test(vlans),
        cmocka_unit_test(large_and_lying_tables), cmocka_unit_test(nonsense_commands),
        cmocka_unit_test(guest_offloads), cmocka_unit_test(queue_pairs),
        cmocka_unit_test(link_and_announcement), cmocka_unit_test(own_thread),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
