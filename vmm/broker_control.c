/* broker_control.c - the broker between --control and the machine: it hears the names before the machine does. */
#include "base/error.h"
#include "base/fd_message.h"
#include "vmm/broker_private.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHUNK 4096

enum { USER, MACHINE };

/* One of a connection's two sockets, and what is on its way to it. */
struct end {
    struct client *client;
    struct end *other;
    uv_poll_t poll;
    int fd;
    char pending[CHUNK];
    size_t size, sent;
    bool says_no_more;
};

struct client {
    struct broker_control *control;
    LIST_ENTRY(client) link;
    struct broker_strings strings;
    struct end ends[2];
    unsigned open_handles;
};

struct broker_control {
    struct listener *listener;
    struct loop *loop;
    struct broker_rules *rules;
    int events;
    LIST_HEAD(, client) clients;
};

static void ready(uv_poll_t *poll, int status, int events);

static void closed(uv_handle_t *handle)
{
    struct client *c = ((struct end *)handle->data)->client;

    if (--c->open_handles == 0)
        free(c);
}

static void drop(struct client *c)
{
    LIST_REMOVE(c, link);
    for (unsigned i = 0; i < ARRAY_SIZE(c->ends); i++) {
        uv_close((uv_handle_t *)&c->ends[i].poll, closed);
        close(c->ends[i].fd);
    }
}

static void watch(struct end *e)
{
    bool listens = !e->says_no_more && !e->other->size;

    uv_poll_start(&e->poll, (listens ? UV_READABLE : 0) | (e->size ? UV_WRITABLE : 0), ready);
}

static bool is_over(const struct end *e)
{
    return e->says_no_more && !e->other->size;
}

/* False: it has gone. */
static bool hand_on(struct end *to)
{
    ssize_t n = send(to->fd, to->pending + to->sent, to->size - to->sent, MSG_NOSIGNAL | MSG_DONTWAIT);

    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    to->sent += (size_t)n;
    if (to->sent == to->size)
        to->size = to->sent = 0;
    return true;
}

static bool take(struct end *from)
{
    struct client *c = from->client;
    struct end *to = from->other;
    ssize_t n = recv(from->fd, to->pending, sizeof(to->pending), MSG_DONTWAIT);

    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    if (n == 0) {
        from->says_no_more = true;
        shutdown(to->fd, SHUT_WR);
        return true;
    }
    if (from == &c->ends[USER])
        broker_rules_listen(c->control->rules, &c->strings, to->pending, (size_t)n);
    to->size = (size_t)n;
    return hand_on(to);
}

static void ready(uv_poll_t *poll, int status, int events)
{
    struct end *e = poll->data;
    bool there = status == 0;

    if (there && events & UV_WRITABLE && e->size)
        there = hand_on(e);
    if (there && events & UV_READABLE && !e->other->size)
        there = take(e);
    if (!there || (is_over(e) && is_over(e->other))) {
        drop(e->client);
        return;
    }
    watch(e);
    watch(e->other);
}

static void on_connection(void *opaque, int fd, const char *peer UNUSED)
{
    static const struct broker_event event = {.kind = BROKER_CONTROL};
    struct broker_control *control = opaque;
    struct client *c = calloc(1, sizeof(*c));
    int pair[2] = {-1, -1};

    if (!c || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) ||
        fd_send(control->events, &event, sizeof(event), pair[1])) {
        close(pair[0]);
        close(pair[1]);
        close(fd);
        free(c);
        return;
    }
    close(pair[1]);
    c->control = control;
    c->open_handles = ARRAY_SIZE(c->ends);
    for (unsigned i = 0; i < ARRAY_SIZE(c->ends); i++) {
        struct end *e = &c->ends[i];

        e->client = c;
        e->other = &c->ends[!i];
        e->fd = i == USER ? fd : pair[0];
        e->poll.data = e;
        if (uv_poll_init(&control->loop->uv, &e->poll, e->fd))
            abort(); /* the descriptor is new and the kernel's limit is that of descriptors */
    }
    LIST_INSERT_HEAD(&control->clients, c, link);
    watch(&c->ends[USER]);
    watch(&c->ends[MACHINE]);
}

int broker_control_create(struct broker_control **created, struct loop *loop, const char *path, int events,
                          struct broker_rules *rules)
{
    struct broker_control *control = calloc(1, sizeof(*control));
    int err;

    if (!control)
        return -ENOMEM;
    control->loop = loop;
    control->rules = rules;
    control->events = events;
    LIST_INIT(&control->clients);
    err = listener_create_unix(&control->listener, loop, "--control", path, on_connection, control);
    if (err)
        free(control);
    else
        *created = control;
    return err;
}

void broker_control_destroy(struct broker_control *control)
{
    if (!control)
        return;
    listener_destroy(control->listener);
    while (!LIST_EMPTY(&control->clients))
        drop(LIST_FIRST(&control->clients));
    free(control);
}
