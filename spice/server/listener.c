/* Listening sockets: TCP and unix. */
#include "base/error.h"
#include "base/log.h"
#include "spice/server/private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG          128
#define ACCEPT_PER_EVENT 16

struct listener {
    struct spice_server *server;
    int fd, spare_fd;
    uv_poll_t poll;
    char *path; /* to remove at the end; NULL for TCP */
};

static void describe_peer(int fd, char *text, size_t size)
{
    struct sockaddr_storage a;
    socklen_t length = sizeof(a);
    char host[48], port[8];

    if (getpeername(fd, (struct sockaddr *)&a, &length) == 0 &&
        getnameinfo((struct sockaddr *)&a, length, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV) == 0 &&
        a.ss_family != AF_UNIX)
        snprintf(text, size, "%s:%s", host, port);
    else
        snprintf(text, size, "unix");
}

/* Out of descriptors the connection would wait and wake us for ever: take it with the spare one and hang up. */
static void refuse_one(struct listener *l)
{
    log_once(LOG_WARN, "spice: out of file descriptors, connections are refused");
    close(l->spare_fd);
    close(accept(l->fd, NULL, NULL));
    l->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void accept_ready(uv_poll_t *poll, int status UNUSED, int events UNUSED)
{
    struct listener *l = poll->data;

    for (int i = 0; i < ACCEPT_PER_EVENT; i++) {
        int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        char peer[64];

        if (fd < 0 && (errno == EMFILE || errno == ENFILE))
            refuse_one(l);
        if (fd < 0)
            return;
        describe_peer(fd, peer, sizeof(peer));
        spice_server_accept(l->server, fd, peer);
    }
}

static int listener_start(struct listener **listener, struct spice_server *server, int fd)
{
    struct listener *l = calloc(1, sizeof(*l));
    int err = l ? uv_poll_init(&server->loop->uv, &l->poll, fd) : -ENOMEM;

    if (err) {
        free(l);
        close(fd);
        return err;
    }
    l->server = server;
    l->fd = fd;
    l->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    l->poll.data = l;
    uv_poll_start(&l->poll, UV_READABLE, accept_ready);
    *listener = l;
    return 0;
}

static int bound_port(int fd)
{
    struct sockaddr_storage a;
    socklen_t size = sizeof(a);

    if (getsockname(fd, (struct sockaddr *)&a, &size) < 0)
        return -errno;
    return ntohs(a.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&a)->sin6_port
                                         : ((struct sockaddr_in *)&a)->sin_port);
}

static int open_tcp(const struct addrinfo *ai)
{
    int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int one = 1, err;

    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(fd, ai->ai_addr, ai->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    err = -errno;
    close(fd);
    return err;
}

int listener_create_tcp(struct listener **listener, struct spice_server *server,
                        const char *address, int *port)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_NUMERICHOST | AI_PASSIVE};
    struct addrinfo *ai;
    char service[8];
    int fd;

    snprintf(service, sizeof(service), "%d", *port);
    if (getaddrinfo(address, service, &hints, &ai))
        return fail(
            -EINVAL,
            "SPICE address '%s' is not an IP address; use one of this host, such as 127.0.0.1",
            address);
    fd = open_tcp(ai);
    freeaddrinfo(ai);
    if (fd == -EADDRINUSE)
        return fail(fd, "SPICE port %d on %s is in use by another program; choose another port",
                    *port, address);
    if (fd < 0)
        return fail(fd, "cannot listen for SPICE on %s port %d: %s", address, *port, strerror(-fd));
    *port = bound_port(fd);
    return listener_start(listener, server, fd);
}

/* A socket that nobody answers on is left over from a process that died. */
static bool is_stale(const struct sockaddr_un *a)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool stale = connect(fd, (const struct sockaddr *)a, sizeof(*a)) < 0 && errno == ECONNREFUSED;

    close(fd);
    return stale;
}

static int open_unix(const struct sockaddr_un *a)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), err;

    if (fd < 0)
        return -errno;
    if (bind(fd, (const struct sockaddr *)a, sizeof(*a)) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    err = -errno;
    close(fd);
    return err;
}

int listener_create_unix(struct listener **listener, struct spice_server *server, const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd, err;

    if (strlen(path) >= sizeof(a.sun_path))
        return fail(-ENAMETOOLONG,
                    "SPICE socket path '%s' is longer than %zu bytes; choose a shorter one", path,
                    sizeof(a.sun_path) - 1);
    strcpy(a.sun_path, path);
    fd = open_unix(&a);
    if (fd == -EADDRINUSE && is_stale(&a)) {
        unlink(path);
        fd = open_unix(&a);
    }
    if (fd < 0)
        return fail(fd, "cannot listen for SPICE on socket '%s': %s", path, strerror(-fd));
    err = listener_start(listener, server, fd);
    if (!err)
        (*listener)->path = strdup(path);
    return err;
}

static void free_listener(uv_handle_t *handle)
{
    free(handle->data);
}

void listener_destroy(struct listener *l)
{
    if (!l)
        return;
    if (l->path)
        unlink(l->path);
    free(l->path);
    uv_close((uv_handle_t *)&l->poll, free_listener);
    close(l->fd);
    close(l->spare_fd);
}
