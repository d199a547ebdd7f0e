/*
 * server.h - the SPICE server: what the rest of the machine needs to know of it.
 *
 * Threads: link stage, main and inputs channels live in the main loop; the display and cursor channels of a display
 * live in that display's loop. Everything below is called in the main loop's thread.
 */
#ifndef SPICE_SERVER_SERVER_H
#define SPICE_SERVER_SERVER_H

#include "backend/chardev.h"
#include "backend/display.h"
#include "backend/input.h"
#include "backend/sound.h"

/* What channels call, in the main loop and in the displays'; and what only the main loop does, where clients come. */
extern const struct sandbox_calls spice_channel_sandbox, spice_link_sandbox;

/* Whether to do what pays on a slow way. */
enum wan { WAN_AUTO, WAN_ALWAYS, WAN_NEVER };

/* What becomes a video stream: AUTO: what FILTER takes, for clients that are not on this host; ALL: any size and content. */
enum streaming { STREAMING_AUTO, STREAMING_OFF, STREAMING_FILTER, STREAMING_ALL };

/* What the guest's agent is not wanted for. */
struct agent_filter {
    bool no_clipboard, no_files;
};

#define SERVER_MAX_CODECS 8

struct spice_config {
    const char *listen;    /* address; NULL: 127.0.0.1 */
    int port;              /* 0: any free one, -1: none */
    int tls_port;          /* the same; another port than `port`, for clients that are told of one */
    int web_port;          /* the same, for browsers; each port answers them if there is a web_folder */
    const char *web_folder; /* spice-html5's; NULL: no pages, but websockets all the same */
    const char *(*state)(void *opaque); /* the machine's, in a word, for the page; may be NULL */
    void *state_opaque;
    const char *unix_path; /* or NULL */
    const char *password;  /* the ticket; NULL: none is asked, until spice_server_set_password() */
    const char *view_password; /* who gives this one may look, and do nothing else; NULL: there is none */
    bool sasl;                 /* who comes by TLS may authenticate by SASL instead; without a password everybody must */
    const char *sasl_database; /* of users; NULL: as libsasl2 is configured */
    /* Files in PEM; NULL: no TLS. With TLS, who comes without it over TCP is told to come with it. Each port takes both. */
    const char *tls_certificate, *tls_key;
    uint32_t plain_channels; /* 1 << SPICE_CHANNEL_*: they need no TLS all the same */
    const char *name;      /* the machine's, told to clients */
    uint8_t uuid[16];
    const char *image_compression; /* "auto", "off", "lz", "quic", "lz4"; NULL: auto */
    enum wan jpeg; /* pictures that are nearly right at first, exactly when they rest */
    enum wan zlib; /* around GLZ pictures; AUTO is ALWAYS: it is tried, and kept if it made them smaller */
    enum streaming streaming;
    const char *video_codecs; /* "vp8,h264,mjpeg", the best first, those that are to be used; NULL: that */
    int patience; /* milliseconds that a viewer may take to answer before its connection ends; 0: 30000, -1: any time */
    struct agent_filter agent_filter; /* what clients and the guest's agent may not say to each other */
    bool raw_sound; /* is not compressed, for anybody */
    bool no_agent_mouse; /* the guest's agent is not to place the pointer */
    unsigned move_time; /* milliseconds for clients to connect to another server, and to go there; 0: 10000 */
};

struct spice_server;

/* Listens when it returns. Errors come with fail_text(). */
int spice_server_create(struct spice_server **server, struct loop *loop,
                        const struct spice_config *config, struct input *input);
/* Before clients are served; at most one display per id. */
int spice_server_add_display(struct spice_server *server, struct display *display);
#define SPICE_AGENT_PORT "com.redhat.spice.0"
/*
 * The other end of a port of the guest's, the server's own: of SPICE_AGENT_PORT, which its agent speaks on, or
 * another, that becomes a channel of its own: WEBDAV for "org.spice-space.webdav.0", else PORT. Before clients come. The device must
 * have let go of it when the server is destroyed. -EEXIST, -EINVAL with fail_text().
 */
int spice_server_add_port(struct spice_server *server, const char *name, struct chardev **port);
/* A sound card, which must live longer than the server, in its loop. Before clients come. -EEXIST with fail_text(). */
int spice_server_add_sound(struct spice_server *server, struct sound *sound);
/* What a new password means for those who are connected: nothing; that it is refused; their end. */
enum ticket_connected { TICKET_KEEP, TICKET_FAIL, TICKET_DISCONNECT };

/*
 * From here on this is the password, and does not expire. With TICKET_KEEP who is connected may come back with the one that
 * he had if he is lost later (grace.h); who was lost before may not. -EBUSY by TICKET_FAIL, -EINVAL for its size; with
 * fail_text().
 */
int spice_server_set_password(struct spice_server *server, const char *password, enum ticket_connected connected);
/*
 * When the password expires, in seconds since 1970; INT64_MAX: never. Who is connected stays, and may come back if he is lost
 * later, unless `when` has come already: that ends each right to come in. -EINVAL: there is none.
 */
int spice_server_expire_password(struct spice_server *server, int64_t when);
/* --- other servers --- */

/* Another server, as clients reach it. */
struct spice_destination {
    const char *host;    /* a name or an address */
    int port, tls_port;  /* -1: none; not both */
    const char *subject; /* of its certificate; NULL: its host's name is in it */
};

/* Send all clients there; they connect anew, with the password that they know. -EINVAL with fail_text() */
int spice_server_switch_host(struct spice_server *server, const struct spice_destination *to);

/*
 * The machine moves to another host, and its clients with it (migrate.c):
 *
 *   start   clients connect there beside their connections here, with the password that they know; done() when each has said
 *           whether it could, or its time is over
 *   finish  the machine has stopped here, and is about to go on there: clients go; done() when none of those who were here
 *           is left
 *   cancel  it stays after all, and so do they; instead of finish
 *
 * done() is called once, in the main loop, never from inside of these; not after cancel, and start's not after finish.
 * -EBUSY, -EINVAL with fail_text().
 */
int spice_server_migrate_start(struct spice_server *server, const struct spice_destination *to,
                               void (*done)(void *opaque), void *opaque);
int spice_server_migrate_finish(struct spice_server *server, void (*done)(void *opaque), void *opaque);
int spice_server_migrate_cancel(struct spice_server *server);
/*
 * The other side: whether clients may bring sessions from another server. At first they may not; those that are about to come
 * when that is over are closed.
 */
void spice_server_migrate_expect(struct spice_server *server, bool on);

/* The TCP ports listened on, or -1. */
int spice_server_port(const struct spice_server *server);
int spice_server_tls_port(const struct spice_server *server);
int spice_server_web_port(const struct spice_server *server);
/*
 * Take over a connected socket (fd is the server's from here on). `peer` is the client's "address:port", or "unix": for the
 * log, the penalty for wrong passwords, and whether bytes or time are dear on the way.
 */
void spice_server_accept(struct spice_server *server, int fd, const char *peer);
/* Says good-bye to clients (SPICE_MSG_DISCONNECTING) and frees everything. The displays' loops still run. */
void spice_server_destroy(struct spice_server *server);

#endif
