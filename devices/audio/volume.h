/*
 * volume.h - an amplifier's decibels on the seam's scale (backend/sound.h).
 */
#ifndef DEVICES_AUDIO_VOLUME_H
#define DEVICES_AUDIO_VOLUME_H

#include <stdint.h>

#define VOLUME_STEPS 74 /* of 1 dB each, the lowest is -74 dB */

/* decibels <= 0 */
uint16_t volume_of_decibels(double decibels);
/* steps 0..VOLUME_STEPS; more is the same as VOLUME_STEPS */
uint16_t volume_of_steps(unsigned steps);

#endif
