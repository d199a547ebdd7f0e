#include "spice/server/rate.h"

#include <linux/tcp.h> /* the C library's tcp_info has no rate */
#include <netinet/in.h>
#include <sys/socket.h>

/* 10 and 20 Mbit/s: what is in between stays what it was. */
#define SLOW (10 * 1000 * 1000 / 8)
#define FAST (2 * SLOW)

void rate_set(struct rate *r, uint64_t bytes_per_s)
{
    r->bytes_per_s = bytes_per_s;
    r->slow = bytes_per_s && bytes_per_s < (r->slow ? FAST : SLOW);
}

/*
 * Only what was measured while there was more to send: a burst of a few packets passes many a slow way at any speed. When
 * the way has become faster, the next large picture shows it.
 */
void rate_measure(struct rate *r, int fd)
{
    struct tcp_info info = {0};
    socklen_t size = sizeof(info);

    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 && !info.tcpi_delivery_rate_app_limited)
        rate_set(r, info.tcpi_delivery_rate);
}
