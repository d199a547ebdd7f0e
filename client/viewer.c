#include "client/viewer.h"

#include "base/error.h"
#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_AGAIN_MS 300   /* who has sent us away still answers; who has ended no longer does */
#define FIRST_PAUSE_MS 1000
#define LONGEST_PAUSE_MS 15000

static void begin(struct viewer *v);

static const char *reason_of(const struct viewer *v)
{
    return v->session.reason[0] ? v->session.reason : "the server closed the connection";
}

static void end(struct viewer *v)
{
    v->active = false;
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

static void ask_password(struct viewer *v)
{
    char name[400], text[500];

    snprintf(text, sizeof(text), v->options->password[0] ? "The password is wrong.\nThe password for %s:" : "The password for %s:",
             session_server_name(v->options, name, sizeof(name)));
    v->asking = true;
    screen_set_status(v->screen, CLIENT_ASKS_PASSWORD, text);
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
    [SESSION_FINISHED] = finished,
    [SESSION_UNREACHED] = unreached,
    [SESSION_WANTS_PASSWORD] = ask_password,
    [SESSION_REFUSED] = refused,
    [SESSION_REACHED] = sent_away,
    [SESSION_LOST] = lost,
    [SESSION_CLOSED] = closed,
};

static void session_gone(void *opaque)
{
    struct viewer *v = opaque;

    v->active = false;
    v->session.only_dial = false;
    if (!v->persistent)
        v->closing = true;
    if (v->closing)
        end(v);
    else
        what_next[v->session.outcome](v);
}

static int start_session(struct viewer *v)
{
    char name[400], text[500];
    int err;

    uv_timer_stop(&v->retry);
    v->asking = false;
    session_fini(&v->session);
    v->session.on_gone = session_gone;
    v->session.opaque = v;
    snprintf(text, sizeof(text), "Connecting to %s", session_server_name(v->options, name, sizeof(name)));
    screen_set_status(v->screen, CLIENT_CONNECTING, text);
    err = session_start(&v->session, v->loop, v->options, v->screen);
    v->active = !err;
    return err;
}

static void begin(struct viewer *v)
{
    if (start_session(v))
        rest(v, fail_text());
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
    if (result) {
        v->session.result = result;
        snprintf(v->session.reason, sizeof(v->session.reason), "%s", fail_text());
    }
    end(v);
}

void viewer_fini(struct viewer *v)
{
    session_fini(&v->session);
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
    struct viewer *v = c->viewer;

    if (v->asking && !v->closing && c->given) {
        snprintf(v->options->password, sizeof(v->options->password), "%s", c->text);
        begin(v);
    } else if (v->asking && !v->closing) {
        v->asking = false;
        rest(v, reason_of(v));
    }
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
