#include "client/dial.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#define ONE_OF_MANY_MS 5000 /* that an address may take while there are others */
#define LAST_MS        10000

/* On the heap, since neither can always be taken back at once. */
struct dial_lookup {
    uv_getaddrinfo_t request;
    struct dial *dial; /* NULL: nobody waits for it any more */
};

struct dial_attempt {
    uv_poll_t poll;
    struct dial *dial;
    int fd;
};

static void finish(struct dial *d, int fd)
{
    dial_stop(d);
    d->done(d, fd);
}

/* --- one address --- */

static void free_attempt(uv_handle_t *handle)
{
    free(container_of(handle, struct dial_attempt, poll));
}

/* Ends the attempt; returns its socket. */
static int leave_attempt(struct dial *d)
{
    struct dial_attempt *a = d->attempt;
    int fd = a->fd;

    d->attempt = NULL;
    uv_poll_stop(&a->poll);
    uv_close((uv_handle_t *)&a->poll, free_attempt);
    return fd;
}

static void try_next(uv_timer_t *timer);

static void attempt_ready(uv_poll_t *poll, int status, int events UNUSED)
{
    struct dial *d = container_of(poll, struct dial_attempt, poll)->dial;
    socklen_t size = sizeof(int);
    int err = 0, fd = leave_attempt(d);

    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &size) < 0)
        err = errno;
    if (!err && !status) {
        finish(d, fd);
        return;
    }
    close(fd);
    d->err = err ? -err : status;
    try_next(&d->timer);
}

/* 0: it is under way. */
static int attempt(struct dial *d)
{
    int err, fd = socket(d->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct dial_attempt *a = fd < 0 ? NULL : malloc(sizeof(*a));

    if (fd < 0)
        return -errno;
    err = a ? 0 : -ENOMEM;
    if (!err && connect(fd, (struct sockaddr *)&d->address, d->address_size) < 0 && errno != EINPROGRESS)
        err = -errno;
    if (!err)
        err = uv_poll_init(&d->loop->uv, &a->poll, fd);
    if (err) {
        free(a);
        close(fd);
        return err;
    }
    a->dial = d;
    a->fd = fd;
    d->attempt = a;
    return uv_poll_start(&a->poll, UV_WRITABLE, attempt_ready);
}

/* --- one after the other --- */

/* The next address, if there is one. */
static bool take_address(struct dial *d)
{
    struct sockaddr_un *un = (struct sockaddr_un *)&d->address;

    if (d->next) {
        d->address_size = d->next->ai_addrlen;
        memcpy(&d->address, d->next->ai_addr, d->address_size);
        d->next = d->next->ai_next;
        return true;
    }
    if (!d->path[0] || d->tried_path)
        return false;
    static_assert(sizeof(un->sun_path) == sizeof(d->path), "a path that fits one fits the other");
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path, d->path, sizeof(un->sun_path));
    d->address_size = sizeof(*un);
    return d->tried_path = true;
}

/* After an address that does not answer, or refuses. */
static void try_next(uv_timer_t *timer)
{
    struct dial *d = timer->data;

    if (d->attempt) {
        close(leave_attempt(d));
        d->err = -ETIMEDOUT;
    }
    while (take_address(d)) {
        d->err = attempt(d);
        if (d->err == 0) {
            uv_timer_start(timer, try_next, d->next ? ONE_OF_MANY_MS : LAST_MS, 0);
            return;
        }
    }
    finish(d, d->err);
}

static void found(uv_getaddrinfo_t *request, int status, struct addrinfo *list)
{
    struct dial_lookup *lookup = container_of(request, struct dial_lookup, request);
    struct dial *d = lookup->dial;

    free(lookup);
    if (!d) {
        uv_freeaddrinfo(list);
        return;
    }
    d->lookup = NULL;
    if (status) {
        finish(d, fail(-ENOENT, "cannot find host '%s': %s\ncheck the name, or give its address", d->host,
                       uv_strerror(status)));
        return;
    }
    d->list = d->next = list;
    try_next(&d->timer);
}

static int begin(struct dial *d, struct loop *loop, dial_done_fn *done, void *opaque)
{
    int err;

    *d = (struct dial){.loop = loop, .done = done, .opaque = opaque, .err = -ECONNREFUSED};
    err = uv_timer_init(&loop->uv, &d->timer);
    d->timer.data = d;
    d->active = !err;
    return err;
}

int dial_start(struct dial *d, struct loop *loop, const char *host, const char *port, dial_done_fn *done, void *opaque)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    int err = begin(d, loop, done, opaque);

    if (err)
        return err;
    snprintf(d->host, sizeof(d->host), "%s", host);
    d->lookup = malloc(sizeof(*d->lookup));
    err = d->lookup ? uv_getaddrinfo(&loop->uv, &d->lookup->request, found, host, port, &hints) : -ENOMEM;
    if (err) {
        free(d->lookup);
        d->lookup = NULL;
        dial_stop(d);
        return err;
    }
    d->lookup->dial = d;
    return 0;
}

int dial_start_unix(struct dial *d, struct loop *loop, const char *path, dial_done_fn *done, void *opaque)
{
    int err = begin(d, loop, done, opaque);

    if (err)
        return err;
    snprintf(d->path, sizeof(d->path), "%s", path);
    return uv_timer_start(&d->timer, try_next, 0, 0);
}

void dial_stop(struct dial *d)
{
    if (!d->active)
        return;
    d->active = false;
    if (d->lookup) {
        d->lookup->dial = NULL;
        uv_cancel((uv_req_t *)&d->lookup->request);
    }
    d->lookup = NULL;
    if (d->attempt)
        close(leave_attempt(d));
    if (d->list)
        uv_freeaddrinfo(d->list);
    d->list = d->next = NULL;
    uv_close((uv_handle_t *)&d->timer, NULL);
}
