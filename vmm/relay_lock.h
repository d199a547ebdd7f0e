/*
 * relay_lock.h - locks on images that come while a machine runs inside a software host. 9p grants every lock, so the
 * outside is asked to hold it, as it does from the start for those of the command line.
 *
 * The way is a socket (SOCK_SEQPACKET) at RELAY_LOCK_FD, then a control message (nested.h). A request is u8 flags, the
 * format and the path, each ended by a NUL; its answer u32, the -errno, and words ended by a NUL.
 *
 * Thread: the main loop's. The answer is waited for: a quarter of a second when somebody else has the image.
 */
#ifndef VMM_RELAY_LOCK_H
#define VMM_RELAY_LOCK_H

#include "backend/disk.h"

#define RELAY_LOCK_FD   4    /* where `minivm run --relayed` finds the socket */
#define RELAY_LOCK_SIZE 4608 /* bytes of a message: a path, and more */

/* Flags of a request. */
enum { RELAY_UNLOCK = 1, RELAY_READ_ONLY = 2, RELAY_SNAPSHOT = 4 };

/* The image of these options, by an absolute path. Errors come with fail_text(). */
int relay_lock(const struct disk_options *options);
void relay_unlock(const char *path);

#endif
