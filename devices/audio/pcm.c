#include "devices/audio/pcm.h"

#include "base/bytes.h"

#include <string.h>

static int16_t load_sample(const uint8_t *p, unsigned bytes)
{
    switch (bytes) {
    case 1:
        return (int16_t)((*p - 128) * 256);
    case 2:
        return (int16_t)load_le16(p);
    default:
        return (int16_t)load_le16(p + 2);
    }
}

static void store_sample(uint8_t *p, unsigned bytes, int16_t sample)
{
    switch (bytes) {
    case 1:
        *p = (uint8_t)((sample >> 8) + 128);
        break;
    case 2:
        store_le16(p, (uint16_t)sample);
        break;
    default:
        store_le32(p, (uint32_t)(uint16_t)sample << 16);
    }
}

void pcm_to_samples(const struct pcm *pcm, unsigned first, const uint8_t *data, size_t frames, int16_t *samples,
                    unsigned count)
{
    for (size_t f = 0; f < frames; f++, data += pcm_frame(pcm), samples += count)
        for (unsigned c = 0; c < count; c++)
            samples[c] = first + c < pcm->channels ? load_sample(data + (first + c) * pcm->bytes, pcm->bytes) : 0;
}

void pcm_from_samples(const struct pcm *pcm, unsigned first, uint8_t *data, size_t frames, const int16_t *samples,
                      unsigned count)
{
    for (size_t f = 0; f < frames; f++, data += pcm_frame(pcm), samples += count)
        for (unsigned c = 0; c < pcm->channels; c++)
            store_sample(data + c * pcm->bytes, pcm->bytes, c >= first && c - first < count ? samples[c - first] : 0);
}
