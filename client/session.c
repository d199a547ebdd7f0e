#include "client/session.h"

#include "base/error.h"
#include "base/log.h"
#include "client/cursor_channel.h"
#include "client/display_channel.h"
#include "client/inputs_channel.h"
#include "client/main_channel.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINK_TIMEOUT_MS 15000

/* What can be opened beside the main channel. */
static int (*const openers[])(struct session *s, uint8_t id, struct channel **c) = {
    [SPICE_CHANNEL_DISPLAY] = display_channel_open,
    [SPICE_CHANNEL_INPUTS] = inputs_channel_open,
    [SPICE_CHANNEL_CURSOR] = cursor_channel_open,
};

const char *session_server_name(const struct client_options *o, char *buf, size_t size)
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
    return fail(err, "cannot connect to %s: %s\n%s", session_server_name(s->options, name, sizeof(name)),
                why, remedy);
}

static void timed_out(uv_timer_t *timer)
{
    struct session *s = timer->data;
    struct channel *c;

    TAILQ_FOREACH (c, &s->channels, entry) {
        if (channel_is_up(c))
            continue;
        session_end(s, s->linked ? SESSION_LOST : SESSION_UNREACHED,
                    cannot_connect(s, -ETIMEDOUT, "it does not answer"));
        return;
    }
}

static void add_channel(struct session *s, struct channel *c)
{
    TAILQ_INSERT_TAIL(&s->channels, c, entry);
    uv_timer_start(&s->timeout, timed_out, LINK_TIMEOUT_MS, 0);
}

static void open_main_channel(struct session *s, int fd)
{
    struct channel *c;
    int err = main_channel_open(s, fd, &c);

    if (err)
        session_end(s, SESSION_REFUSED, fail(err, "cannot open the main channel: %s", strerror(-err)));
    else
        add_channel(s, c);
}

static void dialled(struct dial *dial, int fd)
{
    struct session *s = dial->opaque;

    s->address = dial->address;
    s->address_size = dial->address_size;
    if (fd == -ENOENT && !s->options->unix_path[0]) {
        session_end(s, SESSION_UNREACHED, fd);
    } else if (fd < 0) {
        session_end(s, SESSION_UNREACHED, cannot_connect(s, fd, strerror(-fd)));
    } else if (s->only_dial) {
        close(fd);
        session_end(s, SESSION_REACHED, 0);
    } else {
        screen_set_status(s->screen, CLIENT_AUTHENTICATING, NULL);
        open_main_channel(s, fd);
    }
}

static int start_dialling(struct session *s)
{
    const struct client_options *o = s->options;

    if (o->unix_path[0])
        return dial_start_unix(&s->dial, s->loop, o->unix_path, dialled, s);
    return dial_start(&s->dial, s->loop, o->host, o->port, dialled, s);
}

int session_start(struct session *s, struct loop *loop, const struct client_options *options,
                  struct screen *screen)
{
    char name[400];
    int err;

    *s = (struct session){.loop = loop,
                          .options = options,
                          .screen = screen,
                          .started_ns = now_ns(),
                          .only_dial = s->only_dial,
                          .on_gone = s->on_gone,
                          .opaque = s->opaque};
    TAILQ_INIT(&s->channels);
    err = uv_timer_init(&loop->uv, &s->timeout);
    s->timeout.data = s;
    if (!err)
        err = start_dialling(s);
    if (err)
        return fail(err, "cannot connect to %s: %s", session_server_name(options, name, sizeof(name)),
                    uv_strerror(err));
    return 0;
}

static void gone(void *arg)
{
    struct session *s = arg;

    if (s->on_gone)
        s->on_gone(s->opaque);
}

/* All handles were closed in one go, so the loop forgets them in one: by its next round nothing of them is left. */
static void timeout_closed(uv_handle_t *handle)
{
    struct session *s = handle->data;

    loop_call(s->loop, gone, s);
}

void session_end(struct session *s, enum session_outcome outcome, int result)
{
    struct channel *c;

    if (s->ended)
        return;
    s->ended = true;
    s->outcome = outcome;
    s->result = result;
    if (result)
        snprintf(s->reason, sizeof(s->reason), "%s", fail_text());
    dial_stop(&s->dial);
    TAILQ_FOREACH (c, &s->channels, entry)
        channel_close(c);
    s->inputs = NULL;
    uv_close((uv_handle_t *)&s->timeout, timeout_closed);
}

void session_fini(struct session *s)
{
    struct channel *c;

    if (!s->screen)
        return;
    screen_lock(s->screen);
    for (size_t i = 0; i < SCREEN_MAX_DISPLAYS; i++)
        screen_clear_display(&s->screen->displays[i]);
    s->screen->display_count = 0;
    s->screen->agent = false;
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

static void count_display(struct screen *screen)
{
    screen_lock(screen);
    screen->display_count++;
    screen_unlock(screen);
}

static void open_channel(struct session *s, unsigned type, unsigned id)
{
    struct channel *c;
    int err;

    if (type >= ARRAY_SIZE(openers) || !openers[type] || session_find(s, type, id))
        return;
    if (id >= (type == SPICE_CHANNEL_INPUTS ? 1 : SCREEN_MAX_DISPLAYS)) {
        log_info("channel %s %u is not shown", spice_channel_name(type), id);
        return;
    }
    err = openers[type](s, (uint8_t)id, &c);
    if (err)
        session_end(s, SESSION_LOST,
                    fail(err, "cannot open channel %s: %s", spice_channel_name(type), strerror(-err)));
    else
        add_channel(s, c);
    if (!err && type == SPICE_CHANNEL_DISPLAY)
        count_display(s->screen);
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

static bool is_network_error(int err)
{
    static const int errors[] = {ECONNRESET,   ECONNREFUSED, ECONNABORTED, ETIMEDOUT, EPIPE,
                                 EHOSTUNREACH, EHOSTDOWN,    ENETUNREACH,  ENETDOWN,  ENETRESET};

    for (size_t i = 0; i < ARRAY_SIZE(errors); i++)
        if (err == -errors[i])
            return true;
    return false;
}

/* Before the server has let us in. */
static void end_unlinked(struct session *s, int err)
{
    bool said = err && !is_network_error(err);
    enum session_outcome outcome = err == -EACCES ? SESSION_WANTS_PASSWORD
                                   : said         ? SESSION_REFUSED
                                                  : SESSION_UNREACHED;

    session_end(s, outcome,
                cannot_connect(s, err ? err : -ECONNRESET,
                               err == 0 ? "the server closed the connection at once"
                               : err == -EACCES || err == -EPROTO ? fail_text()
                                                                  : strerror(-err)));
}

void session_channel_ended(struct session *s, struct channel *c, int err)
{
    const char *name = spice_channel_name(c->ops->type);

    if (!s->linked) {
        end_unlinked(s, err);
    } else if (err == -EAGAIN || err == 0) {
        log_info("the server closed channel %s", name);
        session_end(s, s->goodbye ? SESSION_FINISHED : SESSION_CLOSED, 0);
    } else if (is_network_error(err)) {
        session_end(s, SESSION_LOST, fail(err, "channel %s: %s", name, strerror(-err)));
    } else {
        if (!fail_text()[0])
            fail(err, "channel %s: %s", name, strerror(-err));
        session_end(s, SESSION_REFUSED, err);
    }
}
