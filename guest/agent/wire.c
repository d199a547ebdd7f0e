#include "guest/agent/wire.h"

#include "base/error.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define READ_SIZE KIB(64)
#define KEEP_OUT  KIB(64)

struct wire {
    uv_poll_t poll;
    const struct wire_ops *ops;
    void *opaque;
    int fd; /* -1: closed, but libuv has it still */
    bool hold, full;
    uint64_t progress; /* when something went last; the loop's clock */
    struct writer out;
    size_t sent; /* of `out` */
};

static size_t waiting(const struct wire *w)
{
    return w->out.size - w->sent;
}

static void on_poll(uv_poll_t *poll, int status, int events);

static void watch(struct wire *w)
{
    int events = (w->hold ? 0 : UV_READABLE) | (waiting(w) ? UV_WRITABLE : 0);

    if (events)
        uv_poll_start(&w->poll, events, on_poll);
    else
        uv_poll_stop(&w->poll);
}

static void end(struct wire *w, int err)
{
    uv_poll_stop(&w->poll);
    w->ops->ended(w->opaque, err);
}

/* false: the wire has ended. */
static bool take(struct wire *w)
{
    uint8_t data[READ_SIZE];
    ssize_t n = read(w->fd, data, sizeof(data));
    int err;

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    if (n <= 0) {
        end(w, n < 0 ? fail(-errno, "%s", strerror(errno)) : 0);
        return false;
    }
    err = w->ops->received(w->opaque, data, (size_t)n);
    if (err && w->fd >= 0)
        end(w, err);
    return !err;
}

static void forget_sent(struct wire *w)
{
    if (!waiting(w)) {
        writer_trim(&w->out, KEEP_OUT);
        w->sent = 0;
    } else if (w->sent > w->out.size / 2) {
        memmove(w->out.data, w->out.data + w->sent, waiting(w));
        w->out.size -= w->sent;
        w->sent = 0;
    }
}

static bool give(struct wire *w)
{
    ssize_t n = waiting(w) ? write(w->fd, w->out.data + w->sent, waiting(w)) : 0;

    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        end(w, fail(-errno, "%s", strerror(errno)));
        return false;
    }
    if (n > 0) {
        w->sent += (size_t)n;
        w->progress = uv_now(w->poll.loop);
        forget_sent(w);
    }
    if (w->full && waiting(w) < WIRE_FULL / 2) {
        w->full = false;
        w->ops->drained(w->opaque);
    }
    return w->fd >= 0;
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct wire *w = poll->data;

    if (status < 0) {
        end(w, fail(status, "%s", uv_strerror(status)));
        return;
    }
    if (w->out.bad) {
        end(w, fail(-ENOBUFS, "more waits than is kept"));
        return;
    }
    if (events & UV_WRITABLE && !give(w))
        return;
    if (events & UV_READABLE && !w->hold && !take(w))
        return;
    watch(w);
}

static void free_wire(uv_handle_t *handle)
{
    struct wire *w = handle->data;

    writer_fini(&w->out);
    free(w);
}

int wire_connect(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd, err;

    if (strlen(path) >= sizeof(address.sun_path))
        return -ENAMETOOLONG;
    memcpy(address.sun_path, path, strlen(path));
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return fd < 0 ? -errno : fd;
    err = -errno;
    close(fd);
    return err;
}

struct wire *wire_open(struct loop *loop, int fd, const struct wire_ops *ops, void *opaque)
{
    struct wire *w = calloc(1, sizeof(*w));
    int err = w ? uv_poll_init(&loop->uv, &w->poll, fd) : -ENOMEM;

    if (err) {
        fail(err, "it cannot be watched: %s", uv_strerror(err));
        free(w);
        close(fd);
        return NULL;
    }
    w->poll.data = w;
    w->ops = ops;
    w->opaque = opaque;
    w->fd = fd;
    writer_init(&w->out, WIRE_MAX);
    watch(w);
    return w;
}

void wire_close(struct wire *w)
{
    if (!w)
        return;
    uv_close((uv_handle_t *)&w->poll, free_wire);
    close(w->fd);
    w->fd = -1;
}

struct writer *wire_out(struct wire *w)
{
    if (w->fd >= 0 && !waiting(w))
        w->progress = uv_now(w->poll.loop);
    return &w->out;
}

void wire_written(struct wire *w)
{
    w->full |= waiting(w) >= WIRE_FULL;
    watch(w);
}

bool wire_is_full(const struct wire *w)
{
    return w->full;
}

uint64_t wire_stalled(const struct wire *w)
{
    return waiting(w) ? uv_now(w->poll.loop) - w->progress : 0;
}

void wire_hold(struct wire *w, bool hold)
{
    w->hold = hold;
    watch(w);
}
