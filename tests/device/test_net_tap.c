/* A real tap interface, in a network namespace of this test's own, with a packet socket at its other side. Where neither
 * is to be had the tests are skipped. */
#include "backend/net.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <cmocka.h>

#define TAP    "mv-one"
#define MANY   "mv-many"
#define FRAMES 16
#define ETHERTYPE 0x88b5 /* for experiments: nobody else talks so */

struct fixture {
    struct loop loop;
    struct net *net;
    int wire; /* the packet socket */
    /* What the card got. */
    unsigned count, queue;
    bool full;
    size_t size;
    struct virtio_net_hdr header;
    uint8_t frame[NET_MAX_FRAME];
};

static bool have_tap;

/* --- the host's side --- */

static int make_interface(const char *name, int flags, int mtu)
{
    struct ifreq request = {.ifr_flags = (short)(IFF_TAP | IFF_NO_PI | flags)};
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC), s = socket(AF_INET, SOCK_DGRAM, 0), err = -1;

    strcpy(request.ifr_name, name);
    if (fd >= 0 && s >= 0 && ioctl(fd, TUNSETIFF, &request) == 0 && ioctl(fd, TUNSETPERSIST, 1) == 0) {
        request.ifr_mtu = mtu;
        err = ioctl(s, SIOCSIFMTU, &request);
        request.ifr_flags = IFF_UP | IFF_NOARP;
        err = err ? err : ioctl(s, SIOCSIFFLAGS, &request);
    }
    close(fd);
    close(s);
    return err;
}

/* IPv6 speaks up by itself on each new interface; not here. */
static void silence(void)
{
    int fd = open("/proc/sys/net/ipv6/conf/default/disable_ipv6", O_WRONLY);

    if (fd >= 0 && write(fd, "1", 1) != 1)
        print_message("# IPv6 cannot be switched off\n");
    close(fd);
}

static int set_up(void **state UNUSED)
{
    if (unshare(CLONE_NEWNET) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0)
        return 0;
    silence();
    have_tap = make_interface(TAP, 0, 1500) == 0 && make_interface(MANY, IFF_MULTI_QUEUE, 9000) == 0;
    return 0;
}

static int open_wire(const char *interface)
{
    struct sockaddr_ll a = {.sll_family = AF_PACKET, .sll_protocol = htons(ETHERTYPE)};
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETHERTYPE)), on = 1;
    struct timeval limit = {5, 0};

    a.sll_ifindex = (int)if_nametoindex(interface);
    assert_true(fd >= 0 && a.sll_ifindex > 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)), 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    return fd;
}

/* --- the card --- */

static bool receive(void *front, unsigned queue, const struct virtio_net_hdr *header,
                    const uint8_t *frame, size_t size)
{
    struct fixture *f = front;

    if (size >= 14 && (frame[12] << 8 | frame[13]) != ETHERTYPE)
        return true; /* the host's own */
    if (f->full)
        return false;
    f->count++;
    f->queue = queue;
    f->header = *header;
    f->size = size;
    memcpy(f->frame, frame, size);
    return true;
}

static const struct net_front_ops front_ops = {.receive = receive};

static struct fixture *start(const char *interface, unsigned queues)
{
    struct fixture *f;

    if (!have_tap)
        skip();
    f = calloc(1, sizeof(*f));
    assert_int_equal(loop_init(&f->loop), 0);
    assert_int_equal(net_tap_create(&f->net, &f->loop, interface, queues), 0);
    f->net->front_ops = &front_ops;
    f->net->front = f;
    f->wire = open_wire(interface);
    return f;
}

static void stop(struct fixture *f)
{
    net_destroy(f->net);
    loop_fini(&f->loop);
    close(f->wire);
    free(f);
}

static void tick(uv_timer_t *timer UNUSED)
{
}

static void pump(struct fixture *f, unsigned count)
{
    uint64_t end = uv_hrtime() + 3000000000ULL;
    uv_timer_t timer;

    uv_timer_init(&f->loop.uv, &timer);
    uv_timer_start(&timer, tick, 1, 1);
    while (f->count < count && uv_hrtime() < end)
        uv_run(&f->loop.uv, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&f->loop.uv, UV_RUN_NOWAIT);
}

static void make_frame(uint8_t *frame, size_t size, unsigned seed)
{
    size_t i;

    memset(frame, 0x02, 12);
    frame[12] = ETHERTYPE >> 8;
    frame[13] = ETHERTYPE & 0xff;
    for (i = 14; i < size; i++)
        frame[i] = (uint8_t)(i * 5 + seed);
}

static void wire_sends(struct fixture *f, const struct virtio_net_hdr *header, const uint8_t *frame, size_t size)
{
    struct iovec iov[] = {{(void *)header, sizeof(*header)}, {(void *)frame, size}};

    assert_int_equal(writev(f->wire, iov, 2), sizeof(*header) + size);
}

static const struct virtio_net_hdr plain;

static void both_ways(void **state UNUSED)
{
    struct fixture *f = start(TAP, 1);
    uint8_t frame[1514], got[2000];
    struct virtio_net_hdr header;
    struct iovec out[] = {{frame, 14}, {frame + 14, 100}, {frame + 114, sizeof(frame) - 114}};
    struct iovec in[] = {{&header, sizeof(header)}, {got, sizeof(got)}};
    unsigned i;

    assert_true(f->net->send_offloads & NET_TSO4 && f->net->receive_offloads & NET_CSUM);
    assert_int_equal(f->net->mtu, 0); /* like any other */
    make_frame(frame, sizeof(frame), 1);
    f->net->ops->send(f->net, 0, &plain, out, 3);
    assert_int_equal(readv(f->wire, in, 2), sizeof(header) + sizeof(frame));
    assert_memory_equal(got, frame, sizeof(frame));
    for (i = 1; i <= FRAMES; i++) {
        make_frame(frame, sizeof(frame), i);
        wire_sends(f, &plain, frame, 60 + i);
        pump(f, i);
        assert_int_equal(f->count, i);
        assert_int_equal(f->size, 60 + i);
        assert_memory_equal(f->frame, frame, 60 + i);
    }
    stop(f);
}

/* A card without room: its frame waits, others stay in the interface, and all come in their order. */
static void card_without_room(void **state UNUSED)
{
    struct fixture *f = start(TAP, 1);
    uint8_t frame[100];
    unsigned i;

    f->full = true;
    for (i = 0; i < 3; i++) {
        make_frame(frame, sizeof(frame), i);
        wire_sends(f, &plain, frame, sizeof(frame));
    }
    for (i = 0; i < 20; i++)
        uv_run(&f->loop.uv, UV_RUN_NOWAIT);
    f->net->ops->accept_input(f->net, 0); /* too early */
    assert_int_equal(f->count, 0);
    f->full = false;
    f->net->ops->accept_input(f->net, 0);
    assert_int_equal(f->count, 1);
    make_frame(frame, sizeof(frame), 0);
    assert_memory_equal(f->frame, frame, sizeof(frame));
    pump(f, 3);
    assert_int_equal(f->count, 3);
    make_frame(frame, sizeof(frame), 2);
    assert_memory_equal(f->frame, frame, sizeof(frame));
    stop(f);
}

/* A checksum that is left open stays open for a card that takes such, and is closed for one that does not. */
static void checksums_left_open(void **state UNUSED)
{
    struct fixture *f = start(TAP, 1);
    const struct virtio_net_hdr open = {
        .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 34, .csum_offset = 6};
    uint8_t frame[60];

    make_frame(frame, sizeof(frame), 3);
    frame[40] = frame[41] = 0;
    f->net->ops->set_offloads(f->net, NET_CSUM);
    wire_sends(f, &open, frame, sizeof(frame));
    pump(f, 1);
    assert_int_equal(f->header.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM, VIRTIO_NET_HDR_F_NEEDS_CSUM);
    assert_int_equal(f->header.csum_start, 34);
    assert_memory_equal(f->frame, frame, sizeof(frame));
    f->net->ops->set_offloads(f->net, 0);
    wire_sends(f, &open, frame, sizeof(frame));
    pump(f, 2);
    assert_int_equal(f->header.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM, 0);
    assert_true(f->frame[40] || f->frame[41]);
    stop(f);
}

static void several_queues(void **state UNUSED)
{
    struct fixture *f = start(MANY, 4);
    uint8_t frame[100], got[200];
    struct virtio_net_hdr header;
    struct iovec out = {frame, sizeof(frame)};
    struct iovec in[] = {{&header, sizeof(header)}, {got, sizeof(got)}};
    unsigned i;

    assert_int_equal(f->net->queues, 4);
    assert_int_equal(f->net->mtu, 9000);
    f->net->ops->set_queues(f->net, 4);
    for (i = 0; i < 4; i++) { /* frames leave by any */
        make_frame(frame, sizeof(frame), i);
        f->net->ops->send(f->net, i, &plain, &out, 1);
        assert_int_equal(readv(f->wire, in, 2), sizeof(header) + sizeof(frame));
        assert_memory_equal(got, frame, sizeof(frame));
    }
    f->net->ops->set_queues(f->net, 1);
    for (i = 1; i <= FRAMES; i++) { /* and come by the one that is left */
        make_frame(frame, sizeof(frame), i);
        frame[0] = (uint8_t)(2 * i);
        wire_sends(f, &plain, frame, sizeof(frame));
        pump(f, i);
        assert_int_equal(f->count, i);
        assert_int_equal(f->queue, 0);
    }
    f->net->ops->set_queues(f->net, 2);
    f->net->ops->set_queues(f->net, 3);
    make_frame(frame, sizeof(frame), i);
    wire_sends(f, &plain, frame, sizeof(frame));
    pump(f, i);
    assert_int_equal(f->count, i);
    stop(f);
    stop(start(MANY, 1)); /* one queue of such an interface is fine */
}

static void refusals(void **state UNUSED)
{
    struct loop loop;
    struct net *net;

    assert_int_equal(loop_init(&loop), 0);
    assert_int_equal(net_tap_create(&net, &loop, "mv-none", 1), -ENODEV);
    assert_int_equal(net_tap_create(&net, &loop, "a-name-longer-than-it-can-be", 1), -EINVAL);
    if (have_tap)
        assert_int_equal(net_tap_create(&net, &loop, TAP, 2), -EINVAL); /* it has one queue */
    loop_fini(&loop);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_ways),           cmocka_unit_test(card_without_room),
        cmocka_unit_test(checksums_left_open), cmocka_unit_test(several_queues),
        cmocka_unit_test(refusals),
    };

    return cmocka_run_group_tests(tests, set_up, NULL);
}
