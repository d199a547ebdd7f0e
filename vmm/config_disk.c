/* config_disk.c - the command line's disks and CD-ROM drives. */
#include "vmm/config_private.h"

#include "base/error.h"
#include "base/options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A disk as it is parsed. */
struct new_disk {
    struct disk_options *disk;
    struct config_drive *drive;
};

/* What drives of old can hold, and a shell needs not quote. */
static int set_disk_serial(struct config_drive *drive, const char *serial)
{
    const char *p;

    for (p = serial; *p > ' ' && *p < 0x7f; p++)
        ;
    if (*p || p == serial || p - serial > CONFIG_MAX_SERIAL)
        return fail(-EINVAL, "serial=%s: not 1 to %d letters, digits or signs", serial, CONFIG_MAX_SERIAL);
    config_set_copy(&drive->serial, serial);
    return 0;
}

static int set_disk_bus(struct config_drive *drive, const char *bus)
{
    static const char *const buses[] = {"virtio", "ide", NULL};
    int chosen = 0, err = config_choose(bus, buses, &chosen);

    drive->bus = (enum config_bus)chosen;
    return err ? fail_prefix(err, "bus") : 0;
}

/* The parts that are one word out of a few, in the order of the enums that they become. */
enum disk_choice { CHOICE_CACHE, CHOICE_DISCARD, CHOICE_WERROR, CHOICE_RERROR, DISK_CHOICES };

static const struct {
    const char *key, *words[4];
} disk_choices[DISK_CHOICES] = {
    [CHOICE_CACHE] = {"cache", {"none", "writeback", "unsafe"}},
    [CHOICE_DISCARD] = {"discard", {"unmap", "ignore"}},
    [CHOICE_WERROR] = {"werror", {"enospc", "report", "stop"}},
    [CHOICE_RERROR] = {"rerror", {"report", "stop"}},
};

static int find_disk_choice(const char *key)
{
    int i = 0;

    while (i < DISK_CHOICES && strcmp(key, disk_choices[i].key) != 0)
        i++;
    return i;
}

static int set_disk_choice(struct disk_options *disk, enum disk_choice choice, const char *value)
{
    static const enum disk_on_error rerrors[] = {DISK_ON_ERROR_REPORT, DISK_ON_ERROR_STOP};
    int chosen = 0, err = config_choose(value, disk_choices[choice].words, &chosen);

    if (err)
        return fail_prefix(err, "%s", disk_choices[choice].key);
    if (choice == CHOICE_CACHE)
        disk->cache = chosen;
    else if (choice == CHOICE_DISCARD)
        disk->ignore_discard = chosen;
    else if (choice == CHOICE_WERROR)
        disk->on_write_error = (enum disk_on_error)chosen;
    else
        disk->on_read_error = rerrors[chosen];
    return 0;
}

static int disk_suboption(void *opaque, const char *key, const char *value)
{
    struct new_disk *new_disk = opaque;
    struct disk_options *disk = new_disk->disk;
    int choice = find_disk_choice(key), err;

    if (strcmp(key, "") == 0 || strcmp(key, "path") == 0) {
        config_set_copy(&disk->path, value);
    } else if (strcmp(key, "format") == 0 && value) {
        config_set_copy(&disk->format, value);
    } else if (strcmp(key, "readonly") == 0) {
        disk->read_only = !value || strcmp(value, "on") == 0;
    } else if (strcmp(key, "snapshot") == 0) {
        disk->snapshot = !value || strcmp(value, "on") == 0;
    } else if (strcmp(key, "backing") == 0 && value && strcmp(value, "any") == 0) {
        disk->no_backing_check = true;
    } else if (strcmp(key, "bus") == 0 && value) {
        return set_disk_bus(new_disk->drive, value);
    } else if (strcmp(key, "serial") == 0 && value) {
        return set_disk_serial(new_disk->drive, value);
    } else if (strcmp(key, "queues") == 0 && value) {
        uint64_t n;

        err = parse_unsigned(value, 1, CONFIG_MAX_CPUS, &n);
        if (err)
            return fail_prefix(err, "queues");
        disk->queues = (unsigned)n;
    } else if (choice < DISK_CHOICES && value) {
        return set_disk_choice(disk, (enum disk_choice)choice, value);
    } else {
        return fail(-EINVAL, "unknown part '%s'; a disk is PATH[,format=raw|qcow2][,readonly=on][,snapshot=on]"
                             "[,cache=none|writeback|unsafe][,discard=unmap|ignore][,backing=any]"
                             "[,bus=virtio|ide][,serial=TEXT][,queues=N][,werror=enospc|report|stop]"
                             "[,rerror=report|stop]",
                    key);
    }
    return 0;
}

static int begin_disk(struct vm_config *config, struct new_disk *new)
{
    if (config->disk_count == CONFIG_MAX_DISKS)
        return fail(-EINVAL, "more than %d disks", CONFIG_MAX_DISKS);
    new->drive = &config->drives[config->disk_count];
    new->disk = &config->disks[config->disk_count++];
    *new->drive = (struct config_drive){0};
    *new->disk = (struct disk_options){0};
    return 0;
}

int config_add_disk(void *opaque, const char *value)
{
    struct new_disk new = {0};
    int err = begin_disk(opaque, &new);

    if (!err)
        err = parse_suboptions(value, disk_suboption, &new);
    if (!err && !new.disk->path)
        err = fail(-EINVAL, "'%s' names no file; a disk is PATH[,OPTION=VALUE...]", value);
    return err;
}

int config_add_disk_path(void *opaque, const char *path)
{
    struct new_disk new = {0};
    int err = begin_disk(opaque, &new);

    if (!err)
        new.disk->path = strdup(path);
    return err;
}

int config_add_cdrom(void *opaque, const char *value)
{
    struct vm_config *config = opaque;

    if (config->cdrom_count == CONFIG_MAX_CDROMS)
        return fail(-EINVAL, "more than %d CD-ROM drives", CONFIG_MAX_CDROMS);
    config->cdroms[config->cdrom_count++] = (struct disk_options){
        .path = strcmp(value, "none") == 0 ? NULL : value, .format = "raw", .read_only = true};
    return 0;
}
