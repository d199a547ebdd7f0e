/*
 * sound.h - the seam between a sound card and whoever hears or speaks: the SPICE server, a WAV file, a test.
 *
 * Samples are signed 16 bits, in the host's byte order, interleaved; a frame is one sample of each channel. The card
 * keeps the time: while a stream runs it hands on, or asks for, as many frames as its clock says. The other ends never
 * block and never stall it: what nobody hears is dropped, what nobody speaks is silence.
 *
 * Thread: the loop that sound_init() was given.
 */
#ifndef BACKEND_SOUND_H
#define BACKEND_SOUND_H

#include "base/loop.h"

#include <string.h>
#include <sys/queue.h>

#define SOUND_MAX_CHANNELS 2
#define SOUND_MAX_RATE     192000
#define SOUND_MAX_FRAMES   4096 /* of one call */

enum sound_direction {
    SOUND_PLAYBACK, /* from the guest */
    SOUND_RECORD,   /* to the guest */
    SOUND_DIRECTIONS,
};

struct sound_format {
    uint32_t rate;     /* frames a second, 1..SOUND_MAX_RATE */
    uint32_t channels; /* 1..SOUND_MAX_CHANNELS */
};

/*
 * What the guest's mixer says; the listener is to apply it, the card does not. The scale is that of SPICE's messages as
 * spice-gtk hears them: samples are multiplied by the cube of level / 65535.
 */
struct sound_volume {
    uint16_t level[SOUND_MAX_CHANNELS]; /* 0..65535 */
    bool mute;
};

static inline bool sound_volume_is(const struct sound_volume *a, const struct sound_volume *b)
{
    return memcmp(a->level, b->level, sizeof(a->level)) == 0 && a->mute == b->mute;
}

struct sound_end;

/* Any member may be NULL. */
struct sound_end_ops {
    /* The guest starts or stops a stream (format NULL). A change of format is a stop and a start. */
    void (*running)(struct sound_end *end, enum sound_direction direction, const struct sound_format *format);
    /* 1..SOUND_MAX_FRAMES frames that are to be heard now. */
    void (*play)(struct sound_end *end, const int16_t *samples, size_t frames);
    /* At most `frames` frames that were spoken; returns how many there are, the rest is silence. */
    size_t (*record)(struct sound_end *end, int16_t *samples, size_t frames);
    void (*volume)(struct sound_end *end, enum sound_direction direction, const struct sound_volume *volume);
};

struct sound_end {
    const struct sound_end_ops *ops;
    TAILQ_ENTRY(sound_end) link;
};

/* One card, and its ends. What was said last is kept for ends that join later. */
struct sound {
    struct loop *loop;
    struct sound_format format[SOUND_DIRECTIONS]; /* rate 0: does not run */
    struct sound_volume volume[SOUND_DIRECTIONS];
    TAILQ_HEAD(, sound_end) ends;
};

void sound_init(struct sound *s, struct loop *loop);
void sound_fini(struct sound *s);

/* For the ends. Adding one replays the present state into it. */
void sound_add_end(struct sound *s, struct sound_end *end);
void sound_remove_end(struct sound *s, struct sound_end *end);

/* For the card. format NULL: the stream stops; the same again is no news. */
void sound_run(struct sound *s, enum sound_direction direction, const struct sound_format *format);
/* Any number of frames. */
void sound_play(struct sound *s, const int16_t *samples, size_t frames);
/* Fills all of it: the first end that has something is the one that speaks. */
void sound_record(struct sound *s, int16_t *samples, size_t frames);
void sound_set_volume(struct sound *s, enum sound_direction direction, const struct sound_volume *volume);

#endif
