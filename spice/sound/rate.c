#include "spice/sound/rate.h"

#include <string.h>

int sound_rate_init(struct sound_rate *s, uint32_t in, uint32_t out)
{
    int err;

    memset(s, 0, sizeof(*s));
    err = resampler_init(&s->resampler, in, out);
    if (err)
        return err;
    s->in = in;
    s->out = out;
    s->at = s->end = s->resampler.reach; /* silence before the first */
    return 0;
}

void sound_rate_fini(struct sound_rate *s)
{
    resampler_fini(&s->resampler);
    s->in = 0;
}

/* What the resampler looks at no more makes room. */
void sound_rate_push(struct sound_rate *s, const int16_t (*frames)[2], size_t count)
{
    size_t done = s->at - MIN(s->at, s->resampler.reach);

    memmove(s->frames, s->frames + done, (s->end - done) * sizeof(*s->frames));
    s->at -= done;
    s->end -= done;
    memcpy(s->frames + s->end, frames, count * sizeof(*frames));
    s->end += count;
}

bool sound_rate_pull(struct sound_rate *s, int16_t out[2])
{
    if (s->at + s->resampler.reach >= s->end)
        return false;
    resampler_frame(&s->resampler, (const int16_t(*)[2])s->frames + s->at, (double)s->part / s->out, out);
    s->part += s->in;
    s->at += s->part / s->out;
    s->part %= s->out;
    return true;
}
