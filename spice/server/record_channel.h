/*
 * record_channel.h - what clients speak: all are asked to while the guest records, and the first that does is heard, until it
 * is silent or gone.
 *
 * Thread: the main loop.
 */
#ifndef SPICE_SERVER_RECORD_CHANNEL_H
#define SPICE_SERVER_RECORD_CHANNEL_H

#include "backend/sound.h"
#include "spice/server/channel.h"

struct record;

/* NULL without memory. */
struct record *record_create(struct loop *loop);
/* Its channels were closed. NULL is fine. */
void record_destroy(struct record *r);
struct channel_list *record_channels(struct record *r);
void record_adopt(struct record *r, const struct channel_params *params);
/* It is live, and starts anew. */
void record_arrive(struct channel *ch);

/* As struct sound_end_ops has them. */
void record_run(struct record *r, const struct sound_format *format);
size_t record_take(struct record *r, int16_t *samples, size_t frames);
void record_set_volume(struct record *r, const struct sound_volume *volume);

#endif
