/*
 * agent_host.c - libspice-server with nothing but a guest's agent: whoever connects to a Unix socket is the agent's
 * port, as QEMU's is behind virtio-serial. Prints "PORT n", and "agent 1" or "agent 0" as agents come and go.
 *
 * usage: agent_host SOCKET [PASSWORD]; ends at the end of its standard input
 */
#include "base/log.h"
#include "tests/reference/core.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static struct {
    struct loop loop;
    SpiceServer *server;
    SpiceCharDeviceInstance instance;
    int listener, fd; /* fd: -1, there is no agent */
    uv_poll_t listening, input;
    uv_poll_t *poll; /* of fd */
    bool full; /* the agent takes no more for now */
} host;

/* --- libspice-server's side --- */

static void watch(void);

static int write_agent(SpiceCharDeviceInstance *instance UNUSED, const uint8_t *data, int size)
{
    ssize_t n = host.fd < 0 ? size : send(host.fd, data, (size_t)size, MSG_NOSIGNAL | MSG_DONTWAIT);

    if (n < 0 && errno != EAGAIN)
        return size; /* its end shows when it is read */
    host.full = n < size;
    watch();
    return n < 0 ? 0 : (int)n;
}

static int read_agent(SpiceCharDeviceInstance *instance UNUSED, uint8_t *data, int size)
{
    ssize_t n = host.fd < 0 ? -1 : recv(host.fd, data, (size_t)size, MSG_DONTWAIT);

    return n < 0 ? 0 : (int)n;
}

static void state_changed(SpiceCharDeviceInstance *instance UNUSED, int connected UNUSED)
{
}

static SpiceCharDeviceInterface interface = {
    .base = {SPICE_INTERFACE_CHAR_DEVICE, "agent", SPICE_INTERFACE_CHAR_DEVICE_MAJOR, SPICE_INTERFACE_CHAR_DEVICE_MINOR},
    .state = state_changed,
    .write = write_agent,
    .read = read_agent,
    .flags = SPICE_CHAR_DEVICE_NOTIFY_WRITABLE,
};

/* --- the agent's --- */

static void agent_gone(void)
{
    uv_close((uv_handle_t *)host.poll, (uv_close_cb)free);
    close(host.fd);
    host.fd = -1;
    spice_server_remove_interface(&host.instance.base);
    printf("agent 0\n");
}

static void agent_ready(uv_poll_t *poll UNUSED, int status, int events)
{
    uint8_t byte;

    if (status || ((events & UV_READABLE) && recv(host.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0)) {
        agent_gone();
        return;
    }
    host.full = false;
    watch();
    spice_server_char_device_wakeup(&host.instance);
}

static void watch(void)
{
    if (host.fd >= 0)
        uv_poll_start(host.poll, UV_READABLE | (host.full ? UV_WRITABLE : 0), agent_ready);
}

static void agent_here(int fd)
{
    host.fd = fd;
    host.full = false;
    host.poll = malloc(sizeof(*host.poll));
    if (!host.poll || uv_poll_init(&host.loop.uv, host.poll, fd))
        die("cannot watch the agent");
    host.instance = (SpiceCharDeviceInstance){.base.sif = &interface.base, .subtype = "vdagent"};
    spice_server_add_interface(host.server, &host.instance.base);
    printf("agent 1\n");
    watch();
}

static void agent_came(uv_poll_t *poll UNUSED, int status UNUSED, int events UNUSED)
{
    int fd = accept(host.listener, NULL, NULL);

    if (fd < 0)
        return;
    if (host.fd < 0)
        agent_here(fd);
    else
        close(fd); /* there is one port */
}

static int listen_for_agent(const char *path)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
    unlink(path);
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, 4) < 0)
        die("%s: %s", path, strerror(errno));
    return fd;
}

static void input_ended(uv_poll_t *poll UNUSED, int status UNUSED, int events UNUSED)
{
    char byte;

    if (read(0, &byte, 1) <= 0)
        loop_stop(&host.loop);
}

int main(int argc, char **argv)
{
    int port = 10000 + getpid() % 20000;

    if (argc < 2)
        die("usage: agent_host SOCKET [PASSWORD]");
    setvbuf(stdout, NULL, _IOLBF, 0);
    host.fd = -1;
    if (loop_init(&host.loop))
        die("no loop");
    host.server = spice_server_new();
    spice_server_set_addr(host.server, "127.0.0.1", 0);
    spice_server_set_port(host.server, port);
    if (argc > 2)
        spice_server_set_ticket(host.server, argv[2], 0, 0, 0);
    else
        spice_server_set_noauth(host.server);
    if (spice_server_init(host.server, core_on_loop(&host.loop)))
        die("port %d cannot be listened on", port);
    host.listener = listen_for_agent(argv[1]);
    uv_poll_init(&host.loop.uv, &host.listening, host.listener);
    uv_poll_start(&host.listening, UV_READABLE, agent_came);
    uv_poll_init(&host.loop.uv, &host.input, 0);
    uv_poll_start(&host.input, UV_READABLE, input_ended);
    printf("PORT %d\n", port);
    loop_run(&host.loop);
    unlink(argv[1]);
    return 0;
}
