#include "client/session.h"

#include "base/error.h"
#include "base/log.h"
#include "client/cursor_channel.h"
#include "client/display_channel.h"
#include "client/inputs_channel.h"
#include "client/main_channel.h"
#include "client/playback_channel.h"
#include "client/record_channel.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINK_TIMEOUT_MS 15000
#define LAST_WORD_MS    200
#define FAR_OFF_MS      80 /* from what is heard; the clock is set */
#define FOLLOW          8  /* packets of sound, until it has gone most of a smaller way */

/* What can be opened beside the main channel. */
static int (*const openers[])(struct session *s, uint8_t id, struct channel **c) = {
    [SPICE_CHANNEL_DISPLAY] = display_channel_open,
    [SPICE_CHANNEL_INPUTS] = inputs_channel_open,
    [SPICE_CHANNEL_CURSOR] = cursor_channel_open,
    [SPICE_CHANNEL_PLAYBACK] = playback_channel_open,
    [SPICE_CHANNEL_RECORD] = record_channel_open,
};

static const char *port_for(const struct client_options *o, unsigned channel_type)
{
    return client_options_secure(o, channel_type) ? o->tls_port : o->port;
}

const char *session_server_name(const struct client_options *o, char *buf, size_t size)
{
    snprintf(buf, size,
             o->unix_path[0]        ? "%s"
             : strchr(o->host, ':') ? "[%s]:%s"
                                    : "%s:%s",
             o->unix_path[0] ? o->unix_path : o->host, port_for(o, SPICE_CHANNEL_MAIN));
    return buf;
}

void session_way(struct session *s, unsigned type, struct stream_way *way)
{
    const struct client_options *o = s->options;

    *way = (struct stream_way){
        .proxy = o->proxy.host[0] && !o->unix_path[0] ? &o->proxy : NULL,
        .host = o->host,
        .port = port_for(o, type),
        .secure = client_options_secure(o, type) ? &s->secure : NULL,
    };
}

void session_address(const struct session *s, unsigned type, struct sockaddr_storage *address)
{
    uint16_t port = htons((uint16_t)atoi(port_for(s->options, type)));

    *address = s->address;
    if (s->options->proxy.host[0])
        return;
    if (address->ss_family == AF_INET)
        ((struct sockaddr_in *)address)->sin_port = port;
    else if (address->ss_family == AF_INET6)
        ((struct sockaddr_in6 *)address)->sin6_port = port;
}

/* What to do about it; the reasons that are not here say that themselves. */
static const char *remedy_of(int err)
{
    switch (err) {
    case -EACCES:
        return "\nthe server asks for a password";
    case -EPROTO:
        return "\ncheck the port: it must be the SPICE port of a running machine";
    case LINK_WANTS_TLS:
    case TRUST_UNKNOWN:
    case -EKEYREVOKED:
        return "";
    }
    return "\nis the machine running, and is that its SPICE port? ('minivm list' shows both)";
}

static int cannot_connect(struct session *s, int err, const char *reason)
{
    char name[400], why[512];

    snprintf(why, sizeof(why), "%s", reason); /* it may be fail_text() itself */
    return fail(err, "cannot connect to %s: %s%s", session_server_name(s->options, name, sizeof(name)), why,
                remedy_of(err));
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
    if (!s->ending)
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
    if (o->proxy.host[0])
        return dial_start(&s->dial, s->loop, o->proxy.host, o->proxy.port, dialled, s);
    return dial_start(&s->dial, s->loop, o->host, port_for(o, SPICE_CHANNEL_MAIN), dialled, s);
}

int session_start(struct session *s, struct loop *loop, const struct client_options *options,
                  struct screen *screen)
{
    int err;

    *s = (struct session){.loop = loop,
                          .options = options,
                          .screen = screen,
                          .started_ns = now_ns(),
                          .outbox = s->outbox,
                          .selections = s->selections,
                          .audio = s->audio,
                          .only_dial = s->only_dial,
                          .on_gone = s->on_gone,
                          .opaque = s->opaque};
    TAILQ_INIT(&s->channels);
    err = options->tls_port[0] ? secure_init(&s->secure, options) : 0;
    if (!err && (err = uv_timer_init(&loop->uv, &s->timeout)))
        err = fail(err, "no timer: %s", uv_strerror(err));
    if (err) {
        secure_fini(&s->secure);
        return err;
    }
    s->timeout.data = s;
    err = start_dialling(s);
    if (err) /* as a name that cannot be one */
        session_end(s, SESSION_UNREACHED, cannot_connect(s, err, uv_strerror(err)));
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
    snprintf(s->reason, sizeof(s->reason), "%s", result ? fail_text() : "");
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
    secure_fini(&s->secure);
}

static void set_clock(struct session *s, uint32_t time)
{
    s->mm_ahead = time - (uint32_t)(now_ns() / 1000000);
}

void session_set_mm_time(struct session *s, uint32_t time)
{
    if (!s->sounding)
        set_clock(s, time);
}

void session_heard(struct session *s, uint32_t time)
{
    int32_t off = (int32_t)(time - session_mm_time(s));

    if (off > FAR_OFF_MS || off < -FAR_OFF_MS)
        set_clock(s, time);
    else
        s->mm_ahead += (uint32_t)(off / FOLLOW);
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

static bool is_sound(unsigned type)
{
    return type == SPICE_CHANNEL_PLAYBACK || type == SPICE_CHANNEL_RECORD;
}

static void open_channel(struct session *s, unsigned type, unsigned id)
{
    struct channel *c;
    int err;

    if (type >= ARRAY_SIZE(openers) || !openers[type] || session_find(s, type, id) ||
        s->options->disabled_channels >> type & 1)
        return;
    if (is_sound(type) && !s->audio)
        return;
    if (id >= (type == SPICE_CHANNEL_INPUTS || is_sound(type) ? 1 : SCREEN_MAX_DISPLAYS)) {
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

static void list_channels(struct session *s, const struct spice_channel_id *ids, size_t count)
{
    printf("%s 0\n", spice_channel_name(SPICE_CHANNEL_MAIN));
    for (size_t i = 0; i < count; i++)
        if (ids[i].type != SPICE_CHANNEL_MAIN)
            printf("%s %u\n", spice_channel_name(ids[i].type), ids[i].id);
    session_end(s, SESSION_FINISHED, 0);
}

void session_open_channels(struct session *s, const struct spice_channel_id *ids, size_t count)
{
    if (s->options->list_channels) {
        list_channels(s, ids, count);
        return;
    }
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
    const char *why = err == 0                                  ? "the server closed the connection at once"
                      : is_network_error(err) || !fail_text()[0] ? strerror(-err)
                                                                 : fail_text();
    enum session_outcome outcome = err == -EACCES                  ? SESSION_WANTS_PASSWORD
                                   : !err || is_network_error(err) ? SESSION_UNREACHED
                                                                   : SESSION_REFUSED;

    session_end(s, outcome, cannot_connect(s, err ? err : -ECONNRESET, why));
}

static void main_said_nothing(uv_timer_t *timer)
{
    struct session *s = timer->data;

    session_end(s, s->outcome, s->result ? fail(s->result, "%s", s->reason) : 0);
}

/* A channel has broken. What the server says of that comes by the main channel, and may still be under way. */
static void end_by_and_by(struct session *s, const struct channel *c, enum session_outcome outcome, int result)
{
    const struct channel *main_channel = session_find(s, SPICE_CHANNEL_MAIN, 0);

    if (c == main_channel || !main_channel || !channel_is_up(main_channel)) {
        session_end(s, outcome, result);
        return;
    }
    if (s->ending)
        return;
    s->ending = true;
    s->outcome = outcome;
    s->result = result;
    snprintf(s->reason, sizeof(s->reason), "%s", result ? fail_text() : "");
    uv_timer_start(&s->timeout, main_said_nothing, LAST_WORD_MS, 0);
}

void session_channel_ended(struct session *s, struct channel *c, int err)
{
    const char *name = spice_channel_name(c->ops->type);

    if (err == TRUST_UNKNOWN) {
        session_end(s, SESSION_WANTS_TRUST, cannot_connect(s, err, fail_text()));
    } else if (err == LINK_WANTS_TLS && s->options->tls_port[0] && !c->request.secure) {
        s->wants_tls = c->ops->type;
        session_end(s, SESSION_WANTS_TLS, err);
    } else if (!s->linked) {
        end_unlinked(s, err);
    } else if (err == -EAGAIN || err == 0) {
        log_info("the server closed channel %s", name);
        end_by_and_by(s, c, s->goodbye ? SESSION_FINISHED : SESSION_CLOSED, 0);
    } else if (is_network_error(err)) {
        end_by_and_by(s, c, SESSION_LOST, fail(err, "channel %s: %s", name, strerror(-err)));
    } else {
        if (!fail_text()[0])
            fail(err, "channel %s: %s", name, strerror(-err));
        session_end(s, SESSION_REFUSED, err);
    }
}

void session_outbox_changed(struct session *s)
{
    const struct outbox_progress *now = &s->outbox->progress;
    struct outbox_progress *shown = &s->screen->outbox;
    bool changed;

    screen_lock(s->screen);
    changed = memcmp(shown, now, sizeof(*now)) != 0;
    *shown = *now;
    screen_unlock(s->screen);
    if (changed)
        screen_wake(s->screen);
}

void session_permit_microphone(struct session *s)
{
    struct channel *c = session_find(s, SPICE_CHANNEL_RECORD, 0);

    if (c && channel_is_up(c))
        record_channel_permit(c);
}

void session_send_files(struct session *s)
{
    struct channel *main_channel = session_find(s, SPICE_CHANNEL_MAIN, 0);

    if (main_channel && channel_is_up(main_channel))
        main_channel_agent_go_on(main_channel); /* a connection that broke shows by itself */
    session_outbox_changed(s);
}
