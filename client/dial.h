/*
 * dial.h - find a host and connect to it: each of its addresses in turn, IPv6 and IPv4 as the resolver orders them,
 * each with a time limit.
 *
 * Nothing waits: the look-up is done by libuv's workers, connecting by the kernel. Thread: the loop's.
 */
#ifndef CLIENT_DIAL_H
#define CLIENT_DIAL_H

#include "base/loop.h"

#include <netdb.h>
#include <sys/socket.h>

struct dial;

/*
 * Once, never from within dial_start(): a connected, non-blocking socket, which is the callee's, with its address in
 * `dial`; or -errno: that of the last address, or -ENOENT with fail_text() where the host is not found.
 */
typedef void dial_done_fn(struct dial *dial, int fd);

struct dial {
    struct loop *loop;
    dial_done_fn *done;
    void *opaque;
    struct sockaddr_storage address; /* the last that was tried */
    socklen_t address_size;
    /* For dial.c: */
    char host[256], path[108];    /* one of them */
    struct dial_lookup *lookup;   /* that is under way */
    struct dial_attempt *attempt; /* the same */
    struct addrinfo *list, *next; /* what the look-up found; those not tried yet */
    uv_timer_t timer;
    bool tried_path, active;
    int err;
};

/* Host: a name or an address; port: decimal. -errno. */
int dial_start(struct dial *dial, struct loop *loop, const char *host, const char *port, dial_done_fn *done,
               void *opaque);
int dial_start_unix(struct dial *dial, struct loop *loop, const char *path, dial_done_fn *done, void *opaque);
/* No done() comes any more. One that is not active is fine. The memory may go when the loop has closed the timer. */
void dial_stop(struct dial *dial);

#endif
