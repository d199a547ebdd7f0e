/* agent_devices.h - which of the guest's graphics devices shows what clients number (VD_AGENT_GRAPHICS_DEVICE_INFO). */
#ifndef SPICE_SERVER_AGENT_DEVICES_H
#define SPICE_SERVER_AGENT_DEVICES_H

#include "spice/server/server.h"

/* The body of the message, in at most `room` bytes, which are enough for 16 monitors; returns its size. */
uint32_t agent_write_devices(const struct spice_server *server, uint8_t *body, uint32_t room);

#endif
