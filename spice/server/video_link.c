/* video_link.c - how much of a client's link streams take, how late they are shown, and what the client says of that. */
#include "spice/server/video_private.h"

/* Bits a second, of all streams: for a link of unknown speed, and for one that has no end. */
#define UNKNOWN_LINK 20000000ull
#define ANY_RATE     100000000ull
#define MIN_RATE     200000ull
/* Shown so much later than drawn, in milliseconds: encoding, the way, and that frames come evenly. More if they come late. */
#define MIN_DELAY  SHOW_DELAY_MS
#define MORE_DELAY 40
#define MAX_MORE   300
/* One frame in so many may be dropped before the rate is lowered. */
#define DROPS_PART 5

static uint64_t link_rate(const struct display_channel *d)
{
    if (d->rate.bytes_per_s && !d->base.params.stream->local)
        return MIN(d->rate.bytes_per_s * 8 * 4 / 5, ANY_RATE);
    return d->base.params.stream->local ? ANY_RATE : UNKNOWN_LINK;
}

uint32_t video_bit_rate(const struct display_channel *d, const struct video_stream *s)
{
    uint64_t rate = MIN(link_rate(d), d->video_link.limit ? d->video_link.limit : ANY_RATE),
             all = 0;

    for (int i = 0; i < VIDEO_MAX_STREAMS; i++)
        if (d->video.streams[i].live)
            all += rect_area(&d->video.streams[i].pixels);
    return (uint32_t)(rate * rect_area(&s->pixels) / all);
}

uint32_t video_show_time(struct display_channel *d)
{
    uint32_t drawn = (uint32_t)(d->update_start / 1000000) + MIN_DELAY + d->video_link.more_ms;
    uint32_t after = d->video_link.last_time + 1;

    d->video_link.last_time = (int32_t)(drawn - after) < 0 ? after : drawn;
    return d->video_link.last_time;
}

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
        l->more_ms = MIN(l->more_ms + MORE_DELAY, MAX_MORE);
    else if (r->last_frame_delay > MIN_DELAY && l->more_ms)
        l->more_ms--;
    if (late)
        l->limit = MAX((l->limit ? MIN(l->limit, used) : used) * 3 / 4, MIN_RATE);
    else
        l->limit = l->limit < ANY_RATE ? l->limit * 17 / 16 : 0;
}

/* The client cannot show it. spice-gtk does not say which one of that number it was. */
static bool is_refusal(const struct spice_msgc_display_stream_report *r)
{
    return r->num_frames == 0 && r->num_drops == UINT32_MAX;
}

void video_take_report(struct display_channel *d, const struct spice_msgc_display_stream_report *r)
{
    struct video_stream *s =
        r->stream_id < VIDEO_MAX_STREAMS ? &d->video.streams[r->stream_id] : NULL;

    if (!s || !s->live || (s->unique_id != r->unique_id && !is_refusal(r)))
        return; /* it has ended meanwhile */
    if (is_refusal(r)) {
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
