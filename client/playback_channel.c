#include "client/playback_channel.h"

#include "base/error.h"
#include "base/log.h"
#include "client/audio.h"
#include "client/session.h"
#include "spice/codec/sound.h"

#include <errno.h>
#include <stdlib.h>

struct playback_channel {
    struct channel base;
    uint16_t mode;              /* SPICE_AUDIO_DATA_MODE_* */
    uint32_t channels, rate;    /* of the stream; 0: it does not run */
    struct sound_decoder *opus; /* of so many channels: */
    uint32_t opus_channels;
    size_t opus_frames; /* of the last packet */
    bool complained;
    struct playback_stats stats;
    int16_t samples[2 * SOUND_OPUS_MAX_DECODED];
};

static struct playback_channel *to_playback(struct channel *c)
{
    return container_of(c, struct playback_channel, base);
}

static int need_decoder(struct playback_channel *p)
{
    int err;

    if (p->opus && p->opus_channels == p->channels) {
        sound_decoder_reset(p->opus);
        return 0;
    }
    sound_decoder_destroy(p->opus);
    p->opus_channels = p->channels;
    err = sound_decoder_create(&p->opus, p->channels);
    return err ? fail(err, "no decoder for Opus") : 0;
}

/* A stream begins, or its mode is another one from here on. */
static int begin(struct playback_channel *p)
{
    bool opus = p->mode == SPICE_AUDIO_DATA_MODE_OPUS;
    uint32_t rate = opus ? SOUND_OPUS_RATE : p->rate;
    int err = opus ? need_decoder(p) : 0;

    p->opus_frames = SOUND_OPUS_FRAMES;
    if (!err)
        err = speaker_start(&p->base.session->audio->speaker, rate);
    if (!err)
        audio_play(p->base.session->audio, true, rate);
    return err;
}

static int handle_mode(struct channel *c, const void *msg)
{
    const struct spice_msg_sound_mode *m = msg;
    struct playback_channel *p = to_playback(c);

    if (m->mode != SPICE_AUDIO_DATA_MODE_RAW && m->mode != SPICE_AUDIO_DATA_MODE_OPUS)
        return fail(-EBADMSG, "mode %u of sound was not asked for", m->mode);
    if (m->mode == p->mode)
        return 0;
    p->mode = m->mode;
    return p->rate ? begin(p) : 0;
}

static int handle_start(struct channel *c, const void *msg)
{
    const struct spice_msg_playback_start *m = msg;
    struct playback_channel *p = to_playback(c);

    if (m->format != SPICE_AUDIO_FMT_S16 || m->channels < 1 || m->channels > 2 || m->frequency < JITTER_LOWEST_RATE ||
        m->frequency > JITTER_HIGHEST_RATE)
        return fail(-EBADMSG, "sound of format %u, %u channels, %u Hz is not possible", m->format, m->channels,
                    m->frequency);
    p->channels = m->channels;
    p->rate = m->frequency;
    c->session->sounding = true;
    return begin(p);
}

static void end(struct channel *c)
{
    struct playback_channel *p = to_playback(c);

    if (!p->rate)
        return;
    p->rate = 0;
    c->session->sounding = false;
    speaker_end(&c->session->audio->speaker);
    audio_play(c->session->audio, false, 0);
}

static int handle_stop(struct channel *c, const void *msg UNUSED)
{
    end(c);
    return 0;
}

/* Frames in p->samples. */
static size_t decode_opus(struct playback_channel *p, const struct spice_msg_sound_packet *m)
{
    int frames = sound_decode(p->opus, m->data, m->size, p->samples, SOUND_OPUS_MAX_DECODED);

    if (frames > 0)
        return p->opus_frames = (size_t)frames;
    p->stats.bad++;
    if (!p->complained)
        log_warn("a packet of sound, %u bytes, is no Opus; that is said only once", m->size);
    p->complained = true;
    return (size_t)sound_conceal(p->opus, p->samples, p->opus_frames);
}

static size_t copy_raw(struct playback_channel *p, const uint8_t *data, size_t frames)
{
    frames = MIN(frames, ARRAY_SIZE(p->samples) / p->channels);
    sound_load_raw(p->samples, data, frames * p->channels);
    return frames;
}

/* Returns the frames of the packet; *delay: seconds until its end is heard. */
static size_t play(struct playback_channel *p, const struct spice_msg_sound_packet *m, double *delay)
{
    struct speaker *speaker = &p->base.session->audio->speaker;
    size_t frame_size = 2 * p->channels, frames, n = 0;
    uint64_t now = now_ns();

    if (p->mode == SPICE_AUDIO_DATA_MODE_OPUS) {
        frames = decode_opus(p, m);
        *delay = speaker_push(speaker, p->samples, p->channels, frames, now);
        return frames;
    }
    frames = m->size / frame_size;
    p->stats.bad += m->size % frame_size != 0 || !frames;
    for (size_t done = 0; done < frames; done += n) {
        n = copy_raw(p, m->data + done * frame_size, frames - done);
        *delay = speaker_push(speaker, p->samples, p->channels, n, now);
    }
    return frames;
}

static int handle_data(struct channel *c, const void *msg)
{
    const struct spice_msg_sound_packet *m = msg;
    struct playback_channel *p = to_playback(c);
    double delay = 0, length;
    size_t frames;

    if (!p->rate)
        return 0; /* of a stream that has ended */
    p->stats.packets++;
    frames = play(p, m, &delay);
    if (!frames)
        return 0;
    length = (double)frames / (p->mode == SPICE_AUDIO_DATA_MODE_OPUS ? SOUND_OPUS_RATE : p->rate);
    p->stats.delay_ms = delay * 1000;
    session_heard(c->session, m->time + (uint32_t)(int32_t)((length - delay) * 1000));
    return 0;
}

static int handle_volume(struct channel *c, const void *msg)
{
    const struct spice_msg_sound_volume *m = msg;

    speaker_volume(&c->session->audio->speaker, m->volume, m->count);
    return 0;
}

static int handle_mute(struct channel *c, const void *msg)
{
    speaker_mute(&c->session->audio->speaker, ((const struct spice_msg_sound_mute *)msg)->mute);
    return 0;
}

static int handle_latency(struct channel *c, const void *msg)
{
    speaker_set_least(&c->session->audio->speaker, ((const struct spice_msg_playback_latency *)msg)->latency_ms);
    return 0;
}

static const struct channel_handler handlers[] = {
    {SPICE_MSG_PLAYBACK_DATA, handle_data},     {SPICE_MSG_PLAYBACK_MODE, handle_mode},
    {SPICE_MSG_PLAYBACK_START, handle_start},   {SPICE_MSG_PLAYBACK_STOP, handle_stop},
    {SPICE_MSG_PLAYBACK_VOLUME, handle_volume}, {SPICE_MSG_PLAYBACK_MUTE, handle_mute},
    {SPICE_MSG_PLAYBACK_LATENCY, handle_latency},
};

static void playback_close(struct channel *c)
{
    end(c);
    speaker_stats(&c->session->audio->speaker, &to_playback(c)->stats.buffer);
}

static void playback_destroy(struct channel *c)
{
    sound_decoder_destroy(to_playback(c)->opus);
    channel_fini(c);
    free(to_playback(c));
}

static const struct channel_ops ops = {
    .type = SPICE_CHANNEL_PLAYBACK,
    .caps = 1u << SPICE_PLAYBACK_CAP_VOLUME | 1u << SPICE_PLAYBACK_CAP_LATENCY | 1u << SPICE_PLAYBACK_CAP_OPUS,
    .tables = {{handlers, ARRAY_SIZE(handlers)}},
    .close = playback_close,
    .destroy = playback_destroy,
};

int playback_channel_open(struct session *s, uint8_t id, struct channel **channel)
{
    struct playback_channel *p = calloc(1, sizeof(*p));
    int err = p ? channel_connect(&p->base, s, &ops, id, -1) : -ENOMEM;

    if (err) {
        free(p);
        return err;
    }
    p->mode = SPICE_AUDIO_DATA_MODE_RAW;
    *channel = &p->base;
    return 0;
}

const struct playback_stats *playback_channel_stats(const struct channel *c)
{
    return &container_of(c, struct playback_channel, base)->stats;
}
