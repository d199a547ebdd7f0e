/* The user network: libslirp as a guest meets it, frame by frame, with sockets of this computer at the other side. */
#include "backend/net.h"
#include "base/bytes.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#define GUEST 0x0a00020f
#define HOST  0x0a000202

enum { IP = 14, L4 = IP + 20, UDP_DATA = L4 + 8, TCP_DATA = L4 + 20 };

/* Behind 14 bytes of Ethernet nothing is aligned. */
typedef struct ip packed_ip __attribute__((aligned(1)));
typedef struct ip6_hdr packed_ip6 __attribute__((aligned(1)));
typedef struct tcphdr packed_tcp __attribute__((aligned(1)));

struct fixture {
    struct loop loop;
    struct net *net;
    uint16_t port; /* of this computer, that leads into the guest */
    /* The last frame that the guest got of each kind, and how many. */
    uint8_t frame[NET_MAX_FRAME];
    size_t size;
    struct virtio_net_hdr header;
    unsigned udp, tcp, arp_asked, full;
    uint8_t peer[6]; /* the network's own address */
};

static const uint8_t mac[6] = {0x52, 0x54, 0, 1, 2, 3};
static const struct virtio_net_hdr complete;

/* --- sums --- */

static uint32_t add_up(uint32_t sum, const uint8_t *p, size_t size)
{
    size_t i;

    for (i = 0; i < size; i++)
        sum += (uint32_t)p[i] << (i % 2 ? 0 : 8);
    return sum;
}

static uint16_t fold(uint32_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

/* Of the addresses, the protocol and the length. */
static uint32_t pseudo(const uint8_t *frame, size_t size)
{
    return add_up(0, frame + IP + 12, 8) + frame[IP + 9] + (uint32_t)(size - L4);
}

static bool sum_is_right(const uint8_t *frame, size_t size)
{
    return fold(pseudo(frame, size) + add_up(0, frame + L4, size - L4)) == 0xffff;
}

/* --- frames --- */

static void put_ip(uint8_t *frame, const uint8_t *to, uint8_t protocol, uint32_t destination, size_t size)
{
    packed_ip *ip = (packed_ip *)(frame + IP);

    memcpy(frame, to, 6);
    memcpy(frame + 6, mac, 6);
    store_be16(frame + 12, 0x0800);
    memset(ip, 0, sizeof(*ip));
    ip->ip_v = 4;
    ip->ip_hl = 5;
    ip->ip_len = htons((uint16_t)(size - IP));
    ip->ip_ttl = 64;
    ip->ip_p = protocol;
    ip->ip_src.s_addr = htonl(GUEST);
    ip->ip_dst.s_addr = htonl(destination);
    store_be16(&ip->ip_sum, (uint16_t)~fold(add_up(0, frame + IP, sizeof(*ip))));
}

static void guest_sends(struct fixture *f, const struct virtio_net_hdr *header, const uint8_t *frame, size_t size)
{
    const struct iovec iov[] = {{(void *)frame, MIN(size, 20)},
                                {(void *)(frame + MIN(size, 20)), size - MIN(size, 20)}};

    f->net->ops->send(f->net, 0, header, iov, 2);
}

static void answer_arp(struct fixture *f, const uint8_t *asked)
{
    uint8_t reply[60] = {0};

    memcpy(f->peer, asked + 6, 6);
    memcpy(reply, asked + 6, 6);
    memcpy(reply + 6, mac, 6);
    memcpy(reply + 12, asked + 12, 8);
    reply[21] = 2;
    memcpy(reply + 22, mac, 6);
    store_be32(reply + 28, GUEST);
    memcpy(reply + 32, asked + 22, 10);
    guest_sends(f, &complete, reply, sizeof(reply));
}

static bool receive(void *front, unsigned queue UNUSED, const struct virtio_net_hdr *header,
                    const uint8_t *frame, size_t size)
{
    struct fixture *f = front;

    if (f->full) {
        f->full--;
        return false;
    }
    if (load_be16(frame + 12) == 0x0806 && frame[21] == 1 && load_be32(frame + 38) == GUEST) {
        f->arp_asked++;
        answer_arp(f, frame);
        return true;
    }
    if (load_be16(frame + 12) != 0x0800)
        return true;
    f->udp += frame[IP + 9] == IPPROTO_UDP;
    f->tcp += frame[IP + 9] == IPPROTO_TCP;
    memcpy(f->frame, frame, size);
    f->size = size;
    f->header = *header;
    return true;
}

static const struct net_front_ops front_ops = {.receive = receive};

/* --- life --- */

static uint16_t free_port(int type)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(a);
    int fd = socket(AF_INET, type, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&a, size), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &size), 0);
    close(fd);
    return ntohs(a.sin_port);
}

static struct fixture *start(bool udp, struct net_user_options options)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct net_forward forward = {.udp = udp, .guest_port = 77};

    f->port = forward.host_port = free_port(udp ? SOCK_DGRAM : SOCK_STREAM);
    options.forwards = &forward;
    options.forward_count = 1;
    assert_int_equal(loop_init(&f->loop), 0);
    assert_int_equal(net_user_create(&f->net, &f->loop, &options), 0);
    f->net->front_ops = &front_ops;
    f->net->front = f;
    return f;
}

static void stop(struct fixture *f)
{
    net_destroy(f->net);
    loop_fini(&f->loop);
    free(f);
}

static void tick(uv_timer_t *timer UNUSED)
{
}

/* Until *count is at least n. */
static void pump(struct fixture *f, const unsigned *count, unsigned n, unsigned ms)
{
    uint64_t end = uv_hrtime() + ms * 1000000ULL;
    uv_timer_t timer;

    uv_timer_init(&f->loop.uv, &timer);
    uv_timer_start(&timer, tick, 1, 1);
    while (*count < n && uv_hrtime() < end)
        uv_run(&f->loop.uv, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&f->loop.uv, UV_RUN_NOWAIT);
}

static int connect_to(struct fixture *f, int type)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons(f->port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval limit = {5, 0};
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    return fd;
}

/* --- DHCP --- */

static void dhcp(void **state UNUSED)
{
    struct fixture *f = start(false, (struct net_user_options){.hostname = "machine-7", .bootfile = "boot.img"});
    uint8_t frame[UDP_DATA + 300] = {0}, *b = frame + UDP_DATA;
    const uint8_t options[] = {0x63, 0x82, 0x53, 0x63, 53, 1, 1, 255};
    static const uint8_t all[6] = {255, 255, 255, 255, 255, 255};

    put_ip(frame, all, IPPROTO_UDP, 0xffffffff, sizeof(frame));
    store_be16(frame + L4, 68);
    store_be16(frame + L4 + 2, 67);
    store_be16(frame + L4 + 4, 308);
    b[0] = b[1] = 1;
    b[2] = 6;
    store_be32(b + 4, 0x12345678);
    memcpy(b + 28, mac, 6);
    memcpy(b + 236, options, sizeof(options));
    guest_sends(f, &complete, frame, sizeof(frame));
    pump(f, &f->udp, 1, 3000);
    assert_int_equal(f->udp, 1);
    assert_true(sum_is_right(f->frame, f->size));
    assert_int_equal(load_be32(f->frame + UDP_DATA + 4), 0x12345678);
    assert_int_equal(load_be32(f->frame + UDP_DATA + 16), GUEST);
    assert_non_null(memmem(f->frame, f->size, "machine-7", 9));
    assert_string_equal((char *)f->frame + UDP_DATA + 108, "boot.img");
    stop(f);
}

/* --- UDP --- */

static size_t put_udp(struct fixture *f, uint8_t *frame, uint32_t to, uint16_t port, const char *text)
{
    size_t size = UDP_DATA + strlen(text);

    put_ip(frame, f->peer, IPPROTO_UDP, to, size);
    store_be16(frame + L4, 77);
    store_be16(frame + L4 + 2, port);
    store_be16(frame + L4 + 4, (uint16_t)(size - L4));
    store_be16(frame + L4 + 6, 0);
    memcpy(frame + UDP_DATA, text, strlen(text));
    return size;
}

/* What a stack with checksum offload leaves: the pseudo header's sum, and where the rest begins. */
static struct virtio_net_hdr leave_sum(uint8_t *frame, size_t size, uint16_t offset)
{
    store_be16(frame + L4 + offset, fold(pseudo(frame, size)));
    return (struct virtio_net_hdr){
        .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = L4, .csum_offset = offset};
}

static int listen_loopback(uint16_t *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval limit = {0, 100000};
    socklen_t size = sizeof(a);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&a, size), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &size), 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    *port = ntohs(a.sin_port);
    return fd;
}

static void udp_forward(void **state UNUSED)
{
    struct fixture *f = start(true, (struct net_user_options){0});
    uint8_t frame[200], heard[100];
    struct virtio_net_hdr header;
    int fd = connect_to(f, SOCK_DGRAM), fd2;
    uint16_t port;
    size_t size;

    assert_int_equal(send(fd, "question", 8, 0), 8);
    pump(f, &f->udp, 1, 3000);
    assert_int_equal(f->udp, 1);
    assert_true(f->arp_asked > 0);
    assert_int_equal(load_be32(f->frame + IP + 16), GUEST);
    assert_int_equal(load_be16(f->frame + L4 + 2), 77);
    assert_memory_equal(f->frame + UDP_DATA, "question", 8);
    assert_int_equal(f->header.flags, 0);
    /* The answer, of odd length, with the checksum left to the network. */
    size = put_udp(f, frame, load_be32(f->frame + IP + 12), load_be16(f->frame + L4), "the answer!");
    header = leave_sum(frame, size, 6);
    guest_sends(f, &header, frame, size);
    assert_int_equal(recv(fd, heard, sizeof(heard), 0), 11);
    assert_memory_equal(heard, "the answer!", 11);
    /* Nobody else on this computer's loopback hears from it. */
    fd2 = listen_loopback(&port);
    guest_sends(f, &complete, frame, put_udp(f, frame, HOST, port, "hello"));
    assert_int_equal(recv(fd2, heard, sizeof(heard), 0), -1);
    close(fd2);
    /* A guest that takes the network's word for a sum is told so. */
    f->net->ops->set_offloads(f->net, NET_CSUM);
    assert_int_equal(send(fd, "more", 4, 0), 4);
    pump(f, &f->udp, 2, 3000);
    assert_int_equal(f->header.flags, VIRTIO_NET_HDR_F_DATA_VALID);
    close(fd);
    stop(f);
}

/* Frames that find no room are kept, and come in their order. */
static void waiting_frames(void **state UNUSED)
{
    struct fixture *f = start(true, (struct net_user_options){0});
    int fd = connect_to(f, SOCK_DGRAM);
    unsigned i;

    assert_int_equal(send(fd, "0", 1, 0), 1);
    pump(f, &f->udp, 1, 3000);
    f->full = 1;
    for (i = 1; i < 6; i++)
        assert_int_equal(send(fd, &"012345"[i], 1, 0), 1);
    pump(f, &f->udp, 2, 100);
    assert_int_equal(f->udp, 1);
    f->net->ops->accept_input(f->net, 0);
    assert_int_equal(f->udp, 6);
    assert_int_equal(f->frame[UDP_DATA], '5');
    close(fd);
    stop(f);
}

/* --- what leads nowhere --- */

static void loopback_is_closed(void **state UNUSED)
{
    static const uint32_t addresses[] = {INADDR_LOOPBACK, 0x7f112233, 0, 0x00000001, HOST};
    struct fixture *f = start(true, (struct net_user_options){0});
    uint8_t frame[200], heard[10];
    struct virtio_net_hdr trick = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = IP + 16, .csum_offset = 0};
    uint16_t port;
    int fd = listen_loopback(&port);
    size_t size;
    unsigned i;

    memcpy(f->peer, "\x52\x55\x0a\x00\x02\x02", 6);
    for (i = 0; i < ARRAY_SIZE(addresses); i++) {
        size = put_udp(f, frame, addresses[i], port, "hello");
        guest_sends(f, &complete, frame, size);
        pump(f, &f->udp, 1, 20);
        assert_int_equal(recv(fd, heard, sizeof(heard), 0), -1);
    }
    /* A "checksum" that makes 127.0.0.1 of 128.0.0.1, after somebody has looked at it. */
    size = put_udp(f, frame, INADDR_LOOPBACK, port, "hell");
    store_be16(frame + IP + 16, 0x8000);
    for (i = 0; i < 65536; i++) {
        store_be16(frame + size - 2, (uint16_t)i);
        if (fold(add_up(0, frame + IP + 16, size - IP - 16)) == (0x7f00 ^ 0xffff))
            break;
    }
    assert_true(i < 65536);
    guest_sends(f, &trick, frame, size);
    pump(f, &f->udp, 1, 20);
    assert_int_equal(recv(fd, heard, sizeof(heard), 0), -1);
    close(fd);
    stop(f);
}

static void loopback6_is_closed(void **state UNUSED)
{
    static const char *const addresses[] = {"::1", "::", "::ffff:127.0.0.1", "::127.0.0.1", "fec0::2"};
    struct fixture *f = start(true, (struct net_user_options){0});
    struct sockaddr_in6 a = {.sin6_family = AF_INET6};
    uint8_t frame[IP + 40 + 8 + 4], heard[10];
    struct timeval limit = {0, 100000};
    socklen_t length = sizeof(a);
    int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    unsigned i;

    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) != 0)
        skip();
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &length), 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    for (i = 0; i < ARRAY_SIZE(addresses); i++) {
        packed_ip6 *ip = (packed_ip6 *)(frame + IP);
        struct virtio_net_hdr header = {
            .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = IP + 40, .csum_offset = 6};

        memset(frame, 0, sizeof(frame));
        memcpy(frame, "\x52\x56\x00\x00\x00\x02", 6);
        memcpy(frame + 6, mac, 6);
        store_be16(frame + 12, 0x86dd);
        ip->ip6_flow = htonl(6u << 28);
        ip->ip6_plen = htons(12);
        ip->ip6_nxt = IPPROTO_UDP;
        ip->ip6_hlim = 64;
        inet_pton(AF_INET6, "fec0::15", &ip->ip6_src);
        inet_pton(AF_INET6, addresses[i], &ip->ip6_dst);
        store_be16(frame + IP + 40, 77);
        memcpy(frame + IP + 42, &a.sin6_port, 2);
        store_be16(frame + IP + 44, 12);
        store_be16(frame + IP + 46, fold(add_up(0, frame + IP + 8, 32) + IPPROTO_UDP + 12));
        guest_sends(f, &header, frame, sizeof(frame));
        pump(f, &f->udp, 1, 20);
        assert_int_equal(recv(fd, heard, sizeof(heard), 0), -1);
    }
    close(fd);
    stop(f);
}

/* --- TCP --- */

struct tcp {
    uint32_t seq, ack;
    uint16_t peer_port;
    uint32_t peer_ip;
};

static void send_tcp(struct fixture *f, struct tcp *t, uint8_t flags, const uint8_t *data, size_t bytes)
{
    static uint8_t frame[NET_MAX_FRAME];
    size_t size = TCP_DATA + bytes;
    packed_tcp *tcp = (packed_tcp *)(frame + L4);
    struct virtio_net_hdr header;

    put_ip(frame, f->peer, IPPROTO_TCP, t->peer_ip, size);
    memset(tcp, 0, sizeof(*tcp));
    tcp->th_sport = htons(77);
    tcp->th_dport = htons(t->peer_port);
    tcp->th_seq = htonl(t->seq);
    tcp->th_ack = htonl(t->ack);
    tcp->th_off = 5;
    tcp->th_flags = flags;
    tcp->th_win = htons(65535);
    if (bytes)
        memcpy(frame + TCP_DATA, data, bytes);
    header = leave_sum(frame, size, 16);
    if (bytes > 1460) {
        header.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
        header.gso_size = 1460;
        header.hdr_len = TCP_DATA;
    }
    guest_sends(f, &header, frame, size);
    t->seq += (uint32_t)bytes + !!(flags & TH_SYN);
}

/* A connection into the guest; the guest sends 60,000 bytes in one piece, which arrive as they are. */
static void tcp_in_large_pieces(void **state UNUSED)
{
    struct fixture *f = start(false, (struct net_user_options){0});
    struct tcp t = {.seq = 1000};
    const packed_tcp *got = (const packed_tcp *)(f->frame + L4);
    static uint8_t data[60000], heard[60000];
    size_t done = 0, i;
    int fd = connect_to(f, SOCK_STREAM);

    assert_true(f->net->send_offloads & NET_TSO4 && f->net->mtu > 1500);
    pump(f, &f->tcp, 1, 3000);
    assert_int_equal(f->tcp, 1);
    assert_true(got->th_flags & TH_SYN);
    assert_true(sum_is_right(f->frame, f->size));
    t.peer_ip = load_be32(f->frame + IP + 12);
    t.peer_port = ntohs(got->th_sport);
    t.ack = ntohl(got->th_seq) + 1;
    send_tcp(f, &t, TH_SYN | TH_ACK, NULL, 0);
    pump(f, &f->tcp, 2, 3000);
    for (i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(i * 31 >> 3);
    send_tcp(f, &t, TH_ACK | TH_PUSH, data, sizeof(data));
    for (i = 0; i < 100 && done < sizeof(heard); i++) {
        ssize_t n;

        pump(f, &f->udp, 1, 10);
        n = recv(fd, heard + done, sizeof(heard) - done, MSG_DONTWAIT);
        done += n > 0 ? (size_t)n : 0;
    }
    assert_int_equal(done, sizeof(data));
    assert_memory_equal(heard, data, sizeof(data));
    /* And back: more than a packet of the old kind holds comes in one. */
    assert_int_equal(send(fd, data, 9000, 0), 9000);
    i = f->tcp;
    while (f->size < TCP_DATA + 1000 && f->tcp < i + 50)
        pump(f, &f->tcp, f->tcp + 1, 1000);
    assert_true(sum_is_right(f->frame, f->size));
    assert_memory_equal(f->frame + TCP_DATA, data, 500);
    close(fd);
    stop(f);
}

/* A restricted guest reaches nothing, not even the resolver; what leads in still does. */
static void restricted(void **state UNUSED)
{
    struct fixture *f = start(false, (struct net_user_options){.restricted = true, .no_ipv6 = true});
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t size = sizeof(a);
    uint8_t frame[200];
    int fd = connect_to(f, SOCK_STREAM), probe;

    pump(f, &f->tcp, 1, 3000);
    assert_int_equal(f->tcp, 1);
    probe = connect_to(f, SOCK_DGRAM);
    assert_int_equal(getsockname(probe, (struct sockaddr *)&a, &size), 0);
    guest_sends(f, &complete, frame, put_udp(f, frame, 0x0a000203, 53, "question"));
    pump(f, &f->udp, 1, 100);
    assert_int_equal(f->udp, 0);
    close(fd);
    close(probe);
    stop(f);
}

/* --- options --- */

static void addresses(void **state UNUSED)
{
    uint8_t a[6], b[6];
    static const char *const bad[] = {"", "52:54:00:12:34", "52:54:00:12:34:5", "52:54:00:12:34:567", "53:54:00:12:34:56",
                                      "52:54:00:12:34:gg", "52-54-00-12-34-56", " 2:54:00:12:34:56", "+2:54:00:12:34:56"};
    unsigned i;

    net_default_mac(a, "one");
    net_default_mac(b, "two");
    assert_memory_equal(a, "\x52\x54\x00", 3);
    assert_memory_not_equal(a, b, 6);
    net_default_mac(b, "one");
    assert_memory_equal(a, b, 6);
    assert_int_equal(net_parse_mac(a, "52:54:00:aB:34:0f"), 0);
    assert_memory_equal(a, "\x52\x54\x00\xab\x34\x0f", 6);
    for (i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(net_parse_mac(a, bad[i]), -EINVAL);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(dhcp),          cmocka_unit_test(udp_forward),
        cmocka_unit_test(waiting_frames), cmocka_unit_test(loopback_is_closed),
        cmocka_unit_test(loopback6_is_closed), cmocka_unit_test(tcp_in_large_pieces),
        cmocka_unit_test(restricted),    cmocka_unit_test(addresses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
