/*
 * linux_boot.h - a Linux kernel booted without firmware (Documentation/arch/x86/boot.rst, protocol 2.06 and newer).
 *
 * The bzImage's protected-mode part goes to where its header says, boot_params, command line and initrd around it; the
 * CPU starts at the 32-bit entry.
 */
#ifndef VMM_LINUX_BOOT_H
#define VMM_LINUX_BOOT_H

#include "vmm/memory.h"
#include "vmm/vcpu.h"

#define E820_MAX 16

enum e820_type { E820_RAM = 1, E820_RESERVED = 2, E820_ACPI = 3 };

struct e820_entry {
    uint64_t base, size;
    uint32_t type;
} __attribute__((packed));

struct linux_image; /* the files, open and checked */

/* Errors come with fail_text(). initrd and append may be NULL; all three strings must outlive the image. */
int linux_image_open(struct linux_image **image, const char *kernel, const char *initrd, const char *append);
void linux_image_close(struct linux_image *image);
/*
 * Write everything into guest memory and say where to start. low_top: the end of RAM below 4 GiB that the kernel may
 * use (multiple of 4096); rsdp: where the ACPI root pointer is.
 */
int linux_image_load(const struct linux_image *image, struct memory *memory, const struct e820_entry *e820,
                     unsigned e820_count, uint64_t low_top, gpa_t rsdp, struct vcpu_entry *entry);

#endif
