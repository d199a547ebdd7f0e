#include "client/options.h"

#include "base/error.h"
#include "base/file.h"
#include "base/options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int copy_text(char *to, size_t size, const char *from, size_t n, const char *what)
{
    if (n == 0 || n >= size)
        return fail(-EINVAL, "%s is %s", what, n ? "too long" : "empty");
    memcpy(to, from, n);
    to[n] = '\0';
    return 0;
}

static int set_port(struct client_options *o, const char *text)
{
    char *end;
    long port = strtol(text, &end, 10);

    if (text[0] < '0' || text[0] > '9' || *end || port < 1 || port > 65535)
        return fail(-EINVAL, "port '%s' is not a number from 1 to 65535", text);
    snprintf(o->port, sizeof(o->port), "%ld", port);
    return 0;
}

/* HOST, HOST:PORT, [ADDRESS]:PORT, each with ?port=PORT behind it perhaps. */
static int parse_authority(struct client_options *o, const char *text)
{
    size_t host = text[0] == '[' ? strcspn(text, "]") : strcspn(text, ":/?");
    const char *rest = text + host;
    int err;

    if (text[0] == '[') {
        if (*rest != ']')
            return fail(-EINVAL, "'%s' lacks a ']'", text);
        err = copy_text(o->host, sizeof(o->host), text + 1, host - 1, "the host");
        rest++;
    } else {
        err = copy_text(o->host, sizeof(o->host), text, host, "the host");
    }
    if (err)
        return err;
    if (*rest == ':') {
        char port[8];

        rest++;
        err = copy_text(port, sizeof(port), rest, strcspn(rest, "/?"), "the port");
        if (err || (err = set_port(o, port)))
            return err;
        rest += strcspn(rest, "/?");
    }
    if (*rest == '/')
        rest++;
    if (strncmp(rest, "?port=", 6) == 0)
        return set_port(o, rest + 6);
    return *rest ? fail(-EINVAL, "'%s' is not understood after the host", rest) : 0;
}

int client_options_parse_uri(struct client_options *o, const char *uri)
{
    if (strncmp(uri, "spice+unix://", 13) == 0)
        return copy_text(o->unix_path, sizeof(o->unix_path), uri + 13, strlen(uri + 13),
                         "the path of the socket");
    if (strncmp(uri, "spice://", 8) == 0)
        return parse_authority(o, uri + 8);
    return fail(-EINVAL, "'%s' is neither spice://HOST:PORT nor spice+unix://PATH", uri);
}

static int read_password(void *config, const char *path)
{
    struct client_options *o = config;

    return file_first_line("password file", path, o->password, sizeof(o->password));
}

static int set_seconds(void *config, const char *text)
{
    struct client_options *o = config;
    char *end;

    o->exit_after = strtod(text, &end);
    if (*end || !(o->exit_after > 0 && o->exit_after < 1e6))
        return fail(-EINVAL, "'%s' is not a number of seconds", text);
    return 0;
}

static int set_host(void *config, const char *text)
{
    struct client_options *o = config;

    return copy_text(o->host, sizeof(o->host), text, strlen(text), "the name");
}

static int set_port_option(void *config, const char *text)
{
    return set_port(config, text);
}

static int set_screenshot(void *config, const char *path)
{
    ((struct client_options *)config)->screenshot = path;
    return 0;
}

static int set_type(void *config, const char *text)
{
    ((struct client_options *)config)->type = text;
    return 0;
}

static int set_headless(void *config, const char *value UNUSED)
{
    ((struct client_options *)config)->headless = true;
    return 0;
}

static int set_no_reconnect(void *config, const char *value UNUSED)
{
    ((struct client_options *)config)->no_reconnect = true;
    return 0;
}

static int set_stats(void *config, const char *value UNUSED)
{
    ((struct client_options *)config)->stats = true;
    return 0;
}

static int set_verbose(void *config, const char *value UNUSED)
{
    ((struct client_options *)config)->verbose = true;
    return 0;
}

static int set_full_screen(void *config, const char *value UNUSED)
{
    ((struct client_options *)config)->window.full_screen = true;
    return 0;
}

static int set_scale(void *config, const char *text)
{
    return window_options_set_scale(&((struct client_options *)config)->window, text);
}

static int set_resize(void *config, const char *text)
{
    return window_options_set_resize(&((struct client_options *)config)->window, text);
}

static int set_hotkeys(void *config, const char *text)
{
    return hotkeys_parse(&((struct client_options *)config)->window.hotkeys, text);
}

static int set_grab(void *config, const char *text)
{
    return window_options_set_grab(&((struct client_options *)config)->window, text);
}

static int set_view_only(void *config, const char *value UNUSED)
{
    ((struct client_options *)config)->window.view_only = true;
    return 0;
}

static int set_title(void *config, const char *text)
{
    ((struct client_options *)config)->window.title = text;
    return 0;
}

static int set_server(void *config, const char *word)
{
    struct client_options *o = config;

    if (o->host[0] || o->unix_path[0])
        return fail(-EINVAL, "one server at a time: '%s' is too much", word);
    return client_options_parse_uri(o, word);
}

static const struct option_def defs[] = {
    {"host", "HOST", "the server's name or address", set_host},
    {"port", "PORT", "its port", set_port_option},
    {"password-file", "FILE", "its first line is the password (ticket)", read_password},
    {"full-screen", NULL, "fill the screen; several monitors of the guest fill as many screens", set_full_screen},
    {"scale", "PERCENT|fit", "how large the picture is: 25 to 400, or as large as the window lets it be", set_scale},
    {"resize", "guest|window|none", "the guest takes the window's size (if it can), the window the guest's, or neither",
     set_resize},
    {"hotkeys", "NAME=KEYS,...", "as remote-viewer's: toggle-fullscreen=shift+f11,release-cursor=ctrl+alt,...",
     set_hotkeys},
    {"grab", "keyboard|none", "whether the desktop's own shortcuts reach the guest while the window has the focus",
     set_grab},
    {"view-only", NULL, "keys and mouse do not go to the guest", set_view_only},
    {"title", "TEXT", "the window's title instead of the machine's name", set_title},
    {"screenshot", "FILE.png", "write the guest's picture once it is there and quiet, then exit",
     set_screenshot},
    {"type", "TEXT", "type this on a US keyboard first; \\n is Enter, \\t Tab", set_type},
    {"exit-after", "SECONDS", "end then; with --screenshot, take it at that moment", set_seconds},
    {"headless", NULL, "no window: needs no display", set_headless},
    {"no-reconnect", NULL, "do not try again by itself when the connection is lost", set_no_reconnect},
    {"stats", NULL, "print each channel's messages, bytes and times as JSON at the end", set_stats},
    {"verbose", NULL, "say more on standard error", set_verbose},
};

static const struct option_table table = {
    .usage = "minivm-client [OPTION...] spice://HOST:PORT | spice+unix://PATH\n"
             "       minivm-client [OPTION...] --host HOST --port PORT\n\n"
             "Shows a SPICE server's screen. In the window Ctrl+Alt (left) gives mouse and "
             "keyboard back.",
    .options = defs,
    .count = ARRAY_SIZE(defs),
    .positional = set_server,
};

int client_options_parse(struct client_options *o, int argc, char **argv)
{
    int err;

    *o = (struct client_options){0};
    window_options_init(&o->window);
    err = options_parse(&table, argc, argv, o);
    if (err || o->unix_path[0])
        return err;
    if (!o->port[0])
        return fail(-EINVAL, "which server? Give spice://HOST:PORT, or --port; see --help");
    if (!o->host[0])
        strcpy(o->host, "127.0.0.1");
    return 0;
}
