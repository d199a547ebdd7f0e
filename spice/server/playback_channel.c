#include "spice/server/playback_channel.h"

#include "base/log.h"
#include "spice/codec/sound.h"
#include "spice/server/migrate_data.h"
#include "spice/server/private.h"
#include "spice/server/sound_port.h"
#include "spice/sound/rate.h"

#include <stdlib.h>

#define PACKETS       100 /* a second */
#define KEPT          32  /* packets, for those who are not ready */
#define OLDEST_MS     200 /* what is older is not sent */
#define ACK_WINDOW    32  /* twice as many messages are under way at most: 640 ms */
#define MOST_FRAMES   (SOUND_MAX_RATE / PACKETS)
#define CLOCK_SLIP_NS 50000000 /* the card's clock and ours may differ by that much before stamps jump */
#define LOCAL_LATENCY 40       /* milliseconds that a client on this host is to hold back; stock ones take 200 unasked */
#define ELSEWHERE     UINT32_MAX /* a stream of another server's */

struct packet {
    uint32_t stream, time;
    uint32_t opus_size, raw_size; /* 0: nobody wanted it */
    uint8_t opus[SOUND_OPUS_MAX_PACKET];
    uint8_t raw[2 * SOUND_MAX_CHANNELS * MOST_FRAMES];
};

struct playback {
    struct loop *loop;
    struct channel_list channels;
    bool compress;
    struct sound_volume volume;
    uint32_t volumes; /* said since the beginning */

    /* the stream, as it goes to clients */
    uint32_t streams; /* begun since the beginning */
    uint32_t stream;  /* 0: none runs, else its number */
    struct sound_format card, format; /* of the card, of the packets */
    struct sound_rate rate;
    struct sound_encoder *encoder;
    uint64_t started; /* nanoseconds: when the frame 0 of `given` was heard */
    uint64_t given;   /* frames by the card since */

    /* the packet that is being filled, and the last ones */
    int16_t samples[MOST_FRAMES * SOUND_MAX_CHANNELS];
    size_t filled; /* frames */
    uint32_t time; /* of the first */
    struct packet packets[KEPT];
    uint64_t made; /* packets; number n is packets[n % KEPT] */
};

struct playback_channel {
    struct channel base;
    struct playback *playback;
    bool can_opus;
    bool opus;        /* is what it was told of this stream */
    uint32_t stream;  /* that it was told of; 0: none, or that it stopped */
    uint32_t volumes; /* of those that were said, it knows the last one of these */
    uint64_t next;    /* packet */
};

static struct playback_channel *to_playback(struct channel *ch)
{
    return container_of(ch, struct playback_channel, base);
}

/* --- to a client --- */

static void send_volume(struct playback_channel *c)
{
    const struct playback *p = c->playback;
    const struct spice_msg_sound_volume volume = {SOUND_MAX_CHANNELS, p->volume.level};

    if (c->volumes == p->volumes)
        return;
    c->volumes = p->volumes;
    if (!channel_has_cap(&c->base, SPICE_PLAYBACK_CAP_VOLUME))
        return;
    channel_send(&c->base, SPICE_MSG_PLAYBACK_VOLUME, &volume);
    channel_send(&c->base, SPICE_MSG_PLAYBACK_MUTE, &(struct spice_msg_sound_mute){p->volume.mute});
}

static void send_start(struct playback_channel *c)
{
    const struct playback *p = c->playback;
    uint32_t now = server_mm_time() + SHOW_DELAY_MS;
    bool opus = c->can_opus && p->encoder;
    const struct spice_msg_sound_mode mode = {
        .time = now, .mode = opus ? SPICE_AUDIO_DATA_MODE_OPUS : SPICE_AUDIO_DATA_MODE_RAW};
    const struct spice_msg_playback_start start = {p->format.channels, SPICE_AUDIO_FMT_S16, p->format.rate, now};

    c->stream = p->stream;
    c->opus = opus;
    channel_send(&c->base, SPICE_MSG_PLAYBACK_MODE, &mode);
    channel_send(&c->base, SPICE_MSG_PLAYBACK_START, &start);
    if (!c->base.closed && c->base.params.stream->local && channel_has_cap(&c->base, SPICE_PLAYBACK_CAP_LATENCY))
        channel_send(&c->base, SPICE_MSG_PLAYBACK_LATENCY, &(struct spice_msg_playback_latency){LOCAL_LATENCY});
}

/* Who cannot be told that it is mute hears nothing then. */
static bool is_heard(const struct playback_channel *c)
{
    return !c->playback->volume.mute || channel_has_cap(&c->base, SPICE_PLAYBACK_CAP_VOLUME);
}

static void send_packet(struct playback_channel *c, const struct packet *packet)
{
    const struct spice_msg_sound_packet msg = {packet->time, c->opus ? packet->opus_size : packet->raw_size,
                                               c->opus ? packet->opus : packet->raw};

    if (msg.size && is_heard(c))
        channel_send(&c->base, SPICE_MSG_PLAYBACK_DATA, &msg);
}

/* Of the stream that the client knows. */
static void send_packets(struct playback_channel *c)
{
    const struct playback *p = c->playback;
    uint32_t oldest = server_mm_time() + SHOW_DELAY_MS - OLDEST_MS;

    if (p->made - c->next > KEPT)
        c->next = p->made - KEPT;
    for (; c->next < p->made && !c->base.closed; c->next++) {
        const struct packet *packet = &p->packets[c->next % KEPT];

        if (packet->stream == c->stream && (int32_t)(packet->time - oldest) >= 0)
            send_packet(c, packet);
        else if (packet->stream == p->stream && c->stream != p->stream)
            break; /* of the next one */
    }
}

/* All that there is to be said; later, to a client that is not ready. */
static void tell(struct playback_channel *c)
{
    const struct playback *p = c->playback;

    if (!channel_ready(&c->base))
        return;
    send_volume(c);
    if (c->stream)
        send_packets(c);
    if (c->stream && c->stream != p->stream) {
        c->stream = 0;
        channel_send(&c->base, SPICE_MSG_PLAYBACK_STOP, NULL);
    }
    if (p->stream && !c->stream) {
        send_start(c);
        send_packets(c);
    }
}

static void tell_all(struct playback *p)
{
    struct channel *ch, *next;

    for (ch = LIST_FIRST(&p->channels); ch; ch = next) {
        next = LIST_NEXT(ch, link);
        tell(to_playback(ch));
    }
}

/* --- packets --- */

static size_t packet_frames(const struct playback *p)
{
    return MAX(p->format.rate / PACKETS, 1);
}

static void wanted(const struct playback *p, bool *opus, bool *raw)
{
    struct channel *ch;

    *opus = *raw = false;
    LIST_FOREACH (ch, &p->channels, link) {
        *opus |= p->encoder && to_playback(ch)->can_opus;
        *raw |= !p->encoder || !to_playback(ch)->can_opus;
    }
}

static uint32_t encode(struct playback *p, uint8_t *packet)
{
    int size = sound_encode(p->encoder, p->samples, packet);

    if (size < 0)
        log_once(LOG_WARN, "spice: a packet of sound could not be encoded");
    return size < 0 ? 0 : (uint32_t)size;
}

static void finish_packet(struct playback *p)
{
    struct packet *packet = &p->packets[p->made % KEPT];
    size_t samples = p->filled * p->format.channels;
    bool opus, raw;

    wanted(p, &opus, &raw);
    packet->stream = p->stream;
    packet->time = p->time;
    packet->raw_size = raw ? (uint32_t)(2 * samples) : 0;
    if (raw)
        sound_store_raw(packet->raw, p->samples, samples);
    packet->opus_size = opus ? encode(p, packet->opus) : 0;
    p->filled = 0;
    p->made++;
    tell_all(p);
}

/* Stamps never go back, though a card may be ahead of its clock for a while. */
static void add_frame(struct playback *p, const int16_t *frame, uint32_t time)
{
    if (!p->filled && (int32_t)(time - p->time) > 0)
        p->time = time;
    memcpy(p->samples + p->filled * p->format.channels, frame, p->format.channels * sizeof(*frame));
    if (++p->filled == packet_frames(p))
        finish_packet(p);
}

/* When the frame that the card gives next is to be heard: by its own count, as long as that agrees with our clock. */
static uint64_t next_time(struct playback *p)
{
    uint64_t now = uv_hrtime(), at = p->started + p->given * 1000000000 / p->card.rate;
    int64_t slip = (int64_t)(now - at);

    if (p->given && slip > -CLOCK_SLIP_NS && slip < CLOCK_SLIP_NS)
        return at;
    p->started = now;
    p->given = 0;
    return now;
}

static uint32_t stamp(const struct playback *p, uint64_t at, size_t frame)
{
    return (uint32_t)((at + frame * 1000000000 / p->card.rate) / 1000000) + SHOW_DELAY_MS;
}

static void add_resampled(struct playback *p, const int16_t *samples, size_t frames, uint32_t time)
{
    int16_t stereo[SOUND_RATE_PIECE][2], out[2];
    uint32_t channels = p->card.channels;

    for (size_t i = 0; i < frames; i++) {
        stereo[i][0] = samples[i * channels];
        stereo[i][1] = samples[i * channels + channels - 1];
    }
    sound_rate_push(&p->rate, (const int16_t(*)[2])stereo, frames);
    while (sound_rate_pull(&p->rate, out))
        add_frame(p, out, time);
}

static void add_frames(struct playback *p, const int16_t *samples, size_t frames, uint64_t at)
{
    for (size_t i = 0, n; i < frames; i += n) {
        n = p->rate.in ? MIN(frames - i, SOUND_RATE_PIECE) : 1;
        if (p->rate.in)
            add_resampled(p, samples + i * p->card.channels, n, stamp(p, at, i));
        else
            add_frame(p, samples + i * p->card.channels, stamp(p, at, i));
    }
}

void playback_play(struct playback *p, const int16_t *samples, size_t frames)
{
    uint64_t at = next_time(p);

    p->given += frames;
    if (p->stream && !LIST_EMPTY(&p->channels))
        add_frames(p, samples, frames, at);
}

/* --- the stream --- */

/*
 * Clients have Opus for 48 kHz alone, and by it a stream takes a fifteenth: it is worth the resampler. What is not
 * compressed goes as it is, since clients take any rate.
 */
static void begin(struct playback *p, const struct sound_format *format)
{
    p->card = p->format = *format;
    p->given = 0;
    p->filled = 0;
    if (p->compress && !sound_encoder_create(&p->encoder, format->channels, SOUND_LOW_LATENCY)) {
        if (format->rate != SOUND_PORT_RATE && !sound_rate_init(&p->rate, format->rate, SOUND_PORT_RATE))
            p->format.rate = SOUND_PORT_RATE;
    }
    if (p->format.rate != SOUND_PORT_RATE) {
        sound_encoder_destroy(p->encoder);
        p->encoder = NULL;
    }
    p->stream = ++p->streams;
}

/* The tail: a packet of Opus is as long as any other. */
static void finish(struct playback *p)
{
    const int16_t silence[SOUND_MAX_CHANNELS] = {0};
    int16_t tail[RESAMPLER_MOST * SOUND_MAX_CHANNELS] = {0};

    if (p->rate.in && !LIST_EMPTY(&p->channels))
        add_resampled(p, tail, p->rate.resampler.reach, p->time);
    while (p->filled && p->encoder)
        add_frame(p, silence, p->time);
    if (p->filled)
        finish_packet(p);
    sound_rate_fini(&p->rate);
    sound_encoder_destroy(p->encoder);
    p->encoder = NULL;
    p->stream = 0;
}

void playback_run(struct playback *p, const struct sound_format *format)
{
    if (p->stream)
        finish(p);
    if (format)
        begin(p, format);
    tell_all(p);
}

/* Full is what clients begin with. */
void playback_set_volume(struct playback *p, const struct sound_volume *volume)
{
    if (sound_volume_is(&p->volume, volume))
        return;
    p->volume = *volume;
    p->volumes++;
    tell_all(p);
}

/* --- the channel --- */

static void take_message(struct channel *ch UNUSED, unsigned id UNUSED, const void *msg UNUSED)
{
}

static void ready(struct channel *ch)
{
    tell(to_playback(ch));
}

/* What is heard from now on. */
static void join(struct playback_channel *c)
{
    c->next = c->playback->made;
    channel_set_ack_window(&c->base, ACK_WINDOW); /* once it is sent, ready() says the rest */
}

static int save(struct channel *ch, struct writer *w)
{
    const struct migrate_sound state = {to_playback(ch)->stream != 0};

    return migrate_data_encode(SPICE_CHANNEL_PLAYBACK, &state, w);
}

/* What it heard there has ended; and it knows no volume of ours. */
static bool restore(struct channel *ch, const void *state)
{
    struct playback_channel *c = to_playback(ch);

    c->stream = ((const struct migrate_sound *)state)->runs ? ELSEWHERE : 0;
    join(c);
    return true;
}

static void closed(struct channel *ch)
{
    LIST_REMOVE(ch, link);
}

static void free_channel(struct channel *ch)
{
    free(to_playback(ch));
}

static const struct channel_ops playback_ops = {take_message, ready, save, restore, closed, free_channel};

void playback_adopt(struct playback *p, const struct channel_params *params)
{
    struct playback_channel *c = calloc(1, sizeof(*c));

    if (!c) {
        stream_close(params->stream);
        return;
    }
    c->playback = p;
    if (channel_init(&c->base, &playback_ops, p->loop, params)) {
        free(c);
        return;
    }
    c->can_opus = p->compress && channel_has_cap(&c->base, SPICE_PLAYBACK_CAP_OPUS);
    LIST_INSERT_HEAD(&p->channels, &c->base, link);
    if (!params->arriving)
        join(c);
}

void playback_arrive(struct channel *ch)
{
    if (ch->phase != CHANNEL_ARRIVING)
        return;
    channel_arrive(ch);
    join(to_playback(ch));
}

/* --- life --- */

struct playback *playback_create(struct loop *loop, bool compress)
{
    struct playback *p = calloc(1, sizeof(*p));

    if (!p)
        return NULL;
    p->loop = loop;
    p->compress = compress;
    p->time = server_mm_time();
    p->volume = (struct sound_volume){.level = {UINT16_MAX, UINT16_MAX}};
    return p;
}

struct channel_list *playback_channels(struct playback *p)
{
    return &p->channels;
}

void playback_destroy(struct playback *p)
{
    if (!p)
        return;
    sound_rate_fini(&p->rate);
    sound_encoder_destroy(p->encoder);
    free(p);
}
