#include "client/secure.h"

#include "base/error.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <string.h>

/* What OpenSSL complains about; one of its messages is enough. */
static const char *complaint(void)
{
    unsigned long code = ERR_get_error();
    const char *text = code ? ERR_reason_error_string(code) : NULL;

    ERR_clear_error();
    return text ? text : "unknown reason";
}

static int configure(SSL_CTX *context, const struct client_options *o)
{
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    /* The handshake goes on whatever the certificate is like: trust_check() has more to decide by. */
    SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
    if (!SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION))
        return fail(-ENOTSUP, "OpenSSL has no TLS 1.2: %s", complaint());
    if (o->tls_ciphers[0] && !SSL_CTX_set_cipher_list(context, o->tls_ciphers))
        return fail(-EINVAL, "tls-ciphers '%s': %s", o->tls_ciphers, complaint());
    return trust_load(context, o);
}

int secure_init(struct secure *s, const struct client_options *options)
{
    *s = (struct secure){.context = SSL_CTX_new(TLS_client_method()), .options = options};
    return s->context ? configure(s->context, options) : fail(-ENOMEM, "TLS: %s", complaint());
}

void secure_fini(struct secure *s)
{
    SSL_CTX_free(s->context);
    s->context = NULL;
}

static bool is_address(const char *host)
{
    struct in6_addr address;

    return inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1;
}

SSL *secure_open(const struct secure *s, int fd)
{
    SSL *ssl = SSL_new(s->context);

    if (!ssl || SSL_set_fd(ssl, fd) != 1) {
        SSL_free(ssl);
        return NULL;
    }
    if (!is_address(s->options->host))
        SSL_set_tlsext_host_name(ssl, s->options->host);
    SSL_set_connect_state(ssl);
    return ssl;
}

int secure_handshake(struct secure *s, SSL *ssl, bool *wants_write)
{
    int returned, error;

    ERR_clear_error();
    errno = 0;
    returned = SSL_do_handshake(ssl);
    error = SSL_get_error(ssl, returned);
    *wants_write = error == SSL_ERROR_WANT_WRITE;
    if (returned == 1)
        return trust_check(ssl, s->options, &s->question);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
        return -EAGAIN;
    if (error == SSL_ERROR_SYSCALL)
        return errno ? -errno : -ECONNRESET;
    return fail(-EPROTO, "there is no TLS, or none that both can: %s; is that the TLS port?", complaint());
}

/* Of a call that brought nothing. */
static ssize_t result_of(SSL *ssl, int returned)
{
    int saved = errno, error = SSL_get_error(ssl, returned);

    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
        return -EAGAIN;
    if (error == SSL_ERROR_ZERO_RETURN)
        return 0;
    if (error == SSL_ERROR_SYSCALL)
        return saved ? -saved : 0;
    /* A server that was killed says no goodbye in TLS either. */
    if (ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
        ERR_clear_error();
        return 0;
    }
    return fail(-EPROTO, "TLS: %s", complaint());
}

ssize_t secure_read(SSL *ssl, void *data, size_t size)
{
    int n;

    ERR_clear_error();
    errno = 0;
    n = SSL_read(ssl, data, (int)MIN(size, INT_MAX));
    return n > 0 ? n : result_of(ssl, n);
}

ssize_t secure_write(SSL *ssl, const void *data, size_t size)
{
    ssize_t n;

    ERR_clear_error();
    errno = 0;
    n = SSL_write(ssl, data, (int)MIN(size, INT_MAX));
    if (n > 0)
        return n;
    n = result_of(ssl, (int)n);
    return n ? n : -EPIPE;
}
