/* The server's channels of sound: what a guest's card plays and clients hear, and what they speak and it records. */
#include "spice/codec/sound.h"
#include "tests/lib/spice_rig.h"
#include "tests/lib/tones.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define OPUS_CAPS (1u << SPICE_PLAYBACK_CAP_OPUS | 1u << SPICE_PLAYBACK_CAP_VOLUME | 1u << SPICE_PLAYBACK_CAP_LATENCY)
#define PACKETS   60
#define MOST      (192000 * 2)

static struct rig rig;
static struct sound card;

/* --- the card --- */

struct span {
    const struct sound_format *format; /* NULL: it stops */
    enum sound_direction direction;
    uint64_t at;
    size_t frames;
    int16_t *samples;
};

static void do_add_card(void *arg UNUSED)
{
    sound_init(&card, &rig.loop);
    assert_int_equal(spice_server_add_sound(rig.server, &card), 0);
    assert_int_equal(spice_server_add_sound(rig.server, &card), -EEXIST);
}

static void do_run(void *arg)
{
    const struct span *s = arg;

    sound_run(&card, s->direction, s->format);
}

static void do_play(void *arg)
{
    const struct span *s = arg;
    uint32_t channels = card.format[SOUND_PLAYBACK].channels, rate = card.format[SOUND_PLAYBACK].rate;
    int16_t samples[SOUND_MAX_FRAMES * SOUND_MAX_CHANNELS];

    tones_make(samples, channels, rate, s->at, s->frames);
    sound_play(&card, samples, s->frames);
}

static void do_record(void *arg)
{
    struct span *s = arg;

    sound_record(&card, s->samples, s->frames);
}

static void do_volume(void *arg)
{
    sound_set_volume(&card, SOUND_PLAYBACK, arg);
}

static void run_card(enum sound_direction direction, const struct sound_format *format)
{
    rig_call(&rig, do_run, &(struct span){.direction = direction, .format = format});
}

/* In pieces of 10 ms, faster than they last. */
static void play_tones(uint32_t rate, unsigned packets)
{
    struct span s = {.frames = rate / 100};

    for (unsigned i = 0; i < packets; i++, s.at += s.frames) {
        rig_call(&rig, do_play, &s);
        usleep(2000);
    }
}

/* --- who hears --- */

struct ear {
    struct peer peer;
    struct sound_decoder *decoder; /* NULL: samples come as they are */
    uint32_t channels, rate;
    int16_t *heard;
    size_t frames, packets;
    uint32_t last_time;
};

static void join(struct ear *ear, struct peer *m, uint32_t caps)
{
    ear->peer.caps = caps;
    rig_join(&rig, &ear->peer, SPICE_CHANNEL_PLAYBACK, rig_main(&rig, m));
    ear->heard = malloc(MOST * sizeof(*ear->heard));
}

static void expect_start(struct ear *ear, uint32_t mode, uint32_t channels, uint32_t rate)
{
    const struct spice_msg_sound_mode *m = peer_expect(&ear->peer, SPICE_MSG_PLAYBACK_MODE);
    const struct spice_msg_playback_start *s;

    assert_int_equal(m->mode, mode);
    s = peer_expect(&ear->peer, SPICE_MSG_PLAYBACK_START);
    assert_int_equal(s->channels, channels);
    assert_int_equal(s->format, SPICE_AUDIO_FMT_S16);
    assert_int_equal(s->frequency, rate);
    ear->channels = channels;
    ear->rate = rate;
    if (mode == SPICE_AUDIO_DATA_MODE_OPUS)
        assert_int_equal(sound_decoder_create(&ear->decoder, channels), 0);
}

static void hear(struct ear *ear, const struct spice_msg_sound_packet *p)
{
    int16_t *to = ear->heard + ear->frames * ear->channels;

    assert_true(!ear->packets || p->time - ear->last_time < 1000);
    ear->last_time = p->time;
    ear->packets++;
    if (ear->decoder) {
        assert_int_equal(sound_decode(ear->decoder, p->data, p->size, to, SOUND_OPUS_FRAMES), SOUND_OPUS_FRAMES);
        ear->frames += SOUND_OPUS_FRAMES;
        return;
    }
    assert_int_equal(p->size % (2 * ear->channels), 0);
    for (size_t i = 0; i < p->size / 2; i++)
        to[i] = (int16_t)load_le16(p->data + 2 * i);
    ear->frames += p->size / 2 / ear->channels;
}

/* What has come. */
static void hear_some(struct ear *ear)
{
    const struct spice_msg_info *info;
    void *msg;

    while ((info = peer_receive(&ear->peer, &msg, 5)))
        if (info->id == SPICE_MSG_PLAYBACK_DATA)
            hear(ear, msg);
}

/* Until the stream stops. */
static void hear_all(struct ear *ear)
{
    const struct spice_msg_info *info;
    void *msg;

    while ((info = peer_receive(&ear->peer, &msg, PEER_TIMEOUT_MS)) && info->id != SPICE_MSG_PLAYBACK_STOP)
        if (info->id == SPICE_MSG_PLAYBACK_DATA)
            hear(ear, msg);
    assert_non_null(info);
}

static void check_tones(const struct ear *ear, size_t skip)
{
    assert_true(ear->frames > 2 * skip);
    assert_true(tones_are(ear->heard + skip * ear->channels, ear->channels, ear->rate, ear->frames - 2 * skip));
    assert_in_range(tones_gap(ear->heard + skip * ear->channels, ear->channels, ear->frames - 2 * skip), 0, ear->rate / 200);
}

static void leave(struct ear *ear)
{
    sound_decoder_destroy(ear->decoder);
    free(ear->heard);
    peer_close(&ear->peer);
}

/* --- tests --- */

static int set_up(void **state UNUSED)
{
    rig_start(&rig, NULL);
    rig_call(&rig, do_add_card, NULL);
    return 0;
}

static int set_up_raw(void **state UNUSED)
{
    rig_start(&rig, &(struct spice_config){.name = "rig", .raw_sound = true});
    rig_call(&rig, do_add_card, NULL);
    return 0;
}

static int tear_down(void **state UNUSED)
{
    rig_stop(&rig);
    sound_fini(&card);
    return 0;
}

static void test_channels_are_listed(void **state UNUSED)
{
    const struct spice_msg_main_channels_list *list;
    struct peer m = {0};
    unsigned found = 0;

    rig_main(&rig, &m);
    list = peer_expect(&m, SPICE_MSG_MAIN_CHANNELS_LIST);
    for (uint32_t i = 0; i < list->count; i++)
        found += list->channels[i].type == SPICE_CHANNEL_PLAYBACK || list->channels[i].type == SPICE_CHANNEL_RECORD;
    assert_int_equal(found, 2);
    peer_close(&m);
}

/* Two clients at once, one of them without Opus; all rates go as 48 kHz. */
static void hear_format(const struct sound_format *format)
{
    struct peer m = {0}, n = {0};
    struct ear opus = {0}, raw = {0};

    join(&opus, &m, OPUS_CAPS);
    join(&raw, &n, 0);
    run_card(SOUND_PLAYBACK, format);
    expect_start(&opus, SPICE_AUDIO_DATA_MODE_OPUS, format->channels, 48000);
    expect_start(&raw, SPICE_AUDIO_DATA_MODE_RAW, format->channels, 48000);
    play_tones(format->rate, PACKETS);
    run_card(SOUND_PLAYBACK, NULL);
    hear_all(&opus);
    hear_all(&raw);
    assert_in_range(opus.frames, (PACKETS - 1) * 480, (PACKETS + 2) * 480); /* the tail is filled up */
    assert_in_range(raw.frames, (PACKETS - 1) * 480, (PACKETS + 2) * 480);
    assert_true(raw.peer.bytes > 5 * opus.peer.bytes);
    check_tones(&opus, 10 * 480);
    check_tones(&raw, 480);
    leave(&opus);
    leave(&raw);
    peer_close(&m);
    peer_close(&n);
}

static void test_playback(void **state UNUSED)
{
    static const struct sound_format formats[] = {{48000, 2}, {48000, 1}, {44100, 2}, {96000, 2}, {22050, 1}};

    for (size_t i = 0; i < ARRAY_SIZE(formats); i++)
        hear_format(&formats[i]);
}

/* Without compression samples come as the card gave them, to the last one. */
static void test_raw(void **state UNUSED)
{
    const struct sound_format format = {44100, 2};
    int16_t *all = malloc(MOST * sizeof(*all));
    struct peer m = {0};
    struct ear ear = {0};

    join(&ear, &m, OPUS_CAPS);
    run_card(SOUND_PLAYBACK, &format);
    expect_start(&ear, SPICE_AUDIO_DATA_MODE_RAW, 2, 44100);
    play_tones(44100, PACKETS);
    rig_call(&rig, do_play, &(struct span){.at = 441 * PACKETS, .frames = 100});
    run_card(SOUND_PLAYBACK, NULL);
    hear_all(&ear);
    assert_int_equal(ear.frames, 441 * PACKETS + 100);
    tones_make(all, 2, 44100, 0, ear.frames);
    assert_memory_equal(all, ear.heard, ear.frames * 4);
    free(all);
    leave(&ear);
    peer_close(&m);
}

/* Who comes in the middle hears what is played from then on, at the volume that was set. */
static void test_late_and_volume(void **state UNUSED)
{
    const struct sound_format format = {48000, 2};
    const struct spice_msg_sound_volume *volume;
    struct peer m = {0};
    struct ear ear = {0};

    run_card(SOUND_PLAYBACK, &format);
    play_tones(48000, 5);
    rig_call(&rig, do_volume, &(struct sound_volume){.level = {1000, 2000}, .mute = true});
    join(&ear, &m, OPUS_CAPS);
    volume = peer_expect(&ear.peer, SPICE_MSG_PLAYBACK_VOLUME);
    assert_int_equal(volume->count, 2);
    assert_int_equal(volume->volume[0], 1000);
    assert_int_equal(volume->volume[1], 2000);
    assert_int_equal(((struct spice_msg_sound_mute *)peer_expect(&ear.peer, SPICE_MSG_PLAYBACK_MUTE))->mute, 1);
    expect_start(&ear, SPICE_AUDIO_DATA_MODE_OPUS, 2, 48000);
    play_tones(48000, PACKETS);
    run_card(SOUND_PLAYBACK, NULL);
    hear_all(&ear);
    check_tones(&ear, 10 * 480);
    run_card(SOUND_PLAYBACK, &(struct sound_format){48000, 1}); /* and again, otherwise */
    sound_decoder_destroy(ear.decoder);
    expect_start(&ear, SPICE_AUDIO_DATA_MODE_OPUS, 1, 48000);
    leave(&ear);
    peer_close(&m);
}

/* A client that does not read holds up nobody, and hears no old sound when it does again. */
static void test_slow_client(void **state UNUSED)
{
    const struct sound_format format = {48000, 2};
    struct peer m = {0}, n = {0};
    struct ear slow = {0}, quick = {0};

    join(&slow, &m, 0);
    join(&quick, &n, OPUS_CAPS);
    run_card(SOUND_PLAYBACK, &format);
    expect_start(&slow, SPICE_AUDIO_DATA_MODE_RAW, 2, 48000);
    expect_start(&quick, SPICE_AUDIO_DATA_MODE_OPUS, 2, 48000);
    for (unsigned i = 0; i < 9; i++) {
        play_tones(48000, PACKETS / 3);
        hear_some(&quick);
    }
    run_card(SOUND_PLAYBACK, NULL);
    hear_all(&quick);
    assert_in_range(quick.packets, 3 * PACKETS - 1, 3 * PACKETS + 1);
    hear_all(&slow); /* it is told that it stopped, all the same */
    assert_in_range(slow.packets, 1, 3 * PACKETS - 20);
    leave(&slow);
    leave(&quick);
    peer_close(&m);
    peer_close(&n);
}

/* --- who speaks --- */

static void speak(struct peer *p, unsigned packet, bool opus, struct sound_encoder *encoder)
{
    int16_t samples[480 * 2];
    uint8_t data[480 * 4];
    int size = sizeof(data);

    tones_make(samples, 2, 48000, packet * 480, 480);
    for (size_t i = 0; i < 480 * 2; i++)
        store_le16(data + 2 * i, (uint16_t)samples[i]);
    if (opus)
        size = sound_encode(encoder, samples, data);
    assert_true(size > 0);
    peer_send(p, SPICE_MSGC_RECORD_DATA, &(struct spice_msg_sound_packet){packet * 10, (uint32_t)size, data});
}

static void join_record(struct peer *p, struct peer *m, unsigned mode)
{
    const struct spice_msg_record_start *start;

    p->caps = 1u << SPICE_RECORD_CAP_OPUS | 1u << SPICE_RECORD_CAP_VOLUME;
    rig_join(&rig, p, SPICE_CHANNEL_RECORD, rig_main(&rig, m));
    start = peer_expect(p, SPICE_MSG_RECORD_START);
    assert_int_equal(start->channels, 2);
    assert_int_equal(start->frequency, 48000);
    peer_send(p, SPICE_MSGC_RECORD_MODE, &(struct spice_msg_sound_mode){.mode = (uint16_t)mode});
    peer_send(p, SPICE_MSGC_RECORD_START_MARK, &(struct spice_msgc_record_start_mark){5});
}

/* As the card takes it, at its own rate. */
static void record_by(unsigned mode, uint32_t rate)
{
    int16_t *got = calloc(MOST, sizeof(*got));
    struct span s = {.frames = rate / 100, .samples = got};
    struct sound_encoder *encoder;
    struct peer m = {0}, p = {0};
    size_t all = 0, from = rate / 2;

    assert_int_equal(sound_encoder_create(&encoder, 2, SOUND_MUSIC), 0);
    run_card(SOUND_RECORD, &(struct sound_format){rate, 2});
    join_record(&p, &m, mode);
    for (unsigned i = 0; i < 150; i++, all += s.frames, s.samples += 2 * s.frames) {
        speak(&p, i, mode == SPICE_AUDIO_DATA_MODE_OPUS, encoder);
        usleep(10000);
        rig_call(&rig, do_record, &s);
    }
    assert_in_range(tones_gap(got + 2 * from, 2, all - from), 0, rate / 200);
    for (unsigned c = 0; c < 2; c++) { /* the buffer may have left out or repeated a period */
        double own = tones_level(got + 2 * from + c, 2, rate, rate / 4, c ? TONE_RIGHT : TONE_LEFT);
        double other = tones_level(got + 2 * from + c, 2, rate, rate / 4, c ? TONE_LEFT : TONE_RIGHT);

        assert_true(own > TONE_LEVEL * 0.7 && other < TONE_LEVEL / 10);
    }
    run_card(SOUND_RECORD, NULL);
    peer_expect(&p, SPICE_MSG_RECORD_STOP);
    sound_encoder_destroy(encoder);
    free(got);
    peer_close(&p);
    peer_close(&m);
}

static void test_record(void **state UNUSED)
{
    record_by(SPICE_AUDIO_DATA_MODE_OPUS, 48000);
    record_by(SPICE_AUDIO_DATA_MODE_RAW, 44100);
}

static bool is_silent(size_t frames)
{
    int16_t *got = malloc(frames * 2 * sizeof(*got));
    bool silent = true;

    rig_call(&rig, do_record, &(struct span){.frames = frames, .samples = got});
    for (size_t i = 0; i < 2 * frames; i++)
        silent &= !got[i];
    free(got);
    return silent;
}

/* Packets that cannot be are left out, one line says so, and the channel lives; who has not been asked is not heard. */
static void test_hostile(void **state UNUSED)
{
    static uint8_t junk[60000];
    struct peer m = {0}, p = {0};

    for (size_t i = 0; i < sizeof(junk); i++)
        junk[i] = (uint8_t)rand();
    run_card(SOUND_RECORD, &(struct sound_format){48000, 2});
    join_record(&p, &m, 77);
    assert_true(is_silent(480)); /* nobody speaks */
    for (unsigned mode = 0; mode < 6; mode++) {
        peer_send(&p, SPICE_MSGC_RECORD_MODE, &(struct spice_msg_sound_mode){.mode = (uint16_t)mode});
        for (uint32_t size = 0; size < sizeof(junk); size = size * 3 + 1)
            peer_send(&p, SPICE_MSGC_RECORD_DATA, &(struct spice_msg_sound_packet){0, size, junk});
    }
    run_card(SOUND_RECORD, NULL);
    peer_expect(&p, SPICE_MSG_RECORD_STOP);
    run_card(SOUND_RECORD, &(struct sound_format){48000, 2});
    peer_expect(&p, SPICE_MSG_RECORD_START);
    assert_true(is_silent(480));
    peer_close(&p);
    peer_close(&m);
}

/* Two who speak: the first is heard, and when he goes the other one. */
static void test_one_speaks(void **state UNUSED)
{
    struct peer m = {0}, n = {0}, first = {0}, second = {0};

    run_card(SOUND_RECORD, &(struct sound_format){48000, 2});
    join_record(&first, &m, SPICE_AUDIO_DATA_MODE_RAW);
    join_record(&second, &n, SPICE_AUDIO_DATA_MODE_RAW);
    for (unsigned i = 0; i < 30; i++)
        speak(&first, i, false, NULL);
    usleep(50000);
    assert_false(is_silent(4800));
    peer_close(&first);
    usleep(100000);
    assert_true(is_silent(480));
    for (unsigned i = 0; i < 30; i++)
        speak(&second, i, false, NULL);
    usleep(50000);
    assert_false(is_silent(4800));
    peer_close(&second);
    peer_close(&m);
    peer_close(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_channels_are_listed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_playback, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_raw, set_up_raw, tear_down),
        cmocka_unit_test_setup_teardown(test_late_and_volume, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_slow_client, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_record, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_hostile, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_one_speaks, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
