/* link.h - the client's half of a SPICE connection, as much as the tools of this folder need. Blocking, loopback. */
#ifndef TESTS_REFERENCE_LINK_H
#define TESTS_REFERENCE_LINK_H

#include "base/bytes.h"

/* Connect and pass the link stage without a password. Returns the socket, or ends the program. */
int link_open(int port, uint32_t connection_id, uint8_t channel_type, uint32_t channel_caps);
void link_send(int fd, uint16_t type, const void *data, uint32_t size);
/* The next message, into w (its content is replaced); returns its type, or -1 at the end. Acknowledges by itself. */
int link_receive(int fd, struct writer *w, uint32_t *window, uint32_t *unacknowledged);

#endif
