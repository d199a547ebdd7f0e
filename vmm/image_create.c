#include "vmm/image_tool.h"

#include "base/error.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A backing file is named as seen from the folder of the image. */
static int backing_path(const struct image_args *args, char path[PATH_MAX])
{
    char *copy = strdup(args->words[0]);

    if (!copy)
        return fail(-ENOMEM, "out of memory");
    snprintf(path, PATH_MAX, "%s%s%s", args->backing[0] == '/' ? "" : dirname(copy), args->backing[0] == '/' ? "" : "/",
             args->backing);
    free(copy);
    return 0;
}

/* It must be there, and be an image; its size is the new one's if nothing else is said. */
static int backing_size(const struct image_args *args, uint64_t *size)
{
    struct disk_options options = image_open_options(args, NULL);
    char path[PATH_MAX];
    struct image_job job;
    struct image *image;
    int err = backing_path(args, path);

    options.path = path;
    options.format = args->backing_format;
    options.read_only = true;
    if (!err)
        err = image_begin(&job, &image, &options);
    if (err)
        return err;
    *size = image->size;
    image_job_end(&job);
    return 0;
}

static int create(const struct image_args *args)
{
    uint64_t size = 0;
    struct disk_file file;
    int err = 0;

    if (args->backing && args->backing_format)
        err = backing_size(args, &size);
    if (!err && args->count > 1)
        err = parse_size(args->words[1], 1, &size);
    else if (!err && !args->backing)
        err = fail(-EINVAL, "how large? Give a size such as 20G");
    if (!err)
        err = image_make(args, args->words[0], ALIGN_UP(size, DISK_SECTOR), &file);
    if (!err)
        disk_file_close(&file);
    return err;
}

static int run(struct image_args *args)
{
    return create(args) ? image_failed() : IMAGE_OK;
}

static const struct option_def *const options[] = {
    &IMAGE_OPTION(new_format),
    &IMAGE_OPTION(backing),
    &IMAGE_OPTION(backing_format),
    &IMAGE_OPTION(trust_backing),
    &IMAGE_OPTION(cluster_size),
    &IMAGE_OPTION(version),
    &IMAGE_OPTION(refcount_bits),
    &IMAGE_OPTION(compression),
    &IMAGE_OPTION(lazy_refcounts),
    &IMAGE_OPTION(force),
    NULL,
};

const struct image_command image_command_create = {
    .name = "create",
    .usage = "create [OPTION...] IMAGE [SIZE]\n\n"
             "Makes an empty image of a disk of SIZE (512M, 20G), or as large as its backing file.",
    .options = options,
    .least = 1,
    .most = 2,
    .run = run,
};
