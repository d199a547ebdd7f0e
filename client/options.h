/* options.h - the command line of minivm-client, and what URIs and .vv files say beside it. */
#ifndef CLIENT_OPTIONS_H
#define CLIENT_OPTIONS_H

#include "base/base.h"
#include "client/proxy.h"
#include "client/selections.h"
#include "client/window_options.h"

#define CLIENT_MAX_SEND 100

enum { CLIENT_PLAYBACK = 1, CLIENT_RECORD = 2 };
enum microphone_permission { MICROPHONE_ASK, MICROPHONE_ALLOWED, MICROPHONE_REFUSED };

struct client_options {
    char host[256];         /* name or address; "" with a Unix socket */
    char unix_path[108];    /* or "" */
    char port[8];           /* decimal; "" for none, if there is a TLS port */
    char tls_port[8];       /* or "" */
    char user[128];         /* for SASL; "": the user's own name */
    char password[256];     /* "" for none */
    char host_subject[512]; /* of the server's certificate; "": its name is to be the host's */
    char tls_ciphers[256];  /* OpenSSL's list; "": its default */
    const char *ca_file;    /* authorities in PEM, or NULL */
    char *ca;               /* the same as text, owned; or NULL */
    bool chooses_secure;    /* secure_channels counts; else all channels are secure if there is a TLS port */
    uint32_t secure_channels, disabled_channels; /* 1 << SPICE_CHANNEL_* */
    struct proxy proxy;
    const char *screenshot; /* file, or NULL */
    const char *type;       /* text to type, or NULL */
    const char *send[CLIENT_MAX_SEND]; /* files for the guest */
    unsigned send_count;
    double exit_after;      /* seconds; 0: never */
    unsigned clipboard;     /* SELECTIONS_* */
    unsigned audio;         /* CLIENT_PLAYBACK, CLIENT_RECORD */
    const char *audio_device; /* or NULL */
    enum microphone_permission microphone;
    bool headless, stats, verbose;
    bool no_reconnect; /* a session that is lost is not tried again by itself */
    bool list_channels;
    bool chooses_audio; /* the command line has said it; else there is none without a window */
    struct window_options window;
};

/*
 * Fill in from argv. OPTIONS_HELP (base/options.h) when help was printed. Errors come with fail_text(): -EINVAL the
 * command line is wrong (exit 2), others a file could not be read (exit 1).
 */
int client_options_parse(struct client_options *o, int argc, char **argv);
void client_options_fini(struct client_options *o);
/* Whether a channel of this type goes by TLS. */
bool client_options_secure(const struct client_options *o, unsigned channel_type);

/* For uri.c and vv.c; -EINVAL with fail_text(). */
/*
 * spice://HOST:PORT, spice://HOST?port=PORT&tls-port=PORT, spice+tls://HOST:PORT, spice+unix://PATH; addresses in
 * brackets.
 */
int client_options_parse_uri(struct client_options *o, const char *uri);
/* "main,inputs" or "main;inputs", or "all": added to the mask. */
int client_options_parse_channels(const char *text, uint32_t *mask);
/* A number from 1 to 65535. */
int client_options_parse_port(const char *text, char port[8]);
/* n bytes, at least one; `what` names it in messages. */
int client_options_copy(char *to, size_t size, const char *from, size_t n, const char *what);

#endif
