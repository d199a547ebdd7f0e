/*
 * The buffer of sound that comes by a network, with a network and a device that are simulated: two tones are sent in
 * packets, and what the device gets is looked at for its pitch, level, steps, and for how late it is.
 */
#include "client/gain.h"
#include "spice/sound/jitter.h"
#include "spice/sound/splice.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SECOND 1000000000.0
#define LEFT   440.0
#define RIGHT  1000.0
#define LEVEL  10000.0

struct rig {
    struct jitter jitter;
    uint32_t rate, rate_out;
    double packet, period;   /* seconds */
    double drift;            /* of the device, against who sends */
    double most_late;        /* of packets, at random, seconds */
    double stall_at, stall;  /* seconds; once */
    double lost_at, lost;    /* ... of packets that never come */
    double ends;             /* who sends says so, then; 0: it goes on */
    int16_t (*heard)[2];
    size_t count;
    double delay;            /* from what is sent to what is pulled, at the end */
    double longest;          /* the most it was in the last quarter */
};

static double tone(double hertz, double t)
{
    return LEVEL * sin(2 * M_PI * hertz * t);
}

static double arrival(struct rig *r, unsigned n)
{
    double at = (n + 1) * r->packet, late = r->most_late * (double)rand() / RAND_MAX;

    if (at >= r->stall_at && at < r->stall_at + r->stall)
        late = MAX(late, r->stall_at + r->stall - at);
    return at + late;
}

static void send(struct rig *r, unsigned n, double now)
{
    size_t frames = (size_t)(r->packet * r->rate);
    int16_t samples[2 * 4096];
    double at = n * r->packet;

    if (at >= r->lost_at && at < r->lost_at + r->lost)
        return;
    for (size_t i = 0; i < frames; i++) {
        double t = (double)((uint64_t)n * frames + i) / r->rate;

        samples[2 * i] = (int16_t)lrint(tone(LEFT, t));
        samples[2 * i + 1] = (int16_t)lrint(tone(RIGHT, t));
    }
    jitter_push(&r->jitter, samples, 2, frames, (uint64_t)(now * SECOND));
}

static void run(struct rig *r, double seconds)
{
    size_t period = (size_t)(r->period * r->rate_out), room = (size_t)((seconds + 1) * r->rate_out * 1.02);
    double next = 1, arrives;
    unsigned sent = 0;

    srand(7);
    r->heard = calloc(room, sizeof(*r->heard));
    jitter_init(&r->jitter);
    assert_int_equal(jitter_start(&r->jitter, r->rate, r->rate_out), 0);
    arrives = arrival(r, 0);
    for (double now = 1; now < 1 + seconds; now = next) {
        while (1 + arrives <= now && !(r->ends > 0 && sent * r->packet >= r->ends)) {
            send(r, sent++, 1 + arrives);
            next = arrival(r, sent);
            arrives = MAX(arrives, next); /* in order, as a stream has them */
        }
        if (r->ends > 0 && sent * r->packet >= r->ends)
            jitter_end(&r->jitter);
        assert_true(r->count + period <= room);
        jitter_pull(&r->jitter, r->heard + r->count, period, (uint64_t)(now * SECOND));
        r->count += period;
        r->delay = now - 1 - sent * r->packet + jitter_delay(&r->jitter, (uint64_t)(now * SECOND)) + r->period;
        if (now > 1 + seconds * 3 / 4)
            r->longest = MAX(r->longest, r->delay);
        next = now + r->period * (1 + r->drift);
    }
}

static void finish(struct rig *r)
{
    jitter_fini(&r->jitter);
    free(r->heard);
}

/* The part of a channel that is this tone, over a tenth of a second; LEVEL if it is all of it. */
static double level(const struct rig *r, double at, unsigned channel, double hertz)
{
    size_t from = (size_t)(at * r->rate_out), count = r->rate_out / 10;
    double s = 0, c = 0;

    if (from + count > r->count)
        fail_msg("%.2f s were not heard", at);
    for (size_t i = 0; i < count; i++) {
        double phase = 2 * M_PI * hertz * (double)i / r->rate_out;

        s += r->heard[from + i][channel] * sin(phase);
        c += r->heard[from + i][channel] * cos(phase);
    }
    return 2 * sqrt(s * s + c * c) / (double)count;
}

/* Frames from where it sounds to the end whose curve is steeper than the tone's: clicks, and holes. */
static unsigned steps(const struct rig *r, double from, double to)
{
    double w = 2 * M_PI * RIGHT / r->rate_out, most = 2.5 * LEVEL * w * w;
    unsigned count = 0;

    for (size_t i = (size_t)(from * r->rate_out) + 1; i + 1 < (size_t)(to * r->rate_out) && i + 1 < r->count; i++)
        count += fabs((double)r->heard[i + 1][1] - 2.0 * r->heard[i][1] + r->heard[i - 1][1]) > most;
    return count;
}

/* Tenths of a second in which one of the tones is not all there. */
static unsigned holes(const struct rig *r, double from, double to)
{
    unsigned count = 0;

    for (double at = from; at + 0.1 <= to; at += 0.05)
        count += level(r, at, 0, LEFT) < 0.9 * LEVEL || level(r, at, 1, RIGHT) < 0.9 * LEVEL;
    return count;
}

static struct rig usual(void)
{
    return (struct rig){.rate = 48000, .rate_out = 48000, .packet = 0.010, .period = 0.010};
}

static void expect_clean(struct rig *r, double seconds, double delay)
{
    run(r, seconds);
    assert_int_equal(r->jitter.stats.underruns, 0);
    assert_int_equal(holes(r, 0.5, (double)r->count / r->rate_out), 0);
    assert_int_equal(steps(r, 0.5, seconds), 0);
    assert_true(level(r, 1, 0, RIGHT) < LEVEL / 100);
    assert_true(level(r, 1, 1, LEFT) < LEVEL / 100);
    if (r->longest > delay)
        fail_msg("the delay is %.1f ms, not %.1f", 1000 * r->longest, 1000 * delay);
}

static void test_even(void **state UNUSED)
{
    static const struct {
        uint32_t rate, rate_out;
        double packet, period;
    } cases[] = {{48000, 48000, 0.01, 0.01},  {44100, 48000, 0.01, 0.01},   {48000, 44100, 0.01, 0.02},
                 {96000, 48000, 0.01, 0.01},  {192000, 48000, 0.01, 0.02},  {8000, 48000, 0.02, 0.01},
                 {48000, 48000, 0.02, 0.02},  {48000, 192000, 0.01, 0.005}, {48000, 48000, 0.01, 0.0213}};

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct rig r = {.rate = cases[i].rate, .rate_out = cases[i].rate_out, .packet = cases[i].packet,
                        .period = cases[i].period};

        expect_clean(&r, 20, 0.080);
        finish(&r);
    }
}

static void test_jitter(void **state UNUSED)
{
    static const double most_late[] = {0.005, 0.020, 0.045};

    for (size_t i = 0; i < ARRAY_SIZE(most_late); i++) {
        struct rig r = usual();

        r.most_late = most_late[i];
        expect_clean(&r, 60, most_late[i] + 0.080);
        finish(&r);
    }
}

/* More than was expected at first: some is missed, and then no more. */
static void test_much_jitter(void **state UNUSED)
{
    struct rig r = usual();
    uint64_t underruns;

    r.most_late = 0.200;
    run(&r, 60);
    underruns = r.jitter.stats.underruns;
    assert_in_range(underruns, 1, 60);
    assert_int_equal(holes(&r, 20, 59.5), 0);
    assert_true(r.longest < 0.300);
    finish(&r);
}

/* Clocks that differ a little are followed; by as much as no sound card has, by splices. */
static void test_drift(void **state UNUSED)
{
    static const double drift[] = {1e-4, -1e-4, 5e-4, -5e-4, 0.01, -0.01};

    for (size_t i = 0; i < ARRAY_SIZE(drift); i++) {
        struct rig r = usual();

        r.drift = drift[i];
        r.most_late = 0.004;
        expect_clean(&r, 100, 0.130);
        assert_int_equal(r.jitter.stats.left_out > 24000, drift[i] > 0.001);
        assert_int_equal(r.jitter.stats.repeated > 24000, drift[i] < -0.001);
        finish(&r);
    }
}

/* What a stall held up comes all at once: a hole, without a click, and soon the delay is what it was. */
static void test_stall(void **state UNUSED)
{
    struct rig r = usual();

    r.stall_at = 10;
    r.stall = 0.4;
    run(&r, 30);
    assert_int_equal(r.jitter.stats.underruns, 1);
    assert_int_equal(steps(&r, 0.5, 29.5), 0);
    assert_int_equal(holes(&r, 0.5, 9.8), 0);
    assert_int_equal(holes(&r, 12, 29.5), 0);
    assert_true(r.longest < 0.100);
    finish(&r);
}

static void test_loss(void **state UNUSED)
{
    struct rig r = usual();

    r.lost_at = 10;
    r.lost = 0.3;
    run(&r, 30);
    assert_int_equal(r.jitter.stats.underruns, 1);
    assert_int_equal(r.jitter.stats.made_up, 48000 * 20 / 1000);
    assert_int_equal(steps(&r, 0.5, 29.5), 0);
    assert_int_equal(holes(&r, 11, 29.5), 0);
    finish(&r);
}

/* A sound that is shorter than the delay is heard, all of it, and its end is no fault. */
static void test_short(void **state UNUSED)
{
    struct rig r = usual();
    size_t sounding = 0;

    r.ends = 0.03;
    run(&r, 1);
    for (size_t i = 0; i < r.count; i++)
        sounding += r.heard[i][0] || r.heard[i][1];
    assert_in_range(sounding, 48000 * 29 / 1000, 48000 * 31 / 1000);
    assert_int_equal(r.jitter.stats.underruns, 0);
    assert_int_equal(steps(&r, 0, 0.9) > 20, 0);
    finish(&r);
}

/* One stream after another, some soon and some late: each is heard. */
static void test_again(void **state UNUSED)
{
    static int16_t packet[480][2], out[480][2];
    struct jitter j;
    uint64_t now = 1000000000;

    for (size_t i = 0; i < ARRAY_SIZE(packet); i++)
        packet[i][0] = packet[i][1] = 1000;
    jitter_init(&j);
    for (unsigned stream = 0; stream < 30; stream++) {
        unsigned loud = 0;

        assert_int_equal(jitter_start(&j, 48000, 48000), 0);
        for (unsigned i = 0; i < 60; i++) {
            if (i < 10)
                jitter_push(&j, packet[0], 2, ARRAY_SIZE(packet), now);
            if (i == 10)
                jitter_end(&j);
            jitter_pull(&j, out, ARRAY_SIZE(out), now + 5000000);
            now += 10000000;
            for (size_t k = 0; k < ARRAY_SIZE(out); k++)
                loud += out[k][0] > 500;
        }
        assert_in_range(loud, 4400, 5000);
        now += stream % 3 * 2000000000ull;
    }
    assert_int_equal(j.stats.underruns, 0);
    jitter_fini(&j);
}

/* Somebody else wants a longer delay; nobody gets one without end. */
static void test_least(void **state UNUSED)
{
    struct rig r = usual();

    run(&r, 2);
    assert_true(r.longest < 0.1);
    jitter_set_least(&r.jitter, UINT32_MAX);
    assert_true(r.jitter.least == JITTER_LONGEST_MS / 1000.0);
    finish(&r);
}

/* Nobody pulls: memory and delay are bounded; the newest is what stays. */
static void test_flood(void **state UNUSED)
{
    static int16_t loud[2 * 480000];
    struct jitter j;

    jitter_init(&j);
    jitter_push(&j, loud, 2, 480, 0); /* before any stream */
    assert_int_equal(jitter_start(&j, JITTER_HIGHEST_RATE, 8000), 0);
    for (unsigned i = 0; i < 10; i++)
        jitter_push(&j, loud, 1 + i % 2, 480000, i);
    jitter_push(&j, loud, 2, 0, 10);
    assert_true(jitter_delay(&j, 10) < 2 * JITTER_LONGEST_MS / 1000.0);
    assert_int_equal(jitter_start(&j, JITTER_LOWEST_RATE, 192000), 0);
    for (unsigned i = 0; i < 100; i++) {
        int16_t out[1000][2];

        jitter_push(&j, loud, 2, i, i * 1000);
        jitter_pull(&j, out, ARRAY_SIZE(out), i * 1000);
    }
    jitter_fini(&j);
}

static void test_gain(void **state UNUSED)
{
    static int16_t frames[4800][2];
    struct gain g;

    for (size_t i = 0; i < ARRAY_SIZE(frames); i++)
        frames[i][0] = frames[i][1] = 8000;
    gain_init(&g);
    gain_apply(&g, frames, 100, 48000);
    assert_int_equal(frames[99][0], 8000);
    gain_volume(&g, (uint16_t[]){32768, 65535}, 2);
    gain_apply(&g, frames, ARRAY_SIZE(frames), 48000);
    assert_in_range(frames[4799][0], 999, 1001); /* an eighth */
    assert_int_equal(frames[4799][1], 8000);
    for (size_t i = 1; i < ARRAY_SIZE(frames); i++)
        assert_in_range(frames[i - 1][0] - frames[i][0], 0, 18); /* in 10 ms */
    gain_mute(&g, true);
    gain_apply(&g, frames, 600, 48000);
    assert_int_equal(frames[599][1], 0);
    gain_volume(&g, (uint16_t[]){65535}, 1);
    gain_volume(&g, NULL, 0);
    gain_apply(&g, frames, 600, 48000);
    assert_int_equal(frames[599][0], 0);
    gain_mute(&g, false);
    frames[4799][0] = -32768;
    gain_apply(&g, frames, ARRAY_SIZE(frames), 48000);
    assert_int_equal(frames[4799][0], -32768);
}

/* One stall is no rule, two are. */
static void test_lateness(void **state UNUSED)
{
    struct lateness l;
    uint64_t late;

    lateness_reset(&l);
    assert_true(lateness_most(&l) < 0);
    for (unsigned i = 0; i < 1000; i++) {
        late = i == 500 ? 300000000 : i % 2 * 1000000;
        lateness_add(&l, i * 10000000ull, 5000000000ull + i * 10000000ull + late);
    }
    assert_int_equal(lateness_most(&l), 1000000);
    assert_int_equal(lateness_add(&l, 10000000000ull, 15200000000ull), 200000000);
    assert_int_equal(lateness_most(&l), 200000000);
    for (unsigned i = 1000; i < 5000; i++)
        lateness_add(&l, i * 10000000ull, 5000000000ull + i * 10000000ull);
    assert_true(lateness_most(&l) <= 1000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_even),  cmocka_unit_test(test_jitter), cmocka_unit_test(test_much_jitter),
        cmocka_unit_test(test_drift), cmocka_unit_test(test_stall),  cmocka_unit_test(test_loss),
        cmocka_unit_test(test_short), cmocka_unit_test(test_least),  cmocka_unit_test(test_flood),
        cmocka_unit_test(test_gain),  cmocka_unit_test(test_lateness), cmocka_unit_test(test_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
