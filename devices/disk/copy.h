/*
 * copy.h - what one image shows, written to another, many pieces at a time. Both belong to one job (job.h).
 */
#ifndef DEVICES_DISK_COPY_H
#define DEVICES_DISK_COPY_H

#include "devices/disk/job.h"

struct image_copy {
    struct image *from, *to; /* `to` is as large as what is copied, or larger */
    bool top_only;           /* only what `from` has itself, not what is behind it */
    bool
        differing; /* only what differs from what is behind `to`, which nobody has written to yet */
    bool starts_zeroed; /* `to` reads as zeroes where nothing was written */
    bool compress;
    void (*progress)(void *opaque, uint64_t done, uint64_t all); /* NULL: nobody looks */
    void *opaque;

    /* The engine's. */
    struct fiber_lock lock; /* held while the next piece is looked for */
    uint64_t grain, next, done;
    bool failed;
};

/* -errno; a failed read comes with fail_text(). Not durable before image_job_end(). */
int image_copy_run(struct image_job *job, struct image_copy *copy);

#endif
