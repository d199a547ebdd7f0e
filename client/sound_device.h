/*
 * sound_device.h - a device of SDL's for one direction, for as long as somebody wants it: the one that was named, while it
 * is there, else the system's choice.
 *
 * When it is pulled out another one takes its place, and when one is plugged in it is tried if there was none, or if it may
 * be the one that was named. Frames are stereo, 16 bits. Thread: one that may wait for SDL; the callbacks say theirs.
 */
#ifndef CLIENT_SOUND_DEVICE_H
#define CLIENT_SOUND_DEVICE_H

#include "base/base.h"

#include <SDL_audio.h>
#include <SDL_events.h>

struct sound_device;

struct sound_device_ops {
    bool capture;
    void (*opened)(struct sound_device *d, const SDL_AudioSpec *got); /* no frames are asked for before */
    void (*closed)(struct sound_device *d, bool none);                /* none: it was wanted, and there is none */
    void (*frames)(struct sound_device *d, int16_t (*frames)[2], size_t count); /* SDL's thread */
};

struct sound_device {
    const struct sound_device_ops *ops;
    const char *name;     /* NULL: the system's choice */
    uint32_t rate;        /* of capture that one, of playback any: what the device has */
    bool wanted, is_named; /* is_named: the one that is open is the one that was named */
    SDL_AudioDeviceID id; /* 0: closed */
    bool complained;
};

/* Open it; nothing if it is. At another rate: anew. */
void sound_device_open(struct sound_device *d, uint32_t rate);
void sound_device_close(struct sound_device *d);
/* SDL_AUDIODEVICEADDED or _REMOVED. */
void sound_device_changed(struct sound_device *d, const SDL_AudioDeviceEvent *event);

#endif
