#include "vmm/linux_boot.h"

#include "base/bytes.h"
#include "base/error.h"
#include "base/file.h"

#include <asm/bootparam.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Low memory, as boot loaders lay it out. */
#define GDT_ADDRESS 0x1000
#define PARAMS_ADDRESS 0x10000
#define CMDLINE_ADDRESS 0x20000
#define CMDLINE_MAX 0x10000
#define KERNEL_ADDRESS 0x100000

#define HEADER_MAGIC 0x53726448 /* "HdrS" */
#define OLDEST_PROTOCOL 0x0206
#define LOADER_UNDEFINED 0xff
#define SECTOR 512

#define CHUNK KIB(64)

struct linux_image {
    struct file kernel, initrd;
    struct setup_header header;
    size_t setup_size; /* where the protected-mode part begins */
    const char *append;
};

/* From the file, each time: what stays in our memory would be there twice. */
static int load_file(const struct file *file, struct memory *memory, gpa_t to, uint64_t offset)
{
    uint8_t chunk[CHUNK];
    int err = 0;

    for (; offset < file->size && !err; offset += sizeof(chunk), to += sizeof(chunk)) {
        size_t size = MIN(sizeof(chunk), file->size - offset);

        err = file_read(file, chunk, size, offset);
        if (!err)
            err = memory_write(memory, to, chunk, size);
    }
    return err;
}

static int check_kernel(struct linux_image *image)
{
    struct setup_header *h = &image->header;
    const char *path = image->kernel.path;
    int err;

    if (image->kernel.size < SECTOR + sizeof(*h) + 64)
        return fail(-EINVAL, "kernel '%s' is too short for a bzImage", path);
    err = file_read(&image->kernel, h, sizeof(*h), offsetof(struct boot_params, hdr));
    if (err)
        return err;
    if (h->header != HEADER_MAGIC)
        return fail(-EINVAL, "kernel '%s' is not a bzImage; give the file that a distribution calls vmlinuz", path);
    if (h->version < OLDEST_PROTOCOL || !(h->loadflags & LOADED_HIGH))
        return fail(-EINVAL, "kernel '%s' is too old: boot protocol %#x", path, h->version);
    image->setup_size = ((h->setup_sects ? h->setup_sects : 4) + 1u) * SECTOR;
    if (image->setup_size >= image->kernel.size)
        return fail(-EINVAL, "kernel '%s' is truncated", path);
    return 0;
}

int linux_image_open(struct linux_image **image, const char *kernel, const char *initrd, const char *append)
{
    struct linux_image *new = calloc(1, sizeof(*new));
    int err;

    if (!new)
        return -ENOMEM;
    new->append = append ? append : "";
    err = file_open(&new->kernel, "kernel", kernel);
    if (!err)
        err = check_kernel(new);
    if (!err && initrd)
        err = file_open(&new->initrd, "initrd", initrd);
    if (!err && strlen(new->append) >= MIN(new->header.cmdline_size + 1u, CMDLINE_MAX))
        err = fail(-EINVAL, "the kernel takes a command line of %u bytes at most", new->header.cmdline_size);
    if (err) {
        linux_image_close(new);
        return err;
    }
    *image = new;
    return 0;
}

void linux_image_close(struct linux_image *image)
{
    if (!image)
        return;
    file_close(&image->kernel);
    file_close(&image->initrd);
    free(image);
}

static int load_initrd(const struct linux_image *image, struct memory *memory, uint64_t low_top,
                       struct boot_params *params)
{
    uint64_t kernel_end = KERNEL_ADDRESS + MAX((uint64_t)image->header.init_size,
                                               image->kernel.size - image->setup_size);
    uint64_t top = MIN(low_top, (uint64_t)image->header.initrd_addr_max + 1), base;

    if (image->header.relocatable_kernel)
        kernel_end = MAX(kernel_end, image->header.pref_address + image->header.init_size);
    if (!image->initrd.size)
        return kernel_end <= low_top ? 0 : fail(-ENOMEM, "the kernel needs more memory; raise --memory");
    if (image->initrd.size > top || ALIGN_DOWN(top - image->initrd.size, 4096ull) < kernel_end)
        return fail(-ENOMEM, "kernel and initrd need more memory; raise --memory");
    base = ALIGN_DOWN(top - image->initrd.size, 4096ull);
    params->hdr.ramdisk_image = (uint32_t)base;
    params->hdr.ramdisk_size = (uint32_t)image->initrd.size;
    return load_file(&image->initrd, memory, base, 0);
}

static void fill_params(const struct linux_image *image, struct boot_params *params, gpa_t rsdp,
                        const struct e820_entry *e820, unsigned count)
{
    static_assert(sizeof(struct e820_entry) == sizeof(struct boot_e820_entry), "the same layout");

    params->hdr = image->header;
    params->hdr.type_of_loader = LOADER_UNDEFINED;
    params->hdr.cmd_line_ptr = CMDLINE_ADDRESS;
    params->hdr.code32_start = KERNEL_ADDRESS;
    params->acpi_rsdp_addr = rsdp;
    params->e820_entries = (uint8_t)count;
    memcpy(params->e820_table, e820, count * sizeof(*e820));
}

int linux_image_load(const struct linux_image *image, struct memory *memory, const struct e820_entry *e820,
                     unsigned e820_count, uint64_t low_top, gpa_t rsdp, struct vcpu_entry *entry)
{
    static const uint64_t gdt[] = {0, 0, 0x00cf9b000000ffff, 0x00cf93000000ffff};
    struct boot_params params = {0};
    int err;

    fill_params(image, &params, rsdp, e820, MIN(e820_count, (unsigned)E820_MAX));
    err = load_initrd(image, memory, low_top, &params);
    if (!err)
        err = load_file(&image->kernel, memory, KERNEL_ADDRESS, image->setup_size);
    if (!err)
        err = memory_write(memory, CMDLINE_ADDRESS, image->append, strlen(image->append) + 1);
    if (!err)
        err = memory_write(memory, PARAMS_ADDRESS, &params, sizeof(params));
    if (!err)
        err = memory_write(memory, GDT_ADDRESS, gdt, sizeof(gdt));
    *entry = (struct vcpu_entry){
        .direct = true, .eip = KERNEL_ADDRESS, .esi = PARAMS_ADDRESS, .gdt = GDT_ADDRESS};
    return err;
}
