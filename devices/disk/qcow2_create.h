/*
 * qcow2_create.h - new, empty qcow2 images.
 */
#ifndef DEVICES_DISK_QCOW2_CREATE_H
#define DEVICES_DISK_QCOW2_CREATE_H

#include "devices/disk/file.h"

struct qcow2_parameters {
    uint64_t size;          /* bytes, a multiple of DISK_SECTOR */
    unsigned version;       /* 2 or 3; 0: 3 */
    unsigned cluster_bits;  /* 9..21; 0: 16 */
    unsigned refcount_bits; /* 1, 2, 4 ... 64; 0: 16; version 2 has no other */
    bool zstd;              /* compressed clusters are so; version 3 */
    bool lazy_refcounts;    /* the writer may keep refcounts in memory; version 3 */
    const char *backing;    /* file name as it is to be recorded; NULL: none */
    const char *backing_format;
};

/* Into an empty file open for writing. Blocks. -EINVAL for parameters out of range. */
int qcow2_create(struct disk_file *file, const struct qcow2_parameters *parameters);

#endif
