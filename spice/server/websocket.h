/*
 * websocket.h - a websocket (RFC 6455) on a stream, the server's side: what comes in its binary frames is the stream, however
 * it is cut. Pings are answered; text is an error.
 *
 * Thread: the stream's owner.
 */
#ifndef SPICE_SERVER_WEBSOCKET_H
#define SPICE_SERVER_WEBSOCKET_H

#include "spice/server/stream.h"

/* On top of `below`, which it owns from here on, after the upgrade was answered; NULL without memory: then below is closed. */
struct stream *websocket_accept(struct stream *below);

#endif
