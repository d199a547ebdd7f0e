/*
 * link_sasl.c - SASL inside of the link stage: the server's mechanisms, the one that is chosen with its first words,
 * then steps of a size, so many bytes and, from the server, whether that was the last. A size counts a NUL that
 * follows; 0 is no data. After the last step come two words, SASL's own result and the link's.
 */
#include "base/error.h"
#include "client/link.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_LIST  4096 /* bytes of the mechanisms' names */
#define MAX_STEPS 16

int link_sasl_begin(struct link *link, const struct link_request *request, struct stream *s)
{
    struct spice_link_auth auth = {SPICE_COMMON_CAP_AUTH_SASL};
    int err;

    if (!request->secure)
        return fail(LINK_WANTS_TLS,
                    "the server asks for a user and a password (SASL), which take TLS; give its TLS port "
                    "with --tls-port");
    err = msg_encode(&spice_link_auth_type, &auth, &s->out);
    link->state = LINK_SASL_LIST_SIZE;
    return err ? err : stream_flush(s);
}

size_t link_sasl_needs(const struct link *link)
{
    switch (link->state) {
    case LINK_SASL_LIST:
        return link->reply_size;
    case LINK_SASL_DATA:
        return link->reply_size + 1;
    default:
        return 4;
    }
}

bool link_sasl_is_going_on(const struct link *link)
{
    return link->state > LINK_SASL_LIST && link->state <= LINK_SASL_RESULT;
}

static void put_data(struct writer *w, const struct login_data *data)
{
    writer_u32(w, data->bytes ? data->size + 1 : 0);
    if (!data->bytes)
        return;
    writer_bytes(w, data->bytes, data->size);
    writer_u8(w, 0);
}

static int take_list(struct link *link, const struct link_request *request, const uint8_t *data, struct stream *s)
{
    char list[MAX_LIST + 1];
    const char *mechanism;
    struct login_data first;
    int err;

    memcpy(list, data, link->reply_size);
    list[link->reply_size] = '\0';
    err = login_begin(&link->login, request->options, list, &mechanism, &first);
    if (err)
        return err;
    writer_u32(&s->out, (uint32_t)strlen(mechanism));
    writer_bytes(&s->out, mechanism, strlen(mechanism));
    put_data(&s->out, &first);
    link->state = LINK_SASL_SIZE;
    return stream_flush(s);
}

static int take_data(struct link *link, const uint8_t *data, struct stream *s)
{
    unsigned size = link->reply_size;
    bool last = data[size];
    struct login_data answer = {0};
    int err = 0;

    if (++link->steps > MAX_STEPS)
        return fail(-EPROTO, "the server does not come to an end with SASL");
    /* The last step may have nothing to say where the mechanism is done already. */
    if (size || !last)
        err = login_step(link->login, size ? (const char *)data : NULL, size ? size - 1 : 0, &answer);
    if (!err && last && !login_is_done(link->login))
        err = fail(-EPROTO, "the server ends SASL before it has proved who it is");
    if (err)
        return err;
    link->state = last ? LINK_SASL_RESULT : LINK_SASL_SIZE;
    if (last)
        return 0;
    put_data(&s->out, &answer);
    return stream_flush(s);
}

static int take_size(struct link *link, const uint8_t *data, enum link_state next, uint32_t min, uint32_t max)
{
    link->reply_size = load_le32(data);
    link->state = next;
    if (link->reply_size < min || link->reply_size > max)
        return fail(-EPROTO, "what the server says by SASL has %u bytes", link->reply_size);
    return 0;
}

int link_sasl_input(struct link *link, const struct link_request *request, const uint8_t *data, struct stream *s)
{
    switch (link->state) {
    case LINK_SASL_LIST_SIZE:
        return take_size(link, data, LINK_SASL_LIST, 1, MAX_LIST);
    case LINK_SASL_LIST:
        return take_list(link, request, data, s);
    case LINK_SASL_SIZE:
        return take_size(link, data, LINK_SASL_DATA, 0, LOGIN_MAX_DATA);
    case LINK_SASL_DATA:
        return take_data(link, data, s);
    default:
        link->state = LINK_RESULT;
        return load_le32(data) == SPICE_LINK_ERR_OK ? 0 : link_error(SPICE_LINK_ERR_PERMISSION_DENIED);
    }
}
