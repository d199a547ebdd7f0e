/*
 * display_port.h - where the server meets a display: its sink, and the display and cursor channels of all clients.
 *
 * Thread: everything here belongs to the display's loop, but what is said to be the main loop's (private.h has what that may
 * call).
 */
#ifndef SPICE_SERVER_DISPLAY_PORT_H
#define SPICE_SERVER_DISPLAY_PORT_H

#include "spice/server/channel.h"
#include "spice/server/fingerprint.h"
#include "spice/server/private.h"

struct display_port {
    struct display *display;
    uint8_t compression; /* SPICE_IMAGE_COMPRESSION_*, for clients without a wish */
    enum wan jpeg, zlib; /* pictures that are nearly right first; zlib around GLZ */
    enum streaming streaming;
    uint8_t video_codecs[SERVER_MAX_CODECS]; /* SPICE_VIDEO_CODEC_TYPE_*, the best first; 0: no more */
    struct display_sink sink;
    bool watching;  /* the sink is with the display: somebody is connected */
    bool announced; /* the guest was told that there is a client */
    struct channel_list displays, cursors;
    struct fingerprint print; /* of the surface, while watching */
    struct grid changed, scratch; /* strips; for the update at hand */
    bool waiting; /* the guest has asked for what is not drawn yet */
    struct display_layout told; /* to the main loop */
    struct loop *main_loop;
    struct display_layout layout; /* the main loop's */
    struct spice_server *server;  /* the main loop's; NULL: it has ended */
    uint64_t input_time; /* atomic: when a user last did something; nanoseconds, 0: never */
    unsigned refs; /* atomic: the server's, and one for each call under way */
    bool dead;     /* shut down: the display may be gone */
};

/* The picture, or NULL while there is none (or no memory to serve it). */
static inline const struct display_surface *port_surface(const struct display_port *port)
{
    return port->print.now.hash ? &port->display->surface : NULL;
}

/* Bring the surface to what the guest has asked for. */
void port_draw(struct display_port *port);
/* A display channel is ready to be drawn on: the first one's abilities are told to the guest. */
void port_display_joined(struct display_port *port, const struct channel *ch);
/* A channel closed: leave the display alone when it was the last. */
void port_channel_closed(struct display_port *port, struct channel *ch);

/* display_channel.c; joins port->displays */
void display_channel_create(struct display_port *port, const struct channel_params *params);
/* The primary is another one. */
void display_channel_surface(struct channel *ch);
void display_channel_damage(struct channel *ch, const struct rect *rects, size_t count);
/* Damage that is known to have moved there. */
void display_channel_moved(struct channel *ch, const struct rect *to, int32_t dx, int32_t dy);
void display_channel_heads(struct channel *ch);
/* To another server, as soon as what is being made has been sent; from another, where nothing of it was kept. */
void display_channel_leave(struct channel *ch);
void display_channel_arrive(struct channel *ch);

/* cursor_channel.c; joins port->cursors */
void cursor_channel_create(struct display_port *port, const struct channel_params *params);
void cursor_channel_shape(struct channel *ch);
void cursor_channel_move(struct channel *ch);
void cursor_channel_arrive(struct channel *ch);

#endif
