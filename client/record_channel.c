#include "client/record_channel.h"

#include "base/error.h"
#include "base/log.h"
#include "client/audio.h"
#include "client/session.h"
#include "spice/codec/sound.h"

#include <errno.h>
#include <stdlib.h>

#define PACKETS      100 /* a second */
#define LOWEST_RATE  8000
#define HIGHEST_RATE 192000
#define MOST_FRAMES  (HIGHEST_RATE / PACKETS)

struct record_channel {
    struct channel base;
    uint32_t channels, rate;    /* that the guest wants; 0: it does not record */
    bool open;                  /* the microphone */
    struct sound_encoder *opus; /* of so many channels; NULL: none yet */
    uint32_t opus_channels;
    bool uses_opus;
    struct record_stats stats;
};

static struct record_channel *to_record(struct channel *c)
{
    return container_of(c, struct record_channel, base);
}

static bool is_permitted(const struct record_channel *r)
{
    return r->base.session->audio->permission == MICROPHONE_ALLOWED && !r->base.session->options->window.view_only;
}

static void show(struct record_channel *r)
{
    struct session *s = r->base.session;
    bool ask = s->audio->permission == MICROPHONE_ASK && !s->options->headless && !s->options->window.view_only;

    screen_lock(s->screen);
    s->screen->microphone = !r->rate  ? MICROPHONE_UNUSED
                            : r->open ? MICROPHONE_OPEN
                            : ask     ? MICROPHONE_ASKED
                                      : MICROPHONE_SHUT;
    screen_unlock(s->screen);
    screen_wake(s->screen);
}

/* --- packets --- */

static int send_packet(struct record_channel *r, const uint8_t *data, size_t size)
{
    struct spice_msg_sound_packet m = {session_mm_time(r->base.session), (uint32_t)size, data};

    r->stats.packets++;
    return channel_send(&r->base, SPICE_MSGC_RECORD_DATA, &m);
}

static int send_opus(struct record_channel *r, const int16_t *samples)
{
    uint8_t packet[SOUND_OPUS_MAX_PACKET];
    int size = sound_encode(r->opus, samples, packet);

    return size < 0 ? size : send_packet(r, packet, (size_t)size);
}

static int send_raw(struct record_channel *r, const int16_t *samples, size_t count)
{
    uint8_t data[2 * 2 * MOST_FRAMES];

    sound_store_raw(data, samples, count);
    return send_packet(r, data, 2 * count);
}

/* frames: stereo; they become what the guest wants. */
static int send_frames(struct record_channel *r, int16_t (*frames)[2], size_t count)
{
    int16_t *samples = frames[0];

    gain_apply(&r->base.session->audio->microphone.gain, frames, (unsigned)count, r->rate);
    for (size_t i = 0; r->channels == 1 && i < count; i++)
        samples[i] = (int16_t)((frames[i][0] + frames[i][1]) / 2);
    return r->uses_opus ? send_opus(r, samples) : send_raw(r, samples, count * r->channels);
}

/* What a server does not take is lost: late it would be of no use. */
static void heard(void *opaque)
{
    struct record_channel *r = opaque;
    struct microphone *m = &r->base.session->audio->microphone;
    int16_t frames[MOST_FRAMES][2];
    int err = 0;

    while (!err && r->open && microphone_take(m, frames, r->rate / PACKETS)) {
        if (stream_is_behind(&r->base.stream))
            r->stats.lost += r->rate / PACKETS;
        else
            err = send_frames(r, frames, r->rate / PACKETS); /* a connection that broke shows by itself */
    }
}

/* --- whether it runs --- */

static int choose_codec(struct record_channel *r)
{
    bool can = r->base.link.channel_caps >> SPICE_RECORD_CAP_OPUS & 1;
    int err = 0;

    r->uses_opus = can && r->rate == SOUND_OPUS_RATE;
    log_debug("recording: %s, %u Hz", r->uses_opus ? "Opus" : "as it is", r->rate);
    if (!r->uses_opus)
        return 0;
    if (r->opus && r->opus_channels == r->channels) {
        sound_encoder_reset(r->opus);
        return 0;
    }
    sound_encoder_destroy(r->opus);
    r->opus_channels = r->channels;
    err = sound_encoder_create(&r->opus, r->channels, SOUND_LOW_LATENCY);
    return err ? fail(err, "no encoder for Opus") : 0;
}

static int begin(struct record_channel *r)
{
    struct session *s = r->base.session;
    uint32_t now = session_mm_time(s);
    struct spice_msg_sound_mode mode = {.time = now};
    int err = choose_codec(r);

    mode.mode = r->uses_opus ? SPICE_AUDIO_DATA_MODE_OPUS : SPICE_AUDIO_DATA_MODE_RAW;
    if (!err)
        err = channel_send(&r->base, SPICE_MSGC_RECORD_MODE, &mode);
    if (!err)
        err = channel_send(&r->base, SPICE_MSGC_RECORD_START_MARK, &(struct spice_msgc_record_start_mark){now});
    if (!err)
        err = notifier_attach(&s->audio->microphone.heard, s->loop, heard, r);
    if (err)
        return err;
    r->open = true;
    microphone_clear(&s->audio->microphone);
    audio_record(s->audio, true, r->rate);
    return 0;
}

static void end(struct record_channel *r)
{
    struct audio *audio = r->base.session->audio;

    if (!r->open)
        return;
    r->open = false;
    audio_record(audio, false, 0);
    notifier_detach(&audio->microphone.heard);
}

static int update(struct record_channel *r)
{
    int err = 0;

    if (!r->rate || !is_permitted(r))
        end(r);
    else if (!r->open)
        err = begin(r);
    show(r);
    return err;
}

void record_channel_permit(struct channel *c)
{
    if (update(to_record(c)))
        log_info("nothing can be recorded: %s", fail_text());
}

/* --- what the server says --- */

static int handle_start(struct channel *c, const void *msg)
{
    const struct spice_msg_record_start *m = msg;
    struct record_channel *r = to_record(c);

    if (m->format != SPICE_AUDIO_FMT_S16 || m->channels < 1 || m->channels > 2 || m->frequency < LOWEST_RATE ||
        m->frequency > HIGHEST_RATE)
        return fail(-EBADMSG, "to record format %u, %u channels, %u Hz is not possible", m->format, m->channels,
                    m->frequency);
    end(r);
    r->channels = m->channels;
    r->rate = m->frequency;
    if (c->session->audio->permission == MICROPHONE_ASK && c->session->options->headless)
        log_info("the guest records; it hears nothing without --microphone on");
    return update(r);
}

static int handle_stop(struct channel *c, const void *msg UNUSED)
{
    to_record(c)->rate = 0;
    return update(to_record(c));
}

static int handle_volume(struct channel *c, const void *msg)
{
    const struct spice_msg_sound_volume *m = msg;

    gain_volume(&c->session->audio->microphone.gain, m->volume, m->count);
    return 0;
}

static int handle_mute(struct channel *c, const void *msg)
{
    gain_mute(&c->session->audio->microphone.gain, ((const struct spice_msg_sound_mute *)msg)->mute);
    return 0;
}

static const struct channel_handler handlers[] = {
    {SPICE_MSG_RECORD_START, handle_start},
    {SPICE_MSG_RECORD_STOP, handle_stop},
    {SPICE_MSG_RECORD_VOLUME, handle_volume},
    {SPICE_MSG_RECORD_MUTE, handle_mute},
};

static void record_close(struct channel *c)
{
    struct record_channel *r = to_record(c);

    r->rate = 0;
    end(r);
    r->stats.lost += c->session->audio->microphone.lost;
    show(r);
}

static void record_destroy(struct channel *c)
{
    sound_encoder_destroy(to_record(c)->opus);
    channel_fini(c);
    free(to_record(c));
}

static const struct channel_ops ops = {
    .type = SPICE_CHANNEL_RECORD,
    .caps = 1u << SPICE_RECORD_CAP_VOLUME | 1u << SPICE_RECORD_CAP_OPUS,
    .tables = {{handlers, ARRAY_SIZE(handlers)}},
    .close = record_close,
    .destroy = record_destroy,
};

int record_channel_open(struct session *s, uint8_t id, struct channel **channel)
{
    struct record_channel *r = calloc(1, sizeof(*r));
    int err = r ? channel_connect(&r->base, s, &ops, id, -1) : -ENOMEM;

    if (err)
        free(r);
    else
        *channel = &r->base;
    return err;
}

const struct record_stats *record_channel_stats(const struct channel *c)
{
    return &container_of(c, struct record_channel, base)->stats;
}
