#include "vmm/linux_boot.h"

#include "base/error.h"

#include <errno.h>
#include <string.h>

#define HEADER_MAGIC 0x53726448 /* "HdrS" */
#define OLDEST_PROTOCOL 0x0206
#define INIT_SIZE_PROTOCOL 0x020a /* the first whose header says how much memory unpacking takes, and where */
#define LOADER_UNDEFINED 0xff
#define SECTOR 512

int linux_check(struct linux_kernel *kernel, const struct boot_files *files)
{
    struct setup_header *h = &kernel->header;
    const struct file *file = &files->kernel;
    int err;

    if (file->size < SECTOR + sizeof(*h) + 64)
        return fail(-EINVAL, "kernel '%s' is too short for a bzImage", file->path);
    err = file_read(file, h, sizeof(*h), offsetof(struct boot_params, hdr));
    if (err)
        return err;
    if (h->header != HEADER_MAGIC)
        return fail(-EINVAL, "kernel '%s' is neither a bzImage nor an ELF file; give the file that a distribution "
                             "calls vmlinuz",
                    file->path);
    if (h->version < OLDEST_PROTOCOL || !(h->loadflags & LOADED_HIGH))
        return fail(-EINVAL, "kernel '%s' is too old: boot protocol %#x", file->path, h->version);
    if (!h->code32_start)
        return fail(-ENOTSUP, "kernel '%s' needs a BIOS, and --kernel boots without one; start it by a boot loader on a disk "
                              "or CD",
                    file->path);
    kernel->setup_size = ((h->setup_sects ? h->setup_sects : 4) + 1u) * SECTOR;
    if (kernel->setup_size >= file->size)
        return fail(-EINVAL, "kernel '%s' is truncated", file->path);
    if (strlen(files->append) > h->cmdline_size)
        return fail(-EINVAL, "the kernel takes a command line of %u bytes at most", h->cmdline_size);
    return 0;
}

/* Where the kernel ends while it unpacks itself. */
static uint64_t kernel_end(const struct linux_kernel *kernel, const struct boot_files *files)
{
    const struct setup_header *h = &kernel->header;
    uint64_t end = DIRECT_BOOT_KERNEL + files->kernel.size - kernel->setup_size;

    if (h->version < INIT_SIZE_PROTOCOL)
        return end;
    end = MAX(end, DIRECT_BOOT_KERNEL + (uint64_t)h->init_size);
    /* A sum that wraps is of a file that lies: no memory is enough for it. */
    if (h->relocatable_kernel)
        end = h->pref_address > UINT64_MAX - h->init_size ? UINT64_MAX : MAX(end, h->pref_address + h->init_size);
    return end;
}

/* As if the kernel had been started with vga=, from a video BIOS. */
static void describe_screen(const struct boot_screen *screen, struct screen_info *info)
{
    if (!screen->width)
        return;
    *info = (struct screen_info){.orig_video_isVGA = VIDEO_TYPE_VLFB,
                                 .lfb_width = (uint16_t)screen->width,
                                 .lfb_height = (uint16_t)screen->height,
                                 .lfb_depth = 32,
                                 .lfb_base = (uint32_t)screen->address,
                                 .lfb_size = DIV_ROUND_UP(screen->pitch * screen->height, KIB(64)),
                                 .lfb_linelength = (uint16_t)screen->pitch,
                                 .blue_size = 8,
                                 .green_size = 8,
                                 .green_pos = 8,
                                 .red_size = 8,
                                 .red_pos = 16,
                                 .rsvd_size = 8,
                                 .rsvd_pos = 24};
}

static void fill_params(const struct linux_kernel *kernel, const struct boot_machine *machine,
                        struct boot_params *params)
{
    static_assert(sizeof(struct e820_entry) == sizeof(struct boot_e820_entry), "the same layout");

    params->hdr = kernel->header;
    params->hdr.type_of_loader = LOADER_UNDEFINED;
    params->hdr.cmd_line_ptr = DIRECT_BOOT_CMDLINE;
    params->hdr.code32_start = DIRECT_BOOT_KERNEL;
    params->acpi_rsdp_addr = machine->rsdp;
    describe_screen(&machine->screen, &params->screen_info);
    params->e820_entries = (uint8_t)machine->e820_count;
    memcpy(params->e820_table, machine->e820, machine->e820_count * sizeof(*machine->e820));
}

int linux_load(const struct linux_kernel *kernel, const struct boot_files *files, const struct boot_machine *machine,
               struct vcpu_entry *entry)
{
    struct boot_params params = {0};
    uint64_t initrd;
    int err;

    fill_params(kernel, machine, &params);
    err = boot_load_initrd(files, machine, kernel_end(kernel, files), kernel->header.initrd_addr_max + 1ull, &initrd);
    if (initrd) {
        params.hdr.ramdisk_image = (uint32_t)initrd;
        params.hdr.ramdisk_size = (uint32_t)files->initrd.size;
    }
    if (!err)
        err = boot_load_file(&files->kernel, kernel->setup_size, files->kernel.size - kernel->setup_size,
                             machine->memory, DIRECT_BOOT_KERNEL);
    if (!err)
        err = memory_write(machine->memory, DIRECT_BOOT_PARAMS, &params, sizeof(params));
    entry->eip = DIRECT_BOOT_KERNEL;
    entry->esi = DIRECT_BOOT_PARAMS;
    return err;
}
