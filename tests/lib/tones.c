#include "tests/lib/tones.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define QUIET (TONE_LEVEL / 50)

static double hertz_of(unsigned channel)
{
    return channel ? TONE_RIGHT : TONE_LEFT;
}

void tones_make(int16_t *samples, unsigned channels, unsigned rate, uint64_t at, size_t frames)
{
    for (size_t i = 0; i < frames; i++)
        for (unsigned c = 0; c < channels; c++)
            samples[i * channels + c] = (int16_t)lrint(TONE_LEVEL * sin(2 * M_PI * hertz_of(c) * (double)(at + i) / rate));
}

double tones_level(const int16_t *samples, unsigned step, unsigned rate, size_t frames, double hertz)
{
    double re = 0, im = 0;

    for (size_t i = 0; i < frames; i++) {
        double phase = 2 * M_PI * hertz * (double)i / rate;

        re += samples[i * step] * cos(phase);
        im += samples[i * step] * sin(phase);
    }
    return 2 * hypot(re, im) / (double)frames;
}

/* Of everything. */
static double power(const int16_t *samples, unsigned step, size_t frames)
{
    double sum = 0;

    for (size_t i = 0; i < frames; i++)
        sum += (double)samples[i * step] * samples[i * step];
    return sum / (double)frames;
}

bool tones_are(const int16_t *samples, unsigned channels, unsigned rate, size_t frames)
{
    bool good = true;

    for (unsigned c = 0; c < channels; c++) {
        double level = tones_level(samples + c, channels, rate, frames, hertz_of(c));
        double rest = sqrt(2 * fabs(power(samples + c, channels, frames) - level * level / 2));

        if (fabs(level - TONE_LEVEL) < TONE_LEVEL / 10 && rest < TONE_LEVEL / 10)
            continue;
        fprintf(stderr, "channel %u of %u at %u Hz: %.0f of %.0f Hz, %.0f of the rest, where %.0f are to be\n", c, channels,
                rate, level, hertz_of(c), rest, TONE_LEVEL);
        good = false;
    }
    return good;
}

size_t tones_gap(const int16_t *samples, unsigned channels, size_t frames)
{
    size_t longest = 0, now = 0;

    for (size_t i = 0; i < frames; i++) {
        bool quiet = true;

        for (unsigned c = 0; c < channels; c++)
            quiet &= abs(samples[i * channels + c]) < QUIET;
        now = quiet ? now + 1 : 0;
        longest = MAX(longest, now);
    }
    return longest;
}
