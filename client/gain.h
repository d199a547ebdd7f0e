/*
 * gain.h - the volume that a guest's mixer has set, applied to stereo frames.
 *
 * Volumes are cubic, as spice-gtk's and most desktops' are: at half of the scale there is an eighth of the amplitude. A
 * change is a ramp, so that it is no click. Thread: any, one at a time.
 */
#ifndef CLIENT_GAIN_H
#define CLIENT_GAIN_H

#include "base/base.h"

struct gain {
    float now[2], wanted[2], volume[2];
    bool mute;
};

void gain_init(struct gain *g);                                       /* full */
void gain_volume(struct gain *g, const uint16_t *volume, unsigned count); /* 0..65535 of each channel; mono is both */
void gain_mute(struct gain *g, bool mute);
void gain_apply(struct gain *g, int16_t (*frames)[2], unsigned count, uint32_t rate);

#endif
