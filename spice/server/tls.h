/*
 * tls.h - TLS 1.2 and 1.3 on a stream, the server's side.
 *
 * Modern ciphers with forward secrecy only, no compression, no renegotiation, no session kept. The handshake goes on inside
 * of reading, as bytes come: nobody waits for it, and who does not finish it meets the link stage's time limit.
 *
 * Thread: tls_create() and tls_destroy() the main loop's; a stream's owner may be another, and a stream may outlive the struct
 * tls it was made with.
 */
#ifndef SPICE_SERVER_TLS_H
#define SPICE_SERVER_TLS_H

#include "spice/server/stream.h"

#define TLS_FIRST_BYTE 0x16 /* of each client: a handshake record */

struct tls;

/* Files in PEM: the server's certificate, with those between it and the authority if there are any, and its key. */
int tls_create(struct tls **tls, const char *certificate, const char *key);
void tls_destroy(struct tls *tls); /* NULL is fine */

/* A stream on top of `below`, which it owns from here on; NULL without memory: then below is closed. */
struct stream *tls_accept(struct tls *tls, struct stream *below);

#endif
