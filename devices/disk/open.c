#include "devices/disk/image.h"

#include "base/error.h"
#include "base/host_file.h"
#include "devices/disk/lock.h"
#include "devices/disk/probe.h"
#include "devices/disk/qcow2.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* One layer that is to be opened. */
struct layer {
    const char *path;   /* as the file system finds it from here, and as messages show it */
    const char *format; /* NULL: by content */
    bool read_only;
    bool lock_writer; /* lock as writer whatever it is opened for */
    const char *dir;  /* NULL, or the directory that `name`, relative to it, must not leave */
    const char *name;
};

static int open_layer(struct image **image, struct image_context *context,
                      const struct disk_options *options, const struct layer *layer,
                      unsigned depth);

static int too_deep(const char *path)
{
    return fail(-ELOOP,
                "disk '%s' has more than %d layers of backing files, or they form a loop; "
                "merge them with qemu-img convert",
                path, IMAGE_MAX_CHAIN);
}

static int choose_format(const struct disk_file *file, const struct layer *layer,
                         const char **format)
{
    uint8_t head[PROBE_BYTES];
    int err;

    *format = layer->format;
    if (*format)
        return 0;
    err = disk_file_read(file, 0, head, sizeof(head));
    if (err)
        return fail(err, "disk '%s' cannot be read: %s", layer->path, strerror(-err));
    *format = probe_format(head);
    return 0;
}

/* A name from an image is what somebody else wrote: only plain paths, and only where the image itself lies. */
static int check_backing_name(const char *name, const char *path)
{
    const char *colon = strchr(name, ':'), *slash = strchr(name, '/');

    if (colon && (!slash || colon < slash))
        return fail(-EINVAL,
                    "disk '%s' names the backing file '%.100s', which is not a plain path; "
                    "set another with qemu-img rebase -u -b FILE -F FORMAT",
                    path, name);
    return 0;
}

static int check_backing_format(const char *format, const char *path)
{
    if (!*format)
        return fail(-EINVAL,
                    "disk '%s' does not say its backing file's format, and guessing is unsafe; "
                    "set it with qemu-img rebase -u -b FILE -F FORMAT",
                    path);
    return 0;
}

/* The image's directory without symbolic links, and the name in it if that is where it leads. */
static const char *name_below(const char *dir, const char *name)
{
    size_t n = strlen(dir);

    if (name[0] != '/')
        return name;
    if (!strcmp(dir, "/"))
        return name + 1;
    return !strncmp(name, dir, n) && name[n] == '/' ? name + n + 1 : NULL;
}

static int outside(const char *path, const char *name)
{
    return fail(
        -EPERM,
        "disk '%s' has its backing file '%.200s' outside its own directory; add backing=any "
        "to the disk's options if you trust the image",
        path, name);
}

static int open_backing_at(struct image *image, const struct disk_options *options, const char *dir,
                           struct layer *layer, unsigned depth)
{
    const char *below = name_below(dir, layer->name);
    char shown[PATH_MAX];
    int err;

    if (!below && !options->no_backing_check)
        return outside(image->name, layer->name);
    snprintf(shown, sizeof(shown), "%s%s%s", below ? dir : "", below ? "/" : "",
             below ? below : layer->name);
    layer->path = shown;
    layer->name = below;
    layer->dir = options->no_backing_check ? NULL : dir;
    err = open_layer(&image->backing, image->context, options, layer, depth);
    return err == -EXDEV ? outside(image->name, below) : err;
}

static int open_backing(struct image *image, const struct disk_options *options, const char *name,
                        const char *format, unsigned depth)
{
    struct layer layer = {.format = format,
                          .read_only = !image->context->write_backing || depth > 0,
                          .name = name};
    char real[PATH_MAX];
    int err = check_backing_name(name, image->name);

    if (!err)
        err = check_backing_format(format, image->name);
    if (err)
        return err;
    if (depth + 1 >= IMAGE_MAX_CHAIN)
        return too_deep(image->name);
    if (host_folder(image->name, real))
        return fail(-ENOENT, "disk '%s': its directory cannot be found", image->name);
    return open_backing_at(image, options, real, &layer, depth + 1);
}

static int open_format(struct image **image, struct image_context *context, unsigned file,
                       const struct disk_options *options, const struct layer *layer,
                       const char *format, unsigned depth)
{
    char backing_name[IMAGE_MAX_NAME + 1], backing_format[16];
    int err;

    if (!strcmp(format, "raw")) {
        err = raw_open(image, context, file, layer->read_only, !layer->format);
    } else if (!strcmp(format, "qcow2")) {
        err = qcow2_open(image, context, file, layer->read_only, layer->path, backing_name,
                         backing_format);
    } else {
        return fail(-ENOTSUP,
                    "disk '%s' is in the format %s, which is not supported; convert it with "
                    "qemu-img convert -O qcow2",
                    layer->path, format);
    }
    if (err)
        return err;
    (*image)->name = strdup(layer->path);
    if (!(*image)->name)
        return -ENOMEM;
    if (!strcmp(format, "raw") || !*backing_name || options->ignore_backing)
        return 0;
    return open_backing(*image, options, backing_name, backing_format, depth);
}

/* The last file opened is one that an upper layer has open already. */
static bool comes_again(const struct image_context *context)
{
    const struct disk_file *last = &context->files[context->file_count - 1];

    for (const struct disk_file *f = context->files + context->chain; f < last; f++)
        if (f->device == last->device && f->inode == last->inode)
            return true;
    return false;
}

static int open_layer_file(struct image_context *context, const struct disk_options *options,
                           const struct layer *layer)
{
    struct disk_file *file = &context->files[context->file_count];
    int err = disk_file_open(file, layer->dir, layer->dir ? layer->name : layer->path, layer->path,
                             layer->read_only, (int)options->cache);

    if (err)
        return err;
    context->file_count++;
    if (comes_again(context))
        return too_deep(layer->path);
    if (options->no_lock)
        return 0;
    return disk_lock(file->fd, layer->path, !layer->read_only || layer->lock_writer);
}

static int open_layer(struct image **image, struct image_context *context,
                      const struct disk_options *options, const struct layer *layer, unsigned depth)
{
    unsigned file = context->file_count;
    const char *format;
    int err = open_layer_file(context, options, layer);

    if (!err)
        err = choose_format(&context->files[file], layer, &format);
    if (!err)
        err = open_format(image, context, file, options, layer, format, depth);
    return err;
}

int image_open(struct image **image, struct image_context *context,
               const struct disk_options *options)
{
    struct layer layer = {
        .path = options->path,
        .format = options->format,
        .read_only = options->read_only || options->snapshot,
    };
    int err;

    *image = NULL;
    context->chain = context->file_count;
    err = open_layer(image, context, options, &layer, 0);
    if (err) {
        image_destroy(*image);
        *image = NULL;
    }
    return err;
}

struct disk_hold {
    struct image_context context;
};

int disk_hold_create(struct disk_hold **result, const struct disk_options *asked, const char *folder)
{
    struct disk_options options = *asked;
    struct layer layer = {.path = asked->path,
                          .format = asked->format,
                          .read_only = true,
                          .dir = folder,
                          .name = folder ? name_below(folder, asked->path) : NULL};
    struct disk_hold *hold = calloc(1, sizeof(*hold));
    struct image *image = NULL;
    int err;

    if (!hold)
        return -ENOMEM;
    options.cache = DISK_CACHE_WRITEBACK;
    layer.lock_writer = !asked->read_only && !asked->snapshot;
    err = open_layer(&image, &hold->context, &options, &layer, 0);
    image_destroy(image);
    if (err) {
        disk_hold_destroy(hold);
        return err;
    }
    *result = hold;
    return 0;
}

void disk_hold_destroy(struct disk_hold *hold)
{
    if (!hold)
        return;
    while (hold->context.file_count)
        disk_file_close(&hold->context.files[--hold->context.file_count]);
    free(hold);
}
