/*
 * playback_channel.h - what a guest plays, as packets of 10 ms, and the channels of those who hear it.
 *
 * The packets are made once, and the last ones are kept for all: each client goes through them at its pace. Whoever is not
 * ready for long goes on with what is not old yet, so that nobody's sound is late for ever, or stalls anything.
 *
 * Thread: the main loop.
 */
#ifndef SPICE_SERVER_PLAYBACK_CHANNEL_H
#define SPICE_SERVER_PLAYBACK_CHANNEL_H

#include "backend/sound.h"
#include "spice/server/channel.h"

struct playback;

/* NULL without memory. */
struct playback *playback_create(struct loop *loop, bool compress);
/* Its channels were closed. NULL is fine. */
void playback_destroy(struct playback *p);
struct channel_list *playback_channels(struct playback *p);
void playback_adopt(struct playback *p, const struct channel_params *params);
/* It is live, and starts anew. */
void playback_arrive(struct channel *ch);

/* As struct sound_end_ops has them. */
void playback_run(struct playback *p, const struct sound_format *format);
void playback_play(struct playback *p, const int16_t *samples, size_t frames);
void playback_set_volume(struct playback *p, const struct sound_volume *volume);

#endif
