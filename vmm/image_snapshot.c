#include "vmm/image_tool.h"

#include "base/error.h"
#include "devices/disk/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

static const struct verb {
    const char *name;
    int (*change)(struct image *image, const char *name); /* NULL: list */
} verbs[] = {
    {"list", NULL},
    {"create", qcow2_snapshot_create},
    {"apply", qcow2_snapshot_apply},
    {"delete", qcow2_snapshot_delete},
};

struct change {
    const struct verb *verb;
    struct image *image;
    const char *name;
};

static int change_fiber(void *arg)
{
    const struct change *c = arg;

    return c->verb->change(c->image, c->name);
}

static int change(const struct image_args *args, const struct verb *verb)
{
    struct disk_options options = image_open_options(args, args->words[1]);
    struct change c = {.verb = verb, .name = args->words[2]};
    struct image_job job;
    int err;

    options.ignore_backing = true;
    if (image_begin(&job, &c.image, &options))
        return image_failed();
    err = strcmp(c.image->ops->format, "qcow2") == 0
              ? image_job_start(&job)
              : fail(-EINVAL, "disk '%s' is %s, which has no internal snapshots", args->words[1], c.image->ops->format);
    if (!err)
        err = image_job_run(&job, 1, change_fiber, &c);
    return image_end(&job, err);
}

static int list(const struct image_args *args)
{
    const char *path = args->words[1];
    struct qcow2_info info = {0};
    struct disk_file file;
    int err = disk_file_open(&file, NULL, path, path, true, DISK_CACHE_WRITEBACK);

    if (err)
        return image_failed();
    if (!args->shared)
        err = disk_lock(file.fd, path, false);
    if (!err)
        err = qcow2_get_info(&file, path, &info);
    if (!err)
        image_print_snapshots(&info.snapshots);
    qcow2_snapshots_free(&info.snapshots);
    disk_file_close(&file);
    return err ? image_failed() : IMAGE_OK;
}

static int run(struct image_args *args)
{
    for (unsigned i = 0; i < ARRAY_SIZE(verbs); i++) {
        if (strcmp(args->words[0], verbs[i].name) != 0)
            continue;
        if (args->count == (verbs[i].change ? 3 : 2))
            return verbs[i].change ? change(args, &verbs[i]) : list(args);
        fail(-EINVAL, verbs[i].change ? "snapshot %s takes an image and a name" : "snapshot %s takes an image",
             verbs[i].name);
        return image_failed();
    }
    fail(-EINVAL, "snapshot '%s': it is list, create, apply or delete", args->words[0]);
    return image_failed();
}

static const struct option_def *const options[] = {&IMAGE_OPTION(shared), NULL};

const struct image_command image_command_snapshot = {
    .name = "snapshot",
    .usage = "snapshot list IMAGE\n"
             "       minivm image snapshot create|apply|delete IMAGE NAME\n\n"
             "Internal snapshots of a qcow2 image: shows them, makes one, sets the disk back to one, or deletes it.",
    .options = options,
    .least = 1,
    .most = 3,
    .run = run,
};
