/*
 * tempo.h - how often what is shown changes, and how long that takes after what the user does: part of struct screen, under
 * its lock.
 *
 * A frame is a turn of the session's loop in which something was drawn. A latency is from a key or button that goes down, or
 * a motion, to the first change after it, if there is one within a second, whether that was its answer or not: where things
 * move by themselves it says little.
 */
#ifndef CLIENT_TEMPO_H
#define CLIENT_TEMPO_H

#include "base/base.h"

#define TEMPO_LATENCIES 256 /* the last so many are kept */

struct tempo {
    uint64_t frames;
    uint64_t began_ms, ended_ms; /* the turns of the first and the last one, as uv_now() has them */
    uint64_t asked_ns;           /* the first input that no change has followed yet; 0: none */
    uint64_t answered;           /* latencies measured; the n-th is at n % TEMPO_LATENCIES */
    uint32_t latency_us[TEMPO_LATENCIES];
};

void tempo_input(struct tempo *p, uint64_t now_ns);
/* Something was drawn; turn: uv_now() of the loop. */
void tempo_drawn(struct tempo *p, uint64_t turn);
/* Frames a second, from the first to the last; 0 if there were fewer than two. */
double tempo_rate(const struct tempo *p);
/* In milliseconds: of those that are kept the given part is not slower. Negative: there is none. */
double tempo_latency_ms(const struct tempo *p, double part);

#endif
