#include "spice/server/record_channel.h"

#include "base/log.h"
#include "spice/codec/sound.h"
#include "spice/server/migrate_data.h"
#include "spice/server/sound_port.h"
#include "spice/sound/jitter.h"

#include <stdlib.h>

#define SILENT_NS  500000000ull /* so long, and another client may speak */
#define PIECE      480          /* frames that are pulled in one go */
#define MOST_RAW   (CHANNEL_MAX_MESSAGE / 2)
#define ELSEWHERE  UINT32_MAX   /* a stream of another server's */

struct record {
    struct loop *loop;
    struct channel_list channels;
    struct sound_volume volume;
    uint32_t volumes; /* said since the beginning */
    uint32_t streams; /* begun since the beginning */
    uint32_t stream;  /* 0: the guest does not record, else its number */
    struct sound_format format;
    struct jitter jitter;
    struct record_channel *speaker; /* NULL: nobody speaks */
    uint64_t spoken;                /* when it last did; nanoseconds */
};

struct record_channel {
    struct channel base;
    struct record *record;
    uint32_t stream;  /* that it was told of; 0: none, or that it stopped */
    uint32_t volumes; /* of those that were said, it knows the last one of these */
    bool begun;       /* it has answered that with START_MARK */
    uint16_t mode;    /* SPICE_AUDIO_DATA_MODE_* */
    struct sound_decoder *decoder; /* NULL: none yet */
    uint32_t decoder_channels;
    uint64_t bad; /* packets */
};

static struct record_channel *to_record(struct channel *ch)
{
    return container_of(ch, struct record_channel, base);
}

/* --- to a client --- */

static void send_volume(struct record_channel *c)
{
    const struct record *r = c->record;
    const struct spice_msg_sound_volume volume = {SOUND_MAX_CHANNELS, r->volume.level};

    if (c->volumes == r->volumes)
        return;
    c->volumes = r->volumes;
    if (!channel_has_cap(&c->base, SPICE_RECORD_CAP_VOLUME))
        return;
    channel_send(&c->base, SPICE_MSG_RECORD_VOLUME, &volume);
    channel_send(&c->base, SPICE_MSG_RECORD_MUTE, &(struct spice_msg_sound_mute){r->volume.mute});
}

/* At a rate that Opus has, whatever the guest's is: the buffer makes one of the other. */
static void tell(struct record_channel *c)
{
    const struct record *r = c->record;
    const struct spice_msg_record_start start = {r->format.channels, SPICE_AUDIO_FMT_S16, SOUND_PORT_RATE};

    if (!channel_ready(&c->base))
        return;
    send_volume(c);
    if (c->stream && c->stream != r->stream) {
        c->stream = 0;
        channel_send(&c->base, SPICE_MSG_RECORD_STOP, NULL);
    }
    if (r->stream && !c->stream) {
        c->stream = r->stream;
        c->begun = false;
        channel_send(&c->base, SPICE_MSG_RECORD_START, &start);
    }
}

static void tell_all(struct record *r)
{
    struct channel *ch, *next;

    for (ch = LIST_FIRST(&r->channels); ch; ch = next) {
        next = LIST_NEXT(ch, link);
        tell(to_record(ch));
    }
}

/* --- from a client --- */

/* Whether it is heard, from now on if nobody else is. */
static bool speaks(struct record_channel *c)
{
    struct record *r = c->record;
    uint64_t now = uv_hrtime();

    if (!r->stream || c->stream != r->stream || !c->begun)
        return false; /* it has not heard yet that the stream before ended */
    if (r->speaker != c && r->speaker && now - r->spoken < SILENT_NS)
        return false;
    if (r->speaker != c && jitter_start(&r->jitter, SOUND_PORT_RATE, r->format.rate))
        return false;
    r->speaker = c;
    r->spoken = now;
    return true;
}

static void push(struct record *r, const int16_t *samples, size_t frames)
{
    jitter_push(&r->jitter, samples, r->format.channels, frames, uv_hrtime());
}

static bool take_raw(struct record_channel *c, const struct spice_msg_sound_packet *packet)
{
    static int16_t samples[MOST_RAW]; /* the main loop's alone */
    uint32_t frame = 2 * c->record->format.channels;

    if (!packet->size || packet->size % frame || packet->size > sizeof(samples))
        return false;
    sound_load_raw(samples, packet->data, packet->size / 2);
    push(c->record, samples, packet->size / frame);
    return true;
}

static bool has_decoder(struct record_channel *c)
{
    uint32_t channels = c->record->format.channels;

    if (c->decoder && c->decoder_channels == channels)
        return true;
    sound_decoder_destroy(c->decoder);
    c->decoder_channels = channels;
    return sound_decoder_create(&c->decoder, channels) == 0;
}

static bool take_opus(struct record_channel *c, const struct spice_msg_sound_packet *packet)
{
    static int16_t samples[SOUND_OPUS_MAX_DECODED * SOUND_MAX_CHANNELS]; /* the main loop's alone */
    int frames = has_decoder(c) ? sound_decode(c->decoder, packet->data, packet->size, samples, SOUND_OPUS_MAX_DECODED) : -1;

    if (frames > 0)
        push(c->record, samples, (size_t)frames);
    return frames > 0;
}

static void take_data(struct record_channel *c, const struct spice_msg_sound_packet *packet)
{
    bool good = false;

    if (!speaks(c))
        return;
    if (c->mode == SPICE_AUDIO_DATA_MODE_RAW)
        good = take_raw(c, packet);
    else if (c->mode == SPICE_AUDIO_DATA_MODE_OPUS)
        good = take_opus(c, packet);
    if (!good && !c->bad++)
        log_info("spice: %s speaks what cannot be understood; it is left out", c->base.params.stream->peer);
}

static void take_mode(struct record_channel *c, const struct spice_msg_sound_mode *mode)
{
    c->mode = mode->mode;
    if (c->decoder)
        sound_decoder_reset(c->decoder);
}

static void take_message(struct channel *ch, unsigned id, const void *msg)
{
    if (id == SPICE_MSGC_RECORD_DATA)
        take_data(to_record(ch), msg);
    else if (id == SPICE_MSGC_RECORD_MODE)
        take_mode(to_record(ch), msg);
    else if (id == SPICE_MSGC_RECORD_START_MARK)
        to_record(ch)->begun = true;
}

/* --- to the guest --- */

static void mix_down(int16_t *to, const int16_t (*from)[2], size_t frames)
{
    for (size_t i = 0; i < frames; i++)
        to[i] = (int16_t)((from[i][0] + from[i][1]) / 2);
}

size_t record_take(struct record *r, int16_t *samples, size_t frames)
{
    int16_t piece[PIECE][2];
    uint64_t now = uv_hrtime();

    if (!r->speaker || !r->stream)
        return 0;
    for (size_t i = 0, n; i < frames; i += n) {
        n = MIN(frames - i, PIECE);
        jitter_pull(&r->jitter, piece, n, now);
        if (r->format.channels == 1)
            mix_down(samples + i, (const int16_t(*)[2])piece, n);
        else
            memcpy(samples + 2 * i, piece, n * sizeof(*piece));
    }
    return frames;
}

/* What was spoken before is not heard later. */
static void forget_speaker(struct record *r)
{
    r->speaker = NULL;
    jitter_fini(&r->jitter);
    jitter_init(&r->jitter);
}

void record_run(struct record *r, const struct sound_format *format)
{
    bool can = format && format->rate >= JITTER_LOWEST_RATE && format->rate <= JITTER_HIGHEST_RATE;

    forget_speaker(r);
    r->stream = can ? ++r->streams : 0;
    if (can)
        r->format = *format;
    else if (format)
        log_warn("spice: the guest records at %u Hz; from %u on it hears something", format->rate, JITTER_LOWEST_RATE);
    tell_all(r);
}

void record_set_volume(struct record *r, const struct sound_volume *volume)
{
    if (sound_volume_is(&r->volume, volume))
        return;
    r->volume = *volume;
    r->volumes++;
    tell_all(r);
}

/* --- the channel --- */

static void ready(struct channel *ch)
{
    tell(to_record(ch));
}

static int save(struct channel *ch, struct writer *w)
{
    const struct migrate_sound state = {to_record(ch)->stream != 0};

    return migrate_data_encode(SPICE_CHANNEL_RECORD, &state, w);
}

/* It is asked anew here. */
static bool restore(struct channel *ch, const void *state)
{
    struct record_channel *c = to_record(ch);

    c->stream = ((const struct migrate_sound *)state)->runs ? ELSEWHERE : 0;
    tell(c);
    return true;
}

static void closed(struct channel *ch)
{
    struct record *r = to_record(ch)->record;

    LIST_REMOVE(ch, link);
    if (r->speaker == to_record(ch))
        forget_speaker(r);
}

static void free_channel(struct channel *ch)
{
    sound_decoder_destroy(to_record(ch)->decoder);
    free(to_record(ch));
}

static const struct channel_ops record_ops = {take_message, ready, save, restore, closed, free_channel};

void record_adopt(struct record *r, const struct channel_params *params)
{
    struct record_channel *c = calloc(1, sizeof(*c));

    if (!c) {
        stream_close(params->stream);
        return;
    }
    c->record = r;
    c->mode = SPICE_AUDIO_DATA_MODE_RAW;
    if (channel_init(&c->base, &record_ops, r->loop, params)) {
        free(c);
        return;
    }
    LIST_INSERT_HEAD(&r->channels, &c->base, link);
    tell(c);
}

void record_arrive(struct channel *ch)
{
    if (ch->phase != CHANNEL_ARRIVING)
        return;
    channel_arrive(ch);
    tell(to_record(ch));
}

/* --- life --- */

struct record *record_create(struct loop *loop)
{
    struct record *r = calloc(1, sizeof(*r));

    if (!r)
        return NULL;
    r->loop = loop;
    r->volume = (struct sound_volume){.level = {UINT16_MAX, UINT16_MAX}};
    jitter_init(&r->jitter);
    return r;
}

struct channel_list *record_channels(struct record *r)
{
    return &r->channels;
}

void record_destroy(struct record *r)
{
    if (!r)
        return;
    jitter_fini(&r->jitter);
    free(r);
}
