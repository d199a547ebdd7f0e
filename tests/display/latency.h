/* latency.h - how long it takes from a key to the pixels of the fill that the player answers with (player.h). One thread. */
#ifndef TESTS_DISPLAY_LATENCY_H
#define TESTS_DISPLAY_LATENCY_H

#include "tests/lib/script.h"

struct latency {
    const struct script_primary *screen;
    unsigned wanted, answered;
    double sent; /* wall */
    double *seconds;
};

/* So many are wanted; 0: none. */
void latency_init(struct latency *l, const struct script_primary *screen, unsigned wanted);
/* The key is about to be sent. */
void latency_begin(struct latency *l);
/* Whether the pixels, rows of BGRx, now have what the last key asked for; then it is counted. */
bool latency_look(struct latency *l, const uint8_t *pixels, size_t stride);
bool latency_is_complete(const struct latency *l);
/* Median and 99th percentile of the later half, the rest only warmed up: ", "median_us": ..." */
void latency_print(const struct latency *l);

#endif
