/* nested_initrd.c - what a software host boots with: the built initial RAM disk, then what belongs to this run. */
#include "base/error.h"
#include "base/file.h"
#include "vmm/board.h"
#include "vmm/cloud_init.h"
#include "vmm/domain.h"
#include "vmm/cpio.h"
#include "vmm/nested.h"
#include "vmm/nested_private.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#define FIRMWARE_FOLDER "/usr/share/seabios"

static bool has_image(const char *folder)
{
    char path[PATH_MAX];

    return (size_t)snprintf(path, sizeof(path), "%s/initrd", folder) < sizeof(path) &&
           access(path, R_OK) == 0;
}

const char *nested_host_folder(char *path, size_t size)
{
    char exe[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
    const char *folder;
    int up;

    /* Beside a program that was not installed; builds with sanitizers are one folder deeper. */
    exe[MAX(n, 0)] = 0;
    folder = dirname(exe);
    for (up = 0; up < 2; up++) {
        snprintf(path, size, "%s/%shost", folder, up ? "../" : "");
        if (has_image(path))
            return path;
    }
    snprintf(path, size, "%s/host", MINIVM_LIBEXECDIR);
    return has_image(path) ? path : NULL;
}

/* This program and the libraries that it has loaded: dl_iterate_phdr's callback. */
static int add_library(struct dl_phdr_info *info, size_t size UNUSED, void *arg)
{
    const char *name = info->dlpi_name, *base = strrchr(name, '/');
    char target[PATH_MAX];

    if (!base)
        return 0; /* the program itself, or the kernel's vdso */
    if (strncmp(base, "/ld-linux", 9) == 0)
        snprintf(target, sizeof(target), ".minivm/ld.so");
    else
        snprintf(target, sizeof(target), ".minivm/lib%s", base);
    return cpio_add_file(arg, target, name, 0755);
}

/* A file under its own name; `what` is for messages. */
static int add_copy(struct cpio *cpio, const char *what, const char *file, unsigned mode)
{
    char path[PATH_MAX];
    int err;

    if (!file)
        return 0;
    if (file[0] != '/') {
        if (!getcwd(path, sizeof(path)) || strlen(path) + strlen(file) + 2 > sizeof(path))
            return fail(-ENAMETOOLONG, "'%s': the name is too long", file);
        strcat(strcat(path, "/"), file);
        file = path;
    }
    err = cpio_add_file(cpio, file + 1, file, mode);
    return err ? fail_prefix(err, "%s", what) : 0;
}

static int add_firmware(struct cpio *cpio)
{
    static const char *const names[] = {"bios-256k.bin", "vgabios-qxl.bin", "vgabios-stdvga.bin"};
    char path[PATH_MAX];
    size_t i;
    int err = 0;

    for (i = 0; i < ARRAY_SIZE(names) && !err; i++) {
        snprintf(path, sizeof(path), "%s/%s", FIRMWARE_FOLDER, names[i]);
        if (access(path, R_OK) == 0)
            err = add_copy(cpio, "firmware", path, 0644);
    }
    return err;
}

static int add_cloud_init(struct cpio *cpio, const char *source)
{
    char path[PATH_MAX];
    int err = 0, part;

    for (part = 0; source && part < CLOUD_PARTS && !err; part++)
        if (cloud_init_file(source, part, path))
            err = add_copy(cpio, "cloud-init's file", path, 0600);
    return err;
}

static int add_page(void *cpio, const char *path)
{
    return add_copy(cpio, "web page", path, 0644);
}

static int add_certificate(struct cpio *cpio, const struct vm_config *config)
{
    int err;

    if (config->spice_tls_port < 0)
        return 0;
    err = cpio_add_file(cpio, NESTED_TLS "/server-cert.pem", config->certificate.server, 0600);
    if (!err)
        err = cpio_add_file(cpio, NESTED_TLS "/server-key.pem", config->certificate.key, 0600);
    return err ? fail_prefix(err, "TLS certificate") : 0;
}

static int add_files(struct cpio *cpio, const struct vm_config *config)
{
    int err = cpio_add_file(cpio, ".minivm/minivm", "/proc/self/exe", 0755);

    if (!err)
        err = dl_iterate_phdr(add_library, cpio);
    if (!err)
        err = add_firmware(cpio);
    if (!err && config_boots_from(config, BOOT_NETWORK))
        err = add_copy(cpio, "option ROM", BOARD_NETWORK_ROM, 0644);
    if (!err)
        err = add_copy(cpio, "kernel", config->kernel, 0644);
    if (!err)
        err = add_copy(cpio, "initrd", config->initrd, 0644);
    if (!err)
        err = add_copy(cpio, "firmware", config->firmware ? config->uefi.code : NULL, 0644);
    if (!err)
        err = add_cloud_init(cpio, config->cloud_init);
    if (!err && config->domain)
        err = add_copy(cpio, "domain", config->domain->path, 0600);
    if (!err)
        err = add_copy(cpio, "password file", config->spice_password_file, 0600);
    if (!err)
        err = add_copy(cpio, "password file", config->view_password_file, 0600);
    if (!err)
        err = add_certificate(cpio, config);
    if (!err && config->web_port >= 0)
        err = folder_walk("web pages of the package spice-html5", CONFIG_WEB_FOLDER, 1, add_page, cpio);
    return err ? err : cpio_end(cpio);
}

static int copy_base(int fd, const char *folder)
{
    char path[PATH_MAX + 8];
    int from, err = 0;
    struct stat st;
    ssize_t n = 0;

    snprintf(path, sizeof(path), "%s/initrd", folder);
    from = open(path, O_RDONLY | O_CLOEXEC);
    if (from < 0 || fstat(from, &st) < 0)
        err = -errno;
    while (!err && lseek(from, 0, SEEK_CUR) < st.st_size) {
        n = sendfile(fd, from, NULL, (size_t)st.st_size);
        if (n <= 0)
            err = n ? -errno : -EIO;
    }
    if (from >= 0)
        close(from);
    return err ? fail(err, "'%s': %s", path, strerror(-err)) : 0;
}

int nested_initrd_make(const char *folder, const struct vm_config *config, uint64_t *size)
{
    int fd = memfd_create("initrd", MFD_CLOEXEC), err = fd < 0 ? -errno : copy_base(fd, folder);
    struct cpio cpio;

    if (!err) {
        cpio_begin(&cpio, fd);
        err = add_files(&cpio, config);
    }
    if (err) {
        if (fd >= 0)
            close(fd);
        return err;
    }
    *size = (uint64_t)lseek(fd, 0, SEEK_END);
    return fd;
}
