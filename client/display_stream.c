/*
 * display_stream.c - video: frames wait as they came, and are decoded when they are due by the server's clock
 * (display_frame.c).
 *
 * One that is early is held, but not for long, and not many of them. One that is late is shown if there was none for a while;
 * else the next ones are nearer to what is, and it is only decoded if they build on it. A stream that ends takes along what
 * it holds. How it goes is reported where the server asked for that.
 */
#include "client/display_stream.h"

#include "base/error.h"
#include "client/session.h"
#include "spice/codec/video.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_HOLD_MS 1000
#define MAX_GROWTH  4  /* a sized frame may have so many times the pixels of the stream's */
#define LATE_MS     40 /* after the one before; then a late one is shown all the same */

static struct video_stream **stream_place(struct display_channel *d, uint32_t id)
{
    if (id < SPICE_MAX_NUM_STREAMS && d->streams[id])
        return &d->streams[id];
    fail(-EBADMSG, "there is no stream %u", id);
    return NULL;
}

/* The one that is due first; now it is the caller's. */
static struct held take_first(struct display_channel *d, struct video_stream *s)
{
    struct held h = s->held[0];

    memmove(s->held, s->held + 1, --s->held_count * sizeof(h));
    d->held_bytes -= h.size;
    return h;
}

static void stream_destroy(struct display_channel *d, struct video_stream **place)
{
    struct video_stream *s = *place;

    if (!s)
        return;
    while (s->held_count)
        free(take_first(d, s).data);
    if (s->picture)
        pixman_image_unref(s->picture);
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
                               .frames_stand_alone = video_any_size(m->codec_type),
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

/* --- when --- */

static uint64_t loop_ms(const struct display_channel *d)
{
    return uv_now(&d->base.session->loop->uv);
}

static void show_first(struct display_channel *d, struct video_stream *s)
{
    struct held h = take_first(d, s);

    s->shown_at = loop_ms(d);
    frame_show(d, s, &h);
    free(h.data);
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

/* Keep a copy of a frame until it is due. */
static int hold(struct display_channel *d, struct video_stream *s, const struct held *h, int32_t early_ms)
{
    struct held mine = *h;

    if (s->held_count == STREAM_MAX_HELD)
        show_first(d, s);
    mine.data = malloc(MAX(h->size, 1));
    if (!mine.data)
        return -ENOMEM;
    memcpy(mine.data, h->data, h->size);
    mine.due = loop_ms(d) + (uint64_t)MIN(early_ms, MAX_HOLD_MS);
    s->held[s->held_count++] = mine;
    d->held_bytes += mine.size;
    set_timer(d);
    return 0;
}

static void leave_out(struct display_channel *d, struct video_stream *s, const struct held *h)
{
    d->video.late++;
    if (!s->frames_stand_alone)
        frame_skip(s, h);
}

/* h->data is the message's. *seen: it will be. */
static int take_frame(struct display_channel *d, struct video_stream *s, const struct held *h, int32_t early_ms, bool *seen)
{
    *seen = early_ms >= 0 || loop_ms(d) - s->shown_at >= LATE_MS;
    if (*seen && early_ms > 0 && d->held_bytes + h->size <= DISPLAY_MAX_HELD_BYTES)
        return hold(d, s, h, early_ms);
    while (s->held_count && (*seen || !s->frames_stand_alone)) /* they build on each other */
        show_first(d, s);
    if (*seen) {
        s->shown_at = loop_ms(d);
        frame_show(d, s, h);
    } else {
        leave_out(d, s, h);
    }
    return 0;
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

static int check_frame(const struct video_stream *s, uint32_t id, const struct held *h)
{
    struct image shape = {NULL, h->width, h->height, UINT32_MAX, SPICE_BITMAP_FMT_32BIT};

    if ((uint64_t)h->width * h->height > MAX_GROWTH * (uint64_t)s->width * s->height || image_check(&shape))
        return fail(-EBADMSG, "stream %u cannot have a frame of %ux%u pixels", id, h->width, h->height);
    return 0;
}

static int draw_frame(struct display_channel *d, const struct spice_msg_display_stream_data *m,
                      bool sized)
{
    struct video_stream **place = stream_place(d, m->id);
    int32_t early_ms = (int32_t)(m->multi_media_time - session_mm_time(d->base.session));
    struct video_stream *s;
    struct held h;
    bool seen;
    int err;

    if (!place)
        return -EBADMSG;
    s = *place;
    h = (struct held){.data = (uint8_t *)(uintptr_t)m->data, .size = m->data_size, .width = s->width, .height = s->height,
                      .dest = s->dest};
    if (sized) {
        h.width = m->width;
        h.height = m->height;
        h.dest = m->dest;
    }
    err = check_frame(s, m->id, &h);
    if (!err)
        err = take_frame(d, s, &h, early_ms, &seen);
    return err ? err : count_frame(d, m->id, &s->report, m->multi_media_time, early_ms, seen);
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
