/*
 * pflash.h - a parallel flash chip with Intel's command set (CFI publication 0x0001, JEDEC JEP137), 8 bits wide, blocks
 * of 4 KiB: where UEFI firmware keeps its variables.
 *
 * While the chip shows its array it is memory that the guest reads without an exit; a command takes it out of the memory
 * map until the array is asked for again. Bytes that were programmed are in the file before the guest can learn that they
 * were: before it reads a status, and before it sees the array. Then they survive the end of this process; the file
 * system is told to write them at once, and waited for at reset and at the end.
 */
#ifndef DEVICES_PLATFORM_PFLASH_H
#define DEVICES_PLATFORM_PFLASH_H

#include "vmm/device.h"

#define PFLASH_BLOCK    4096
#define PFLASH_MAX_SIZE MIB(1)

struct pflash_config {
    struct ram *ram; /* the content, RAM_READ_ONLY, a multiple of PFLASH_BLOCK; mapped by the device, the caller's otherwise */
    gpa_t base;
    int fd;           /* the file that holds the content, the caller's; -1: what is written is lost */
    const char *path; /* its name, for messages */
};

struct device *pflash_create(struct machine *machine, const struct pflash_config *config);

#endif
