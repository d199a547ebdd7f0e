#include "devices/audio/pace.h"

#define SECOND         1000000000ull
#define TICK_NS        5000000ull
#define MIN_TICK_NS    1000000ull
#define PAUSED_TICK_NS 20000000ull

void pace_start(struct pace *p, uint32_t rate, uint64_t now)
{
    *p = (struct pace){.rate = rate, .since = now};
}

/* The time at which a frame is due. */
static uint64_t time_of(const struct pace *p, uint64_t frame)
{
    return p->since + (frame * SECOND + p->rate - 1) / p->rate;
}

uint32_t pace_due(struct pace *p, uint64_t now, uint32_t most)
{
    uint64_t due;

    if (!p->rate || now <= p->since)
        return 0;
    if (now > time_of(p, p->frames) + PACE_MAX_NS)
        pace_start(p, p->rate, now - PACE_MAX_NS);
    due = (now - p->since) * p->rate / SECOND;
    return due > p->frames ? (uint32_t)MIN(due - p->frames, most) : 0;
}

void pace_take(struct pace *p, uint32_t frames)
{
    p->frames += frames;
    /* Whole seconds go, so that no product grows without end, and nothing is rounded away. */
    while (p->rate && p->frames >= p->rate) {
        p->frames -= p->rate;
        p->since += SECOND;
    }
}

uint64_t pace_tick(const struct pace *p, uint32_t frames, uint64_t now)
{
    uint64_t when;

    if (!p->rate)
        return UINT64_MAX;
    when = time_of(p, p->frames + MAX(frames, 1));
    return when > now ? MAX(MIN(when - now, TICK_NS), MIN_TICK_NS) : MIN_TICK_NS;
}

void pace_set_timer(struct timer *timer, const struct machine *machine, uint64_t tick)
{
    if (tick != UINT64_MAX)
        timer_set(timer, __atomic_load_n(&machine->paused_at, __ATOMIC_ACQUIRE) ? PAUSED_TICK_NS : tick);
}
