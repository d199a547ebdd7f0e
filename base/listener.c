#include "base/listener.h"

#include "base/error.h"
#include "base/host_file.h"
#include "base/log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG          128
#define ACCEPT_PER_EVENT 16

struct listener {
    const char *what;
    listener_accepted *accepted;
    void *opaque;
    int fd, spare_fd;
    uv_poll_t poll;
    struct sockaddr_un path; /* to remove at the end; "" for TCP */
    struct stat id;          /* of the socket that is ours to remove */
};

/* --- connections --- */

static void describe_peer(int fd, char *text, size_t size)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } a = {0};
    socklen_t length = sizeof(a);
    char host[INET6_ADDRSTRLEN] = "";

    getpeername(fd, &a.any, &length);
    if (a.any.sa_family == AF_INET && inet_ntop(AF_INET, &a.v4.sin_addr, host, sizeof(host)))
        snprintf(text, size, "%s:%u", host, ntohs(a.v4.sin_port));
    else if (a.any.sa_family == AF_INET6 && inet_ntop(AF_INET6, &a.v6.sin6_addr, host, sizeof(host)))
        snprintf(text, size, "%s:%u", host, ntohs(a.v6.sin6_port));
    else
        snprintf(text, size, "unix");
}

/* Out of descriptors the connection would wait and wake us for ever: take it with the spare one and hang up. */
static void refuse_one(struct listener *l)
{
    log_once(LOG_WARN, "%s: out of file descriptors, connections are refused", l->what);
    close(l->spare_fd);
    close(accept(l->fd, NULL, NULL));
    l->spare_fd = fcntl(l->fd, F_DUPFD_CLOEXEC, 0);
}

static void accept_ready(uv_poll_t *poll, int status UNUSED, int events UNUSED)
{
    struct listener *l = poll->data;
    int i;

    for (i = 0; i < ACCEPT_PER_EVENT; i++) {
        int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        char peer[64];

        if (fd < 0 && (errno == EMFILE || errno == ENFILE))
            refuse_one(l);
        if (fd < 0)
            return;
        describe_peer(fd, peer, sizeof(peer));
        l->accepted(l->opaque, fd, peer);
    }
}

/* --- creation --- */

static struct listener *new_listener(const char *what, listener_accepted *accepted, void *opaque)
{
    struct listener *l = calloc(1, sizeof(*l));

    if (l)
        *l = (struct listener){.what = what, .accepted = accepted, .opaque = opaque, .fd = -1, .spare_fd = -1};
    return l;
}

/* The unix socket: somebody may have put another in its place. */
static void close_all(struct listener *l)
{
    struct stat st;

    if (l->id.st_ino && lstat(l->path.sun_path, &st) == 0 && st.st_ino == l->id.st_ino && st.st_dev == l->id.st_dev)
        unlink(l->path.sun_path);
    if (l->fd >= 0)
        close(l->fd);
    if (l->spare_fd >= 0)
        close(l->spare_fd);
}

static int watch(struct listener *l, struct loop *loop)
{
    int err = uv_poll_init(&loop->uv, &l->poll, l->fd);

    if (err)
        return fail(err, "%s: the socket cannot be watched: %s", l->what, uv_strerror(err));
    l->spare_fd = fcntl(l->fd, F_DUPFD_CLOEXEC, 0);
    l->poll.data = l;
    uv_poll_start(&l->poll, UV_READABLE, accept_ready);
    return 0;
}

static int finish(struct listener **listener, struct listener *l, struct loop *loop, int err)
{
    if (!err)
        err = watch(l, loop);
    if (!err) {
        *listener = l;
        return 0;
    }
    close_all(l);
    free(l);
    return err;
}

/* --- TCP --- */

static int bind_tcp(struct listener *l, const struct addrinfo *ai)
{
    int one = 1;

    l->fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (l->fd < 0)
        return -errno;
    setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    return bind(l->fd, ai->ai_addr, ai->ai_addrlen) || listen(l->fd, BACKLOG) ? -errno : 0;
}

static int bound_port(int fd)
{
    struct sockaddr_in6 a = {0};
    socklen_t size = sizeof(a);

    /* The port is at the same place for IPv4. */
    getsockname(fd, (struct sockaddr *)&a, &size);
    return ntohs(a.sin6_port);
}

static int listen_tcp(struct listener *l, const char *address, int *port)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_PASSIVE};
    struct addrinfo *ai;
    char service[8];
    int err;

    snprintf(service, sizeof(service), "%d", *port);
    if (getaddrinfo(address, service, &hints, &ai))
        return fail(-EINVAL, "%s: '%s' is not an IP address; use one of this host, such as 127.0.0.1", l->what,
                    address);
    err = bind_tcp(l, ai);
    freeaddrinfo(ai);
    if (err == -EADDRINUSE)
        return fail(err, "%s: port %d on %s is in use by another program; choose another port", l->what, *port,
                    address);
    if (err)
        return fail(err, "%s: cannot listen on %s port %d: %s", l->what, address, *port, strerror(-err));
    *port = bound_port(l->fd);
    return 0;
}

int listener_create_tcp(struct listener **listener, struct loop *loop, const char *what, const char *address,
                        int *port, listener_accepted *accepted, void *opaque)
{
    struct listener *l = new_listener(what, accepted, opaque);

    return l ? finish(listener, l, loop, listen_tcp(l, address, port)) : -ENOMEM;
}

/* --- unix --- */

/* A socket that nobody listens on is what an earlier run left behind. */
static int remove_stale(const struct listener *l)
{
    const char *path = l->path.sun_path;
    struct stat st;
    int fd, err;

    if (lstat(path, &st) != 0)
        return 0;
    if (!S_ISSOCK(st.st_mode))
        return fail(-EEXIST, "%s: '%s' exists and is no socket; choose another path", l->what, path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    err = connect(fd, (const struct sockaddr *)&l->path, sizeof(l->path)) == 0 ? 0 : -errno;
    close(fd);
    if (err != -ECONNREFUSED)
        return fail(-EADDRINUSE, "%s: socket '%s' is in use by another process; choose another path", l->what, path);
    return unlink(path) == 0 ? 0 : fail(-errno, "%s: cannot replace '%s': %s", l->what, path, strerror(errno));
}

static int listen_unix(struct listener *l, const char *path)
{
    int err;

    if (!path[0] || strlen(path) >= sizeof(l->path.sun_path))
        return fail(-ENAMETOOLONG, "%s: a socket's path has 1 to %zu bytes: '%s'", l->what,
                    sizeof(l->path.sun_path) - 1, path);
    l->path.sun_family = AF_UNIX;
    memcpy(l->path.sun_path, path, strlen(path));
    err = remove_stale(l);
    if (err)
        return err;
    l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    /* bind() gives the file the mode that the socket has: it is right from the start. */
    if (l->fd < 0 || fchmod(l->fd, 0600) || bind(l->fd, (struct sockaddr *)&l->path, sizeof(l->path)) ||
        lstat(path, &l->id) || listen(l->fd, BACKLOG))
        return fail(-errno, "%s: cannot listen on socket '%s': %s", l->what, path, strerror(errno));
    host_leave(path);
    return 0;
}

int listener_create_unix(struct listener **listener, struct loop *loop, const char *what, const char *path,
                         listener_accepted *accepted, void *opaque)
{
    struct listener *l = new_listener(what, accepted, opaque);

    return l ? finish(listener, l, loop, listen_unix(l, path)) : -ENOMEM;
}

int listener_create_fd(struct listener **listener, struct loop *loop, const char *what, int fd, listener_accepted *accepted,
                       void *opaque)
{
    struct listener *l = new_listener(what, accepted, opaque);

    if (!l) {
        close(fd);
        return -ENOMEM;
    }
    l->fd = fd;
    return finish(listener, l, loop, fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) ? -errno : 0);
}

/* --- the end --- */

static void free_listener(uv_handle_t *handle)
{
    free(handle->data);
}

void listener_destroy(struct listener *l)
{
    if (!l)
        return;
    uv_close((uv_handle_t *)&l->poll, free_listener);
    close_all(l);
}
