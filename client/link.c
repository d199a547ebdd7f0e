#include "client/link.h"

#include "base/error.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <string.h>

#define COMMON_CAPS                                                                                \
    (1u << SPICE_COMMON_CAP_PROTOCOL_AUTH_SELECTION | 1u << SPICE_COMMON_CAP_AUTH_SPICE |          \
     1u << SPICE_COMMON_CAP_AUTH_SASL | 1u << SPICE_COMMON_CAP_MINI_HEADER)

#define SPICE_LINK_HEADER_SIZE 16

int link_begin(struct link *link, const struct link_request *request, struct stream *s)
{
    uint32_t caps[] = {COMMON_CAPS, request->channel_caps};
    struct spice_link_mess mess = {
        .connection_id = request->connection_id,
        .channel_type = request->channel_type,
        .channel_id = request->channel_id,
        .num_common_caps = 1,
        .num_channel_caps = 1,
        .caps = caps,
    };
    struct spice_link_header header = {SPICE_MAGIC, SPICE_VERSION_MAJOR, SPICE_VERSION_MINOR, 0};
    struct writer body;
    int err;

    *link = (struct link){.state = LINK_HEADER};
    writer_init(&body, SPICE_LINK_MAX_SIZE);
    err = msg_encode(&spice_link_mess_type, &mess, &body);
    header.size = (uint32_t)body.size;
    if (!err)
        err = msg_encode(&spice_link_header_type, &header, &s->out);
    if (!err)
        writer_bytes(&s->out, body.data, body.size);
    writer_fini(&body);
    return err;
}

int link_error(uint32_t code)
{
    static const struct {
        uint32_t code;
        int err;
        const char *text;
    } errors[] = {
        {SPICE_LINK_ERR_PERMISSION_DENIED, -EACCES,
         "the password is wrong or missing; give it with --password-file"},
        {SPICE_LINK_ERR_NEED_SECURED, LINK_WANTS_TLS,
         "the server wants TLS on this channel; give its TLS port with --tls-port, or spice+tls://HOST:PORT"},
        {SPICE_LINK_ERR_NEED_UNSECURED, -EPROTO,
         "the server wants this channel without TLS; name those that are to have it with --secure-channels"},
        {SPICE_LINK_ERR_VERSION_MISMATCH, -EPROTO, "the server speaks another version of SPICE"},
        {SPICE_LINK_ERR_BAD_CONNECTION_ID, -EPROTO, "the server does not know this session"},
        {SPICE_LINK_ERR_CHANNEL_NOT_AVAILABLE, -EPROTO, "the server has no such channel"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(errors); i++)
        if (errors[i].code == code)
            return fail(errors[i].err, "%s", errors[i].text);
    return fail(-EPROTO, "the server refuses the connection (SPICE error %u)", code);
}

/* The password with its NUL, encrypted with the server's key. */
static int encrypt_ticket(const struct spice_link_reply *reply, const char *password,
                          struct spice_link_ticket *ticket)
{
    const unsigned char *der = reply->pub_key;
    EVP_PKEY *key = d2i_PUBKEY(NULL, &der, sizeof(reply->pub_key));
    EVP_PKEY_CTX *ctx = key ? EVP_PKEY_CTX_new(key, NULL) : NULL;
    size_t size = sizeof(ticket->encrypted);
    bool ok = ctx && EVP_PKEY_get_id(key) == EVP_PKEY_RSA &&
              (size_t)EVP_PKEY_get_size(key) == sizeof(ticket->encrypted) &&
              EVP_PKEY_encrypt_init(ctx) > 0 &&
              EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) > 0 &&
              EVP_PKEY_encrypt(ctx, ticket->encrypted, &size, (const unsigned char *)password,
                               strlen(password) + 1) > 0 &&
              size == sizeof(ticket->encrypted);

    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(key);
    return ok ? 0
              : fail(-EPROTO, "the server's public key is not a %d-bit RSA key",
                     SPICE_TICKET_KEY_PAIR_LENGTH);
}

static int send_ticket(struct link *link, const struct spice_link_reply *reply,
                       const char *password, struct stream *s)
{
    struct spice_link_auth auth = {SPICE_COMMON_CAP_AUTH_SPICE};
    struct spice_link_ticket ticket;
    int err;

    if (strlen(password) > SPICE_MAX_PASSWORD_LENGTH)
        return fail(-EACCES, "the password has more than %d bytes", SPICE_MAX_PASSWORD_LENGTH);
    err = encrypt_ticket(reply, password, &ticket);
    if (!err && link->common_caps >> SPICE_COMMON_CAP_PROTOCOL_AUTH_SELECTION & 1)
        err = msg_encode(&spice_link_auth_type, &auth, &s->out);
    if (!err)
        err = msg_encode(&spice_link_ticket_type, &ticket, &s->out);
    return err ? err : stream_flush(s);
}

static int take_header(struct link *link, const uint8_t *data)
{
    if (load_le32(data) != SPICE_MAGIC)
        return fail(-EPROTO, "what listens there is no SPICE server");
    if (load_le32(data + 4) != SPICE_VERSION_MAJOR)
        return link_error(SPICE_LINK_ERR_VERSION_MISMATCH);
    link->reply_size = load_le32(data + 12);
    if (link->reply_size > SPICE_LINK_MAX_SIZE)
        return fail(-EPROTO, "the server's link reply of %u bytes is too large", link->reply_size);
    link->state = LINK_REPLY;
    return 0;
}

/* A server that has both has the tickets for those who give no name. */
static bool prefers_sasl(const struct link *link, const struct client_options *o)
{
    bool selects = link->common_caps >> SPICE_COMMON_CAP_PROTOCOL_AUTH_SELECTION & 1;
    bool sasl = link->common_caps >> SPICE_COMMON_CAP_AUTH_SASL & 1;
    bool ticket = link->common_caps >> SPICE_COMMON_CAP_AUTH_SPICE & 1;

    return selects && sasl && (!ticket || o->user[0]);
}

static int take_reply(struct link *link, const uint8_t *data, const struct link_request *request,
                      struct stream *s)
{
    struct msg_arena arena = {0};
    struct spice_link_reply *reply = NULL;
    void *out;
    int err;

    /* A refusal may be a reply cut short. */
    if (link->reply_size >= 4 && load_le32(data) != SPICE_LINK_ERR_OK)
        return link_error(load_le32(data));
    if (msg_decode(&spice_link_reply_type, data, link->reply_size, &arena, &out) == 0)
        reply = out;
    if (!reply) {
        msg_arena_fini(&arena);
        return fail(-EPROTO, "the server's link reply is malformed");
    }
    if (reply->num_common_caps)
        link->common_caps = reply->caps[0];
    if (reply->num_channel_caps)
        link->channel_caps = reply->caps[reply->num_common_caps];
    link->mini_header = link->common_caps >> SPICE_COMMON_CAP_MINI_HEADER & 1;
    link->state = LINK_RESULT;
    if (prefers_sasl(link, request->options))
        err = link_sasl_begin(link, request, s);
    else
        err = send_ticket(link, reply, request->options->password, s);
    msg_arena_fini(&arena);
    return err;
}

static int take_result(struct link *link, const uint8_t *data)
{
    if (load_le32(data) != SPICE_LINK_ERR_OK)
        return link_error(load_le32(data));
    link->state = LINK_DONE;
    return 0;
}

static size_t needed_bytes(const struct link *link)
{
    switch (link->state) {
    case LINK_HEADER:
        return SPICE_LINK_HEADER_SIZE;
    case LINK_REPLY:
        return link->reply_size;
    case LINK_RESULT:
        return 4;
    default:
        return link_sasl_needs(link);
    }
}

static int take(struct link *link, const struct link_request *request, const uint8_t *data,
                struct stream *s)
{
    switch (link->state) {
    case LINK_HEADER:
        return take_header(link, data);
    case LINK_REPLY:
        return take_reply(link, data, request, s);
    case LINK_RESULT:
        return take_result(link, data);
    default:
        return link_sasl_input(link, request, data, s);
    }
}

int link_input(struct link *link, const struct link_request *request, struct stream *s)
{
    int err = 0;

    while (!err && link->state != LINK_DONE) {
        size_t have, needed = needed_bytes(link);
        const uint8_t *data = stream_data(s, &have);

        if (have < needed)
            return 0;
        err = take(link, request, data, s);
        stream_take(s, needed);
    }
    return err;
}

void link_fini(struct link *link)
{
    login_end(link->login);
    link->login = NULL;
}
