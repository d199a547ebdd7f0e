/*
 * minivm-agentd: the system's part of the guest agent. It owns the port to the host and the pointer's device, and hands
 * messages to the agent of whichever session is active; docs/agent.md.
 *
 * One thread. Once it is set up it has no capabilities and few system calls; it opens the port again by being its
 * owner.
 */
#include "base/error.h"
#include "base/listener.h"
#include "base/log.h"
#include "base/options.h"
#include "guest/agent/daemon.h"

#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

struct agentd {
    const char *port, *socket, *uinput;
    bool no_logind, no_sandbox;
    uid_t uid;
    struct loop loop;
    struct listener *listener;
    struct daemon daemon;
};

/* --- options --- */

static int set_port(void *config, const char *value)
{
    ((struct agentd *)config)->port = value;
    return 0;
}

static int set_socket(void *config, const char *value)
{
    ((struct agentd *)config)->socket = value;
    return 0;
}

static int set_uinput(void *config, const char *value)
{
    ((struct agentd *)config)->uinput = value;
    return 0;
}

static int set_no_logind(void *config, const char *value UNUSED)
{
    ((struct agentd *)config)->no_logind = true;
    return 0;
}

static int set_user(void *config, const char *value)
{
    const struct passwd *user = getpwnam(value);

    if (!user)
        return fail(-EINVAL, "there is no user '%s'", value);
    ((struct agentd *)config)->uid = user->pw_uid;
    return 0;
}

static int set_sandbox(void *config, const char *value)
{
    bool on;

    if (!parse_on_off(value, &on))
        return fail(-EINVAL, "'%s' is neither on nor off", value);
    ((struct agentd *)config)->no_sandbox = !on;
    return 0;
}

static int set_verbose(void *config UNUSED, const char *value UNUSED)
{
    log_set_level(LOG_INFO);
    return 0;
}

static const struct option_def options[] = {
    {"port", "PATH", "the port to the host, or a unix socket in its place (" PORT_DEVICE ")", set_port},
    {"socket", "PATH", "where sessions' agents connect, if systemd gives no socket (" LINK_SOCKET ")", set_socket},
    {"uinput", "PATH", "what makes the pointer's device (" POINTER_DEVICE ")", set_uinput},
    {"no-logind", NULL, "there is one session, that of --user", set_no_logind},
    {"user", "NAME", "whose agent is taken with --no-logind (whoever runs this)", set_user},
    {"sandbox", "on|off", "give up what is not needed, once it is set up (on)", set_sandbox},
    {"verbose", NULL, "say what happens", set_verbose},
};

static const struct option_table table = {.usage = "minivm-agentd [OPTION...]", .options = options,
                                          .count = ARRAY_SIZE(options)};

/* --- sandbox --- */

static const int calls[] = {
    /* the port, which may be a socket */
    SCMP_SYS(openat), SCMP_SYS(socket), SCMP_SYS(connect),
    /* agents, and who they are */
    SCMP_SYS(accept4), SCMP_SYS(getsockopt), SCMP_SYS(getpeername), SCMP_SYS(recvmsg), SCMP_SYS(sendmsg),
    SCMP_SYS(recvfrom), SCMP_SYS(sendto),
    /* logind's files */
    SCMP_SYS(readlink), SCMP_SYS(readlinkat), SCMP_SYS(getdents64), SCMP_SYS(access), SCMP_SYS(faccessat),
    SCMP_SYS(faccessat2), SCMP_SYS(statx), SCMP_SYS(statfs), SCMP_SYS(fstatfs), SCMP_SYS(geteuid), SCMP_SYS(getuid),
    SCMP_SYS(inotify_add_watch), SCMP_SYS(inotify_rm_watch), SCMP_SYS(writev), SCMP_SYS(kill),
    SCMP_SYS(pidfd_open), SCMP_SYS(name_to_handle_at),
    /* the end */
    SCMP_SYS(rt_sigaction), SCMP_SYS(unlink), SCMP_SYS(unlinkat), SCMP_SYS(close_range), SANDBOX_END};
static const struct sandbox_ioctl ioctls[] = {SANDBOX_IOCTL(TCGETS), {0}}; /* libsystemd's, of files that it reads */
static const struct sandbox_calls sandbox = {
    .name = "agentd", .calls = calls, .ioctls = ioctls, .also = {&loop_sandbox}, .opens_files = true};

/* --- life --- */

static int listen_for_agents(struct agentd *a)
{
    int given = sd_listen_fds(1), err;

    if (given > 1)
        return fail(-EINVAL, "systemd gives %d sockets, not one", given);
    if (given == 1)
        return listener_create_fd(&a->listener, &a->loop, "agents", SD_LISTEN_FDS_START, peers_accept,
                                  &a->daemon.peers);
    err = listener_create_unix(&a->listener, &a->loop, "agents", a->socket, peers_accept, &a->daemon.peers);
    if (!err && chmod(a->socket, 0666)) /* who is let in is looked at when somebody comes */
        err = fail(-errno, "agents: '%s' cannot be opened to users: %s", a->socket, strerror(errno));
    return err;
}

static void stop(uv_signal_t *signal, int number UNUSED)
{
    loop_stop(signal->data);
}

static int run(struct agentd *a)
{
    struct seat seat;
    struct pointer pointer;
    int err = seat_open(&seat, !a->no_logind, a->uid);

    if (err)
        return err;
    if (pointer_open(&pointer, a->uinput))
        log_warn("%s; sessions move the pointer by themselves", fail_text());
    daemon_init(&a->daemon, &a->loop, a->port, &seat, &pointer);
    err = listen_for_agents(a);
    if (!err) {
        loop_catch_signals(&a->loop, stop, &a->loop);
        sd_notify(0, "READY=1");
        if (!a->no_sandbox) {
            sandbox_start(NULL);
            sandbox_confine((void *)&sandbox);
        }
        loop_run(&a->loop);
    }
    listener_destroy(a->listener);
    daemon_fini(&a->daemon);
    loop_fini(&a->loop);
    seat_close(&seat);
    return err;
}

int main(int argc, char **argv)
{
    struct agentd a = {.port = PORT_DEVICE, .socket = LINK_SOCKET, .uinput = POINTER_DEVICE, .uid = getuid()};
    int err;

    log_set_program("minivm-agentd");
    signal(SIGPIPE, SIG_IGN);
    err = options_parse(&table, argc, argv, &a);
    if (err == OPTIONS_HELP)
        return 0;
    if (err) {
        log_error("%s", fail_text());
        return 2;
    }
    if (loop_init(&a.loop))
        die("no event loop");
    if (run(&a))
        die("%s", fail_text());
    return 0;
}
