#include "vmm/direct_boot.h"

#include "base/error.h"
#include "vmm/elf_boot.h"
#include "vmm/linux_boot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#define CHUNK KIB(64)

struct direct_boot {
    struct boot_files files;
    bool is_elf;
    union {
        struct linux_kernel linux_kernel;
        struct elf_kernel elf;
    };
};

int boot_load_file(const struct file *file, uint64_t offset, uint64_t size, struct memory *memory, gpa_t to)
{
    uint8_t chunk[CHUNK];
    int err = 0;

    while (size && !err) {
        size_t n = MIN(sizeof(chunk), size);

        err = file_read(file, chunk, n, offset);
        if (!err)
            err = memory_write(memory, to, chunk, n);
        offset += n;
        to += n;
        size -= n;
    }
    return err;
}

int boot_load_initrd(const struct boot_files *files, const struct boot_machine *machine, uint64_t floor, uint64_t top,
                     uint64_t *at)
{
    uint64_t size = files->initrd.size;

    *at = 0;
    top = MIN(top, machine->low_top);
    if (floor > machine->low_top || size > top || (size && ALIGN_DOWN(top - size, 4096ull) < floor))
        return fail(-ENOMEM, "%s more memory; raise --memory", size ? "kernel and initrd need" : "the kernel needs");
    if (!size)
        return 0;
    *at = ALIGN_DOWN(top - size, 4096ull);
    return boot_load_file(&files->initrd, 0, size, machine->memory, *at);
}

/* --- compressed kernels --- */

static int copy_unpacked(gzFile from, int to, uint64_t *size)
{
    uint8_t chunk[CHUNK];
    int n;

    for (*size = 0; (n = gzread(from, chunk, sizeof(chunk))) > 0; *size += (uint64_t)n) {
        if (*size + (uint64_t)n > DIRECT_BOOT_MAX_UNPACKED)
            return -EFBIG;
        if (write(to, chunk, (size_t)n) != n)
            return -ENOSPC;
    }
    return n < 0 || *size == 0 ? -EILSEQ : 0;
}

/* The file is replaced by a nameless one that holds what it unpacks to. */
static int unpack(struct file *file)
{
    int to = memfd_create("kernel", MFD_CLOEXEC);
    gzFile gz = gzdopen(fcntl(file->fd, F_DUPFD_CLOEXEC, 0), "rb");
    uint64_t size = 0;
    int err = gz && to >= 0 ? copy_unpacked(gz, to, &size) : -ENOMEM;

    if (gz && gzclose_r(gz) != Z_OK && !err)
        err = -EILSEQ; /* cut short */
    if (err) {
        close(to);
        return fail(err, "kernel '%s' cannot be unpacked: %s", file->path,
                    err == -EILSEQ ? "its gzip data are damaged"
                    : err == -EFBIG ? "it is too large"
                                    : strerror(-err));
    }
    close(file->fd);
    file->fd = to;
    file->size = size;
    return 0;
}

/* --- opening --- */

static int check_kernel(struct direct_boot *boot)
{
    struct file *kernel = &boot->files.kernel;
    uint8_t magic[4] = {0};
    int err = file_read(kernel, magic, MIN(sizeof(magic), kernel->size), 0);

    if (!err && magic[0] == 0x1f && magic[1] == 0x8b) {
        err = unpack(kernel);
        if (!err)
            err = file_read(kernel, magic, MIN(sizeof(magic), kernel->size), 0);
    }
    if (err)
        return err;
    boot->is_elf = memcmp(magic, "\177ELF", sizeof(magic)) == 0;
    return boot->is_elf ? elf_check(&boot->elf, &boot->files) : linux_check(&boot->linux_kernel, &boot->files);
}

int direct_boot_open(struct direct_boot **boot, const char *kernel, const char *initrd, const char *append)
{
    struct direct_boot *new = calloc(1, sizeof(*new));
    int err;

    if (!new)
        return -ENOMEM;
    new->files.append = append ? append : "";
    err = file_open(&new->files.kernel, "kernel", kernel);
    if (!err && initrd)
        err = file_open(&new->files.initrd, "initrd", initrd);
    if (!err && strlen(new->files.append) >= DIRECT_BOOT_CMDLINE_MAX)
        err = fail(-EINVAL, "the kernel's command line has more than %d bytes", DIRECT_BOOT_CMDLINE_MAX - 1);
    if (!err)
        err = check_kernel(new);
    if (err) {
        direct_boot_close(new);
        return err;
    }
    *boot = new;
    return 0;
}

void direct_boot_close(struct direct_boot *boot)
{
    if (!boot)
        return;
    file_close(&boot->files.kernel);
    file_close(&boot->files.initrd);
    free(boot);
}

int direct_boot_load(const struct direct_boot *boot, const struct boot_machine *machine, struct vcpu_entry *entry)
{
    static const uint64_t gdt[] = {0, 0, 0x00cf9b000000ffff, 0x00cf93000000ffff};
    const struct boot_files *files = &boot->files;
    int err = memory_write(machine->memory, DIRECT_BOOT_GDT, gdt, sizeof(gdt));

    *entry = (struct vcpu_entry){.direct = true, .gdt = DIRECT_BOOT_GDT};
    if (!err)
        err = memory_write(machine->memory, DIRECT_BOOT_CMDLINE, files->append, strlen(files->append) + 1);
    if (err)
        return err;
    return boot->is_elf ? elf_load(&boot->elf, files, machine, entry)
                        : linux_load(&boot->linux_kernel, files, machine, entry);
}
