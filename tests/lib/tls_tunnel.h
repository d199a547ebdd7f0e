/* tls_tunnel.h - a client's end of TLS: a thread that takes clear bytes from a socket and brings answers back. */
#ifndef TESTS_LIB_TLS_TUNNEL_H
#define TESTS_LIB_TLS_TUNNEL_H

#include "base/base.h"

struct tls_wish {
    int min, max;        /* TLS1_2_VERSION...; 0: any */
    const char *ciphers; /* of TLS 1.2 and before; NULL: OpenSSL's */
    const char *trust;   /* the only authority, in PEM; NULL: whoever answers */
    size_t cut;          /* the connection ends when so many bytes of TLS have been sent; 0: never */
    bool renegotiate;    /* asks for that first, once connected */
};

/* The clear end, or -1: there is no TLS of that kind. `sent` (may be NULL): bytes that the handshake took. */
int tls_tunnel(int port, const struct tls_wish *wish, size_t *sent);

#endif
