/* uri.c - how a server is named in one word. */
#include "client/options.h"

#include "base/error.h"
#include "base/log.h"
#include "spice/protocol/messages.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int client_options_copy(char *to, size_t size, const char *from, size_t n, const char *what)
{
    if (n == 0 || n >= size)
        return fail(-EINVAL, "%s is %s", what, n ? "too long" : "empty");
    memcpy(to, from, n);
    to[n] = '\0';
    return 0;
}

int client_options_parse_port(const char *text, char port[8])
{
    char *end;
    long number = strtol(text, &end, 10);

    if (text[0] < '0' || text[0] > '9' || *end || number < 1 || number > 65535)
        return fail(-EINVAL, "port '%s' is not a number from 1 to 65535", text);
    snprintf(port, 8, "%ld", number);
    return 0;
}

int client_options_parse_channels(const char *text, uint32_t *mask)
{
    char name[32];

    while (*text) {
        size_t n = strcspn(text, ",;");
        unsigned type;

        if (n >= sizeof(name))
            return fail(-EINVAL, "'%s' names no channel", text);
        snprintf(name, sizeof(name), "%.*s", (int)n, text);
        type = spice_channel_type(name);
        if (strcmp(name, "all") == 0)
            *mask = UINT32_MAX;
        else if (type && type < 32)
            *mask |= 1u << type;
        else if (*name)
            return fail(-EINVAL,
                        "'%s' is no channel; there are main, display, inputs, cursor, playback, record, "
                        "smartcard, usbredir, port, webdav, and all",
                        name);
        text += n + (text[n] != '\0');
    }
    return 0;
}

/* HOST or [ADDRESS]; *rest is what follows. */
static int parse_host(struct client_options *o, const char *text, const char **rest)
{
    size_t host = text[0] == '[' ? strcspn(text, "]") : strcspn(text, ":/?");

    *rest = text + host;
    if (text[0] != '[')
        return client_options_copy(o->host, sizeof(o->host), text, host, "the host");
    if (**rest != ']')
        return fail(-EINVAL, "'%s' lacks a ']'", text);
    ++*rest;
    return client_options_copy(o->host, sizeof(o->host), text + 1, host - 1, "the host");
}

static int set_password(struct client_options *o, const char *text)
{
    log_warn("others can see a password that is part of a command line; --password-file keeps it to you");
    return client_options_copy(o->password, sizeof(o->password), text, strlen(text), "the password");
}

/* port=5900&tls-port=5901 */
static int parse_query(struct client_options *o, const char *query)
{
    char word[300];
    int err = 0;

    while (*query && !err) {
        size_t n = strcspn(query, "&");

        snprintf(word, sizeof(word), "%.*s", (int)MIN(n, sizeof(word) - 1), query);
        if (strncmp(word, "port=", 5) == 0)
            err = client_options_parse_port(word + 5, o->port);
        else if (strncmp(word, "tls-port=", 9) == 0)
            err = client_options_parse_port(word + 9, o->tls_port);
        else if (strncmp(word, "password=", 9) == 0)
            err = set_password(o, word + 9);
        else
            err = fail(-EINVAL, "'%s' is not understood after the host", word);
        query += n + (query[n] != '\0');
    }
    return err;
}

/* HOST, HOST:PORT, [ADDRESS]:PORT, each with a query behind it perhaps. */
static int parse_authority(struct client_options *o, const char *text, char *port)
{
    const char *rest;
    int err = parse_host(o, text, &rest);

    if (!err && *rest == ':') {
        char digits[8];

        rest++;
        err = client_options_copy(digits, sizeof(digits), rest, strcspn(rest, "/?"), "the port");
        if (!err)
            err = client_options_parse_port(digits, port);
        rest += strcspn(rest, "/?");
    }
    if (err)
        return err;
    rest += *rest == '/';
    if (*rest == '?' && rest[1])
        return parse_query(o, rest + 1);
    return *rest ? fail(-EINVAL, "'%s' is not understood after the host", rest) : 0;
}

int client_options_parse_uri(struct client_options *o, const char *uri)
{
    if (strncmp(uri, "spice+unix://", 13) == 0)
        return client_options_copy(o->unix_path, sizeof(o->unix_path), uri + 13, strlen(uri + 13),
                                   "the path of the socket");
    if (strncmp(uri, "spice+tls://", 12) == 0)
        return parse_authority(o, uri + 12, o->tls_port);
    if (strncmp(uri, "spice://", 8) == 0)
        return parse_authority(o, uri + 8, o->port);
    return fail(-EINVAL, "'%s' is none of spice://HOST:PORT, spice+tls://HOST:PORT, spice+unix://PATH, FILE.vv", uri);
}
