/*
 * rate.h - how much the way to a client takes, by the kernel's own measure of the TCP connection: nothing is sent for it.
 * Any thread, one at a time.
 */
#ifndef SPICE_SERVER_RATE_H
#define SPICE_SERVER_RATE_H

#include "base/base.h"

struct rate {
    uint64_t bytes_per_s; /* as last seen while there was more to send; 0: not known */
    bool slow;
};

/* Look again. A socket that is not TCP leaves it unknown. */
void rate_measure(struct rate *r, int fd);
/* The same with what was measured elsewhere. */
void rate_set(struct rate *r, uint64_t bytes_per_s);

#endif
