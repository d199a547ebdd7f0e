#include "vmm/net_process.h"

#include "base/error.h"
#include "base/fd_message.h"
#include "base/log.h"
#include "base/sandbox.h"
#include "devices/net/net_remote.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* The options by value, but for the forwards and names, which are the command line's in both processes. */
struct request {
    bool seal, of_command_line, restricted, no_ipv6;
};

struct answer {
    int32_t result; /* 0 or -errno */
    uint32_t send_offloads, receive_offloads, mtu;
    char text[512];
};

/* --- the process --- */

static const int net_calls[] = {
    SCMP_SYS(socket), SCMP_SYS(connect), SCMP_SYS(bind), SCMP_SYS(listen), SCMP_SYS(accept), SCMP_SYS(accept4),
    SCMP_SYS(getsockname), SCMP_SYS(getpeername), SCMP_SYS(getsockopt), SCMP_SYS(setsockopt), SCMP_SYS(shutdown),
    SCMP_SYS(sendto), SCMP_SYS(recvfrom), SCMP_SYS(sendmsg), SCMP_SYS(recvmsg),
    SCMP_SYS(openat), SCMP_SYS(epoll_create1), SCMP_SYS(uname), SCMP_SYS(rt_sigaction), SCMP_SYS(getppid),
    SCMP_SYS(readv), SCMP_SYS(writev), SCMP_SYS(pread64), SANDBOX_END};
static const struct sandbox_ioctl net_ioctls[] = {SANDBOX_IOCTL(FIONREAD), {0}};

/* /etc/resolv.conf, which may be a link to another place, and the folder for TFTP. */
static const char *readable[] = {"/etc", "/run", NULL, NULL};

const struct sandbox_calls net_process_sandbox = {
    .name = "net process", .calls = net_calls, .ioctls = net_ioctls, .also = {&loop_sandbox}, .reads = readable,
    .connects = true};

struct process {
    const struct vm_config *config;
    const struct jail *jail;
    struct loop loop;
    uv_poll_t poll;
    int socket;
};

static void seal(struct process *p)
{
    if (p->jail->drops_user && jail_become_user(p->jail))
        die("%s", fail_text());
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    readable[2] = p->config->net_user.tftp;
    sandbox_start(NULL);
    sandbox_confine((void *)&net_process_sandbox);
}

static int serve(struct process *p, const struct request *request, struct answer *answer, int fd)
{
    struct net_user_options options = {.restricted = request->restricted, .no_ipv6 = request->no_ipv6};
    struct net *net;
    int err;

    if (request->of_command_line) {
        options = p->config->net_user;
        options.forwards = p->config->forwards;
        options.forward_count = p->config->forward_count;
    }
    err = net_user_create(&net, &p->loop, &options);
    if (err) {
        snprintf(answer->text, sizeof(answer->text), "%s", fail_text());
        close(fd);
        return err;
    }
    answer->send_offloads = net->send_offloads;
    answer->receive_offloads = net->receive_offloads;
    answer->mtu = net->mtu;
    return net_serve(net, &p->loop, fd);
}

static void on_request(uv_poll_t *poll, int status UNUSED, int events UNUSED)
{
    struct process *p = poll->data;
    struct request request;
    struct answer answer = {0};
    int fd;
    ssize_t n = fd_receive(p->socket, &request, sizeof(request), MSG_DONTWAIT, &fd);

    if (n == 0)
        exit(0); /* the machine has gone */
    if (n != sizeof(request)) {
        if (fd >= 0)
            close(fd);
        return;
    }
    if (request.seal)
        seal(p);
    else
        answer.result = fd < 0 ? -EINVAL : serve(p, &request, &answer, fd);
    fd_send(p->socket, &answer, sizeof(answer), -1);
}

static NORETURN void run(struct process *p)
{
    static const int handled[] = {SIGINT, SIGTERM, SIGHUP, SIGTSTP};

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NAME, "net");
    for (size_t i = 0; i < ARRAY_SIZE(handled); i++)
        signal(handled[i], SIG_IGN); /* the terminal's are for the machine */
    signal(SIGPIPE, SIG_IGN);
    if (loop_init(&p->loop) || uv_poll_init(&p->loop.uv, &p->poll, p->socket))
        die("sandbox: the network's process cannot start");
    p->poll.data = p;
    uv_poll_start(&p->poll, UV_READABLE, on_request);
    loop_run(&p->loop);
    exit(0);
}

/* --- in the machine --- */

static struct {
    int socket;
    pthread_mutex_t lock; /* one request at a time */
} process = {.socket = -1, .lock = PTHREAD_MUTEX_INITIALIZER};

int net_process_start(const struct vm_config *config, const struct jail *jail)
{
    int pair[2];
    pid_t pid;

    if (config->net != NET_USER && !config->control)
        return 0;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
        return -errno;
    pid = fork();
    if (pid == 0) {
        close(pair[0]);
        run(&(struct process){.config = config, .jail = jail, .socket = pair[1]});
    }
    close(pair[1]);
    process.socket = pair[0];
    return pid < 0 ? -errno : 0;
}

static int ask(const struct request *request, struct answer *answer, int fd)
{
    int err, none;

    pthread_mutex_lock(&process.lock);
    err = fd_send(process.socket, request, sizeof(*request), fd);
    if (!err && fd_receive(process.socket, answer, sizeof(*answer), 0, &none) != sizeof(*answer))
        err = -EPIPE;
    pthread_mutex_unlock(&process.lock);
    if (err)
        return fail(err, "--net user: its process does not answer: %s", strerror(-err));
    answer->text[sizeof(answer->text) - 1] = 0;
    return answer->result ? fail(answer->result, "%s", answer->text) : 0;
}

void net_process_seal(void)
{
    struct answer answer;

    if (process.socket >= 0 && ask(&(struct request){.seal = true}, &answer, -1))
        log_warn("%s", fail_text());
}

int net_process_create(struct net **net, struct loop *loop, const struct net_user_options *options)
{
    const struct request request = {.of_command_line = options->forwards != NULL,
                                    .restricted = options->restricted,
                                    .no_ipv6 = options->no_ipv6};
    struct answer answer;
    int pair[2], err;

    if (process.socket < 0)
        return net_user_create(net, loop, options);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair))
        return fail(-errno, "--net user: %s", strerror(errno));
    err = ask(&request, &answer, pair[1]);
    close(pair[1]);
    if (err) {
        close(pair[0]);
        return err;
    }
    return net_remote_create(net, loop,
                             &(struct net){.send_offloads = answer.send_offloads,
                                           .receive_offloads = answer.receive_offloads,
                                           .mtu = answer.mtu},
                             pair[0]);
}
