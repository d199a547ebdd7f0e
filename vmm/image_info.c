#include "vmm/image_tool.h"

#include "base/error.h"
#include "devices/disk/lock.h"
#include "devices/disk/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

/* One file, told about. */
struct told {
    const char *path, *format;
    struct disk_file *file;
    struct qcow2_info qcow2;
    uint64_t size, disk_bytes; /* of the disk, and on the host's disk */
};

static int look(struct told *t, const char *format, const char *path, struct disk_file *file)
{
    uint8_t head[PROBE_BYTES];
    struct stat st;
    int err = disk_file_read(file, 0, head, sizeof(head));

    *t = (struct told){.path = path, .file = file, .format = format ? format : probe_format(head)};
    if (err)
        return fail(err, "disk '%s' cannot be read: %s", path, strerror(-err));
    if (fstat(file->fd, &st) == 0)
        t->disk_bytes = (uint64_t)st.st_blocks * 512;
    t->size = ALIGN_UP(file->size, DISK_SECTOR);
    if (strcmp(t->format, "raw") == 0)
        return 0;
    if (strcmp(t->format, "qcow2") != 0)
        return fail(-ENOTSUP,
                    "disk '%s' is in the format %s, which is not supported; convert it with qemu-img convert "
                    "-O qcow2",
                    path, t->format);
    err = qcow2_get_info(file, path, &t->qcow2);
    t->size = t->qcow2.size;
    return err;
}

static json_t *snapshots_json(const struct qcow2_snapshots *list)
{
    json_t *array = json_array();

    for (uint32_t i = 0; i < list->count; i++) {
        const struct qcow2_snapshot *s = &list->items[i];
        json_t *o =
            json_pack("{s:o, s:o, s:I, s:I, s:I, s:I, s:I}", "id", image_json_text(s->id, s->id_bytes), "name",
                      image_json_text(s->name, s->name_bytes), "vm-state-size", (json_int_t)s->vm_bytes, "date-sec",
                      (json_int_t)s->date_sec, "date-nsec", (json_int_t)s->date_nsec, "vm-clock-sec",
                      (json_int_t)(s->vm_clock / 1000000000), "vm-clock-nsec", (json_int_t)(s->vm_clock % 1000000000));

        if (s->icount != UINT64_MAX)
            json_object_set_new(o, "icount", json_integer((json_int_t)s->icount));
        json_array_append_new(array, o);
    }
    return array;
}

static void add_qcow2_json(json_t *o, const struct qcow2_info *q)
{
    json_t *data = json_pack("{s:s, s:i, s:s}", "compat", q->version < 3 ? "0.10" : "1.1", "refcount-bits",
                             (int)q->refcount_bits, "compression-type", q->zstd ? "zstd" : "zlib");

    if (q->version >= 3) {
        json_object_set_new(data, "corrupt", json_boolean(q->corrupt));
        json_object_set_new(data, "lazy-refcounts", json_boolean(q->lazy_refcounts));
        json_object_set_new(data, "extended-l2", json_false());
    }
    json_object_set_new(o, "cluster-size", json_integer((json_int_t)q->cluster_size));
    if (*q->backing_name)
        json_object_set_new(o, "backing-filename", image_json_text(q->backing_name, strlen(q->backing_name)));
    if (*q->backing_format)
        json_object_set_new(o, "backing-filename-format",
                            image_json_text(q->backing_format, strlen(q->backing_format)));
    if (q->snapshots.count)
        json_object_set_new(o, "snapshots", snapshots_json(&q->snapshots));
    json_object_set_new(o, "format-specific", json_pack("{s:s, s:o}", "type", "qcow2", "data", data));
}

static json_t *json_of(const struct told *t)
{
    json_t *o = json_pack("{s:o, s:s, s:I, s:I, s:b}", "filename", image_json_text(t->path, strlen(t->path)), "format",
                          t->format, "virtual-size", (json_int_t)t->size, "actual-size", (json_int_t)t->disk_bytes,
                          "dirty-flag", t->qcow2.dirty);

    if (t->qcow2.version)
        add_qcow2_json(o, &t->qcow2);
    return o;
}

void image_print_snapshots(const struct qcow2_snapshots *list)
{
    printf("%-4s %-24s %-20s %s\n", "id", "name", "made", "machine state");
    for (uint32_t i = 0; i < list->count; i++) {
        const struct qcow2_snapshot *s = &list->items[i];
        time_t made = s->date_sec;
        char date[32] = "", text[32];
        struct tm tm;

        if (localtime_r(&made, &tm))
            strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S", &tm);
        image_print_text(s->id, s->id_bytes);
        printf("%*s ", MAX(0, 4 - s->id_bytes), "");
        image_print_text(s->name, s->name_bytes);
        printf("%*s %-20s %s\n", MAX(0, 24 - s->name_bytes), "", date, image_size_text(s->vm_bytes, text));
    }
}

static void print_qcow2(const struct qcow2_info *q)
{
    char text[32];

    printf("qcow2 version:    %u\ncluster size:     %s\nrefcount bits:    %u\ncompression:      %s\n", q->version,
           image_size_text(q->cluster_size, text), q->refcount_bits, q->zstd ? "zstd" : "zlib");
    if (q->lazy_refcounts || q->dirty || q->corrupt)
        printf("marks:           %s%s%s\n", q->lazy_refcounts ? " lazy refcounts" : "",
               q->dirty ? " not closed properly" : "", q->corrupt ? " corrupt" : "");
    if (*q->backing_name) {
        printf("backing file:     ");
        image_print_text(q->backing_name, strlen(q->backing_name));
        printf("\nbacking format:   ");
        image_print_text(q->backing_format, strlen(q->backing_format));
        printf("\n");
    }
    if (q->snapshots.count) {
        printf("snapshots:\n");
        image_print_snapshots(&q->snapshots);
    }
}

static void print(const struct told *t)
{
    char size[32], disk[32];

    printf("image:            %s\nformat:           %s\ndisk size:        %s (%llu bytes)\nspace taken:      %s\n",
           t->path, t->format, image_size_text(t->size, size), (unsigned long long)t->size,
           image_size_text(t->disk_bytes, disk));
    if (t->qcow2.version)
        print_qcow2(&t->qcow2);
}

static int tell(const struct image_args *args, const char *format, const char *path, struct disk_file *file,
                json_t *array)
{
    struct told t;
    int err = look(&t, format, path, file);

    if (!err && args->json)
        json_array_append_new(array, json_of(&t));
    else if (!err)
        print(&t);
    qcow2_snapshots_free(&t.qcow2.snapshots);
    return err;
}

static int tell_one(const struct image_args *args, json_t *array)
{
    struct disk_file file;
    int err = disk_file_open(&file, NULL, args->words[0], args->words[0], true, DISK_CACHE_WRITEBACK);

    if (err)
        return err;
    if (!args->shared)
        err = disk_lock(file.fd, args->words[0], false);
    if (!err)
        err = tell(args, args->format, args->words[0], &file, array);
    disk_file_close(&file);
    return err;
}

/* The same rules for what may be opened as for a machine. */
static int tell_chain(const struct image_args *args, json_t *array)
{
    struct disk_options options = image_open_options(args, args->words[0]);
    struct image_job job;
    struct image *image;
    int err;

    options.read_only = true;
    options.no_lock = args->shared;
    err = image_begin(&job, &image, &options);
    if (err)
        return err;
    for (; image && !err; image = image->backing) {
        err = tell(args, image->ops->format, image->name, image_file(image), array);
        if (image->backing && !args->json)
            printf("\n");
    }
    image_job_end(&job);
    return err;
}

static int run(struct image_args *args)
{
    json_t *array = json_array();
    int err = args->chain ? tell_chain(args, array) : tell_one(args, array);

    if (!err && args->json)
        image_print_json(args->chain ? json_incref(array) : json_incref(json_array_get(array, 0)));
    json_decref(array);
    return err ? image_failed() : IMAGE_OK;
}

static const struct option_def *const options[] = {
    &IMAGE_OPTION(format), &IMAGE_OPTION(json),          &IMAGE_OPTION(chain),
    &IMAGE_OPTION(shared), &IMAGE_OPTION(trust_backing), NULL,
};

const struct image_command image_command_info = {
    .name = "info",
    .usage = "info [OPTION...] IMAGE\n\n"
             "Says what an image is. Files that it names are not opened, unless --chain asks for them.",
    .options = options,
    .least = 1,
    .most = 1,
    .run = run,
};
