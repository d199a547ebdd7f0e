/* Opus: what goes in comes out, by pitch, level and channel; what is lost is hidden; what is hostile is refused. */
#include "spice/codec/sound.h"
#include "tests/lib/tones.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PACKETS 100 /* a second */
#define WARM_UP 10  /* packets until the encoder knows the sound */
#define FRAMES  SOUND_OPUS_FRAMES

struct coded {
    int16_t in[PACKETS * FRAMES * 2], out[PACKETS * FRAMES * 2];
    size_t bytes;
};

/* All packets by `encode` and back; those of `lost` do not come and are concealed. */
static void code(struct coded *c, unsigned channels, enum sound_profile profile, unsigned lost, unsigned lost_count)
{
    uint8_t packet[SOUND_OPUS_MAX_PACKET];
    struct sound_encoder *e;
    struct sound_decoder *d;

    assert_int_equal(sound_encoder_create(&e, channels, profile), 0);
    assert_int_equal(sound_decoder_create(&d, channels), 0);
    c->bytes = 0;
    for (unsigned i = 0; i < PACKETS; i++) {
        int16_t *out = c->out + i * FRAMES * channels;
        int size = sound_encode(e, c->in + i * FRAMES * channels, packet);

        assert_in_range(size, 1, SOUND_OPUS_MAX_PACKET);
        c->bytes += (size_t)size;
        if (i >= lost && i < lost + lost_count)
            assert_int_equal(sound_conceal(d, out, FRAMES), FRAMES);
        else
            assert_int_equal(sound_decode(d, packet, (size_t)size, out, FRAMES), FRAMES);
    }
    sound_decoder_destroy(d);
    sound_encoder_destroy(e);
}

static bool heard(const struct coded *c, unsigned channels)
{
    return tones_are(c->out + WARM_UP * FRAMES * channels, channels, SOUND_OPUS_RATE, (PACKETS - WARM_UP) * FRAMES);
}

static void test_tones(void **state UNUSED)
{
    struct coded *c = malloc(sizeof(*c));

    for (unsigned channels = 1; channels <= 2; channels++)
        for (enum sound_profile p = SOUND_MUSIC; p <= SOUND_LOW_LATENCY; p++) {
            tones_make(c->in, channels, SOUND_OPUS_RATE, 0, PACKETS * FRAMES);
            code(c, channels, p, 0, 0);
            assert_true(heard(c, channels));
            assert_in_range(c->bytes, 1000, 48000 * channels * 3 / 2 / 8); /* a second */
        }
    free(c);
}

/* The rig's own judgement: channels that are exchanged, half the level, or noise are noticed. */
static void test_what_is_wrong_is_noticed(void **state UNUSED)
{
    struct coded *c = malloc(sizeof(*c));

    tones_make(c->in, 2, SOUND_OPUS_RATE, 0, PACKETS * FRAMES);
    assert_true(tones_are(c->in, 2, SOUND_OPUS_RATE, PACKETS * FRAMES));
    assert_false(tones_are(c->in + 1, 2, SOUND_OPUS_RATE, PACKETS * FRAMES - 1));
    assert_false(tones_are(c->in, 2, 44100, PACKETS * FRAMES));
    for (size_t i = 0; i < PACKETS * FRAMES * 2; i++)
        c->out[i] = c->in[i] / 2;
    assert_false(tones_are(c->out, 2, SOUND_OPUS_RATE, PACKETS * FRAMES));
    assert_in_range(tones_gap(c->in, 2, PACKETS * FRAMES), 0, 4);
    memset(c->in + 2000, 0, 2 * 200 * sizeof(*c->in));
    assert_in_range(tones_gap(c->in, 2, PACKETS * FRAMES), 200, 204);
    free(c);
}

/* One packet that is lost is not heard as a gap. */
static void test_concealment(void **state UNUSED)
{
    struct coded *c = malloc(sizeof(*c));

    tones_make(c->in, 2, SOUND_OPUS_RATE, 0, PACKETS * FRAMES);
    code(c, 2, SOUND_MUSIC, 50, 1);
    assert_in_range(tones_gap(c->out + WARM_UP * FRAMES * 2, 2, (PACKETS - WARM_UP) * FRAMES), 0, FRAMES / 10);
    assert_true(heard(c, 2));
    free(c);
}

/* Silence costs next to nothing. */
static void test_silence(void **state UNUSED)
{
    struct coded *c = calloc(1, sizeof(*c));

    code(c, 2, SOUND_MUSIC, 0, 0);
    assert_in_range(c->bytes, 0, PACKETS * 8);
    for (size_t i = 0; i < PACKETS * FRAMES * 2; i++)
        assert_in_range(abs(c->out[i]), 0, 1);
    free(c);
}

/* What was heard before leaves no trace after a reset: the same packets again. */
static void test_reset(void **state UNUSED)
{
    uint8_t first[SOUND_OPUS_MAX_PACKET], again[SOUND_OPUS_MAX_PACKET];
    int16_t tone[FRAMES * 2], noise[FRAMES * 2];
    struct sound_encoder *e;
    int size;

    tones_make(tone, 2, SOUND_OPUS_RATE, 0, FRAMES);
    srand(3);
    for (size_t i = 0; i < ARRAY_SIZE(noise); i++)
        noise[i] = (int16_t)rand();
    assert_int_equal(sound_encoder_create(&e, 2, SOUND_MUSIC), 0);
    size = sound_encode(e, tone, first);
    assert_true(sound_encode(e, noise, again) > 0);
    sound_encoder_reset(e);
    assert_int_equal(sound_encode(e, tone, again), size);
    assert_memory_equal(first, again, size);
    sound_encoder_destroy(e);
}

/* Anything may come. What is decoded stays in its bounds; after it a good packet is heard again. */
static void test_hostile(void **state UNUSED)
{
    static int16_t room[SOUND_OPUS_MAX_DECODED * 2 + 16];
    uint8_t packet[2000], good[SOUND_OPUS_MAX_PACKET];
    int16_t tone[FRAMES * 2];
    struct sound_encoder *e;
    struct sound_decoder *d;
    unsigned refused = 0;
    int size, n;

    tones_make(tone, 2, SOUND_OPUS_RATE, 0, FRAMES);
    assert_int_equal(sound_encoder_create(&e, 2, SOUND_MUSIC), 0);
    assert_int_equal(sound_decoder_create(&d, 2), 0);
    size = sound_encode(e, tone, good);
    assert_int_equal(sound_decode(d, good, 0, room, SOUND_OPUS_MAX_DECODED), -EBADMSG);
    assert_int_equal(sound_decode(d, good, (size_t)INT32_MAX + 1, room, SOUND_OPUS_MAX_DECODED), -EBADMSG);
    assert_int_equal(sound_decode(d, good, (size_t)size, room, FRAMES - 1), -EBADMSG);
    srand(5);
    for (unsigned i = 0; i < 5000; i++) {
        size_t length = 1 + (size_t)rand() % sizeof(packet), frames = 1 + (size_t)rand() % SOUND_OPUS_MAX_DECODED;

        for (size_t k = 0; k < length; k++)
            packet[k] = (uint8_t)rand();
        memset(room, 0x55, sizeof(room));
        n = sound_decode(d, packet, length, room, frames);
        refused += n == -EBADMSG;
        assert_true(n == -EBADMSG || (n > 0 && (size_t)n <= frames));
        for (size_t k = frames * 2; k < frames * 2 + 16; k++)
            assert_int_equal(room[k], 0x5555);
    }
    assert_in_range(refused, 1, 4999);
    assert_int_equal(sound_decode(d, good, (size_t)size, room, SOUND_OPUS_MAX_DECODED), FRAMES);
    sound_decoder_reset(d);
    sound_decoder_destroy(d);
    sound_encoder_destroy(e);
    sound_decoder_destroy(NULL);
    sound_encoder_destroy(NULL);
}

static void test_impossible_channels(void **state UNUSED)
{
    struct sound_encoder *e;
    struct sound_decoder *d;

    assert_int_equal(sound_encoder_create(&e, 3, SOUND_MUSIC), -EINVAL);
    assert_null(e);
    assert_int_equal(sound_decoder_create(&d, 0), -EINVAL);
    assert_null(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tones),          cmocka_unit_test(test_what_is_wrong_is_noticed),
        cmocka_unit_test(test_concealment),    cmocka_unit_test(test_silence),
        cmocka_unit_test(test_reset),          cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_impossible_channels),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
