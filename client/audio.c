#include "client/audio.h"

#include "base/log.h"

#include <SDL.h>
#include <stdlib.h>

#define LINGER_MS  2000
#define USUAL_RATE 48000 /* where the sound's own is none of a card's */

/* --- the devices' ends; in their thread, or in SDL's --- */

static void speaker_is_open(struct sound_device *d, const SDL_AudioSpec *got)
{
    struct audio *a = container_of(d, struct audio, out);

    log_debug("sound: %d Hz, %u frames", got->freq, got->samples);
    /* SDL fills one period while another is played. */
    speaker_opened(&a->speaker, (uint32_t)got->freq, 2.0 * got->samples / got->freq);
}

static void speaker_is_closed(struct sound_device *d, bool none)
{
    speaker_closed(&container_of(d, struct audio, out)->speaker, none);
}

static void speaker_frames(struct sound_device *d, int16_t (*frames)[2], size_t count)
{
    speaker_pull(&container_of(d, struct audio, out)->speaker, frames, count, uv_hrtime());
}

static void microphone_is_open(struct sound_device *d UNUSED, const SDL_AudioSpec *got)
{
    log_debug("microphone: %d Hz, %u frames", got->freq, got->samples);
}

static void microphone_is_closed(struct sound_device *d UNUSED, bool none UNUSED)
{
}

static void microphone_frames(struct sound_device *d, int16_t (*frames)[2], size_t count)
{
    microphone_hear(&container_of(d, struct audio, in)->microphone, (const int16_t(*)[2])frames, count);
}

static const struct sound_device_ops speaker_ops = {false, speaker_is_open, speaker_is_closed, speaker_frames};
static const struct sound_device_ops microphone_ops = {true, microphone_is_open, microphone_is_closed, microphone_frames};

/* --- the devices' thread --- */

struct device_call {
    struct audio *audio;
    SDL_AudioDeviceEvent event;
};

static void on_change(void *arg)
{
    struct device_call *c = arg;

    sound_device_changed(&c->audio->out, &c->event);
    sound_device_changed(&c->audio->in, &c->event);
    free(c);
}

/* In whichever thread SDL notices it. */
static int SDLCALL watch(void *opaque, SDL_Event *event)
{
    struct audio *a = opaque;
    struct device_call *c;

    if (event->type != SDL_AUDIODEVICEADDED && event->type != SDL_AUDIODEVICEREMOVED)
        return 0;
    c = malloc(sizeof(*c));
    if (!c)
        return 0;
    *c = (struct device_call){a, event->adevice};
    loop_call(&a->devices, on_change, c);
    return 0;
}

/* Not SDL_InitSubSystem(), which is for one thread at a time: the window may be about it just now. */
static bool get_ready(struct audio *a)
{
    if (a->ready)
        return true;
    if (SDL_AudioInit(NULL) < 0) {
        if (!a->out.complained)
            log_info("no sound: %s", SDL_GetError());
        a->out.complained = true;
        return false;
    }
    SDL_AddEventWatch(watch, a);
    a->ready = true;
    return true;
}

static void open_speaker(void *arg)
{
    struct audio *a = arg;

    uv_timer_stop(&a->linger);
    if (get_ready(a))
        sound_device_open(&a->out, a->play_rate);
    else
        speaker_closed(&a->speaker, true);
}

static void lingered(uv_timer_t *timer)
{
    sound_device_close(&((struct audio *)timer->data)->out);
}

static void leave_speaker(void *arg)
{
    uv_timer_start(&((struct audio *)arg)->linger, lingered, LINGER_MS, 0);
}

static void open_microphone(void *arg)
{
    struct audio *a = arg;

    if (get_ready(a))
        sound_device_open(&a->in, a->record_rate);
}

static void close_microphone(void *arg)
{
    sound_device_close(&((struct audio *)arg)->in);
}

static void close_all(void *arg)
{
    struct audio *a = arg;

    if (a->ready)
        SDL_DelEventWatch(watch, a);
    sound_device_close(&a->out);
    sound_device_close(&a->in);
    if (a->ready)
        SDL_AudioQuit();
    SDL_TLSCleanup(); /* its words of what failed, which it keeps for each thread; it knows the ends of its own only */
    uv_close((uv_handle_t *)&a->linger, NULL);
}

/* --- the session's --- */

int audio_init(struct audio *a, const char *device, enum microphone_permission permission)
{
    *a = (struct audio){.permission = permission, .out = {.ops = &speaker_ops, .name = device},
                        .in = {.ops = &microphone_ops, .name = device}};
    speaker_init(&a->speaker);
    return microphone_init(&a->microphone);
}

void audio_fini(struct audio *a)
{
    if (!a->out.ops)
        return;
    if (a->running) {
        loop_call_wait(&a->devices, close_all, a);
        loop_stop(&a->devices);
        loop_join(&a->devices);
        loop_fini(&a->devices);
    }
    speaker_fini(&a->speaker);
    microphone_fini(&a->microphone);
    a->out.ops = NULL;
}

static bool run(struct audio *a)
{
    if (a->running || a->mute)
        return a->running;
    if (loop_init(&a->devices))
        return false;
    uv_timer_init(&a->devices.uv, &a->linger);
    a->linger.data = a;
    if (loop_start(&a->devices, "sound")) {
        loop_fini(&a->devices);
        return false;
    }
    a->running = true;
    return true;
}

static bool is_usual(uint32_t rate)
{
    return rate == 44100 || rate == 48000 || rate == 96000;
}

void audio_play(struct audio *a, bool on, uint32_t rate)
{
    if (!run(a))
        return;
    if (on)
        a->play_rate = is_usual(rate) ? rate : USUAL_RATE;
    loop_call(&a->devices, on ? open_speaker : leave_speaker, a);
}

void audio_record(struct audio *a, bool on, uint32_t rate)
{
    if (!run(a))
        return;
    if (on)
        a->record_rate = rate;
    loop_call(&a->devices, on ? open_microphone : close_microphone, a);
}
