/*
 * splice.h - sound made shorter or longer by whole periods of itself, with a cross-fade: what it sounds like stays, pitch
 * too, only its length changes.
 *
 * Frames are stereo, 16 bits, in one piece of memory. Thread: any.
 */
#ifndef SPICE_SOUND_SPLICE_H
#define SPICE_SOUND_SPLICE_H

#include "base/base.h"

/*
 * By how many frames (least..most) a piece of `length` frames at x must be moved on so that it looks most like itself; all up
 * to x + length + most is there. *unlike: 0, it is the same, to 1 and more, it is something else.
 */
unsigned splice_period(const int16_t (*x)[2], unsigned length, unsigned least, unsigned most, float *unlike);
/* to: from what `from` is to what `to` was. They may overlap if `to` is before `from`, or they are far apart. */
void splice_fade(int16_t (*to)[2], const int16_t (*from)[2], unsigned frames);

#endif
