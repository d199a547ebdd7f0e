#include "spice/server/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The kernel keeps at most this much that it has not sent, so that what follows can still be decided late. */
#define NOTSENT_LOWAT (128 * 1024)
/* A peer that acknowledges nothing for so long is gone. */
#define USER_TIMEOUT_MS 60000

static ssize_t socket_read(struct stream *s, void *buf, size_t size)
{
    ssize_t n;

    do
        n = recv(s->fd, buf, size, 0);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

static ssize_t socket_writev(struct stream *s, const struct iovec *iov, int count)
{
    struct msghdr msg = {.msg_iov = (struct iovec *)iov, .msg_iovlen = count};
    ssize_t n;

    do
        n = sendmsg(s->fd, &msg, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

static void socket_close(struct stream *s)
{
    close(s->fd);
    free(s);
}

static const struct stream_ops socket_ops = {.read = socket_read, .writev = socket_writev, .close = socket_close};

static void set_option(int fd, int level, int option, int value)
{
    setsockopt(fd, level, option, &value,
               sizeof(value)); /* each is a matter of speed, not of being right */
}

/* By its name, not its socket: a relay of our own may stand in between. */
static bool peer_is_local(const char *peer)
{
    return !strncmp(peer, "127.", 4) || !strncmp(peer, "::1:", 4) || !strcmp(peer, "unix");
}

struct stream *stream_create_socket(int fd, const char *peer)
{
    struct stream *s = malloc(sizeof(*s));

    if (!s || fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0) {
        free(s);
        close(fd);
        return NULL;
    }
    *s = (struct stream){
        .ops = &socket_ops, .fd = fd, .local = peer_is_local(peer), .secure = strcmp(peer, "unix") == 0};
    snprintf(s->peer, sizeof(s->peer), "%s", peer);
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set_option(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, NOTSENT_LOWAT);
    set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, USER_TIMEOUT_MS);
    set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    return s;
}

ssize_t stream_read(struct stream *s, void *buf, size_t size)
{
    size_t n = MIN(size, s->head_size);

    if (n == 0)
        return s->ops->read(s, buf, size);
    memcpy(buf, s->head, n);
    s->head_size -= n;
    memmove(s->head, s->head + n, s->head_size);
    return (ssize_t)n;
}

ssize_t stream_writev(struct stream *s, const struct iovec *iov, int count)
{
    return s->ops->writev(s, iov, count);
}

bool stream_pending(const struct stream *s)
{
    return s->head_size || (s->ops->pending && s->ops->pending(s));
}

void stream_unread(struct stream *s, const void *bytes, size_t size)
{
    memmove(s->head + size, s->head, s->head_size);
    memcpy(s->head, bytes, size);
    s->head_size += size;
}
