/*
 * audio.h - the user's ears and voice: the devices, and what lies between them and the channels. It outlives sessions.
 *
 * Devices are opened when something plays or is recorded, and closed again, by a thread of their own: SDL may take its time.
 * Where there are none, or no sound system at all, all goes on in silence.
 *
 * The microphone is never open unless the user has allowed it: by the command line, or when asked (screen.h says how it
 * stands). Thread: the session's loop, but for what speaker.h and microphone.h say.
 */
#ifndef CLIENT_AUDIO_H
#define CLIENT_AUDIO_H

#include "client/microphone.h"
#include "client/options.h"
#include "client/sound_device.h"
#include "client/speaker.h"

struct audio {
    struct loop devices; /* the thread of the devices */
    bool running;        /* it does */
    bool mute;           /* no device is ever opened: for tests */
    struct speaker speaker;
    struct microphone microphone;
    struct sound_device out, in;
    uv_timer_t linger; /* in the devices' loop: a sound may follow soon */
    bool ready;        /* SDL has a sound system; the devices' thread */
    _Atomic uint32_t play_rate, record_rate;
    enum microphone_permission permission;
};

/* device: NULL or what the user calls the one to be used, which stays the caller's. 0 or -errno. */
int audio_init(struct audio *a, const char *device, enum microphone_permission permission);
/* Closes what is open; waits for that. Zeroed is fine. */
void audio_fini(struct audio *a);
/* Something plays, or has ended; frames a second, which the device is asked for if cards usually have them. */
void audio_play(struct audio *a, bool on, uint32_t rate);
/* Whoever records has asked for the user's permission before. */
void audio_record(struct audio *a, bool on, uint32_t rate);

#endif
