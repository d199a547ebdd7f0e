#include "client/proxy.h"

#include "base/error.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_PORT "3128"

static int copy_part(char *to, size_t size, const char *from, size_t n, const char *what)
{
    if (n >= size)
        return fail(-EINVAL, "the proxy's %s is too long", what);
    memcpy(to, from, n);
    to[n] = '\0';
    return 0;
}

/* %41 is A. In place. */
static void unescape(char *text)
{
    char *to = text, pair[3] = "";

    for (; *text; text++) {
        *to = *text;
        if (*text == '%' && strspn(text + 1, "0123456789abcdefABCDEF") >= 2) {
            memcpy(pair, text + 1, 2);
            *to = (char)strtol(pair, NULL, 16);
            text += 2;
        }
        to++;
    }
    *to = '\0';
}

static int parse_port(struct proxy *p, const char *text)
{
    size_t n = strspn(text, "0123456789");
    int err = copy_part(p->port, sizeof(p->port), n ? text : DEFAULT_PORT, n ? n : strlen(DEFAULT_PORT), "port");

    if (err)
        return err;
    if (strcmp(text + n, "/") != 0 && text[n])
        return fail(-EINVAL, "the proxy's port '%s' is no number", text);
    return 0;
}

int proxy_parse(struct proxy *p, const char *url)
{
    const char *at;
    size_t host;
    int err = 0;

    *p = (struct proxy){.port = DEFAULT_PORT};
    if (strncmp(url, "http://", 7) == 0)
        url += 7;
    else if (strstr(url, "://"))
        return fail(-EINVAL, "the proxy '%s' is no http://HOST:PORT", url);
    at = strrchr(url, '@');
    if (at) {
        err = copy_part(p->credentials, sizeof(p->credentials), url, (size_t)(at - url), "user and password");
        unescape(p->credentials);
        url = at + 1;
    }
    host = *url == '[' ? strcspn(url, "]") : strcspn(url, ":/");
    if (!err)
        err = copy_part(p->host, sizeof(p->host), url + (*url == '['), host - (*url == '['), "host");
    if (err)
        return err;
    if (!p->host[0] || (*url == '[' && url[host] != ']'))
        return fail(-EINVAL, "the proxy has no host: http://HOST:PORT");
    url += host + (*url == '[');
    return parse_port(p, *url == ':' ? url + 1 : url);
}

int proxy_request(const struct proxy *p, const char *host, const char *port, struct writer *w)
{
    const char *authority = strchr(host, ':') ? "[%s]:%s" : "%s:%s";
    char to[300], head[1400], code[4 * sizeof(p->credentials) / 3 + 8];
    int n;

    snprintf(to, sizeof(to), authority, host, port);
    EVP_EncodeBlock((unsigned char *)code, (const unsigned char *)p->credentials, (int)strlen(p->credentials));
    n = snprintf(head, sizeof(head), "CONNECT %s HTTP/1.1\r\nHost: %s\r\n%s%s%s\r\n", to, to,
                 p->credentials[0] ? "Proxy-Authorization: Basic " : "", p->credentials[0] ? code : "",
                 p->credentials[0] ? "\r\n" : "");
    writer_bytes(w, head, (size_t)n);
    return w->bad ? -ENOBUFS : 0;
}

/* The status line, made fit to be shown. */
static int refused(const char *line, size_t size)
{
    char text[120];
    size_t n = MIN(size, sizeof(text) - 1);

    for (size_t i = 0; i < n; i++)
        text[i] = line[i] >= ' ' && line[i] <= '~' ? line[i] : '?';
    text[n] = '\0';
    if (n > 9 && memcmp(text + 9, "407", 3) == 0)
        return fail(-EPROTO, "the proxy wants a user and password, or others: --proxy http://USER:PASSWORD@HOST:PORT");
    return fail(-EPROTO, "the proxy does not connect: %s", text + MIN(n, 9u));
}

int proxy_answer(const void *data, size_t size)
{
    const char *text = data, *end = memmem(data, MIN(size, PROXY_MAX_ANSWER), "\r\n\r\n", 4), *line;

    if (size && memcmp(text, "HTTP/1.", MIN(size, 7u)) != 0)
        return fail(-EPROTO, "what answers is no HTTP proxy");
    if (!end)
        return size < PROXY_MAX_ANSWER ? 0 : fail(-EPROTO, "the proxy's answer does not end");
    line = memchr(text, '\r', size);
    if (line - text < 12 || text[8] != ' ' || text[9] != '2')
        return refused(text, (size_t)(line - text));
    return (int)(end + 4 - text);
}
