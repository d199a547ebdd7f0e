/*
 * The client's ends of sound with their threads: a device of SDL's that is there (its dummy), is pulled out, comes back, or was
 * never there; what is pushed while it is pulled; what is spoken while it is taken.
 */
#include "client/audio.h"

#include <SDL.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdlib.h>
#include <unistd.h>

static int16_t packet[480][2];

static struct audio *make(const char *driver, const char *device)
{
    struct audio *a = calloc(1, sizeof(*a));

    setenv("SDL_AUDIODRIVER", driver, 1);
    assert_non_null(a);
    assert_int_equal(audio_init(a, device, MICROPHONE_ALLOWED), 0);
    for (size_t i = 0; i < ARRAY_SIZE(packet); i++)
        packet[i][0] = packet[i][1] = 1000;
    return a;
}

static void destroy(struct audio *a)
{
    audio_fini(a);
    audio_fini(a); /* once more does nothing */
    free(a);
}

static double period(struct audio *a)
{
    double period;

    pthread_mutex_lock(&a->speaker.lock);
    period = a->speaker.deaf ? -1 : a->speaker.period;
    pthread_mutex_unlock(&a->speaker.lock);
    return period;
}

/* sign: 1, the device is open; 0, it is closed; -1, there is none. */
static void wait_for(struct audio *a, int sign)
{
    for (unsigned i = 0; i < 5000; i++) {
        double p = period(a);

        if ((p > 0) - (p < 0) == sign)
            return;
        usleep(1000);
    }
    fail_msg("the device is not %d", sign);
}

static void nothing(void *unused UNUSED)
{
}

/* As SDL does it; whatever thread that is. */
static void plug(struct audio *a, uint32_t type, SDL_AudioDeviceID which, bool capture)
{
    SDL_Event event = {.adevice = {.type = type, .which = which, .iscapture = capture}};

    SDL_PushEvent(&event);
    loop_call_wait(&a->devices, nothing, NULL); /* it was seen */
}

static void feed(struct audio *a, unsigned packets)
{
    for (unsigned i = 0; i < packets; i++) {
        assert_true(speaker_push(&a->speaker, packet[0], 2, ARRAY_SIZE(packet), uv_hrtime()) > 0);
        usleep(9000);
    }
}

static void test_device(void **state UNUSED)
{
    struct audio *a = make("dummy", NULL);
    struct jitter_stats stats;
    SDL_AudioDeviceID id;

    assert_int_equal(speaker_start(&a->speaker, 44100), 0);
    audio_play(a, true, 44100);
    wait_for(a, 1);
    feed(a, 50);
    speaker_volume(&a->speaker, (uint16_t[]){1000, 2000}, 2);
    speaker_mute(&a->speaker, true);
    speaker_set_least(&a->speaker, 100);
    id = a->out.id;
    plug(a, SDL_AUDIODEVICEREMOVED, id + 1000, false); /* another one */
    plug(a, SDL_AUDIODEVICEREMOVED, id, true);         /* a microphone's */
    plug(a, SDL_AUDIODEVICEADDED, 0, false);           /* there is one already */
    assert_int_equal(a->out.id, id);
    plug(a, SDL_AUDIODEVICEREMOVED, id, false);
    assert_true(a->out.id != 0);
    wait_for(a, 1);
    feed(a, 20);
    speaker_end(&a->speaker);
    audio_play(a, false, 0);
    speaker_stats(&a->speaker, &stats);
    assert_in_range(stats.underruns, 0, 3);
    wait_for(a, 0);
    destroy(a);
}

/* One that was named is looked for again when something is plugged in. */
static void test_named(void **state UNUSED)
{
    struct audio *a = make("dummy", "the one that is missing");

    assert_int_equal(speaker_start(&a->speaker, 48000), 0);
    audio_play(a, true, 44100);
    wait_for(a, 1);
    plug(a, SDL_AUDIODEVICEADDED, 0, false);
    wait_for(a, 1);
    destroy(a);
}

static void test_none(void **state UNUSED)
{
    static const char *const drivers[] = {"nonsense", "disk"};

    setenv("SDL_DISKAUDIOFILE", "/nonsense/file", 1);
    for (size_t i = 0; i < ARRAY_SIZE(drivers); i++) {
        struct audio *a = make(drivers[i], NULL);

        assert_int_equal(speaker_start(&a->speaker, 48000), 0);
        audio_play(a, true, 44100);
        wait_for(a, -1);
        feed(a, 3);
        assert_int_equal(a->speaker.jitter.end, a->speaker.jitter.at); /* nothing is kept */
        if (a->ready) { /* now there is one */
            setenv("SDL_DISKAUDIOFILE", "/dev/null", 1);
            plug(a, SDL_AUDIODEVICEADDED, 0, false);
            wait_for(a, 1);
        }
        audio_record(a, true, 48000);
        audio_record(a, false, 0);
        destroy(a);
    }
}

static void test_microphone(void **state UNUSED)
{
    struct audio *a = make("dummy", NULL);
    static int16_t frames[MICROPHONE_FRAMES][2];
    unsigned got = 0;

    audio_record(a, true, 44100);
    for (unsigned i = 0; i < 3000 && got < 20; i++) {
        got += microphone_take(&a->microphone, frames, 441);
        usleep(1000);
    }
    assert_int_equal(got, 20);
    audio_record(a, true, 48000);
    audio_record(a, false, 0);
    loop_call_wait(&a->devices, nothing, NULL);
    assert_int_equal(a->in.id, 0);
    microphone_clear(&a->microphone);
    assert_false(microphone_take(&a->microphone, frames, 1));
    /* When nobody takes them the oldest are lost. */
    for (int i = 0; i < 2 * MICROPHONE_FRAMES; i++)
        microphone_hear(&a->microphone, (const int16_t[][2]){{(int16_t)(i & 0x7fff), 0}}, 1);
    assert_true(a->microphone.lost >= MICROPHONE_FRAMES);
    assert_false(microphone_take(&a->microphone, frames, MICROPHONE_FRAMES + 1));
    assert_true(microphone_take(&a->microphone, frames, MICROPHONE_FRAMES));
    assert_int_equal(frames[0][0], MICROPHONE_FRAMES & 0x7fff);
    destroy(a);
}

/* Nothing was ever to be heard: no thread, no device. */
static void test_unused(void **state UNUSED)
{
    struct audio *a = make("dummy", NULL);

    assert_false(a->running);
    destroy(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_device),     cmocka_unit_test(test_named),  cmocka_unit_test(test_none),
        cmocka_unit_test(test_microphone), cmocka_unit_test(test_unused),
    };

    int failed;

    /* As the window does it. */
    SDL_Init(SDL_INIT_EVENTS);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    SDL_Quit();
    return failed;
}
