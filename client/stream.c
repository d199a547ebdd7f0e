#include "client/stream.h"

#include "base/error.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

#define FIRST_BUFFER KIB(64)
#define READ_AT_ONCE KIB(256)

static int write_rest(struct stream *s)
{
    bool was_behind = stream_is_behind(s);
    int err = stream_flush(s);

    return !err && s->open && was_behind && !stream_is_behind(s) && s->ops->drained ? s->ops->drained(s) : err;
}

static void stream_ready(uv_poll_t *poll, int status, int events);

static void update_poll(struct stream *s)
{
    int events = s->paused ? 0 : UV_READABLE;

    if (s->connecting)
        events = UV_WRITABLE;
    else if (s->wants_write || s->out.size > s->out_sent)
        events |= UV_WRITABLE;
    if (!s->polling)
        return;
    if (events)
        uv_poll_start(&s->poll, events, stream_ready);
    else
        uv_poll_stop(&s->poll);
}

/* A server that no longer answers at all is noticed within half a minute. No error if it is no TCP socket. */
static void set_options(int fd)
{
    static const struct {
        int level, name, value;
    } options[] = {
        {IPPROTO_TCP, TCP_NODELAY, 1},    {SOL_SOCKET, SO_KEEPALIVE, 1},  {IPPROTO_TCP, TCP_KEEPIDLE, 10},
        {IPPROTO_TCP, TCP_KEEPINTVL, 5},  {IPPROTO_TCP, TCP_KEEPCNT, 4},  {IPPROTO_TCP, TCP_USER_TIMEOUT, 30000},
    };

    for (size_t i = 0; i < ARRAY_SIZE(options); i++)
        setsockopt(fd, options[i].level, options[i].name, &options[i].value, sizeof(int));
}

int stream_adopt(struct stream *s, struct loop *loop, const struct stream_ops *ops, int fd,
                 const struct stream_way *way)
{
    int err;

    *s = (struct stream){.ops = ops, .loop = loop, .fd = fd, .connecting = true, .way = *way};
    writer_init(&s->out, STREAM_MAX_OUT);
    set_options(fd);
    err = uv_poll_init(&loop->uv, &s->poll, fd);
    if (err) {
        stream_close(s);
        return err;
    }
    s->polling = true;
    update_poll(s);
    return 0;
}

int stream_connect(struct stream *s, struct loop *loop, const struct stream_ops *ops,
                   const struct sockaddr_storage *address, socklen_t size, const struct stream_way *way)
{
    int err, fd = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    if (connect(fd, (const struct sockaddr *)address, size) < 0 && errno != EINPROGRESS) {
        err = -errno;
        close(fd);
        return err;
    }
    return stream_adopt(s, loop, ops, fd, way);
}

void stream_close(struct stream *s)
{
    if (s->polling) {
        uv_poll_stop(&s->poll);
        uv_close((uv_handle_t *)&s->poll, NULL);
        s->polling = false;
    }
    if (s->ssl && s->open)
        SSL_shutdown(s->ssl); /* as far as the socket takes it */
    SSL_free(s->ssl);
    s->ssl = NULL;
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
}

void stream_fini(struct stream *s)
{
    free(s->in);
    s->in = NULL;
    writer_fini(&s->out);
}

static void end(struct stream *s, int err)
{
    if (s->fd < 0)
        return;
    stream_close(s);
    s->ops->ended(s, err);
}

/* --- bytes, in the clear or not --- */

static ssize_t put(struct stream *s, const void *data, size_t size)
{
    ssize_t n;

    if (s->ssl)
        return secure_write(s->ssl, data, size);
    do
        n = send(s->fd, data, size, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

static ssize_t get(struct stream *s, void *data, size_t size)
{
    ssize_t n;

    if (s->ssl)
        return secure_read(s->ssl, data, size);
    do
        n = recv(s->fd, data, size, 0);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

int stream_flush(struct stream *s)
{
    if (s->out.bad)
        return fail(-ENOBUFS, "the server does not read what is sent to it");
    while (s->out_sent < s->out.size) {
        ssize_t n = put(s, s->out.data + s->out_sent, s->out.size - s->out_sent);

        if (n == -EAGAIN)
            break;
        if (n < 0)
            return (int)n;
        s->out_sent += (size_t)n;
        s->bytes_out += (uint64_t)n;
    }
    if (s->out_sent == s->out.size) {
        writer_reset(&s->out);
        s->out_sent = 0;
    }
    update_poll(s);
    return 0;
}

/* Bytes free behind in_end: at least one, unless memory is short. */
static int make_room(struct stream *s, size_t wanted)
{
    size_t have = s->in_end - s->in_start;
    uint8_t *in;

    if (s->in_start) {
        memmove(s->in, s->in + s->in_start, have);
        s->in_start = 0;
        s->in_end = have;
    }
    if (s->in_capacity >= wanted)
        return 0;
    in = realloc(s->in, wanted);
    if (!in)
        return -ENOMEM;
    s->in = in;
    s->in_capacity = wanted;
    return 0;
}

int stream_expect(struct stream *s, size_t size)
{
    size_t have = s->in_end - s->in_start;

    /* What a peer only announces costs nothing: the buffer at most doubles with what has really come. */
    return make_room(s, MAX(MIN(size, 2 * have + FIRST_BUFFER), FIRST_BUFFER));
}

void stream_take(struct stream *s, size_t size)
{
    s->in_start += size;
    if (s->in_start == s->in_end)
        s->in_start = s->in_end = 0;
}

static int read_some(struct stream *s)
{
    ssize_t n;
    int err = 0;

    if (s->in_end == s->in_capacity)
        err = make_room(s, MAX(s->in_capacity, FIRST_BUFFER));
    if (err)
        return err;
    if (s->in_end == s->in_capacity)
        err = stream_expect(s, SIZE_MAX);
    if (err)
        return err;
    n = get(s, s->in + s->in_end, MIN(s->in_capacity - s->in_end, READ_AT_ONCE));
    if (n < 0)
        return n == -EAGAIN ? 1 : (int)n;
    if (n == 0)
        return -ENODATA;
    s->in_end += (size_t)n;
    s->bytes_in += (uint64_t)n;
    return 0;
}

/* --- until it stands --- */

static int stand(struct stream *s)
{
    int err;

    s->open = true;
    err = s->ops->connected(s);
    return err ? err : stream_flush(s);
}

static int shake_hands(struct stream *s)
{
    int err = secure_handshake(s->way.secure, s->ssl, &s->wants_write);

    if (err == -EAGAIN) {
        update_poll(s);
        return 0;
    }
    return err ? err : stand(s);
}

static int make_secure(struct stream *s)
{
    if (!s->way.secure)
        return stand(s);
    s->ssl = secure_open(s->way.secure, s->fd);
    return s->ssl ? shake_hands(s) : -ENOMEM;
}

static int ask_proxy(struct stream *s)
{
    int err;

    if (!s->way.proxy)
        return make_secure(s);
    s->asked_proxy = true;
    err = proxy_request(s->way.proxy, s->way.host, s->way.port, &s->out);
    return err ? err : stream_flush(s);
}

static int socket_error(const struct stream *s)
{
    socklen_t size = sizeof(int);
    int err = 0;

    return getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &err, &size) < 0 ? -errno : -err;
}

static int finish_connect(struct stream *s)
{
    int err = socket_error(s);

    if (err)
        return err;
    s->connecting = false;
    return ask_proxy(s);
}

static int take_proxy_answer(struct stream *s)
{
    size_t have;
    const uint8_t *data = stream_data(s, &have);
    int n = proxy_answer(data, have);

    if (n <= 0)
        return n;
    if ((size_t)n < have) /* here it is the client who speaks first */
        return fail(-EPROTO, "the proxy says more than it was asked");
    stream_take(s, (size_t)n);
    s->asked_proxy = false;
    return make_secure(s);
}

/* --- and then --- */

/* OpenSSL may have more than was asked of it; nothing would wake us for that. */
static int read_all(struct stream *s)
{
    int err;

    do {
        err = read_some(s);
        if (!err)
            err = s->asked_proxy ? take_proxy_answer(s) : s->ops->input(s);
    } while (!err && s->fd >= 0 && !s->paused && s->ssl && SSL_pending(s->ssl) > 0);
    return err > 0 ? 0 : err;
}

static void stream_ready(uv_poll_t *poll, int status, int events)
{
    struct stream *s = container_of(poll, struct stream, poll);
    int err = 0;

    /* libuv calls each error of a socket EBADF. */
    if (status && !(err = socket_error(s)))
        err = -ECONNRESET;
    if (!err && s->connecting)
        err = finish_connect(s);
    else if (!err && s->ssl && !s->open)
        err = shake_hands(s);
    else if (!err && (events & UV_WRITABLE))
        err = write_rest(s);
    if (!err && (events & UV_READABLE) && s->fd >= 0 && (s->open || s->asked_proxy))
        err = read_all(s);
    if (err)
        end(s, err == -ENODATA ? 0 : err);
}

static void input_again(void *arg)
{
    struct stream *s = arg;
    int err;

    if (s->fd < 0 || s->paused)
        return;
    err = s->ops->input(s);
    if (!err && s->fd >= 0 && !s->paused && s->ssl && SSL_pending(s->ssl) > 0)
        err = read_all(s);
    if (err)
        end(s, err == -ENODATA ? 0 : err);
}

void stream_pause(struct stream *s, bool pause)
{
    if (s->paused == pause || s->fd < 0)
        return;
    s->paused = pause;
    update_poll(s);
    if (!pause)
        loop_call(s->loop, input_again, s);
}
