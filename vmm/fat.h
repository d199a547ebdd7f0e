/*
 * fat.h - write a small FAT12 volume (Microsoft's "FAT: General Overview of On-Disk Format", 1.03): a few files in its root
 * directory, under long names.
 */
#ifndef VMM_FAT_H
#define VMM_FAT_H

#include "base/bytes.h"

#define FAT_MAX_FILES 8
#define FAT_MAX_NAME 26          /* bytes, ASCII */
#define FAT_MAX_CONTENT MIB(7)   /* of all files */
#define FAT_MAX_IMAGE MIB(8)

struct fat_file {
    const char *name;
    const void *data;
    size_t size;
};

/* Append the volume to w (of FAT_MAX_IMAGE at least). label: 11 ASCII bytes at most. 0, -E2BIG, -ENOMEM. */
int fat_write(struct writer *w, const char *label, const struct fat_file *files, unsigned count);

#endif
