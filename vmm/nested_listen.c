#include "base/error.h"
#include "base/log.h"
#include "vmm/nested_private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

struct nested_listener {
    int fd;
    uv_poll_t *poll; /* libuv frees it late */
    char *path;      /* to remove at the end; NULL for TCP */
    char tag[128];
    void (*accepted)(void *opaque, const char *tag, int fd, const char *peer);
    void *opaque;
};

static void describe_peer(int fd, char *text, size_t size)
{
    struct sockaddr_storage a;
    socklen_t length = sizeof(a);
    char host[INET6_ADDRSTRLEN], port[8];

    if (getpeername(fd, (struct sockaddr *)&a, &length) == 0 && a.ss_family != AF_UNIX &&
        getnameinfo((struct sockaddr *)&a, length, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV) == 0)
        snprintf(text, size, "%s:%s", host, port);
    else
        snprintf(text, size, "unix");
}

static void on_connection(uv_poll_t *poll, int status UNUSED, int events UNUSED)
{
    struct nested_listener *l = poll->data;
    int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    char peer[64];

    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE) {
            log_once(LOG_WARN, "out of file descriptors: no more connections are taken");
            uv_poll_stop(poll);
        }
        return;
    }
    describe_peer(fd, peer, sizeof(peer));
    l->accepted(l->opaque, l->tag, fd, peer);
}

static void free_poll(uv_handle_t *handle)
{
    free(handle);
}

static int listener_create(struct nested_listener **listener, struct loop *loop, int fd,
                           void (*accepted)(void *, const char *, int, const char *), void *opaque,
                           const char *tag)
{
    struct nested_listener *l = calloc(1, sizeof(*l));
    uv_poll_t *poll = calloc(1, sizeof(*poll));

    if (!l || !poll || uv_poll_init(&loop->uv, poll, fd)) {
        free(l);
        free(poll);
        close(fd);
        return -ENOMEM;
    }
    *l = (struct nested_listener){.fd = fd, .poll = poll, .accepted = accepted, .opaque = opaque};
    snprintf(l->tag, sizeof(l->tag), "%s", tag);
    poll->data = l;
    uv_poll_start(poll, UV_READABLE, on_connection);
    *listener = l;
    return 0;
}

static int bound_port(int fd)
{
    struct sockaddr_in6 a = {0};
    socklen_t length = sizeof(a);

    /* The port is at the same place for IPv4. */
    getsockname(fd, (struct sockaddr *)&a, &length);
    return ntohs(a.sin6_port);
}

int nested_listen_tcp(struct nested_listener **listener, struct loop *loop, const char *address,
                      int *port, void (*accepted)(void *, const char *, int, const char *),
                      void *opaque, const char *tag)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_NUMERICHOST | AI_PASSIVE};
    struct addrinfo *ai;
    char service[8];
    int fd, one = 1, err;

    snprintf(service, sizeof(service), "%d", *port);
    if (getaddrinfo(address, service, &hints, &ai))
        return fail(-EINVAL, "'%s' is not an IP address; use one of this host, such as 127.0.0.1",
                    address);
    fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    err = fd < 0 || bind(fd, ai->ai_addr, ai->ai_addrlen) || listen(fd, SOMAXCONN) ? -errno : 0;
    freeaddrinfo(ai);
    if (err) {
        if (fd >= 0)
            close(fd);
        return fail(err, "cannot listen on %s port %d: %s%s", address, *port, strerror(-err),
                    err == -EADDRINUSE ? "; choose another port or stop the program that has it"
                                       : "");
    }
    *port = bound_port(fd);
    return listener_create(listener, loop, fd, accepted, opaque, tag);
}

int nested_listen_unix(struct nested_listener **listener, struct loop *loop, const char *path,
                       void (*accepted)(void *, const char *, int, const char *), void *opaque,
                       const char *tag)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd, err;

    if (strlen(path) >= sizeof(a.sun_path))
        return fail(-ENAMETOOLONG, "socket '%s': the name is longer than %zu bytes", path,
                    sizeof(a.sun_path) - 1);
    strcpy(a.sun_path, path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    /* A socket that a killed program left behind is in the way; one that answers is not ours to take. */
    if (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0 && errno == ECONNREFUSED)
        unlink(path);
    err =
        fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) || listen(fd, SOMAXCONN) ? -errno : 0;
    if (!err)
        err = listener_create(listener, loop, fd, accepted, opaque, tag);
    else if (fd >= 0)
        close(fd);
    if (err)
        return fail(err, "cannot listen on socket '%s': %s", path, strerror(-err));
    (*listener)->path = strdup(path);
    return 0;
}

void nested_listener_destroy(struct nested_listener *l)
{
    if (!l)
        return;
    uv_close((uv_handle_t *)l->poll, free_poll);
    close(l->fd);
    if (l->path)
        unlink(l->path);
    free(l->path);
    free(l);
}
