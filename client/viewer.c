#include "client/viewer.h"

#include "base/error.h"
#include "base/log.h"
#include "client/terminal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_AGAIN_MS    300 /* who has sent us away still answers; who has ended no longer does */
#define FIRST_PAUSE_MS   1000
#define LONGEST_PAUSE_MS 15000

static void begin(struct viewer *v);

static const char *reason_of(const struct viewer *v)
{
    return v->session.reason[0] ? v->session.reason : "the server closed the connection";
}

static void end(struct viewer *v)
{
    v->closing = true;
    v->active = false;
    v->session.selections = NULL;
    v->session.audio = NULL;
    audio_fini(&v->audio);
    selections_close(&v->selections);
    if (!uv_is_closing((uv_handle_t *)&v->retry))
        uv_close((uv_handle_t *)&v->retry, NULL);
    screen_set_status(v->screen, CLIENT_ENDED, v->session.reason);
    if (v->on_end)
        v->on_end(v->opaque);
}

/* The user may try again. */
static void rest(struct viewer *v, const char *text)
{
    v->established = false;
    log_info("%s", text);
    screen_set_status(v->screen, CLIENT_ENDED, text);
}

/* --- again --- */

static void retry_due(uv_timer_t *timer)
{
    begin(timer->data);
}

static void pause_for(struct viewer *v, uint64_t ms)
{
    screen_lock(v->screen);
    v->screen->status.retry_ns = now_ns() + ms * 1000000;
    screen_unlock(v->screen);
    screen_set_status(v->screen, CLIENT_WAITS, reason_of(v));
    uv_timer_start(&v->retry, retry_due, ms, 0);
}

static void wait_longer(struct viewer *v)
{
    uint64_t ms = FIRST_PAUSE_MS << MIN(v->failures, 4u);

    v->failures++;
    ms = MIN(ms, LONGEST_PAUSE_MS);
    log_warn("%s; trying again in %u s", reason_of(v), (unsigned)(ms / 1000));
    pause_for(v, ms);
}

/* --- the end of a session --- */

static void unreached(struct viewer *v)
{
    if (v->established)
        wait_longer(v);
    else
        rest(v, reason_of(v));
}

/* Once for each channel, since from then on it does come by TLS. */
static void use_tls(struct viewer *v)
{
    v->options->chooses_secure = true;
    v->options->secure_channels |= 1u << v->session.wants_tls;
    begin(v);
}

static void go_on(struct viewer *v)
{
    struct client_options *o = v->options;
    const struct session_target *to = &v->session.next;

    /* With ports of both kinds, what was secure stays so. */
    if (!o->port[0] && o->tls_port[0])
        o->chooses_secure = false;
    o->unix_path[0] = '\0';
    snprintf(o->host, sizeof(o->host), "%s", to->host);
    snprintf(o->port, sizeof(o->port), "%s", to->port);
    snprintf(o->tls_port, sizeof(o->tls_port), "%s", to->tls_port);
    snprintf(o->host_subject, sizeof(o->host_subject), "%s", to->host_subject);
    begin(v);
}

static void give_up(struct viewer *v, const char *text)
{
    if (v->persistent)
        rest(v, text);
    else
        end(v);
}

/* The user has said so. */
static void trust(struct viewer *v)
{
    const struct trust_question *q = &v->session.secure.question;

    if (known_servers_add(q->server, q->fingerprint))
        give_up(v, fail_text());
    else
        begin(v);
}

/* NULL: the user gives up. */
static void answered(struct viewer *v, const char *text)
{
    enum client_state asked = v->asking;

    v->asking = CLIENT_CONNECTING;
    if (!text || (asked == CLIENT_ASKS_TRUST && strcmp(text, "yes") != 0)) {
        give_up(v, reason_of(v));
    } else if (asked == CLIENT_ASKS_TRUST) {
        trust(v);
    } else {
        snprintf(v->options->password, sizeof(v->options->password), "%s", text);
        begin(v);
    }
}

static void ask_terminal(struct viewer *v, const char *question, bool echo)
{
    char answer[sizeof(v->options->password)];

    answered(v, terminal_ask(question, echo, answer, sizeof(answer)) ? answer : NULL);
    explicit_bzero(answer, sizeof(answer));
}

static void ask(struct viewer *v, enum client_state state, const char *question)
{
    v->asking = state;
    screen_set_status(v->screen, state, question);
    if (!v->persistent)
        ask_terminal(v, question, state == CLIENT_ASKS_TRUST);
}

static void ask_password(struct viewer *v)
{
    const char *user = v->options->user;
    char name[400], text[700];

    snprintf(text, sizeof(text),
             "%sThe password %s%s%sfor %s:", v->options->password[0] ? "The password is wrong.\n" : "",
             *user ? "of " : "", user, *user ? " " : "", session_server_name(v->options, name, sizeof(name)));
    ask(v, CLIENT_ASKS_PASSWORD, text);
}

static void ask_trust(struct viewer *v)
{
    char text[700];

    trust_ask(&v->session.secure.question, text, sizeof(text));
    if (!v->persistent)
        strncat(text, " (yes or no)", sizeof(text) - strlen(text) - 1);
    ask(v, CLIENT_ASKS_TRUST, text);
}

static void lost(struct viewer *v)
{
    v->established = !v->options->no_reconnect;
    v->failures = 0;
    unreached(v);
}

static void closed(struct viewer *v)
{
    if (v->options->no_reconnect) {
        rest(v, reason_of(v));
        return;
    }
    v->established = true;
    v->failures = 0;
    v->session.only_dial = true;
    pause_for(v, LOOK_AGAIN_MS);
}

static void sent_away(struct viewer *v)
{
    rest(v, "The server closed the connection, but still answers: another viewer may have taken over.");
}

static void finished(struct viewer *v)
{
    rest(v, "The server has ended the session.");
}

static void refused(struct viewer *v)
{
    rest(v, reason_of(v));
}

static void (*const what_next[])(struct viewer *v) = {
    [SESSION_FINISHED] = finished, [SESSION_UNREACHED] = unreached,   [SESSION_WANTS_TLS] = use_tls,
    [SESSION_SENT_ON] = go_on,     [SESSION_WANTS_TRUST] = ask_trust, [SESSION_WANTS_PASSWORD] = ask_password,
    [SESSION_REFUSED] = refused,   [SESSION_REACHED] = sent_away,     [SESSION_LOST] = lost,
    [SESSION_CLOSED] = closed,
};

/* Without a window only what a terminal can help with goes on. */
static bool goes_on(const struct viewer *v)
{
    enum session_outcome outcome = v->session.outcome;

    if (v->closing)
        return false;
    if (v->persistent || outcome == SESSION_WANTS_TLS || outcome == SESSION_SENT_ON)
        return true;
    return terminal_is_there() && (outcome == SESSION_WANTS_PASSWORD || outcome == SESSION_WANTS_TRUST);
}

static void session_gone(void *opaque)
{
    struct viewer *v = opaque;

    v->active = false;
    v->session.only_dial = false;
    if (goes_on(v))
        what_next[v->session.outcome](v);
    else
        end(v);
}

static int start_session(struct viewer *v)
{
    char name[400], text[500];
    int err;

    uv_timer_stop(&v->retry);
    v->asking = CLIENT_CONNECTING;
    session_fini(&v->session);
    v->session.on_gone = session_gone;
    v->session.opaque = v;
    snprintf(text, sizeof(text), "Connecting to %s", session_server_name(v->options, name, sizeof(name)));
    screen_set_status(v->screen, CLIENT_CONNECTING, text);
    err = session_start(&v->session, v->loop, v->options, v->screen);
    v->active = !err;
    return err;
}

static void note_failure(struct viewer *v, int err)
{
    v->session.result = err;
    snprintf(v->session.reason, sizeof(v->session.reason), "%s", fail_text());
}

static void begin(struct viewer *v)
{
    int err = start_session(v);

    if (!err)
        return;
    note_failure(v, err);
    give_up(v, reason_of(v));
}

/* Where there is a window there may be an X server. */
static void share_selections(struct viewer *v)
{
    unsigned ways = v->options->clipboard;

    if (v->options->window.view_only)
        ways &= ~SELECTIONS_TO_GUEST;
    if (selections_open(&v->selections, v->loop, ways))
        log_info("what is copied is not shared: %s", fail_text());
    else
        v->session.selections = &v->selections;
}

static void prepare_audio(struct viewer *v)
{
    const struct client_options *o = v->options;

    if (!o->audio)
        return;
    if (audio_init(&v->audio, o->audio_device, o->microphone))
        log_info("no sound: %s", strerror(errno));
    else
        v->session.audio = &v->audio;
}

int viewer_start(struct viewer *v, struct loop *loop, struct client_options *options, struct screen *screen,
                 bool persistent)
{
    int err;

    *v = (struct viewer){.loop = loop,
                         .options = options,
                         .screen = screen,
                         .persistent = persistent,
                         .on_end = v->on_end,
                         .opaque = v->opaque};
    outbox_init(&v->outbox);
    v->session.outbox = &v->outbox;
    prepare_audio(v);
    if (persistent)
        share_selections(v);
    err = uv_timer_init(&loop->uv, &v->retry);
    v->retry.data = v;
    return err ? fail(err, "no timer: %s", uv_strerror(err)) : start_session(v);
}

void viewer_end(struct viewer *v, int result)
{
    if (v->closing)
        return;
    v->closing = true;
    if (v->active) {
        session_end(&v->session, SESSION_FINISHED, result);
        return;
    }
    if (result)
        note_failure(v, result);
    end(v);
}

void viewer_fini(struct viewer *v)
{
    session_fini(&v->session);
    audio_fini(&v->audio);
    outbox_fini(&v->outbox);
}

/* --- from other threads --- */

struct user_call {
    struct viewer *viewer;
    struct user_event event;
    bool given;
    char text[sizeof(((struct client_options *)NULL)->password)];
};

static void call(struct viewer *v, void (*fn)(void *arg), const struct user_call *what)
{
    struct user_call *copy = malloc(sizeof(*copy));

    if (!copy)
        return;
    *copy = *what;
    copy->viewer = v;
    loop_call(v->loop, fn, copy);
}

static void run_answer(void *arg)
{
    struct user_call *c = arg;

    if (c->viewer->asking != CLIENT_CONNECTING && !c->viewer->closing)
        answered(c->viewer, c->given ? c->text : NULL);
    explicit_bzero(c, sizeof(*c));
    free(c);
}

void viewer_answer(struct viewer *v, const char *text)
{
    struct user_call c = {.given = text};

    snprintf(c.text, sizeof(c.text), "%s", text ? text : "");
    call(v, run_answer, &c);
    explicit_bzero(&c, sizeof(c));
}

static void run_retry(void *arg)
{
    struct viewer *v = arg;

    if (v->active || v->asking || v->closing)
        return;
    v->session.only_dial = false;
    begin(v);
}

void viewer_retry(struct viewer *v)
{
    loop_call(v->loop, run_retry, v);
}

static void run_close(void *arg)
{
    viewer_end(arg, 0);
}

void viewer_close(struct viewer *v)
{
    loop_call(v->loop, run_close, v);
}

static void run_event(void *arg)
{
    struct user_call *c = arg;

    if (c->viewer->active)
        session_event(&c->viewer->session, &c->event);
    free(c);
}

void viewer_post(struct viewer *v, const struct user_event *event)
{
    call(v, run_event, &(struct user_call){.event = *event});
}

struct send_call {
    struct viewer *viewer;
    char path[];
};

static void run_send(void *arg)
{
    struct send_call *c = arg;

    outbox_add(&c->viewer->outbox, c->path);
    session_send_files(&c->viewer->session);
    free(c);
}

void viewer_send(struct viewer *v, const char *path)
{
    struct send_call *c = malloc(sizeof(*c) + strlen(path) + 1);

    if (!c)
        return;
    c->viewer = v;
    strcpy(c->path, path);
    loop_call(v->loop, run_send, c);
}

static void permit(struct viewer *v, enum microphone_permission permission)
{
    v->audio.permission = permission;
    if (v->active)
        session_permit_microphone(&v->session);
}

static void run_allow(void *arg)
{
    permit(arg, MICROPHONE_ALLOWED);
}

static void run_refuse(void *arg)
{
    permit(arg, MICROPHONE_REFUSED);
}

void viewer_permit_microphone(struct viewer *v, bool allowed)
{
    loop_call(v->loop, allowed ? run_allow : run_refuse, v);
}

static void run_cancel(void *arg)
{
    struct viewer *v = arg;

    outbox_cancel(&v->outbox);
    session_send_files(&v->session);
}

void viewer_cancel_sending(struct viewer *v)
{
    loop_call(v->loop, run_cancel, v);
}
