/* video_frames.c - frames of streams: which of what changed they take, what is copied for them, what the client shows then. */
#include "spice/codec/video.h"
#include "spice/server/video_private.h"

/* A frame is of what changed alone if that is at most one part in so many of the stream. */
#define PART_PAYS 2

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
    p = parts_of(c, column, y, from, to);
    if (outside_is_shown(c, s, side, column, y, &p))
        return;
    mine[column / 64] &= ~(1ull << column % 64);
    s->outside_changed[side] |= s->inside[side][y - s->pixels.top] != STRIP_UNKNOWN;
}

/* Of a row, what changed. */
static void add_news(struct video_stream *s, int32_t y, const uint64_t *bits, uint32_t words)
{
    for (uint32_t w = 0; w < words; w++) {
        struct rect r = {w * 64, y, w * 64 + 64, y + 1};

        if (!bits[w])
            continue;
        r.left += __builtin_ctzll(bits[w]);
        r.right -= __builtin_clzll(bits[w]);
        s->news = rect_union(&s->news, &r);
    }
}

static void take_stream(struct change *c, struct video *v, struct video_stream *s)
{
    uint64_t mine[DISPLAY_MAX_WIDTH / STRIP / 64 + 1];

    for (int32_t y = s->pixels.top; y < s->pixels.bottom; y++) {
        uint64_t *changed = grid_row(c->changed, y), *clip = grid_row(&s->clip, y / TILE_ROWS);

        for (uint32_t w = 0; w < c->changed->words; w++)
            mine[w] = changed[w] & clip[w];
        add_news(s, y, mine, c->changed->words);
        take_edge(c, s, 0, y, mine);
        take_edge(c, s, 1, y, mine);
        for (uint32_t w = 0; w < c->changed->words; w++) {
            changed[w] &= ~mine[w];
            c->count -= count_bits(mine[w]);
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

        s->news = (struct rect){0};
        if (!s->live)
            continue;
        if (!d->refining && grow_clip(c, v, s)) /* what is made exact has not changed */
            video_send_clip(d, s);
        take_stream(c, v, s);
        s->idle = rect_empty(&s->news) ? s->idle + 1 : 0;
        if (s->idle == 0)
            s->changed_at = d->update_start;
    }
}

void video_note(struct display_channel *d, const struct change *c)
{
    if (d->video.on && !d->refining && !d->fresh)
        video_find_add(&d->video.find, c->changed);
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

        if (column < strips->left || column >= strips->right)
            continue;
        p = parts_of(c, column, y, from, to);
        if (!outside_is_shown(c, s, side, column, y, &p))
            hashes[column - strips->left] = STRIP_UNKNOWN;
        s->inside[side][y - s->pixels.top] = p.inside;
    }
}

/* What a frame shows: all of the stream, or, if client and codec can do with less and it pays, the tiles that changed. */
static struct rect frame_of(const struct display_channel *d, const struct video_stream *s)
{
    const struct rect changed = {s->news.left * STRIP, ALIGN_DOWN(s->news.top, TILE_ROWS), s->news.right * STRIP,
                                 ALIGN_UP(s->news.bottom, TILE_ROWS)};
    const struct rect part = rect_intersect(&changed, &s->pixels);

    if (s->key || !video_any_size(s->codec) || !channel_has_cap(&d->base, SPICE_DISPLAY_CAP_SIZED_STREAM) ||
        rect_area(&part) > rect_area(&s->pixels) / PART_PAYS)
        return s->pixels;
    return part;
}

/* Of a client that had stopped, and goes on, it is a new one. NULL: no memory */
static struct video_encoder *encoder_of(struct display_channel *d, const struct video_stream *s)
{
    struct video_encoder *e = encoding_video(d->encoding, video_id(d, s));

    if (e)
        return e;
    e = video_encoder_create(s->codec, (uint32_t)rect_width(&s->pixels), (uint32_t)(s->pixels.bottom - s->pixels.top));
    encoding_set_video(d->encoding, video_id(d, s), e);
    return e;
}

static void capture(struct display_channel *d, const struct change *c, struct batch *batch,
                    struct video_stream *s)
{
    const struct video_wish wish = {video_bit_rate(d, s), (uint32_t)(d->update_start / 1000000),
                                    s->key};
    const struct rect frame = frame_of(d, s);
    struct video_encoder *encoder = encoder_of(d, s);
    struct batch_piece *p = encoder ? batch_add_frame(batch, c->surface, c->now, &frame) : NULL;

    if (!p) {
        view_damage(&d->view, &s->pixels);
        return;
    }
    p->stream = video_id(d, s);
    p->video = encoder;
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
        if (d->video.streams[i].live && !rect_empty(&d->video.streams[i].news))
            capture(d, c, batch, &d->video.streams[i]);
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
        .multi_media_time = video_show_time(d),
        .data_size = p->picture.size,
        .data = batch->out.data + p->picture.at,
        .width = (uint32_t)rect_width(&p->rect),
        .height = (uint32_t)(p->rect.bottom - p->rect.top),
        .dest = p->rect,
    };
    bool sized = rect_area(&p->rect) != rect_area(&d->video.streams[p->stream].pixels);

    if (p->err) { /* the next one needs none before it */
        d->video.streams[p->stream].key = true;
        view_damage(&d->view, &p->rect);
        return;
    }
    channel_send(&d->base, sized ? SPICE_MSG_DISPLAY_STREAM_DATA_SIZED : SPICE_MSG_DISPLAY_STREAM_DATA, &msg);
    d->video_link.sent += msg.data_size;
    mark_shown(batch, p, &d->view.shown);
}
