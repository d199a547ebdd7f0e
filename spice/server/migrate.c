/*
 * migrate.c - clients go with a machine to another host: what is said to them there and here, and how long that may take.
 *
 *   CONNECTING -> (each client has answered, or the time is over) -> CONNECTED -> GOING -> (all have gone, or the time is over)
 *
 * Who answers late is late, not lost: what counts is how far each is at the end. Then each goes as well as it can: with its
 * channels' state (MIGRATE on each channel, then MIGRATE_DATA), or, connected there, but starting anew (MIGRATE_END), or by
 * connecting when it is told to (SWITCH_HOST). Who has not gone when the time is over is not coming along, and is closed.
 */
#include "base/error.h"
#include "base/log.h"
#include "spice/server/private.h"

#include <errno.h>
#include <stdlib.h>

#define MAX_HOST 256 /* bytes of a destination's name */

struct migration {
    struct spice_server *server;
    enum { CONNECTING, CONNECTED, GOING } state;
    bool told; /* done() was called for this state */
    uv_timer_t timer;
    char host[MAX_HOST], subject[MAX_HOST]; /* subject "": none */
    struct spice_destination to;
    void (*done)(void *opaque);
    void *opaque;
};

/* Of each session; sending may end it. */
static void for_each(struct spice_server *server, void (*fn)(struct session *session))
{
    struct session *session, *next;

    for (session = LIST_FIRST(&server->sessions); session; session = next) {
        next = LIST_NEXT(session, entry);
        fn(session);
    }
}

static unsigned count(const struct spice_server *server, enum session_move move)
{
    const struct session *session;
    unsigned n = 0;

    LIST_FOREACH (session, &server->sessions, entry)
        n += session->move == move;
    return n;
}

static void forget(uv_handle_t *handle)
{
    free(container_of((uv_timer_t *)handle, struct migration, timer));
}

void migrate_destroy(struct migration *m)
{
    if (!m)
        return;
    m->server->migration = NULL;
    uv_close((uv_handle_t *)&m->timer, forget);
}

/* --- when --- */

static void close_going(struct session *session)
{
    if (session->move != MOVE_GOING)
        return;
    log_warn("spice: %s did not go to the other server in time", session->peer);
    channel_close(session->main);
}

/* Whoever is told may start the next step at once. */
static void tell(struct migration *m)
{
    void (*done)(void *opaque) = m->done;
    void *opaque = m->opaque;

    if (m->state == GOING)
        migrate_destroy(m);
    else
        m->state = CONNECTED;
    if (done)
        done(opaque);
}

static void time_over(uv_timer_t *timer)
{
    struct migration *m = timer->data;
    struct spice_server *server = m->server;

    m->told = true; /* here, not by the last who goes now */
    if (m->state == CONNECTING) {
        log_info("spice: of %u viewers %u are connected to %s, %u with all they show", server->session_count,
                 count(server, MOVE_READY) + count(server, MOVE_SEAMLESS), m->to.host, count(server, MOVE_SEAMLESS));
    } else {
        for_each(server, close_going);
    }
    tell(m);
}

/* The state ends when the loop comes round: never inside of a call, nor of a channel's. */
static void look(struct migration *m)
{
    bool waits = m->state == CONNECTING ? count(m->server, MOVE_ASKED) : count(m->server, MOVE_GOING);

    if (m->state != CONNECTED && !m->told && !waits)
        uv_timer_start(&m->timer, time_over, 0, 0);
}

static void begin(struct migration *m, int state, void (*done)(void *opaque), void *opaque)
{
    m->state = state;
    m->told = false;
    m->done = done;
    m->opaque = opaque;
    uv_update_time(m->timer.loop);
    uv_timer_start(&m->timer, time_over, m->server->move_time, 0);
}

/* --- what clients say --- */

void migrate_answer(struct session *session, enum session_move move)
{
    struct migration *m = session->server->migration;

    if (!session->unanswered || --session->unanswered || session->move != MOVE_ASKED || !m)
        return;
    if (move == MOVE_SEAMLESS && !channel_has_cap(session->main, SPICE_MAIN_CAP_SEAMLESS_MIGRATE))
        move = MOVE_READY;
    if (move == MOVE_NONE)
        log_info("spice: %s could not connect to %s", session->peer, m->to.host);
    session->move = move;
    look(m);
}

void migrate_gone(struct session *session)
{
    if (session->server->migration)
        look(session->server->migration);
}

/* --- what is wanted --- */

static int check(const struct spice_destination *to)
{
    if (!to->host || !*to->host || strlen(to->host) >= MAX_HOST || (to->subject && strlen(to->subject) >= MAX_HOST))
        return fail(-EINVAL, "viewers cannot be sent to a host without a name, or with one this long");
    if (to->port <= 0 && to->tls_port <= 0)
        return fail(-EINVAL, "viewers cannot be sent to a host without a port");
    return 0;
}

int spice_server_switch_host(struct spice_server *server, const struct spice_destination *to)
{
    struct session *session, *next;
    int err = check(to);

    if (err)
        return err;
    log_info("spice: %u viewers are sent to %s", server->session_count, to->host);
    for (session = LIST_FIRST(&server->sessions); session; session = next) { /* sending may end it */
        next = LIST_NEXT(session, entry);
        main_channel_send_switch(session->main, to);
    }
    return 0;
}

static void ask(struct session *session)
{
    const struct migration *m = session->server->migration;

    session->move = MOVE_ASKED; /* before: sending may end it */
    session->unanswered++;
    if (!session->arriving && main_channel_send_begin(session->main, &m->to))
        return;
    session->move = MOVE_NONE;
    session->unanswered--;
}

int spice_server_migrate_start(struct spice_server *server, const struct spice_destination *to,
                               void (*done)(void *opaque), void *opaque)
{
    struct migration *m;
    int err = check(to);

    if (err)
        return err;
    if (server->migration)
        return fail(-EBUSY, "viewers are on their way to %s already", server->migration->to.host);
    m = calloc(1, sizeof(*m));
    if (!m)
        return -ENOMEM;
    m->server = server;
    m->to = *to;
    m->to.host = strcpy(m->host, to->host);
    m->to.subject = to->subject ? strcpy(m->subject, to->subject) : NULL;
    uv_timer_init(&server->loop->uv, &m->timer);
    m->timer.data = m;
    server->migration = m;
    begin(m, CONNECTING, done, opaque);
    for_each(server, ask);
    look(m);
    return 0;
}

static void go(struct session *session)
{
    enum session_move how = session->move;

    session->move = MOVE_GOING;
    if (how == MOVE_SEAMLESS)
        session_leave(session);
    else if (how == MOVE_READY)
        channel_send(session->main, SPICE_MSG_MAIN_MIGRATE_END, NULL);
    else
        main_channel_send_switch(session->main, &session->server->migration->to);
}

int spice_server_migrate_finish(struct spice_server *server, void (*done)(void *opaque), void *opaque)
{
    struct migration *m = server->migration;

    if (!m || m->state == GOING)
        return fail(-EINVAL, "viewers are not about to go anywhere");
    begin(m, GOING, done, opaque);
    for_each(server, go);
    look(m);
    return 0;
}

static void call_back(struct session *session)
{
    enum session_move how = session->move;

    session->move = MOVE_NONE;
    if (how != MOVE_NONE)
        channel_send(session->main, SPICE_MSG_MAIN_MIGRATE_CANCEL, NULL);
}

int spice_server_migrate_cancel(struct spice_server *server)
{
    if (!server->migration)
        return fail(-EINVAL, "viewers are not about to go anywhere");
    if (server->migration->state == GOING)
        return fail(-EBUSY, "viewers have been sent to %s already", server->migration->to.host);
    migrate_destroy(server->migration);
    for_each(server, call_back);
    return 0;
}

static void send_back(struct session *session)
{
    if (session->arriving)
        channel_close(session->main);
}

void spice_server_migrate_expect(struct spice_server *server, bool on)
{
    server->expects = on;
    if (!on)
        for_each(server, send_back);
}
