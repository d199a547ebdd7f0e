/* What net_user.c and net_user_events.c share. */
#ifndef DEVICES_NET_NET_USER_PRIVATE_H
#define DEVICES_NET_NET_USER_PRIVATE_H

#include "backend/net.h"

#include <poll.h>
#include <slirp/libslirp.h>
#include <sys/queue.h>

#define MAX_DESCRIPTORS 4096 /* sockets looked at; more wait */

struct queued_frame {
    STAILQ_ENTRY(queued_frame) link;
    size_t size;
    uint8_t data[];
};

/* A descriptor in the epoll. */
struct watched {
    uint32_t events; /* 0: it is not there */
    unsigned index;  /* in fds; of the last time if wanted is not set */
    bool wanted;
};

struct net_user {
    struct net net;
    struct loop *loop;
    Slirp *slirp;
    STAILQ_HEAD(, queued_frame) queue;
    unsigned queued;
    struct virtio_net_hdr header; /* of frames for the guest */
    /* What libslirp waits for. The descriptors lie in an epoll of their own, which changes only where they do. */
    struct pollfd fds[MAX_DESCRIPTORS];
    unsigned fd_count;
    int epoll;
    int before[MAX_DESCRIPTORS]; /* those of the last time */
    struct watched *watched;     /* by descriptor */
    int watched_count;
    bool stale; /* fds must be asked for again before the loop sleeps */
    /* libuv frees these late, so they live on the heap. */
    uv_poll_t *poll;
    uv_timer_t *timer;
    uv_prepare_t *prepare;
    struct user_forward *forwards; /* of UDP */
    unsigned forward_count;
    uint8_t frame[NET_MAX_FRAME];
};

/* net_user_events.c: libslirp's clock, timers and descriptors in the loop. */
extern const SlirpCb user_event_callbacks; /* all but send_packet and guest_error */
int user_events_init(struct net_user *user);
void user_events_fini(struct net_user *user); /* after libslirp has ended */

/* net_user_forward.c */
int user_forward_add(struct net_user *user, const struct net_forward *forward);
void user_forward_fini(struct net_user *user);
/* A frame goes to the guest. */
void user_forward_received(struct net_user *user, const uint8_t *frame, size_t size);
/* Whether the guest's frame was an answer to this computer, and has been sent. */
bool user_forward_answers(struct net_user *user, const uint8_t *frame, size_t size);

#endif
