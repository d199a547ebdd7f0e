/*
 * What the other end of a software host's connection may send: frames of streams and datagrams, acknowledgements, ends, of
 * any id and size. The first byte says in what pieces they come, whether there is a UDP port that leads there, and whether all
 * of it comes again and again, until windows are full. What a stream is opened for says what becomes of it: a
 * socket that nobody reads, a flow of datagrams, or nothing. A control message has this end do what it may do by itself:
 * open, close, send.
 */
#include "vmm/mux.h"

#include "base/bytes.h"
#include "vmm/nested_datagram.h"

#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROUNDS  6
#define AGAIN   32 /* times */
#define SOCKETS 64
#define PEERS   4 /* that send to the port */

struct end {
    struct loop loop;
    struct mux *mux;
    int fd, peer;         /* the connection's two */
    int sockets[SOCKETS]; /* the far ends of streams */
    unsigned count;
    struct datagram_port *port; /* NULL: none */
    int peers[PEERS];
    bool lost;
};

static void run_rounds(struct end *s)
{
    for (int i = 0; i < ROUNDS; i++)
        uv_run(&s->loop.uv, UV_RUN_NOWAIT);
}

/* --- what streams lead to --- */

/* Its near end twice, for the two halves. */
static bool new_socket(struct end *s, int near[2])
{
    int ends[2];

    if (s->count == SOCKETS || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends))
        return false;
    s->sockets[s->count++] = ends[0];
    near[0] = ends[1];
    near[1] = dup(ends[1]);
    return true;
}

static void datagram(void *opaque, const uint8_t *data, size_t size)
{
    struct end *s = opaque;

    if (size && data[0] == 'x') /* one that it may close itself */
        mux_close(s->mux, (uint16_t)size);
}

static void datagrams_end(void *opaque UNUSED)
{
}

static const struct mux_datagram_ops datagram_ops = {datagram, datagrams_end};

/* A flow's inside end, connected to a socket that takes what comes. */
static void attach_flow(struct end *s, uint16_t id)
{
    int ends[2];

    if (s->count == SOCKETS || socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends)) {
        mux_close(s->mux, id);
        return;
    }
    s->sockets[s->count++] = ends[0];
    datagram_flow_attach(s->mux, &s->loop, id, ends[1]);
}

static void opened(void *opaque, uint16_t id, const char *what)
{
    struct end *s = opaque;
    int near[2];

    if (what[0] == 'd')
        mux_attach_datagrams(s->mux, id, &datagram_ops, s);
    else if (what[0] == 'u')
        attach_flow(s, id);
    else if (what[0] == 'w') /* later, or never */
        return;
    else if (what[0] == 'c' || !new_socket(s, near))
        mux_close(s->mux, id);
    else
        mux_attach(s->mux, id, near[0], near[1]);
}

static void ended(void *opaque UNUSED, uint16_t id UNUSED)
{
}

static bool filter(void *opaque UNUSED, const uint8_t *data, size_t size UNUSED)
{
    return data[0] != 'n';
}

/* By the code: what an end does by itself. */
static void control(void *opaque, uint32_t code, const uint8_t *data, size_t size)
{
    struct end *s = opaque;
    uint16_t id = (uint16_t)(code >> 16);
    int near[2];

    switch (code & 15) {
    case 0:
        mux_close(s->mux, id);
        break;
    case 1:
        if (new_socket(s, near))
            mux_open(s->mux, "stream", near[0], near[1]);
        break;
    case 2:
        mux_open_datagrams(s->mux, "datagrams", &datagram_ops, s);
        break;
    case 3:
        mux_send_datagram(s->mux, id, data, size);
        break;
    case 4:
        if (new_socket(s, near))
            mux_attach(s->mux, id, near[0], near[1]);
        break;
    case 5: /* bytes from outside, and an end of theirs */
        if (s->count && (!size || send(s->sockets[id % s->count], data, size, MSG_NOSIGNAL) < 0))
            shutdown(s->sockets[id % s->count], size & 1 ? SHUT_RD : SHUT_WR);
        break;
    case 6:
        mux_set_filter(s->mux, id, filter);
        break;
    case 8:
        if (s->port)
            (void)!send(s->peers[id % PEERS], data, size, MSG_DONTWAIT);
        break;
    default:
        mux_control(s->mux, code, data, size);
    }
}

static void lost(void *opaque)
{
    struct end *s = opaque;

    if (s->lost)
        abort(); /* once */
    s->lost = true;
}

static const struct mux_ops ops = {.opened = opened, .ended = ended, .control = control, .lost = lost};

/* --- the run --- */

/* At a number of the kernel's choice, which only its socket knows: the next that there is. */
static void begin_port(struct end *s)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t size = sizeof(a);
    int fd = dup(s->fd);

    close(fd);
    if (datagram_port_create(&s->port, &s->loop, "127.0.0.1", 0, DATAGRAM_IDLE) ||
        getsockname(fd, (struct sockaddr *)&a, &size) || datagram_port_start(s->port, s->mux))
        abort();
    for (int i = 0; i < PEERS; i++) {
        s->peers[i] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (connect(s->peers[i], (struct sockaddr *)&a, sizeof(a)))
            abort();
    }
}

static void finish_port(struct end *s)
{
    if (!s->port)
        return;
    datagram_port_destroy(s->port);
    for (int i = 0; i < PEERS; i++)
        close(s->peers[i]);
}

/* Whatever was sent must be whole frames; read, so that it can send more. */
static void hear(struct end *s)
{
    static uint8_t bytes[MIB(1)];
    size_t have = 0;
    ssize_t n;

    do {
        run_rounds(s);
        n = have < sizeof(bytes) ? recv(s->peer, bytes + have, sizeof(bytes) - have, MSG_DONTWAIT) : 0;
        have += n > 0 ? (size_t)n : 0;
    } while (n > 0);
    for (size_t at = 0; at + 8 <= have; at += 8 + load_le32(bytes + at + 4))
        if (bytes[at + 2] > 5 || bytes[at + 3] || load_le32(bytes + at + 4) > MUX_MAX_FRAME)
            abort();
}

static void begin(struct end *s, bool with_port)
{
    int ends[2];

    *s = (struct end){0};
    signal(SIGPIPE, SIG_IGN);
    if (loop_init(&s->loop) || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends))
        abort();
    s->peer = ends[0];
    s->fd = ends[1];
    if (mux_create(&s->mux, &s->loop, s->fd, &ops, s))
        abort();
    if (with_port)
        begin_port(s);
}

static void finish(struct end *s)
{
    finish_port(s);
    mux_destroy(s->mux);
    run_rounds(s);
    close(s->peer);
    close(s->fd);
    while (s->count)
        close(s->sockets[--s->count]);
    loop_fini(&s->loop);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct end s;
    unsigned times;
    size_t piece;

    if (!size)
        return 0;
    times = data[0] & 4 ? AGAIN : 1;
    begin(&s, data[0] & 2);
    piece = data[0] & 1 ? 1 + data[0] / 8 : SIZE_MAX;
    while (times-- && !s.lost)
        for (size_t at = 1; at < size && !s.lost; at += MIN(piece, size - at)) {
            (void)!send(s.peer, data + at, MIN(piece, size - at), MSG_NOSIGNAL | MSG_DONTWAIT);
            run_rounds(&s);
        }
    if (!s.lost)
        hear(&s);
    finish(&s);
    return 0;
}
