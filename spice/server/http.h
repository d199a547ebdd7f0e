/*
 * http.h - as much of HTTP/1.1 (RFC 9112) as a page and the beginning of a websocket (RFC 6455, section 4) need.
 *
 * Pure functions; any thread.
 */
#ifndef SPICE_SERVER_HTTP_H
#define SPICE_SERVER_HTTP_H

#include "base/bytes.h"

#include <sys/types.h>

#define HTTP_FIRST_BYTES "GET " /* the only method */
#define HTTP_MAX_PATH    128
#define HTTP_MAX_HOST    256

struct http_request {
    char path[HTTP_MAX_PATH];   /* without what follows '?' */
    char host[HTTP_MAX_HOST];   /* "": none; the same for the others */
    char origin[HTTP_MAX_HOST]; /* the site whose page asks, as the browser tells */
    char key[32];               /* of a websocket that is to begin */
    bool upgrade;               /* to a websocket, */
    bool protocols, binary;     /* of one of some protocols, one of which is "binary" */
};

/* The bytes of the request's head; 0: more are to come; -EBADMSG. */
ssize_t http_parse(const void *data, size_t size, struct http_request *request);

/*
 * Whether a page of this site asks, or no page at all. A page of another site must not: browsers let every page speak to
 * 127.0.0.1. Nor may one whose host is a name that only some name server gives us.
 */
bool http_is_own(const struct http_request *request);

/* "HTTP/1.1 STATUS", the headers, which end with \r\n each, and the end of the head. */
void http_respond(struct writer *out, const char *status, const char *headers);
/* The same with content, after which the connection ends. */
void http_respond_with(struct writer *out, const char *status, const char *type, const void *content, size_t size);
/* The answer that begins a websocket. */
void http_upgrade(struct writer *out, const struct http_request *request);

#endif
