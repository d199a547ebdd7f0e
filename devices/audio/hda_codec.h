/*
 * hda_codec.h - a codec of two converters and two pins at most (HD Audio 1.0a, 7).
 *
 * It answers verbs. What follows from them, which stream a converter listens to and how loud it is, the controller reads.
 * Thread: under the device lock.
 */
#ifndef DEVICES_AUDIO_HDA_CODEC_H
#define DEVICES_AUDIO_HDA_CODEC_H

#include "backend/sound.h"
#include "base/bytes.h"
#include "devices/audio/hda.h"

#define HDA_MAX_NODES 6

/* What verbs set of a node. */
struct hda_node_state {
    uint16_t format;       /* of a converter: as SDnFMT */
    uint8_t stream;        /* tag in bits 7:4 (0: none), lowest channel in 3:0 */
    uint8_t gain[SOUND_MAX_CHANNELS]; /* steps in 6:0, mute in 7 */
    uint8_t pin_control;
    uint8_t power;
    uint8_t unsolicited;
    uint8_t eapd;
    uint32_t pin_default;
};

struct hda_codec {
    const struct hda_model *model;
    uint32_t subsystem;
    struct hda_node_state nodes[HDA_MAX_NODES];
};

void hda_codec_init(struct hda_codec *codec, enum hda_codec_kind kind);
/* As its function group's reset leaves it. */
void hda_codec_reset(struct hda_codec *codec);
/* A verb without the codec's address: node 27:20, verb and payload 19:0. Returns the response; 0 to what it does not know. */
uint32_t hda_codec_verb(struct hda_codec *codec, uint32_t verb);

/* The converter of a direction: the stream tag it listens to (0: none), and its lowest channel. */
unsigned hda_codec_stream(const struct hda_codec *codec, enum sound_direction direction, unsigned *channel);
/* How loud it is; silent while its pin is switched off. */
struct sound_volume hda_codec_volume(const struct hda_codec *codec, enum sound_direction direction);

void hda_codec_save(const struct hda_codec *codec, struct writer *w);
void hda_codec_load(struct hda_codec *codec, struct reader *r);

#endif
