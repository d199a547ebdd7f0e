/* link_auth.c - who comes: by a ticket, which is the password encrypted with our key, or by SASL. */
#include "base/log.h"
#include "spice/server/link_private.h"
#include "spice/server/peer_address.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <time.h>

#define PENALTY_MS     1000 /* after a wrong password */
#define TICKET_SIZE    (SPICE_TICKET_KEY_PAIR_LENGTH / 8)
#define MAX_SASL_STEPS 16

/* --- the ways in --- */

static bool offers_sasl(const struct link *link)
{
    return link->server->sasl && link->stream->secure;
}

static bool offers_ticket(const struct link *link)
{
    return link->server->asks || !link->server->sasl;
}

uint32_t link_auth_ways(const struct link *link)
{
    return (uint32_t)offers_ticket(link) << SPICE_COMMON_CAP_AUTH_SPICE |
           (uint32_t)offers_sasl(link) << SPICE_COMMON_CAP_AUTH_SASL;
}

static unsigned check_channel(const struct link *link)
{
    return server_check_channel(link->server, &link->params);
}

/* It is known who it is. */
static void let_in(struct link *link)
{
    const struct channel_params *p = &link->params;
    unsigned error = check_channel(link);

    if (error)
        log_info("spice: %s asks for %s channel %u, which is not here", link->stream->peer,
                 spice_channel_name(p->type), p->id);
    link_send_result(link, error);
}

static void refuse_password(uv_timer_t *timer)
{
    link_restart_timer(timer->data);
    link_send_result(timer->data, SPICE_LINK_ERR_PERMISSION_DENIED);
}

/* One line when it begins and one when it has become too much: who guesses shall not fill the log. */
static void wrong_password(struct link *link, bool guessed)
{
    const char *peer = link->stream->peer;
    unsigned count = 0;

    if (guessed)
        count = guesses_wrong(&link->server->guesses, peer, uv_hrtime());
    if (count == 1)
        log_warn("spice: %s gave a wrong password", peer);
    else if (count == GUESSES_MAX)
        log_warn("spice: %s gave %u wrong passwords within a minute; for the next minute none from there is right", peer,
                 count);
    link_expect(link, LINK_PENALTY, 0);
    uv_timer_start(&link->timer, refuse_password, PENALTY_MS, 0);
}

static bool may_guess(const struct link *link)
{
    return guesses_allowed(&link->server->guesses, link->stream->peer, uv_hrtime());
}

/* --- which way --- */

void link_take_key(struct link *link)
{
    bool selects = spice_has_cap(link->params.common_caps, CHANNEL_MAX_CAPS,
                                 SPICE_COMMON_CAP_PROTOCOL_AUTH_SELECTION);

    link->key = ticket_keys_take(link->server->keys, link->server->asks);
    if (!link->key)
        return; /* link_keys_ready() comes back */
    if (selects)
        link_expect(link, LINK_AUTH, sizeof(SpiceLinkAuthMechanism));
    else
        link_expect(link, LINK_TICKET, TICKET_SIZE);
    link_add_reply(link, SPICE_LINK_ERR_OK);
    /* A refusal waits for the ticket: who hangs up on bytes under way may take back what was said before. */
    if (!link->server->asks && !link->server->sasl && !check_channel(link)) {
        link->params.skip = TICKET_SIZE + (selects ? sizeof(SpiceLinkAuthMechanism) : 0);
        link_add_result(link, SPICE_LINK_ERR_OK);
    }
    link_flush(link);
}

static void begin_sasl(struct link *link)
{
    const char *names;

    link->sasl = auth_sasl_create();
    if (!link->sasl) {
        log_once(LOG_ERROR, "spice: SASL has no mechanism; install libsasl2-modules, or look at minivm.conf in /etc/sasl2");
        link_send_result(link, SPICE_LINK_ERR_ERROR);
        return;
    }
    names = auth_sasl_mechanisms(link->sasl);
    writer_u32(&link->out, (uint32_t)strlen(names));
    writer_bytes(&link->out, names, strlen(names));
    link_expect(link, LINK_SASL_NAME_SIZE, 4);
    link_flush(link);
}

void link_take_auth(struct link *link)
{
    uint32_t way = load_le32(link->in);

    if (way == SPICE_COMMON_CAP_AUTH_SPICE && offers_ticket(link)) {
        link_expect(link, LINK_TICKET, TICKET_SIZE);
    } else if (way == SPICE_COMMON_CAP_AUTH_SASL && offers_sasl(link)) {
        begin_sasl(link);
    } else {
        log_info("spice: %s refused: it asks for an authentication that is not offered", link->stream->peer);
        link_send_result(link, SPICE_LINK_ERR_INVALID_DATA);
    }
}

/* --- by a ticket --- */

/* Whether it is this one that came; then it is known what who comes may do. */
static bool holds(struct link *link, const char *given, const char *password, bool view_only)
{
    if (!*password || !ticket_holds(given, password))
        return false;
    snprintf(link->password, sizeof(link->password), "%s", password);
    link->params.view_only = view_only;
    return true;
}

/* The session that this channel says to belong to, if it came from the same place. */
static const struct session *own_session(const struct link *link)
{
    const struct session *session = session_find(link->server, link->params.session);
    uint8_t here[16], there[16];

    if (!session || link->params.type == SPICE_CHANNEL_MAIN)
        return NULL;
    peer_address(link->stream->peer, here);
    peer_address(session->peer, there);
    return memcmp(here, there, sizeof(here)) ? NULL : session;
}

/* Of those who were lost, the first who could be this one, or the next. */
static struct lost *next_lost(const struct link *link, const struct lost *after)
{
    if (link->params.type != SPICE_CHANNEL_MAIN)
        return NULL;
    return grace_next(&link->server->grace, link->stream->peer, uv_hrtime(), after);
}

/* Whoever else comes finds no passwords here but the one that there is for all. */
static bool has_another(const struct link *link)
{
    return own_session(link) || next_lost(link, NULL);
}

static bool holds_another(struct link *link, const char *given)
{
    const struct session *session = own_session(link);
    struct lost *lost = NULL;

    if (session && holds(link, given, session->password, session->view_only))
        return true;
    while ((lost = next_lost(link, lost)))
        if (holds(link, given, lost->password, lost->view_only)) {
            log_info("spice: %s comes back", link->stream->peer);
            grace_take(lost);
            return true;
        }
    return false;
}

/* In time, or as one who was here before. Each comparison takes its time, whichever is right. */
static bool is_right(struct link *link, const char *given, bool expired)
{
    const struct spice_server *server = link->server;

    if (!expired && (holds(link, given, server->view_password, true) || holds(link, given, server->password, false)))
        return true;
    return holds_another(link, given);
}

/*
 * When the password has expired, or an address has guessed too often, nobody is told whether this one was right. To send none
 * is no guess: nothing is learned by it, and spice-html5 does so before it asks its user.
 */
static bool knows_password(struct link *link, bool *guessed)
{
    const struct spice_server *server = link->server;
    bool expired = time(NULL) >= server->expires, right;
    char given[TICKET_PASSWORD_SIZE];

    *guessed = false;
    if (!server->asks)
        return !server->sasl;
    if (expired && !has_another(link)) {
        log_once(LOG_INFO, "spice: %s is refused: the password has expired", link->stream->peer);
        return false;
    }
    if (!may_guess(link))
        return false;
    right = ticket_key_open(link->key, link->in, given);
    *guessed = !right || *given;
    right = right && is_right(link, given, expired);
    if (right)
        ticket_key_use(link->key, link->in);
    OPENSSL_cleanse(given, sizeof(given));
    return right;
}

void link_take_ticket(struct link *link)
{
    bool guessed;

    if (knows_password(link, &guessed))
        let_in(link);
    else
        wrong_password(link, guessed);
}

/* --- by SASL --- */

/* With a NUL behind, which counts; one of no bytes is another thing than none. */
static void add_answer(struct link *link, const char *answer, unsigned size, bool complete)
{
    writer_u32(&link->out, answer ? size + 1 : 0);
    if (answer) {
        writer_bytes(&link->out, answer, size);
        writer_u8(&link->out, 0);
    }
    writer_u8(&link->out, complete);
}

/* data: NULL, or of size bytes and the client's NUL. */
static void take_data(struct link *link, const char *data, unsigned size)
{
    const char *answer;
    unsigned answer_size;
    enum auth_outcome outcome = AUTH_FAILED;
    bool looked_at = may_guess(link);

    if (looked_at && link->steps++ < MAX_SASL_STEPS)
        outcome = auth_sasl_take(link->sasl, *link->mechanism ? link->mechanism : NULL, data, size, &answer,
                                 &answer_size);
    *link->mechanism = 0;
    if (outcome == AUTH_FAILED) {
        wrong_password(link, looked_at);
        return;
    }
    add_answer(link, answer, answer_size, outcome == AUTH_DONE);
    if (outcome == AUTH_DONE) {
        log_info("spice: %s is %s", link->stream->peer, auth_sasl_user(link->sasl));
        writer_u32(&link->out, SPICE_LINK_ERR_OK); /* of SASL; the link's own result follows */
        let_in(link);
    } else {
        link_expect(link, LINK_SASL_DATA_SIZE, 4);
        link_flush(link);
    }
}

/* The next size, within limits; it may be 0 only where nothing is something. */
static void take_size(struct link *link, enum link_state next, uint32_t min, uint32_t max)
{
    uint32_t size = load_le32(link->in);

    if (size < min || size > max)
        link_send_result(link, SPICE_LINK_ERR_INVALID_DATA);
    else if (size == 0)
        take_data(link, NULL, 0);
    else
        link_expect(link, next, size);
}

static void take_name(struct link *link)
{
    memcpy(link->mechanism, link->in, link->have);
    link->mechanism[link->have] = 0;
    if (auth_sasl_offers(link->sasl, link->mechanism)) /* libsasl2 does not bear all others */
        link_expect(link, LINK_SASL_DATA_SIZE, 4);
    else
        link_send_result(link, SPICE_LINK_ERR_INVALID_DATA);
}

void link_take_sasl(struct link *link)
{
    switch (link->state) {
    case LINK_SASL_NAME_SIZE:
        take_size(link, LINK_SASL_NAME, 1, AUTH_SASL_MAX_NAME);
        break;
    case LINK_SASL_NAME:
        take_name(link);
        break;
    case LINK_SASL_DATA_SIZE:
        take_size(link, LINK_SASL_DATA, 0, AUTH_SASL_MAX_DATA);
        break;
    default:
        take_data(link, (const char *)link->in, (unsigned)link->have - 1);
    }
}
