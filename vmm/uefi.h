/*
 * uefi.h - which files UEFI firmware needs: its code, and the store of its variables, one for each machine.
 *
 * Thread: the main one, before the machine exists. Errors come with fail_text().
 */
#ifndef VMM_UEFI_H
#define VMM_UEFI_H

#include "base/base.h"

#include <limits.h>

struct uefi_files {
    bool present;               /* the firmware is UEFI with a store of its own; else what follows is "" */
    char code[PATH_MAX];        /* read-only */
    char variables[PATH_MAX];   /* the store */
    char blank[PATH_MAX];       /* what a new store is a copy of; "": there must be a store */
    bool own_folder;            /* the store lies where we keep them: its folder may be made */
};

/*
 * firmware: "uefi" for Debian's OVMF, or a file, whose store's blank lies beside it (CODE in its name is VARS there); a
 * file without one is a BIOS, or needs `variables`, the store's path (NULL: $XDG_DATA_HOME/minivm/NAME.vars.fd).
 */
int uefi_find(struct uefi_files *files, const char *firmware, const char *variables, const char *name);
/* Make the store if there is none. */
int uefi_make_store(const struct uefi_files *files);

#endif
