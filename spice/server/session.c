/* Clients: a main channel, and the channels that joined it by its connection id. */
#include "base/log.h"
#include "spice/server/private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

struct session *session_find(struct spice_server *server, uint32_t id)
{
    struct session *session;

    LIST_FOREACH (session, &server->sessions, entry)
        if (session->id == id)
            return session;
    return NULL;
}

/* A number that a stranger cannot guess, since it lets further channels in. */
static uint32_t new_id(struct spice_server *server)
{
    uint32_t id = 0;

    while (!id || session_find(server, id))
        if (getrandom(&id, sizeof(id), 0) != sizeof(id))
            id = 0;
    return id;
}

void session_start(struct spice_server *server, const struct channel_params *params, const char *password)
{
    struct session *session = calloc(1, sizeof(*session));

    if (!session) {
        stream_close(params->stream);
        return;
    }
    session->server = server;
    session->id = new_id(server);
    snprintf(session->peer, sizeof(session->peer), "%s", params->stream->peer);
    snprintf(session->password, sizeof(session->password), "%s", password);
    session->view_only = params->view_only;
    session->since = uv_hrtime();
    LIST_INSERT_HEAD(&server->sessions, session, entry);
    server->session_count++;
    log_info("spice: %s is connected%s%s", params->stream->peer,
             params->stream->secure ? "" : ", without encryption", session->view_only ? ", and may only look" : "");
    if (!main_channel_create(session, params))
        session_end(session);
}

struct session *session_owner(const struct spice_server *server)
{
    struct session *session, *owner = NULL;

    LIST_FOREACH (session, &server->sessions, entry) /* the newest first */
        if (!session->view_only)
            owner = session;
    return owner;
}

void session_end(struct session *session)
{
    struct spice_server *server = session->server;
    struct session *before = session_owner(server), *owner;

    log_info("spice: %s is gone after %llu s", session->peer, (uv_hrtime() - session->since) / 1000000000ull);
    LIST_REMOVE(session, entry);
    server->session_count--;
    if (session->main && session->main->lost)
        grace_add(&server->grace, session->peer, session->password, session->view_only, uv_hrtime());
    if (session->inputs)
        channel_close(session->inputs);
    for (size_t i = 0; i < ARRAY_SIZE(server->ports); i++)
        if (server->ports[i])
            display_port_close_session(server->ports[i], session->id);
    explicit_bzero(session->password, sizeof(session->password));
    free(session);
    owner = session_owner(server);
    if (owner && owner != before && server->takes_heads)
        main_channel_send_agent(owner->main);
}

void session_close_all(struct spice_server *server)
{
    struct session *session;

    while ((session = LIST_FIRST(&server->sessions)))
        channel_say_goodbye(session->main);
}

void session_forget_passwords(struct spice_server *server)
{
    struct session *session;

    LIST_FOREACH (session, &server->sessions, entry)
        explicit_bzero(session->password, sizeof(session->password));
    grace_clear(&server->grace);
}
