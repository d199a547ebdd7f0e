#include "devices/audio/ac97_mixer.h"

#include "devices/audio/volume.h"

#include <string.h>

enum {
    RESET = 0x00,
    MASTER = 0x02,
    MIC = 0x0e,
    LINE_IN = 0x10,
    CD = 0x12,
    PCM_OUT = 0x18,
    SELECT = 0x1a,
    GAIN = 0x1c,
    GAIN_MIC = 0x1e,
    POWER = 0x26,
    EXTENDED_ID = 0x28,
    EXTENDED = 0x2a,
    VENDOR_1 = 0x7c,
    VENDOR_2 = 0x7e,
};

#define MUTE 0x8000
/* EXTENDED_ID: what there is; EXTENDED: what is on. Variable rates; also for the microphone. */
#define VRA 0x1
#define VRM 0x8
#define FIXED_RATE 48000
#define LEAST_RATE 8000

/* What the standard wants, and nothing that would do nothing. The identity is SigmaTel's STAC9700, which all systems know. */
static const struct {
    uint8_t offset;
    uint16_t reset, writable;
} registers[] = {
    {MASTER, MUTE, 0x9f1f},
    {MIC, MUTE | 0x08, 0x805f},
    {LINE_IN, MUTE | 0x0808, 0x9f1f},
    {CD, MUTE | 0x0808, 0x9f1f},
    {PCM_OUT, MUTE | 0x0808, 0x9f1f},
    {SELECT, 0, 0x0707},
    {GAIN, MUTE, 0x8f0f},
    {GAIN_MIC, MUTE, 0x800f},
    {POWER, 0, 0xff00},
    {EXTENDED_ID, VRA | VRM, 0},
    {EXTENDED, 0, VRA | VRM},
    {AC97_DAC_RATE, FIXED_RATE, 0xffff},
    {AC97_ADC_RATE, FIXED_RATE, 0xffff},
    {AC97_MIC_RATE, FIXED_RATE, 0xffff},
    {VENDOR_1, 0x8384, 0},
    {VENDOR_2, 0x7600, 0},
};

static uint16_t *at(struct ac97_mixer *m, unsigned offset)
{
    return &m->registers[offset / 2];
}

static uint16_t value_of(const struct ac97_mixer *m, unsigned offset)
{
    return m->registers[offset / 2];
}

void ac97_mixer_reset(struct ac97_mixer *m)
{
    memset(m, 0, sizeof(*m));
    for (size_t i = 0; i < ARRAY_SIZE(registers); i++)
        *at(m, registers[i].offset) = registers[i].reset;
}

/* Rates are fixed where they are not variable, and within what the codec can do. */
static void settle_rates(struct ac97_mixer *m)
{
    static const struct {
        uint8_t offset, enable;
    } rates[] = {{AC97_DAC_RATE, VRA}, {AC97_ADC_RATE, VRA}, {AC97_MIC_RATE, VRM}};

    for (size_t i = 0; i < ARRAY_SIZE(rates); i++) {
        uint16_t *rate = at(m, rates[i].offset);

        *rate = value_of(m, EXTENDED) & rates[i].enable ? (uint16_t)MAX(MIN(*rate, FIXED_RATE), LEAST_RATE) : FIXED_RATE;
    }
}

/* 5.7.11: what is not powered down is ready: ADC, DAC, mixer, reference. */
static uint16_t power(uint16_t down)
{
    uint16_t pr = down >> 8, away = (pr & 3) | (pr & 0xc ? 4 : 0) | (pr & 8);

    return down | (0xf & (uint16_t)~away);
}

uint16_t ac97_mixer_read(const struct ac97_mixer *m, unsigned offset)
{
    if (offset >= AC97_MIXER_SIZE)
        return 0;
    return offset == POWER ? power(value_of(m, POWER)) : value_of(m, offset);
}

void ac97_mixer_write(struct ac97_mixer *m, unsigned offset, uint16_t value)
{
    if (offset == RESET)
        ac97_mixer_reset(m);
    for (size_t i = 0; i < ARRAY_SIZE(registers); i++)
        if (registers[i].offset == offset)
            *at(m, offset) = (uint16_t)((value & registers[i].writable) | (registers[i].reset & ~registers[i].writable));
    settle_rates(m);
}

uint32_t ac97_mixer_rate(const struct ac97_mixer *m, unsigned offset)
{
    return value_of(m, offset);
}

/* Steps of 1.5 dB, of the left (0) or right channel. */
static double decibels(uint16_t value, unsigned channel)
{
    return 1.5 * (channel ? value & 0x1f : value >> 8 & 0x1f);
}

/* Steps of PCM out begin at +12 dB; the sum is not more than what was played. An input is not amplified. */
struct sound_volume ac97_mixer_volume(const struct ac97_mixer *m, enum sound_direction direction)
{
    uint16_t master = value_of(m, MASTER), pcm = value_of(m, PCM_OUT);
    struct sound_volume v = {.level = {UINT16_MAX, UINT16_MAX}, .mute = value_of(m, GAIN) & MUTE};

    if (direction == SOUND_RECORD)
        return v;
    v.mute = (master | pcm) & MUTE;
    for (unsigned c = 0; c < SOUND_MAX_CHANNELS; c++)
        v.level[c] = volume_of_decibels(MIN(12 - decibels(pcm, c) - decibels(master, c), 0));
    return v;
}

void ac97_mixer_save(const struct ac97_mixer *m, struct writer *w)
{
    for (size_t i = 0; i < ARRAY_SIZE(registers); i++)
        writer_u16(w, value_of(m, registers[i].offset));
}

void ac97_mixer_load(struct ac97_mixer *m, struct reader *r)
{
    ac97_mixer_reset(m);
    for (size_t i = 0; i < ARRAY_SIZE(registers); i++)
        *at(m, registers[i].offset) = (uint16_t)((reader_u16(r) & registers[i].writable) |
                                                 (registers[i].reset & ~registers[i].writable));
    settle_rates(m);
}
