#include "tests/reference/link.h"

#include "base/log.h"

#include <arpa/inet.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <spice/enums.h>
#include <spice/protocol.h>
#include <sys/socket.h>
#include <unistd.h>

static bool receive_all(int fd, void *to, size_t size)
{
    return size == 0 || recv(fd, to, size, MSG_WAITALL) == (ssize_t)size;
}

static void must_receive(int fd, void *to, size_t size)
{
    if (!receive_all(fd, to, size))
        die("the server closed the connection while it was made");
}

static void send_all(int fd, const void *data, size_t size)
{
    if (send(fd, data, size, MSG_NOSIGNAL) != (ssize_t)size)
        die("the server does not take what is sent");
}

static void send_link_message(int fd, uint32_t connection_id, uint8_t channel_type, uint32_t caps)
{
    struct __attribute__((packed)) {
        SpiceLinkHeader header;
        SpiceLinkMess message;
        uint32_t common, channel;
    } m = {.header = {SPICE_MAGIC, SPICE_VERSION_MAJOR, SPICE_VERSION_MINOR,
                      sizeof(m) - sizeof(m.header)},
           .message = {connection_id, channel_type, 0, 1, 1, sizeof(SpiceLinkMess)},
           .common = 1u << SPICE_COMMON_CAP_PROTOCOL_AUTH_SELECTION |
                     1u << SPICE_COMMON_CAP_AUTH_SPICE | 1u << SPICE_COMMON_CAP_MINI_HEADER,
           .channel = caps};

    send_all(fd, &m, sizeof(m));
}

static int connect_to(int port)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    for (int i = 0; connect(fd, (struct sockaddr *)&to, sizeof(to)); i++) {
        if (i == 100)
            die("cannot connect to port %d", port);
        usleep(50000);
    }
    return fd;
}

/* No password, encrypted as one. */
static void make_ticket(uint8_t *ticket, size_t size, const uint8_t *key)
{
    EVP_PKEY *pkey = d2i_PUBKEY(NULL, &key, SPICE_TICKET_PUBKEY_BYTES);
    EVP_PKEY_CTX *ctx = pkey ? EVP_PKEY_CTX_new(pkey, NULL) : NULL;

    if (!ctx || EVP_PKEY_encrypt_init(ctx) <= 0 ||
        EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) <= 0 ||
        EVP_PKEY_encrypt(ctx, ticket, &size, (const uint8_t *)"", 1) <= 0)
        die("the server's key cannot be used");
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(pkey);
}

int link_open(int port, uint32_t connection_id, uint8_t channel_type, uint32_t channel_caps)
{
    const uint32_t mechanism = SPICE_COMMON_CAP_AUTH_SPICE;
    uint8_t ticket[SPICE_TICKET_KEY_PAIR_LENGTH / 8];
    int fd = connect_to(port);
    SpiceLinkHeader header;
    uint8_t reply[4096];
    uint32_t result;

    send_link_message(fd, connection_id, channel_type, channel_caps);
    must_receive(fd, &header, sizeof(header));
    if (header.size < sizeof(SpiceLinkReply) || header.size > sizeof(reply))
        die("the server's link reply has a wrong size");
    must_receive(fd, reply, header.size);
    make_ticket(ticket, sizeof(ticket), reply + offsetof(SpiceLinkReply, pub_key));
    send_all(fd, &mechanism, sizeof(mechanism));
    send_all(fd, ticket, sizeof(ticket));
    must_receive(fd, &result, sizeof(result));
    if (result)
        die("the server refused the link: %u", result);
    return fd;
}

void link_send(int fd, uint16_t type, const void *data, uint32_t size)
{
    SpiceMiniDataHeader header = {type, size};

    send_all(fd, &header, sizeof(header));
    send_all(fd, data, size);
}

static void answer(int fd, uint16_t type, const struct writer *w, uint32_t *window,
                   uint32_t *unacknowledged)
{
    if (type == SPICE_MSG_SET_ACK && w->size >= 8) {
        link_send(fd, SPICE_MSGC_ACK_SYNC, w->data, 4);
        *window = load_le32(w->data + 4);
        *unacknowledged = 0;
    } else if (type == SPICE_MSG_PING && w->size >= 12) {
        link_send(fd, SPICE_MSGC_PONG, w->data, 12);
    }
    if (*window && ++*unacknowledged >= *window) {
        *unacknowledged = 0;
        link_send(fd, SPICE_MSGC_ACK, "", 0);
    }
}

int link_receive(int fd, struct writer *w, uint32_t *window, uint32_t *unacknowledged)
{
    SpiceMiniDataHeader header;
    uint8_t *to;

    writer_reset(w);
    if (!receive_all(fd, &header, sizeof(header)))
        return -1;
    to = writer_extend(w, header.size);
    if (!to || !receive_all(fd, to, header.size))
        return -1;
    answer(fd, header.type, w, window, unacknowledged);
    return header.type;
}
