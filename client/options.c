#include "client/options.h"

#include "base/error.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: minivm-client [OPTION...] spice://HOST:PORT | spice+unix://PATH\n"
    "       minivm-client [OPTION...] --host HOST --port PORT\n"
    "\n"
    "  --host HOST, --port PORT  the server\n"
    "  --password-file FILE      its first line is the password (ticket)\n"
    "  --screenshot FILE.png     write the guest's picture, without the cursor, once it is there "
    "and quiet; then exit\n"
    "  --type TEXT               type TEXT on a US keyboard when the first picture is quiet; \\n "
    "is Enter, \\t Tab\n"
    "  --exit-after SECONDS      end then; a screenshot is taken at that moment, quiet or not "
    "(with --type at the latest)\n"
    "  --headless                no window: needs no display\n"
    "  --stats                   print messages, bytes and times of each channel as JSON when it "
    "ends\n"
    "  --verbose                 say more on standard error\n"
    "  --help\n"
    "\n"
    "In the window Ctrl+Alt (left) gives mouse and keyboard back.\n";

const char *options_usage(void)
{
    return usage;
}

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

int options_parse_uri(struct client_options *o, const char *uri)
{
    if (strncmp(uri, "spice+unix://", 13) == 0)
        return copy_text(o->unix_path, sizeof(o->unix_path), uri + 13, strlen(uri + 13),
                         "the path of the socket");
    if (strncmp(uri, "spice://", 8) == 0)
        return parse_authority(o, uri + 8);
    return fail(-EINVAL, "'%s' is neither spice://HOST:PORT nor spice+unix://PATH", uri);
}

static int read_password(struct client_options *o, const char *path)
{
    char line[sizeof(o->password) + 2];
    FILE *f = fopen(path, "re");
    size_t n;

    if (!f)
        return fail(-errno, "cannot read the password file '%s': %s", path, strerror(errno));
    if (!fgets(line, sizeof(line), f))
        line[0] = '\0';
    fclose(f);
    n = strcspn(line, "\r\n");
    if (n == 0 || n >= sizeof(o->password))
        return fail(-ENODATA, "the password in '%s' %s", path,
                    n ? "is longer than 60 characters" : "is missing: the first line is empty");
    memcpy(o->password, line, n);
    o->password[n] = '\0';
    return 0;
}

static int set_seconds(struct client_options *o, const char *text)
{
    char *end;

    o->exit_after = strtod(text, &end);
    if (*end || !(o->exit_after > 0 && o->exit_after < 1e6))
        return fail(-EINVAL, "--exit-after '%s' is not a number of seconds", text);
    return 0;
}

enum {
    OPT_HOST = 256,
    OPT_PORT,
    OPT_PASSWORD,
    OPT_SHOT,
    OPT_TYPE,
    OPT_EXIT,
    OPT_HEADLESS,
    OPT_STATS,
    OPT_VERBOSE,
    OPT_HELP
};

static const struct option long_options[] = {
    {"host", required_argument, NULL, OPT_HOST},
    {"port", required_argument, NULL, OPT_PORT},
    {"password-file", required_argument, NULL, OPT_PASSWORD},
    {"screenshot", required_argument, NULL, OPT_SHOT},
    {"type", required_argument, NULL, OPT_TYPE},
    {"exit-after", required_argument, NULL, OPT_EXIT},
    {"headless", no_argument, NULL, OPT_HEADLESS},
    {"stats", no_argument, NULL, OPT_STATS},
    {"verbose", no_argument, NULL, OPT_VERBOSE},
    {"help", no_argument, NULL, OPT_HELP},
    {NULL},
};

static int apply(struct client_options *o, int option)
{
    switch (option) {
    case OPT_HOST:
        return copy_text(o->host, sizeof(o->host), optarg, strlen(optarg), "--host");
    case OPT_PORT:
        return set_port(o, optarg);
    case OPT_PASSWORD:
        return read_password(o, optarg);
    case OPT_SHOT:
        o->screenshot = optarg;
        return 0;
    case OPT_TYPE:
        o->type = optarg;
        return 0;
    case OPT_EXIT:
        return set_seconds(o, optarg);
    case OPT_HEADLESS:
        o->headless = true;
        return 0;
    case OPT_STATS:
        o->stats = true;
        return 0;
    case OPT_VERBOSE:
        o->verbose = true;
        return 0;
    default:
        o->help = true;
        return 0;
    }
}

static int parse_arguments(struct client_options *o, int argc, char **argv)
{
    int option, err = 0;

    optind = 0;
    opterr = 0;
    while (!err && (option = getopt_long(argc, argv, ":", long_options, NULL)) != -1) {
        if (option == '?')
            return fail(-EINVAL, "unknown option '%s'; see --help", argv[optind - 1]);
        if (option == ':')
            return fail(-EINVAL, "option '%s' needs a value; see --help", argv[optind - 1]);
        err = apply(o, option);
    }
    if (err || o->help)
        return err;
    if (argc - optind > 1)
        return fail(-EINVAL, "one server at a time: '%s' is too much", argv[optind + 1]);
    return optind < argc ? options_parse_uri(o, argv[optind]) : 0;
}

int options_parse(struct client_options *o, int argc, char **argv)
{
    int err;

    *o = (struct client_options){0};
    err = parse_arguments(o, argc, argv);
    if (err || o->help || o->unix_path[0])
        return err;
    if (!o->port[0])
        return fail(-EINVAL, "which server? Give spice://HOST:PORT, or --port; see --help");
    if (!o->host[0])
        strcpy(o->host, "127.0.0.1");
    return 0;
}
