#include "base/log.h"
#include "spice/codec/video.h"
#include "spice/server/private.h"
#include "spice/server/video_private.h"

#include <errno.h>
#include <stdlib.h>

/* A stream begins anew, larger for so many warm tiles beside it, smaller when less than half was warm for long. */
#define GROWS_FOR   8
#define SHRINKS_FOR 20
#define ENDS_AFTER  2 /* updates without a change; a slow client may have had none for long */
/* What is outside in tiles that the edge cuts belongs to the video if it changed in so many more samples than not. */
#define WIDENS_FOR 6
/* What a stream showed is made exact after so long, even if other things are to be sent. */
#define REFINE_WAIT_NS 200000000
/* From the last update on, which the client has not taken all of. */
#define RESTS_AFTER_NS 3000000000
/* The client reports so often. */
#define REPORT_FRAMES 10
#define REPORT_MS     1000

/* --- what is there --- */

static struct rect tiles_common(const struct video_stream *s, const struct rect *tiles)
{
    return rect_intersect(&s->tiles, tiles);
}

static bool overlaps(const struct video_stream *s, const struct rect *tiles)
{
    const struct rect common = tiles_common(s, tiles);

    return s->live && !rect_empty(&common);
}

/* The parts of a stream's clip as rectangles of pixels; the clip becomes what they cover. */
static uint32_t clip_rects(struct video_stream *s, struct rect rects[COVER_MAX])
{
    struct cover cover = {0};
    struct rect run;
    uint32_t count = 0;

    for (int32_t y = s->tiles.top; y < s->tiles.bottom; y++)
        for (uint32_t x = 0; grid_run(&s->clip, y, x, &run); x = run.right)
            cover_add(&cover, &run, 0, true);
    grid_clear(&s->clip);
    for (size_t i = 0; i < cover.count; i++) {
        const struct rect *r = &cover.rects[i].rect;
        const struct rect box = {r->left * STRIP, r->top * TILE_ROWS, r->right * STRIP,
                                 r->bottom * TILE_ROWS};

        grid_add(&s->clip, r);
        rects[count] = rect_intersect(&box, &s->pixels);
        count += !rect_empty(&rects[count]);
    }
    return count;
}

static struct spice_clip clip_of(struct video_stream *s, struct rect rects[COVER_MAX])
{
    const struct rect tiles = tiles_touched(&s->pixels);
    uint32_t count = clip_rects(s, rects);

    if (grid_has_all(&s->clip, &tiles))
        return (struct spice_clip){.type = SPICE_CLIP_TYPE_NONE};
    return (struct spice_clip){SPICE_CLIP_TYPE_RECTS, count, rects};
}

/* --- an end --- */

static void free_stream(struct video_stream *s)
{
    grid_fini(&s->clip);
    free(s->inside[0]);
    free(s->inside[1]);
    *s = (struct video_stream){0};
}

static void note_lossy(struct display_channel *d, struct video_stream *s,
                       void (*note)(struct lossy *l, const struct rect *pixels))
{
    struct rect rects[COVER_MAX];
    uint32_t count = clip_rects(s, rects);

    for (uint32_t i = 0; i < count; i++)
        note(&d->lossy, &rects[i]);
}

/* Frames that wait at the client are dropped with the stream, so nothing paints over what is made exact now. */
static void end_stream(struct display_channel *d, struct video_stream *s)
{
    const struct spice_msg_display_stream_destroy msg = {video_id(d, s)};

    if (!s->live)
        return;
    note_lossy(d, s, lossy_rest);
    d->refine_at = d->update_start;
    d->refine_by = d->update_start + REFINE_WAIT_NS;
    channel_send(&d->base, SPICE_MSG_DISPLAY_STREAM_DESTROY, &msg);
    encoding_set_video(d->encoding, video_id(d, s), NULL);
    video_find_know(&d->video.find, video_id(d, s), &(struct rect){0});
    free_stream(s);
}

/* --- a begin --- */

static bool client_has(const struct display_channel *d, uint8_t codec)
{
    static const uint8_t caps[] = {
        [SPICE_VIDEO_CODEC_TYPE_MJPEG] = SPICE_DISPLAY_CAP_CODEC_MJPEG,
        [SPICE_VIDEO_CODEC_TYPE_VP8] = SPICE_DISPLAY_CAP_CODEC_VP8,
        [SPICE_VIDEO_CODEC_TYPE_H264] = SPICE_DISPLAY_CAP_CODEC_H264,
    };

    if (!channel_has_cap(&d->base, SPICE_DISPLAY_CAP_MULTI_CODEC))
        return codec == SPICE_VIDEO_CODEC_TYPE_MJPEG; /* as all clients before there was a choice */
    return codec < ARRAY_SIZE(caps) && caps[codec] && channel_has_cap(&d->base, caps[codec]) &&
           !(d->video_link.refused >> codec & 1);
}

static bool server_allows(const struct display_channel *d, uint8_t codec)
{
    return memchr(d->port->video_codecs, codec, SERVER_MAX_CODECS) != NULL;
}

static struct video_encoder *create_one_of(const struct display_channel *d, const uint8_t *order,
                                           struct video_stream *s)
{
    struct video_encoder *e = NULL;

    for (int i = 0; i < SERVER_MAX_CODECS && order[i] && !e; i++) {
        s->codec = order[i];
        if (client_has(d, s->codec) && server_allows(d, s->codec))
            e = video_encoder_create(s->codec, s->pixels.right - s->pixels.left,
                                     s->pixels.bottom - s->pixels.top);
    }
    return e;
}

/* In the client's order, then in ours. NULL: there is no codec that both have. */
static struct video_encoder *create_encoder(const struct display_channel *d, struct video_stream *s)
{
    struct video_encoder *e = create_one_of(d, d->video_link.wishes, s);

    return e ? e : create_one_of(d, d->port->video_codecs, s);
}

static void announce_stream(struct display_channel *d, struct video_stream *s)
{
    struct rect rects[COVER_MAX];
    const struct spice_msg_display_stream_create msg = {
        .id = video_id(d, s),
        .flags = SPICE_STREAM_FLAGS_TOP_DOWN,
        .codec_type = s->codec,
        .stream_width = s->pixels.right - s->pixels.left,
        .stream_height = s->pixels.bottom - s->pixels.top,
        .src_width = s->pixels.right - s->pixels.left,
        .src_height = s->pixels.bottom - s->pixels.top,
        .dest = s->pixels,
        .clip = clip_of(s, rects),
    };
    const struct spice_msg_display_stream_activate_report report = {msg.id, s->unique_id,
                                                                    REPORT_FRAMES, REPORT_MS};

    channel_send(&d->base, SPICE_MSG_DISPLAY_STREAM_CREATE, &msg);
    if (channel_has_cap(&d->base, SPICE_DISPLAY_CAP_STREAM_REPORT))
        channel_send(&d->base, SPICE_MSG_DISPLAY_STREAM_ACTIVATE_REPORT, &report);
}

/* To begin with, the tiles of its rectangle that are warm. */
static void fill_clip(const struct video *v, struct video_stream *s)
{
    const struct rect tiles = tiles_touched(&s->pixels);

    for (int32_t y = tiles.top; y < tiles.bottom; y++)
        for (int32_t x = tiles.left; x < tiles.right; x++)
            if (grid_has(&v->find.warm, x, y))
                grid_put(&s->clip, x, y);
}

static bool allocate(const struct video *v, struct video_stream *s)
{
    size_t rows = (size_t)(s->pixels.bottom - s->pixels.top);

    if (grid_init(&s->clip, v->find.hot.columns, v->find.hot.rows))
        return false;
    for (int i = 0; i < 2; i++) {
        s->inside[i] = malloc(rows * sizeof(uint64_t));
        if (!s->inside[i])
            return false;
        memset(s->inside[i], 0xff, rows * sizeof(uint64_t)); /* STRIP_UNKNOWN */
    }
    return true;
}

static struct video_stream *find_free(struct video *v)
{
    for (int i = 0; i < VIDEO_MAX_STREAMS; i++) {
        struct video_stream *s = &v->streams[v->next++ % VIDEO_MAX_STREAMS];

        if (!s->live)
            return s;
    }
    return NULL;
}

static void start_stream(struct display_channel *d, const struct rect *pixels,
                         const struct rect *tiles)
{
    struct video *v = &d->video;
    struct video_encoder *encoder;
    struct video_stream *s = pixels->right - pixels->left < 2 * STRIP ? NULL : find_free(v);

    if (!s)
        return;
    *s = (struct video_stream){.pixels = *pixels,
                               .tiles = *tiles,
                               .key = true,
                               .changed_at = d->update_start,
                               .unique_id = ++d->video_link.next_id};
    encoder = create_encoder(d, s);
    if (!encoder || !allocate(v, s)) {
        video_encoder_destroy(encoder);
        free_stream(s);
        return;
    }
    s->live = true;
    d->video_link.sent = 0;
    d->video_link.sent_since = d->update_start;
    video_find_know(&v->find, video_id(d, s), pixels);
    fill_clip(v, s);
    encoding_set_video(d->encoding, video_id(d, s), encoder);
    announce_stream(d, s);
}

/* --- what is found becomes streams --- */

/* What was measured takes the place of streams that it overlaps. */
static void finish_measure(struct display_channel *d, struct video_measure *m)
{
    struct rect pixels = video_measure_result(m), tiles = m->tiles;

    for (int i = 0; i < VIDEO_MAX_STREAMS; i++) {
        struct video_stream *s = &d->video.streams[i];

        if (!overlaps(s, &m->tiles))
            continue;
        pixels = rect_union(&pixels, &s->pixels);
        tiles = rect_union(&tiles, &s->tiles);
        end_stream(d, s);
    }
    video_measure_stop(m);
    if (!rect_empty(&pixels))
        start_stream(d, &pixels, &tiles);
}

/* Whether the rectangle is shown by a stream already, or so nearly that it is not worth another. */
static bool is_streamed(const struct video *v, const struct rect *tiles)
{
    uint32_t warm = grid_count(&v->find.warm, tiles);

    for (int i = 0; i < VIDEO_MAX_STREAMS; i++) {
        const struct rect common = tiles_common(&v->streams[i], tiles);

        if (overlaps(&v->streams[i], tiles))
            warm -= grid_count(&v->find.warm, &common);
    }
    return warm < GROWS_FOR;
}

static void want(struct video *v, const struct rect *tiles, const struct display_surface *surface)
{
    struct video_measure *free_one = NULL;

    for (int i = 0; i < VIDEO_MAX_STREAMS; i++) {
        struct video_measure *m = &v->measures[i];
        const struct rect common = rect_intersect(&m->tiles, tiles);
        const struct rect both = rect_union(&m->tiles, tiles);

        if (rect_empty(&m->tiles)) {
            free_one = m;
        } else if (!rect_empty(&common)) {
            if (rect_area(&both) != rect_area(&m->tiles))
                video_measure_start(m, &both, surface);
            m->wanted = true;
            return;
        }
    }
    if (free_one && !video_measure_start(free_one, tiles, surface))
        free_one->wanted = true;
}

static void find_streams(struct display_channel *d, const struct display_surface *surface)
{
    struct video *v = &d->video;
    struct rect rects[VIDEO_FIND_MAX];
    size_t count = video_find_rects(&v->find, rects);

    for (int i = 0; i < VIDEO_MAX_STREAMS; i++)
        v->measures[i].wanted = false;
    for (size_t i = 0; i < count; i++)
        if (!is_streamed(v, &rects[i]))
            want(v, &rects[i], surface);
    for (int i = 0; i < VIDEO_MAX_STREAMS; i++) {
        struct video_measure *m = &v->measures[i];

        if (!m->wanted)
            video_measure_stop(m);
        else if (video_measure_look(m, surface) && video_find_is_sure(&v->find, &m->tiles))
            finish_measure(d, m);
    }
}

/* --- what becomes of a stream --- */

/* The rectangle with the tiles that its edges cut, where what is outside changes all the time. */
static struct rect widened(const struct video_stream *s, const struct display_surface *surface)
{
    struct rect r = s->pixels;

    if (s->outside[0] >= WIDENS_FOR)
        r.left = ALIGN_DOWN(r.left, STRIP);
    if (s->outside[1] >= WIDENS_FOR)
        r.right = MIN(ALIGN_UP(r.right, STRIP), (int32_t)surface->width);
    return r;
}

static void watch_edges(struct display_channel *d, struct video_stream *s,
                        const struct display_surface *surface)
{
    struct rect pixels, tiles = s->tiles;

    for (int i = 0; i < 2; i++) {
        if (s->outside_changed[i])
            s->outside[i]++;
        else if (s->outside[i])
            s->outside[i]--;
        s->outside_changed[i] = false;
    }
    pixels = widened(s, surface);
    if (rect_area(&pixels) == rect_area(&s->pixels))
        return;
    end_stream(d, s);
    start_stream(d, &pixels, &tiles);
}

void video_send_clip(struct display_channel *d, struct video_stream *s)
{
    struct rect rects[COVER_MAX];
    const struct spice_msg_display_stream_clip msg = {video_id(d, s), clip_of(s, rects)};

    channel_send(&d->base, SPICE_MSG_DISPLAY_STREAM_CLIP, &msg);
}

/* Tiles that do not change any more, or are something else now, leave the clip: they rest from now on. */
static void shrink_clip(struct display_channel *d, struct video_stream *s,
                        const struct display_surface *surface)
{
    struct video_find *f = &d->video.find;
    struct rect gone = {0}, run;

    for (int32_t y = s->tiles.top; y < s->tiles.bottom; y++)
        for (uint32_t x = 0; grid_run(&s->clip, y, x, &run); x = run.right)
            for (int32_t i = run.left; i < run.right; i++) {
                const struct rect tile = {i, y, i + 1, y + 1};

                if (video_find_moves(f, i, y) && video_find_gradual(f, i, y, surface))
                    continue;
                grid_remove(&s->clip, &tile);
                gone = tile;
            }
    if (!rect_empty(&gone))
        video_send_clip(d, s);
}

static void count_small(const struct video *v, struct video_stream *s)
{
    const struct rect in_it =
        rect_intersect(&s->tiles, &(struct rect){0, 0, v->find.hot.columns, v->find.hot.rows});
    struct rect warm = {0}, run;

    for (int32_t y = in_it.top; y < in_it.bottom; y++)
        for (int32_t x = in_it.left; x < in_it.right && grid_run(&v->find.warm, y, x, &run);
             x = run.right) {
            run = rect_intersect(&run, &in_it);
            if (!rect_empty(&run))
                warm = rect_union(&warm, &run);
        }
    s->small = 2 * rect_area(&warm) < rect_area(&in_it) ? s->small + 1 : 0;
}

static bool has_ended(const struct display_channel *d, const struct video_stream *s)
{
    return (d->update_start - s->changed_at >= VIDEO_LIVES_NS && s->idle >= ENDS_AFTER) ||
           s->small >= SHRINKS_FOR || d->video_link.restart;
}

void video_begin(struct display_channel *d)
{
    const struct display_surface *surface = port_surface(d->port);
    struct video *v = &d->video;
    bool news;

    if (!v->on)
        return;
    news = video_find_tick(&v->find, d->update_start, d->held, surface);
    d->held = false;
    for (int i = 0; i < VIDEO_MAX_STREAMS; i++) {
        struct video_stream *s = &v->streams[i];

        if (!s->live)
            continue;
        if (news)
            count_small(v, s);
        if (has_ended(d, s)) {
            end_stream(d, s);
        } else if (news) {
            shrink_clip(d, s, surface);
            watch_edges(d, s, surface);
        }
    }
    d->video_link.restart = false;
    if (news && !d->fresh)
        find_streams(d, surface);
}

uint64_t video_due(const struct display_channel *d)
{
    uint64_t due = UINT64_MAX;

    for (int i = 0; i < VIDEO_MAX_STREAMS; i++)
        if (d->video.streams[i].live)
            due = MIN(due, d->video.streams[i].changed_at + VIDEO_LIVES_NS);
    return due;
}

uint64_t video_rests_at(const struct display_channel *d)
{
    for (uint32_t i = 0; i < VIDEO_MAX_STREAMS; i++)
        if (encoding_video(d->encoding, i))
            return d->update_start + RESTS_AFTER_NS;
    return UINT64_MAX;
}

void video_rest(struct display_channel *d)
{
    for (uint32_t i = 0; i < VIDEO_MAX_STREAMS; i++) {
        encoding_set_video(d->encoding, i, NULL);
        d->video.streams[i].key = true; /* a new encoder knows of no frame before */
    }
}

void video_mark_lossy(struct display_channel *d)
{
    for (int i = 0; i < VIDEO_MAX_STREAMS; i++)
        if (d->video.streams[i].live)
            note_lossy(d, &d->video.streams[i], lossy_add);
}

/* --- life --- */

void video_init(struct display_channel *d, uint32_t width, uint32_t height)
{
    enum streaming how = d->port->streaming;

    d->video = (struct video){0};
    if (how == STREAMING_OFF || (how == STREAMING_AUTO && d->base.params.stream->local))
        return;
    d->video.on = !video_find_init(&d->video.find, width, height, how == STREAMING_ALL);
    if (!d->video.on)
        log_once(LOG_ERROR, "spice: out of memory for a client's video, it gets pictures");
}

void video_fini(struct display_channel *d, bool announce)
{
    for (int i = 0; i < VIDEO_MAX_STREAMS && d->video.on; i++) {
        if (announce)
            end_stream(d, &d->video.streams[i]);
        else
            free_stream(&d->video.streams[i]);
        video_measure_stop(&d->video.measures[i]);
    }
    video_find_fini(&d->video.find);
    d->video.on = false;
}
