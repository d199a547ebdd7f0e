#include "spice/server/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <strings.h>
#include <unistd.h>

/* RFC 6455, section 1.3 */
#define ACCEPT_SALT "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#define MAX_LINE    1024

/* --- what was asked --- */

/* A header's value, without the blanks around it; false: it does not fit. */
static bool take_value(const char *value, char *to, size_t size)
{
    size_t n;

    value += strspn(value, " \t");
    n = strlen(value);
    while (n && strchr(" \t", value[n - 1]))
        n--;
    if (n >= size)
        return false;
    memcpy(to, value, n);
    to[n] = 0;
    return true;
}

/* Whether a word is in a list with commas. */
static bool has_word(const char *list, const char *word)
{
    size_t size = strlen(word);

    while (*list) {
        size_t n;

        list += strspn(list, " \t,");
        n = strcspn(list, " \t,");
        if (n == size && strncasecmp(list, word, n) == 0)
            return true;
        list += n;
    }
    return false;
}

struct seen {
    bool upgrade, connection, version;
};

static bool take_header(struct http_request *r, struct seen *seen, char *line)
{
    char *colon = strchr(line, ':');
    const char *value;

    if (!colon)
        return false;
    *colon = 0;
    value = colon + 1;
    if (strcasecmp(line, "Host") == 0)
        return take_value(value, r->host, sizeof(r->host));
    if (strcasecmp(line, "Origin") == 0)
        return take_value(value, r->origin, sizeof(r->origin));
    if (strcasecmp(line, "Sec-WebSocket-Key") == 0)
        return take_value(value, r->key, sizeof(r->key));
    if (strcasecmp(line, "Upgrade") == 0)
        seen->upgrade |= has_word(value, "websocket");
    else if (strcasecmp(line, "Connection") == 0)
        seen->connection |= has_word(value, "Upgrade");
    else if (strcasecmp(line, "Sec-WebSocket-Version") == 0)
        seen->version |= has_word(value, "13");
    else if (strcasecmp(line, "Sec-WebSocket-Protocol") == 0) {
        r->protocols = true;
        r->binary |= has_word(value, "binary");
    }
    return true;
}

/* "GET /path?query HTTP/1.1" */
static bool take_request_line(struct http_request *r, const char *line)
{
    const char *path = line + strlen(HTTP_FIRST_BYTES), *end = strchr(path, ' ');
    size_t n;

    if (strncmp(line, HTTP_FIRST_BYTES, strlen(HTTP_FIRST_BYTES)) != 0 || *path != '/' || !end ||
        strncmp(end, " HTTP/1.", 8) != 0)
        return false;
    n = strcspn(path, "? ");
    if (n >= sizeof(r->path))
        return false;
    memcpy(r->path, path, n);
    return true;
}

static bool take_line(struct http_request *r, struct seen *seen, const char *start, size_t size, bool first)
{
    char line[MAX_LINE];

    if (size >= sizeof(line) || memchr(start, 0, size))
        return false;
    memcpy(line, start, size);
    line[size] = 0;
    return first ? take_request_line(r, line) : take_header(r, seen, line);
}

ssize_t http_parse(const void *data, size_t size, struct http_request *r)
{
    const char *text = data, *end = memmem(text, size, "\r\n\r\n", 4), *next;
    struct seen seen = {0};

    if (!end)
        return 0;
    *r = (struct http_request){0};
    for (const char *line = text; line < end + 2; line = next + 2) {
        next = memmem(line, (size_t)(end + 2 - line), "\r\n", 2);
        if (!take_line(r, &seen, line, (size_t)(next - line), line == text))
            return -EBADMSG;
    }
    r->upgrade = seen.upgrade && seen.connection && seen.version && *r->key;
    return end + 4 - text;
}

/* --- who asks --- */

/* An address, or a name that is certainly this host's. */
static bool is_own_name(const char *host)
{
    char name[HTTP_MAX_HOST], own[256] = "";
    const char *end = strrchr(host, ':');
    uint8_t address[16];
    size_t n;

    if (*host == '[') { /* [2001:db8::1]:80 */
        end = strchr(host, ']');
        host++;
    }
    n = end ? (size_t)(end - host) : strlen(host);
    memcpy(name, host, n);
    name[n] = 0;
    if (inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1)
        return true;
    return strcasecmp(name, "localhost") == 0 ||
           (gethostname(own, sizeof(own) - 1) == 0 && *own && strcasecmp(name, own) == 0);
}

bool http_is_own(const struct http_request *r)
{
    const char *origin = r->origin;

    if (*r->host && !is_own_name(r->host))
        return false;
    if (!*origin)
        return true;
    if (strncmp(origin, "http://", 7) == 0)
        origin += 7;
    else if (strncmp(origin, "https://", 8) == 0)
        origin += 8;
    else
        return false;
    return strcasecmp(origin, r->host) == 0;
}

/* --- answers --- */

void http_respond(struct writer *out, const char *status, const char *headers)
{
    writer_bytes(out, "HTTP/1.1 ", 9);
    writer_bytes(out, status, strlen(status));
    writer_bytes(out, "\r\n", 2);
    writer_bytes(out, headers, strlen(headers));
    writer_bytes(out, "\r\n", 2);
}

void http_respond_with(struct writer *out, const char *status, const char *type, const void *content, size_t size)
{
    char headers[512];

    snprintf(headers, sizeof(headers),
             "Content-Type: %s\r\n"
             "Content-Length: %zu\r\n"
             "Connection: close\r\n"
             "Cache-Control: no-cache\r\n"
             "X-Content-Type-Options: nosniff\r\n"
             "X-Frame-Options: DENY\r\n"
             "Referrer-Policy: no-referrer\r\n",
             type, size);
    http_respond(out, status, headers);
    writer_bytes(out, content, size);
}

void http_upgrade(struct writer *out, const struct http_request *r)
{
    char salted[sizeof(r->key) + sizeof(ACCEPT_SALT)], headers[256];
    uint8_t digest[SHA_DIGEST_LENGTH], accept[4 * (SHA_DIGEST_LENGTH + 2) / 3 + 1];

    snprintf(salted, sizeof(salted), "%s%s", r->key, ACCEPT_SALT);
    EVP_Digest(salted, strlen(salted), digest, NULL, EVP_sha1(), NULL);
    EVP_EncodeBlock(accept, digest, sizeof(digest));
    snprintf(headers, sizeof(headers), "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n%s",
             (char *)accept, r->binary ? "Sec-WebSocket-Protocol: binary\r\n" : "");
    http_respond(out, "101 Switching Protocols", headers);
}
