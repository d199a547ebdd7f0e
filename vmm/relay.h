/*
 * relay.h - connections that somebody else has accepted: inside a software host they come as descriptors over a socket,
 * each with the address of its peer, or RELAY_CONTROL.
 *
 * Thread: the main loop's.
 */
#ifndef VMM_RELAY_H
#define VMM_RELAY_H

#include "base/listener.h"

#define RELAY_CONTROL "control" /* the peer is somebody at --control */
#define RELAY_FD 3 /* where `minivm run --relayed` finds the socket (SOCK_SEQPACKET) */

struct relay;

/* fd is the callee's; `peer` as relay_send() was given it. */
int relay_create(struct relay **relay, struct loop *loop, listener_accepted *accepted, void *opaque);
void relay_destroy(struct relay *relay); /* NULL is fine */

/*
 * Inside a software host most folders are its own and end with it. Refuses a file that is to outlive the machine unless its
 * folder is shared with the outside. -EACCES with fail_text()
 */
int relay_check_output(const struct relay *relay, const char *path);

/* The other side: hand connection fd of `peer` over. 0 or -errno; fd stays the caller's. */
int relay_send(int socket, int fd, const char *peer);

#endif
