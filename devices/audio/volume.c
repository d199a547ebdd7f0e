#include "devices/audio/volume.h"

#include <math.h>

uint16_t volume_of_decibels(double decibels)
{
    double gain = pow(10, decibels / 20);

    return gain >= 1 ? UINT16_MAX : (uint16_t)lround(UINT16_MAX * cbrt(gain));
}

uint16_t volume_of_steps(unsigned steps)
{
    return volume_of_decibels(steps < VOLUME_STEPS ? (double)steps - VOLUME_STEPS : 0);
}
