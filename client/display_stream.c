/*
 * display_stream.c - video: frames are decoded as they come, since each builds on the one before, and shown when they are due
 * by the server's clock.
 *
 * One that is early is held, but not for long, and not many of them. One that is late is shown if there was none for a while;
 * else the next ones are nearer to what is. A stream that ends takes along what it holds. How it goes is reported where the
 * server asked for that.
 */
#include "client/display_channel.h"

#include "base/error.h"
#include "base/log.h"
#include "canvas/picture.h"
#include "client/session.h"
#include "spice/codec/video.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_HELD    16 /* frames of a stream */
#define MAX_HOLD_MS 1000
#define MAX_GROWTH  4  /* a sized frame may have so many times the pixels of the stream's */
#define LATE_MS     40 /* after the one before; then a late one is shown all the same */

/* A frame that waits. */
struct held {
    pixman_image_t *picture;
    struct rect dest;
    uint64_t due; /* milliseconds of the loop's clock */
};

/* Since the last report, for the next one. */
struct report {
    bool wanted;
    uint32_t unique_id, window, timeout_ms;
    uint32_t first, frames, drops;
    uint64_t began; /* milliseconds of the loop's clock */
};

struct video_stream {
    struct canvas *surface;
    struct video_decoder *decoder;
    uint32_t width, height; /* of its frames, unless they say otherwise */
    bool top_down;
    struct rect dest;
    pixman_region32_t clip;
    bool clipped;
    struct held held[MAX_HELD]; /* the next one first */
    size_t held_count;
    uint64_t shown_at;
    struct report report;
};

static struct video_stream **stream_place(struct display_channel *d, uint32_t id)
{
    if (id < SPICE_MAX_NUM_STREAMS && d->streams[id])
        return &d->streams[id];
    fail(-EBADMSG, "there is no stream %u", id);
    return NULL;
}

static uint64_t pixels_of(pixman_image_t *picture)
{
    return (uint64_t)pixman_image_get_width(picture) * (uint64_t)pixman_image_get_height(picture);
}

/* The one that is due first; now it is the caller's. */
static struct held take_first(struct display_channel *d, struct video_stream *s)
{
    struct held h = s->held[0];

    memmove(s->held, s->held + 1, --s->held_count * sizeof(h));
    d->held_pixels -= pixels_of(h.picture);
    return h;
}

static void stream_destroy(struct display_channel *d, struct video_stream **place)
{
    struct video_stream *s = *place;

    if (!s)
        return;
    while (s->held_count)
        pixman_image_unref(take_first(d, s).picture);
    d->stream_pixels -= (uint64_t)s->width * s->height;
    video_decoder_destroy(s->decoder);
    pixman_region32_fini(&s->clip);
    free(s);
    *place = NULL;
}

void display_streams_destroy(struct display_channel *d, const struct canvas *surface)
{
    for (size_t i = 0; i < SPICE_MAX_NUM_STREAMS; i++)
        if (d->streams[i] && (!surface || d->streams[i]->surface == surface))
            stream_destroy(d, &d->streams[i]);
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
    if (!video_can_decode(m->codec_type))
        return fail(-EBADMSG, "video codec %u was not asked for", m->codec_type);
    if (d->stream_pixels + (uint64_t)m->stream_width * m->stream_height > DISPLAY_MAX_STREAM_PIXELS)
        return fail(-E2BIG, "stream %u of %ux%u pixels is too large", m->id, m->stream_width,
                    m->stream_height);
    s = calloc(1, sizeof(*s));
    if (!s)
        return -ENOMEM;
    *s = (struct video_stream){.surface = surface,
                               .decoder = video_decoder_create(m->codec_type),
                               .width = m->stream_width,
                               .height = m->stream_height,
                               .top_down = m->flags & SPICE_STREAM_FLAGS_TOP_DOWN,
                               .dest = m->dest};
    if (!s->decoder || display_clip(&m->clip, &s->clip, &s->clipped)) {
        video_decoder_destroy(s->decoder);
        free(s);
        return -ENOMEM;
    }
    d->streams[m->id] = s;
    d->stream_pixels += (uint64_t)s->width * s->height;
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

/* --- when --- */

static uint64_t loop_ms(const struct display_channel *d)
{
    return uv_now(&d->base.session->loop->uv);
}

static void show_first(struct display_channel *d, struct video_stream *s)
{
    struct held h = take_first(d, s);

    s->shown_at = loop_ms(d);
    d->video.shown++;
    show_frame(d, s, &h.dest, h.picture);
    pixman_image_unref(h.picture);
}

static void set_timer(struct display_channel *d);

static void timer_fired(uv_timer_t *timer)
{
    struct display_channel *d = timer->data;

    for (size_t i = 0; i < SPICE_MAX_NUM_STREAMS; i++) {
        struct video_stream *s = d->streams[i];

        while (s && s->held_count && s->held[0].due <= loop_ms(d))
            show_first(d, s);
    }
    set_timer(d);
}

/* For the frame of all streams that is due first. */
static void set_timer(struct display_channel *d)
{
    uint64_t due = UINT64_MAX, now = loop_ms(d);

    for (size_t i = 0; i < SPICE_MAX_NUM_STREAMS; i++)
        if (d->streams[i] && d->streams[i]->held_count)
            due = MIN(due, d->streams[i]->held[0].due);
    if (due != UINT64_MAX && !d->base.session->ended)
        uv_timer_start(&d->frames, timer_fired, due > now ? due - now : 0, 0);
}

/* Takes over the picture. Returns whether it will be seen. */
static bool hold(struct display_channel *d, struct video_stream *s, const struct rect *dest,
                 int32_t early_ms, pixman_image_t *picture)
{
    uint64_t now = loop_ms(d);

    if (early_ms < 0 && now - s->shown_at < LATE_MS) {
        pixman_image_unref(picture);
        d->video.late++;
        return false;
    }
    if (d->held_pixels + pixels_of(picture) > DISPLAY_MAX_HELD_PIXELS)
        early_ms = 0;
    while (s->held_count == MAX_HELD || (early_ms <= 0 && s->held_count))
        show_first(d, s);
    s->held[s->held_count++] =
        (struct held){picture, *dest, now + (uint64_t)CLAMP(early_ms, 0, MAX_HOLD_MS)};
    d->held_pixels += pixels_of(picture);
    if (early_ms <= 0)
        show_first(d, s);
    else
        set_timer(d);
    return true;
}

/* --- reports --- */

static int count_frame(struct display_channel *d, uint32_t id, struct report *r, uint32_t time,
                       int32_t early_ms, bool seen)
{
    struct spice_msgc_display_stream_report msg;

    if (!r->wanted)
        return 0;
    if (!r->frames++) {
        r->first = time;
        r->began = loop_ms(d);
    }
    r->drops += !seen;
    if (r->frames < r->window && loop_ms(d) - r->began < r->timeout_ms)
        return 0;
    msg = (struct spice_msgc_display_stream_report){.stream_id = id,
                                                    .unique_id = r->unique_id,
                                                    .start_frame_mm_time = r->first,
                                                    .end_frame_mm_time = time,
                                                    .num_frames = r->frames,
                                                    .num_drops = r->drops,
                                                    .last_frame_delay = early_ms};
    r->frames = r->drops = 0;
    return channel_send(&d->base, SPICE_MSGC_DISPLAY_STREAM_REPORT, &msg);
}

static int activate_report(struct channel *c, const void *msg)
{
    const struct spice_msg_display_stream_activate_report *m = msg;
    struct video_stream **place = stream_place(to_display(c), m->stream_id);

    if (!place)
        return -EBADMSG;
    (*place)->report = (struct report){.wanted = true,
                                       .unique_id = m->unique_id,
                                       .window = m->max_window_size,
                                       .timeout_ms = m->timeout_ms};
    return 0;
}

/* --- frames --- */

/* *picture is NULL if it is no frame, or none that is to be seen. */
static int decode_frame(const struct spice_msg_display_stream_data *m, struct video_stream *s,
                        uint32_t width, uint32_t height, pixman_image_t **picture)
{
    struct image view;
    int err;

    if ((uint64_t)width * height > MAX_GROWTH * (uint64_t)s->width * s->height ||
        picture_create(SPICE_BITMAP_FMT_32BIT, width, height, picture, &view))
        return fail(-EBADMSG, "stream %u cannot have a frame of %ux%u pixels", m->id, width,
                    height);
    err = video_decode(s->decoder, m->data, m->data_size, &view);
    if (!err)
        return 0;
    log_once(LOG_WARN, "a frame of a video stream cannot be shown");
    pixman_image_unref(*picture);
    *picture = NULL;
    return 0;
}

static int draw_frame(struct display_channel *d, const struct spice_msg_display_stream_data *m,
                      bool sized)
{
    struct video_stream **place = stream_place(d, m->id);
    int32_t early_ms = (int32_t)(m->multi_media_time - session_mm_time(d->base.session));
    pixman_image_t *frame;
    struct video_stream *s;
    bool seen = false;
    int err;

    if (!place)
        return -EBADMSG;
    s = *place;
    err = decode_frame(m, s, sized ? m->width : s->width, sized ? m->height : s->height, &frame);
    if (err)
        return err;
    if (frame) {
        if (!s->top_down)
            flip(frame);
        seen = hold(d, s, sized ? &m->dest : &s->dest, early_ms, frame);
    }
    return count_frame(d, m->id, &s->report, m->multi_media_time, early_ms, seen);
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
    stream_destroy(to_display(c), place);
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
    {SPICE_MSG_DISPLAY_STREAM_ACTIVATE_REPORT, activate_report},
};

void display_streams_init(struct display_channel *d)
{
    d->frames.data = d;
    uv_timer_init(&d->base.session->loop->uv, &d->frames);
}

uint32_t display_streams_caps(void)
{
    static const struct {
        uint8_t codec, cap;
    } codecs[] = {{SPICE_VIDEO_CODEC_TYPE_MJPEG, SPICE_DISPLAY_CAP_CODEC_MJPEG},
                  {SPICE_VIDEO_CODEC_TYPE_VP8, SPICE_DISPLAY_CAP_CODEC_VP8},
                  {SPICE_VIDEO_CODEC_TYPE_VP9, SPICE_DISPLAY_CAP_CODEC_VP9},
                  {SPICE_VIDEO_CODEC_TYPE_H264, SPICE_DISPLAY_CAP_CODEC_H264}};
    uint32_t caps = 1u << SPICE_DISPLAY_CAP_SIZED_STREAM | 1u << SPICE_DISPLAY_CAP_STREAM_REPORT |
                    1u << SPICE_DISPLAY_CAP_MULTI_CODEC;

    for (size_t i = 0; i < ARRAY_SIZE(codecs); i++)
        if (video_can_decode(codecs[i].codec))
            caps |= 1u << codecs[i].cap;
    return caps;
}
