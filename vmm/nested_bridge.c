#include "backend/chardev.h"
#include "vmm/nested_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUFFER KIB(64)

struct nested_bridge {
    struct chardev *chardev;
    int fd; /* the end that is not handed out */
    uv_poll_t *poll;
    uint8_t in[BUFFER], out[BUFFER]; /* from the back end, to the back end */
    size_t in_size, out_size, out_done;
    bool closed; /* the other end is */
};

static void on_poll(uv_poll_t *poll, int status, int events);

static void watch(struct nested_bridge *b)
{
    int events = (b->closed || b->out_size ? 0 : UV_READABLE) | (b->in_size ? UV_WRITABLE : 0);

    if (events)
        uv_poll_start(b->poll, events, on_poll);
    else
        uv_poll_stop(b->poll);
}

static void flush_in(struct nested_bridge *b)
{
    ssize_t n = b->in_size ? send(b->fd, b->in, b->in_size, MSG_NOSIGNAL | MSG_DONTWAIT) : 0;

    if (n < 0 && errno != EAGAIN && errno != EINTR)
        n = (ssize_t)b->in_size; /* nobody reads any more */
    if (n <= 0)
        return;
    b->in_size -= (size_t)n;
    memmove(b->in, b->in + n, b->in_size);
    b->chardev->ops->accept_input(b->chardev);
}

static void flush_out(struct nested_bridge *b)
{
    if (b->out_done < b->out_size)
        b->out_done +=
            b->chardev->ops->write(b->chardev, b->out + b->out_done, b->out_size - b->out_done);
    if (b->out_done == b->out_size)
        b->out_done = b->out_size = 0;
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct nested_bridge *b = poll->data;
    ssize_t n;

    if (status < 0 || (events & UV_READABLE)) {
        n = recv(b->fd, b->out, sizeof(b->out), MSG_DONTWAIT);
        if (n > 0)
            b->out_size = (size_t)n;
        else if (n == 0 || (errno != EAGAIN && errno != EINTR))
            b->closed = true;
        flush_out(b);
    }
    if (events & UV_WRITABLE)
        flush_in(b);
    watch(b);
}

static size_t front_can_read(void *front)
{
    return BUFFER - ((struct nested_bridge *)front)->in_size;
}

static void front_read(void *front, const uint8_t *data, size_t size)
{
    struct nested_bridge *b = front;

    memcpy(b->in + b->in_size, data, size);
    b->in_size += size;
    watch(b);
}

static void front_writable(void *front)
{
    struct nested_bridge *b = front;

    flush_out(b);
    watch(b);
}

static const struct chardev_front_ops front_ops = {
    .can_read = front_can_read,
    .read = front_read,
    .writable = front_writable,
};

static void free_poll(uv_handle_t *handle)
{
    free(handle);
}

int nested_bridge_create(struct nested_bridge **bridge, struct loop *loop, const char *spec,
                         int *fd)
{
    struct nested_bridge *b = calloc(1, sizeof(*b));
    uv_poll_t *poll = calloc(1, sizeof(*poll));
    int ends[2], err;

    if (!b || !poll || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends)) {
        free(b);
        free(poll);
        return -ENOMEM;
    }
    b->fd = ends[0];
    b->poll = poll;
    uv_poll_init(&loop->uv, poll, b->fd);
    poll->data = b;
    err = chardev_create(&b->chardev, loop, spec);
    if (err) {
        nested_bridge_destroy(b);
        close(ends[1]);
        return err;
    }
    b->chardev->front = b;
    b->chardev->front_ops = &front_ops;
    b->chardev->ops->accept_input(b->chardev);
    watch(b);
    *bridge = b;
    *fd = ends[1];
    return 0;
}

bool nested_bridge_idle(const struct nested_bridge *b)
{
    return b->closed && !b->out_size;
}

void nested_bridge_destroy(struct nested_bridge *b)
{
    if (!b)
        return;
    chardev_destroy(b->chardev);
    uv_close((uv_handle_t *)b->poll, free_poll);
    close(b->fd);
    free(b);
}
