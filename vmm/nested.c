#include "vmm/nested.h"

#include "base/bytes.h"
#include "base/error.h"
#include "base/listener.h"
#include "base/log.h"
#include "devices/disk/lock.h"
#include "vmm/mux.h"
#include "vmm/nested_datagram.h"
#include "vmm/nested_private.h"
#include "vmm/registry.h"
#include "vmm/relay.h"
#include "vmm/relay_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define START_MAX     KIB(24)
#define START_TIMEOUT 180 /* seconds until the machine inside must have been started */
#define DRAIN_TICK_MS 10
#define DRAIN_TICKS   500 /* for output that nobody takes, at the end */
#define LISTENERS_MAX (CONFIG_MAX_FORWARDS + CONFIG_MAX_PORTS + 5)

struct nested;

/* What listens outside, and what the inside is told to connect it with. */
struct ear {
    struct nested *nested;
    struct listener *listener;
    char tag[128];
};

struct nested {
    const struct vm_config *config;
    struct loop loop;
    struct nested_shares shares;
    struct disk_hold *holds[CONFIG_MAX_DISKS], *cdrom_holds[CONFIG_MAX_CDROMS], *variables_hold; /* UEFI's */
    struct nested_locks locks; /* of images that came later */
    struct ear ears[LISTENERS_MAX];
    unsigned ear_count;
    struct registry *registry; /* NULL: not in it */
    struct datagram_port *udp[CONFIG_MAX_FORWARDS];
    int spice_port, spice_tls_port, web_port; /* that are listened on */
    struct nested_host host;
    struct mux *mux;
    struct nested_bridge *bridge;
    uint16_t outputs[2]; /* streams that end on our standard output and error; 0: ended */
    uv_timer_t start_timer, drain_timer;
    bool running; /* the machine inside has been started */
    bool exited;  /* and has ended, with: */
    int status;
    unsigned drain_ticks;
    bool ended;
};

static void end(struct nested *n, int status)
{
    if (n->ended)
        return;
    n->ended = true;
    n->status = status;
    loop_stop(&n->loop);
}

/* --- what the inside says --- */

static void on_drain_tick(uv_timer_t *timer)
{
    struct nested *n = timer->data;
    bool drained =
        !n->outputs[0] && !n->outputs[1] && (!n->bridge || nested_bridge_idle(n->bridge));

    if (drained || ++n->drain_ticks > DRAIN_TICKS)
        end(n, n->status);
}

static void on_ended(void *opaque, uint16_t id)
{
    struct nested *n = opaque;
    int i;

    for (i = 0; i < 2; i++)
        if (n->outputs[i] == id)
            n->outputs[i] = 0;
}

static void serve_lock(struct nested *n, const uint8_t *data, size_t size)
{
    uint8_t answer[RELAY_LOCK_SIZE];

    mux_control(n->mux, NESTED_LOCKED, answer, nested_locks_serve(&n->locks, &n->shares, data, size, answer));
}

static void on_control(void *opaque, uint32_t code, const uint8_t *data, size_t size)
{
    struct nested *n = opaque;

    if (code == NESTED_RUNNING) {
        n->running = true;
        uv_timer_stop(&n->start_timer);
    } else if (code == NESTED_EXIT && size == 4 && !n->exited) {
        n->exited = true;
        n->status = (int)load_le32(data);
        uv_timer_start(&n->drain_timer, on_drain_tick, 0, DRAIN_TICK_MS);
    } else if (code == NESTED_LOCK) {
        serve_lock(n, data, size);
    }
}

static void on_opened(void *opaque, uint16_t id, const char *what UNUSED)
{
    mux_close(((struct nested *)opaque)->mux, id); /* the inside opens none */
}

static void on_lost(void *opaque)
{
    struct nested *n = opaque;
    char line[256];

    if (n->exited)
        return;
    nested_host_last_words(&n->host, line, sizeof(line));
    log_error("the software host ended unexpectedly%s%s", line[0] ? ": " : "", line);
    end(n, RUN_FAILED);
}

static void on_start_timeout(uv_timer_t *timer)
{
    log_error("the software host has not started in %d s; this computer may be too busy",
              START_TIMEOUT);
    end(timer->data, RUN_FAILED);
}

/* --- what the outside wants --- */

static void on_signal(uv_signal_t *handle, int signum)
{
    struct nested *n = handle->data;
    uint8_t number[4];

    if (!n->running) {
        end(n, RUN_OK);
        return;
    }
    store_le32(number, (uint32_t)signum);
    mux_control(n->mux, NESTED_SIGNAL, number, sizeof(number));
}

/* A viewer or somebody at a forwarded port. */
static void on_connection(void *opaque, int fd, const char *peer)
{
    struct ear *ear = opaque;
    char what[256];

    snprintf(what, sizeof(what), "%s%s", ear->tag, strcmp(ear->tag, "spice ") == 0 ? peer : "");
    mux_open(ear->nested->mux, what, fd, fcntl(fd, F_DUPFD_CLOEXEC, 0));
}

/* --- before it starts --- */

static int refuse(const struct vm_config *config)
{
    if (config->sasl)
        return fail(-ENOTSUP, "--spice-option sasl=on does not work in a software host, which knows none of this host's "
                              "users; use --spice-password-file");
    if (config->net == NET_TAP)
        return fail(-ENOTSUP,
                    "--net tap=%s does not work in a software host, which has no way to this "
                    "host's network "
                    "cards; use --net user",
                    config->tap);
    return 0;
}

static int take_locks(struct nested *n)
{
    const struct vm_config *c = n->config;
    unsigned i;
    int err = 0;

    for (i = 0; i < c->disk_count && !err; i++)
        err = disk_hold_create(&n->holds[i], &c->disks[i], NULL);
    for (i = 0; i < c->cdrom_count && !err; i++)
        err = c->cdroms[i].path ? disk_hold_create(&n->cdrom_holds[i], &c->cdroms[i], NULL) : 0;
    if (!err && c->uefi.present)
        err = uefi_make_store(&c->uefi);
    if (!err && c->uefi.present)
        err = disk_hold_create(&n->variables_hold,
                               &(struct disk_options){
                                   .path = c->uefi.variables, .format = "raw", .snapshot = c->snapshot}, NULL);
    return err;
}

static struct ear *PRINTF_LIKE(2, 3) new_ear(struct nested *n, const char *tag, ...)
{
    struct ear *ear = &n->ears[n->ear_count++];
    va_list args;

    ear->nested = n;
    va_start(args, tag);
    vsnprintf(ear->tag, sizeof(ear->tag), tag, args);
    va_end(args);
    return ear;
}

static int hear_tcp(struct nested *n, struct ear *ear, const char *what, const char *address, int *port)
{
    return listener_create_tcp(&ear->listener, &n->loop, what, address, port, on_connection, ear);
}

static int hear_unix(struct nested *n, struct ear *ear, const char *what, const char *path)
{
    return listener_create_unix(&ear->listener, &n->loop, what, path, on_connection, ear);
}

/* By its first bytes the server tells what a connection is: it need not know the port. */
static int listen_spice(struct nested *n)
{
    const struct vm_config *c = n->config;
    const char *address = c->spice_listen ? c->spice_listen : "127.0.0.1";
    int err = 0;

    n->spice_port = c->spice_port;
    n->spice_tls_port = c->spice_tls_port;
    n->web_port = c->web_port;
    if (c->spice_port >= 0)
        err = hear_tcp(n, new_ear(n, "spice "), "SPICE", address, &n->spice_port);
    if (!err && c->spice_tls_port >= 0)
        err = hear_tcp(n, new_ear(n, "spice "), "SPICE", address, &n->spice_tls_port);
    if (!err && c->web_port >= 0)
        err = hear_tcp(n, new_ear(n, "spice "), "--web", address, &n->web_port);
    if (!err && c->spice_unix)
        err = hear_unix(n, new_ear(n, "spice "), "SPICE", c->spice_unix);
    return err;
}

/* Without an entry the machine runs all the same. */
static void enter_registry(struct nested *n)
{
    char password[CONFIG_MAX_PASSWORD + 1];

    if (config_has_spice(n->config) &&
        (config_password(n->config, password) ||
         registry_enter(&n->registry, n->config, n->spice_port, n->spice_tls_port, password)))
        log_warn("%s", fail_text());
}

static int listen_control(struct nested *n)
{
    const char *path = n->config->control;

    return path ? hear_unix(n, new_ear(n, RELAY_CONTROL), "--control", path) : 0;
}

/* Who comes to a port's socket is led to that inside. */
static int listen_ports(struct nested *n)
{
    int err = 0;

    for (unsigned i = 0; i < n->config->port_count && !err; i++) {
        const struct config_port *port = &n->config->ports[i];

        if (port->spec && strncmp(port->spec, "unix:", 5) == 0)
            err = hear_unix(n, new_ear(n, "port %u", i), "--port", port->spec + 5);
    }
    return err;
}

static int listen_forwards(struct nested *n)
{
    unsigned i;
    int err = 0;

    for (i = 0; i < n->config->forward_count && !err; i++) {
        const struct net_forward *f = &n->config->forwards[i];
        const char *host = f->host[0] ? f->host : "127.0.0.1";
        int port = f->host_port;

        err = f->udp ? datagram_port_create(&n->udp[i], &n->loop, host, f->host_port, DATAGRAM_IDLE)
                     : hear_tcp(n, new_ear(n, "tcp %s %d", host, port), "--forward", host, &port);
    }
    return err;
}

static int start_udp(struct nested *n)
{
    unsigned i;
    int err = 0;

    for (i = 0; i < n->config->forward_count && !err; i++)
        if (n->udp[i])
            err = datagram_port_start(n->udp[i], n->mux);
    return err;
}

/* --- START --- */

struct words {
    char text[START_MAX];
    size_t size;
    bool full;
};

static void PRINTF_LIKE(2, 3) say(struct words *w, const char *fmt, ...)
{
    va_list args;
    int n;

    va_start(args, fmt);
    n = vsnprintf(w->text + w->size, sizeof(w->text) - w->size, fmt, args);
    va_end(args);
    if (n < 0 || (size_t)n >= sizeof(w->text) - w->size)
        w->full = true;
    else
        w->size += (size_t)n + 1;
}

/* The serial port goes to a back end outside, on a stream of its own; standard output carries it itself. */
static bool serial_apart(const struct vm_config *config)
{
    return strncmp(config->serial, "unix:", 5) == 0 || strcmp(config->serial, "pty") == 0;
}

static void say_arguments(struct nested *n, struct words *w, int argc, char **argv)
{
    int i;

    say(w, "r%s", argv[0]);
    say(w, "r--relayed"); /* before what it is to know of */
    for (i = 1; i < argc; i++)
        say(w, "r%s", argv[i]);
    /* The last word counts. */
    say(w, "r--accel");
    say(w, "rkvm");
    if (n->spice_port != n->config->spice_port) {
        say(w, "r--spice");
        say(w, "r%d", n->spice_port);
    }
    if (*n->config->made_password) {
        say(w, "r--spice-option");
        say(w, "rmade-password=%s", n->config->made_password);
    }
    if (n->web_port >= 0) {
        say(w, "r--web");
        say(w, "r%d", n->web_port);
    }
    if (n->spice_tls_port >= 0) {
        say(w, "r--spice-tls");
        say(w, "r%d", n->spice_tls_port);
        say(w, "r--spice-option");
        say(w, "rx509-dir=/" NESTED_TLS);
    }
    if (n->config->uefi.present) { /* the home inside is another */
        say(w, "r--uefi-vars");
        say(w, "r%s", n->config->uefi.variables);
    }
    if (serial_apart(n->config)) {
        say(w, "r--serial");
        say(w, "runix:%s", NESTED_SERIAL);
    }
}

static int send_start(struct nested *n, int argc, char **argv)
{
    static struct words w;
    char cwd[PATH_MAX];
    unsigned i;

    for (i = 0; i < n->shares.count; i++)
        say(&w, "mshare%u %s %s", i, n->shares.share[i].writable ? "rw" : "ro",
            n->shares.share[i].path);
    for (i = 0; i < n->config->forward_count; i++)
        say(&w, "a%s", n->config->forwards[i].host);
    if (getcwd(cwd, sizeof(cwd)))
        say(&w, "d%s", cwd);
    say_arguments(n, &w, argc, argv);
    if (w.full)
        return fail(-E2BIG, "the command line is too long for a software host");
    return mux_control(n->mux, NESTED_START, w.text, w.size);
}

/* --- streams --- */

/* A descriptor that can be made non-blocking without a change to the one that others have. Files keep their place. */
static int reopen(int fd)
{
    char path[32];
    struct stat st;
    int own = -1;

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (fstat(fd, &st) == 0 && (S_ISCHR(st.st_mode) || S_ISFIFO(st.st_mode)))
        own = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    return own >= 0 ? own : fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

static int open_output(struct nested *n, const char *what, int index, int fd)
{
    int id = mux_open(n->mux, what, -1, fd);

    if (id < 0)
        return id;
    n->outputs[index] = (uint16_t)id;
    return 0;
}

static int open_streams(struct nested *n)
{
    const char *serial = n->config->serial;
    bool on_stdio = strcmp(serial, "stdio") == 0;
    int fd = -1, err = 0;

    if (on_stdio || serial_apart(n->config))
        err = nested_bridge_create(&n->bridge, &n->loop, serial, &fd);
    if (!err)
        err = open_output(n, "stderr", 1, reopen(STDERR_FILENO));
    if (!err)
        err = open_output(n, "stdout", 0,
                          on_stdio ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : reopen(STDOUT_FILENO));
    if (!err && fd >= 0)
        err = on_stdio ? mux_open(n->mux, "stdin", fd, -1)
                       : mux_open(n->mux, "serial", fd, fcntl(fd, F_DUPFD_CLOEXEC, 0));
    return MIN(err, 0);
}

/* --- from start to end --- */

static int start_timer_and_signals(struct nested *n)
{
    uv_timer_init(&n->loop.uv, &n->start_timer);
    uv_timer_init(&n->loop.uv, &n->drain_timer);
    n->start_timer.data = n->drain_timer.data = n;
    uv_timer_start(&n->start_timer, on_start_timeout, START_TIMEOUT * 1000, 0);
    signal(SIGPIPE, SIG_IGN);
    return loop_catch_signals(&n->loop, on_signal, n);
}

static int start(struct nested *n, int argc, char **argv)
{
    static const struct mux_ops ops = {
        .opened = on_opened, .ended = on_ended, .control = on_control, .lost = on_lost};
    int err = refuse(n->config);

    if (!err)
        err = take_locks(n);
    if (!err)
        err = nested_shares_collect(&n->shares, n->config);
    if (!err)
        err = listen_spice(n);
    if (!err)
        enter_registry(n);
    if (!err)
        err = listen_control(n);
    if (!err)
        err = listen_forwards(n);
    if (!err)
        err = listen_ports(n);
    if (!err)
        err = nested_host_start(&n->host, n->config, &n->shares);
    if (!err)
        err = mux_create(&n->mux, &n->loop, n->host.port, &ops, n);
    if (!err)
        err = send_start(n, argc, argv);
    if (!err)
        err = open_streams(n);
    if (!err)
        err = start_udp(n);
    if (!err)
        err = start_timer_and_signals(n);
    return err;
}

static void finish(struct nested *n)
{
    unsigned i;

    while (n->ear_count)
        listener_destroy(n->ears[--n->ear_count].listener);
    for (i = 0; i < ARRAY_SIZE(n->udp); i++)
        datagram_port_destroy(n->udp[i]);
    registry_leave(n->registry);
    mux_destroy(n->mux);
    nested_bridge_destroy(n->bridge);
    nested_host_stop(&n->host);
    for (i = 0; i < ARRAY_SIZE(n->holds); i++)
        disk_hold_destroy(n->holds[i]);
    for (i = 0; i < n->config->cdrom_count; i++)
        disk_hold_destroy(n->cdrom_holds[i]);
    disk_hold_destroy(n->variables_hold);
    nested_locks_fini(&n->locks);
    loop_fini(&n->loop);
}

static const int calls[] = {
    SCMP_SYS(accept), SCMP_SYS(accept4), SCMP_SYS(getpeername), SCMP_SYS(getsockname), SCMP_SYS(getsockopt),
    SCMP_SYS(setsockopt), SCMP_SYS(shutdown), SCMP_SYS(socket), SCMP_SYS(connect), SCMP_SYS(bind), SCMP_SYS(sendto),
    SCMP_SYS(recvfrom), SCMP_SYS(sendmsg), SCMP_SYS(recvmsg), SCMP_SYS(readv), SCMP_SYS(writev), SCMP_SYS(openat2),
    SCMP_SYS(openat), SCMP_SYS(readlink), SCMP_SYS(getcwd), SCMP_SYS(unlink), SCMP_SYS(pread64), SCMP_SYS(wait4),
    SCMP_SYS(kill), SCMP_SYS(rt_sigaction), SCMP_SYS(dup), SANDBOX_END};
static const struct sandbox_ioctl ioctls[] = {SANDBOX_IOCTL(TCGETS),  SANDBOX_IOCTL(TCSETS),       SANDBOX_IOCTL(TCSETSW),
                                              SANDBOX_IOCTL(TCSETSF), SANDBOX_IOCTL(BLKGETSIZE64), {0}};
const struct sandbox_calls nested_sandbox = {
    .name = "outside of a software host",
    .calls = calls,
    .ioctls = ioctls,
    .also = {&loop_sandbox},
    .opens_files = true,
    .connects = true};

/* It has started what it starts. */
static void confine(const struct vm_config *config)
{
    if (config->no_sandbox)
        return;
    sandbox_start(NULL);
    sandbox_confine((void *)&nested_sandbox);
}

int nested_run(int argc, char **argv, const struct vm_config *config)
{
    struct nested *n = calloc(1, sizeof(*n));
    int err, status;

    if (!n || loop_init(&n->loop)) {
        free(n);
        log_error("out of memory or file descriptors");
        return RUN_FAILED;
    }
    n->config = config;
    n->host = (struct nested_host){.pid = -1, .port = -1, .console = -1, .messages = -1};
    err = start(n, argc, argv);
    if (err) {
        log_error("%s", fail_text()[0] ? fail_text() : strerror(-err));
        n->status = RUN_FAILED;
    } else {
        confine(config);
        loop_run(&n->loop);
    }
    finish(n);
    status = n->status;
    free(n);
    return status;
}
