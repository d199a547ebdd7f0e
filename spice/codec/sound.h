/*
 * sound.h - sound to bytes and back: Opus packets as the SPICE channels of sound carry them.
 *
 * Samples are signed 16 bits, in the host's byte order, interleaved, at SOUND_OPUS_RATE. A packet that we make holds
 * SOUND_OPUS_FRAMES frames: spice-gtk and libspice-server decode none that is longer. What a peer sends may hold
 * anything. Raw samples (SPICE_AUDIO_DATA_MODE_RAW) are little-endian.
 *
 * Thread: any, one at a time for each object.
 */
#ifndef SPICE_CODEC_SOUND_H
#define SPICE_CODEC_SOUND_H

#include "base/base.h"

#define SOUND_OPUS_RATE         48000
#define SOUND_OPUS_FRAMES       480 /* 10 ms */
#define SOUND_OPUS_MAX_PACKET   480 /* bytes that we make of one; what peers reserve for it */
#define SOUND_OPUS_MAX_DECODED  5760 /* frames of one packet, RFC 6716, 2.1.4: 120 ms */

enum sound_profile {
    SOUND_MUSIC,       /* what the guest plays */
    SOUND_LOW_LATENCY, /* no look-ahead for the model of speech: 5 ms less */
};

struct sound_encoder;
struct sound_decoder;

/* channels 1..2. 0 or -errno. */
int sound_encoder_create(struct sound_encoder **encoder, unsigned channels, enum sound_profile profile);
void sound_encoder_destroy(struct sound_encoder *encoder); /* NULL is fine */
/* SOUND_OPUS_FRAMES frames into at most SOUND_OPUS_MAX_PACKET bytes. Returns how many, or -errno. */
int sound_encode(struct sound_encoder *encoder, const int16_t *samples, uint8_t packet[SOUND_OPUS_MAX_PACKET]);
/* Forget what was heard before: the next packet begins a stream. */
void sound_encoder_reset(struct sound_encoder *encoder);

int sound_decoder_create(struct sound_decoder **decoder, unsigned channels);
void sound_decoder_destroy(struct sound_decoder *decoder); /* NULL is fine */
/*
 * One packet, which may be anything, into at most max_frames frames (SOUND_OPUS_MAX_DECODED always suffice). Returns how
 * many, or -EBADMSG.
 */
int sound_decode(struct sound_decoder *decoder, const void *packet, size_t size, int16_t *samples, size_t max_frames);
/* A packet is missing: max_frames frames (a multiple of 2.5 ms) that go on from what was heard. Returns how many. */
int sound_conceal(struct sound_decoder *decoder, int16_t *samples, size_t max_frames);
void sound_decoder_reset(struct sound_decoder *decoder);

/* `count` samples, raw as they are on the wire. */
void sound_load_raw(int16_t *samples, const uint8_t *raw, size_t count);
void sound_store_raw(uint8_t *raw, const int16_t *samples, size_t count);

#endif
