/*
 * sound_port.h - one end of a sound card (backend/sound.h): what the guest plays is heard by all clients, what one of them
 * speaks is recorded by the guest. Channels PLAYBACK and RECORD, of which each session has at most one.
 *
 * Thread: the main loop.
 */
#ifndef SPICE_SERVER_SOUND_PORT_H
#define SPICE_SERVER_SOUND_PORT_H

#include "backend/sound.h"
#include "spice/server/channel.h"

#define SOUND_PORT_RATE 48000 /* of both directions on the wire; of what is not compressed, the guest's */

struct sound_port;

/* compress: by Opus, for clients that can. The card must live longer. NULL without memory. */
struct sound_port *sound_port_create(struct loop *loop, struct sound *sound, bool compress);
/* Its channels were closed. NULL is fine, here and for the others. */
void sound_port_destroy(struct sound_port *p);
/* A client's channel, by its type; another one of its session is closed. */
void sound_port_adopt(struct sound_port *p, const struct channel_params *params);
void sound_port_close_session(struct sound_port *p, uint32_t session);
/* Its client goes to another server, or has come from one where nothing was kept. */
void sound_port_leave(struct sound_port *p, uint32_t session);
void sound_port_arrive(struct sound_port *p, uint32_t session);

#endif
