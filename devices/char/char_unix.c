/* A listening Unix socket, one peer at a time. */
#include "devices/char/char.h"

#include "base/listener.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct char_unix {
    struct char_stream stream;
    struct listener *listener;
    int peer;
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

static void accept_peer(void *opaque, int fd, const char *peer UNUSED)
{
    struct char_unix *u = opaque;

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

static void unix_destroy(struct char_stream *stream)
{
    struct char_unix *u = container_of(stream, struct char_unix, stream);

    drop_peer(u);
    listener_destroy(u->listener);
    free(u);
}

static const struct char_kind unix_kind = {.hung_up = unix_hung_up, .destroy = unix_destroy};

int char_unix_create(struct char_stream **stream, struct loop *loop, const char *path)
{
    struct char_unix *u = calloc(1, sizeof(*u));
    int err;

    if (!u)
        return -ENOMEM;
    char_stream_init(&u->stream, &unix_kind, loop);
    snprintf(u->stream.name, sizeof(u->stream.name), "%s", path);
    u->peer = -1;
    err = listener_create_unix(&u->listener, loop, "character device", path, accept_peer, u);
    if (err) {
        free(u);
        return err;
    }
    *stream = &u->stream;
    return 0;
}
