/*
 * known_servers.h - servers that the user has said to trust, each by its certificate's fingerprint: trust on first
 * use, as ssh has it.
 *
 * In $XDG_STATE_HOME/minivm/known-servers, or below ~/.local/state; for the user alone, one server a line:
 *
 *     HOST:PORT SHA256:AB:CD:...
 *
 * A server that shall be asked about anew is deleted there. Thread: the session's loop. Errors come with fail_text().
 */
#ifndef CLIENT_KNOWN_SERVERS_H
#define CLIENT_KNOWN_SERVERS_H

#include "base/base.h"

#include <limits.h>

#define FINGERPRINT_SIZE 96 /* 32 bytes as hexadecimal pairs parted by colons, and NUL */

enum known_server { KNOWN_SERVER_NO, KNOWN_SERVER_YES, KNOWN_SERVER_OTHER };

/*
 * KNOWN_SERVER_OTHER: the server is known, by another fingerprint only. Or -errno: the file cannot be read, or
 * trusted.
 */
int known_servers_find(const char *server, const char *fingerprint);
int known_servers_add(const char *server, const char *fingerprint);
/* The file's name, for messages. */
const char *known_servers_path(char path[PATH_MAX]);

#endif
