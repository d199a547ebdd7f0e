#include "vmm/uefi.h"

#include "base/error.h"
#include "base/file.h"
#include "devices/platform/pflash.h"
#include "base/user_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* As Debian's package ovmf installs them; the larger has room for the certificates of today. */
static const char *const known[] = {"/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_CODE.fd"};

static int find_code(struct uefi_files *files, const char *firmware)
{
    size_t i;

    if (strcmp(firmware, "uefi") != 0)
        return path_join(files->code, firmware, "");
    for (i = 0; i < ARRAY_SIZE(known); i++)
        if (access(known[i], R_OK) == 0)
            return path_join(files->code, known[i], "");
    return fail(-ENOENT, "UEFI firmware '%s' is missing; install the package 'ovmf'", known[0]);
}

/* Builds that lock their flash away need SMM, which would never answer. */
static int refuse_smm(const char *code)
{
    char real[PATH_MAX];

    if (!realpath(code, real) || !strstr(real, ".secboot."))
        return 0;
    return fail(-ENOTSUP, "firmware '%s' needs SMM, which this machine does not have; use --firmware uefi", code);
}

/* .../OVMF_CODE_4M.fd has .../OVMF_VARS_4M.fd. */
static void find_blank(struct uefi_files *files)
{
    char *name;

    strcpy(files->blank, files->code);
    name = strrchr(files->blank, '/');
    name = strstr(name ? name : files->blank, "CODE");
    if (name)
        memcpy(name, "VARS", 4);
    if (!name || access(files->blank, R_OK) != 0)
        files->blank[0] = 0;
}

static int default_store(struct uefi_files *files, const char *name)
{
    char file[PATH_MAX];
    int err = path_join(file, name, ".vars.fd");

    files->own_folder = true;
    if (err)
        return err;
    user_file_name(file);
    return user_file(files->variables, file);
}

int uefi_find(struct uefi_files *files, const char *firmware, const char *variables, const char *name)
{
    int err = find_code(files, firmware);

    if (!err)
        err = refuse_smm(files->code);
    if (err)
        return err;
    find_blank(files);
    files->present = files->blank[0] || variables || strcmp(firmware, "uefi") == 0;
    if (!files->present)
        return 0;
    return variables ? path_join(files->variables, variables, "") : default_store(files, name);
}

/* --- the store --- */

static int write_copy(int fd, const struct file *blank)
{
    uint8_t *content = malloc(blank->size);
    int err = content ? file_read(blank, content, blank->size, 0) : -ENOMEM;

    if (!err && write(fd, content, blank->size) != (ssize_t)blank->size)
        err = fail(-EIO, "it cannot be written: %s", strerror(errno));
    if (!err && fsync(fd))
        err = fail(-errno, "it cannot be written: %s", strerror(errno));
    free(content);
    return err;
}

/* Whole or not at all: under a name of its own until it is on the disk. A store that came meanwhile stays. */
static int make_copy(const char *path, const struct file *blank)
{
    char new[PATH_MAX];
    int err = path_join(new, path, ".XXXXXX"), fd;

    if (err)
        return err;
    fd = mkstemp(new);
    if (fd < 0)
        return fail(-errno, "%s", strerror(errno));
    err = write_copy(fd, blank);
    close(fd);
    if (!err && link(new, path) && errno != EEXIST)
        err = fail(-errno, "%s", strerror(errno));
    unlink(new);
    return err;
}

int uefi_make_store(const struct uefi_files *files)
{
    struct file blank;
    int err;

    if (access(files->variables, F_OK) == 0)
        return 0;
    if (!files->blank[0])
        return fail(-ENOENT, "UEFI variables '%s' are missing, and there is no '...VARS...' beside the firmware '%s' to "
                             "begin with",
                    files->variables, files->code);
    if (files->own_folder)
        user_folders_make(files->variables);
    err = file_open(&blank, "UEFI variables", files->blank);
    if (err)
        return err;
    if (blank.size > PFLASH_MAX_SIZE)
        err = fail(-EINVAL, "'%s' is larger than a store of variables may be", files->blank);
    else
        err = make_copy(files->variables, &blank);
    file_close(&blank);
    return err ? fail_prefix(err, "UEFI variables '%s'", files->variables) : 0;
}
