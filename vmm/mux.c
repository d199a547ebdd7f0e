#include "vmm/mux.h"

#include "base/bytes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEADER    8
#define READ_SIZE KIB(32)
#define OUT_HIGH  KIB(256)       /* streams stop reading when this much waits for the peer */
#define OUT_FULL  (2 * OUT_HIGH) /* datagrams are dropped: only here, or busy streams left them no room */

enum frame_type { FRAME_OPEN, FRAME_DATA, FRAME_ACK, FRAME_EOF, FRAME_CLOSE, FRAME_CONTROL };

/* Bytes that wait; used from `start`, appended at `end`. */
struct fifo {
    uint8_t *data;
    size_t start, end, room;
};

/* A descriptor and the poll on it. Regular files cannot be polled and are always ready: no poll. */
struct watch {
    int fd; /* -1: closed */
    uv_poll_t *poll;
    bool active;
};

struct stream {
    struct mux *mux;
    uint16_t id;
    bool attached, reader_done, writer_done, writer_eof;
    struct watch reader, writer;
    size_t credit;    /* bytes that the peer still takes */
    size_t unacked;   /* bytes written here that the peer does not know of */
    struct fifo fifo; /* for the writer */
    bool (*filter)(void *opaque, const uint8_t *data, size_t size);
    const struct mux_datagram_ops *datagrams; /* NULL: it is of bytes */
    void *opaque;                             /* theirs */
};

struct mux {
    struct loop *loop;
    int fd;
    uv_poll_t *poll;
    const struct mux_ops *ops;
    void *opaque;
    struct fifo in, out;
    struct stream *streams[MUX_MAX_STREAMS];
    uint16_t last_id;
    bool lost, pumping;
};

static void pump_reader(struct stream *s);
static void pump_writer(struct stream *s);

/* --- bytes that wait --- */

static size_t fifo_size(const struct fifo *f)
{
    return f->end - f->start;
}

static int fifo_reserve(struct fifo *f, size_t size)
{
    uint8_t *data;
    size_t room;

    if (f->room - f->end >= size)
        return 0;
    if (f->start) {
        memmove(f->data, f->data + f->start, fifo_size(f));
        f->end -= f->start;
        f->start = 0;
    }
    if (f->room - f->end >= size)
        return 0;
    room = MAX(f->room * 2, f->end + size);
    data = realloc(f->data, room);
    if (!data)
        return -ENOMEM;
    f->data = data;
    f->room = room;
    return 0;
}

static int fifo_put(struct fifo *f, const void *data, size_t size)
{
    int err = fifo_reserve(f, size);

    if (err)
        return err;
    if (size)
        memcpy(f->data + f->end, data, size);
    f->end += size;
    return 0;
}

/* --- polls --- */

static void free_poll(uv_handle_t *handle)
{
    free(handle);
}

static uv_poll_t *new_poll(struct loop *loop, int fd, void *data)
{
    uv_poll_t *poll = calloc(1, sizeof(*poll));

    if (poll && uv_poll_init(&loop->uv, poll, fd)) {
        free(poll);
        return NULL;
    }
    if (poll)
        poll->data = data;
    return poll;
}

static void watch_close(struct watch *w)
{
    if (w->poll)
        uv_close((uv_handle_t *)w->poll, free_poll);
    if (w->fd >= 0)
        close(w->fd);
    *w = (struct watch){.fd = -1};
}

static void watch_set(struct watch *w, bool active, int events, uv_poll_cb cb)
{
    if (!w->poll || w->active == active)
        return;
    w->active = active;
    if (active)
        uv_poll_start(w->poll, events, cb);
    else
        uv_poll_stop(w->poll);
}

/* --- the connection --- */

static void mux_poll(struct mux *mux);

static void lose(struct mux *mux)
{
    if (mux->lost)
        return;
    mux->lost = true;
    uv_poll_stop(mux->poll);
    mux->ops->lost(mux->opaque);
}

static void send_frame(struct mux *mux, uint16_t id, enum frame_type type, const void *data,
                       size_t size)
{
    uint8_t header[HEADER] = {0};

    store_le16(header, id);
    header[2] = type;
    store_le32(header + 4, (uint32_t)size);
    if (fifo_put(&mux->out, header, sizeof(header)) || fifo_put(&mux->out, data, size))
        lose(mux);
    else if (!mux->lost)
        mux_poll(mux);
}

static void flush_out(struct mux *mux)
{
    while (fifo_size(&mux->out)) {
        ssize_t n = write(mux->fd, mux->out.data + mux->out.start, fifo_size(&mux->out));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            lose(mux);
            return;
        }
        mux->out.start += (size_t)n;
    }
    mux->out.start = mux->out.end = 0;
}

/* --- streams --- */

static struct stream *find_stream(struct mux *mux, uint16_t id)
{
    struct stream *s = mux->streams[id % MUX_MAX_STREAMS];

    return s && s->id == id ? s : NULL;
}

static void free_stream(struct stream *s)
{
    struct mux *mux = s->mux;

    watch_close(&s->reader);
    watch_close(&s->writer);
    mux->streams[s->id % MUX_MAX_STREAMS] = NULL;
    free(s->fifo.data);
    free(s);
}

static void end_stream(struct stream *s)
{
    struct mux *mux = s->mux;
    const struct mux_datagram_ops *datagrams = s->datagrams;
    void *opaque = s->opaque;
    uint16_t id = s->id;

    free_stream(s);
    if (datagrams)
        datagrams->ended(opaque);
    else
        mux->ops->ended(mux->opaque, id);
}

/* True if the stream is no more. */
static bool end_if_done(struct stream *s)
{
    if (!s->attached || !s->reader_done || !s->writer_done)
        return false;
    end_stream(s);
    return true;
}

static void break_stream(struct stream *s)
{
    send_frame(s->mux, s->id, FRAME_CLOSE, NULL, 0);
    end_stream(s);
}

static struct stream *new_stream(struct mux *mux, uint16_t id)
{
    struct stream *s = calloc(1, sizeof(*s));

    if (!s)
        return NULL;
    s->mux = mux;
    s->id = id;
    s->reader.fd = s->writer.fd = -1;
    s->credit = MUX_WINDOW;
    mux->streams[id % MUX_MAX_STREAMS] = s;
    return s;
}

static void reader_ready(uv_poll_t *poll, int status UNUSED, int events UNUSED)
{
    pump_reader(poll->data);
}

static void writer_ready(uv_poll_t *poll, int status UNUSED, int events UNUSED)
{
    pump_writer(poll->data);
}

static bool may_read(const struct stream *s)
{
    return s->attached && !s->reader_done && s->credit && fifo_size(&s->mux->out) < OUT_HIGH;
}

/* One read, sent on. False: nothing to read now, or the half has ended. */
static bool read_once(struct stream *s)
{
    uint8_t data[READ_SIZE];
    ssize_t n = read(s->reader.fd, data, MIN(sizeof(data), s->credit));

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (n <= 0) {
        watch_close(&s->reader);
        s->reader_done = true;
        send_frame(s->mux, s->id, FRAME_EOF, NULL, 0);
        return false;
    }
    if (!s->filter || s->filter(s->mux->opaque, data, (size_t)n)) {
        s->credit -= (size_t)n;
        send_frame(s->mux, s->id, FRAME_DATA, data, (size_t)n);
    }
    return true;
}

static void pump_reader(struct stream *s)
{
    /* One read per event, so that no stream starves the others; a regular file has no events. */
    if (may_read(s))
        while (read_once(s) && !s->reader.poll && may_read(s))
            ;
    if (!end_if_done(s))
        watch_set(&s->reader, may_read(s), UV_READABLE, reader_ready);
}

static void acknowledge(struct stream *s, size_t size)
{
    uint8_t bytes[4];

    s->unacked += size;
    if (s->unacked < MUX_WINDOW / 4)
        return;
    store_le32(bytes, (uint32_t)s->unacked);
    s->unacked = 0;
    send_frame(s->mux, s->id, FRAME_ACK, bytes, sizeof(bytes));
}

static void finish_writer(struct stream *s)
{
    shutdown(s->writer.fd, SHUT_WR); /* means nothing to a pipe */
    watch_close(&s->writer);
    s->writer_done = true;
}

static void pump_writer(struct stream *s)
{
    while (s->attached && !s->writer_done && fifo_size(&s->fifo)) {
        ssize_t n = write(s->writer.fd, s->fifo.data + s->fifo.start, fifo_size(&s->fifo));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            break;
        if (n <= 0) {
            break_stream(s);
            return;
        }
        s->fifo.start += (size_t)n;
        acknowledge(s, (size_t)n);
    }
    if (s->attached && !s->writer_done && s->writer_eof && !fifo_size(&s->fifo))
        finish_writer(s);
    if (!end_if_done(s))
        watch_set(&s->writer, s->attached && !s->writer_done && fifo_size(&s->fifo), UV_WRITABLE,
                  writer_ready);
}

static void attach(struct stream *s, int rfd, int wfd)
{
    s->attached = true;
    s->reader = (struct watch){.fd = rfd};
    s->writer = (struct watch){.fd = wfd};
    s->reader_done = rfd < 0;
    s->writer_done = wfd < 0;
    /* libuv makes the descriptors non-blocking. */
    if (rfd >= 0)
        s->reader.poll = new_poll(s->mux->loop, rfd, s);
    if (wfd >= 0)
        s->writer.poll = new_poll(s->mux->loop, wfd, s);
}

/* Reading starts with the next turn of the loop, so that the caller can finish what it does with the stream. */
static void start_pumps(void *arg)
{
    struct mux *mux = arg;
    size_t i;

    mux->pumping = false;
    for (i = 0; i < MUX_MAX_STREAMS && !mux->lost; i++)
        if (mux->streams[i])
            pump_reader(mux->streams[i]);
    for (i = 0; i < MUX_MAX_STREAMS && !mux->lost; i++)
        if (mux->streams[i])
            pump_writer(mux->streams[i]);
}

static void pump_soon(struct mux *mux)
{
    if (mux->pumping)
        return;
    mux->pumping = true;
    loop_call(mux->loop, start_pumps, mux);
}

void mux_attach(struct mux *mux, uint16_t id, int rfd, int wfd)
{
    struct stream *s = find_stream(mux, id);

    if (!s || s->attached) {
        close(rfd);
        close(wfd);
        return;
    }
    attach(s, rfd, wfd);
    pump_soon(mux);
}

static uint16_t free_id(struct mux *mux)
{
    unsigned tries;

    for (tries = 0; tries < MUX_MAX_STREAMS; tries++) {
        uint16_t id = ++mux->last_id;

        if (id && !mux->streams[id % MUX_MAX_STREAMS])
            return id;
    }
    return 0;
}

int mux_open(struct mux *mux, const char *what, int rfd, int wfd)
{
    uint16_t id = free_id(mux);
    struct stream *s = id ? new_stream(mux, id) : NULL;

    if (!s) {
        close(rfd);
        close(wfd);
        return id ? -ENOMEM : -EMFILE;
    }
    send_frame(mux, id, FRAME_OPEN, what, strlen(what));
    attach(s, rfd, wfd);
    pump_soon(mux);
    return id;
}

static void attach_datagrams(struct stream *s, const struct mux_datagram_ops *ops, void *opaque)
{
    s->attached = s->reader_done = true;
    s->datagrams = ops;
    s->opaque = opaque;
}

void mux_attach_datagrams(struct mux *mux, uint16_t id, const struct mux_datagram_ops *ops, void *opaque)
{
    struct stream *s = find_stream(mux, id);

    if (s && !s->attached)
        attach_datagrams(s, ops, opaque);
    else
        ops->ended(opaque);
}

int mux_open_datagrams(struct mux *mux, const char *what, const struct mux_datagram_ops *ops, void *opaque)
{
    bool full = fifo_size(&mux->out) >= OUT_FULL;
    uint16_t id = full ? 0 : free_id(mux);
    struct stream *s = id ? new_stream(mux, id) : NULL;

    if (!s)
        return full ? -EAGAIN : id ? -ENOMEM : -EMFILE;
    send_frame(mux, id, FRAME_OPEN, what, strlen(what));
    attach_datagrams(s, ops, opaque);
    return id;
}

/* Each costs its header too, or empty ones would cost nothing. */
int mux_send_datagram(struct mux *mux, uint16_t id, const void *data, size_t size)
{
    struct stream *s = find_stream(mux, id);

    if (!s || !s->datagrams)
        return -ENOENT;
    if (size > MUX_MAX_DATAGRAM)
        return -EMSGSIZE;
    if (s->credit < HEADER + size || fifo_size(&mux->out) >= OUT_FULL)
        return -EAGAIN;
    s->credit -= HEADER + size;
    send_frame(mux, id, FRAME_DATA, data, size);
    return 0;
}

void mux_set_filter(struct mux *mux, uint16_t id,
                    bool (*filter)(void *opaque, const uint8_t *data, size_t size))
{
    struct stream *s = find_stream(mux, id);

    if (s)
        s->filter = filter;
}

void mux_close(struct mux *mux, uint16_t id)
{
    struct stream *s = find_stream(mux, id);

    if (s)
        break_stream(s);
}

int mux_control(struct mux *mux, uint32_t code, const void *data, size_t size)
{
    uint8_t message[MUX_MAX_FRAME];

    if (size > sizeof(message) - 4)
        return -EMSGSIZE;
    store_le32(message, code);
    if (size)
        memcpy(message + 4, data, size);
    send_frame(mux, 0, FRAME_CONTROL, message, size + 4);
    return 0;
}

/* --- frames that arrive --- */

static void on_open(struct mux *mux, uint16_t id, const uint8_t *data, size_t size)
{
    char what[256];

    if (!id || size >= sizeof(what) || mux->streams[id % MUX_MAX_STREAMS] || !new_stream(mux, id)) {
        send_frame(mux, id, FRAME_CLOSE, NULL, 0);
        return;
    }
    memcpy(what, data, size);
    what[size] = 0;
    mux->ops->opened(mux->opaque, id, what);
}

static void on_data(struct stream *s, const uint8_t *data, size_t size)
{
    /* Nobody writes: the peer's bytes are read and forgotten, so that it is not held up. */
    if (s->attached && s->writer_done) {
        acknowledge(s, size);
        return;
    }
    if (fifo_size(&s->fifo) + size > MUX_WINDOW || fifo_put(&s->fifo, data, size)) {
        break_stream(s);
        return;
    }
    pump_writer(s);
}

static void on_datagram(struct stream *s, const uint8_t *data, size_t size)
{
    if (size > MUX_MAX_DATAGRAM) {
        break_stream(s);
        return;
    }
    acknowledge(s, HEADER + size);
    s->datagrams->received(s->opaque, data, size);
}

static void on_ack(struct stream *s, const uint8_t *data, size_t size)
{
    uint32_t credit = size == 4 ? load_le32(data) : UINT32_MAX;

    if (credit > MUX_WINDOW - s->credit) {
        break_stream(s);
        return;
    }
    s->credit += credit;
    pump_reader(s);
}

static void on_eof(struct stream *s)
{
    if (s->datagrams) {
        break_stream(s); /* it has no halves */
        return;
    }
    s->writer_eof = true;
    pump_writer(s);
}

static void on_frame(struct mux *mux, uint16_t id, unsigned type, const uint8_t *data, size_t size)
{
    struct stream *s = find_stream(mux, id);

    if (type == FRAME_CONTROL && size >= 4)
        mux->ops->control(mux->opaque, load_le32(data), data + 4, size - 4);
    else if (type == FRAME_OPEN)
        on_open(mux, id, data, size);
    else if (!s)
        return; /* closed here while this was on its way */
    else if (type == FRAME_DATA && s->datagrams)
        on_datagram(s, data, size);
    else if (type == FRAME_DATA)
        on_data(s, data, size);
    else if (type == FRAME_ACK)
        on_ack(s, data, size);
    else if (type == FRAME_EOF)
        on_eof(s);
    else if (type == FRAME_CLOSE)
        end_stream(s);
}

static void take_frames(struct mux *mux)
{
    struct fifo *in = &mux->in;

    while (!mux->lost && fifo_size(in) >= HEADER) {
        const uint8_t *p = in->data + in->start;
        size_t size = load_le32(p + 4);

        if (size > MUX_MAX_FRAME) {
            lose(mux);
            return;
        }
        if (fifo_size(in) < HEADER + size)
            return;
        in->start += HEADER + size;
        on_frame(mux, load_le16(p), p[2], p + HEADER, size);
    }
}

static void fill_in(struct mux *mux)
{
    ssize_t n;

    if (fifo_reserve(&mux->in, HEADER + MUX_MAX_FRAME)) {
        lose(mux);
        return;
    }
    n = read(mux->fd, mux->in.data + mux->in.end, mux->in.room - mux->in.end);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        lose(mux);
        return;
    }
    mux->in.end += (size_t)n;
    take_frames(mux);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct mux *mux = poll->data;
    bool was_high = fifo_size(&mux->out) >= OUT_HIGH;

    if (status < 0 || (events & UV_READABLE))
        fill_in(mux);
    if (!mux->lost && (events & UV_WRITABLE))
        flush_out(mux);
    if (!mux->lost && was_high && fifo_size(&mux->out) < OUT_HIGH)
        pump_soon(mux);
    if (!mux->lost)
        mux_poll(mux);
}

static void mux_poll(struct mux *mux)
{
    uv_poll_start(mux->poll, UV_READABLE | (fifo_size(&mux->out) ? UV_WRITABLE : 0), on_poll);
}

int mux_create(struct mux **mux, struct loop *loop, int fd, const struct mux_ops *ops, void *opaque)
{
    struct mux *m = calloc(1, sizeof(*m));

    if (!m)
        return -ENOMEM;
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    *m = (struct mux){.loop = loop, .fd = fd, .ops = ops, .opaque = opaque};
    m->poll = new_poll(loop, fd, m);
    if (!m->poll) {
        free(m);
        return -EIO;
    }
    mux_poll(m);
    *mux = m;
    return 0;
}

void mux_destroy(struct mux *mux)
{
    size_t i;

    if (!mux)
        return;
    for (i = 0; i < MUX_MAX_STREAMS; i++)
        if (mux->streams[i] && mux->streams[i]->datagrams)
            end_stream(mux->streams[i]);
        else if (mux->streams[i])
            free_stream(mux->streams[i]);
    uv_close((uv_handle_t *)mux->poll, free_poll);
    free(mux->in.data);
    free(mux->out.data);
    free(mux);
}
