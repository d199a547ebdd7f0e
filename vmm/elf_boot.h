/*
 * elf_boot.h - an ELF kernel, entered in flat 32-bit protected mode. Part of direct_boot.h.
 *
 * By PVH (Xen's public/arch-x86/hvm/start_info.h, a note of type 18 gives the entry): Linux' vmlinux
 * and others, of 32 or 64 bits. Else by Multiboot 0.6.96: Xen and hobby kernels, of 32 bits. The initrd is their module.
 */
#ifndef VMM_ELF_BOOT_H
#define VMM_ELF_BOOT_H

#include "vmm/direct_boot.h"

#define ELF_MAX_SEGMENTS 32

struct elf_segment {
    uint64_t offset, file_size; /* in the file */
    uint64_t address, size;     /* in guest memory; what the file does not have is zero */
};

struct elf_kernel {
    struct elf_segment segments[ELF_MAX_SEGMENTS];
    unsigned segment_count;
    bool multiboot; /* else PVH */
    uint32_t entry; /* physical, inside a segment */
};

/* Errors come with fail_text(). */
int elf_check(struct elf_kernel *kernel, const struct boot_files *files);
int elf_load(const struct elf_kernel *kernel, const struct boot_files *files, const struct boot_machine *machine,
             struct vcpu_entry *entry);

#endif
