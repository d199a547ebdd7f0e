/*
 * opening.h - all that a client says until a channel works - link message, ticket, the first messages - so that a connection can
 * be cut anywhere in it.
 */
#ifndef TESTS_LIB_OPENING_H
#define TESTS_LIB_OPENING_H

#include "tests/lib/spice_peer.h"

/* The channels that there are. */
extern const unsigned opening_channels[4];

/*
 * On a connected peer whose channel is set: say at most `limit` bytes, and hear what answers them. False: that was not all, or
 * the connection has ended.
 */
bool opening_say(struct peer *p, uint32_t session, const char *password, size_t limit);
/* Then: read so many bytes of the channel's own; false: so many do not come. */
bool opening_hear(struct peer *p, size_t count);

#endif
