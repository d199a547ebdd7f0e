/*
 * fuzz_other_cpu.h - a second CPU of a hostile guest: a thread that changes words of memory and puts them back while a
 * device works on them, so that what is checked may not be what is used. What it does follows from a seed; when it does it
 * is chance, so a finding may take several runs to come again.
 */
#ifndef TESTS_FUZZ_OTHER_CPU_H
#define TESTS_FUZZ_OTHER_CPU_H

#include "base/bytes.h"

#include <pthread.h>
#include <stdlib.h>

#define OTHER_CPU_TOGGLES 64 /* of one word, before the next */

struct other_cpu {
    pthread_t thread;
    uint8_t *memory;
    size_t size;
    uint64_t state; /* of the pseudo-random numbers; not 0 */
    bool running, stop;
};

static inline uint64_t other_cpu_random(struct other_cpu *cpu)
{
    cpu->state ^= cpu->state << 13;
    cpu->state ^= cpu->state >> 7;
    cpu->state ^= cpu->state << 17;
    return cpu->state;
}

/* What a check has not seen: a little more, a little less, the other sign, too much, one bit. */
static inline uint32_t other_cpu_change(struct other_cpu *cpu, uint32_t old)
{
    uint64_t random = other_cpu_random(cpu);
    const uint32_t values[] = {old + 1, old - 1, 0, UINT32_MAX, old ^ 1u << (random >> 8) % 32, ~old, (uint32_t)(random >> 32)};

    return values[random % ARRAY_SIZE(values)];
}

static inline void *other_cpu_run(void *arg)
{
    struct other_cpu *cpu = arg;

    while (!__atomic_load_n(&cpu->stop, __ATOMIC_RELAXED)) {
        uint32_t *word = (uint32_t *)cpu->memory + other_cpu_random(cpu) % (cpu->size / sizeof(*word));
        uint32_t old = __atomic_load_n(word, __ATOMIC_RELAXED), changed = other_cpu_change(cpu, old);

        for (unsigned i = 0; i < OTHER_CPU_TOGGLES; i++) {
            __atomic_store_n(word, changed, __ATOMIC_RELAXED);
            __atomic_store_n(word, old, __ATOMIC_RELAXED);
        }
    }
    return NULL;
}

static inline void other_cpu_stop(struct other_cpu *cpu)
{
    if (!cpu->running)
        return;
    __atomic_store_n(&cpu->stop, true, __ATOMIC_RELAXED);
    pthread_join(cpu->thread, NULL);
    cpu->running = false;
}

/* memory: its size is a multiple of 4. One that runs already goes on there. */
static inline void other_cpu_start(struct other_cpu *cpu, void *memory, size_t size, uint64_t seed)
{
    other_cpu_stop(cpu);
    *cpu = (struct other_cpu){.memory = memory, .size = size, .state = seed | 1, .running = true};
    if (pthread_create(&cpu->thread, NULL, other_cpu_run, cpu))
        abort();
}

#endif
