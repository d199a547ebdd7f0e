#include "spice/server/tls.h"

#include "base/error.h"
#include "base/log.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>

struct tls {
    SSL_CTX *context;
};

struct tls_stream {
    struct stream base;
    struct stream *below;
    SSL *ssl;
};

static struct tls_stream *of(const struct stream *s)
{
    return container_of(s, struct tls_stream, base);
}

/* What OpenSSL complains about; one of its messages is enough. */
static const char *reason(void)
{
    unsigned long code = ERR_get_error();
    const char *text = code ? ERR_reason_error_string(code) : NULL;

    ERR_clear_error();
    return text ? text : "unknown reason";
}

/* --- the stream below, as OpenSSL sees it --- */

static int below_read(BIO *bio, char *data, int size)
{
    ssize_t n = stream_read(BIO_get_data(bio), data, (size_t)size);

    BIO_clear_retry_flags(bio);
    if (n == -EAGAIN)
        BIO_set_retry_read(bio);
    return n < 0 ? -1 : (int)n;
}

static int below_write(BIO *bio, const char *data, int size)
{
    const struct iovec iov = {(char *)data, (size_t)size};
    ssize_t n = stream_writev(BIO_get_data(bio), &iov, 1);

    BIO_clear_retry_flags(bio);
    if (n == -EAGAIN)
        BIO_set_retry_write(bio);
    return n < 0 ? -1 : (int)n;
}

static long below_control(BIO *bio UNUSED, int command, long number UNUSED, void *pointer UNUSED)
{
    return command == BIO_CTRL_FLUSH;
}

/* Made once and kept, since streams may be the last to go. */
static const BIO_METHOD *below_method(void)
{
    static BIO_METHOD *method;

    if (!method && (method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "stream"))) {
        BIO_meth_set_read(method, below_read);
        BIO_meth_set_write(method, below_write);
        BIO_meth_set_ctrl(method, below_control);
    }
    return method;
}

/* --- the stream --- */

/* Of a call that brought nothing. */
static ssize_t result_of(struct tls_stream *t, int returned)
{
    int error = SSL_get_error(t->ssl, returned);

    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
        return -EAGAIN;
    if (error == SSL_ERROR_SSL && !SSL_is_init_finished(t->ssl))
        log_info("spice: %s: no TLS: %s", t->base.peer, reason());
    return error == SSL_ERROR_SSL ? -EPROTO : 0;
}

static ssize_t tls_read(struct stream *s, void *buf, size_t size)
{
    struct tls_stream *t = of(s);
    int n;

    ERR_clear_error();
    n = SSL_read(t->ssl, buf, (int)MIN(size, INT_MAX));
    return n > 0 ? n : result_of(t, n);
}

static ssize_t write_piece(struct tls_stream *t, const struct iovec *piece)
{
    int n;

    ERR_clear_error();
    n = SSL_write(t->ssl, piece->iov_base, (int)MIN(piece->iov_len, INT_MAX));
    if (n > 0)
        return n;
    n = (int)result_of(t, n);
    return n ? n : -EPIPE;
}

/*
 * No record has bytes of two pieces (stream.h). What OpenSSL could not write yet it wants to see again, wherever it lies: a
 * channel's queue begins with it until it is gone.
 */
static ssize_t tls_writev(struct stream *s, const struct iovec *iov, int count)
{
    ssize_t sum = 0, n = 0;

    for (int i = 0; i < count && n >= 0; i++) {
        struct iovec rest = iov[i];

        while (rest.iov_len && (n = write_piece(of(s), &rest)) > 0) {
            rest = (struct iovec){(uint8_t *)rest.iov_base + n, rest.iov_len - (size_t)n};
            sum += n;
        }
    }
    return sum ? sum : n;
}

static bool tls_pending(const struct stream *s)
{
    const struct tls_stream *t = of(s);

    return SSL_pending(t->ssl) > 0 || stream_pending(t->below);
}

static void tls_close(struct stream *s)
{
    struct tls_stream *t = of(s);

    if (t->ssl && SSL_is_init_finished(t->ssl))
        SSL_shutdown(t->ssl); /* as far as the socket takes it */
    ERR_clear_error();
    SSL_free(t->ssl);
    stream_close(t->below);
    free(t);
}

static const struct stream_ops tls_ops = {tls_read, tls_writev, tls_pending, tls_close};

struct stream *tls_accept(struct tls *tls, struct stream *below)
{
    struct tls_stream *t = calloc(1, sizeof(*t));
    BIO *bio = t ? BIO_new(below_method()) : NULL;

    if (!bio || !(t->ssl = SSL_new(tls->context))) {
        BIO_free(bio);
        free(t);
        stream_close(below);
        return NULL;
    }
    t->base = *below;
    t->base.ops = &tls_ops;
    t->base.secure = true;
    t->base.records = true;
    t->base.head_size = 0;
    t->below = below;
    BIO_set_data(bio, below);
    BIO_set_init(bio, 1);
    SSL_set_bio(t->ssl, bio, bio);
    SSL_set_accept_state(t->ssl);
    return &t->base;
}

/* --- the certificate --- */

static int configure(SSL_CTX *context)
{
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET |
                                     SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                  SSL_MODE_RELEASE_BUFFERS);
    if (!SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) || !SSL_CTX_set_num_tickets(context, 0) ||
        !SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20"))
        return fail(-ENOTSUP, "OpenSSL has no TLS 1.2 with modern ciphers: %s", reason());
    return 0;
}

static int load(SSL_CTX *context, const char *certificate, const char *key)
{
    if (SSL_CTX_use_certificate_chain_file(context, certificate) != 1)
        return fail(-EINVAL, "certificate '%s': %s", certificate, reason());
    if (SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1)
        return fail(-EINVAL, "key '%s': %s", key, reason());
    if (SSL_CTX_check_private_key(context) != 1)
        return fail(-EINVAL, "key '%s' is not that of certificate '%s'", key, certificate);
    return 0;
}

int tls_create(struct tls **out, const char *certificate, const char *key)
{
    struct tls *tls = calloc(1, sizeof(*tls));
    int err = -ENOMEM;

    if (tls && below_method() && (tls->context = SSL_CTX_new(TLS_server_method())))
        err = configure(tls->context);
    if (!err)
        err = load(tls->context, certificate, key);
    if (err) {
        tls_destroy(tls);
        return err;
    }
    *out = tls;
    return 0;
}

void tls_destroy(struct tls *tls)
{
    if (!tls)
        return;
    SSL_CTX_free(tls->context);
    free(tls);
}
