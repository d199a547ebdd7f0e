/* clocks.h - seconds, of the wall and of the CPU. */
#ifndef TESTS_DISPLAY_CLOCKS_H
#define TESTS_DISPLAY_CLOCKS_H

#include <time.h>

static inline double seconds_of(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static inline double wall_seconds(void)
{
    return seconds_of(CLOCK_MONOTONIC);
}

static inline double process_cpu(void)
{
    return seconds_of(CLOCK_PROCESS_CPUTIME_ID);
}

static inline double thread_cpu(void)
{
    return seconds_of(CLOCK_THREAD_CPUTIME_ID);
}

#endif
