/* Clients: a main channel, and the channels that joined it by its connection id. */
#include "base/log.h"
#include "spice/server/agent_port.h"
#include "spice/server/port_channel.h"
#include "spice/server/private.h"
#include "spice/server/sound_port.h"

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
    session->id = params->session ? params->session : new_id(server);
    session->arriving = params->session != 0;
    snprintf(session->peer, sizeof(session->peer), "%s", params->stream->peer);
    snprintf(session->password, sizeof(session->password), "%s", password);
    session->view_only = params->view_only;
    session->since = uv_hrtime();
    LIST_INSERT_HEAD(&server->sessions, session, entry);
    server->session_count++;
    log_info("spice: %s %s%s%s", params->stream->peer,
             session->arriving ? "is about to come from another server" : "is connected",
             params->stream->secure ? "" : ", without encryption", session->view_only ? ", and may only look" : "");
    if (!main_channel_create(session, params))
        session_end(session);
}

struct session *session_owner(const struct spice_server *server)
{
    struct session *session, *owner = NULL;

    LIST_FOREACH (session, &server->sessions, entry) /* the newest first */
        if (!session->view_only && !session->arriving)
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
    if (session->main && session->main->lost && session->move != MOVE_GOING)
        grace_add(&server->grace, session->peer, session->password, session->view_only, uv_hrtime());
    if (session->inputs)
        channel_close(session->inputs);
    sound_port_close_session(server->sound, session->id);
    for (size_t i = 0; i < ARRAY_SIZE(server->guest_ports) && server->guest_ports[i]; i++)
        guest_port_close_session(server->guest_ports[i], session->id);
    for (size_t i = 0; i < ARRAY_SIZE(server->ports); i++)
        if (server->ports[i])
            display_port_close_session(server->ports[i], session->id);
    migrate_gone(session);
    explicit_bzero(session->password, sizeof(session->password));
    free(session);
    owner = session_owner(server);
    if (owner == before)
        return;
    agent_port_forget_client(server->agent);
    if (owner && server_has_agent(server))
        server_agent_changed(server);
}

void session_arrived(struct session *session, bool anew)
{
    struct spice_server *server = session->server;

    session->arriving = false;
    log_info("spice: %s has come from another server%s", session->peer, anew ? ", and starts anew" : "");
    if (!anew)
        return; /* each channel brings what it needs */
    if (session->inputs)
        inputs_channel_arrive(session->inputs);
    sound_port_arrive(server->sound, session->id);
    for (size_t i = 0; i < ARRAY_SIZE(server->ports); i++)
        if (server->ports[i])
            display_port_arrive(server->ports[i], session->id);
}

void session_leave(struct session *session)
{
    struct spice_server *server = session->server;

    for (size_t i = 0; i < ARRAY_SIZE(server->ports); i++)
        if (server->ports[i])
            display_port_leave(server->ports[i], session->id);
    if (session->inputs)
        channel_leave(session->inputs);
    sound_port_leave(server->sound, session->id);
    channel_leave(session->main); /* the last: with it the session may end */
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
