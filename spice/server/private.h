/*
 * private.h - what the files of the server know of each other.
 *
 * The main loop owns the server, its links, its sessions and their main and inputs channels. A display's loop owns its
 * port: the display and cursor channels of all clients, the sink, the encoders. The two only send each other calls:
 *
 *   main -> port   adopt a linked stream; close a session's channels; shut down (waited for)
 *
 * What one side must know of the other at any time, the picture's size and when a user last did something, is an atomic
 * of the port.
 */
#ifndef SPICE_SERVER_PRIVATE_H
#define SPICE_SERVER_PRIVATE_H

#include "spice/server/channel.h"
#include "spice/server/server.h"
#include "spice/server/ticket.h"

#define SERVER_MAX_LINKS    64 /* connections that are not authenticated yet; the oldest gives way */
#define SERVER_MAX_SESSIONS 32
#define SERVER_MAX_DISPLAYS 16

struct display_port;
struct link;

/* One client: its main channel and what joined it. It lives as long as its main channel. */
struct session {
    struct spice_server *server;
    uint32_t id;                   /* connection_id; random, not 0 */
    struct channel *main, *inputs; /* NULL: not there */
    uint64_t round_trip; /* nanoseconds; 0: not known */
    bool has_display; /* had one: the client's dictionary is that one's */
    LIST_ENTRY(session) entry;
};

struct spice_server {
    struct loop *loop;
    struct input *input;
    struct input_listener input_listener;
    char *password, *name; /* NULL: none */
    uint8_t uuid[16];
    uint8_t compression; /* SPICE_IMAGE_COMPRESSION_*, the default for clients without a wish */
    enum wan jpeg, zlib;
    int port;
    struct listener *listeners[2]; /* TCP, unix */
    struct ticket_keys *keys;
    TAILQ_HEAD(link_list, link) links; /* the oldest first */
    unsigned link_count;
    uint8_t failures[256]; /* wrong passwords in a row, by a hash of the address */
    LIST_HEAD(, session) sessions;
    unsigned session_count;
    struct display_port *ports[SERVER_MAX_DISPLAYS]; /* by display id */
    bool client_mouse;                               /* the mode in force */
};

/* server.c */
uint32_t server_mm_time(void);
/* Whether the channel may be opened: SPICE_LINK_ERR_OK or why not. */
unsigned server_check_channel(struct spice_server *server, uint32_t connection_id, uint8_t type,
                              uint8_t id);
/* Make a channel of a stream that was linked. */
void server_adopt(struct spice_server *server, const struct channel_params *params);
/* Choose the mouse mode and tell all clients. */
void server_set_mouse_mode(struct spice_server *server, bool client);


/* link.c */
void link_start(struct spice_server *server, struct stream *stream);
void link_keys_ready(void *server);
void link_close_all(struct spice_server *server);

/* session.c */
struct session *session_find(struct spice_server *server, uint32_t id);
void session_start(struct spice_server *server, const struct channel_params *params);
/* The main channel is closing: end the rest. */
void session_end(struct session *session);
/* Say good-bye to all. */
void session_close_all(struct spice_server *server);

/* main_channel.c */
/* Becomes session->main; false without memory. From here on the channel's end is the session's. */
bool main_channel_create(struct session *session, const struct channel_params *params);
void main_channel_send_mouse_mode(struct channel *ch);

/* inputs_channel.c */
/* Becomes session->inputs, unless there is no memory. */
void inputs_channel_create(struct session *session, const struct channel_params *params);
void inputs_channel_send_leds(struct channel *ch, unsigned leds);

/* display_port.c; called in the main loop */
struct display_port *display_port_create(struct spice_server *server, struct display *display);
void display_port_adopt(struct display_port *port, const struct channel_params *params);
void display_port_close_session(struct display_port *port, uint32_t session);
/* A user did something: what is drawn next is urgent. */
void display_port_input(struct display_port *port);
/* Closes its channels with a good-bye and waits for that. */
void display_port_destroy(struct display_port *port);
/* Size of the picture, 0 x 0 for none. Any thread. */
void display_port_size(const struct display_port *port, unsigned *width, unsigned *height);

#endif
