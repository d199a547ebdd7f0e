/*
 * ac97_mixer.h - the codec's registers (AC'97 2.3, 5.7): volumes, rates, power. They say what is so; the card acts on it.
 *
 * Thread: under the device lock.
 */
#ifndef DEVICES_AUDIO_AC97_MIXER_H
#define DEVICES_AUDIO_AC97_MIXER_H

#include "backend/sound.h"
#include "base/bytes.h"

#define AC97_MIXER_SIZE 0x80

/* Offsets of the rates, which ac97_mixer_rate() takes. */
enum { AC97_DAC_RATE = 0x2c, AC97_ADC_RATE = 0x32, AC97_MIC_RATE = 0x34 };

struct ac97_mixer {
    uint16_t registers[AC97_MIXER_SIZE / 2];
};

void ac97_mixer_reset(struct ac97_mixer *m);
/* Offsets are even; what is not there reads 0. */
uint16_t ac97_mixer_read(const struct ac97_mixer *m, unsigned offset);
void ac97_mixer_write(struct ac97_mixer *m, unsigned offset, uint16_t value);
/* 8000..48000 */
uint32_t ac97_mixer_rate(const struct ac97_mixer *m, unsigned offset);
struct sound_volume ac97_mixer_volume(const struct ac97_mixer *m, enum sound_direction direction);
void ac97_mixer_save(const struct ac97_mixer *m, struct writer *w);
void ac97_mixer_load(struct ac97_mixer *m, struct reader *r);

#endif
