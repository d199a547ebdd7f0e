#include "client/main_channel.h"

#include "base/error.h"
#include "base/log.h"
#include "client/agent.h"
#include "client/inputs_channel.h"
#include "client/session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct main_channel {
    struct channel base;
    struct agent agent;
};

static struct main_channel *to_main(struct channel *c)
{
    return container_of(c, struct main_channel, base);
}

static int main_up(struct channel *c)
{
    c->session->linked = true;
    screen_set_status(c->session->screen, CLIENT_CONNECTED, NULL);
    return 0;
}

static void set_mouse_mode(struct session *s, uint32_t mode)
{
    screen_lock(s->screen);
    s->screen->client_mouse = mode == SPICE_MOUSE_MODE_CLIENT;
    screen_unlock(s->screen);
    screen_wake(s->screen);
}

/* An absolute pointer is better wherever the guest has one. */
static int choose_mouse_mode(struct channel *c, uint32_t supported, uint32_t current)
{
    struct spice_msgc_main_mouse_mode_request request = {SPICE_MOUSE_MODE_CLIENT};

    set_mouse_mode(c->session, current);
    if (current == SPICE_MOUSE_MODE_CLIENT || !(supported & SPICE_MOUSE_MODE_CLIENT))
        return 0;
    return channel_send(c, SPICE_MSGC_MAIN_MOUSE_MODE_REQUEST, &request);
}

static int handle_init(struct channel *c, const void *msg)
{
    const struct spice_msg_main_init *m = msg;
    int err;

    c->session->connection_id = m->session_id;
    session_set_mm_time(c->session, m->multi_media_time);
    err = choose_mouse_mode(c, m->supported_mouse_modes, m->current_mouse_mode);
    if (!err)
        err = agent_set_connected(&to_main(c)->agent, m->agent_connected, m->agent_tokens);
    return err ? err : channel_send(c, SPICE_MSGC_MAIN_ATTACH_CHANNELS, NULL);
}

static int handle_channels_list(struct channel *c, const void *msg)
{
    const struct spice_msg_main_channels_list *m = msg;

    session_open_channels(c->session, m->channels, m->count);
    return 0;
}

static int handle_mm_time(struct channel *c, const void *msg)
{
    session_set_mm_time(c->session, ((const struct spice_msg_main_multi_media_time *)msg)->time);
    return 0;
}

static int handle_mouse_mode(struct channel *c, const void *msg)
{
    const struct spice_msg_main_mouse_mode *m = msg;

    return choose_mouse_mode(c, m->supported_modes, m->current_mode);
}

static int handle_name(struct channel *c, const void *msg)
{
    const struct spice_msg_main_name *m = msg;
    struct screen *screen = c->session->screen;
    size_t n = MIN(m->size, sizeof(screen->name) - 1);

    screen_lock(screen);
    memcpy(screen->name, m->name, n);
    screen->name[n] = '\0';
    screen_unlock(screen);
    screen_wake(screen);
    return 0;
}

/* A name that a server has said, with a NUL or without. */
static int copy_name(char *to, size_t size, const uint8_t *from, size_t n, const char *what)
{
    while (n && !from[n - 1])
        n--;
    if (n >= size)
        return fail(-EBADMSG, "the %s it sends us to is too long", what);
    for (size_t i = 0; i < n; i++)
        if (from[i] < ' ' || from[i] == 0x7f)
            return fail(-EBADMSG, "the %s it sends us to is no text", what);
    if (n)
        memcpy(to, from, n);
    to[n] = '\0';
    return 0;
}

static void print_port(char port[8], uint16_t number)
{
    port[0] = '\0';
    if (number && number != UINT16_MAX)
        snprintf(port, 8, "%u", number);
}

static int handle_switch_host(struct channel *c, const void *msg)
{
    const struct spice_msg_main_migrate_begin *m = msg;
    struct session *s = c->session;
    struct session_target *to = &s->next;
    int err = copy_name(to->host, sizeof(to->host), m->host, m->host_size, "host");

    if (!err)
        err = copy_name(to->host_subject, sizeof(to->host_subject), m->cert_subject, m->cert_subject_size, "subject");
    if (err)
        return err;
    print_port(to->port, m->port);
    print_port(to->tls_port, m->secure_port);
    if (!to->host[0] || (!to->port[0] && !to->tls_port[0]))
        return fail(-EBADMSG, "it sends us nowhere");
    /* Who has TLS for any channel is not led into the clear. */
    if (s->options->tls_port[0] && !to->tls_port[0])
        return fail(-EBADMSG, "it sends us on to '%s', without TLS", to->host);
    log_info("the machine is at %s now", to->host);
    session_end(s, SESSION_SENT_ON, 0);
    return 0;
}

static int handle_agent_connected(struct channel *c, const void *msg UNUSED)
{
    struct agent *agent = &to_main(c)->agent;

    return agent_set_connected(agent, true, agent->tokens);
}

static int handle_agent_connected_tokens(struct channel *c, const void *msg)
{
    const struct spice_msg_main_agent_tokens *m = msg;

    return agent_set_connected(&to_main(c)->agent, true, m->num_tokens);
}

static int handle_agent_disconnected(struct channel *c, const void *msg UNUSED)
{
    struct agent *agent = &to_main(c)->agent;

    return agent_set_connected(agent, false, agent->tokens);
}

static int handle_agent_token(struct channel *c, const void *msg)
{
    const struct spice_msg_main_agent_tokens *m = msg;

    return agent_add_tokens(&to_main(c)->agent, m->num_tokens);
}

static int handle_agent_data(struct channel *c, const void *msg)
{
    const struct spice_data *m = msg;

    return agent_hear(&to_main(c)->agent, m->data, m->size);
}

int main_channel_layout_changed(struct channel *c)
{
    return agent_layout_changed(&to_main(c)->agent);
}

int main_channel_agent_go_on(struct channel *c)
{
    return agent_go_on(&to_main(c)->agent);
}

static const struct channel_handler handlers[] = {
    {SPICE_MSG_MAIN_INIT, handle_init},
    {SPICE_MSG_MAIN_CHANNELS_LIST, handle_channels_list},
    {SPICE_MSG_MAIN_MOUSE_MODE, handle_mouse_mode},
    {SPICE_MSG_MAIN_MULTI_MEDIA_TIME, handle_mm_time},
    {SPICE_MSG_MAIN_NAME, handle_name},
    {SPICE_MSG_MAIN_MIGRATE_SWITCH_HOST, handle_switch_host},
    {SPICE_MSG_MAIN_AGENT_CONNECTED, handle_agent_connected},
    {SPICE_MSG_MAIN_AGENT_CONNECTED_TOKENS, handle_agent_connected_tokens},
    {SPICE_MSG_MAIN_AGENT_DISCONNECTED, handle_agent_disconnected},
    {SPICE_MSG_MAIN_AGENT_DATA, handle_agent_data},
    {SPICE_MSG_MAIN_AGENT_TOKEN, handle_agent_token},
};

static void main_destroy(struct channel *c)
{
    agent_fini(&to_main(c)->agent);
    channel_fini(c);
    free(to_main(c));
}

static const struct channel_ops ops = {
    .type = SPICE_CHANNEL_MAIN,
    .caps = 1u << SPICE_MAIN_CAP_NAME_AND_UUID | 1u << SPICE_MAIN_CAP_AGENT_CONNECTED_TOKENS,
    .tables = {{handlers, ARRAY_SIZE(handlers)}},
    .up = main_up,
    .drained = main_channel_agent_go_on,
    .destroy = main_destroy,
};

int main_channel_open(struct session *s, int fd, struct channel **channel)
{
    struct main_channel *m = calloc(1, sizeof(*m));
    int err;

    if (!m) {
        close(fd);
        return -ENOMEM;
    }
    agent_init(&m->agent, &m->base);
    err = channel_connect(&m->base, s, &ops, 0, fd);
    if (err)
        free(m);
    *channel = &m->base;
    return err;
}
