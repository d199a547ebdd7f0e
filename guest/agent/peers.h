/*
 * peers.h - the sessions' agents that are connected to the daemon, and which of them is the active one.
 *
 * Anybody in the guest can connect: who it is says the kernel (SO_PEERCRED), where it sits says logind. One agent per
 * session, a few per user; one that does not take what it is sent is dropped. Thread: the loop's.
 */
#ifndef GUEST_AGENT_PEERS_H
#define GUEST_AGENT_PEERS_H

#include "guest/agent/link.h"
#include "guest/agent/seat.h"
#include "guest/agent/wire.h"

#define PEERS_MAX      64
#define PEERS_PER_USER 8
#define PEERS_STALL    10000 /* ms */

struct peer;

struct peers_ops {
    /* Another one, or none, is the active one, or its screen has come or changed. */
    void (*active_changed)(void *opaque);
    void (*message)(void *opaque, uint32_t type, const uint8_t *body, uint32_t size); /* of the active one */
    void (*drained)(void *opaque); /* the active one was full, and is not any more */
};

struct peers {
    struct loop *loop;
    const struct peers_ops *ops;
    void *opaque;
    struct seat seat;
    uv_poll_t seat_poll;
    uv_timer_t clock;
    struct peer *first, *active;
    unsigned count;
};

/* The seat is copied, and stays the caller's to close, after the peers. */
void peers_init(struct peers *peers, struct loop *loop, const struct seat *seat, const struct peers_ops *ops,
                void *opaque);
/* Somebody has connected: a listener's callback (base/listener.h). */
void peers_accept(void *opaque, int fd, const char *name);
void peers_fini(struct peers *peers);
/* NULL: there is no active one that has a screen. */
const struct link_screen *peers_screen(const struct peers *peers);
/* To the active one, if there is one. */
void peers_send(struct peers *peers, uint32_t type, const void *body, uint32_t size);
void peers_send_client(struct peers *peers, bool present, uint32_t caps);
bool peers_are_full(const struct peers *peers);
/* Whether to read from the active one. */
void peers_hold(struct peers *peers, bool hold);

#endif
