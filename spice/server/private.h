/*
 * private.h - what the files of the server know of each other.
 *
 * The main loop owns the server, its links, its sessions and their main and inputs channels. A display's loop owns its
 * port: the display and cursor channels of all clients, the sink, the encoders. The two only send each other calls:
 *
 *   main -> port   adopt a linked stream; close a session's channels; they go to another server, or have come from one;
 *                  what a user wants of monitors; shut down (waited for)
 *   port -> main   the picture's size and monitors, of which the main loop has a copy
 *
 * When a user last did something is an atomic of the port.
 */
#ifndef SPICE_SERVER_PRIVATE_H
#define SPICE_SERVER_PRIVATE_H

#include "spice/server/agent.h"
#include "spice/server/channel.h"
#include "spice/server/grace.h"
#include "spice/server/guesses.h"
#include "spice/server/server.h"
#include "spice/server/ticket.h"

#define SERVER_MAX_LINKS    64 /* connections that are not authenticated yet; the oldest gives way */
#define SERVER_MAX_SESSIONS 32
#define SERVER_MAX_DISPLAYS 16
/* Frames of video are stamped so much later than they were drawn, and sound so much later than it was played: both wait. */
#define SHOW_DELAY_MS       200
#define SERVER_MAX_PORTS    16 /* of the guest's, that lead to viewers */

struct agent_port;
struct display_port;
struct guest_port;
struct link;
struct migration;
struct sound_port;

/* Where a session stands while the machine moves to another server (migrate.h). */
enum session_move {
    MOVE_NONE,
    MOVE_ASKED,    /* to connect there */
    MOVE_READY,    /* it has, but starts anew there */
    MOVE_SEAMLESS, /* it has, and takes its channels' state along */
    MOVE_GOING
};

/* One client: its main channel and what joined it. It lives as long as its main channel. */
struct session {
    struct spice_server *server;
    uint32_t id;                   /* connection_id; random, not 0 */
    struct channel *main, *inputs; /* NULL: not there */
    char peer[64];       /* where it came from */
    char password[SPICE_MAX_PASSWORD_LENGTH + 1]; /* that it came with, for its other channels and its return; "": none */
    uint64_t since;      /* when; nanoseconds */
    uint64_t round_trip; /* nanoseconds; 0: not known */
    bool view_only;      /* what it does with keys, mouse, agent has no effect */
    bool has_display; /* had one: the client's dictionary is that one's */
    bool arriving;    /* from another server: it is not here yet */
    enum session_move move;
    unsigned unanswered; /* it was asked to connect there, also for moves that were called off since */
    LIST_ENTRY(session) entry;
};

struct spice_server {
    struct loop *loop;
    struct input *input;
    struct input_listener input_listener;
    bool asks; /* for a password */
    bool sasl; /* lets in who proves by SASL, over TLS, who it is */
    char password[SPICE_MAX_PASSWORD_LENGTH + 1], view_password[SPICE_MAX_PASSWORD_LENGTH + 1]; /* "": none */
    int64_t expires; /* seconds since 1970; INT64_MAX: never */
    char *name; /* NULL: none */
    uint8_t uuid[16];
    uint8_t compression; /* SPICE_IMAGE_COMPRESSION_*, the default for clients without a wish */
    enum wan jpeg, zlib;
    enum streaming streaming;
    uint8_t video_codecs[SERVER_MAX_CODECS]; /* the best first; 0: no more */
    unsigned patience; /* milliseconds that a client has to answer; 0: it need not */
    unsigned move_time; /* milliseconds for each part of a move */
    bool expects;      /* sessions from another server */
    struct migration *migration; /* NULL: the machine stays */
    struct tls *tls;         /* NULL: none */
    uint32_t plain_channels; /* 1 << SPICE_CHANNEL_* */
    struct web_site *site;   /* NULL: no pages */
    const char *(*state)(void *opaque);
    void *state_opaque;
    int port, tls_port, web_port;
    struct listener *listeners[4]; /* the TCP ports, unix */
    struct ticket_keys *keys;
    TAILQ_HEAD(link_list, link) links; /* the oldest first */
    unsigned link_count;
    struct guesses guesses;
    struct grace grace;
    LIST_HEAD(, session) sessions;
    unsigned session_count;
    struct display_port *ports[SERVER_MAX_DISPLAYS]; /* by display id */
    bool client_mouse;                               /* the mode in force */
    bool takes_heads; /* clients were told of an agent, which takes their monitors */
    struct agent_port *agent; /* NULL: the guest has no port for one */
    struct guest_port *guest_ports[SERVER_MAX_PORTS]; /* the first are those that there are */
    struct sound_port *sound; /* NULL: the guest has no sound card */
    bool compress_sound;
    struct agent_filter agent_filter;
    bool agent_mouse; /* an agent may place the pointer */
};

/* What the main loop knows of a display. */
struct display_layout {
    unsigned width, height; /* 0 x 0: there is no picture */
    struct display_head heads[DISPLAY_MAX_HEADS];
    size_t head_count;
    bool takes_heads; /* the guest does what a client says of monitors */
};

/* server.c */
uint32_t server_mm_time(void);
/* Whether the channel may be opened: SPICE_LINK_ERR_OK or why not. */
unsigned server_check_channel(struct spice_server *server, const struct channel_params *params);
/* Make a channel of a stream that was linked; password: what it proved, "": none. */
void server_adopt(struct spice_server *server, const struct channel_params *params, const char *password);
/* Whether clients may say where the pointer is. */
bool server_can_point(const struct spice_server *server);
/* Whether clients may say so is another matter than before. */
void server_pointing_changed(struct spice_server *server);
/* Whether there is somebody to say agent's messages to: in the guest, or, for monitors, this server. */
bool server_has_agent(const struct spice_server *server);
/* It has come, gone, or is another one. */
void server_agent_changed(struct spice_server *server);
/* Choose the mouse mode and tell all clients. */
void server_set_mouse_mode(struct spice_server *server, bool client);
/* A display's layout is another one. */
void server_layout_changed(struct spice_server *server);

/* heads.c */
unsigned server_display_count(const struct spice_server *server);
/* Whether all of the guest's display drivers do what a client says of monitors. */
bool server_takes_heads(const struct spice_server *server);
/* A user wants these monitors, by the numbers that clients use. */
void server_set_heads(struct spice_server *server, const struct display_head *heads, size_t count);
/*
 * Where a client points: from its number of a monitor and a pixel there to a display's and the pixel in its picture. NULL: it
 * shows no such monitor.
 */
const struct display_port *server_locate(const struct spice_server *server, uint32_t *number, uint32_t *x, uint32_t *y);

/* link.c */
void link_start(struct spice_server *server, struct stream *stream);
void link_keys_ready(void *server);
void link_close_all(struct spice_server *server);

/* migrate.c */
/* A client says how far it got: MOVE_SEAMLESS, MOVE_READY, or MOVE_NONE, it cannot. */
void migrate_answer(struct session *session, enum session_move move);
/* The session has ended. */
void migrate_gone(struct session *session);
void migrate_destroy(struct migration *m);

/* session.c */
struct session *session_find(struct spice_server *server, uint32_t id);
void session_start(struct spice_server *server, const struct channel_params *params, const char *password);
/* The main channel is closing: end the rest. */
void session_end(struct session *session);
/* Whose words reach the agent: of those who may do more than look, the one who has been here longest; NULL: there is none. */
struct session *session_owner(const struct spice_server *server);
/* Say good-bye to all. */
void session_close_all(struct spice_server *server);
/* It has come from another server, and is here now; anew: its channels' state was not kept. */
void session_arrived(struct session *session, bool anew);
/* Its channels go to another server, each with its state. */
void session_leave(struct session *session);
/* Nobody who was lost may come back, nor who is here if he is lost. */
void session_forget_passwords(struct spice_server *server);

/* main_channel.c */
/* Becomes session->main; false without memory. From here on the channel's end is the session's. */
bool main_channel_create(struct session *session, const struct channel_params *params);
void main_channel_send_mouse_mode(struct channel *ch);
void main_channel_send_switch(struct channel *ch, const struct spice_destination *to);
/* Connect there; whether that can be said to this client, and then whether its channels may take their state along. */
bool main_channel_send_begin(struct channel *ch, const struct spice_destination *to);
/* Whether there is an agent for it is another matter than before. */
void main_channel_send_agent(struct channel *ch);
/* Of the client that speaks with the guest's agent; NULL: none does. */
struct channel *main_channel_of_agent(const struct spice_server *server);
/* Whether it takes what the agent says, now; and a piece of a message. */
bool main_channel_takes_piece(const struct channel *ch);
void main_channel_send_piece(struct channel *ch, const uint8_t *piece, uint32_t size);
/* The agent takes more of what clients say. */
void main_channel_agent_has_room(const struct spice_server *server);

/* inputs_channel.c */
/* Becomes session->inputs, unless there is no memory. */
void inputs_channel_create(struct session *session, const struct channel_params *params);
void inputs_channel_send_leds(struct channel *ch, unsigned leds);
/* From another server, where nothing of it was kept. */
void inputs_channel_arrive(struct channel *ch);

/* display_port.c; called in the main loop */
struct display_port *display_port_create(struct spice_server *server, struct display *display);
void display_port_adopt(struct display_port *port, const struct channel_params *params);
void display_port_close_session(struct display_port *port, uint32_t session);
void display_port_leave(struct display_port *port, uint32_t session);
void display_port_arrive(struct display_port *port, uint32_t session);
/* A user did something: what is drawn next is urgent. */
void display_port_input(struct display_port *port);
/* Closes its channels with a good-bye and waits for that. */
void display_port_destroy(struct display_port *port);
/* The main loop's copy. */
const struct display_layout *display_port_layout(const struct display_port *port);
/* A user wants these monitors of the display. */
void display_port_set_heads(struct display_port *port, const struct display_head *heads, size_t count);

#endif
