/* tones.h - two tones, one of each channel, and how much of a tone there is in sound that came. Any thread. */
#ifndef TESTS_LIB_TONES_H
#define TESTS_LIB_TONES_H

#include "base/base.h"

#define TONE_LEFT  440.0  /* Hz */
#define TONE_RIGHT 1000.0 /* Hz; of the second channel, if there is one */
#define TONE_LEVEL 10000.0 /* peak */

/* Frames of both tones, from the frame number `at` of an endless stream. */
void tones_make(int16_t *samples, unsigned channels, unsigned rate, uint64_t at, size_t frames);
/* The level (peak) of a tone in samples that are `step` apart. */
double tones_level(const int16_t *samples, unsigned step, unsigned rate, size_t frames, double hertz);
/*
 * Whether the tone of its channel, of about TONE_LEVEL, is all that is heard there: within a tenth of the level, and less
 * than that of anything else. Says what is not so.
 */
bool tones_are(const int16_t *samples, unsigned channels, unsigned rate, size_t frames);
/* Frames of the longest part in which a sine of this level would have moved, and nothing does: a gap. */
size_t tones_gap(const int16_t *samples, unsigned channels, size_t frames);

#endif
