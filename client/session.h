/*
 * session.h - one client's connection to one server: the channels, and how it ends.
 *
 * The main channel comes first; its list of channels says what else there is. Of those, display 0, cursor 0 and inputs 0
 * are opened. The end of any channel ends the session. Thread: the loop's.
 */
#ifndef CLIENT_SESSION_H
#define CLIENT_SESSION_H

#include "client/channel.h"
#include "client/options.h"
#include "client/screen.h"

struct inputs_channel;

struct session {
    struct loop *loop;
    const struct client_options *options;
    struct screen *screen;
    struct sockaddr_storage address;
    socklen_t address_size;
    uint32_t connection_id;
    uint32_t mm_ahead; /* the server's multimedia clock less ours, in milliseconds */
    TAILQ_HEAD(, channel) channels;
    struct inputs_channel *inputs;                   /* NULL until it is up */
    uv_timer_t timeout;                              /* for the link stages */
    uint64_t started_ns, marked_ns, last_display_ns; /* 0: not yet */
    bool linked;                                     /* the main channel's link stage succeeded */
    bool ended;
    int result; /* 0, or -errno with `reason` */
    char reason[600];
    void (*on_end)(void *opaque); /* once; in the loop's thread */
    void *opaque;
};

/* Finds the host and connects to it (that may block), then begins to talk. -errno with fail_text(). */
int session_start(struct session *s, struct loop *loop, const struct client_options *options,
                  struct screen *screen);
/* Close all channels; on_end() follows unless it was called before. */
void session_end(struct session *s, int result);
/* After the loop's end, see loop_fini(). */
void session_fini(struct session *s);

/* For channels. */
/* The server's multimedia clock, in milliseconds, as of what it last said of it. */
void session_set_mm_time(struct session *s, uint32_t time);
uint32_t session_mm_time(const struct session *s);
struct channel *session_find(struct session *s, unsigned type, unsigned id);
void session_open_channels(struct session *s, const struct spice_channel_id *ids, size_t count);
/* c has handled messages: others may wait for that. */
void session_progress(struct session *s, struct channel *c);
void session_channel_ended(struct session *s, struct channel *c, int err);

#endif
