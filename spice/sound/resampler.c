#include "spice/sound/resampler.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#define PHASES 128 /* between them the table is interpolated: the error is below 16 bits' own noise */
#define REACH  16  /* at the same rate: 20 kHz pass at 48 */
#define BETA   8.0 /* of the window: 80 dB */

static double bessel_i0(double x)
{
    double sum = 1, term = 1;

    for (int n = 1; term > 1e-12 * sum; n++) {
        term *= x / (2 * n) * (x / (2 * n));
        sum += term;
    }
    return sum;
}

/* x in frames of the input; cutoff as a part of half its rate. */
static double kernel(double x, double cutoff, double reach)
{
    double y = x / reach;

    if (y <= -1 || y >= 1)
        return 0;
    return cutoff * (fabs(x) < 1e-9 ? 1 : sin(M_PI * cutoff * x) / (M_PI * cutoff * x)) *
           bessel_i0(BETA * sqrt(1 - y * y)) / bessel_i0(BETA);
}

/* All taps of a phase weigh one together, so that a constant stays what it is. */
static void fill_phase(float *row, unsigned reach, double part, double cutoff)
{
    double sum = 0;

    for (unsigned i = 0; i < 2 * reach; i++)
        sum += kernel((double)i - reach + 1 - part, cutoff, reach);
    for (unsigned i = 0; i < 2 * reach; i++)
        row[i] = (float)(kernel((double)i - reach + 1 - part, cutoff, reach) / sum);
}

int resampler_init(struct resampler *r, uint32_t rate_in, uint32_t rate_out)
{
    double cutoff = rate_out < rate_in ? (double)rate_out / rate_in : 1;

    *r = (struct resampler){.reach = (unsigned)MIN(ceil(REACH / cutoff), RESAMPLER_MOST)};
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

static int16_t to_sample(float x)
{
    return (int16_t)lrintf(x > 32767 ? 32767 : x < -32768 ? -32768 : x);
}

void resampler_frame(const struct resampler *r, const int16_t (*at)[2], double part, int16_t out[2])
{
    unsigned taps = 2 * r->reach, phase = MIN((unsigned)(part * PHASES), PHASES - 1u);
    const float *a = r->table + (size_t)phase * taps, *b = a + taps;
    float f = (float)(part * PHASES) - (float)phase, left = 0, right = 0;

    at -= r->reach - 1;
    for (unsigned i = 0; i < taps; i++) {
        float k = a[i] + f * (b[i] - a[i]);

        left += k * at[i][0];
        right += k * at[i][1];
    }
    out[0] = to_sample(left);
    out[1] = to_sample(right);
}
