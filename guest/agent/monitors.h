/*
 * monitors.h - the monitors that a client wishes: VD_AGENT_MONITORS_CONFIG. No input or output.
 */
#ifndef GUEST_AGENT_MONITORS_H
#define GUEST_AGENT_MONITORS_H

#include "guest/agent/link.h"

/*
 * Where each is to be, from 0, 0 on; width and height are those of the desktop. Without positions they stand side by
 * side.
 * -EINVAL: one that cannot be, or none that is on.
 */
int monitors_read(const uint8_t *body, uint32_t size, struct link_screen *wish);
/* The desktop's size by its monitors. */
void monitors_bound(struct link_screen *screen);

#endif
