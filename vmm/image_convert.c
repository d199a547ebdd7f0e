#include "vmm/image_tool.h"

#include "base/error.h"
#include "devices/disk/copy.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int open_source(const struct image_args *args, struct image_job *job, struct image **image)
{
    struct disk_options options = image_open_options(args, args->words[0]);
    int err;

    options.read_only = true;
    err = image_job_open(job, image, &options);
    if (err || !args->snapshot)
        return err;
    if (strcmp((*image)->ops->format, "qcow2") != 0)
        return fail(-EINVAL, "disk '%s' is %s, which has no internal snapshots", args->words[0], (*image)->ops->format);
    return qcow2_show_snapshot(*image, args->snapshot);
}

static int open_target(const struct image_args *args, struct image_job *job, struct image **image)
{
    struct disk_options options = {.path = args->words[1],
                                   .format = args->to_format ? args->to_format : "qcow2",
                                   .no_lock = true,
                                   .no_backing_check = true,
                                   .cache = DISK_CACHE_WRITEBACK};

    return image_job_open(job, image, &options);
}

static bool regular(const struct disk_file *file)
{
    struct stat st;

    return fstat(file->fd, &st) == 0 && S_ISREG(st.st_mode);
}

static int copy(const struct image_args *args, struct image_job *job, struct image *from, const struct disk_file *made)
{
    struct image_copy copy = {.from = from,
                              .differing = args->backing,
                              .compress = args->compress,
                              .progress = image_progress,
                              .opaque = job};
    int err = open_target(args, job, &copy.to);

    if (err)
        return err;
    copy.starts_zeroed = !args->backing && (regular(made) || strcmp(copy.to->ops->format, "qcow2") == 0);
    err = image_job_start(job);
    if (!err)
        err = image_copy_run(job, &copy);
    image_progress(NULL, err ? 0 : 1, 1);
    return err;
}

static int convert(const struct image_args *args, struct image_job *job)
{
    const char *target = args->words[1];
    bool was_there = access(target, F_OK) == 0;
    struct disk_file made;
    struct image *from;
    int err = open_source(args, job, &from);

    if (!err)
        err = image_make(args, target, from->size, &made);
    if (err)
        return err;
    err = copy(args, job, from, &made);
    disk_file_close(&made);
    if (err && !was_there)
        unlink(target);
    return err;
}

static int run(struct image_args *args)
{
    struct image_job job;

    if (image_job_init(&job)) {
        fail(-ENOMEM, "no event loop");
        return image_failed();
    }
    return image_end(&job, convert(args, &job));
}

static const struct option_def *const options[] = {
    &IMAGE_OPTION(from),          &IMAGE_OPTION(to),
    &IMAGE_OPTION(snapshot),      &IMAGE_OPTION(compress),
    &IMAGE_OPTION(backing),       &IMAGE_OPTION(backing_format),
    &IMAGE_OPTION(trust_backing), &IMAGE_OPTION(cluster_size),
    &IMAGE_OPTION(version),       &IMAGE_OPTION(refcount_bits),
    &IMAGE_OPTION(compression),   &IMAGE_OPTION(lazy_refcounts),
    &IMAGE_OPTION(force),         NULL,
};

const struct image_command image_command_convert = {
    .name = "convert",
    .usage =
        "convert [OPTION...] SOURCE TARGET\n\n"
        "Copies a disk into a new image. Zeroes take no space there; over a --backing file only what differs does.",
    .options = options,
    .least = 2,
    .most = 2,
    .run = run,
};
