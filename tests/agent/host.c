/*
 * host.c - libspice-server whose guest has an agent: its port is a unix socket, which minivm-agentd takes for the
 * device.
 *
 *   host --socket PATH [SETTINGS]
 *
 * Prints "PORT N". Whoever connects to the socket has opened the port: that is "agent 1", its end "agent 0". The program ends with its standard input.
 */
#include "base/listener.h"
#include "base/log.h"
#include "base/rect.h"
#include "tests/reference/device.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WIDTH  640
#define HEIGHT 480

static struct host {
    struct loop loop;
    struct device_settings settings;
    struct listener *listener;
    SpiceCharDeviceInstance port;
    uv_poll_t *poll; /* NULL: the port is closed */
    int fd;
    uint8_t data[65536]; /* from the guest, that the server has not read */
    size_t begin, end;
    bool stuck; /* the guest takes no more */
} host = {.fd = -1};

static void on_poll(uv_poll_t *poll, int status, int events);

static void watch(void)
{
    int events = (host.begin == host.end ? UV_READABLE : 0) | (host.stuck ? UV_WRITABLE : 0);

    if (events)
        uv_poll_start(host.poll, events, on_poll);
    else
        uv_poll_stop(host.poll);
}

static int port_write(SpiceCharDeviceInstance *sin UNUSED, const uint8_t *data, int size)
{
    ssize_t n = host.fd < 0 ? size : write(host.fd, data, (size_t)size);

    if (n < 0 && errno != EAGAIN) { /* nobody is there: which will be read next */
        host.begin = host.end = 0;
        n = size;
    }
    host.stuck = n < size;
    if (host.fd >= 0)
        watch();
    return n < 0 ? 0 : (int)n;
}

static int port_read(SpiceCharDeviceInstance *sin UNUSED, uint8_t *data, int size)
{
    size_t n = MIN((size_t)size, host.end - host.begin);

    memcpy(data, host.data + host.begin, n);
    host.begin += n;
    if (host.fd >= 0)
        watch();
    return (int)n;
}

static void port_state(SpiceCharDeviceInstance *sin UNUSED, int connected UNUSED)
{
}

static void close_port(void)
{
    spice_server_remove_interface(&host.port.base);
    uv_close((uv_handle_t *)host.poll, (uv_close_cb)free);
    close(host.fd);
    host.poll = NULL;
    host.fd = -1;
    printf("agent 0\n");
}

static void on_poll(uv_poll_t *poll UNUSED, int status, int events)
{
    ssize_t n;

    if (status < 0) {
        close_port();
        return;
    }
    host.stuck = host.stuck && !(events & UV_WRITABLE);
    if (events & UV_READABLE) {
        n = read(host.fd, host.data, sizeof(host.data));
        if (n == 0 || (n < 0 && errno != EAGAIN)) {
            close_port();
            return;
        }
        host.begin = 0;
        host.end = (size_t)MAX(n, 0);
    }
    watch();
    spice_server_char_device_wakeup(&host.port);
}

static const SpiceCharDeviceInterface interface = {
    .base = {SPICE_INTERFACE_CHAR_DEVICE, "port", SPICE_INTERFACE_CHAR_DEVICE_MAJOR, SPICE_INTERFACE_CHAR_DEVICE_MINOR},
    .state = port_state,
    .write = port_write,
    .read = port_read,
};

/* A port has one opener. */
static void opened(void *opaque UNUSED, int fd, const char *peer UNUSED)
{
    if (host.poll) {
        close(fd);
        return;
    }
    host.fd = fd;
    host.begin = host.end = 0;
    host.stuck = false;
    host.poll = calloc(1, sizeof(*host.poll));
    uv_poll_init(&host.loop.uv, host.poll, fd);
    host.port = (SpiceCharDeviceInstance){.base = {&interface.base}, .subtype = "vdagent"};
    if (spice_server_add_interface(device_server(), &host.port.base))
        die("the server does not take the port");
    printf("agent 1\n");
    watch();
}

static void *end_with_input(void *unused UNUSED)
{
    while (getchar() != EOF)
        ;
    _Exit(0);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"socket", 1, NULL, 'k'}, DEVICE_OPTIONS, {NULL, 0, NULL, 0}};
    const char *socket = NULL;
    pthread_t input;
    int c;

    log_set_program("host");
    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOLBF, 0);
    device_settings_init(&host.settings);
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
        if (c == 'k')
            socket = optarg;
        else if (!device_option(&host.settings, c, optarg))
            die("usage: host --socket PATH " DEVICE_USAGE);
    if (!socket || loop_init(&host.loop))
        die("no socket, or no event loop");
    device_start(&host.loop, &host.settings);
    device_primary(WIDTH, HEIGHT, WIDTH * 4, SPICE_SURFACE_FMT_32_xRGB, calloc(WIDTH * HEIGHT, 4));
    if (listener_create_unix(&host.listener, &host.loop, "port", socket, opened, NULL))
        die("no socket");
    printf("PORT %d\n", host.settings.port);
    if (pthread_create(&input, NULL, end_with_input, NULL))
        die("no thread");
    loop_run(&host.loop);
}
