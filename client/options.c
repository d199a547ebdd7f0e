#include "client/options.h"

#include "base/error.h"
#include "base/file.h"
#include "base/options.h"
#include "client/vv.h"
#include "spice/protocol/messages.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

    return client_options_copy(o->host, sizeof(o->host), text, strlen(text), "the name");
}

static int set_port_option(void *config, const char *text)
{
    return client_options_parse_port(text, ((struct client_options *)config)->port);
}

static int set_tls_port(void *config, const char *text)
{
    return client_options_parse_port(text, ((struct client_options *)config)->tls_port);
}

static int set_ca_file(void *config, const char *path)
{
    ((struct client_options *)config)->ca_file = path;
    return 0;
}

static int set_host_subject(void *config, const char *text)
{
    struct client_options *o = config;

    return client_options_copy(o->host_subject, sizeof(o->host_subject), text, strlen(text), "the subject");
}

static int set_secure_channels(void *config, const char *text)
{
    struct client_options *o = config;

    o->chooses_secure = true;
    o->secure_channels = 0;
    return client_options_parse_channels(text, &o->secure_channels);
}

static int set_user(void *config, const char *text)
{
    struct client_options *o = config;

    return client_options_copy(o->user, sizeof(o->user), text, strlen(text), "the user's name");
}

static int set_proxy(void *config, const char *url)
{
    return proxy_parse(&((struct client_options *)config)->proxy, url);
}

static int set_list_channels(void *config, const char *value UNUSED)
{
    struct client_options *o = config;

    o->list_channels = o->headless = true;
    return 0;
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

static int set_clipboard(void *config, const char *text)
{
    static const char *const names[] = {"none", "to-guest", "from-guest", "both", NULL};
    int n = parse_choice(text, names);

    static_assert(SELECTIONS_TO_GUEST == 1 && SELECTIONS_FROM_GUEST == 2);
    if (n < 0)
        return n;
    ((struct client_options *)config)->clipboard = (unsigned)n;
    return 0;
}

static int set_audio(void *config, const char *text)
{
    static const char *const names[] = {"off", "playback", "record", "both", NULL};
    int n = parse_choice(text, names);
    struct client_options *o = config;

    static_assert(CLIENT_PLAYBACK == 1 && CLIENT_RECORD == 2);
    if (n < 0)
        return n;
    o->audio = (unsigned)n;
    o->chooses_audio = true;
    return 0;
}

static int set_audio_device(void *config, const char *name)
{
    ((struct client_options *)config)->audio_device = name;
    return 0;
}

static int set_microphone(void *config, const char *text)
{
    static const char *const names[] = {"ask", "on", "off", NULL};
    int n = parse_choice(text, names);

    static_assert(MICROPHONE_ASK == 0 && MICROPHONE_ALLOWED == 1 && MICROPHONE_REFUSED == 2);
    if (n < 0)
        return n;
    ((struct client_options *)config)->microphone = (enum microphone_permission)n;
    return 0;
}

static int add_send(void *config, const char *path)
{
    struct client_options *o = config;

    if (o->send_count == CLIENT_MAX_SEND)
        return fail(-EINVAL, "%d files are the most; pack them into one", CLIENT_MAX_SEND);
    o->send[o->send_count++] = path;
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
    struct client_options *o = config;

    o->stats = o->window.stats = true;
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
    struct window_options *o = &((struct client_options *)config)->window;

    o->chooses_hotkeys = true;
    return hotkeys_parse(&o->hotkeys, text);
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
    struct window_options *o = &((struct client_options *)config)->window;

    return client_options_copy(o->title, sizeof(o->title), text, strlen(text), "the title");
}

static int set_server(void *config, const char *word)
{
    struct client_options *o = config;

    if (o->host[0] || o->unix_path[0])
        return fail(-EINVAL, "one server at a time: '%s' is too much", word);
    return strstr(word, "://") ? client_options_parse_uri(o, word) : vv_read(o, word);
}

static const struct option_def defs[] = {
    {"host", "HOST", "the server's name or address", set_host},
    {"port", "PORT", "its port", set_port_option},
    {"tls-port", "PORT", "its port for TLS; with both ports, all channels use it unless --secure-channels says which", set_tls_port},
    {"secure-channels", "LIST", "channels that are to use TLS, as main,inputs; the others do if the server wants it",
     set_secure_channels},
    {"ca-file", "FILE.pem", "the authority that vouches for the server's certificate", set_ca_file},
    {"host-subject", "SUBJECT", "whose certificate it is, as C=..,O=..,CN=..; else the host's name counts",
     set_host_subject},
    {"proxy", "URL", "an HTTP proxy: http://[USER:PASSWORD@]HOST:PORT; else what SPICE_PROXY says", set_proxy},
    {"user", "NAME", "who you are, where the server asks for that (SASL)", set_user},
    {"password-file", "FILE", "its first line is the password", read_password},
    {"list-channels", NULL, "print what channels the server has, and exit", set_list_channels},
    {"full-screen", NULL, "fill the screen; several monitors of the guest fill as many screens", set_full_screen},
    {"scale", "PERCENT|fit", "how large the picture is: 25 to 400, or as large as the window lets it be", set_scale},
    {"resize", "guest|window|none", "the guest takes the window's size (if it can), the window the guest's, or neither",
     set_resize},
    {"hotkeys", "NAME=KEYS,...", "as remote-viewer's: toggle-fullscreen=shift+f11,release-cursor=ctrl+alt,...",
     set_hotkeys},
    {"grab", "keyboard|none", "whether the desktop's own shortcuts reach the guest while the window has the focus",
     set_grab},
    {"clipboard", "both|to-guest|from-guest|none", "which way what was copied may go; both unless given", set_clipboard},
    {"audio", "both|playback|record|off", "which way sound may go; both unless given, off with --headless", set_audio},
    {"audio-device", "NAME", "where it is to be heard, and recorded, while there is a device of this name", set_audio_device},
    {"microphone", "ask|on|off", "whether a guest that records hears the microphone; the window asks unless given",
     set_microphone},
    {"view-only", NULL, "keys and mouse do not go to the guest", set_view_only},
    {"title", "TEXT", "the window's title instead of the machine's name", set_title},
    {"screenshot", "FILE.png", "write the guest's picture once it is there and quiet, then exit",
     set_screenshot},
    {"type", "TEXT", "type this on a US keyboard first; \\n is Enter, \\t Tab", set_type},
    {"send", "FILE", "send it to the guest, whose agent says where it comes to lie; may be given more than once",
     add_send},
    {"exit-after", "SECONDS", "end then; with --screenshot, take it at that moment", set_seconds},
    {"headless", NULL, "no window: needs no display", set_headless},
    {"no-reconnect", NULL, "do not try again by itself when the connection is lost", set_no_reconnect},
    {"stats", NULL, "frames a second and latency in the title; these, messages, bytes and times as JSON at the end", set_stats},
    {"verbose", NULL, "say more on standard error", set_verbose},
};

static const struct option_table table = {
    .usage = "minivm-client [OPTION...] spice://HOST:PORT | spice+tls://HOST:PORT | spice+unix://PATH | FILE.vv\n"
             "       minivm-client [OPTION...] --host HOST --port PORT\n\n"
             "Shows a SPICE server's screen. In the window Ctrl+Alt (left) gives mouse and "
             "keyboard back.",
    .options = defs,
    .count = ARRAY_SIZE(defs),
    .positional = set_server,
};

bool client_options_secure(const struct client_options *o, unsigned channel_type)
{
    if (!o->tls_port[0])
        return false;
    return !o->port[0] || !o->chooses_secure || (channel_type < 32 && o->secure_channels >> channel_type & 1);
}

void client_options_fini(struct client_options *o)
{
    free(o->ca);
    o->ca = NULL;
    explicit_bzero(o->password, sizeof(o->password));
}

static void choose_audio(struct client_options *o)
{
    if (o->headless && !o->chooses_audio)
        o->audio = 0;
    if (!(o->audio & CLIENT_PLAYBACK))
        o->disabled_channels |= 1u << SPICE_CHANNEL_PLAYBACK;
    if (!(o->audio & CLIENT_RECORD))
        o->disabled_channels |= 1u << SPICE_CHANNEL_RECORD;
}

/* What one option alone does not tell. */
static int check(struct client_options *o)
{
    const char *proxy = getenv("SPICE_PROXY");

    choose_audio(o);
    if (o->unix_path[0])
        return 0;
    if (!o->port[0] && !o->tls_port[0])
        return fail(-EINVAL, "which server? Give spice://HOST:PORT, or --port; see --help");
    if (o->secure_channels && !o->tls_port[0])
        return fail(-EINVAL, "channels are to use TLS, but the TLS port is not given; use --tls-port");
    if (!o->host[0])
        strcpy(o->host, "127.0.0.1");
    if (!o->proxy.host[0] && proxy && *proxy)
        return proxy_parse(&o->proxy, proxy);
    return 0;
}

int client_options_parse(struct client_options *o, int argc, char **argv)
{
    int err;

    *o = (struct client_options){.clipboard = SELECTIONS_TO_GUEST | SELECTIONS_FROM_GUEST,
                                 .audio = CLIENT_PLAYBACK | CLIENT_RECORD};
    window_options_init(&o->window);
    err = options_parse(&table, argc, argv, o);
    if (!err)
        err = check(o);
    if (err)
        client_options_fini(o);
    return err;
}
