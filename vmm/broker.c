#include "vmm/broker.h"

#include "base/error.h"
#include "base/fd_message.h"
#include "base/host_file.h"
#include "base/log.h"
#include "base/sandbox.h"
#include "vmm/broker_private.h"
#include "vmm/jail.h"
#include "vmm/net_process.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define SASL_DATABASE "/etc/sasldb2" /* unless libsasl2 is configured otherwise */
#define MAX_LEFT 16 /* files to remove at the end */

struct broker {
    const struct vm_config *config;
    pid_t machine;
    int calls, events;
    struct loop loop;
    uv_poll_t calls_poll, events_poll;
    uv_signal_t child, stop;
    struct broker_rules rules;
    struct broker_control *control;
    struct {
        char *path;
        struct stat is;
    } left[MAX_LEFT];
    unsigned left_count;
    bool sealed;
    enum run_status status;
};

/* --- what the machine asks for --- */

static int call_open(struct broker *b, const struct broker_call *c, struct broker_answer *answer UNUSED, int *fd)
{
    const char *folder = *c->a ? c->a : NULL;

    if (!broker_may_open(&b->rules, folder, c->b, c->flags)) {
        log_once(LOG_WARN, "sandbox: the machine asked for '%s', which nobody has named", c->b);
        return -EACCES;
    }
    *fd = host_open(folder, c->b, c->flags, c->mode & 0666);
    if (*fd >= 0)
        broker_opened(&b->rules, folder, c->b, c->flags, *fd);
    return MIN(*fd, 0);
}

static int call_folder(struct broker *b, const struct broker_call *c, struct broker_answer *answer, int *fd UNUSED)
{
    return broker_may_find_folder(&b->rules, c->a) ? host_folder(c->a, answer->text) : -EACCES;
}

static int call_rename(struct broker *b, const struct broker_call *c, struct broker_answer *answer UNUSED, int *fd UNUSED)
{
    return broker_may_rename(&b->rules, c->a, c->b) ? host_rename(c->a, c->b) : -EACCES;
}

static int call_unlink(struct broker *b, const struct broker_call *c, struct broker_answer *answer UNUSED, int *fd UNUSED)
{
    return broker_may_unlink(&b->rules, c->a) ? host_unlink(c->a) : -EACCES;
}

static int call_unlink_at_exit(struct broker *b, const struct broker_call *c, struct broker_answer *answer UNUSED,
                               int *fd UNUSED)
{
    if (b->sealed || b->left_count == MAX_LEFT || lstat(c->a, &b->left[b->left_count].is))
        return -EACCES;
    b->left[b->left_count++].path = strdup(c->a);
    return 0;
}

static int call_know(struct broker *b, const struct broker_call *c, struct broker_answer *answer UNUSED, int *fd UNUSED)
{
    if (b->sealed)
        return -EACCES;
    broker_rules_know(&b->rules, c->a);
    return 0;
}

static int call_listen(struct broker *b, const struct broker_call *c UNUSED, struct broker_answer *answer, int *fd UNUSED)
{
    int err = b->sealed || b->control ? -EACCES
                                      : broker_control_create(&b->control, &b->loop, b->config->control, b->events, &b->rules);

    if (err)
        snprintf(answer->text, sizeof(answer->text), "%s", fail_text());
    return err;
}

static const int broker_calls[] = {
    SCMP_SYS(recvmsg), SCMP_SYS(sendmsg), SCMP_SYS(recvfrom), SCMP_SYS(sendto), SCMP_SYS(accept4), SCMP_SYS(accept),
    SCMP_SYS(socketpair), SCMP_SYS(shutdown),
    SCMP_SYS(getpeername), SCMP_SYS(getsockopt), SCMP_SYS(openat2), SCMP_SYS(openat),
    SCMP_SYS(readlink), SCMP_SYS(getcwd), SCMP_SYS(rename), SCMP_SYS(unlink), SCMP_SYS(pread64), SCMP_SYS(wait4),
    SCMP_SYS(kill), SCMP_SYS(rt_sigaction), SCMP_SYS(readv), SCMP_SYS(writev), SANDBOX_END};

const struct sandbox_calls broker_sandbox = {
    .name = "broker", .calls = broker_calls, .also = {&loop_sandbox}, .opens_files = true};

static int call_seal(struct broker *b, const struct broker_call *c UNUSED, struct broker_answer *answer UNUSED,
                     int *fd UNUSED)
{
    b->sealed = true;
    sandbox_start(NULL);
    sandbox_confine((void *)&broker_sandbox);
    return 0;
}

static void on_call(uv_poll_t *poll, int status UNUSED, int events UNUSED)
{
    static int (*const kinds[])(struct broker *b, const struct broker_call *c, struct broker_answer *answer, int *fd) = {
        [BROKER_OPEN] = call_open,
        [BROKER_FOLDER] = call_folder,
        [BROKER_RENAME] = call_rename,
        [BROKER_UNLINK] = call_unlink,
        [BROKER_UNLINK_AT_EXIT] = call_unlink_at_exit,
        [BROKER_KNOW] = call_know,
        [BROKER_LISTEN] = call_listen,
        [BROKER_SEAL] = call_seal,
    };
    struct broker *b = poll->data;
    struct broker_call call;
    struct broker_answer answer = {.result = -EINVAL};
    int fd = -1, came;
    ssize_t n = fd_receive(b->calls, &call, sizeof(call), MSG_DONTWAIT, &came);

    if (came >= 0)
        close(came);
    if (n == 0)
        uv_poll_stop(poll); /* it ends */
    if (n <= 0)
        return;
    call.a[PATH_MAX - 1] = call.b[PATH_MAX - 1] = 0;
    if (n == sizeof(call) && call.kind < ARRAY_SIZE(kinds))
        answer.result = kinds[call.kind](b, &call, &answer, &fd);
    fd_send(b->calls, &answer, sizeof(answer), fd);
    if (fd >= 0)
        close(fd);
}

/* --- how it ends --- */

static void on_event(uv_poll_t *poll, int status UNUSED, int events UNUSED)
{
    struct broker *b = poll->data;
    struct broker_event event;
    char *name;
    int fd;
    ssize_t n = fd_receive(b->events, &event, sizeof(event), MSG_DONTWAIT, &fd);

    if (fd >= 0)
        close(fd);
    if (n == 0)
        uv_poll_stop(poll);
    if (n != sizeof(event) || event.kind != BROKER_FORBIDDEN)
        return;
    event.thread[sizeof(event.thread) - 1] = 0;
    name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, event.value);
    log_error("sandbox: the machine's thread '%s' made the system call '%s' (%d, second argument %#x), which it may not: it "
              "was ended", event.thread, name ? name : "unknown", event.value, event.second);
    free(name);
}

static void on_child(uv_signal_t *handle, int number UNUSED)
{
    struct broker *b = handle->data;
    int status;

    if (waitpid(b->machine, &status, WNOHANG) != b->machine)
        return;
    on_event(&b->events_poll, 0, 0); /* its last words */
    b->status = WIFEXITED(status) ? (enum run_status)WEXITSTATUS(status) : RUN_FAILED;
    if (WIFSIGNALED(status))
        log_error("the machine's process was ended by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    loop_stop(&b->loop);
}

/* One that is not set up yet has nothing to lose. */
static void on_signal(uv_signal_t *handle, int number)
{
    struct broker *b = handle->data;
    struct broker_event event = {.kind = BROKER_SIGNAL, .value = number};

    if (b->sealed)
        fd_send(b->events, &event, sizeof(event), -1);
    else
        kill(b->machine, SIGKILL);
}

/* The terminal's Ctrl-Z stops both. */
static void on_stop(uv_signal_t *handle, int number UNUSED)
{
    struct broker *b = handle->data;

    if (kill(b->machine, SIGSTOP))
        return;
    raise(SIGSTOP);
    kill(b->machine, SIGCONT);
}

/* --- from start to end --- */

static int start(struct broker *b)
{
    int err = loop_init(&b->loop);

    if (!err)
        err = uv_poll_init(&b->loop.uv, &b->calls_poll, b->calls);
    if (!err)
        err = uv_poll_init(&b->loop.uv, &b->events_poll, b->events);
    if (!err)
        err = uv_signal_init(&b->loop.uv, &b->child);
    if (!err)
        err = uv_signal_init(&b->loop.uv, &b->stop);
    b->calls_poll.data = b->events_poll.data = b->child.data = b->stop.data = b;
    if (!err)
        err = uv_poll_start(&b->calls_poll, UV_READABLE, on_call);
    if (!err)
        err = uv_poll_start(&b->events_poll, UV_READABLE, on_event);
    if (!err)
        err = uv_signal_start(&b->child, on_child, SIGCHLD);
    if (!err)
        err = uv_signal_start(&b->stop, on_stop, SIGTSTP);
    return err ? err : loop_catch_signals(&b->loop, on_signal, b);
}

/* Unless the machine did so, and another has put its own there. */
static void remove_left(struct broker *b)
{
    struct stat st;

    while (b->left_count) {
        char *path = b->left[--b->left_count].path;
        const struct stat *was = &b->left[b->left_count].is;

        if (path && lstat(path, &st) == 0 && st.st_ino == was->st_ino && st.st_dev == was->st_dev)
            unlink(path);
        free(path);
    }
}

static enum run_status serve(struct broker *b)
{
    int err;

    broker_rules_init(&b->rules, b->config);
    err = start(b);
    if (err)
        die("sandbox: the broker cannot start: %s", strerror(-err));
    on_child(&b->child, 0); /* it may have ended before it was watched */
    loop_run(&b->loop);
    broker_control_destroy(b->control);
    loop_fini(&b->loop);
    remove_left(b);
    broker_rules_fini(&b->rules);
    return b->status;
}

static enum run_status be_machine(const struct vm_config *config, struct jail *jail, const int sockets[2],
                                  enum run_status (*machine)(const struct vm_config *config, struct broker_link *link))
{
    struct broker_link *link;
    enum run_status status;

    jail_after_fork(jail);
    link = broker_link_create(sockets[0], sockets[1], jail);
    status = machine(config, link);
    broker_link_destroy(link);
    return status;
}

enum run_status broker_run(const struct vm_config *config,
                           enum run_status (*machine)(const struct vm_config *config, struct broker_link *link))
{
    struct broker b = {.config = config};
    struct jail jail;
    int pair[2][2];

    if (config->no_sandbox) {
        log_warn("the machine runs without a sandbox, as you wished: what breaks out of it has all of your rights");
        return machine(config, NULL);
    }
    /* A software host has no users but root. */
    if (jail_init(&jail, config->relayed ? NULL : config->sandbox_user)) {
        log_error("%s", fail_text());
        return RUN_USAGE;
    }
    if (config->sasl)
        jail_keep_root(&jail, config->sasl_database ? config->sasl_database : SASL_DATABASE);
    if (net_process_start(config, &jail))
        die("sandbox: no process for the network: %s", strerror(errno));
    jail_before_fork(&jail);
    for (unsigned i = 0; i < 2; i++)
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair[i]))
            die("sandbox: no sockets: %s", strerror(errno));
    b.machine = fork();
    if (b.machine < 0)
        die("sandbox: no process: %s", strerror(errno));
    for (unsigned i = 0; i < 2; i++)
        close(pair[i][b.machine ? 1 : 0]);
    if (!b.machine)
        return be_machine(config, &jail, (int[]){pair[0][1], pair[1][1]}, machine);
    b.calls = pair[0][0];
    b.events = pair[1][0];
    return serve(&b);
}
