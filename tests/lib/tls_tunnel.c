#include "tests/lib/tls_tunnel.h"

#include "tests/lib/spice_peer.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct tunnel {
    struct peer_tunnel base;
    SSL *ssl;
    size_t cut, sent;
};

/* --- OpenSSL writes here, so that the connection can be cut at any byte --- */

static int cut_write(BIO *bio, const char *data, int size)
{
    struct tunnel *t = BIO_get_data(bio);
    size_t n = t->cut ? MIN((size_t)size, t->cut - t->sent) : (size_t)size;

    if (n == 0 || !peer_write(t->base.socket, data, n))
        return -1;
    t->sent += n;
    return n == (size_t)size ? size : -1;
}

static int cut_read(BIO *bio, char *data, int size)
{
    const struct tunnel *t = BIO_get_data(bio);

    return t->cut && t->sent == t->cut ? -1 : (int)recv(t->base.socket, data, (size_t)size, 0);
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

static void end(struct peer_tunnel *base)
{
    struct tunnel *t = container_of(base, struct tunnel, base);

    ERR_clear_error();
    SSL_free(t->ssl);
    free(t);
}

static bool bring(struct peer_tunnel *base)
{
    struct tunnel *t = container_of(base, struct tunnel, base);
    char data[16384];
    int n;

    do {
        n = SSL_read(t->ssl, data, sizeof(data));
        if (n <= 0 || !peer_write(base->clear, data, (size_t)n))
            return false;
    } while (SSL_pending(t->ssl));
    return true;
}

static bool take(struct peer_tunnel *base)
{
    struct tunnel *t = container_of(base, struct tunnel, base);
    char data[16384];
    ssize_t n = recv(base->clear, data, sizeof(data), 0);

    return n > 0 && SSL_write(t->ssl, data, (int)n) == n;
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
    bool ok;

    *t = (struct tunnel){{.socket = peer_connect(port), .bring = bring, .take = take, .end = end}, .cut = wish->cut};
    ok = shake_hands(t, wish);
    if (sent)
        *sent = t->sent;
    ERR_clear_error();
    if (ok)
        return peer_tunnel_start(&t->base);
    close(t->base.socket);
    end(&t->base);
    return -1;
}
