/*
 * relay.h - viewers that somebody else has accepted: inside a software host connections come as descriptors over a
 * socket, each with the address of the viewer.
 *
 * Thread: the main loop's.
 */
#ifndef VMM_RELAY_H
#define VMM_RELAY_H

#include "base/loop.h"
#include "spice/server/server.h"

#define RELAY_FD 3 /* where `minivm run --relayed` finds the socket (SOCK_SEQPACKET) */

struct relay;

int relay_create(struct relay **relay, struct loop *loop, struct spice_server *server);
void relay_destroy(struct relay *relay); /* NULL is fine; before the server */

/* The other side: hand connection fd of `peer` over. 0 or -errno; fd stays the caller's. */
int relay_send(int socket, int fd, const char *peer);

#endif
