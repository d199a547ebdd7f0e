#include "client/gain.h"

#include <math.h>

#define RAMP_S 0.010f /* over the whole scale */

static void choose(struct gain *g)
{
    for (unsigned c = 0; c < 2; c++)
        g->wanted[c] = g->mute ? 0 : g->volume[c];
}

void gain_init(struct gain *g)
{
    *g = (struct gain){{1, 1}, {1, 1}, {1, 1}, false};
}

void gain_volume(struct gain *g, const uint16_t *volume, unsigned count)
{
    if (!count)
        return;
    for (unsigned c = 0; c < 2; c++) {
        float v = (float)volume[MIN(c, count - 1)] / UINT16_MAX;

        g->volume[c] = v * v * v;
    }
    choose(g);
}

void gain_mute(struct gain *g, bool mute)
{
    g->mute = mute;
    choose(g);
}

static float step_to(float now, float wanted, float step)
{
    return wanted > now ? MIN(wanted, now + step) : MAX(wanted, now - step);
}

void gain_apply(struct gain *g, int16_t (*frames)[2], unsigned count, uint32_t rate)
{
    float step = 1 / (RAMP_S * (float)rate);

    if (g->now[0] == 1 && g->now[1] == 1 && g->wanted[0] == 1 && g->wanted[1] == 1)
        return;
    for (unsigned i = 0; i < count; i++)
        for (unsigned c = 0; c < 2; c++) {
            g->now[c] = step_to(g->now[c], g->wanted[c], step);
            frames[i][c] = (int16_t)lrintf((float)frames[i][c] * g->now[c]);
        }
}
