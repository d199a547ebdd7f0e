/*
 * port_channel.h - a port of the guest's that a viewer has the other end of: a channel PORT with a name, or, of the
 * name that spice-webdavd uses, WEBDAV.
 *
 * The session's owner (session_owner()) has it, while he is here; to the guest that is whether somebody is at the other
 * end. Neither side is read faster than the other one takes it.
 *
 * Thread: the main loop.
 */
#ifndef SPICE_SERVER_PORT_CHANNEL_H
#define SPICE_SERVER_PORT_CHANNEL_H

#include "backend/chardev.h"
#include "spice/server/channel.h"

#define WEBDAV_PORT   "org.spice-space.webdav.0"
#define PORT_MAX_NAME 64
#define PORT_QUEUE    KIB(256) /* bytes that may wait for either side, but for a message */

struct session;
struct guest_port;

/* NULL without memory, or for a name that is too long. */
struct guest_port *guest_port_create(struct loop *loop, const char *name, uint8_t id);
/* Its channel was closed, and nobody is at the device's end. NULL is fine. */
void guest_port_destroy(struct guest_port *p);
struct chardev *guest_port_chardev(struct guest_port *p);

const char *guest_port_name(const struct guest_port *p);
/* Its channel's. */
struct spice_channel_id guest_port_channel(const struct guest_port *p);
/* The channel of a client; one that was there is closed. */
void guest_port_adopt(struct guest_port *p, const struct channel_params *params);
/* If its client is that session's. */
void guest_port_close_session(struct guest_port *p, uint32_t session);

#endif
