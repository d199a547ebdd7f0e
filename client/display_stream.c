#include "client/display_channel.h"

#include "base/error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct video_stream {
    struct canvas *surface;
    uint32_t width, height; /* of its frames, unless they say otherwise */
    bool top_down;
    struct rect dest;
    pixman_region32_t clip;
    bool clipped;
};

static struct video_stream **stream_place(struct display_channel *d, uint32_t id)
{
    if (id < SPICE_MAX_NUM_STREAMS && d->streams[id])
        return &d->streams[id];
    fail(-EBADMSG, "there is no stream %u", id);
    return NULL;
}

static void stream_destroy(struct video_stream **place)
{
    if (!*place)
        return;
    pixman_region32_fini(&(*place)->clip);
    free(*place);
    *place = NULL;
}

void display_streams_destroy(struct display_channel *d, const struct canvas *surface)
{
    for (size_t i = 0; i < SPICE_MAX_NUM_STREAMS; i++)
        if (d->streams[i] && (!surface || d->streams[i]->surface == surface))
            stream_destroy(&d->streams[i]);
}

static int stream_create(struct channel *c, const void *msg)
{
    const struct spice_msg_display_stream_create *m = msg;
    struct display_channel *d = to_display(c);
    struct canvas *surface = display_surface(d, m->surface_id);
    struct video_stream *s;

    if (!surface)
        return -EBADMSG;
    if (m->id >= SPICE_MAX_NUM_STREAMS || d->streams[m->id])
        return fail(-EBADMSG, "stream %u is too much", m->id);
    if (m->codec_type != SPICE_VIDEO_CODEC_TYPE_MJPEG)
        return fail(-EBADMSG, "video codec %u was not asked for", m->codec_type);
    s = calloc(1, sizeof(*s));
    if (!s)
        return -ENOMEM;
    *s = (struct video_stream){surface, m->stream_width, m->stream_height,
                               m->flags & SPICE_STREAM_FLAGS_TOP_DOWN, m->dest};
    if (display_clip(&m->clip, &s->clip, &s->clipped)) {
        free(s);
        return -ENOMEM;
    }
    d->streams[m->id] = s;
    return 0;
}

static void flip(pixman_image_t *picture)
{
    size_t stride = (size_t)pixman_image_get_stride(picture);
    uint8_t *a = (uint8_t *)pixman_image_get_data(picture);
    uint8_t *b = a + stride * ((size_t)pixman_image_get_height(picture) - 1);

    for (; a < b; a += stride, b -= stride)
        for (size_t i = 0; i < stride; i++) {
            uint8_t t = a[i];

            a[i] = b[i];
            b[i] = t;
        }
}

static int show_frame(struct display_channel *d, const struct video_stream *s,
                      const struct rect *dest, pixman_image_t *frame)
{
    struct canvas_target t = {.box = *dest, .clip = s->clipped ? &s->clip : NULL};
    struct canvas_source src = {
        frame,
        {0, 0, pixman_image_get_width(frame), pixman_image_get_height(frame)},
        SPICE_IMAGE_SCALE_MODE_INTERPOLATE};
    int err;

    display_begin(d, s->surface);
    err = canvas_copy(s->surface, &t, &src, SPICE_ROPD_OP_PUT);
    display_end(d, s->surface, &t);
    return err;
}

static int draw_frame(struct display_channel *d, const struct spice_msg_display_stream_data *m,
                      bool sized)
{
    struct video_stream **place = stream_place(d, m->id);
    struct video_stream *s;
    pixman_image_t *frame;
    int err;

    if (!place)
        return -EBADMSG;
    s = *place;
    err = pictures_get_jpeg(d->pictures, m->data, m->data_size, sized ? m->width : s->width,
                            sized ? m->height : s->height, &frame);
    if (err)
        return err;
    if (!s->top_down)
        flip(frame);
    err = show_frame(d, s, sized ? &m->dest : &s->dest, frame);
    pixman_image_unref(frame);
    return err;
}

static int frame_plain(struct channel *c, const void *msg)
{
    return draw_frame(to_display(c), msg, false);
}

static int frame_sized(struct channel *c, const void *msg)
{
    return draw_frame(to_display(c), msg, true);
}

static int stream_clip(struct channel *c, const void *msg)
{
    const struct spice_msg_display_stream_clip *m = msg;
    struct video_stream **place = stream_place(to_display(c), m->id);

    if (!place)
        return -EBADMSG;
    pixman_region32_fini(&(*place)->clip);
    return display_clip(&m->clip, &(*place)->clip, &(*place)->clipped);
}

static int stream_end(struct channel *c, const void *msg)
{
    const struct spice_msg_display_stream_destroy *m = msg;
    struct video_stream **place = stream_place(to_display(c), m->id);

    if (!place)
        return -EBADMSG;
    stream_destroy(place);
    return 0;
}

static int stream_end_all(struct channel *c, const void *msg UNUSED)
{
    display_streams_destroy(to_display(c), NULL);
    return 0;
}

const struct channel_handler display_stream_handlers[DISPLAY_STREAM_HANDLERS] = {
    {SPICE_MSG_DISPLAY_STREAM_CREATE, stream_create},
    {SPICE_MSG_DISPLAY_STREAM_DATA, frame_plain},
    {SPICE_MSG_DISPLAY_STREAM_CLIP, stream_clip},
    {SPICE_MSG_DISPLAY_STREAM_DESTROY, stream_end},
    {SPICE_MSG_DISPLAY_STREAM_DESTROY_ALL, stream_end_all},
    {SPICE_MSG_DISPLAY_STREAM_DATA_SIZED, frame_sized},
};
