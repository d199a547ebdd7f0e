/*
 * linux_boot.h - a bzImage (Documentation/arch/x86/boot.rst, protocol 2.06 and newer). Part of direct_boot.h.
 *
 * The protected-mode part goes to where its header says, boot_params and initrd around it; the CPU starts at the 32-bit
 * entry.
 */
#ifndef VMM_LINUX_BOOT_H
#define VMM_LINUX_BOOT_H

#include "vmm/direct_boot.h"

#include <asm/bootparam.h>

struct linux_kernel {
    struct setup_header header;
    size_t setup_size; /* where the protected-mode part begins */
};

/* Errors come with fail_text(). */
int linux_check(struct linux_kernel *kernel, const struct boot_files *files);
int linux_load(const struct linux_kernel *kernel, const struct boot_files *files, const struct boot_machine *machine,
               struct vcpu_entry *entry);

#endif
