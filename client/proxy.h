/*
 * proxy.h - an HTTP proxy that is asked to CONNECT (RFC 9110, section 9.3.6).
 *
 * Thread: any. Errors come with fail_text().
 */
#ifndef CLIENT_PROXY_H
#define CLIENT_PROXY_H

#include "base/bytes.h"

#define PROXY_MAX_ANSWER 16384 /* bytes of its head */

struct proxy {
    char host[256], port[8]; /* host "": there is none */
    char credentials[256];   /* "user:password", or "" */
};

/* http://[USER:PASSWORD@]HOST[:PORT], or without http://; the port is 3128 by default, as remote-viewer has it. */
int proxy_parse(struct proxy *proxy, const char *url);
/* Append the request for a connection to host and port. */
int proxy_request(const struct proxy *proxy, const char *host, const char *port, struct writer *w);
/* What has come so far: 0: more is needed; the size of its answer if it has connected us; -EACCES, -EPROTO. */
int proxy_answer(const void *data, size_t size);

#endif
