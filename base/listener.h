/*
 * listener.h - a listening socket, TCP or unix, watched by a loop.
 *
 * Addresses are numeric. A unix socket is for its owner alone (mode 0600); one that a killed program left behind is
 * replaced, and at the end only the socket that was made here is removed.
 *
 * Thread: the loop's. Errors come with fail_text(), in which `what` names the listener: "SPICE", "--control".
 */
#ifndef BASE_LISTENER_H
#define BASE_LISTENER_H

#include "base/loop.h"

struct listener;

/* fd, non-blocking, is the callee's; peer: "ADDRESS:PORT", or "unix". */
typedef void listener_accepted(void *opaque, int fd, const char *peer);

/* *port 0: any free one, which is written back. */
int listener_create_tcp(struct listener **listener, struct loop *loop, const char *what, const char *address,
                        int *port, listener_accepted *accepted, void *opaque);
int listener_create_unix(struct listener **listener, struct loop *loop, const char *what, const char *path,
                         listener_accepted *accepted, void *opaque);
/* One that somebody else has made, and removes: systemd. fd becomes the listener's. */
int listener_create_fd(struct listener **listener, struct loop *loop, const char *what, int fd, listener_accepted *accepted,
                       void *opaque);
void listener_destroy(struct listener *listener); /* NULL is fine */

#endif
