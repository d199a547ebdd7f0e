#include "client/tempo.h"

#include <stdlib.h>
#include <string.h>
#include <uv.h>

#define LONGEST_NS 1000000000ull /* what changes later is no answer */

void tempo_input(struct tempo *p, uint64_t now_ns)
{
    if (!p->asked_ns || now_ns - p->asked_ns > LONGEST_NS)
        p->asked_ns = now_ns;
}

void tempo_drawn(struct tempo *p, uint64_t turn)
{
    uint64_t waited = p->asked_ns ? uv_hrtime() - p->asked_ns : UINT64_MAX;

    if (waited <= LONGEST_NS)
        p->latency_us[p->answered++ % TEMPO_LATENCIES] = (uint32_t)(waited / 1000);
    p->asked_ns = 0;
    if (p->frames && p->ended_ms == turn)
        return;
    if (!p->frames++)
        p->began_ms = turn;
    p->ended_ms = turn;
}

double tempo_rate(const struct tempo *p)
{
    return p->frames < 2 ? 0 : 1000.0 * (double)(p->frames - 1) / (double)(p->ended_ms - p->began_ms);
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

double tempo_latency_ms(const struct tempo *p, double part)
{
    size_t n = (size_t)MIN(p->answered, TEMPO_LATENCIES);
    uint32_t sorted[TEMPO_LATENCIES];

    if (!n)
        return -1;
    memcpy(sorted, p->latency_us, n * sizeof(*sorted));
    qsort(sorted, n, sizeof(*sorted), compare);
    return sorted[MIN(n - 1, (size_t)(part * (double)n))] / 1000.0;
}
