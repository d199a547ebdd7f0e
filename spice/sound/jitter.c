#include "spice/sound/jitter.h"

#include "spice/sound/splice.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define AT_FIRST   0.050 /* seconds that packets may be late, before there is anything to know it from */
#define MARGIN     0.005
#define SLOW       0.3   /* of the average of what is beyond the delay */
#define MOST_DRIFT 1e-3  /* a sixtieth of a semitone: nobody hears it */
#define GAIN       0.05  /* of that a second of excess; critically damped: */
#define GAIN_DRIFT (GAIN * GAIN / 4)
#define NOTICED    0.005 /* seconds of excess that are worth the work of resampling, at equal rates */
#define RESTORED   0.001 /* ... that are not any more */
#define SETTLE     2e-4  /* the ratio by which it goes on to the next whole frame then */
#define SPLICE     0.030 /* seconds of excess that are worth one */
#define LACK       0.010 /* ... that there are too few */
#define MUST       0.080 /* ... even one that can be heard */
#define STALL      0.150 /* ... that are left out at once */
#define MOST_UNLIKE 0.1f
#define PAUSE      0.500 /* without a packet: what follows is a sound of its own */

/* Seconds: a piece that is compared, by how much it is moved, cross-fades, what is made up. */
#define COMPARED  0.010
#define LEAST_LAG 0.004
#define MOST_LAG  0.028
#define FADE      0.005
#define MADE_UP   0.020
#define SPLICES   0.060 /* from one to the next */

static size_t frames_of(const struct jitter *j, double seconds)
{
    return (size_t)(seconds * j->rate);
}

/* That is kept of what was heard. */
static size_t lead(const struct jitter *j)
{
    return frames_of(j, COMPARED + MOST_LAG) + 2 * RESAMPLER_MOST;
}

static size_t most(const struct jitter *j)
{
    return frames_of(j, JITTER_LONGEST_MS / 1000.0 * 1.5);
}

static size_t fill(const struct jitter *j)
{
    size_t reach = j->resampler.reach;

    return j->end > j->at + reach ? j->end - j->at - reach : 0;
}

void jitter_init(struct jitter *j)
{
    *j = (struct jitter){.late = AT_FIRST, .wanted = AT_FIRST};
}

void jitter_fini(struct jitter *j)
{
    resampler_fini(&j->resampler);
    free(j->frames);
    *j = (struct jitter){0};
}

static int set_resampler(struct jitter *j, uint32_t rate, uint32_t rate_out)
{
    struct resampler resampler;
    int err = resampler_init(&resampler, rate, rate_out);

    if (err)
        return err;
    resampler_fini(&j->resampler);
    j->resampler = resampler;
    j->rate = rate;
    j->rate_out = rate_out;
    return 0;
}

static int set_rates(struct jitter *j, uint32_t rate, uint32_t rate_out)
{
    int err = set_resampler(j, rate, rate_out);

    if (err)
        return err;
    free(j->frames);
    j->size = 2 * (lead(j) + most(j));
    j->at = j->end = lead(j);
    j->part = 0;
    j->made = 0;
    j->gathering = true;
    j->resting = rate == rate_out;
    j->frames = calloc(j->size, sizeof(*j->frames));
    if (!j->frames)
        j->rate = 0;
    return j->frames ? 0 : -ENOMEM;
}

int jitter_start(struct jitter *j, uint32_t rate, uint32_t rate_out)
{
    lateness_reset(&j->lateness);
    j->position = 0;
    j->pulled_at = 0;
    j->excess = j->ratio = 0;
    j->ended = false;
    if (j->rate == rate && j->rate_out == rate_out)
        return 0;
    j->drift = 0;
    return set_rates(j, rate, rate_out);
}

int jitter_set_rate_out(struct jitter *j, uint32_t rate_out)
{
    if (!j->rate || j->rate_out == rate_out)
        return 0;
    j->resting &= j->rate == rate_out;
    return set_resampler(j, j->rate, rate_out);
}

void jitter_end(struct jitter *j)
{
    j->ended = true;
}

void jitter_set_least(struct jitter *j, uint32_t ms)
{
    j->least = MIN(ms, JITTER_LONGEST_MS) / 1000.0;
}

/* The device takes its frames in one go, and then plays them. */
double jitter_delay(const struct jitter *j, uint64_t now)
{
    double played = j->pulled_at && now > j->pulled_at ? (double)(now - j->pulled_at) / 1e9 : 0;

    if (!j->rate)
        return 0;
    return (double)fill(j) / j->rate - MIN(played, j->pulled / j->rate);
}

/* --- what comes --- */

/* With as much before it as there is, and may be wanted. */
static void move_to(struct jitter *j, size_t at)
{
    size_t have = j->end - j->at, before = MIN(MIN(j->at, at), lead(j));

    memmove(j->frames + at - before, j->frames + j->at - before, (before + have) * sizeof(*j->frames));
    j->at = at;
    j->end = at + have;
}

static void make_room(struct jitter *j, size_t frames)
{
    size_t have = j->end - j->at;

    if (have + frames > most(j)) {
        size_t over = MIN(have, have + frames - most(j));

        j->at += over;
        have -= over;
        j->stats.left_out += over;
    }
    if (j->end + frames > j->size)
        move_to(j, lead(j));
}

static void write_frames(struct jitter *j, const int16_t *samples, unsigned channels, size_t frames)
{
    for (size_t i = 0; i < frames; i++) {
        j->frames[j->end + i][0] = samples[i * channels];
        j->frames[j->end + i][1] = samples[i * channels + channels - 1];
    }
}

/* After something was made up: what of it was not heard yet gives way. */
static void append(struct jitter *j, const int16_t *samples, unsigned channels, size_t frames)
{
    int16_t before[JITTER_HIGHEST_RATE / 200][2];
    size_t left = MIN(j->made, j->end - j->at), fade = MIN(frames, frames_of(j, FADE));
    bool faded = j->made;

    memset(before, 0, sizeof(before));
    memcpy(before, j->frames + j->end - left, MIN(left, fade) * sizeof(*before));
    j->end -= left;
    write_frames(j, samples, channels, frames);
    if (faded)
        splice_fade(j->frames + j->end, (const int16_t(*)[2])before, (unsigned)fade);
    j->end += frames;
    j->made = 0;
}

static void choose_delay(struct jitter *j, double packet)
{
    int64_t late = lateness_most(&j->lateness);
    double period = j->pulled / j->rate;

    if (late >= 0)
        j->late = (double)late / 1e9;
    j->wanted = MIN(MAX(j->late + packet + period + MARGIN, j->least), JITTER_LONGEST_MS / 1000.0);
}

static void control(struct jitter *j, double packet, double late, uint64_t now)
{
    double excess = jitter_delay(j, now) + late - j->wanted;

    j->excess += (excess - j->excess) * MIN(1, packet / SLOW);
    j->drift = CLAMP(j->drift + GAIN_DRIFT * j->excess * packet, -MOST_DRIFT, MOST_DRIFT);
    j->ratio = CLAMP(GAIN * j->excess + j->drift, -MOST_DRIFT, MOST_DRIFT);
    if (j->rate != j->rate_out || fabs(j->excess) > NOTICED)
        j->resting = false;
    else if (fabs(j->excess) < RESTORED)
        j->resting = true;
}

void jitter_push(struct jitter *j, const int16_t *samples, unsigned channels, size_t frames, uint64_t now)
{
    size_t longest = most(j);
    double late;

    if (!j->rate || !frames)
        return;
    if (frames > longest) {
        samples += (frames - longest) * channels;
        frames = longest;
    }
    if (j->position && (double)(now - j->pushed_at) / 1e9 > PAUSE) {
        lateness_reset(&j->lateness);
        j->position = 0;
    }
    /* As of its end: what is long comes late. */
    j->position += frames;
    late = (double)lateness_add(&j->lateness, j->position * 1000000000 / j->rate, now) / 1e9;
    j->pushed_at = now;
    make_room(j, frames);
    append(j, samples, channels, frames);
    choose_delay(j, (double)frames / j->rate);
    if (!j->gathering)
        control(j, (double)frames / j->rate, late, now);
}

/* --- the delay --- */

/* Some frames fewer: what is next fades into what comes so much later. */
static void leave_out(struct jitter *j, unsigned lag)
{
    size_t reach = j->resampler.reach;
    unsigned fade = MIN(lag, (unsigned)frames_of(j, FADE));

    splice_fade(j->frames + j->at + lag, (const int16_t(*)[2])j->frames + j->at, fade);
    memmove(j->frames + j->at + lag - reach, j->frames + j->at - reach, reach * sizeof(*j->frames));
    j->at += lag;
    j->excess -= (double)lag / j->rate;
    j->stats.left_out += lag;
}

/* Some frames more: what is next fades into what was heard so much earlier. */
static void repeat_some(struct jitter *j, unsigned lag)
{
    size_t reach = j->resampler.reach;
    int16_t(*x)[2] = j->frames + j->at;

    splice_fade(x - lag, (const int16_t(*)[2])x, MIN(lag, (unsigned)frames_of(j, FADE)));
    memmove(x - lag - reach, x - reach, reach * sizeof(*x));
    j->at -= lag;
    j->excess += (double)lag / j->rate;
    j->stats.repeated += lag;
}

/* After a stall all that it held up comes at once. */
static void leave_out_stall(struct jitter *j)
{
    unsigned lag = (unsigned)frames_of(j, j->excess), some = (unsigned)frames_of(j, MOST_LAG);
    float unlike;

    if (fill(j) < lag + frames_of(j, COMPARED))
        return;
    lag = splice_period((const int16_t(*)[2])j->frames + j->at, (unsigned)frames_of(j, COMPARED), lag - some, lag, &unlike);
    leave_out(j, lag);
}

/* By how much to move on or back; 0: this is no good place for it. */
static unsigned find_splice(const struct jitter *j, const int16_t (*x)[2])
{
    float unlike;
    unsigned lag = splice_period(x, (unsigned)frames_of(j, COMPARED), (unsigned)frames_of(j, LEAST_LAG),
                                 (unsigned)frames_of(j, MOST_LAG), &unlike);

    return unlike > MOST_UNLIKE && fabs(j->excess) < MUST ? 0 : lag;
}

static void shorten(struct jitter *j)
{
    unsigned lag;

    if (fill(j) < frames_of(j, COMPARED + MOST_LAG))
        return;
    lag = find_splice(j, (const int16_t(*)[2])j->frames + j->at);
    if (lag)
        leave_out(j, lag);
}

static void lengthen(struct jitter *j)
{
    unsigned lag;

    if (fill(j) < frames_of(j, FADE))
        return;
    if (j->at < lead(j))
        move_to(j, lead(j));
    lag = find_splice(j, (const int16_t(*)[2])j->frames + j->at - frames_of(j, COMPARED + MOST_LAG));
    if (lag)
        repeat_some(j, lag);
}

static void keep_delay(struct jitter *j, uint64_t now)
{
    if ((double)(now - j->spliced_at) / 1e9 < SPLICES)
        return;
    if (j->excess > STALL)
        leave_out_stall(j);
    else if (j->excess > SPLICE)
        shorten(j);
    else if (j->excess < -LACK)
        lengthen(j);
    else
        return;
    j->spliced_at = now;
}

/* --- what is heard --- */

static bool may_begin(const struct jitter *j, uint64_t now)
{
    double have = (double)fill(j) / j->rate, waited = (double)(now - j->pushed_at) / 1e9;

    return fill(j) && (j->ended || have >= j->wanted || waited > j->wanted);
}

/* Goes on from the last period, fading. */
static void make_up(struct jitter *j)
{
    size_t compared = frames_of(j, COMPARED), longest = frames_of(j, MOST_LAG), count = frames_of(j, MADE_UP);
    float unlike;
    unsigned lag;

    make_room(j, count);
    lag = splice_period((const int16_t(*)[2])j->frames + j->end - compared - longest, (unsigned)compared,
                        (unsigned)frames_of(j, LEAST_LAG), (unsigned)longest, &unlike);
    for (size_t i = 0; i < count; i++)
        for (unsigned c = 0; c < 2; c++)
            j->frames[j->end + i][c] =
                (int16_t)(j->frames[j->end + i - lag][c] * (int32_t)(count - i) / (int32_t)count);
    j->end += count;
    j->made = count;
    j->stats.underruns++;
    j->stats.made_up += count;
}

/* So that the last frames come out of the resampler. */
static void fade_out(struct jitter *j)
{
    size_t count = j->resampler.reach;

    make_room(j, count);
    memset(j->frames + j->end, 0, count * sizeof(*j->frames));
    j->end += count;
    j->made = count;
}

/* Nothing is left; true: now there is. */
static bool find_more(struct jitter *j)
{
    if (j->gathering || j->made) {
        j->gathering = true;
        return false;
    }
    if (j->ended)
        fade_out(j);
    else
        make_up(j);
    return fill(j);
}

static void advance(struct jitter *j)
{
    double ratio = j->resting ? SETTLE : j->ratio, part = j->part + (double)j->rate / j->rate_out * (1 + ratio);

    j->at += (size_t)part;
    j->part = part - (double)(size_t)part;
    if (j->resting && part >= 2)
        j->part = 0;
}

/* Frame by frame as they are; returns how many. */
static size_t copy(struct jitter *j, int16_t (*out)[2], size_t frames)
{
    frames = MIN(frames, fill(j));
    memcpy(out, j->frames + j->at, frames * sizeof(*out));
    j->at += frames;
    return frames;
}

static size_t play(struct jitter *j, int16_t (*out)[2], size_t frames)
{
    size_t done = 0;

    while (done < frames && (fill(j) || find_more(j))) {
        if (j->resting && j->part == 0) {
            done += copy(j, out + done, frames - done);
            continue;
        }
        resampler_frame(&j->resampler, (const int16_t(*)[2])j->frames + j->at, j->part, out[done++]);
        advance(j);
    }
    return done;
}

void jitter_pull(struct jitter *j, int16_t (*out)[2], size_t frames, uint64_t now)
{
    size_t done = 0;

    if (j->rate && j->gathering && may_begin(j, now))
        j->gathering = false;
    if (j->rate && !j->gathering) {
        keep_delay(j, now);
        done = play(j, out, frames);
    }
    memset(out + done, 0, (frames - done) * sizeof(*out));
    j->pulled_at = now;
    j->pulled = j->rate ? (double)frames * j->rate / j->rate_out : 0;
}
