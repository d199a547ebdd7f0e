/* The inside of a software host: prepares what START says, runs `minivm run` and connects its ends. */
#include "base/bytes.h"
#include "base/error.h"
#include "base/log.h"
#include "vmm/mux.h"
#include "vmm/nested.h"
#include "vmm/nested_datagram.h"
#include "vmm/relay.h"
#include "vmm/relay_lock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORDS_MAX    512
#define SERIAL_RETRY 5 /* ms between tries to reach the machine's serial port, while it starts */

/* The program as guest/host/init starts it: nothing is where its loader would look. */
static char *const program[] = {"/.minivm/ld.so", "--library-path", "/.minivm/lib",
                                "/.minivm/minivm"};

enum standard { STDIN, STDOUT, STDERR };

struct agent {
    struct loop loop;
    struct mux *mux;
    int port, relay;     /* relay: our end of the machine's RELAY_FD */
    int locks;           /* and of its RELAY_LOCK_FD */
    uv_poll_t lock_poll;
    int standard[3];     /* our ends of the machine's standard streams until a stream takes them */
    uint16_t outputs[2]; /* streams of standard output and error; 0: ended */
    uint16_t serial;
    uv_timer_t serial_retry;
    uv_signal_t child_signal;
    pid_t child;
    bool reaped, started;
    int status;
};

/* --- what the machine finds --- */

static void make_folders(const char *path)
{
    char part[PATH_MAX];
    const char *slash = path;

    while ((slash = strchr(slash + 1, '/'))) {
        snprintf(part, sizeof(part), "%.*s", (int)(slash - path), path);
        mkdir(part, 0755);
    }
    mkdir(path, 0755);
}

/* "TAG ro|rw PATH" */
static void mount_share(const char *text)
{
    char tag[32], mode[4];
    int used = 0;

    if (sscanf(text, "%31s %3s %n", tag, mode, &used) != 2 || !used)
        return;
    make_folders(text + used);
    if (mount(tag, text + used, "9p", strcmp(mode, "ro") == 0 ? MS_RDONLY : 0,
              "trans=virtio,version=9p2000.L,msize=524288,cache=none") < 0)
        log_error("software host: folder '%s': %s", text + used, strerror(errno));
}

/* A forwarded port may be on an address of the real host: have it here too. */
static void add_address(const char *address)
{
    char command[128];
    struct in_addr a;

    if (inet_pton(AF_INET, address, &a) != 1)
        return;
    snprintf(command, sizeof(command), "/.minivm/busybox ip addr add %s/32 dev lo 2>/.minivm/null",
             address);
    if (system(command) != 0)
        log_debug("address %s is there already", address);
}

/* For the program to come; a descriptor that is there already is only told to stay. */
static void place(int fd, int at)
{
    if (fd == at)
        fcntl(fd, F_SETFD, 0);
    else
        dup2(fd, at);
}

/* The sockets may have each other's places: they go to safe ones first. */
static void become_machine(int relay, int locks, const int *standard, char **words)
{
    sigset_t none;

    dup2(standard[STDIN], STDIN_FILENO);
    dup2(standard[STDOUT], STDOUT_FILENO);
    dup2(standard[STDERR], STDERR_FILENO);
    locks = fcntl(locks, F_DUPFD_CLOEXEC, RELAY_LOCK_FD + 1);
    place(relay, RELAY_FD);
    place(locks, RELAY_LOCK_FD);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    execv(words[0], words);
    _exit(RUN_FAILED);
}

static int run_machine_in_child(struct agent *agent, char **words)
{
    int relay[2], locks[2], in[2], out[2], errors[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, relay) ||
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, locks) || pipe2(in, O_CLOEXEC) ||
        pipe2(out, O_CLOEXEC) || pipe2(errors, O_CLOEXEC))
        return -errno;
    agent->relay = relay[0];
    agent->locks = locks[0];
    agent->standard[STDIN] = in[1];
    agent->standard[STDOUT] = out[0];
    agent->standard[STDERR] = errors[0];
    agent->child = fork();
    if (agent->child == 0)
        become_machine(relay[1], locks[1], (int[]){in[0], out[1], errors[1]}, words);
    close(relay[1]);
    close(locks[1]);
    close(in[0]);
    close(out[1]);
    close(errors[1]);
    return agent->child < 0 ? -errno : 0;
}

/* --- the end --- */

static void exit_if_done(struct agent *agent)
{
    uint8_t status[4];

    if (!agent->reaped || agent->standard[STDOUT] >= 0 || agent->standard[STDERR] >= 0 ||
        agent->outputs[0] || agent->outputs[1])
        return; /* what it said goes first */
    store_le32(status, (uint32_t)agent->status);
    mux_control(agent->mux, NESTED_EXIT, status, sizeof(status));
}

static void on_child(uv_signal_t *handle, int signum UNUSED)
{
    struct agent *agent = handle->data;
    int status;

    if (agent->reaped || !agent->child || waitpid(agent->child, &status, WNOHANG) != agent->child)
        return;
    agent->reaped = true;
    agent->status = WIFEXITED(status) ? WEXITSTATUS(status) : RUN_FAILED;
    if (WIFSIGNALED(status))
        log_error("software host: the machine was ended by signal %d", WTERMSIG(status));
    exit_if_done(agent);
}

static void on_ended(void *opaque, uint16_t id)
{
    struct agent *agent = opaque;
    int i;

    for (i = 0; i < 2; i++)
        if (agent->outputs[i] == id)
            agent->outputs[i] = 0;
    if (agent->serial == id)
        agent->serial = 0;
    exit_if_done(agent);
}

/* --- streams --- */

/* A viewer or somebody at --control. */
static void open_relayed(struct agent *agent, uint16_t id, const char *peer)
{
    int ends[2], err;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends)) {
        mux_close(agent->mux, id);
        return;
    }
    err = relay_send(agent->relay, ends[1], peer);
    close(ends[1]);
    if (err) {
        close(ends[0]);
        mux_close(agent->mux, id);
    } else {
        mux_attach(agent->mux, id, ends[0], fcntl(ends[0], F_DUPFD_CLOEXEC, 0));
    }
}

static int connect_to(const struct sockaddr *address, socklen_t size, int type)
{
    int fd = socket(address->sa_family, type | SOCK_CLOEXEC, 0);

    if (fd >= 0 && connect(fd, address, size) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

/* "HOST PORT", where the machine's network listens. type: SOCK_STREAM or SOCK_DGRAM */
static void open_forward(struct agent *agent, uint16_t id, const char *where, int type)
{
    const struct addrinfo hints = {.ai_socktype = type, .ai_flags = AI_NUMERICHOST};
    struct addrinfo *ai;
    char host[64], port[8];
    int fd = -1;

    if (sscanf(where, "%63s %7s", host, port) == 2 && getaddrinfo(host, port, &hints, &ai) == 0) {
        fd = connect_to(ai->ai_addr, ai->ai_addrlen, type);
        freeaddrinfo(ai);
    }
    if (fd < 0)
        mux_close(agent->mux, id);
    else if (type == SOCK_DGRAM)
        datagram_flow_attach(agent->mux, &agent->loop, id, fd);
    else
        mux_attach(agent->mux, id, fd, fcntl(fd, F_DUPFD_CLOEXEC, 0));
}

static void try_serial(uv_timer_t *timer)
{
    struct agent *agent = timer->data;
    const struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = NESTED_SERIAL};
    int fd = agent->serial && !agent->reaped
                 ? connect_to((const struct sockaddr *)&a, sizeof(a), SOCK_STREAM)
                 : -1;

    if (fd >= 0)
        mux_attach(agent->mux, agent->serial, fd, fcntl(fd, F_DUPFD_CLOEXEC, 0));
    else if (agent->serial && !agent->reaped)
        return;
    uv_timer_stop(timer);
}

/* The machine's socket of a port; it is there before anybody may come. */
static void open_port(struct agent *agent, uint16_t id, const char *number)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd;

    snprintf(a.sun_path, sizeof(a.sun_path), NESTED_ENDS "%s", number);
    fd = connect_to((const struct sockaddr *)&a, sizeof(a), SOCK_STREAM);
    if (fd < 0)
        mux_close(agent->mux, id);
    else
        mux_attach(agent->mux, id, fd, fcntl(fd, F_DUPFD_CLOEXEC, 0));
}

static void open_standard(struct agent *agent, uint16_t id, enum standard which)
{
    int fd = agent->standard[which];

    agent->standard[which] = -1;
    if (which == STDIN) {
        mux_attach(agent->mux, id, -1, fd);
    } else {
        agent->outputs[which - STDOUT] = id;
        mux_attach(agent->mux, id, fd, -1);
    }
}

static void on_opened(void *opaque, uint16_t id, const char *what)
{
    static const char *const standard[] = {"stdin", "stdout", "stderr"};
    struct agent *agent = opaque;
    int i;

    for (i = 0; i < 3; i++)
        if (strcmp(what, standard[i]) == 0 && agent->standard[i] >= 0) {
            open_standard(agent, id, i);
            return;
        }
    if (strncmp(what, "spice ", 6) == 0) {
        open_relayed(agent, id, what + 6);
    } else if (strncmp(what, "tcp ", 4) == 0) {
        open_forward(agent, id, what + 4, SOCK_STREAM);
    } else if (strncmp(what, "udp ", 4) == 0) {
        open_forward(agent, id, what + 4, SOCK_DGRAM);
    } else if (strcmp(what, RELAY_CONTROL) == 0) {
        open_relayed(agent, id, RELAY_CONTROL);
    } else if (strncmp(what, "port ", 5) == 0) {
        open_port(agent, id, what + 5);
    } else if (strcmp(what, "serial") == 0) {
        agent->serial = id;
        uv_timer_start(&agent->serial_retry, try_serial, 0, SERIAL_RETRY);
    } else {
        mux_close(agent->mux, id);
    }
}

/* --- locks --- */

static void on_lock_request(uv_poll_t *poll, int status UNUSED, int events UNUSED)
{
    struct agent *agent = poll->data;
    uint8_t request[RELAY_LOCK_SIZE];
    ssize_t n = recv(agent->locks, request, sizeof(request), MSG_DONTWAIT);

    if (n > 0)
        mux_control(agent->mux, NESTED_LOCK, request, (size_t)n);
    else if (n == 0)
        uv_poll_stop(poll);
}

static void watch_locks(struct agent *agent)
{
    agent->lock_poll.data = agent;
    if (uv_poll_init(&agent->loop.uv, &agent->lock_poll, agent->locks) == 0)
        uv_poll_start(&agent->lock_poll, UV_READABLE, on_lock_request);
}

/* --- control --- */

static void start_machine(struct agent *agent, const char *text, const char *end)
{
    static char *words[WORDS_MAX];
    size_t count = ARRAY_SIZE(program);
    int err;

    memcpy(words, program, sizeof(program));
    for (; text < end; text += strlen(text) + 1) {
        if (text[0] == 'm')
            mount_share(text + 1);
        else if (text[0] == 'a')
            add_address(text + 1);
        else if (text[0] == 'd' && chdir((make_folders(text + 1), text + 1)) < 0)
            log_error("software host: folder '%s': %s", text + 1, strerror(errno));
        else if (text[0] == 'r' && count + 1 < WORDS_MAX)
            words[count++] = (char *)text + 1;
    }
    words[count] = NULL;
    err = run_machine_in_child(agent, words);
    if (err)
        log_error("software host: the machine cannot be started: %s", strerror(-err));
    else
        mux_control(agent->mux, NESTED_RUNNING, NULL, 0);
    if (!err)
        watch_locks(agent);
    agent->started = !err;
}

static void on_control(void *opaque, uint32_t code, const uint8_t *data, size_t size)
{
    struct agent *agent = opaque;

    if (code == NESTED_START && !agent->started && size && data[size - 1] == 0)
        start_machine(agent, (const char *)data, (const char *)data + size);
    else if (code == NESTED_SIGNAL && size == 4 && agent->started && !agent->reaped)
        kill(agent->child, (int)load_le32(data));
    else if (code == NESTED_LOCKED && agent->started)
        send(agent->locks, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void on_lost(void *opaque)
{
    loop_stop(&((struct agent *)opaque)->loop);
}

int nested_agent_main(void)
{
    static const struct mux_ops ops = {
        .opened = on_opened, .ended = on_ended, .control = on_control, .lost = on_lost};
    static struct agent agent = {.relay = -1, .standard = {-1, -1, -1}};

    signal(SIGPIPE, SIG_IGN);
    agent.port = open(NESTED_PORT, O_RDWR | O_CLOEXEC);
    if (agent.port < 0) {
        log_error("'%s': %s; this command is for use inside a software host only", NESTED_PORT,
                  strerror(errno));
        return RUN_FAILED;
    }
    if (loop_init(&agent.loop) || mux_create(&agent.mux, &agent.loop, agent.port, &ops, &agent))
        return RUN_FAILED;
    uv_timer_init(&agent.loop.uv, &agent.serial_retry);
    uv_signal_init(&agent.loop.uv, &agent.child_signal);
    agent.serial_retry.data = agent.child_signal.data = &agent;
    uv_signal_start(&agent.child_signal, on_child, SIGCHLD);
    loop_run(&agent.loop);
    mux_destroy(agent.mux);
    loop_fini(&agent.loop);
    close(agent.port);
    return RUN_OK;
}
