#include "base/error.h"
#include "vmm/nested_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Folders that the inside has for itself. */
static const char *const reserved[] = {"/", "/dev", "/proc", "/sys", "/.minivm", NULL};

static int check_reserved(const char *file, const char *folder)
{
    const char *const *r;

    for (r = reserved; *r; r++) {
        size_t length = strlen(*r);

        if (strcmp(folder, *r) == 0 ||
            (length > 1 && strncmp(folder, *r, length) == 0 && folder[length] == '/'))
            return fail(
                -EINVAL,
                "'%s': files in %s cannot be used in a software host; copy it to another folder",
                file, *r);
    }
    return 0;
}

/* Root opens it only by being allowed everything. */
static bool is_others(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && (st.st_uid != geteuid() || ~st.st_mode & (S_IRUSR | S_IWUSR));
}

static int add_folder(struct nested_shares *shares, const char *folder, bool writable, bool others)
{
    unsigned i;

    others |= is_others(folder);
    for (i = 0; i < shares->count; i++)
        if (strcmp(shares->share[i].path, folder) == 0) {
            shares->share[i].writable |= writable;
            shares->share[i].others |= others;
            return 0;
        }
    if (shares->count == NESTED_MAX_SHARES)
        return fail(-E2BIG, "the files are in more than %d folders, too many for a software host",
                    NESTED_MAX_SHARES);
    strcpy(shares->share[shares->count].path, folder);
    shares->share[shares->count].others = others;
    shares->share[shares->count++].writable = writable;
    return 0;
}

/* The folder of an absolute path, in place. */
static void cut_name(char *path)
{
    char *slash = strrchr(path, '/');

    slash[slash == path] = 0;
}

/* As it is named, so that relative names mean the same inside... */
static int add_named(struct nested_shares *shares, const char *file, bool writable)
{
    char path[PATH_MAX];
    size_t used = 0;
    int err;

    if (file[0] != '/') {
        if (!getcwd(path, sizeof(path)))
            return fail(-errno, "the working directory: %s", strerror(errno));
        used = strlen(path);
    }
    if (used + 1 + strlen(file) >= sizeof(path))
        return fail(-ENAMETOOLONG, "'%s': the name is too long", file);
    if (used)
        path[used++] = '/';
    strcpy(path + used, file);
    cut_name(path);
    err = check_reserved(file, path);
    return err ? err : add_folder(shares, path, writable, is_others(file));
}

/* ... and where it is after all symbolic links. */
static int add_real(struct nested_shares *shares, const char *file, bool writable)
{
    char path[PATH_MAX];
    int err;

    if (!realpath(file, path))
        return 0; /* the machine will say so, or create it */
    cut_name(path);
    err = check_reserved(file, path);
    return err ? err : add_folder(shares, path, writable, is_others(file));
}

static int add_file(struct nested_shares *shares, const char *file, bool writable)
{
    int err = add_named(shares, file, writable);

    return err ? err : add_real(shares, file, writable);
}

/* A folder itself, by way of a name in it. */
static int add_directory(struct nested_shares *shares, const char *folder)
{
    char name[PATH_MAX];

    if (!folder)
        return 0;
    if (snprintf(name, sizeof(name), "%s/.", folder) >= (int)sizeof(name))
        return fail(-ENAMETOOLONG, "'%s': the name is too long", folder);
    return add_named(shares, name, false);
}

static int add_disk(struct nested_shares *shares, const struct disk_options *disk)
{
    struct stat st;

    if (stat(disk->path, &st) == 0 && S_ISBLK(st.st_mode))
        return fail(
            -ENOTSUP,
            "disk '%s' is a block device, which a software host cannot use; copy it to a file",
            disk->path);
    return add_file(shares, disk->path, !disk->read_only && !disk->snapshot);
}

/* "file:PATH" of a character back end. */
static int add_output(struct nested_shares *shares, const char *spec)
{
    return spec && strncmp(spec, "file:", 5) == 0 ? add_file(shares, spec + 5, true) : 0;
}

static int compare(const void *a, const void *b)
{
    return strcmp(((const struct nested_share *)a)->path, ((const struct nested_share *)b)->path);
}

int nested_shares_collect(struct nested_shares *shares, const struct vm_config *config)
{
    unsigned i;
    int err = 0;

    shares->count = 0;
    for (i = 0; i < config->disk_count && !err; i++)
        err = add_disk(shares, &config->disks[i]);
    for (i = 0; i < config->cdrom_count && !err; i++)
        err = config->cdroms[i].path ? add_disk(shares, &config->cdroms[i]) : 0;
    if (!err)
        err = add_output(shares, config->serial);
    if (!err)
        err = add_output(shares, config->debug_port);
    for (i = 0; i < config->port_count && !err; i++)
        err = config->ports[i].spec ? add_output(shares, config->ports[i].spec) : 0;
    if (!err && config->uefi.present)
        err = add_file(shares, config->uefi.variables, !config->snapshot);
    if (!err)
        err = add_directory(shares, config->net_user.tftp);
    if (!err && config->screenshot)
        err = add_file(shares, config->screenshot, true);
    if (!err && config->spice_record)
        err = add_file(shares, config->spice_record, true);
    /* Where its commands write files. */
    if (!err && config->control)
        err = add_file(shares, config->control, true);
    if (!err && config->restore)
        err = add_file(shares, config->restore, false);
    qsort(shares->share, shares->count, sizeof(shares->share[0]), compare);
    return err;
}
