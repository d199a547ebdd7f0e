#include "tests/reference/host.h"

#include "base/log.h"

#include <arpa/inet.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <spice/enums.h>
#include <spice/protocol.h>
#include <sys/socket.h>
#include <unistd.h>

static void send_all(int fd, const void *data, size_t size)
{
    if (send(fd, data, size, MSG_NOSIGNAL) != (ssize_t)size)
        die("the client closed its connection");
}

static void receive_all(int fd, void *to, size_t size)
{
    if (recv(fd, to, size, MSG_WAITALL) != (ssize_t)size)
        die("the client closed its connection");
}

void host_send(int fd, uint16_t type, const struct writer *w)
{
    SpiceMiniDataHeader header = {type, (uint32_t)w->size};

    send_all(fd, &header, sizeof(header));
    send_all(fd, w->data, w->size);
}

void host_wait(int fd, uint16_t type)
{
    SpiceMiniDataHeader header;
    uint8_t body[4096];

    do {
        receive_all(fd, &header, sizeof(header));
        if (header.size > sizeof(body))
            die("the client sends too much");
        if (header.size)
            receive_all(fd, body, header.size);
    } while (header.type != type);
}

int host_accept(int listener, uint8_t *channel_id)
{
    struct __attribute__((packed)) {
        SpiceLinkHeader header;
        SpiceLinkReply reply;
        uint32_t common, channel;
    } r = {.header = {SPICE_MAGIC, SPICE_VERSION_MAJOR, SPICE_VERSION_MINOR,
                      sizeof(r) - sizeof(r.header)},
           .reply = {.num_common_caps = 1,
                     .num_channel_caps = 1,
                     .caps_offset = sizeof(SpiceLinkReply)},
           .common = 1u << SPICE_COMMON_CAP_PROTOCOL_AUTH_SELECTION |
                     1u << SPICE_COMMON_CAP_AUTH_SPICE | 1u << SPICE_COMMON_CAP_MINI_HEADER};
    EVP_PKEY *key = EVP_RSA_gen(SPICE_TICKET_KEY_PAIR_LENGTH);
    uint8_t message[4096], *to = r.reply.pub_key;
    const uint32_t good = 0;
    SpiceLinkHeader header;
    int fd = accept(listener, NULL, NULL);

    receive_all(fd, &header, sizeof(header));
    if (header.size > sizeof(message) || i2d_PUBKEY(key, NULL) != SPICE_TICKET_PUBKEY_BYTES)
        die("the link message is too long");
    receive_all(fd, message, header.size);
    *channel_id = message[offsetof(SpiceLinkMess, channel_id)];
    i2d_PUBKEY(key, &to);
    EVP_PKEY_free(key);
    send_all(fd, &r, sizeof(r));
    receive_all(fd, message, 4 + SPICE_TICKET_KEY_PAIR_LENGTH / 8);
    send_all(fd, &good, sizeof(good));
    return fd;
}

void host_put_words(struct writer *w, const uint32_t *words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        writer_u32(w, words[i]);
}

void host_send_words(int fd, uint16_t type, const uint32_t *words, size_t n)
{
    struct writer w;

    writer_init(&w, KIB(4));
    host_put_words(&w, words, n);
    host_send(fd, type, &w);
    writer_fini(&w);
}

int host_listen(int *port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(to);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (bind(fd, (struct sockaddr *)&to, sizeof(to)) || listen(fd, 4) ||
        getsockname(fd, (struct sockaddr *)&to, &size))
        die("cannot listen");
    *port = ntohs(to.sin_port);
    return fd;
}
