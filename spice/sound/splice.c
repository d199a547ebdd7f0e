#include "spice/sound/splice.h"

#define COARSE 6 /* every so many frames and lags first, then all around the best */

static float difference(const int16_t (*x)[2], unsigned lag, unsigned length, unsigned step)
{
    const int16_t (*y)[2] = x + lag;
    float sum = 0, power = 1;

    for (unsigned i = 0; i < length; i += step)
        for (unsigned c = 0; c < 2; c++) {
            float a = x[i][c], b = y[i][c];

            sum += (a - b) * (a - b);
            power += a * a + b * b;
        }
    return sum / power;
}

unsigned splice_period(const int16_t (*x)[2], unsigned length, unsigned least, unsigned most, float *unlike)
{
    unsigned best = most, from, to;

    *unlike = difference(x, most, length, COARSE);
    for (unsigned lag = least; lag < most; lag += COARSE / 2) {
        float d = difference(x, lag, length, COARSE);

        if (d < *unlike) {
            *unlike = d;
            best = lag;
        }
    }
    from = MAX(least, best - MIN(best, COARSE));
    to = MIN(most, best + COARSE);
    *unlike = difference(x, best, length, 1);
    for (unsigned lag = from; lag <= to; lag++) {
        float d = difference(x, lag, length, 1);

        if (d < *unlike) {
            *unlike = d;
            best = lag;
        }
    }
    return best;
}

void splice_fade(int16_t (*to)[2], const int16_t (*from)[2], unsigned frames)
{
    for (unsigned i = 0; i < frames; i++)
        for (unsigned c = 0; c < 2; c++)
            to[i][c] = (int16_t)(from[i][c] + (to[i][c] - from[i][c]) * (int32_t)i / (int32_t)frames);
}
