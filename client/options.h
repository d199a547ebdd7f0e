/* options.h - the command line of minivm-client. */
#ifndef CLIENT_OPTIONS_H
#define CLIENT_OPTIONS_H

#include "client/window_options.h"

struct client_options {
    char host[256];         /* name or address; "" with a Unix socket */
    char unix_path[108];    /* or "" */
    char port[8];           /* decimal */
    char password[61];      /* "" for none */
    const char *screenshot; /* file, or NULL */
    const char *type;       /* text to type, or NULL */
    double exit_after;      /* seconds; 0: never */
    bool headless, stats, verbose;
    bool no_reconnect; /* a session that is lost is not tried again by itself */
    struct window_options window;
};

/*
 * Fill in from argv. OPTIONS_HELP (base/options.h) when help was printed. Errors come with fail_text(): -EINVAL the
 * command line is wrong (exit 2), others a file could not be read (exit 1).
 */
int client_options_parse(struct client_options *o, int argc, char **argv);
/* spice://HOST:PORT, spice://HOST?port=PORT, spice+unix://PATH; IPv6 addresses in brackets. */
int client_options_parse_uri(struct client_options *o, const char *uri);

#endif
