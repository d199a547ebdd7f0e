/*
 * pcm.h - samples as a guest has them, to and from the seam's (backend/sound.h).
 *
 * A guest's frame has any number of channels, each sample in a container of 1, 2 or 4 bytes, little-endian, the significant
 * bits on top. 8 bits are unsigned.
 */
#ifndef DEVICES_AUDIO_PCM_H
#define DEVICES_AUDIO_PCM_H

#include "base/base.h"

struct pcm {
    uint32_t rate;
    uint8_t bytes;    /* of a sample: 1, 2, 4 */
    uint8_t channels; /* 1..16 */
};

static inline size_t pcm_frame(const struct pcm *pcm)
{
    return (size_t)pcm->bytes * pcm->channels;
}

/* `count` channels from `first` on; what the guest's frames have not is silence, or is dropped. */
void pcm_to_samples(const struct pcm *pcm, unsigned first, const uint8_t *data, size_t frames, int16_t *samples,
                    unsigned count);
void pcm_from_samples(const struct pcm *pcm, unsigned first, uint8_t *data, size_t frames, const int16_t *samples,
                      unsigned count);

#endif
