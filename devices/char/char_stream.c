#include "devices/char/char.h"

#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define INPUT_CHUNK 4096

static struct char_stream *stream_of(struct chardev *c)
{
    return container_of(c, struct char_stream, base);
}

/* --- what the loop watches --- */

static void polled(uv_poll_t *poll, int status, int events);

static void set_poll(uv_poll_t *poll, int events)
{
    if (poll && events)
        uv_poll_start(poll, events, polled);
    else if (poll)
        uv_poll_stop(poll);
}

static void read_always_ready(uv_timer_t *timer);

static void update_polls(struct char_stream *s)
{
    int in = s->in_fd < 0 ? 0 : !s->paused ? UV_READABLE : s->half_gone ? 0 : UV_DISCONNECT;
    int out = s->output_size ? UV_WRITABLE : 0;

    if (s->in_poll == s->out_poll) {
        set_poll(s->in_poll, in | out);
    } else {
        set_poll(s->in_poll, in);
        set_poll(s->out_poll, out);
    }
    if (s->in_timer && (in & UV_READABLE))
        uv_timer_start(s->in_timer, read_always_ready, 0, 0);
    else if (s->in_timer)
        uv_timer_stop(s->in_timer);
}

static void hang_up(struct char_stream *s)
{
    s->output_size = 0;
    char_stream_disconnect(s);
    s->kind->hung_up(s);
}

/* --- output --- */

static ssize_t write_out(int fd, const uint8_t *data, size_t size)
{
    ssize_t n = send(fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);

    return n < 0 && errno == ENOTSOCK ? write(fd, data, size) : n;
}

/* Write what the peer takes; false if it has gone. */
static bool flush(struct char_stream *s)
{
    size_t done = 0;
    ssize_t n = 0;

    while (done < s->output_size &&
           (n = write_out(s->out_fd, s->output + done, s->output_size - done)) > 0)
        done += (size_t)n;
    s->output_size -= done;
    memmove(s->output, s->output + done, s->output_size);
    return n >= 0 || errno == EAGAIN || errno == EINTR;
}

static void lose_output(struct char_stream *s)
{
    if (errno != EPIPE && errno != ECONNRESET) /* a peer may leave */
        log_once(LOG_WARN, "character device %s: output is lost: %s", s->name, strerror(errno));
    hang_up(s);
}

/* As much as the output holds; whether the peer has not gone. */
static bool put(struct char_stream *s, const uint8_t *data, size_t size, size_t *taken)
{
    size_t n = MIN(size - *taken, CHAR_OUTPUT_MAX - s->output_size);

    if (s->tap && n)
        s->tap(s->tap_opaque, data + *taken, n);
    memcpy(s->output + s->output_size, data + *taken, n);
    s->output_size += n;
    *taken += n;
    return flush(s);
}

/* A write is short only if something waits for the peer: else nobody would say when there is room again. */
static size_t stream_write(struct chardev *c, const uint8_t *data, size_t size)
{
    struct char_stream *s = stream_of(c);
    size_t taken = 0;
    bool there;

    if (s->out_fd < 0) {
        if (s->tap && size)
            s->tap(s->tap_opaque, data, size);
        return size;
    }
    do
        there = put(s, data, size, &taken);
    while (there && taken < size && !s->output_size);
    s->blocked = taken < size;
    if (there)
        update_polls(s);
    else
        lose_output(s);
    return taken;
}

static void tell_writable(struct char_stream *s)
{
    if (!s->blocked)
        return;
    s->blocked = false;
    if (s->base.front_ops && s->base.front_ops->writable)
        s->base.front_ops->writable(s->base.front);
}

/* --- input --- */

static void read_some(struct char_stream *s)
{
    const struct chardev_front_ops *front = s->base.front_ops;
    uint8_t data[INPUT_CHUNK];
    size_t room = front ? front->can_read(s->base.front) : 0;
    ssize_t n;

    if (!room) {
        s->paused = true; /* until accept_input */
        update_polls(s);
        return;
    }
    n = read(s->in_fd, data, MIN(room, sizeof(data)));
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        hang_up(s);
        return;
    }
    if (s->kind->filter)
        n = (ssize_t)s->kind->filter(s, data, (size_t)n);
    if (n > 0)
        front->read(s->base.front, data, (size_t)n);
}

static void read_always_ready(uv_timer_t *timer)
{
    struct char_stream *s = timer->data;

    read_some(s);
    update_polls(s);
}

/* The peer of a device that takes no input has left. What it sent before that is still to come. */
static void peer_left(struct char_stream *s)
{
    uint8_t byte;

    if (recv(s->in_fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0) {
        hang_up(s);
    } else {
        s->half_gone = true;
        update_polls(s);
    }
}

static void polled(uv_poll_t *poll, int status, int events)
{
    struct char_stream *s = poll->data;

    if (status < 0)
        events = poll == s->out_poll ? UV_WRITABLE : UV_READABLE;
    if ((events & UV_WRITABLE) && poll == s->out_poll) {
        if (!flush(s)) {
            lose_output(s);
            return;
        }
        update_polls(s);
        tell_writable(s);
    }
    /* The poll may have gone meanwhile. */
    if ((events & UV_READABLE) && poll == s->in_poll)
        read_some(s);
    else if ((events & UV_DISCONNECT) && poll == s->in_poll && s->paused)
        peer_left(s);
}

static void stream_accept_input(struct chardev *c)
{
    struct char_stream *s = stream_of(c);

    s->paused = false;
    update_polls(s);
}

/* --- peers come and go --- */

static void free_handle(uv_handle_t *handle)
{
    free(handle);
}

static void close_handle(void *handle)
{
    if (handle)
        uv_close(handle, free_handle);
}

static void tell_connected(struct char_stream *s, bool connected)
{
    s->base.connected = connected;
    if (s->base.front_ops && s->base.front_ops->connected)
        s->base.front_ops->connected(s->base.front, connected);
}

/* NULL and 0 for what epoll refuses: a plain file or /dev/null, which is always ready. */
static int make_poll(struct char_stream *s, uv_poll_t **poll, int fd)
{
    uv_poll_t *p = malloc(sizeof(*p));
    int err = p ? uv_poll_init(&s->loop->uv, p, fd) : -ENOMEM;

    if (err)
        free(p);
    *poll = err ? NULL : p;
    if (!err)
        p->data = s;
    return err == -EPERM ? 0 : err;
}

static int make_timer(struct char_stream *s)
{
    s->in_timer = malloc(sizeof(*s->in_timer));
    if (!s->in_timer)
        return -ENOMEM;
    uv_timer_init(&s->loop->uv, s->in_timer);
    s->in_timer->data = s;
    return 0;
}

int char_stream_connect(struct char_stream *s, int in_fd, int out_fd)
{
    int err = 0;

    s->in_fd = in_fd;
    s->out_fd = out_fd;
    if (in_fd >= 0)
        err = make_poll(s, &s->in_poll, in_fd);
    if (!err && in_fd == out_fd)
        s->out_poll = s->in_poll;
    else if (!err && out_fd >= 0)
        err = make_poll(s, &s->out_poll, out_fd);
    if (!err && in_fd >= 0 && !s->in_poll)
        err = make_timer(s);
    if (err) {
        char_stream_disconnect(s);
        return err;
    }
    s->paused = s->half_gone = false;
    update_polls(s);
    tell_connected(s, true);
    return 0;
}

void char_stream_disconnect(struct char_stream *s)
{
    if (s->in_fd < 0 && s->out_fd < 0)
        return;
    if (s->out_fd >= 0 && s->output_size)
        flush(s);
    s->output_size = 0;
    if (s->out_poll != s->in_poll)
        close_handle(s->out_poll);
    close_handle(s->in_poll);
    close_handle(s->in_timer);
    s->in_poll = s->out_poll = NULL;
    s->in_timer = NULL;
    s->in_fd = s->out_fd = -1;
    tell_connected(s, false);
    tell_writable(s); /* there is nobody to wait for */
}

/* --- life --- */

static void stream_destroy(struct chardev *c)
{
    struct char_stream *s = stream_of(c);

    c->front_ops = NULL;
    s->kind->destroy(s);
}

static const struct chardev_ops stream_ops = {
    .write = stream_write,
    .accept_input = stream_accept_input,
    .destroy = stream_destroy,
};

void char_stream_init(struct char_stream *s, const struct char_kind *kind, struct loop *loop)
{
    s->base.ops = &stream_ops;
    s->kind = kind;
    s->loop = loop;
    s->in_fd = s->out_fd = -1;
}
