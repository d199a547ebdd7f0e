#include "spice/sound/resampler.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PHASES 128 /* between them the table is interpolated: the error is below 16 bits' own noise */
#define REACH  16  /* at the same rate: 20 kHz pass at 48 */
#define BETA   8.0 /* of the window: 80 dB */

static double bessel_i0(double x)
{
    double sum = 1, term = 1;

    for (int n = 1; term > 1e-9 * sum; n++) {
        term *= x / (2 * n) * (x / (2 * n));
        sum += term;
    }
    return sum;
}

/* But for a factor. x in frames of the input; cutoff as a part of half its rate. */
static double kernel(double x, double cutoff, double reach)
{
    double y = x / reach;

    if (y <= -1 || y >= 1)
        return 0;
    return (fabs(x) < 1e-9 ? 1 : sin(M_PI * cutoff * x) / (M_PI * cutoff * x)) * bessel_i0(BETA * sqrt(1 - y * y));
}

/* All taps of a phase weigh one together, so that a constant stays what it is. */
static void fill_phase(float *row, unsigned reach, double part, double cutoff)
{
    double sum = 0;

    for (unsigned i = 0; i < 2 * reach; i++) {
        row[i] = (float)kernel((double)i - reach + 1 - part, cutoff, reach);
        sum += row[i];
    }
    for (unsigned i = 0; i < 2 * reach; i++)
        row[i] = (float)(row[i] / sum);
}

int resampler_init(struct resampler *r, uint32_t rate_in, uint32_t rate_out)
{
    double cutoff = rate_out < rate_in ? (double)rate_out / rate_in : 1;

    *r = (struct resampler){.reach = (unsigned)MIN(ceil(REACH / cutoff / 2) * 2, RESAMPLER_MOST)};
    r->table = calloc((size_t)(PHASES + 1) * 2 * r->reach, sizeof(*r->table));
    if (!r->table)
        return -ENOMEM;
    for (unsigned phase = 0; phase <= PHASES; phase++)
        fill_phase(r->table + (size_t)phase * 2 * r->reach, r->reach, (double)phase / PHASES, cutoff);
    return 0;
}

void resampler_fini(struct resampler *r)
{
    free(r->table);
    *r = (struct resampler){0};
}

/* Two frames, or four taps. */
typedef float v4f __attribute__((vector_size(16)));
typedef int16_t v4s __attribute__((vector_size(8)));

static v4f load_frames(const int16_t (*at)[2])
{
    v4s frames;

    memcpy(&frames, at, sizeof(frames));
    return __builtin_convertvector(frames, v4f);
}

static v4f load_taps(const float *taps)
{
    v4f four;

    memcpy(&four, taps, sizeof(four));
    return four;
}

static int16_t to_sample(float x)
{
    return (int16_t)lrintf(x > 32767 ? 32767 : x < -32768 ? -32768 : x);
}

void resampler_frame(const struct resampler *r, const int16_t (*at)[2], double part, int16_t out[2])
{
    size_t taps = 2 * (size_t)r->reach;
    unsigned phase = MIN((unsigned)(part * PHASES), PHASES - 1u);
    const float *a = r->table + phase * taps, *b = a + taps;
    float f = (float)(part * PHASES) - (float)phase;
    v4f sum = {0}, even = {0};

    at -= r->reach - 1;
    for (size_t i = 0; i < taps; i += 4) {
        v4f from = load_taps(a + i), k = from + f * (load_taps(b + i) - from);

        sum += load_frames(at + i) * __builtin_shufflevector(k, k, 0, 0, 1, 1);
        even += load_frames(at + i + 2) * __builtin_shufflevector(k, k, 2, 2, 3, 3);
    }
    sum += even;
    out[0] = to_sample(sum[0] + sum[2]);
    out[1] = to_sample(sum[1] + sum[3]);
}
