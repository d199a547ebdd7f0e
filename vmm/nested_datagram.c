#include "vmm/nested_datagram.h"

#include "base/error.h"
#include "base/timer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#define PER_EVENT 16 /* datagrams, so that no socket starves the rest of the loop */

/* --- a socket and what it receives, at both ends --- */

struct receiver {
    int fd;
    uv_poll_t *poll;
    void (*received)(void *opaque, const struct sockaddr_in *from, const uint8_t *data,
                     size_t size);
    void *opaque;
};

static void receive(uv_poll_t *poll, int status, int events UNUSED)
{
    struct receiver *r = poll->data;
    uint8_t data[MUX_MAX_DATAGRAM];
    int i;

    for (i = 0; i < PER_EVENT; i++) {
        struct sockaddr_in from = {0};
        socklen_t size = sizeof(from);
        ssize_t n =
            recvfrom(r->fd, data, sizeof(data), MSG_DONTWAIT, (struct sockaddr *)&from, &size);

        if (n < 0 && errno == EAGAIN)
            break;
        if (n >= 0)
            r->received(r->opaque, &from, data, (size_t)n);
    }
    /* Where nobody listens (yet), a socket that is connected has an error, which libuv takes for its end. */
    if (status < 0)
        uv_poll_start(poll, UV_READABLE, receive);
}

static void free_poll(uv_handle_t *handle)
{
    free(handle);
}

static int receiver_start(struct receiver *r, struct loop *loop)
{
    uv_poll_t *poll = calloc(1, sizeof(*poll));
    int err = poll ? uv_poll_init(&loop->uv, poll, r->fd) : -ENOMEM;

    if (err) {
        free(poll);
        return err;
    }
    poll->data = r;
    r->poll = poll;
    return uv_poll_start(poll, UV_READABLE, receive);
}

static void receiver_stop(struct receiver *r)
{
    if (r->poll)
        uv_close((uv_handle_t *)r->poll, free_poll);
    close(r->fd);
}

/* --- outside: flows; forwards are of IPv4 --- */

struct flow {
    TAILQ_ENTRY(flow) link;
    struct datagram_port *port;
    struct sockaddr_in peer;
    uint16_t stream;
    uint64_t used; /* when, of the loop's clock */
};

struct datagram_port {
    struct loop *loop;
    struct mux *mux;
    struct receiver receiver;
    char address[INET_ADDRSTRLEN];
    uint16_t number;
    struct timer timer;       /* for the flow idle longest */
    uint64_t idle;            /* ms */
    TAILQ_HEAD(, flow) flows; /* the one idle longest first */
    unsigned count;
};

static void touch(struct flow *f)
{
    struct datagram_port *port = f->port;

    f->used = uv_now(&port->loop->uv);
    TAILQ_REMOVE(&port->flows, f, link);
    TAILQ_INSERT_TAIL(&port->flows, f, link);
}

static void flow_received(void *opaque, const uint8_t *data, size_t size)
{
    struct flow *f = opaque;

    touch(f);
    sendto(f->port->receiver.fd, data, size, MSG_DONTWAIT, (const struct sockaddr *)&f->peer,
           sizeof(f->peer));
}

static void flow_ended(void *opaque)
{
    struct flow *f = opaque;

    TAILQ_REMOVE(&f->port->flows, f, link);
    f->port->count--;
    free(f);
}

static void end_oldest(struct datagram_port *port)
{
    mux_close(port->mux, TAILQ_FIRST(&port->flows)->stream);
}

static void end_idle(void *opaque)
{
    struct datagram_port *port = opaque;
    uint64_t now = uv_now(&port->loop->uv);
    struct flow *f;

    while ((f = TAILQ_FIRST(&port->flows)) && now - f->used >= port->idle)
        end_oldest(port);
    if (f)
        timer_set(&port->timer, (f->used + port->idle - now) * 1000000);
}

static struct flow *find_flow(struct datagram_port *port, const struct sockaddr_in *peer)
{
    struct flow *f;

    TAILQ_FOREACH (f, &port->flows, link)
        if (f->peer.sin_port == peer->sin_port && f->peer.sin_addr.s_addr == peer->sin_addr.s_addr)
            return f;
    return NULL;
}

static int open_stream(struct flow *f)
{
    static const struct mux_datagram_ops ops = {.received = flow_received, .ended = flow_ended};
    char what[64];

    snprintf(what, sizeof(what), "udp %s %u", f->port->address, f->port->number);
    return mux_open_datagrams(f->port->mux, what, &ops, f);
}

/* No flow gives way to one that then gets no stream. */
static struct flow *new_flow(struct datagram_port *port, const struct sockaddr_in *peer)
{
    struct flow *f = calloc(1, sizeof(*f));
    int id;

    if (!f)
        return NULL;
    *f = (struct flow){.port = port, .peer = *peer};
    id = open_stream(f);
    if (id < 0) {
        free(f);
        return NULL;
    }
    f->stream = (uint16_t)id;
    if (port->count == DATAGRAM_MAX_FLOWS)
        end_oldest(port);
    if (port->count++ == 0)
        timer_set(&port->timer, port->idle * 1000000);
    TAILQ_INSERT_TAIL(&port->flows, f, link);
    return f;
}

static void port_received(void *opaque, const struct sockaddr_in *from, const uint8_t *data,
                          size_t size)
{
    struct datagram_port *port = opaque;
    struct flow *f = find_flow(port, from);

    if (!f)
        f = new_flow(port, from);
    if (!f)
        return;
    touch(f);
    mux_send_datagram(port->mux, f->stream, data, size);
}

/* --- outside: the port --- */

static int bind_port(struct datagram_port *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port->number)};
    int err;

    if (inet_pton(AF_INET, port->address, &a.sin_addr) != 1)
        return fail(-EINVAL, "--forward: '%s' is not an IPv4 address", port->address);
    if (bind(port->receiver.fd, (const struct sockaddr *)&a, sizeof(a)) == 0)
        return 0;
    err = -errno;
    return fail(err, "--forward: cannot listen on UDP port %u of %s: %s; choose another port",
                port->number, port->address, strerror(-err));
}

int datagram_port_create(struct datagram_port **port, struct loop *loop, const char *address,
                         uint16_t number, unsigned idle)
{
    struct datagram_port *p = calloc(1, sizeof(*p));
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int err = !p ? -ENOMEM : fd < 0 ? -errno : 0;

    if (!err) {
        *p = (struct datagram_port){.loop = loop, .number = number, .idle = idle * UINT64_C(1000)};
        p->receiver = (struct receiver){.fd = fd, .received = port_received, .opaque = p};
        TAILQ_INIT(&p->flows);
        snprintf(p->address, sizeof(p->address), "%s", address);
        err = bind_port(p);
    }
    if (!err)
        err = timer_init(&p->timer, loop, end_idle, p);
    if (!err) {
        *port = p;
        return 0;
    }
    if (fd >= 0)
        close(fd);
    free(p);
    return err;
}

int datagram_port_start(struct datagram_port *port, struct mux *mux)
{
    port->mux = mux;
    return receiver_start(&port->receiver, port->loop);
}

void datagram_port_destroy(struct datagram_port *port)
{
    if (!port)
        return;
    while (port->count)
        end_oldest(port);
    timer_fini(&port->timer);
    receiver_stop(&port->receiver);
    free(port);
}

/* --- inside --- */

struct inside {
    struct mux *mux;
    uint16_t stream;
    struct receiver receiver;
};

static void inside_received(void *opaque, const struct sockaddr_in *from UNUSED,
                            const uint8_t *data, size_t size)
{
    struct inside *i = opaque;

    mux_send_datagram(i->mux, i->stream, data, size);
}

static void inside_send(void *opaque, const uint8_t *data, size_t size)
{
    send(((struct inside *)opaque)->receiver.fd, data, size, MSG_DONTWAIT);
}

static void inside_ended(void *opaque)
{
    struct inside *i = opaque;

    receiver_stop(&i->receiver);
    free(i);
}

void datagram_flow_attach(struct mux *mux, struct loop *loop, uint16_t id, int fd)
{
    static const struct mux_datagram_ops ops = {.received = inside_send, .ended = inside_ended};
    struct inside *i = calloc(1, sizeof(*i));

    if (!i) {
        close(fd);
        mux_close(mux, id);
        return;
    }
    *i = (struct inside){mux, id, {.fd = fd, .received = inside_received, .opaque = i}};
    mux_attach_datagrams(mux, id, &ops, i);
    if (receiver_start(&i->receiver, loop))
        mux_close(mux, id);
}
