#include "vmm/image_tool.h"

#include "base/error.h"
#include "devices/disk/lock.h"
#include "devices/disk/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

static int check_format(const struct image_args *args, const char *path, const struct disk_file *file)
{
    uint8_t head[PROBE_BYTES];
    const char *format = args->format;
    int err = disk_file_read(file, 0, head, sizeof(head));

    if (err)
        return fail(err, "disk '%s' cannot be read: %s", path, strerror(-err));
    if (!format)
        format = probe_format(head);
    if (strcmp(format, "qcow2") != 0)
        return fail(-ENOTSUP, "disk '%s' is %s: there is nothing in it that could be checked", path, format);
    return 0;
}

static int check(const struct image_args *args, struct qcow2_check *result)
{
    const char *path = args->words[0];
    bool writes = args->repair != QCOW2_REPAIR_NOTHING;
    struct disk_file file;
    int err = disk_file_open(&file, NULL, path, path, !writes, DISK_CACHE_WRITEBACK);

    if (err)
        return err;
    if (!args->shared)
        err = disk_lock(file.fd, path, writes);
    if (!err)
        err = check_format(args, path, &file);
    if (!err)
        err = qcow2_check(&file, path, args->repair, result);
    disk_file_close(&file);
    return err;
}

static json_t *json_of(const char *path, const struct qcow2_check *r)
{
    return json_pack("{s:o, s:s, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "filename",
                     image_json_text(path, strlen(path)), "format", "qcow2", "check-errors", 0, "image-end-offset",
                     (json_int_t)r->image_end, "total-clusters", (json_int_t)r->total_clusters, "allocated-clusters",
                     (json_int_t)r->allocated_clusters, "compressed-clusters", (json_int_t)r->compressed_clusters,
                     "corruptions", (json_int_t)r->corruptions, "leaks", (json_int_t)r->leaks, "corruptions-fixed",
                     (json_int_t)r->repaired_corruptions, "leaks-fixed", (json_int_t)r->repaired_leaks);
}

static void print(const struct qcow2_check *r)
{
    if (r->repaired_corruptions || r->repaired_leaks)
        printf("repaired: %llu corruptions, %llu leaked clusters\n", (unsigned long long)r->repaired_corruptions,
               (unsigned long long)r->repaired_leaks);
    if (r->corruptions)
        printf("%llu corruptions: data may be lost, or be lost when the image is written to\n",
               (unsigned long long)r->corruptions);
    if (r->leaks)
        printf("%llu leaked clusters: they waste space, and do no other harm\n", (unsigned long long)r->leaks);
    if (!r->corruptions && !r->leaks)
        printf("no errors\n");
    printf("%llu of %llu clusters are in use, %llu of them compressed; the image ends at %llu\n",
           (unsigned long long)r->allocated_clusters, (unsigned long long)r->total_clusters,
           (unsigned long long)r->compressed_clusters, (unsigned long long)r->image_end);
}

static int run(struct image_args *args)
{
    struct qcow2_check result;

    if (check(args, &result))
        return image_failed();
    if (args->json)
        image_print_json(json_of(args->words[0], &result));
    else
        print(&result);
    return result.corruptions ? IMAGE_CORRUPT : result.leaks ? IMAGE_LEAKS : IMAGE_OK;
}

static const struct option_def *const options[] = {
    &IMAGE_OPTION(format), &IMAGE_OPTION(repair), &IMAGE_OPTION(json), &IMAGE_OPTION(shared), NULL,
};

const struct image_command image_command_check = {
    .name = "check",
    .usage = "check [OPTION...] IMAGE\n\n"
             "Compares a qcow2 image's refcounts with its tables. Status: 0 all is right, 1 it could not be checked,\n"
             "2 corrupt, 3 only leaks; after a repair, of what is left.",
    .options = options,
    .least = 1,
    .most = 1,
    .run = run,
};
