/*
 * fd_message.h - messages over a socket of AF_UNIX, SOCK_SEQPACKET, each with a descriptor or without. Any thread.
 */
#ifndef BASE_FD_MESSAGE_H
#define BASE_FD_MESSAGE_H

#include "base/base.h"

#include <sys/types.h>

/* fd stays the caller's; -1: none. 0 or -errno. */
int fd_send(int socket, const void *data, size_t size, int fd);
/*
 * The message's size, 0 at the end, or -errno. *fd: what came along, close-on-exec, or -1. `flags` are recvmsg()'s; what is
 * longer than `size` is cut.
 */
ssize_t fd_receive(int socket, void *data, size_t size, int flags, int *fd);

#endif
