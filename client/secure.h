/*
 * secure.h - TLS 1.2 and 1.3 on a socket, the client's side; whom to trust is decided in trust.h.
 *
 * A struct secure serves all connections of a session. OpenSSL reads and writes the descriptor itself: the program
 * ignores SIGPIPE. Thread: the session's loop. Errors come with fail_text().
 */
#ifndef CLIENT_SECURE_H
#define CLIENT_SECURE_H

#include "client/trust.h"

#include <sys/types.h>

struct secure {
    SSL_CTX *context;
    const struct client_options *options;
    struct trust_question question; /* after TRUST_UNKNOWN */
};

/* Reads the authorities' files. */
int secure_init(struct secure *secure, const struct client_options *options);
void secure_fini(struct secure *secure); /* one that is zeroed is fine */

/* On a connected socket, which stays the caller's; SSL_free() ends it. NULL: no memory. */
SSL *secure_open(const struct secure *secure, int fd);
/*
 * 0: it is done, and the server is trusted; -EAGAIN: when the socket is readable, or writable with *wants_write;
 * -errno.
 */
int secure_handshake(struct secure *secure, SSL *ssl, bool *wants_write);
/* As recv() and send(), but -errno. */
ssize_t secure_read(SSL *ssl, void *data, size_t size);
ssize_t secure_write(SSL *ssl, const void *data, size_t size);

#endif
