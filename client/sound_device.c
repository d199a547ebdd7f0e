#include "client/sound_device.h"

#include "base/log.h"

#include <string.h>

/* Seconds: twice as often would take twice as much of a CPU, and be heard 20 ms sooner. */
#define PERIOD         0.020
#define PERIOD_CAPTURE 0.010 /* a packet's */

static void SDLCALL callback(void *opaque, uint8_t *data, int size)
{
    struct sound_device *d = opaque;
    int16_t(*frames)[2] = (void *)data;

    d->ops->frames(d, frames, (size_t)size / sizeof(*frames));
}

static SDL_AudioDeviceID open_one(struct sound_device *d, const char *name, SDL_AudioSpec *got)
{
    double period = d->ops->capture ? PERIOD_CAPTURE : PERIOD;
    SDL_AudioSpec wanted = {.freq = (int)d->rate,
                            .format = AUDIO_S16SYS,
                            .channels = 2,
                            .samples = (uint16_t)(d->rate * period),
                            .callback = callback,
                            .userdata = d};

    return SDL_OpenAudioDevice(name, d->ops->capture, &wanted, got,
                               d->ops->capture ? 0 : SDL_AUDIO_ALLOW_FREQUENCY_CHANGE);
}

static void complain(struct sound_device *d, const char *what)
{
    if (!d->complained)
        log_info("%s: %s", what, SDL_GetError());
    d->complained = true;
}

static void start(struct sound_device *d)
{
    SDL_AudioSpec got;

    d->is_named = false;
    if (d->name) {
        d->id = open_one(d, d->name, &got);
        d->is_named = d->id;
        if (!d->id)
            complain(d, d->name);
    }
    if (!d->id)
        d->id = open_one(d, NULL, &got);
    if (!d->id) {
        complain(d, d->ops->capture ? "there is no microphone" : "nothing can be heard");
        d->ops->closed(d, true);
        return;
    }
    d->complained = d->name && !d->is_named;
    d->ops->opened(d, &got);
    SDL_PauseAudioDevice(d->id, 0);
}

static void stop(struct sound_device *d)
{
    if (d->id)
        SDL_CloseAudioDevice(d->id);
    d->id = 0;
}

void sound_device_open(struct sound_device *d, uint32_t rate)
{
    if (d->id && d->rate != rate)
        stop(d);
    d->wanted = true;
    d->rate = rate;
    if (!d->id)
        start(d);
}

void sound_device_close(struct sound_device *d)
{
    d->wanted = false;
    if (!d->id)
        return;
    stop(d);
    d->ops->closed(d, false);
}

void sound_device_changed(struct sound_device *d, const SDL_AudioDeviceEvent *event)
{
    bool mine = event->type == SDL_AUDIODEVICEREMOVED && d->id && event->which == d->id;
    bool better = event->type == SDL_AUDIODEVICEADDED && d->wanted && (!d->id || (d->name && !d->is_named));

    if (!!event->iscapture != d->ops->capture || (!mine && !better))
        return;
    stop(d);
    start(d);
}
