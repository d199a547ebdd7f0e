/* The networks that guests are given, seen from a card: frames are made and read here, byte by byte. */
#include "backend/net.h"

#include "base/bytes.h"
#include "base/error.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <cmocka.h>

#define PORT    26000
#define GUEST   0x0a00020fu /* 10.0.2.15 */
#define GATEWAY 0x0a000202u /* 10.0.2.2 */

static const uint8_t guest_mac[6] = {0x52, 0x54, 0, 1, 2, 3};

enum { ETH = 14, IP = 20, TCP = 20, UDP = 8 };
enum { FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16 };

struct frame {
    size_t size;
    uint8_t data[2048];
};

struct card {
    struct loop loop;
    struct net *net;
    bool full;
    struct frame frames[1024];
    unsigned count, taken;
};

static bool receive(void *front, unsigned queue UNUSED, const struct virtio_net_hdr *header UNUSED, const uint8_t *data,
                    size_t size)
{
    struct card *card = front;
    struct frame *f = &card->frames[card->count];

    if (card->full || card->count == ARRAY_SIZE(card->frames) || size > sizeof(f->data))
        return false;
    card->count++;
    f->size = size;
    memcpy(f->data, data, size);
    return true;
}

static const struct net_front_ops front_ops = {.receive = receive};

static struct card *plug(const char *forward)
{
    struct card *card = calloc(1, sizeof(*card));
    struct net_forward f;
    struct net_user_options options = {.forwards = &f, .forward_count = forward ? 1 : 0};

    assert_int_equal(loop_init(&card->loop), 0);
    if (forward)
        assert_int_equal(net_parse_forward(&f, forward), 0);
    assert_int_equal(net_user_create(&card->net, &card->loop, &options), 0);
    card->net->front = card;
    card->net->front_ops = &front_ops;
    return card;
}

static void unplug(struct card *card)
{
    net_destroy(card->net);
    loop_fini(&card->loop);
    free(card);
}

static void nothing(uv_timer_t *timer UNUSED)
{
}

static void turn(struct card *card, int ms)
{
    uint64_t end = uv_hrtime() + (uint64_t)ms * 1000000;
    uv_timer_t timer;

    uv_timer_init(&card->loop.uv, &timer);
    uv_timer_start(&timer, nothing, 1, 1);
    do
        uv_run(&card->loop.uv, UV_RUN_ONCE);
    while (uv_hrtime() < end);
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&card->loop.uv, UV_RUN_NOWAIT);
}

/* The next frame that came, waiting up to 3 s; NULL: none. */
static const struct frame *next_frame(struct card *card)
{
    int turns = 600;

    while (card->taken == card->count && turns--)
        turn(card, 5);
    return card->taken < card->count ? &card->frames[card->taken++] : NULL;
}

static void send_frame(struct card *card, const void *data, size_t size)
{
    /* In two pieces, as a driver does. */
    struct iovec iov[] = {{(void *)data, 10}, {(uint8_t *)data + 10, size - 10}};

    card->net->ops->send(card->net, 0, &(struct virtio_net_hdr){0}, iov, 2);
}

/* --- protocols --- */

static uint32_t sum(const uint8_t *p, size_t size, uint32_t total)
{
    for (; size > 1; p += 2, size -= 2)
        total += load_be16(p);
    return size ? total + (uint32_t)(*p << 8) : total;
}

static uint16_t fold(uint32_t total)
{
    while (total >> 16)
        total = (total & 0xffff) + (total >> 16);
    return (uint16_t)~total;
}

/* Ethernet and IPv4 headers for `size` bytes that follow; from the guest, or from where it says it is. */
static void put_ip(uint8_t *frame, uint8_t protocol, uint32_t from, uint32_t to, size_t size)
{
    static const uint8_t gateway_mac[6] = {0x52, 0x55, 10, 0, 2, 2};
    uint8_t *ip = frame + ETH;

    memcpy(frame, gateway_mac, 6);
    memcpy(frame + 6, guest_mac, 6);
    store_be16(frame + 12, 0x0800);
    memset(ip, 0, IP);
    ip[0] = 0x45;
    store_be16(ip + 2, (uint16_t)(IP + size));
    ip[8] = 64;
    ip[9] = protocol;
    store_be32(ip + 12, from);
    store_be32(ip + 16, to);
    store_be16(ip + 10, fold(sum(ip, IP, 0)));
}

static void send_arp(struct card *card, uint16_t operation, const uint8_t target_mac[6],
                     uint32_t target)
{
    uint8_t frame[42] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

    memcpy(frame + 6, guest_mac, 6);
    memcpy(frame + 12, "\x08\x06\0\1\x08\0\6\4", 8);
    store_be16(frame + 20, operation);
    memcpy(frame + 22, guest_mac, 6);
    store_be32(frame + 28, GUEST);
    memcpy(frame + 32, target_mac, 6);
    store_be32(frame + 38, target);
    send_frame(card, frame, sizeof(frame));
}

struct segment {
    uint32_t from, to, seq, ack;
    uint16_t from_port, to_port;
    uint8_t flags;
    size_t size;
    const uint8_t *data;
};

static void send_tcp(struct card *card, const struct segment *s)
{
    uint8_t frame[1514], *tcp = frame + ETH + IP;
    size_t size = TCP + s->size;

    put_ip(frame, IPPROTO_TCP, s->from, s->to, size);
    memset(tcp, 0, TCP);
    store_be16(tcp, s->from_port);
    store_be16(tcp + 2, s->to_port);
    store_be32(tcp + 4, s->seq);
    store_be32(tcp + 8, s->ack);
    tcp[12] = 5 << 4;
    tcp[13] = s->flags;
    store_be16(tcp + 14, 8000); /* window */
    if (s->size)
        memcpy(tcp + TCP, s->data, s->size);
    store_be16(tcp + 16,
               fold(sum(tcp, size, sum(frame + ETH + 12, 8, IPPROTO_TCP + (uint32_t)size))));
    send_frame(card, frame, ETH + IP + size);
}

static bool parse_tcp(const struct frame *f, struct segment *s)
{
    const uint8_t *ip = f->data + ETH, *tcp = ip + IP;
    size_t header;

    if (f->size < ETH + IP + TCP || load_be16(f->data + 12) != 0x0800 || ip[9] != IPPROTO_TCP)
        return false;
    header = (size_t)(tcp[12] >> 4) * 4;
    *s = (struct segment){load_be32(ip + 12),
                          load_be32(ip + 16),
                          load_be32(tcp + 4),
                          load_be32(tcp + 8),
                          load_be16(tcp),
                          load_be16(tcp + 2),
                          tcp[13]};
    s->size = load_be16(ip + 2) - IP - header;
    s->data = tcp + header;
    assert_int_equal(fold(sum(tcp, header + s->size,
                              sum(ip + 12, 8, IPPROTO_TCP + (uint32_t)(header + s->size)))),
                     0);
    return true;
}

/* The next TCP segment; ARP for the guest is answered on the way. */
static bool next_segment(struct card *card, struct segment *s)
{
    const struct frame *f;

    while ((f = next_frame(card))) {
        if (load_be16(f->data + 12) == 0x0806 && load_be16(f->data + 20) == 1 &&
            load_be32(f->data + 38) == GUEST)
            send_arp(card, 2, f->data + 22, load_be32(f->data + 28));
        else if (parse_tcp(f, s))
            return true;
    }
    return false;
}

/* --- tests --- */

static void forward_specs(void **state UNUSED)
{
    static const char *const bad[] = {
        "",
        "tcp",
        "tcp:",
        "tcp::2222",
        "tcp::2222-22",
        "tcp::2222-:",
        "tcp::-:22",
        "tcp::0-:22",
        "tcp::65536-:22",
        "tcp::22-:99999999999",
        "sctp::1-:2",
        "tcp:host:1-:2",
        "tcp:1.2.3:1-:2",
        "tcp::1-10.0.2.15:2",
        "tcp::1x-:2",
        "tcp::1-:2x",
        "tcp::-1-:2",
        "tcp:1111111111111111111111111111111111111111111111111111111111111111111111:1-:2"};
    struct net_forward f;
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_int_equal(net_parse_forward(&f, bad[i]), -EINVAL);
        assert_non_null(strstr(fail_text(), "tcp::2222-:22"));
    }
    assert_int_equal(net_parse_forward(&f, "tcp::2222-:22"), 0);
    assert_false(f.udp);
    assert_string_equal(f.host, "");
    assert_int_equal(f.host_port, 2222);
    assert_int_equal(f.guest_port, 22);
    assert_int_equal(net_parse_forward(&f, "udp:0.0.0.0:65535-:1"), 0);
    assert_true(f.udp);
    assert_string_equal(f.host, "0.0.0.0");
    assert_int_equal(f.host_port, 65535);
}

static void arp(void **state UNUSED)
{
    struct card *card = plug(NULL);
    const struct frame *f;

    send_arp(card, 1, (const uint8_t[6]){0}, GATEWAY);
    f = next_frame(card);
    assert_non_null(f);
    assert_memory_equal(f->data, guest_mac, 6);
    assert_int_equal(load_be16(f->data + 12), 0x0806);
    assert_int_equal(load_be16(f->data + 20), 2);
    assert_int_equal(load_be32(f->data + 28), GATEWAY);
    unplug(card);
}

static void dhcp(void **state UNUSED)
{
    struct card *card = plug(NULL);
    uint8_t frame[ETH + IP + UDP + 300] = {0}, *udp = frame + ETH + IP, *bootp = udp + UDP;
    const struct frame *f;
    const uint8_t *offer;

    put_ip(frame, IPPROTO_UDP, 0, 0xffffffff, UDP + 300);
    memset(frame, 0xff, 6);
    store_be16(udp, 68);
    store_be16(udp + 2, 67);
    store_be16(udp + 4, UDP + 300);
    memcpy(bootp, "\1\1\6\0xid!", 8);
    memcpy(bootp + 28, guest_mac, 6);
    memcpy(bootp + 236, "\x63\x82\x53\x63\x35\1\1\xff", 8); /* cookie, DISCOVER */
    send_frame(card, frame, sizeof(frame));
    f = next_frame(card);
    assert_non_null(f);
    offer = f->data + ETH + IP + UDP;
    assert_int_equal(offer[0], 2);
    assert_memory_equal(offer + 4, "xid!", 4);
    assert_int_equal(load_be32(offer + 16), GUEST);
    assert_memory_equal(offer + 236, "\x63\x82\x53\x63\x35\1\2", 7); /* OFFER */
    unplug(card);
}

static int dial(uint32_t address, uint16_t port)
{
    struct sockaddr_in addr = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(address)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0)
        assert_int_equal(errno, EINPROGRESS);
    return fd;
}

static void answer(struct card *card, const struct segment *s, uint32_t seq, uint8_t flags,
                   const char *text)
{
    uint32_t phantom = s->flags & (SYN | FIN) ? 1 : 0;
    struct segment reply = {s->to,
                            s->from,
                            seq,
                            s->seq + (uint32_t)s->size + phantom,
                            s->to_port,
                            s->from_port,
                            flags,
                            strlen(text),
                            (const uint8_t *)text};

    send_tcp(card, &reply);
}

static void forward_tcp(void **state UNUSED)
{
    struct card *card = plug("tcp::26000-:22");
    int fd = dial(INADDR_LOOPBACK, PORT);
    struct segment s;
    char text[16] = "";
    int tries = 200;

    assert_true(next_segment(card, &s));
    assert_int_equal(s.flags & (SYN | ACK), SYN);
    assert_int_equal(s.to, GUEST);
    assert_int_equal(s.to_port, 22);
    answer(card, &s, 1000, SYN | ACK, "");
    assert_true(next_segment(card, &s));
    assert_int_equal(s.ack, 1001);
    assert_int_equal(write(fd, "hello", 5), 5);
    while (!s.size)
        assert_true(next_segment(card, &s));
    assert_int_equal(s.size, 5);
    assert_memory_equal(s.data, "hello", 5);
    answer(card, &s, 1001, ACK | PSH, "world");
    while (read(fd, text, sizeof(text)) != 5 && tries--)
        turn(card, 5);
    assert_string_equal(text, "world");

    /* The host's end goes, and the guest hears of it. */
    close(fd);
    do
        assert_true(next_segment(card, &s));
    while (!(s.flags & FIN));
    unplug(card);
}

static void forward_busy(void **state UNUSED)
{
    struct card *card = plug("tcp::26001-:22");
    struct net_forward f = {.host_port = 26001, .guest_port = 22};
    struct net *net;

    assert_int_equal(net_user_create(&net, &card->loop, &(struct net_user_options){.forwards = &f, .forward_count = 1}), -EADDRINUSE);
    assert_non_null(strstr(fail_text(), "26001"));
    strcpy(f.host, "192.0.2.1"); /* nobody's address */
    assert_int_equal(net_user_create(&net, &card->loop, &(struct net_user_options){.forwards = &f, .forward_count = 1}), -EADDRNOTAVAIL);
    unplug(card);
}

static int listen_on(uint16_t port)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    assert_int_equal(listen(fd, 8), 0);
    return fd;
}

/* An address of this host that is not loopback, or 0. The "connection" sends nothing. */
static uint32_t own_address(void)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(0xc0000201)};
    struct sockaddr_in from = {0};
    socklen_t size = sizeof(from);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0)
        getsockname(fd, (struct sockaddr *)&from, &size);
    close(fd);
    return ntohl(from.sin_addr.s_addr);
}

static bool guest_reaches(struct card *card, uint32_t address, int listener)
{
    struct segment syn = {.from = GUEST, .to = address, .seq = 1, .flags = SYN, .to_port = 26002};
    int fd, tries;
    static uint16_t port = 40000;

    syn.from_port = port++;
    send_arp(card, 1, (const uint8_t[6]){0}, GATEWAY); /* so that it knows the guest */
    send_tcp(card, &syn);
    for (tries = 0; tries < 20; tries++) {
        turn(card, 10);
        fd = accept(listener, NULL, NULL);
        if (fd >= 0) {
            close(fd);
            return true;
        }
    }
    return false;
}

static void no_loopback(void **state UNUSED)
{
    struct card *card = plug(NULL);
    int listener = listen_on(26002);
    uint32_t own = own_address();

    assert_false(guest_reaches(card, GATEWAY, listener));
    assert_false(guest_reaches(card, INADDR_LOOPBACK, listener));
    assert_false(guest_reaches(card, 0x7f010203, listener));
    assert_false(guest_reaches(card, 0, listener));
    assert_false(guest_reaches(card, 0x0a0002ff, listener)); /* its network's broadcast */
    assert_false(guest_reaches(card, 0xffffffff, listener));
    if (own && own >> 24 != 127) /* that it was not for want of a working network */
        assert_true(guest_reaches(card, own, listener));
    close(listener);
    unplug(card);
}

static void busy_card(void **state UNUSED)
{
    struct card *card = plug(NULL);
    unsigned i;

    card->full = true;
    for (i = 0; i < 2000; i++)
        send_arp(card, 1, (const uint8_t[6]){0}, GATEWAY);
    turn(card, 5);
    assert_int_equal(card->count, 0);
    card->full = false;
    card->net->ops->accept_input(card->net, 0);
    assert_int_equal(card->count, 512); /* kept; the rest was dropped */
    send_arp(card, 1, (const uint8_t[6]){0}, GATEWAY);
    assert_int_equal(card->count, 513);
    unplug(card);
}

/* Frames that no honest card sends. */
static void nonsense(void **state UNUSED)
{
    struct card *card = plug(NULL);
    uint8_t frame[1514];
    unsigned i, j;

    srand(1);
    for (i = 0; i < 20000; i++) {
        size_t size = 14 + (size_t)rand() % (i % 3 ? 100 : 1500);

        for (j = 0; j < size; j++)
            frame[j] = (uint8_t)rand();
        store_be16(frame + 12, i % 2 ? 0x0800 : 0x0806);
        frame[14] = 0x45;
        frame[30] = 10;
        send_frame(card, frame, size);
    }
    turn(card, 50);
    unplug(card);
}

/* --- tap, in a network namespace of its own --- */

static void make_tap(const char *name)
{
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC),
        s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    strcpy(request.ifr_name, name);
    assert_int_equal(ioctl(fd, TUNSETIFF, &request), 0);
    assert_int_equal(ioctl(fd, TUNSETPERSIST, 1), 0);
    close(fd);
    request.ifr_flags = IFF_UP;
    assert_int_equal(ioctl(s, SIOCSIFFLAGS, &request), 0);
    close(s);
}

static int raw_socket(const char *name)
{
    struct sockaddr_ll addr = {.sll_family = AF_PACKET,
                               .sll_protocol = htons(0x88b5),
                               .sll_ifindex = (int)if_nametoindex(name)};
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, htons(0x88b5));

    assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    return fd;
}

static const struct frame *next_of_type(struct card *card, uint16_t type)
{
    const struct frame *f;

    while ((f = next_frame(card)) && load_be16(f->data + 12) != type)
        ;
    return f;
}

static void tap(void **state UNUSED)
{
    struct card *card = calloc(1, sizeof(*card));
    uint8_t frame[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2,   0,
                         0,    0,    0,    1,    0x88, 0xb5, 'h', 'i'};
    const struct frame *f;
    uint8_t got[100];
    struct net *second;
    int raw;

    assert_int_equal(loop_init(&card->loop), 0);
    assert_int_equal(net_tap_create(&card->net, &card->loop, "mvtest0", 1), -ENODEV);
    assert_non_null(strstr(fail_text(), "ip tuntap add"));
    assert_int_equal(net_tap_create(&card->net, &card->loop, "a-name-that-is-much-too-long", 1),
                     -EINVAL);
    if (unshare(CLONE_NEWNET) != 0 || access("/dev/net/tun", R_OK | W_OK) != 0) {
        loop_fini(&card->loop);
        free(card);
        skip();
    }
    make_tap("mvtest0");
    assert_true(net_tap_create(&card->net, &card->loop, "lo", 1) < 0);
    assert_int_equal(net_tap_create(&card->net, &card->loop, "mvtest0", 1), 0);
    assert_int_equal(net_tap_create(&second, &card->loop, "mvtest0", 1), -EBUSY);
    card->net->front = card;
    card->net->front_ops = &front_ops;
    raw = raw_socket("mvtest0");
    assert_int_equal(send(raw, frame, sizeof(frame), 0), sizeof(frame));
    f = next_of_type(card, 0x88b5);
    assert_non_null(f);
    assert_int_equal(f->size, sizeof(frame));
    assert_memory_equal(f->data, frame, sizeof(frame));

    card->full = true;
    frame[14] = 'y';
    assert_int_equal(send(raw, frame, sizeof(frame), 0), sizeof(frame));
    turn(card, 20);
    card->full = false;
    card->net->ops->accept_input(card->net, 0);
    f = next_of_type(card, 0x88b5);
    assert_non_null(f);
    assert_int_equal(f->data[14], 'y');

    frame[14] = 'b';
    send_frame(card, frame, sizeof(frame));
    assert_int_equal(recv(raw, got, sizeof(got), 0), sizeof(frame));
    assert_int_equal(got[14], 'b');
    close(raw);
    unplug(card);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(forward_specs), cmocka_unit_test(arp),
        cmocka_unit_test(dhcp),          cmocka_unit_test(forward_tcp),
        cmocka_unit_test(forward_busy),  cmocka_unit_test(no_loopback),
        cmocka_unit_test(busy_card),     cmocka_unit_test(nonsense),
        cmocka_unit_test(tap),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
