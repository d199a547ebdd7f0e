/* A listening Unix socket, one peer at a time. */
#include "devices/char/char.h"

#include "base/error.h"
#include "base/log.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

struct char_unix {
    struct char_stream stream;
    char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
    struct stat id; /* of the socket that is ours to remove */
    int listener, peer;
    uv_poll_t *poll; /* libuv frees it late, so it lives on the heap */
};

static void drop_peer(struct char_unix *u)
{
    char_stream_disconnect(&u->stream);
    if (u->peer >= 0)
        close(u->peer);
    u->peer = -1;
}

static void unix_hung_up(struct char_stream *stream)
{
    drop_peer(container_of(stream, struct char_unix, stream));
}

/* A device that takes no input does not notice that its peer left. */
static bool peer_is_gone(const struct char_unix *u)
{
    struct pollfd fd = {.fd = u->peer};

    return u->peer >= 0 && poll(&fd, 1, 0) == 1 && (fd.revents & (POLLHUP | POLLERR));
}

static void accept_peer(uv_poll_t *poll, int status UNUSED, int events UNUSED)
{
    struct char_unix *u = poll->data;
    int fd = accept4(u->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd < 0)
        return;
    if (peer_is_gone(u))
        drop_peer(u);
    if (u->peer >= 0) {
        close(fd); /* one at a time */
        return;
    }
    u->peer = fd;
    if (char_stream_connect(&u->stream, fd, fd) != 0)
        drop_peer(u);
}

static void free_handle(uv_handle_t *handle)
{
    free(handle);
}

/* Only the socket that was made here; somebody may have put another in its place. */
static void remove_socket(const struct char_unix *u)
{
    struct stat st;

    if (u->id.st_ino && lstat(u->path, &st) == 0 && st.st_ino == u->id.st_ino &&
        st.st_dev == u->id.st_dev)
        unlink(u->path);
}

static void unix_destroy(struct char_stream *stream)
{
    struct char_unix *u = container_of(stream, struct char_unix, stream);

    drop_peer(u);
    if (u->poll)
        uv_close((uv_handle_t *)u->poll, free_handle);
    remove_socket(u);
    if (u->listener >= 0)
        close(u->listener);
    free(u);
}

static const struct char_kind unix_kind = {.hung_up = unix_hung_up, .destroy = unix_destroy};

/* A socket that nobody listens on is what an earlier run left behind. */
static int remove_stale(const struct sockaddr_un *addr)
{
    struct stat st;
    int fd, err;

    if (lstat(addr->sun_path, &st) != 0)
        return 0;
    if (!S_ISSOCK(st.st_mode))
        return fail(-EEXIST, "'%s' exists and is no socket; choose another path", addr->sun_path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    err = connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) == 0 ? 0 : -errno;
    close(fd);
    if (err != -ECONNREFUSED)
        return fail(-EADDRINUSE, "socket '%s' is in use by another process; choose another path",
                    addr->sun_path);
    return unlink(addr->sun_path) == 0
               ? 0
               : fail(-errno, "cannot replace '%s': %s", addr->sun_path, strerror(errno));
}

/* bind() gives the file the mode that the socket has: it is right from the start. */
static int listen_at(struct char_unix *u)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int err;

    memcpy(addr.sun_path, u->path, sizeof(addr.sun_path));
    err = remove_stale(&addr);
    if (err)
        return err;
    u->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (u->listener < 0 || fchmod(u->listener, 0600) != 0 ||
        bind(u->listener, (struct sockaddr *)&addr, sizeof(addr)) != 0)
        return fail(-errno, "cannot make socket '%s': %s", u->path, strerror(errno));
    if (lstat(u->path, &u->id) != 0 || listen(u->listener, 1) != 0)
        return fail(-errno, "cannot listen on '%s': %s", u->path, strerror(errno));
    return 0;
}

static int watch_listener(struct char_unix *u)
{
    uv_poll_t *poll = malloc(sizeof(*poll));
    int err = poll ? uv_poll_init(&u->stream.loop->uv, poll, u->listener) : -ENOMEM;

    if (err) {
        free(poll);
        return err;
    }
    poll->data = u;
    u->poll = poll;
    return uv_poll_start(poll, UV_READABLE, accept_peer);
}

int char_unix_create(struct char_stream **stream, struct loop *loop, const char *path)
{
    struct char_unix *u = calloc(1, sizeof(*u));
    int err;

    if (!u)
        return -ENOMEM;
    if (!path[0] || strlen(path) >= sizeof(u->path)) {
        free(u);
        return fail(-EINVAL, "a socket's path has 1 to %zu bytes: '%s'", sizeof(u->path) - 1, path);
    }
    char_stream_init(&u->stream, &unix_kind, loop);
    snprintf(u->stream.name, sizeof(u->stream.name), "%s", path);
    memcpy(u->path, path, strlen(path));
    u->listener = u->peer = -1;
    err = listen_at(u);
    if (!err)
        err = watch_listener(u);
    if (err) {
        unix_destroy(&u->stream);
        return err;
    }
    *stream = &u->stream;
    return 0;
}
