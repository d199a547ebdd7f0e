#include "client/speaker.h"

#define USUAL_RATE 48000

void speaker_init(struct speaker *s)
{
    *s = (struct speaker){.rate_out = USUAL_RATE};
    pthread_mutex_init(&s->lock, NULL);
    jitter_init(&s->jitter);
    gain_init(&s->gain);
}

void speaker_fini(struct speaker *s)
{
    jitter_fini(&s->jitter);
    pthread_mutex_destroy(&s->lock);
}

int speaker_start(struct speaker *s, uint32_t rate)
{
    int err;

    pthread_mutex_lock(&s->lock);
    err = jitter_start(&s->jitter, rate, s->rate_out);
    pthread_mutex_unlock(&s->lock);
    return err;
}

void speaker_end(struct speaker *s)
{
    pthread_mutex_lock(&s->lock);
    jitter_end(&s->jitter);
    pthread_mutex_unlock(&s->lock);
}

double speaker_push(struct speaker *s, const int16_t *samples, unsigned channels, size_t frames, uint64_t now_ns)
{
    double delay;

    pthread_mutex_lock(&s->lock);
    if (!s->deaf)
        jitter_push(&s->jitter, samples, channels, frames, now_ns);
    /* Not before it has begun: until then it is what it will be. */
    delay = s->jitter.gathering || s->deaf ? s->jitter.wanted : jitter_delay(&s->jitter, now_ns);
    delay += s->period;
    pthread_mutex_unlock(&s->lock);
    return delay;
}

void speaker_volume(struct speaker *s, const uint16_t *volume, unsigned count)
{
    pthread_mutex_lock(&s->lock);
    gain_volume(&s->gain, volume, count);
    pthread_mutex_unlock(&s->lock);
}

void speaker_mute(struct speaker *s, bool mute)
{
    pthread_mutex_lock(&s->lock);
    gain_mute(&s->gain, mute);
    pthread_mutex_unlock(&s->lock);
}

void speaker_set_least(struct speaker *s, uint32_t ms)
{
    pthread_mutex_lock(&s->lock);
    jitter_set_least(&s->jitter, ms);
    pthread_mutex_unlock(&s->lock);
}

void speaker_stats(struct speaker *s, struct jitter_stats *stats)
{
    pthread_mutex_lock(&s->lock);
    *stats = s->jitter.stats;
    pthread_mutex_unlock(&s->lock);
}

void speaker_opened(struct speaker *s, uint32_t rate, double period)
{
    pthread_mutex_lock(&s->lock);
    if (!jitter_set_rate_out(&s->jitter, rate))
        s->rate_out = rate;
    s->period = period;
    s->deaf = false;
    pthread_mutex_unlock(&s->lock);
}

void speaker_closed(struct speaker *s, bool none)
{
    pthread_mutex_lock(&s->lock);
    s->period = 0;
    s->deaf = none;
    pthread_mutex_unlock(&s->lock);
}

void speaker_pull(struct speaker *s, int16_t (*frames)[2], size_t count, uint64_t now_ns)
{
    pthread_mutex_lock(&s->lock);
    jitter_pull(&s->jitter, frames, count, now_ns);
    gain_apply(&s->gain, frames, (unsigned)count, s->rate_out);
    pthread_mutex_unlock(&s->lock);
}
