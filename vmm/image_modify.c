/* image_modify.c - "minivm image resize" and "commit". */
#include "vmm/image_tool.h"

#include "base/error.h"
#include "devices/disk/copy.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

struct resizing {
    struct image *image;
    uint64_t size;
};

static int resize_fiber(void *arg)
{
    const struct resizing *r = arg;

    return r->image->ops->resize(r->image, r->size);
}

static int resize_image(struct image_job *job, struct image *image, uint64_t size)
{
    struct resizing r = {image, size};
    struct stat st;

    if (fstat(image_file(image)->fd, &st) == 0 && !S_ISREG(st.st_mode) && strcmp(image->ops->format, "raw") == 0)
        return fail(-EINVAL, "'%s' is a block device, whose size is not ours to change", image->name);
    return image_job_run(job, 1, resize_fiber, &r);
}

/* "+1G", "-1G" and "1G". */
static int new_size(const char *text, uint64_t old, uint64_t *size)
{
    uint64_t bytes;
    int err = parse_size(text + (*text == '+' || *text == '-'), 1, &bytes);

    if (err)
        return err;
    bytes = ALIGN_UP(bytes, DISK_SECTOR);
    *size = *text == '+' ? old + bytes : *text == '-' ? old - bytes : bytes;
    if ((*text == '-' && bytes > old) || *size > INT64_MAX)
        return fail(-EINVAL, "'%s' is more than there is", text);
    return 0;
}

static int resize(const struct image_args *args, struct image_job *job, struct image *image)
{
    uint64_t size;
    int err = new_size(args->words[1], image->size, &size);

    if (err)
        return err;
    if (size < image->size && !args->shrink)
        return fail(-EINVAL,
                    "disk '%s' would become smaller, and lose what lies past its new end; add --shrink if that "
                    "is meant",
                    args->words[0]);
    err = image_job_start(job);
    return err ? err : resize_image(job, image, size);
}

static int run_resize(struct image_args *args)
{
    struct disk_options options = image_open_options(args, args->words[0]);
    struct image_job job;
    struct image *image;

    if (image_begin(&job, &image, &options))
        return image_failed();
    return image_end(&job, resize(args, &job, image));
}

static const struct option_def *const resize_options[] = {
    &IMAGE_OPTION(format),
    &IMAGE_OPTION(shrink),
    &IMAGE_OPTION(trust_backing),
    NULL,
};

const struct image_command image_command_resize = {
    .name = "resize",
    .usage = "resize [OPTION...] IMAGE [+|-]SIZE\n\n"
             "Makes a disk as large as SIZE says, or larger or smaller by it. What is new reads as zeroes.",
    .options = resize_options,
    .least = 2,
    .most = 2,
    .run = run_resize,
};

static int empty_fiber(void *image)
{
    int err = qcow2_make_empty(image);

    return err ? fail(err, "disk '%s' cannot be emptied: %s", ((struct image *)image)->name, strerror(-err)) : 0;
}

/* The image is emptied when what it held is safe below. */
static int commit(const struct image_args *args, struct image_job *job, struct image *top)
{
    struct image_copy copy = {
        .from = top, .to = top->backing, .top_only = true, .progress = image_progress, .opaque = job};
    int err;

    if (!copy.to)
        return fail(-EINVAL, "disk '%s' has no backing file that it could be written to", args->words[0]);
    err = image_job_start(job);
    if (!err && copy.to->size < top->size)
        err = resize_image(job, copy.to, top->size);
    if (!err)
        err = image_copy_run(job, &copy);
    if (!err && (err = image_job_run(job, 1, image_job_sync, copy.to)))
        fail(err, "disk '%s' cannot be written: %s", copy.to->name, strerror(-err));
    image_progress(NULL, err ? 0 : 1, 1);
    return err || args->keep ? err : image_job_run(job, 1, empty_fiber, top);
}

static int run_commit(struct image_args *args)
{
    struct disk_options options = image_open_options(args, args->words[0]);
    struct image_job job;
    struct image *image;
    int err = image_job_init(&job);

    job.context.write_backing = true;
    if (!err)
        err = image_job_open(&job, &image, &options);
    return image_end(&job, err ? err : commit(args, &job, image));
}

static const struct option_def *const commit_options[] = {
    &IMAGE_OPTION(format),
    &IMAGE_OPTION(keep),
    &IMAGE_OPTION(trust_backing),
    NULL,
};

const struct image_command image_command_commit = {
    .name = "commit",
    .usage = "commit [OPTION...] IMAGE\n\n"
             "Writes what an image holds to its backing file, and then empties the image.",
    .options = commit_options,
    .least = 1,
    .most = 1,
    .run = run_commit,
};
