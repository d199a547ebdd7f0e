#include "tests/lib/tls_tunnel.h"

#include "tests/lib/spice_peer.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct tunnel {
    SSL *ssl;
    int socket, clear;
    size_t cut, sent;
};

/* --- OpenSSL writes here, so that the connection can be cut at any byte --- */

static int cut_write(BIO *bio, const char *data, int size)
{
    struct tunnel *t = BIO_get_data(bio);
    size_t n = t->cut ? MIN((size_t)size, t->cut - t->sent) : (size_t)size;

    if (n == 0 || !peer_write(t->socket, data, n))
        return -1;
    t->sent += n;
    return n == (size_t)size ? size : -1;
}

static int cut_read(BIO *bio, char *data, int size)
{
    const struct tunnel *t = BIO_get_data(bio);

    return t->cut && t->sent == t->cut ? -1 : (int)recv(t->socket, data, (size_t)size, 0);
}

static long cut_control(BIO *bio UNUSED, int command, long number UNUSED, void *pointer UNUSED)
{
    return command == BIO_CTRL_FLUSH;
}

static BIO *cut_bio(struct tunnel *t)
{
    static BIO_METHOD *method;
    BIO *bio;

    if (!method) {
        method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "tunnel");
        BIO_meth_set_write(method, cut_write);
        BIO_meth_set_read(method, cut_read);
        BIO_meth_set_ctrl(method, cut_control);
    }
    bio = BIO_new(method);
    BIO_set_data(bio, t);
    BIO_set_init(bio, 1);
    return bio;
}

/* --- the thread --- */

static void tunnel_free(struct tunnel *t)
{
    SSL_free(t->ssl);
    close(t->socket);
    if (t->clear >= 0)
        close(t->clear);
    free(t);
}

static bool bring(struct tunnel *t)
{
    char data[16384];
    int n;

    do {
        n = SSL_read(t->ssl, data, sizeof(data));
        if (n <= 0 || !peer_write(t->clear, data, (size_t)n))
            return false;
    } while (SSL_pending(t->ssl));
    return true;
}

static bool take(struct tunnel *t)
{
    char data[16384];
    ssize_t n = recv(t->clear, data, sizeof(data), 0);

    return n > 0 && SSL_write(t->ssl, data, (int)n) == n;
}

static void *run(void *arg)
{
    struct tunnel *t = arg;
    struct pollfd p[2] = {{.fd = t->socket, .events = POLLIN}, {.fd = t->clear, .events = POLLIN}};
    bool goes_on = true;

    while (goes_on && poll(p, 2, -1) > 0)
        goes_on = (!p[0].revents || bring(t)) && (!p[1].revents || take(t));
    ERR_clear_error();
    tunnel_free(t);
    return NULL;
}

/* --- the handshake --- */

static SSL_CTX *make_context(const struct tls_wish *wish)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());

    SSL_CTX_set_security_level(context, 0); /* what the library would refuse the server is to refuse */
    SSL_CTX_set_min_proto_version(context, wish->min);
    SSL_CTX_set_max_proto_version(context, wish->max);
    if (wish->ciphers)
        SSL_CTX_set_cipher_list(context, wish->ciphers);
    if (wish->trust) {
        SSL_CTX_load_verify_locations(context, wish->trust, NULL);
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    }
    return context;
}

static bool shake_hands(struct tunnel *t, const struct tls_wish *wish)
{
    SSL_CTX *context = make_context(wish);
    BIO *bio = cut_bio(t);

    t->ssl = SSL_new(context);
    SSL_CTX_free(context);
    SSL_set_bio(t->ssl, bio, bio);
    SSL_set1_host(t->ssl, wish->trust ? "localhost" : NULL);
    return SSL_connect(t->ssl) == 1 &&
           (!wish->renegotiate || (SSL_renegotiate(t->ssl) == 1 && SSL_do_handshake(t->ssl) == 1));
}

int tls_tunnel(int port, const struct tls_wish *wish, size_t *sent)
{
    struct tunnel *t = calloc(1, sizeof(*t));
    pthread_attr_t attr;
    pthread_t thread;
    int pair[2];
    bool ok;

    *t = (struct tunnel){.socket = peer_connect(port), .clear = -1, .cut = wish->cut};
    ok = shake_hands(t, wish);
    if (sent)
        *sent = t->sent;
    ERR_clear_error();
    if (!ok || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) {
        tunnel_free(t);
        return -1;
    }
    t->clear = pair[1];
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_create(&thread, &attr, run, t);
    pthread_attr_destroy(&attr);
    return pair[0];
}
