#include "client/session.h"

#include "base/error.h"
#include "base/log.h"
#include "client/cursor_channel.h"
#include "client/display_channel.h"
#include "client/inputs_channel.h"
#include "client/main_channel.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#define LINK_TIMEOUT_MS   15000
#define CONNECT_TIMEOUT_S 10

/* What can be opened beside the main channel. */
static int (*const openers[])(struct session *s, uint8_t id, struct channel **c) = {
    [SPICE_CHANNEL_DISPLAY] = display_channel_open,
    [SPICE_CHANNEL_INPUTS] = inputs_channel_open,
    [SPICE_CHANNEL_CURSOR] = cursor_channel_open,
};

static const char *server_name(const struct client_options *o, char *buf, size_t size)
{
    snprintf(buf, size,
             o->unix_path[0]        ? "%s"
             : strchr(o->host, ':') ? "[%s]:%s"
                                    : "%s:%s",
             o->unix_path[0] ? o->unix_path : o->host, o->port);
    return buf;
}

static int cannot_connect(struct session *s, int err, const char *reason)
{
    char name[400], why[300];
    const char *remedy =
        err == -EACCES ? "the server asks for a password"
        : err == -EPROTO
            ? "check the port: it must be the SPICE port of a running machine"
            : "is the machine running, and is that its SPICE port? ('minivm list' shows both)";

    snprintf(why, sizeof(why), "%s", reason); /* it may be fail_text() itself */
    return fail(err, "cannot connect to %s: %s\n%s", server_name(s->options, name, sizeof(name)),
                why, remedy);
}

static void timed_out(uv_timer_t *timer)
{
    struct session *s = timer->data;
    struct channel *c;

    TAILQ_FOREACH (c, &s->channels, entry) {
        if (channel_is_up(c))
            continue;
        session_end(s, cannot_connect(s, -ETIMEDOUT, "it does not answer"));
        return;
    }
}

static void add_channel(struct session *s, struct channel *c)
{
    TAILQ_INSERT_TAIL(&s->channels, c, entry);
    uv_timer_start(&s->timeout, timed_out, LINK_TIMEOUT_MS, 0);
}

/* Connect to this address and remember it for the other channels. Returns a descriptor or -errno. */
static int connect_to(struct session *s, const void *address, socklen_t size)
{
    struct timeval limit = {.tv_sec = CONNECT_TIMEOUT_S};
    int err, fd;

    memcpy(&s->address, address, size);
    s->address_size = size;
    fd = socket(s->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    if (connect(fd, address, size) < 0) {
        err = errno == EINPROGRESS ? -ETIMEDOUT : -errno;
        close(fd);
        return err;
    }
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

static int connect_unix(struct session *s)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};

    static_assert(sizeof(un.sun_path) == sizeof(s->options->unix_path),
                  "a path that fits one fits the other");
    memcpy(un.sun_path, s->options->unix_path, sizeof(un.sun_path));
    return connect_to(s, &un, sizeof(un));
}

/* A name may have several addresses; the first that answers is taken. */
static int connect_tcp(struct session *s)
{
    const struct client_options *o = s->options;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list;
    int fd = -ECONNREFUSED, err = getaddrinfo(o->host, o->port, &hints, &list);

    if (err)
        return fail(-ENOENT, "cannot find host '%s': %s\ncheck the name, or give its address",
                    o->host, gai_strerror(err));
    for (struct addrinfo *a = list; a && fd < 0; a = a->ai_next)
        fd = connect_to(s, a->ai_addr, a->ai_addrlen);
    freeaddrinfo(list);
    return fd < 0 ? cannot_connect(s, fd, strerror(-fd)) : fd;
}

static int connect_server(struct session *s)
{
    int fd;

    if (!s->options->unix_path[0])
        return connect_tcp(s);
    fd = connect_unix(s);
    return fd < 0 ? cannot_connect(s, fd, strerror(-fd)) : fd;
}

int session_start(struct session *s, struct loop *loop, const struct client_options *options,
                  struct screen *screen)
{
    struct channel *c;
    int err, fd;

    *s = (struct session){
        .loop = loop, .options = options, .screen = screen, .started_ns = now_ns()};
    TAILQ_INIT(&s->channels);
    fd = connect_server(s);
    if (fd < 0)
        return fd;
    err = uv_timer_init(&loop->uv, &s->timeout);
    if (!err)
        err = main_channel_open(s, fd, &c);
    if (err)
        return fail(err, "cannot open the main channel: %s", strerror(-err));
    s->timeout.data = s;
    add_channel(s, c);
    return 0;
}

static void note_result(struct session *s, int result)
{
    s->result = result;
    if (result)
        snprintf(s->reason, sizeof(s->reason), "%s", fail_text());
}

void session_end(struct session *s, int result)
{
    struct channel *c;

    if (s->ended)
        return;
    s->ended = true;
    note_result(s, result);
    TAILQ_FOREACH (c, &s->channels, entry)
        channel_close(c);
    s->inputs = NULL;
    if (!uv_is_closing((uv_handle_t *)&s->timeout))
        uv_close((uv_handle_t *)&s->timeout, NULL);
    screen_set_status(s->screen, CLIENT_ENDED, s->reason);
    if (s->on_end)
        s->on_end(s->opaque);
}

void session_fini(struct session *s)
{
    struct channel *c;

    screen_lock(s->screen);
    screen_set_primary(s->screen, NULL);
    screen_unlock(s->screen);
    while ((c = TAILQ_FIRST(&s->channels))) {
        TAILQ_REMOVE(&s->channels, c, entry);
        c->ops->destroy(c);
    }
}

void session_set_mm_time(struct session *s, uint32_t time)
{
    s->mm_ahead = time - (uint32_t)(now_ns() / 1000000);
}

uint32_t session_mm_time(const struct session *s)
{
    return (uint32_t)(now_ns() / 1000000) + s->mm_ahead;
}

struct channel *session_find(struct session *s, unsigned type, unsigned id)
{
    struct channel *c;

    TAILQ_FOREACH (c, &s->channels, entry)
        if (c->ops->type == type && c->id == id)
            return c;
    return NULL;
}

static void open_channel(struct session *s, unsigned type, unsigned id)
{
    struct channel *c;
    int err;

    if (type >= ARRAY_SIZE(openers) || !openers[type] || session_find(s, type, id))
        return;
    if (id > 0) {
        log_info("channel %s %u is not shown", spice_channel_name(type), id);
        return;
    }
    err = openers[type](s, (uint8_t)id, &c);
    if (err)
        session_end(
            s, fail(err, "cannot open channel %s: %s", spice_channel_name(type), strerror(-err)));
    else
        add_channel(s, c);
}

void session_open_channels(struct session *s, const struct spice_channel_id *ids, size_t count)
{
    for (size_t i = 0; i < count && !s->ended; i++)
        open_channel(s, ids[i].type, ids[i].id);
}

void session_progress(struct session *s, struct channel *c)
{
    struct channel *other;

    TAILQ_FOREACH (other, &s->channels, entry)
        if (other != c)
            channel_retry(other);
}

void session_channel_ended(struct session *s, struct channel *c, int err)
{
    if (!s->linked)
        err = cannot_connect(s, err ? err : -ECONNRESET,
                             err == 0 ? "the server closed the connection at once"
                             : err == -EACCES || err == -EPROTO ? fail_text()
                                                                : strerror(-err));
    else if (err == -EAGAIN || err == 0)
        log_info("the server closed channel %s", spice_channel_name(c->ops->type));
    else if (!fail_text()[0])
        fail(err, "channel %s: %s", spice_channel_name(c->ops->type), strerror(-err));
    session_end(s, err);
}
