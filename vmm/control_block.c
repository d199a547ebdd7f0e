/* control_block.c - what --control tells of disks and CD-ROM drives, in QEMU's terms. */
#include "base/host_file.h"
#include "vmm/run_private.h"

#include <errno.h>
#include <stdio.h>

/* Members of QEMU's answer that are always zero here: nothing is throttled. */
static void add_zeroes(json_t *o)
{
    static const char *const names[] = {"bps", "bps_rd", "bps_wr", "iops", "iops_rd", "iops_wr", "write_threshold"};
    size_t i;

    for (i = 0; i < ARRAY_SIZE(names); i++)
        json_object_set_new(o, names[i], json_integer(0));
}

static json_t *image_of(const struct disk *disk)
{
    json_t *image = json_pack("{s:s, s:s, s:I}", "filename", disk->path, "format", disk->ops->format, "virtual-size",
                              (json_int_t)disk->size);
    struct stat st;

    if (host_stat(disk->path, &st) == 0)
        json_object_set_new(image, "actual-size", json_integer((json_int_t)st.st_blocks * 512));
    return image;
}

static json_t *inserted(const struct disk *disk, const struct disk_options *options)
{
    json_t *o = json_pack("{s:s, s:b, s:s, s:b, s:s, s:i, s:o}", "file", disk->path, "ro", disk->read_only, "drv",
                          disk->ops->format, "encrypted", 0, "detect_zeroes", "off", "backing_file_depth",
                          (int)disk->backing_depth, "image", image_of(disk));

    json_object_set_new(o, "cache",
                        json_pack("{s:b, s:b, s:b}", "writeback", 1, "direct",
                                  options->cache == DISK_CACHE_NONE, "no-flush",
                                  options->cache == DISK_CACHE_UNSAFE));
    add_zeroes(o);
    return o;
}

static const char *io_status(const struct run *run, unsigned disk)
{
    int err = run->disk_errors[disk];

    return !err ? "ok" : err == -ENOSPC || err == -EDQUOT ? "nospace" : "failed";
}

static json_t *show(const struct run *run, unsigned n, const struct board_drive *drive)
{
    json_t *o = json_pack("{s:s, s:s, s:b, s:b}", "device", drive->device, "type", "unknown", "removable",
                          drive->removable, "locked", drive->locked);

    if (drive->removable)
        json_object_set_new(o, "tray_open", json_boolean(drive->tray_open));
    json_object_set_new(o, "io-status", json_string(drive->removable ? "ok" : io_status(run, n)));
    if (drive->disk)
        json_object_set_new(o, "inserted", inserted(drive->disk, drive->options));
    return o;
}

/* What `tell` has to say of each drive. */
static json_t *of_all(const struct run *run,
                      json_t *(*tell)(const struct run *run, unsigned n, const struct board_drive *drive))
{
    json_t *all = json_array();
    struct board_drive drive;
    unsigned n;

    for (n = 0; n < BOARD_MAX_DRIVES; n++)
        if (board_drive(run->board, n, &drive))
            json_array_append_new(all, tell(run, n, &drive));
    return all;
}

int control_query_block(void *opaque, const json_t *arguments UNUSED, json_t **result)
{
    *result = of_all(opaque, show);
    return 0;
}

/* --- what was done --- */

static json_int_t get(const uint64_t *field)
{
    return (json_int_t)__atomic_load_n(field, __ATOMIC_RELAXED);
}

static void add(json_t *o, const char *kind, const char *what, json_int_t n)
{
    char name[32];

    snprintf(name, sizeof(name), what, kind);
    json_object_set_new(o, name, json_integer(n + json_integer_value(json_object_get(o, name))));
}

/* Zeroes are writes, as in QEMU. */
static const char *const kinds[DISK_OPS] = {
    [DISK_READ] = "rd", [DISK_WRITE] = "wr", [DISK_FLUSH] = "flush", [DISK_DISCARD] = "unmap", [DISK_ZERO] = "wr"};

static json_t *stats(const struct disk *disk)
{
    json_t *o = json_pack("{s:b, s:b, s:[]}", "account_invalid", 1, "account_failed", 1, "timed_stats");
    static const struct disk_count none;
    unsigned op;

    for (op = 0; op < DISK_OPS; op++) {
        const struct disk_count *c = disk ? &disk->counts[op] : &none;

        add(o, kinds[op], "%s_operations", get(&c->operations));
        add(o, kinds[op], "%s_total_time_ns", get(&c->nanoseconds));
        add(o, kinds[op], "failed_%s_operations", get(&c->failed));
        add(o, kinds[op], "invalid_%s_operations", 0);
        if (op == DISK_FLUSH)
            continue;
        add(o, kinds[op], "%s_bytes", get(&c->bytes));
        add(o, kinds[op], "%s_merged", 0);
    }
    json_object_set_new(o, "wr_highest_offset", json_integer(disk ? get(&disk->written_end) : 0));
    return o;
}

static json_t *count(const struct run *run UNUSED, unsigned n UNUSED, const struct board_drive *drive)
{
    return json_pack("{s:s, s:o}", "device", drive->device, "stats", stats(drive->disk));
}

int control_query_blockstats(void *opaque, const json_t *arguments UNUSED, json_t **result)
{
    *result = of_all(opaque, count);
    return 0;
}
