/* display_channel.h - one client's display channel, as the files that bring it up to date know it. */
#ifndef SPICE_SERVER_DISPLAY_CHANNEL_H
#define SPICE_SERVER_DISPLAY_CHANNEL_H

#include "spice/server/batch.h"
#include "spice/server/display_port.h"
#include "spice/server/edges.h"
#include "spice/server/lossy.h"
#include "spice/server/move_search.h"
#include "spice/server/pixmap_cache.h"
#include "spice/server/rate.h"
#include "spice/server/shown.h"
#include "spice/server/video_streams.h"

/* Messages acknowledged at once; twice as many may be under way. */
#define DISPLAY_ACK_WINDOW 20

struct display_channel {
    struct channel base;
    struct display_port *port;
    struct view view; /* of the surface that the client has; shown.hash == NULL: it has none */
    bool initialised; /* its DISPLAY_INIT came */
    bool leaving;     /* for another server, when what is being made has been sent */
    struct shown brought; /* what it showed when it came from another server, until that was compared */
    bool heads_changed, fresh; /* fresh: the surface has no content yet */
    uint8_t compression;
    uint64_t image_id;
    struct move_memory moves;
    struct copied hint; /* what the guest moved since the last update, in all */
    struct edges edges; /* as long as the view */
    struct lossy lossy; /* likewise */
    struct rate rate;
    bool lossy_way, refining; /* this update need not be exact; makes exact what was not */
    uint64_t refine_at, refine_by; /* refine_by: even if there is more to send; 0: there is time */
    struct video video; /* as long as the view */
    struct video_link video_link;
    bool held; /* there was something to send before the client was ready, or the last update done */
    struct pixmap_cache cache;
    struct encoding *encoding; /* pictures being made; until they are sent there is no other update */
    uint32_t changed; /* strips, at the last update */
    size_t budget; /* pixels of an update: what the client takes without delay */
    /* Times in nanoseconds: the last update began; the next one not before, nor if it is urgent before; the timer is set. */
    uint64_t update_start, next_update, rest_until, timer_due;
    uint64_t echo_input; /* the last input that is known here */
    unsigned echoes;     /* updates that may answer it at once */
    uv_timer_t *timer;
};

/* update.c: bring the client up to date, as far as it takes it; it has a surface and is ready for more. */
void display_update(struct display_channel *d);
/* display_channel.c: all has been sent, or as much of it as the client took; something: there was anything to send. */
void display_updated(struct display_channel *d, bool something);

/* encoding.c */
struct encoding *encoding_create(void);
/* The channel is closing: what is under way goes on alone. */
void encoding_abandon(struct encoding *e);
/* Empty, to be filled. */
struct batch *encoding_batch(struct encoding *e);
/* Encode what is in the batch, here or in a worker, and call display_send_batch() then. */
void encoding_start(struct encoding *e, struct display_channel *d);
bool encoding_busy(const struct encoding *e);
/* The client's dictionary has so many pixels, is for this channel alone, and is to get this picture next: used from the next
 * start on. */
void encoding_use_dictionary(struct encoding *e, uint32_t window, uint64_t next);
/* What is to be said to that elsewhere. Not while it is busy. */
void encoding_dictionary(const struct encoding *e, uint32_t *window, uint64_t *next);
/* A stream's encoder, owned; NULL: none. Not while it is busy. */
void encoding_set_video(struct encoding *e, uint32_t stream, struct video_encoder *video);
struct video_encoder *encoding_video(const struct encoding *e, uint32_t stream);
/* The batch's pieces from `first` on are not sent. */
void encoding_withdraw(struct encoding *e, size_t first);

/* update.c */
void display_send_batch(struct display_channel *d, struct batch *batch);

#endif
