/*
 * trust.h - whether the server that TLS has led to is the one that was meant.
 *
 * With an authority's certificate of one's own (--ca-file, a .vv file's ca) that one decides, else the system's
 * authorities do; the certificate must also be the host's, or have exactly the subject that was asked for. Without an
 * authority of one's own a server may be known by its fingerprint, see known_servers.h. Thread: the session's loop.
 */
#ifndef CLIENT_TRUST_H
#define CLIENT_TRUST_H

#include "client/known_servers.h"
#include "client/options.h"

#include <openssl/ssl.h>

#define TRUST_UNKNOWN (-EKEYREJECTED) /* the user may say that it is trusted */

/* Of the last server that is not known: for who asks the user. */
struct trust_question {
    char server[300]; /* HOST:PORT */
    char subject[200];
    char fingerprint[FINGERPRINT_SIZE];
};

/* Load the authorities. -errno with fail_text(). */
int trust_load(SSL_CTX *context, const struct client_options *options);
/* After the handshake: 0; TRUST_UNKNOWN with the question; -EKEYREVOKED: refused; each with fail_text(). */
int trust_check(SSL *ssl, const struct client_options *options, struct trust_question *question);
/* The question for people, and what --headless says instead of asking. */
void trust_ask(const struct trust_question *question, char *text, size_t size);
/* "O=minivm,CN=host", as .vv files have it; \ before a comma that is part of a value. NULL if it is malformed. */
X509_NAME *trust_parse_subject(const char *text);

#endif
