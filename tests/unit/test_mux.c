/* Streams over one connection: both ways, ends, a stream that nobody reads, bytes that make no sense. */
#include "vmm/mux.h"

#include "base/bytes.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define TURNS 20000

/* Two ends in one loop; what the second is asked to open gets a socket pair, whose other end the test holds. */
struct end {
    struct mux *mux;
    uint16_t opened, ended;
    char what[64];
    int fd; /* the test's side of the stream opened by the peer */
    uint32_t code;
    uint8_t control[16];
    size_t control_size;
    bool lost, refuse;
};

struct pair {
    struct loop loop;
    int fds[2];
    struct end a, b;
};

static void split(int fd, int *rfd, int *wfd)
{
    *rfd = fd;
    *wfd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

static void on_opened(void *opaque, uint16_t id, const char *what)
{
    struct end *e = opaque;
    int ends[2], rfd, wfd;

    e->opened = id;
    snprintf(e->what, sizeof(e->what), "%s", what);
    if (e->refuse) {
        mux_close(e->mux, id);
        return;
    }
    assert_return_code(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
    e->fd = ends[0];
    split(ends[1], &rfd, &wfd);
    mux_attach(e->mux, id, rfd, wfd);
}

static void on_ended(void *opaque, uint16_t id)
{
    ((struct end *)opaque)->ended = id;
}

static void on_control(void *opaque, uint32_t code, const uint8_t *data, size_t size)
{
    struct end *e = opaque;

    e->code = code;
    e->control_size = size;
    memcpy(e->control, data, MIN(size, sizeof(e->control)));
}

static void on_lost(void *opaque)
{
    ((struct end *)opaque)->lost = true;
}

static const struct mux_ops ops = {
    .opened = on_opened, .ended = on_ended, .control = on_control, .lost = on_lost};

static int setup(void **state)
{
    struct pair *p = calloc(1, sizeof(*p));

    loop_init(&p->loop);
    assert_return_code(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, p->fds), 0);
    p->a.fd = p->b.fd = -1;
    assert_int_equal(mux_create(&p->a.mux, &p->loop, p->fds[0], &ops, &p->a), 0);
    assert_int_equal(mux_create(&p->b.mux, &p->loop, p->fds[1], &ops, &p->b), 0);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct pair *p = *state;

    mux_destroy(p->a.mux);
    mux_destroy(p->b.mux);
    loop_fini(&p->loop);
    close(p->fds[0]);
    close(p->fds[1]);
    if (p->b.fd >= 0)
        close(p->b.fd);
    free(p);
    return 0;
}

static void turn(struct pair *p)
{
    uv_run(&p->loop.uv, UV_RUN_NOWAIT);
}

/* Open a stream from a to b: the test holds one descriptor at each side. */
static int open_stream(struct pair *p, const char *what)
{
    int ends[2], rfd, wfd, i;

    assert_return_code(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
    split(ends[1], &rfd, &wfd);
    p->b.opened = 0;
    assert_true(mux_open(p->a.mux, what, rfd, wfd) > 0);
    for (i = 0; i < TURNS && !p->b.opened; i++)
        turn(p);
    assert_string_equal(p->b.what, what);
    return ends[0];
}

/* Move `size` bytes through the streams and compare them. */
static void transfer(struct pair *p, int from, int to, size_t size)
{
    size_t sent = 0, got = 0, i, turns;
    uint8_t out[4096], in[4096];

    for (turns = 0; turns < TURNS && got < size; turns++) {
        for (i = 0; i < sizeof(out); i++)
            out[i] = (uint8_t)((sent + i) * 7 + ((sent + i) >> 8));
        ssize_t n = sent < size ? write(from, out, MIN(sizeof(out), size - sent)) : 0;
        sent += n > 0 ? (size_t)n : 0;
        turn(p);
        n = read(to, in, sizeof(in));
        for (i = 0; n > 0 && i < (size_t)n; i++)
            assert_int_equal(in[i], (uint8_t)((got + i) * 7 + ((got + i) >> 8)));
        got += n > 0 ? (size_t)n : 0;
    }
    assert_int_equal(got, size);
}

static void test_both_ways(void **state)
{
    struct pair *p = *state;
    int fd = open_stream(p, "spice 10.0.0.1:99");

    transfer(p, fd, p->b.fd, 3 * MUX_WINDOW + 123);
    transfer(p, p->b.fd, fd, 2 * MUX_WINDOW + 1);
    close(fd);
}

static void test_halves_end_apart(void **state)
{
    struct pair *p = *state;
    int fd = open_stream(p, "tcp"), i;
    char byte;

    shutdown(fd, SHUT_WR);
    for (i = 0; i < TURNS && read(p->b.fd, &byte, 1) != 0; i++)
        turn(p);
    assert_int_not_equal(i, TURNS);
    assert_int_equal(p->a.ended, 0);
    transfer(p, p->b.fd, fd, 100000);
    shutdown(p->b.fd, SHUT_WR);
    for (i = 0; i < TURNS && !(p->a.ended && p->b.ended); i++)
        turn(p);
    assert_int_not_equal(i, TURNS);
    close(fd);
}

static void test_unread_stream_holds_up_no_other(void **state)
{
    struct pair *p = *state;
    int stuck = open_stream(p, "stuck"), stuck_end = p->b.fd, fd, i;
    size_t taken = 0;
    static uint8_t data[65536];

    for (i = 0; i < 500; i++) {
        ssize_t n = write(stuck, data, sizeof(data));

        taken += n > 0 ? (size_t)n : 0;
        turn(p);
    }
    /* The window, the mux's last read, and what the sockets at both ends hold. */
    assert_true(taken < MUX_WINDOW + MIB(1));
    fd = open_stream(p, "free");
    transfer(p, fd, p->b.fd, 2 * MUX_WINDOW);
    close(fd);
    close(stuck);
    close(stuck_end);
}

static void test_refused(void **state)
{
    struct pair *p = *state;
    int fd, i;
    char byte;

    p->b.refuse = true;
    fd = open_stream(p, "no");
    for (i = 0; i < TURNS && !p->a.ended; i++)
        turn(p);
    assert_int_equal(read(fd, &byte, 1), 0);
    close(fd);
}

static void test_control(void **state)
{
    struct pair *p = *state;
    int i;

    assert_int_equal(mux_control(p->a.mux, 77, "words", 6), 0);
    for (i = 0; i < TURNS && !p->b.code; i++)
        turn(p);
    assert_int_equal(p->b.code, 77);
    assert_int_equal(p->b.control_size, 6);
    assert_string_equal((char *)p->b.control, "words");
}

static void test_lost(void **state)
{
    struct pair *p = *state;
    int i;

    shutdown(p->fds[0], SHUT_RDWR);
    for (i = 0; i < TURNS && !(p->a.lost && p->b.lost); i++)
        turn(p);
    assert_true(p->a.lost && p->b.lost);
}

/* Frames of every type and size with random ids, straight into one end. */
static void test_nonsense(void **state)
{
    struct pair *p = *state;
    unsigned seed = 1, i;

    for (i = 0; i < 3000 && !p->b.lost; i++) {
        uint8_t frame[8 + 64] = {0};
        uint32_t size;

        seed = seed * 1103515245 + 12345;
        size = seed >> 8 & 63;
        store_le16(frame, (uint16_t)(seed >> 16 & 7));
        frame[2] = (uint8_t)(seed >> 20 & 7);
        store_le32(frame + 4, size);
        memset(frame + 8, (int)(seed >> 24), size);
        if (write(p->fds[0], frame, 8 + size) < 0)
            break;
        turn(p);
        if (p->b.fd >= 0)
            close(p->b.fd);
        p->b.fd = -1;
    }
    assert_int_equal(i, 3000);
    /* A size beyond the limit ends the connection. */
    store_le32(&seed, MUX_MAX_FRAME + 1);
    assert_int_equal(write(p->fds[0], "\0\0\1\0", 4), 4);
    assert_int_equal(write(p->fds[0], &seed, 4), 4);
    for (i = 0; i < TURNS && !p->b.lost; i++)
        turn(p);
    assert_true(p->b.lost);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_both_ways, setup, teardown),
        cmocka_unit_test_setup_teardown(test_halves_end_apart, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unread_stream_holds_up_no_other, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_control, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lost, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nonsense, setup, teardown),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests_name("mux", tests, NULL, NULL);
}
