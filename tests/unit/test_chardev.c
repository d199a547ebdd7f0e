#include "backend/chardev.h"
#include "devices/char/char.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include <cmocka.h>

static char dir[] = "/tmp/minivm-chardev-XXXXXX";

struct fixture {
    struct loop loop;
    struct chardev *c;
    char spec[128], path[128];
    /* the device's side */
    size_t room;
    char got[KIB(256)];
    size_t got_size;
    int connects, disconnects, writables;
    char tapped[256];
    size_t tapped_size;
};

static size_t front_can_read(void *front)
{
    return ((struct fixture *)front)->room;
}

static void front_read(void *front, const uint8_t *data, size_t size)
{
    struct fixture *f = front;

    assert_true(size <= f->room);
    memcpy(f->got + f->got_size, data, size);
    f->got_size += size;
}

static void front_connected(void *front, bool connected)
{
    struct fixture *f = front;

    *(connected ? &f->connects : &f->disconnects) += 1;
}

static void front_writable(void *front)
{
    ((struct fixture *)front)->writables++;
}

static const struct chardev_front_ops front_ops = {
    .can_read = front_can_read,
    .read = front_read,
    .connected = front_connected,
    .writable = front_writable,
};

static void tap(void *opaque, const uint8_t *data, size_t size)
{
    struct fixture *f = opaque;
    size_t n = MIN(size, sizeof(f->tapped) - f->tapped_size);

    memcpy(f->tapped + f->tapped_size, data, n);
    f->tapped_size += n;
}

static struct fixture *start(const char *format, const char *name)
{
    struct fixture *f = calloc(1, sizeof(*f));

    snprintf(f->path, sizeof(f->path), "%s/%s", dir, name);
    snprintf(f->spec, sizeof(f->spec), format, f->path);
    assert_int_equal(loop_init(&f->loop), 0);
    assert_int_equal(chardev_create(&f->c, &f->loop, f->spec), 0);
    f->room = 1000;
    f->c->front = f;
    f->c->front_ops = &front_ops;
    chardev_set_tap(f->c, tap, f);
    return f;
}

static void stop(struct fixture *f)
{
    chardev_destroy(f->c);
    loop_fini(&f->loop);
    free(f);
}

static void nothing(uv_timer_t *timer UNUSED)
{
}

/* Run the loop until the condition or for 3 s; condition is an expression. */
#define RUN_UNTIL(f, condition)                                                                    \
    do {                                                                                           \
        uv_timer_t timer_;                                                                         \
        int turns_ = 3000;                                                                         \
        uv_timer_init(&(f)->loop.uv, &timer_);                                                     \
        uv_timer_start(&timer_, nothing, 1, 1);                                                    \
        while (!(condition) && turns_--)                                                           \
            uv_run(&(f)->loop.uv, UV_RUN_ONCE);                                                    \
        uv_close((uv_handle_t *)&timer_, NULL);                                                    \
        uv_run(&(f)->loop.uv, UV_RUN_NOWAIT);                                                      \
    } while (0)

static void turn(struct fixture *f, int ms)
{
    uint64_t end = uv_hrtime() + (uint64_t)ms * 1000000;

    RUN_UNTIL(f, uv_hrtime() > end);
}

static size_t put(struct fixture *f, const char *text)
{
    return f->c->ops->write(f->c, (const uint8_t *)text, strlen(text));
}

static void bad_specs(void **state UNUSED)
{
    static const char *const specs[] = {
        "",       "tty", "unix:", "unix", "file:", "file:/nonexistent/x", "unix:/nonexistent/x",
        "stdio:", "PTY"};
    char text[200] = "unix:/tmp/";
    struct loop loop;
    struct chardev *c;
    unsigned i;

    loop_init(&loop);
    for (i = 0; i < ARRAY_SIZE(specs); i++) {
        assert_true(chardev_create(&c, &loop, specs[i]) < 0);
        assert_true(strlen(fail_text()) > 10);
    }
    memset(text + 10, 'x', 150);
    assert_int_equal(chardev_create(&c, &loop, text), -ENAMETOOLONG);
    loop_fini(&loop);
    chardev_destroy(NULL);
}

static void none(void **state UNUSED)
{
    struct fixture *f = start("none", "");

    assert_int_equal(put(f, "to nobody"), 9);
    assert_int_equal(f->tapped_size, 9);
    assert_string_equal(chardev_name(f->c), "");
    f->c->ops->accept_input(f->c);
    stop(f);
}

static void file(void **state UNUSED)
{
    struct fixture *f = start("file:%s", "log");
    char text[64] = "";
    int fd;

    put(f, "one ");
    chardev_set_tap(f->c, NULL, NULL);
    put(f, "two");
    turn(f, 1);
    fd = open(f->path, O_RDONLY);
    assert_int_equal(read(fd, text, sizeof(text)), 7);
    close(fd);
    assert_string_equal(text, "one two");
    assert_memory_equal(f->tapped, "one ", 4);
    assert_int_equal(f->tapped_size, 4);
    unlink(f->path);
    stop(f);
}

/* A short write is one that somebody goes on with: here nothing waits, so nobody would say when. */
static void much_at_once(void **state UNUSED)
{
    static const uint8_t much[3 * CHAR_OUTPUT_MAX + 1];
    struct fixture *f = start("file:%s", "much");
    struct stat st;

    assert_int_equal(f->c->ops->write(f->c, much, sizeof(much)), sizeof(much));
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_size, sizeof(much));
    unlink(f->path);
    stop(f);
}

/* --- unix --- */

static int dial(const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
    if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
        return fd;
    close(fd);
    return -1;
}

static void unix_two_ways(void **state UNUSED)
{
    struct fixture *f = start("unix:%s", "sock");
    char text[64] = "";
    struct stat st;
    int peer, other, i;

    assert_string_equal(chardev_name(f->c), f->path);
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(put(f, "lost"), 4);
    assert_int_equal(f->tapped_size, 4);
    for (i = 1; i <= 3; i++) { /* peers come and go */
        f->got_size = 0;
        peer = dial(f->path);
        assert_int_equal(write(peer, "hello", 5), 5);
        RUN_UNTIL(f, f->got_size == 5);
        assert_int_equal(f->connects, i);
        assert_memory_equal(f->got, "hello", 5);
        assert_int_equal(put(f, "welcome"), 7);
        assert_int_equal(read(peer, text, sizeof(text)), 7);
        assert_memory_equal(text, "welcome", 7);
        other = dial(f->path);
        assert_true(other >= 0);
        turn(f, 5);
        assert_int_equal(read(other, text, 1), 0); /* shown the door */
        close(other);
        close(peer);
        RUN_UNTIL(f, f->disconnects == i);
        assert_int_equal(f->disconnects, i);
    }
    stop(f);
}

static void unix_socket_file(void **state UNUSED)
{
    struct fixture *f = start("unix:%s", "sock");
    struct chardev *second;
    char path[128], moved[140];
    int fd;

    strcpy(path, f->path);
    assert_int_equal(chardev_create(&second, &f->loop, f->spec), -EADDRINUSE);
    assert_non_null(strstr(fail_text(), "in use"));
    stop(f);
    assert_int_equal(access(path, F_OK), -1); /* removed */

    /* Left behind by a run that was killed: taken over. */
    f = start("unix:%s", "sock");
    snprintf(moved, sizeof(moved), "%s.old", path);
    assert_int_equal(rename(path, moved), 0);
    stop(f);
    assert_int_equal(rename(moved, path), 0);
    f = start("unix:%s", "sock");
    fd = dial(path);
    assert_true(fd >= 0);
    close(fd);

    /* Not ours any more: left alone. */
    assert_int_equal(unlink(path), 0);
    close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    stop(f);
    assert_int_equal(access(path, F_OK), 0);

    /* Never over a plain file. */
    f = calloc(1, sizeof(*f));
    loop_init(&f->loop);
    snprintf(f->spec, sizeof(f->spec), "unix:%s", path);
    assert_int_equal(chardev_create(&second, &f->loop, f->spec), -EEXIST);
    loop_fini(&f->loop);
    free(f);
    unlink(path);
}

static void slow_peer(void **state UNUSED)
{
    struct fixture *f = start("unix:%s", "sock");
    int peer = dial(f->path);
    uint8_t chunk[1000], back[1000];
    size_t sent = 0, received = 0, taken;
    unsigned i;

    RUN_UNTIL(f, f->connects);
    do {
        for (i = 0; i < sizeof(chunk); i++)
            chunk[i] = (uint8_t)((sent + i) % 251);
        taken = f->c->ops->write(f->c, chunk, sizeof(chunk));
        sent += taken;
    } while (taken == sizeof(chunk) && sent < MIB(8));
    assert_true(sent < MIB(8)); /* what waits is bounded */
    turn(f, 5);
    assert_int_equal(f->writables, 0);
    while (received < sent) {
        ssize_t n = read(peer, back, sizeof(back));

        if (n < 0)
            turn(f, 1);
        for (i = 0; n > 0 && i < (unsigned)n; i++)
            assert_int_equal(back[i], (received + i) % 251);
        received += n > 0 ? (size_t)n : 0;
    }
    assert_int_equal(f->writables, 1);

    /* One that dies with much unread: the device is freed. */
    while (f->c->ops->write(f->c, chunk, sizeof(chunk)) == sizeof(chunk))
        ;
    close(peer);
    RUN_UNTIL(f, f->writables == 2);
    assert_int_equal(f->writables, 2);
    assert_int_equal(f->c->ops->write(f->c, chunk, sizeof(chunk)), sizeof(chunk));
    stop(f);
}

static void busy_device(void **state UNUSED)
{
    struct fixture *f = start("unix:%s", "sock");
    int peer = dial(f->path), next;

    f->room = 0;
    assert_int_equal(write(peer, "0123456789", 10), 10);
    turn(f, 10);
    assert_int_equal(f->got_size, 0);
    f->room = 3;
    turn(f, 5);
    assert_int_equal(f->got_size, 0);
    f->c->ops->accept_input(f->c);
    RUN_UNTIL(f, f->got_size == 10);
    assert_memory_equal(f->got, "0123456789", 10);

    /* Nobody reads, and the peer leaves: that is seen at once. */
    f->room = 0;
    assert_int_equal(write(peer, "y", 1), 1);
    turn(f, 5);
    f->room = 1;
    f->c->ops->accept_input(f->c);
    RUN_UNTIL(f, f->got_size == 11);
    f->room = 0;
    shutdown(peer, SHUT_WR);
    RUN_UNTIL(f, f->disconnects == 1);
    assert_int_equal(f->disconnects, 1);
    close(peer);
    peer = dial(f->path);
    RUN_UNTIL(f, f->connects == 2);

    /* The same with bytes that nobody has read: they stay for a reader until the next peer comes. */
    f->room = 0;
    assert_int_equal(write(peer, "x", 1), 1);
    turn(f, 5);
    close(peer);
    next = dial(f->path);
    RUN_UNTIL(f, f->connects == 3);
    assert_int_equal(f->connects, 3);
    close(next);
    stop(f);
}

/* --- pty --- */

static void pty(void **state UNUSED)
{
    struct fixture *f = start("pty", "");
    char text[64];
    int slave, i;

    assert_int_equal(strncmp(chardev_name(f->c), "/dev/pts/", 9), 0);
    turn(f, 5);
    assert_int_equal(put(f, "lost"), 4);
    for (i = 1; i <= 2; i++) {
        f->got_size = 0;
        slave = open(chardev_name(f->c), O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
        assert_true(slave >= 0);
        RUN_UNTIL(f, f->connects == i);
        assert_int_equal(f->connects, i);
        assert_int_equal(write(slave, "a\r\x03z\n", 5), 5); /* raw: nothing is changed */
        RUN_UNTIL(f, f->got_size == 5);
        assert_memory_equal(f->got, "a\r\x03z\n", 5);
        assert_int_equal(put(f, "x\ny"), 3);
        assert_int_equal(read(slave, text, sizeof(text)), 3);
        assert_memory_equal(text, "x\ny", 3);
        close(slave);
        RUN_UNTIL(f, f->disconnects == i);
        assert_int_equal(f->disconnects, i);
        assert_int_equal(put(f, "lost again"), 10);
    }
    stop(f);
}

/* --- stdio, in a process of its own --- */

static void interrupted(uv_signal_t *signal UNUSED, int number UNUSED)
{
    exit(7); /* atexit gives the terminal back */
}

/* Echoes input to output between [ and ]; ends with 5 after a 'q', 7 on SIGINT. */
static void echo_child(int in, int out)
{
    struct fixture *f = calloc(1, sizeof(*f));
    uv_signal_t signal;
    size_t done = 0;

    dup2(in, STDIN_FILENO);
    dup2(out, STDOUT_FILENO);
    loop_init(&f->loop);
    if (chardev_create(&f->c, &f->loop, "stdio") != 0)
        _exit(9);
    uv_signal_init(&f->loop.uv, &signal);
    uv_signal_start(&signal, interrupted, SIGINT);
    f->room = 100;
    f->c->front = f;
    f->c->front_ops = &front_ops;
    put(f, "ready");
    for (;;) {
        uv_run(&f->loop.uv, UV_RUN_ONCE);
        if (f->got_size == done)
            continue;
        put(f, "[");
        f->c->ops->write(f->c, (uint8_t *)f->got + done, f->got_size - done);
        put(f, "]");
        if (memchr(f->got + done, 'q', f->got_size - done))
            break;
        done = f->got_size;
    }
    chardev_destroy(f->c);
    _exit(5);
}

static pid_t spawn_echo(int in, int out)
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0)
        echo_child(in, out);
    return pid;
}

static void expect(int fd, const char *wanted)
{
    char text[256] = "";
    size_t n = 0;
    struct pollfd p = {fd, POLLIN, 0};

    while (!strstr(text, wanted) && poll(&p, 1, 3000) == 1) {
        ssize_t got = read(fd, text + n, sizeof(text) - 1 - n);

        if (got <= 0)
            break;
        n += (size_t)got;
    }
    if (!strstr(text, wanted))
        fail_msg("wanted \"%s\", got \"%s\"", wanted, text);
}

static int ended(pid_t pid)
{
    int status;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void stdio_pipes(void **state UNUSED)
{
    int to[2], from[2], plain;
    pid_t pid;

    assert_int_equal(pipe2(to, O_CLOEXEC), 0);
    assert_int_equal(pipe2(from, O_CLOEXEC), 0);
    pid = spawn_echo(to[0], from[1]);
    expect(from[0], "ready");
    assert_int_equal(write(to[1], "ab\x1d\x1d", 4), 4); /* no terminal: no escapes */
    expect(from[0], "[ab\x1d\x1d]");
    assert_false(fcntl(to[0], F_GETFL) & O_NONBLOCK); /* ours to share, not to change */
    assert_false(fcntl(from[1], F_GETFL) & O_NONBLOCK);
    assert_int_equal(write(to[1], "q", 1), 1);
    expect(from[0], "[q]");
    assert_int_equal(ended(pid), 5 << 8);

    /* Input from a plain file, which epoll refuses, and from nowhere. */
    plain = open(dir, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
    assert_int_equal(pwrite(plain, "from a file, q", 14, 0), 14);
    pid = spawn_echo(plain, from[1]);
    expect(from[0], "[from a file, q]");
    assert_int_equal(ended(pid), 5 << 8);
    close(plain);
    plain = open("/dev/null", O_RDWR | O_CLOEXEC);
    pid = spawn_echo(plain, from[1]);
    expect(from[0], "ready");
    usleep(100000);
    kill(pid, SIGINT);
    assert_int_equal(ended(pid), 7 << 8);
    close(plain);
    close(to[0]);
    close(to[1]);
    close(from[0]);
    close(from[1]);
}

static int open_terminal(int *slave)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);

    assert_true(master >= 0);
    assert_int_equal(grantpt(master) | unlockpt(master), 0);
    *slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
    return master;
}

static bool is_raw(int terminal)
{
    struct termios mode;

    tcgetattr(terminal, &mode);
    return !(mode.c_lflag & (ICANON | ECHO | ISIG));
}

static void stdio_terminal(void **state UNUSED)
{
    int slave, master = open_terminal(&slave);
    pid_t pid = spawn_echo(slave, slave);

    expect(master, "ready");
    assert_true(is_raw(slave));
    assert_int_equal(write(master, "\x03\r", 2), 2); /* Ctrl-C is the guest's */
    expect(master, "[\x03\r]");
    assert_int_equal(write(master, "\x1d", 1), 1);
    expect(master, "[\x1d]");
    assert_int_equal(write(master, "x\x1d", 2), 2);
    expect(master, "[x\x1d]");
    assert_int_equal(write(master, "\x1d", 1), 1);
    assert_int_equal(ended(pid), 7 << 8);
    assert_false(is_raw(slave));

    pid = spawn_echo(slave, slave);
    expect(master, "ready");
    assert_true(is_raw(slave));
    kill(pid, SIGTERM); /* nobody handles it there */
    assert_int_equal(ended(pid), SIGTERM);
    assert_false(is_raw(slave));

    pid = spawn_echo(slave, slave);
    expect(master, "ready");
    assert_int_equal(write(master, "q", 1), 1);
    expect(master, "[q]");
    assert_int_equal(ended(pid), 5 << 8); /* chardev_destroy restores */
    assert_false(is_raw(slave));
    close(master);
    close(slave);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_specs),
        cmocka_unit_test(none),
        cmocka_unit_test(file),
        cmocka_unit_test(much_at_once),
        cmocka_unit_test(unix_two_ways),
        cmocka_unit_test(unix_socket_file),
        cmocka_unit_test(slow_peer),
        cmocka_unit_test(busy_device),
        cmocka_unit_test(pty),
        cmocka_unit_test(stdio_pipes),
        cmocka_unit_test(stdio_terminal),
    };
    int failed;

    if (!mkdtemp(dir))
        return 1;
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(dir);
    return failed;
}
