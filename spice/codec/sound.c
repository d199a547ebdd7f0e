/* Opus, by libopus; and samples as they are. */
#include "spice/codec/sound.h"

#include "base/bytes.h"

#include <errno.h>
#include <opus.h>
#include <stdlib.h>

/*
 * Where a stereo stream needs no more to be transparent for most ears; silence and quiet take less, the rate varies.
 * libspice-server leaves it to libopus, which takes 96 kbit/s for stereo with these packets.
 */
#define BITS_PER_CHANNEL 48000

struct sound_encoder {
    OpusEncoder *opus;
};

struct sound_decoder {
    OpusDecoder *opus;
};

static int encoder_settings(OpusEncoder *opus, unsigned channels)
{
    int err = opus_encoder_ctl(opus, OPUS_SET_BITRATE(BITS_PER_CHANNEL * (int)channels));

    /* A guest's sounds may be anything, and all of the band. */
    if (!err)
        err = opus_encoder_ctl(opus, OPUS_SET_SIGNAL(OPUS_SIGNAL_MUSIC));
    return err;
}

int sound_encoder_create(struct sound_encoder **encoder, unsigned channels, enum sound_profile profile)
{
    struct sound_encoder *e = calloc(1, sizeof *e);
    int application = profile == SOUND_LOW_LATENCY ? OPUS_APPLICATION_RESTRICTED_LOWDELAY : OPUS_APPLICATION_AUDIO;
    int err = 0;

    *encoder = NULL;
    if (!e)
        return -ENOMEM;
    e->opus = opus_encoder_create(SOUND_OPUS_RATE, (int)channels, application, &err);
    if (!e->opus || encoder_settings(e->opus, channels)) {
        sound_encoder_destroy(e);
        return err == OPUS_ALLOC_FAIL ? -ENOMEM : -EINVAL;
    }
    *encoder = e;
    return 0;
}

void sound_encoder_destroy(struct sound_encoder *encoder)
{
    if (!encoder)
        return;
    if (encoder->opus)
        opus_encoder_destroy(encoder->opus);
    free(encoder);
}

int sound_encode(struct sound_encoder *encoder, const int16_t *samples, uint8_t packet[SOUND_OPUS_MAX_PACKET])
{
    opus_int32 size = opus_encode(encoder->opus, samples, SOUND_OPUS_FRAMES, packet, SOUND_OPUS_MAX_PACKET);

    return size > 0 ? (int)size : -EIO;
}

void sound_encoder_reset(struct sound_encoder *encoder)
{
    opus_encoder_ctl(encoder->opus, OPUS_RESET_STATE);
}

int sound_decoder_create(struct sound_decoder **decoder, unsigned channels)
{
    struct sound_decoder *d = calloc(1, sizeof *d);
    int err = 0;

    *decoder = NULL;
    if (!d)
        return -ENOMEM;
    d->opus = opus_decoder_create(SOUND_OPUS_RATE, (int)channels, &err);
    if (!d->opus) {
        sound_decoder_destroy(d);
        return err == OPUS_ALLOC_FAIL ? -ENOMEM : -EINVAL;
    }
    *decoder = d;
    return 0;
}

void sound_decoder_destroy(struct sound_decoder *decoder)
{
    if (!decoder)
        return;
    if (decoder->opus)
        opus_decoder_destroy(decoder->opus);
    free(decoder);
}

int sound_decode(struct sound_decoder *decoder, const void *packet, size_t size, int16_t *samples, size_t max_frames)
{
    int frames;

    /* Size 0 is libopus's way to ask for concealment. */
    if (size == 0 || size > INT32_MAX || max_frames > SOUND_OPUS_MAX_DECODED)
        return -EBADMSG;
    frames = opus_decode(decoder->opus, packet, (opus_int32)size, samples, (int)max_frames, 0);
    return frames > 0 ? frames : -EBADMSG;
}

int sound_conceal(struct sound_decoder *decoder, int16_t *samples, size_t max_frames)
{
    int frames = opus_decode(decoder->opus, NULL, 0, samples, (int)max_frames, 0);

    return frames > 0 ? frames : 0;
}

void sound_decoder_reset(struct sound_decoder *decoder)
{
    opus_decoder_ctl(decoder->opus, OPUS_RESET_STATE);
}

void sound_load_raw(int16_t *samples, const uint8_t *raw, size_t count)
{
    for (size_t i = 0; i < count; i++)
        samples[i] = (int16_t)load_le16(raw + 2 * i);
}

void sound_store_raw(uint8_t *raw, const int16_t *samples, size_t count)
{
    for (size_t i = 0; i < count; i++)
        store_le16(raw + 2 * i, (uint16_t)samples[i]);
}
