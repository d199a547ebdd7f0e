/*
 * job.h - images that one command works on, without a machine: opened together, then used by functions in fibers, then
 * closed. For commands such as "minivm image convert".
 *
 * Thread: all of it belongs to the calling thread, and blocks it.
 */
#ifndef DEVICES_DISK_JOB_H
#define DEVICES_DISK_JOB_H

#include "devices/disk/image.h"

#define IMAGE_JOB_MAX 2 /* images, each with what is behind it */

struct image_job {
    struct loop loop;
    struct image_context context;
    struct image *images[IMAGE_JOB_MAX];
    unsigned count;
};

int image_job_init(struct image_job *job);
/* Before image_job_start(). Errors come with fail_text(). The image stays the job's. */
int image_job_open(struct image_job *job, struct image **image, const struct disk_options *options);
/* From here on functions can run, and nothing can be opened. */
int image_job_start(struct image_job *job);
/* Run fn(arg) in `fibers` fibers at the same time until all have returned; the first error. */
int image_job_run(struct image_job *job, unsigned fibers, int (*fn)(void *arg), void *arg);
/* In a fiber, too: what was written to the image becomes durable. */
int image_job_sync(void *image);
/* Whatever was written becomes durable; then close. The first error that lost something. After init, always. */
int image_job_end(struct image_job *job);

#endif
