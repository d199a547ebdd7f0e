#include "spice/server/websocket.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <wslay/wslay.h>

#define MAX_CONTROL 125          /* bytes in a control frame */
#define MAX_FRAME   (256 * 1024) /* that we send */
#define MAX_EMPTY   64           /* frames without data that are skipped at a time */

/* A control frame, as far as it has come; or an answer that waits until it can go. */
struct control {
    uint8_t opcode; /* 0: there is none */
    size_t size;
    uint8_t data[MAX_CONTROL];
};

struct websocket {
    struct stream base;
    struct stream *below;
    wslay_frame_context_ptr frames;
    ssize_t read_said, write_said; /* what the stream below returned last */
    const uint8_t *chunk;          /* of a frame that came, in wslay's memory */
    size_t chunk_size;
    struct control coming, answer;
    uint64_t frame_size, frame_left; /* of the frame that is being sent */
    bool answering, closing;
};

static struct websocket *of(const struct stream *s)
{
    return container_of(s, struct websocket, base);
}

/* --- the stream below, as wslay sees it --- */

static ssize_t below_read(uint8_t *data, size_t size, int flags UNUSED, void *user)
{
    struct websocket *ws = user;
    ssize_t n = stream_read(ws->below, data, size);

    ws->read_said = n;
    return n > 0 ? n : -1;
}

static ssize_t below_write(const uint8_t *data, size_t size, int flags UNUSED, void *user)
{
    struct websocket *ws = user;
    const struct iovec iov = {(uint8_t *)data, size};
    ssize_t n = stream_writev(ws->below, &iov, 1);

    ws->write_said = n;
    return n > 0 ? n : -1;
}

/* --- out --- */

/* Bytes of the frame that went, or -errno. Called again with what follows until all of frame_size has gone. */
static ssize_t send_some(struct websocket *ws, uint8_t opcode, const void *data, size_t size)
{
    struct wslay_frame_iocb frame = {
        .fin = 1, .opcode = opcode, .payload_length = ws->frame_size, .data = data, .data_length = size};
    ssize_t n = wslay_frame_send(ws->frames, &frame);

    if (n >= 0)
        return n;
    return n != WSLAY_ERR_WANT_WRITE ? -EPROTO : ws->write_said < 0 ? ws->write_said : -EPIPE;
}

/* Between two frames, what answers a control frame. */
static int send_answer(struct websocket *ws)
{
    struct control *c = &ws->answer;
    ssize_t n;

    if (!c->opcode || ws->frame_left)
        return 0;
    if (!ws->answering)
        ws->frame_size = c->size;
    ws->answering = true;
    do {
        n = send_some(ws, c->opcode, c->data, c->size);
        if (n < 0)
            return (int)n;
        c->size -= (size_t)n;
        memmove(c->data, c->data + n, c->size);
    } while (c->size);
    ws->answering = false;
    c->opcode = 0;
    return 0;
}

static ssize_t write_piece(struct websocket *ws, const struct iovec *piece)
{
    ssize_t n = ws->frame_left ? 0 : send_answer(ws);

    if (n < 0)
        return n;
    if (!ws->frame_left)
        ws->frame_size = ws->frame_left = MIN(piece->iov_len, MAX_FRAME);
    n = send_some(ws, WSLAY_BINARY_FRAME, piece->iov_base, MIN(piece->iov_len, ws->frame_left));
    if (n > 0)
        ws->frame_left -= (uint64_t)n;
    return n;
}

static ssize_t websocket_writev(struct stream *s, const struct iovec *iov, int count)
{
    ssize_t sum = 0, n = 1;

    for (int i = 0; i < count && n > 0; i++) {
        struct iovec rest = iov[i];

        while (rest.iov_len && (n = write_piece(of(s), &rest)) > 0) {
            rest = (struct iovec){(uint8_t *)rest.iov_base + n, rest.iov_len - (size_t)n};
            sum += n;
        }
    }
    return sum ? sum : n;
}

/* --- in --- */

/* It is whole. Who pings faster than we can answer gets the last one answered. */
static void take_control(struct websocket *ws)
{
    const struct control *c = &ws->coming;

    if (!ws->answering && c->opcode != WSLAY_PONG) {
        ws->answer = *c;
        if (c->opcode == WSLAY_PING)
            ws->answer.opcode = WSLAY_PONG;
    }
    ws->closing |= c->opcode == WSLAY_CONNECTION_CLOSE;
    ws->coming = (struct control){0};
    send_answer(ws); /* else before the next frame */
}

static int add_control(struct websocket *ws, const struct wslay_frame_iocb *frame)
{
    struct control *c = &ws->coming;

    if (frame->payload_length > MAX_CONTROL || c->size + frame->data_length > frame->payload_length)
        return -EPROTO;
    c->opcode = frame->opcode;
    memcpy(c->data + c->size, frame->data, frame->data_length);
    c->size += frame->data_length;
    if (c->size == frame->payload_length)
        take_control(ws);
    return 0;
}

/* 0, also for a frame that brought nothing to read. */
static ssize_t next_chunk(struct websocket *ws)
{
    struct wslay_frame_iocb frame = {0};
    ssize_t n = wslay_frame_recv(ws->frames, &frame);

    if (n == WSLAY_ERR_WANT_READ)
        return ws->read_said < 0 ? ws->read_said : -ECONNRESET;
    if (n < 0 || !frame.mask || frame.rsv)
        return -EPROTO;
    if (wslay_is_ctrl_frame(frame.opcode))
        return add_control(ws, &frame);
    if (frame.opcode != WSLAY_BINARY_FRAME && frame.opcode != WSLAY_CONTINUATION_FRAME)
        return -EPROTO;
    ws->chunk = frame.data;
    ws->chunk_size = frame.data_length;
    return 0;
}

static ssize_t websocket_read(struct stream *s, void *buf, size_t size)
{
    struct websocket *ws = of(s);
    size_t n;

    for (int empty = 0; !ws->chunk_size && !ws->closing; empty++) {
        ssize_t err = empty < MAX_EMPTY ? next_chunk(ws) : -EAGAIN;

        if (err < 0)
            return err;
    }
    if (!ws->chunk_size)
        return 0; /* the other side has closed it */
    n = MIN(size, ws->chunk_size);
    memcpy(buf, ws->chunk, n);
    ws->chunk += n;
    ws->chunk_size -= n;
    return (ssize_t)n;
}

/* --- life --- */

/* wslay reads ahead: what it holds of the next frames it does not tell, but whoever reads on comes to see it. */
static bool websocket_pending(const struct stream *s)
{
    const struct websocket *ws = of(s);

    return ws->chunk_size || ws->read_said > 0 || stream_pending(ws->below);
}

static void websocket_close(struct stream *s)
{
    struct websocket *ws = of(s);
    static const uint8_t normal[2] = {WSLAY_CODE_NORMAL_CLOSURE >> 8, WSLAY_CODE_NORMAL_CLOSURE & 0xff};

    if (!ws->closing && !ws->answering) {
        ws->answer = (struct control){WSLAY_CONNECTION_CLOSE, sizeof(normal)};
        memcpy(ws->answer.data, normal, sizeof(normal));
        send_answer(ws); /* as far as the socket takes it */
    }
    wslay_frame_context_free(ws->frames);
    stream_close(ws->below);
    free(ws);
}

static const struct stream_ops websocket_ops = {websocket_read, websocket_writev, websocket_pending, websocket_close};

struct stream *websocket_accept(struct stream *below)
{
    static const struct wslay_frame_callbacks callbacks = {.send_callback = below_write, .recv_callback = below_read};
    struct websocket *ws = calloc(1, sizeof(*ws));

    if (!ws || wslay_frame_context_init(&ws->frames, &callbacks, ws)) {
        free(ws);
        stream_close(below);
        return NULL;
    }
    ws->base = *below;
    ws->base.ops = &websocket_ops;
    ws->base.head_size = 0;
    ws->below = below;
    return &ws->base;
}
