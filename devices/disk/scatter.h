/*
 * scatter.h - a position in scattered memory: `skip` bytes into a list of iovecs. Lists are the caller's and are never
 * changed; every function stays inside the list (what lies past its end is ignored).
 */
#ifndef DEVICES_DISK_SCATTER_H
#define DEVICES_DISK_SCATTER_H

#include "base/base.h"

#include <sys/uio.h>

struct scatter {
    const struct iovec *iov;
    unsigned count;
    size_t skip;
};

static inline struct scatter scatter_at(const struct scatter *s, size_t offset)
{
    return (struct scatter){s->iov, s->count, s->skip + offset};
}

void scatter_read(const struct scatter *from, void *to, size_t bytes);
void scatter_write(const struct scatter *to, const void *from, size_t bytes);
void scatter_zero(const struct scatter *to, size_t bytes);
/* The pieces of [0, bytes) into out, which has room for s->count; returns how many. */
unsigned scatter_slice(const struct scatter *s, size_t bytes, struct iovec *out);
/* All pieces of [0, bytes) start and end at multiples of align. */
bool scatter_aligned(const struct scatter *s, size_t bytes, size_t align);

#endif
