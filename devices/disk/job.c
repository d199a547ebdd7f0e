#include "devices/disk/job.h"

#include "base/error.h"

#include <errno.h>
#include <string.h>

int image_job_init(struct image_job *job)
{
    *job = (struct image_job){0};
    fibers_init(&job->context.fibers);
    job->context.oldest = 1;
    return loop_init(&job->loop);
}

int image_job_open(struct image_job *job, struct image **image, const struct disk_options *options)
{
    int err = image_open(image, &job->context, options);

    if (!err)
        job->images[job->count++] = *image;
    return err;
}

int image_job_start(struct image_job *job)
{
    int err = io_create(&job->context.io, &job->loop, job->context.files, job->context.file_count,
                        IO_AUTO);

    return err ? fail(err, "no I/O engine: %s", strerror(-err)) : 0;
}

struct call {
    int (*fn)(void *arg);
    void *arg;
    unsigned running;
    int error;
};

static void call_fiber(void *arg)
{
    struct call *call = arg;
    int err = call->fn(call->arg);

    if (err && !call->error)
        call->error = err;
}

static void call_finished(void *arg)
{
    ((struct call *)arg)->running--;
}

int image_job_run(struct image_job *job, unsigned fibers, int (*fn)(void *arg), void *arg)
{
    struct call call = {.fn = fn, .arg = arg};

    while (fibers--) {
        int err;

        call.running++;
        err = fiber_start(&job->context.fibers, call_fiber, call_finished, &call);
        if (err) {
            call.running--;
            call.error = call.error ? call.error : err;
            break;
        }
    }
    while (call.running)
        io_wait(job->context.io);
    return call.error;
}

int image_job_sync(void *arg)
{
    struct image *image = arg;
    int err = image->ops->flush(image);

    return err ? err : image->ops->sync(image);
}

int image_job_end(struct image_job *job)
{
    struct image_context *context = &job->context;
    int err = 0, first = 0;

    for (unsigned i = 0; i < job->count; i++)
        for (struct image *image = job->images[i]; image && context->io; image = image->backing)
            if (!image->read_only && (err = image_job_run(job, 1, image_job_sync, image)) && !first)
                first = fail(err, "disk '%s': what was written may be lost: %s", image->name,
                             strerror(-err));
    while (job->count)
        image_destroy(job->images[--job->count]);
    io_destroy(context->io);
    fibers_fini(&context->fibers);
    while (context->file_count)
        disk_file_close(&context->files[--context->file_count]);
    loop_fini(&job->loop);
    return first;
}
