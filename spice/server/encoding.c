/*
 * encoding.c - a client's pictures made beside the display's loop.
 *
 * A batch belongs to the loop while it is filled and read, and to one worker in between. If the channel closes meanwhile,
 * the encoding outlives it and frees itself when the worker is done.
 */
#include "spice/server/display_channel.h"

#include <stdlib.h>

/* Less than so many pixels are encoded at once: the way to a worker and back takes longer. */
#define SMALL_PIXELS (16 * 1024)

struct encoding {
    uv_work_t work;
    struct display_channel *channel; /* NULL: it has gone */
    struct picture_encoder *encoder;
    struct batch *batch;
    struct video_encoder *video[VIDEO_MAX_STREAMS];
    uint32_t window; /* of the client's dictionary, in pixels */
    uint64_t next;   /* picture in it, at the beginning */
    bool busy;
};

static void destroy(struct encoding *e)
{
    for (int i = 0; i < VIDEO_MAX_STREAMS; i++)
        video_encoder_destroy(e->video[i]);
    picture_encoder_destroy(e->encoder);
    batch_destroy(e->batch);
    free(e);
}

struct encoding *encoding_create(void)
{
    struct encoding *e = calloc(1, sizeof(*e));

    if (!e)
        return NULL;
    e->encoder = picture_encoder_create();
    e->batch = batch_create();
    if (e->encoder && e->batch)
        return e;
    destroy(e);
    return NULL;
}

void encoding_abandon(struct encoding *e)
{
    e->channel = NULL;
    if (!e->busy)
        destroy(e);
}

bool encoding_busy(const struct encoding *e)
{
    return e->busy;
}

void encoding_use_dictionary(struct encoding *e, uint32_t window, uint64_t next)
{
    e->window = window;
    e->next = next;
}

void encoding_dictionary(const struct encoding *e, uint32_t *window, uint64_t *next)
{
    *window = e->window;
    *next = MAX(e->next, picture_next(e->encoder));
}

void encoding_set_video(struct encoding *e, uint32_t stream, struct video_encoder *video)
{
    video_encoder_destroy(e->video[stream]);
    e->video[stream] = video;
}

struct video_encoder *encoding_video(const struct encoding *e, uint32_t stream)
{
    return e->video[stream];
}

void encoding_withdraw(struct encoding *e, size_t first)
{
    batch_withdraw(e->batch, e->encoder, first);
}

struct batch *encoding_batch(struct encoding *e)
{
    return e->batch;
}

/* The next update may be long in coming: what grew is given back now. */
static void deliver(struct encoding *e)
{
    display_send_batch(e->channel, e->batch);
    batch_clear(e->batch);
}

static void run(uv_work_t *work)
{
    struct encoding *e = container_of(work, struct encoding, work);

    batch_run(e->batch, e->encoder);
}

static void done(uv_work_t *work, int status UNUSED)
{
    struct encoding *e = container_of(work, struct encoding, work);

    e->busy = false;
    if (e->channel)
        deliver(e);
    else
        destroy(e);
}

void encoding_start(struct encoding *e, struct display_channel *d)
{
    e->channel = d;
    picture_use_dictionary(e->encoder, e->window, e->next);
    e->busy = !e->batch->in_place && e->batch->pixel_count > SMALL_PIXELS &&
              uv_queue_work(&d->base.loop->uv, &e->work, run, done) == 0;
    if (e->busy)
        return;
    batch_run(e->batch, e->encoder);
    deliver(e);
}
