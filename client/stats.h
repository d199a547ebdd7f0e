/* stats.h - the figures of a session, for --stats. */
#ifndef CLIENT_STATS_H
#define CLIENT_STATS_H

#include "client/session.h"

/* One JSON object on standard output: times in milliseconds, bytes as they crossed the sockets. After the loop's end. */
int stats_print(struct session *s);

#endif
