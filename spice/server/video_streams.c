#include "spice/server/video_streams.h"

#include "base/log.h"
#include "spice/codec/video.h"
#include "spice/server/display_channel.h"
#include "spice/server/private.h"

#include <errno.h>
#include <stdlib.h>

/* A stream begins anew, larger for so many warm tiles beside it, smaller when less than half was warm for long. */
#define GROWS_FOR   8
#define SHRINKS_FOR 20
#define ENDS_AFTER  2 /* updates without a change; a slow client may have had none for long */
/* What is outside in tiles that the edge cuts belongs to the video if it changed in so many more samples than not. */
#define WIDENS_FOR 6
/* Bits a second, of all streams: for a link of unknown speed, and for one that has no end. */
#define UNKNOWN_LINK 20000000ull
#define ANY_RATE     100000000ull
#define MIN_RATE     200000ull
/* Shown so much later than drawn, in milliseconds: encoding, the way, and that frames come evenly. */
#define MIN_DELAY  200
#define MAX_DELAY  500
#define MORE_DELAY 40
/* One frame in so many may be dropped before the rate is lowered. */
#define DROPS_PART 5
/* What a stream showed is made exact after so long, even if other things are to be sent. */
#define REFINE_WAIT_NS 200000000
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

static uint32_t id_of(const struct display_channel *d, const struct video_stream *s)
{
    return (uint32_t)(s - d->video.streams);
}

/* Frames that wait at the client are dropped with the stream, so nothing paints over what is made exact now. */
static void end_stream(struct display_channel *d, struct video_stream *s)
{
    const struct spice_msg_display_stream_destroy msg = {id_of(d, s)};

    if (!s->live)
        return;
    note_lossy(d, s, lossy_rest);
    d->refine_at = d->update_start;
    d->refine_by = d->update_start + REFINE_WAIT_NS;
    channel_send(&d->base, SPICE_MSG_DISPLAY_STREAM_DESTROY, &msg);
    encoding_set_video(d->encoding, id_of(d, s), NULL);
    video_find_know(&d->video.find, id_of(d, s), &(struct rect){0});
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
        .id = id_of(d, s),
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

static void start_stream(struct display_channel *d, const struct rect *pixels,
                         const struct rect *tiles)
{
    struct video *v = &d->video;
    struct video_encoder *encoder;
    struct video_stream *s = v->streams;

    while (s < v->streams + VIDEO_MAX_STREAMS && s->live)
        s++;
    if (s == v->streams + VIDEO_MAX_STREAMS || pixels->right - pixels->left < 2 * STRIP)
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
    video_find_know(&v->find, id_of(d, s), pixels);
    fill_clip(v, s);
    encoding_set_video(d->encoding, id_of(d, s), encoder);
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

static void send_clip(struct display_channel *d, struct video_stream *s)
{
    struct rect rects[COVER_MAX];
    const struct spice_msg_display_stream_clip msg = {id_of(d, s), clip_of(s, rects)};

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
        send_clip(d, s);
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

/* --- frames --- */

/* The column of strips that the left (0) or right (1) edge cuts, or -1; and the pixels of such a strip that are inside. */
static int32_t cut_column(const struct video_stream *s, int side, uint32_t *from, uint32_t *to)
{
    int32_t edge = side ? s->pixels.right : s->pixels.left;

    *from = side ? 0 : edge % STRIP;
    *to = side ? edge % STRIP : STRIP;
    return edge % STRIP ? edge / STRIP : -1;
}

/* The two parts of a strip that an edge cuts. */
struct parts {
    uint64_t inside, outside;
};

static struct parts parts_of(const struct change *c, int32_t column, int32_t y, uint32_t from,
                             uint32_t to)
{
    const uint32_t *pixels = surface_row(c->surface, y) + column * STRIP;
    uint32_t here = MIN(STRIP, c->now->width - (uint32_t)column * STRIP);
    uint64_t inside = strip_hash_part(c->key, pixels, from, MIN(to, here));

    return (struct parts){inside, strip_without(strip_hash_part(c->key, pixels, 0, here), inside)};
}

/* Whether the client shows what is outside there as it is now. */
static bool outside_is_shown(const struct change *c, const struct video_stream *s, int side,
                             int32_t column, int32_t y, const struct parts *p)
{
    uint64_t inside = s->inside[side][y - s->pixels.top];

    return inside != STRIP_UNKNOWN &&
           strip_without(strip_row(&c->view->shown, y)[column], inside) == p->outside;
}

/* Of a row's cut strips that changed those that must go as pictures, which are left in. */
static void take_edge(struct change *c, struct video_stream *s, int side, int32_t y, uint64_t *mine)
{
    uint32_t from, to;
    int32_t column = cut_column(s, side, &from, &to);
    struct parts p;

    if (column < 0 || !(mine[column / 64] >> column % 64 & 1))
        return;
    s->news = true;
    p = parts_of(c, column, y, from, to);
    if (outside_is_shown(c, s, side, column, y, &p))
        return;
    mine[column / 64] &= ~(1ull << column % 64);
    s->outside_changed[side] |= s->inside[side][y - s->pixels.top] != STRIP_UNKNOWN;
}

static void take_stream(struct change *c, struct video *v, struct video_stream *s)
{
    uint64_t mine[DISPLAY_MAX_WIDTH / STRIP / 64 + 1];

    for (int32_t y = s->pixels.top; y < s->pixels.bottom; y++) {
        uint64_t *changed = grid_row(c->changed, y), *clip = grid_row(&s->clip, y / TILE_ROWS);

        for (uint32_t w = 0; w < c->changed->words; w++)
            mine[w] = changed[w] & clip[w];
        take_edge(c, s, 0, y, mine);
        take_edge(c, s, 1, y, mine);
        for (uint32_t w = 0; w < c->changed->words; w++) {
            s->news |= mine[w] != 0;
            changed[w] &= ~mine[w];
            c->count -= __builtin_popcountll(mine[w]);
            grid_row(&v->find.sample, y / TILE_ROWS)[w] |= mine[w];
        }
    }
}

/* Tiles of its rectangle that change now and look like video: else a part of the picture would be ahead of the rest. */
static bool grow_clip(const struct change *c, struct video *v, struct video_stream *s)
{
    const struct rect strips = strips_of_pixels(&s->pixels);
    bool grew = false;

    for (int32_t y = s->pixels.top; y < s->pixels.bottom; y++)
        for (int32_t w = strips.left / 64; w * 64 < strips.right; w++) {
            uint64_t news = grid_row(c->changed, y)[w] & ~grid_row(&s->clip, y / TILE_ROWS)[w];

            for (; news; news &= news - 1) {
                int32_t x = w * 64 + __builtin_ctzll(news);

                if (x < strips.left || x >= strips.right ||
                    !video_find_gradual(&v->find, x, y / TILE_ROWS, c->surface))
                    continue;
                grid_put(&s->clip, x, y / TILE_ROWS);
                grew = true;
            }
        }
    return grew;
}

void video_take(struct display_channel *d, struct change *c)
{
    struct video *v = &d->video;

    for (int i = 0; i < VIDEO_MAX_STREAMS && v->on; i++) {
        struct video_stream *s = &v->streams[i];

        s->news = false;
        if (!s->live)
            continue;
        if (!d->refining && grow_clip(c, v, s)) /* what is made exact has not changed */
            send_clip(d, s);
        take_stream(c, v, s);
        s->idle = s->news ? 0 : s->idle + 1;
        if (s->news)
            s->changed_at = d->update_start;
    }
}

void video_note(struct display_channel *d, const struct change *c)
{
    if (d->video.on && !d->refining && !d->fresh)
        video_find_add(&d->video.find, c->changed);
}

static uint64_t link_rate(const struct display_channel *d)
{
    if (d->rate.bytes_per_s && !d->base.params.stream->local)
        return MIN(d->rate.bytes_per_s * 8 * 4 / 5, ANY_RATE);
    return d->base.params.stream->local ? ANY_RATE : UNKNOWN_LINK;
}

/* Its part of the link, by its area. */
static uint32_t bit_rate(const struct display_channel *d, const struct video_stream *s)
{
    uint64_t rate = MIN(link_rate(d), d->video_link.limit ? d->video_link.limit : ANY_RATE),
             all = 0;

    for (int i = 0; i < VIDEO_MAX_STREAMS; i++)
        if (d->video.streams[i].live)
            all += rect_area(&d->video.streams[i].pixels);
    return (uint32_t)(rate * rect_area(&s->pixels) / all);
}

/* Of a row's strips, as captured: those that the frame does not show are not known by it. */
static void capture_hashes(const struct change *c, struct video_stream *s, int32_t y,
                           const struct rect *strips, uint64_t *hashes)
{
    for (int32_t x = strips->left; x < strips->right; x++)
        if (!grid_has(&s->clip, x, y / TILE_ROWS))
            hashes[x - strips->left] = STRIP_UNKNOWN;
    for (int side = 0; side < 2; side++) {
        uint32_t from, to;
        int32_t column = cut_column(s, side, &from, &to);
        struct parts p;

        if (column < 0)
            continue;
        p = parts_of(c, column, y, from, to);
        if (!outside_is_shown(c, s, side, column, y, &p))
            hashes[column - strips->left] = STRIP_UNKNOWN;
        s->inside[side][y - s->pixels.top] = p.inside;
    }
}

static void capture(struct display_channel *d, const struct change *c, struct batch *batch,
                    struct video_stream *s)
{
    const struct video_wish wish = {bit_rate(d, s), (uint32_t)(d->update_start / 1000000), s->key};
    struct batch_piece *p = batch_add_frame(batch, c->surface, c->now, &s->pixels);

    if (!p) {
        damage_add(&d->view.behind, &s->pixels);
        return;
    }
    p->stream = id_of(d, s);
    p->video = encoding_video(d->encoding, p->stream);
    p->video_wish = wish;
    s->key = false;
    for (int32_t y = p->strips.top; y < p->strips.bottom; y++)
        capture_hashes(c, s, y, &p->strips,
                       batch->hashes + p->hashes +
                           (size_t)(y - p->strips.top) * rect_width(&p->strips));
}

void video_capture(struct display_channel *d, const struct change *c, struct batch *batch)
{
    for (int i = 0; i < VIDEO_MAX_STREAMS; i++)
        if (d->video.streams[i].live && d->video.streams[i].news)
            capture(d, c, batch, &d->video.streams[i]);
}

/* When it is to be shown, on the clock that the main channel told of; each frame after the one before. */
static uint32_t show_time(struct display_channel *d)
{
    uint32_t drawn = (uint32_t)(d->update_start / 1000000) + d->video_link.delay_ms;
    uint32_t after = d->video_link.last_time + 1;

    d->video_link.last_time = (int32_t)(drawn - after) < 0 ? after : drawn;
    return d->video_link.last_time;
}

static void mark_shown(const struct batch *batch, const struct batch_piece *p,
                       struct strip_map *shown)
{
    const uint64_t *hash = batch->hashes + p->hashes;

    for (int32_t y = p->strips.top; y < p->strips.bottom; y++)
        for (int32_t x = p->strips.left; x < p->strips.right; x++, hash++)
            if (*hash != STRIP_UNKNOWN)
                strip_row(shown, y)[x] = *hash;
}

void video_send(struct display_channel *d, const struct batch *batch, const struct batch_piece *p)
{
    const struct spice_msg_display_stream_data msg = {
        .id = p->stream,
        .multi_media_time = show_time(d),
        .data_size = p->picture.size,
        .data = batch->out.data + p->picture.at,
    };

    if (p->err) { /* the next one needs none before it */
        d->video.streams[p->stream].key = true;
        damage_add(&d->view.behind, &p->rect);
        return;
    }
    channel_send(&d->base, SPICE_MSG_DISPLAY_STREAM_DATA, &msg);
    d->video_link.sent += msg.data_size;
    mark_shown(batch, p, &d->view.shown);
}

void video_mark_lossy(struct display_channel *d)
{
    for (int i = 0; i < VIDEO_MAX_STREAMS; i++)
        if (d->video.streams[i].live)
            note_lossy(d, &d->video.streams[i], lossy_add);
}

/* --- what the client says --- */

/*
 * How a window of frames went. A frame that came too late asks for more time; several, or one that is late all the same, for
 * fewer bytes: the rate falls fast and rises slowly.
 */
static void adapt(struct video_link *l, const struct spice_msgc_display_stream_report *r)
{
    bool late = r->last_frame_delay < 0 || (uint64_t)r->num_drops * DROPS_PART > r->num_frames;
    uint64_t now = uv_hrtime(), used = l->sent * 8 * 1000 / ((now - l->sent_since) / 1000000 + 1);

    l->sent = 0;
    l->sent_since = now;
    if (late || r->num_drops)
        l->delay_ms = MIN(l->delay_ms + MORE_DELAY, MAX_DELAY);
    else if (r->last_frame_delay > MIN_DELAY)
        l->delay_ms = MAX(l->delay_ms - 1, MIN_DELAY);
    if (late)
        l->limit = MAX((l->limit ? MIN(l->limit, used) : used) * 3 / 4, MIN_RATE);
    else
        l->limit = l->limit < ANY_RATE ? l->limit * 17 / 16 : 0;
}

void video_take_report(struct display_channel *d, const struct spice_msgc_display_stream_report *r)
{
    struct video_stream *s =
        r->stream_id < VIDEO_MAX_STREAMS ? &d->video.streams[r->stream_id] : NULL;

    if (!s || !s->live || s->unique_id != r->unique_id)
        return;                       /* it has ended meanwhile */
    if (r->num_drops == UINT32_MAX) { /* the client cannot show it */
        d->video_link.refused |= 1u << s->codec;
        d->video_link.restart = true;
    } else {
        adapt(&d->video_link, r);
    }
}

void video_take_wishes(struct display_channel *d, const uint8_t *codecs, size_t count)
{
    struct video_link *l = &d->video_link;

    memset(l->wishes, 0, sizeof(l->wishes));
    for (size_t i = 0; i < MIN(count, SERVER_MAX_CODECS); i++)
        l->wishes[i] = codecs[i];
    l->restart = true;
}

/* --- life --- */

void video_init(struct display_channel *d, uint32_t width, uint32_t height)
{
    enum streaming how = d->port->streaming;

    d->video = (struct video){0};
    if (how == STREAMING_OFF || (how == STREAMING_AUTO && d->base.params.stream->local))
        return;
    if (d->video_link.delay_ms == 0)
        d->video_link.delay_ms = MIN_DELAY;
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
