/*
 * direct_boot.h - a kernel booted without firmware: a Linux bzImage (linux_boot.h), or an ELF file with a PVH or Multiboot
 * entry (elf_boot.h). Either may be compressed by gzip.
 *
 * What kind it is, is found and checked when it is opened; the content is read from the file each time, since what
 * stayed in our memory would be there twice. Files lie: every field is checked before it is used.
 */
#ifndef VMM_DIRECT_BOOT_H
#define VMM_DIRECT_BOOT_H

#include "base/file.h"
#include "vmm/boot_screen.h"
#include "vmm/memory.h"
#include "vmm/vcpu.h"

#define E820_MAX 16
#define DIRECT_BOOT_MAX_UNPACKED MIB(512)

/* Low memory, as boot loaders lay it out. */
#define DIRECT_BOOT_GDT 0x1000
#define DIRECT_BOOT_PARAMS 0x10000 /* what the kernel gets a pointer to; up to */
#define DIRECT_BOOT_CMDLINE 0x20000
#define DIRECT_BOOT_CMDLINE_MAX 0x8000
#define DIRECT_BOOT_KERNEL 0x100000 /* no kernel may lie lower */

enum e820_type { E820_RAM = 1, E820_RESERVED = 2, E820_ACPI = 3 };

struct e820_entry {
    uint64_t base, size;
    uint32_t type;
} __attribute__((packed));

/* What was asked for; the strings are the caller's. */
struct boot_files {
    struct file kernel, initrd; /* no initrd: its size is 0 */
    const char *append;
};

/* What a kernel is told of the machine. */
struct boot_machine {
    struct memory *memory;
    const struct e820_entry *e820;
    unsigned e820_count; /* at most E820_MAX */
    uint64_t low_top;    /* the end of RAM below 4 GiB that the kernel may use; a multiple of 4096 */
    gpa_t rsdp;          /* where the ACPI root pointer is */
    struct boot_screen screen;
};

struct direct_boot;

/* Errors come with fail_text(). initrd and append may be NULL; all three strings must outlive the image. */
int direct_boot_open(struct direct_boot **boot, const char *kernel, const char *initrd, const char *append);
void direct_boot_close(struct direct_boot *boot); /* NULL is fine */
/* Write everything into guest memory and say where to start. */
int direct_boot_load(const struct direct_boot *boot, const struct boot_machine *machine, struct vcpu_entry *entry);

/* --- for the kinds --- */

/* `size` bytes of the file from `offset` on. */
int boot_load_file(const struct file *file, uint64_t offset, uint64_t size, struct memory *memory, gpa_t to);
/* The initrd as high as it goes below `top`, not below `floor`, which itself must be below low_top. *at: where, or 0. */
int boot_load_initrd(const struct boot_files *files, const struct boot_machine *machine, uint64_t floor, uint64_t top,
                     uint64_t *at);

#endif
