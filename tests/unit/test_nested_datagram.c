/*
 * UDP forwards of a software host: flows, their limits and ends, a connection that is full, an inside that makes no sense.
 *
 * The outside is at one end of a connection. At the other is the inside as it is, or the test itself, frame by frame.
 */
#include "vmm/nested_datagram.h"

#include "base/bytes.h"
#include "base/error.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define HEADER 8
#define TURNS  20000
#define WAIT   20000 /* ms: for what must come */
#define QUIET  100   /* ms: for what must not */
/* Bytes: what may wait, and the sockets' own buffers. */
#define MOST_WAITING (2 * KIB(256) + MUX_MAX_FRAME + KIB(512))

enum { OPEN, DATA, ACK, END, CLOSE };

struct rig {
    struct loop loop;
    int fds[2], guest;
    uint16_t number, guest_number;
    struct mux *outside, *inside;
    struct datagram_port *port;
    unsigned opened;
};

/* --- sockets --- */

static uint16_t number_of(int fd)
{
    struct sockaddr_in a;
    socklen_t size = sizeof(a);

    assert_return_code(getsockname(fd, (struct sockaddr *)&a, &size), errno);
    return ntohs(a.sin_port);
}

static int udp_socket(uint16_t number)
{
    const struct sockaddr_in a = {.sin_family = AF_INET,
                                  .sin_port = htons(number),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    assert_return_code(bind(fd, (const struct sockaddr *)&a, sizeof(a)), errno);
    return fd;
}

static int connected(uint16_t to)
{
    const struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(to), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = udp_socket(0);

    assert_return_code(connect(fd, (const struct sockaddr *)&a, sizeof(a)), errno);
    return fd;
}

static uint16_t free_number(void)
{
    int fd = udp_socket(0);
    uint16_t number = number_of(fd);

    close(fd);
    return number;
}

/* --- the rig --- */

static void on_opened(void *opaque, uint16_t id, const char *what)
{
    struct rig *r = opaque;
    char expected[64];

    snprintf(expected, sizeof(expected), "udp 127.0.0.1 %u", r->number);
    assert_string_equal(what, expected);
    r->opened++;
    datagram_flow_attach(r->inside, &r->loop, id, connected(r->guest_number));
}

/* As nested.c: the inside opens none. */
static void on_inside_opens(void *opaque, uint16_t id, const char *what UNUSED)
{
    mux_close(((struct rig *)opaque)->outside, id);
}

static void on_ended(void *opaque UNUSED, uint16_t id UNUSED)
{
}

static void on_control(void *opaque UNUSED, uint32_t code UNUSED, const uint8_t *data UNUSED,
                       size_t size UNUSED)
{
}

static void on_lost(void *opaque UNUSED)
{
}

static const struct mux_ops inside_ops = {
    .opened = on_opened, .ended = on_ended, .control = on_control, .lost = on_lost};
static const struct mux_ops outside_ops = {
    .opened = on_inside_opens, .ended = on_ended, .control = on_control, .lost = on_lost};

static struct rig *start(bool with_inside, unsigned idle)
{
    struct rig *r = calloc(1, sizeof(*r));

    assert_int_equal(loop_init(&r->loop), 0);
    assert_return_code(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, r->fds),
                       errno);
    r->guest = udp_socket(0);
    r->guest_number = number_of(r->guest);
    r->number = free_number();
    assert_int_equal(mux_create(&r->outside, &r->loop, r->fds[0], &outside_ops, r), 0);
    if (with_inside)
        assert_int_equal(mux_create(&r->inside, &r->loop, r->fds[1], &inside_ops, r), 0);
    assert_int_equal(datagram_port_create(&r->port, &r->loop, "127.0.0.1", r->number, idle), 0);
    assert_int_equal(datagram_port_start(r->port, r->outside), 0);
    return r;
}

static void finish(struct rig *r)
{
    datagram_port_destroy(r->port);
    mux_destroy(r->outside);
    mux_destroy(r->inside);
    loop_fini(&r->loop);
    close(r->fds[0]);
    close(r->fds[1]);
    if (r->guest >= 0)
        close(r->guest);
    free(r);
}

static void turn(struct rig *r)
{
    uv_run(&r->loop.uv, UV_RUN_NOWAIT);
}

static void turn_for(struct rig *r, unsigned ms)
{
    uint64_t end = uv_hrtime() + ms * UINT64_C(1000000);

    while (uv_hrtime() < end) {
        turn(r);
        poll(NULL, 0, 1);
    }
}

/* The next datagram, within a time. Its size, or -1. */
static ssize_t take(struct rig *r, int fd, void *data, size_t size, uint16_t *from, unsigned ms)
{
    uint64_t end = uv_hrtime() + ms * UINT64_C(1000000);

    do {
        struct sockaddr_in a;
        socklen_t length = sizeof(a);
        ssize_t n = recvfrom(fd, data, size, 0, (struct sockaddr *)&a, &length);

        if (n >= 0) {
            if (from)
                *from = ntohs(a.sin_port);
            return n;
        }
        turn(r);
    } while (uv_hrtime() < end);
    return -1;
}

static void tell(int fd, const void *data, size_t size)
{
    assert_int_equal(send(fd, data, size, 0), size);
}

static void answer(struct rig *r, uint16_t to, const void *data, size_t size)
{
    const struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(to), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    assert_int_equal(sendto(r->guest, data, size, 0, (const struct sockaddr *)&a, sizeof(a)), size);
}

/* One byte to the guest; the address that it came from there. */
static uint16_t ask(struct rig *r, int peer, char byte)
{
    char seen = 0;
    uint16_t from = 0;

    tell(peer, &byte, 1);
    assert_int_equal(take(r, r->guest, &seen, 1, &from, WAIT), 1);
    assert_int_equal(seen, byte);
    return from;
}

static bool answered(struct rig *r, int peer, uint16_t to, unsigned ms)
{
    char seen = 0;

    answer(r, to, "!", 1);
    return take(r, peer, &seen, 1, NULL, ms) == 1 && seen == '!';
}

/* --- flows --- */

static void fill(uint8_t *data, size_t size, unsigned seed)
{
    size_t i;

    for (i = 0; i < size; i++)
        data[i] = (uint8_t)(i * 7 + (i >> 8) + seed);
}

static void sizes_and_peers(void **state UNUSED)
{
    static const size_t sizes[] = {0, 1, 2, 512, 1400, 4000, 40000, MUX_MAX_DATAGRAM};
    static uint8_t out[MUX_MAX_DATAGRAM], in[MUX_MAX_DATAGRAM + 1];
    struct rig *r = start(true, DATAGRAM_IDLE);
    int peer[2] = {connected(r->number), connected(r->number)};
    uint16_t from[2];
    size_t i;
    int p;

    for (i = 0; i < ARRAY_SIZE(sizes); i++) {
        for (p = 0; p < 2; p++) {
            fill(out, sizes[i], 100 * p);
            tell(peer[p], out, sizes[i]);
            assert_int_equal(take(r, r->guest, in, sizeof(in), &from[p], WAIT), sizes[i]);
            assert_memory_equal(in, out, sizes[i]);
        }
        assert_int_not_equal(from[0], from[1]);
        for (p = 1; p >= 0; p--) {
            fill(out, sizes[i], 100 * p + 1);
            answer(r, from[p], out, sizes[i]);
            assert_int_equal(take(r, peer[p], in, sizeof(in), NULL, WAIT), sizes[i]);
            assert_memory_equal(in, out, sizes[i]);
            assert_int_equal(take(r, peer[!p], in, sizeof(in), NULL, 1), -1);
        }
    }
    assert_int_equal(r->opened, 2);
    close(peer[0]);
    close(peer[1]);
    finish(r);
}

static void idle_longest_gives_way(void **state UNUSED)
{
    struct rig *r = start(true, DATAGRAM_IDLE);
    int peer[DATAGRAM_MAX_FLOWS + 1];
    uint16_t from[DATAGRAM_MAX_FLOWS + 1];
    int i;

    for (i = 0; i <= DATAGRAM_MAX_FLOWS; i++)
        peer[i] = connected(r->number);
    for (i = 0; i < DATAGRAM_MAX_FLOWS; i++)
        from[i] = ask(r, peer[i], 'a');
    /* The first by a question and the second by an answer have been used since; the third gives way. */
    assert_int_equal(ask(r, peer[0], 'b'), from[0]);
    assert_true(answered(r, peer[1], from[1], WAIT));
    from[i] = ask(r, peer[i], 'c');
    assert_int_equal(r->opened, DATAGRAM_MAX_FLOWS + 1);
    turn_for(r, QUIET);
    assert_false(answered(r, peer[2], from[2], QUIET));
    for (i = 0; i <= DATAGRAM_MAX_FLOWS; i++)
        if (i != 2)
            assert_true(answered(r, peer[i], from[i], WAIT));
    assert_int_equal(r->opened, DATAGRAM_MAX_FLOWS + 1);
    /* It may come again. */
    assert_true(answered(r, peer[2], ask(r, peer[2], 'd'), WAIT));
    assert_int_equal(r->opened, DATAGRAM_MAX_FLOWS + 2);
    for (i = 0; i <= DATAGRAM_MAX_FLOWS; i++)
        close(peer[i]);
    finish(r);
}

static void idle_ends(void **state UNUSED)
{
    struct rig *r = start(true, 2);
    int busy = connected(r->number), idle = connected(r->number);
    uint16_t busy_from = ask(r, busy, 'a'), idle_from = ask(r, idle, 'a');
    int i;

    /* 3 seconds: one is used all the time. */
    for (i = 0; i < 30; i++) {
        assert_int_equal(ask(r, busy, 'b'), busy_from);
        turn_for(r, 100);
    }
    assert_false(answered(r, idle, idle_from, QUIET));
    assert_true(answered(r, busy, busy_from, WAIT));
    assert_int_equal(r->opened, 2);
    turn_for(r, 2500);
    assert_false(answered(r, busy, busy_from, QUIET));
    /* And from none on it works again. */
    assert_true(answered(r, idle, ask(r, idle, 'c'), WAIT));
    assert_int_equal(r->opened, 3);
    close(busy);
    close(idle);
    finish(r);
}

/* A machine that is still starting: nobody has the port inside, which its socket hears of as an error. */
static void nobody_listens_yet(void **state UNUSED)
{
    struct rig *r = start(true, DATAGRAM_IDLE);
    int peer = connected(r->number), i;

    close(r->guest);
    for (i = 0; i < 10; i++) {
        tell(peer, "x", 1);
        turn_for(r, 10);
    }
    r->guest = udp_socket(r->guest_number);
    assert_true(answered(r, peer, ask(r, peer, 'a'), WAIT));
    assert_int_equal(r->opened, 1);
    close(peer);
    finish(r);
}

/* --- the connection, frame by frame --- */

/* The next frame of the outside; false: there is none. data: MUX_MAX_FRAME bytes */
static bool next_frame(struct rig *r, uint16_t *id, unsigned *type, uint8_t *data, size_t *size)
{
    uint8_t header[HEADER];
    size_t done = 0;
    ssize_t n = -1;
    int i;

    for (i = 0; i < 100 && n != HEADER; i++, turn(r))
        n = recv(r->fds[1], header, HEADER, 0);
    if (n < 0)
        return false;
    assert_int_equal(n, HEADER);
    *id = load_le16(header);
    *type = header[2];
    *size = load_le32(header + 4);
    assert_in_range(*size, 0, MUX_MAX_FRAME);
    for (i = 0; i < TURNS && done < *size; i++, turn(r)) {
        n = recv(r->fds[1], data + done, *size - done, 0);
        done += n > 0 ? (size_t)n : 0;
    }
    assert_int_equal(done, *size);
    return true;
}

static void expect_frame(struct rig *r, uint16_t *id, unsigned type, size_t size)
{
    static uint8_t data[MUX_MAX_FRAME];
    uint16_t got_id;
    unsigned got;
    size_t got_size;

    assert_true(next_frame(r, &got_id, &got, data, &got_size));
    assert_int_equal(got, type);
    if (type != OPEN) {
        assert_int_equal(got_id, *id);
        assert_int_equal(got_size, size);
    }
    *id = got_id;
}

/* A datagram from somebody new, and its frames. */
static void expect_flow(struct rig *r, int peer, uint16_t *id)
{
    tell(peer, "hi", 2);
    expect_frame(r, id, OPEN, 0);
    expect_frame(r, id, DATA, 2);
}

static void put(struct rig *r, const void *data, size_t size)
{
    size_t done = 0;
    int i;

    for (i = 0; i < TURNS && done < size; i++, turn(r)) {
        ssize_t n = send(r->fds[1], (const uint8_t *)data + done, size - done, 0);

        done += n > 0 ? (size_t)n : 0;
    }
    assert_int_equal(done, size);
}

static void put_frame(struct rig *r, uint16_t id, uint8_t type, size_t size)
{
    static const uint8_t zeroes[MUX_MAX_FRAME];
    uint8_t header[HEADER] = {0};

    store_le16(header, id);
    header[2] = type;
    store_le32(header + 4, (uint32_t)size);
    put(r, header, HEADER);
    put(r, zeroes, size);
}

static void window_full(void **state UNUSED)
{
    static uint8_t data[MUX_MAX_FRAME];
    struct rig *r = start(false, DATAGRAM_IDLE);
    int peer = connected(r->number), other = connected(r->number), i;
    uint16_t id, other_id, got;
    size_t sent = 0, size;
    unsigned type;

    expect_flow(r, peer, &id);
    expect_flow(r, other, &other_id);
    for (i = 0; i < 2000; i++) {
        tell(peer, data, 1000);
        turn(r);
    }
    /* The other's comes behind what fitted: whole datagrams, of no more than the window. */
    tell(other, data, 77);
    while (next_frame(r, &got, &type, data, &size) && got == id) {
        assert_int_equal(type, DATA);
        assert_int_equal(size, 1000);
        sent += HEADER + size;
    }
    assert_int_equal(got, other_id);
    assert_int_equal(size, 77);
    assert_in_range(sent + HEADER + 2, MUX_WINDOW - HEADER - 1000 + 1, MUX_WINDOW);
    /* What did not fit has not waited. */
    assert_false(next_frame(r, &got, &type, data, &size));
    put_frame(r, id, ACK, 4); /* of nothing */
    tell(peer, data, 1000);
    assert_false(next_frame(r, &got, &type, data, &size));
    put(r, (uint8_t[]){id & 255, id >> 8, ACK, 0, 4, 0, 0, 0, 0xf0, 3, 0, 0},
        HEADER + 4); /* 1008 */
    tell(peer, data, 1000);
    expect_frame(r, &id, DATA, 1000);
    close(peer);
    close(other);
    finish(r);
}

/* Empty ones count, too. */
static void empty_datagrams(void **state UNUSED)
{
    static uint8_t data[MUX_MAX_FRAME];
    struct rig *r = start(false, DATAGRAM_IDLE);
    int peer = connected(r->number), i;
    uint16_t id, got;
    size_t frames = 0, size;
    unsigned type;

    expect_flow(r, peer, &id);
    for (i = 0; i < 40000; i++) {
        tell(peer, data, 0);
        if (i % 16 == 15)
            turn(r);
    }
    while (next_frame(r, &got, &type, data, &size)) {
        assert_int_equal(size, 0);
        frames++;
    }
    assert_int_equal(frames, (MUX_WINDOW - HEADER - 2) / HEADER);
    close(peer);
    finish(r);
}

/*
 * Eight flows whose windows are more than all may have, then ever more flows: what waits for an inside that reads nothing
 * has a bound.
 */
static void connection_full(void **state UNUSED)
{
    static uint8_t data[MUX_MAX_FRAME];
    struct rig *r = start(false, DATAGRAM_IDLE);
    size_t size, total = 0, opens = 0;
    int early[8];
    uint16_t id;
    unsigned type, i, j;

    for (i = 0; i < ARRAY_SIZE(early); i++) {
        early[i] = connected(r->number);
        expect_flow(r, early[i], &id);
    }
    for (j = 0; j < 12; j++)
        for (i = 0; i < ARRAY_SIZE(early); i++, turn(r))
            tell(early[i], data, 20000);
    for (i = 0; i < 600; i++) {
        int peer = connected(r->number);

        for (j = 0; j < 5; j++) {
            tell(peer, data, 20000);
            turn(r);
        }
        close(peer);
    }
    while (next_frame(r, &id, &type, data, &size)) {
        total += HEADER + size;
        opens += type == OPEN;
    }
    assert_in_range(total, KIB(512), MOST_WAITING);
    assert_in_range(opens, 0, 2 * DATAGRAM_MAX_FLOWS);
    for (i = 0; i < ARRAY_SIZE(early); i++)
        close(early[i]);
    close(r->fds[1]); /* while there are flows */
    r->fds[1] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    turn_for(r, 10);
    finish(r);
}

static void cut_frame(void **state UNUSED)
{
    struct rig *r = start(false, DATAGRAM_IDLE);
    int peer = connected(r->number);
    uint8_t frame[HEADER + 5] = {0, 0, DATA, 0, 5, 0, 0, 0, 'h', 'e', 'l', 'l', 'o'}, seen[8];
    size_t cut;
    uint16_t id;

    expect_flow(r, peer, &id);
    store_le16(frame, id);
    for (cut = 1; cut < sizeof(frame); cut++) {
        put(r, frame, cut);
        assert_int_equal(take(r, peer, seen, sizeof(seen), NULL, 2), -1);
        put(r, frame + cut, sizeof(frame) - cut);
        assert_int_equal(take(r, peer, seen, sizeof(seen), NULL, WAIT), 5);
        assert_memory_equal(seen, "hello", 5);
    }
    close(peer);
    finish(r);
}

static void bad_frame_ends_its_stream(void **state UNUSED)
{
    static const struct {
        uint8_t type;
        uint32_t size;
    } bad[] = {{DATA, MUX_MAX_DATAGRAM + 1}, {DATA, MUX_MAX_FRAME}, {END, 0}, {ACK, 3}};
    static uint8_t seen[MUX_MAX_DATAGRAM + 1];
    struct rig *r = start(false, DATAGRAM_IDLE);
    int peer = connected(r->number), other = connected(r->number);
    uint16_t id, other_id;
    size_t i;

    expect_flow(r, other, &other_id);
    for (i = 0; i < ARRAY_SIZE(bad); i++) {
        expect_flow(r, peer, &id);
        put_frame(r, id, bad[i].type, bad[i].size);
        expect_frame(r, &id, CLOSE, 0);
        put_frame(r, id, DATA, 3); /* late */
        assert_int_equal(take(r, peer, seen, sizeof(seen), NULL, 5), -1);
        put_frame(r, other_id, DATA, 7);
        assert_int_equal(take(r, other, seen, sizeof(seen), NULL, WAIT), 7);
    }
    /* The largest that UDP carries is good, and the peer's own end is one, too. */
    expect_flow(r, peer, &id);
    put_frame(r, id, DATA, MUX_MAX_DATAGRAM);
    assert_int_equal(take(r, peer, seen, sizeof(seen), NULL, WAIT), MUX_MAX_DATAGRAM);
    put_frame(r, id, DATA, 100);
    assert_int_equal(take(r, peer, seen, sizeof(seen), NULL, WAIT), 100);
    expect_frame(r, &id, ACK, 4);
    put_frame(r, id, CLOSE, 0);
    expect_flow(r, peer, &id);
    close(peer);
    close(other);
    finish(r);
}

static void nonsense(void **state UNUSED)
{
    static uint8_t data[MUX_MAX_FRAME];
    struct rig *r = start(false, DATAGRAM_IDLE);
    int peer[4], new;
    unsigned seed = 1, type, i;
    uint16_t id;
    size_t size;

    for (i = 0; i < 4; i++)
        peer[i] = connected(r->number);
    for (i = 0; i < 3000; i++) {
        seed = seed * 1103515245 + 12345;
        tell(peer[i % 4], "?", 1);
        put_frame(r, (uint16_t)(i / 2 % 64 + (seed >> 8 & 3)), seed >> 16 & 7, seed >> 20 & 63);
        while (recv(r->fds[1], data, sizeof(data), 0) > 0)
            ;
        while (recv(peer[i % 4], data, sizeof(data), 0) >= 0)
            ;
    }
    while (recv(r->fds[1], data, sizeof(data), 0) > 0)
        turn(r);
    /* A new peer is served as ever. */
    new = connected(r->number);
    tell(new, "?", 1);
    assert_true(next_frame(r, &id, &type, data, &size));
    assert_int_equal(type, OPEN);
    expect_frame(r, &id, DATA, 1);
    close(new);
    for (i = 0; i < 4; i++)
        close(peer[i]);
    finish(r);
}

static void port_in_use(void **state UNUSED)
{
    struct rig *r = start(true, DATAGRAM_IDLE);
    struct datagram_port *second = NULL;
    char number[16];

    snprintf(number, sizeof(number), "port %u", r->number);
    assert_int_equal(datagram_port_create(&second, &r->loop, "127.0.0.1", r->number, 1),
                     -EADDRINUSE);
    assert_non_null(strstr(fail_text(), number));
    assert_int_equal(datagram_port_create(&second, &r->loop, "::1", r->number, 1), -EINVAL);
    assert_null(second);
    finish(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_and_peers),
        cmocka_unit_test(idle_longest_gives_way),
        cmocka_unit_test(idle_ends),
        cmocka_unit_test(nobody_listens_yet),
        cmocka_unit_test(window_full),
        cmocka_unit_test(empty_datagrams),
        cmocka_unit_test(connection_full),
        cmocka_unit_test(cut_frame),
        cmocka_unit_test(bad_frame_ends_its_stream),
        cmocka_unit_test(nonsense),
        cmocka_unit_test(port_in_use),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests_name("nested_datagram", tests, NULL, NULL);
}
