/*
 * qcow2_count.h - every reference that an image's tables make, counted: for checks, and to write refcounts anew.
 * Private to qcow2_*.c. Blocking; nothing else uses the image meanwhile.
 *
 * An image may lie. What is read is bounded by a budget; an L2 table that snapshots share is read once and counts as
 * often as L1 tables have it, so that the work is that of reading each table once.
 */
#ifndef DEVICES_DISK_QCOW2_COUNT_H
#define DEVICES_DISK_QCOW2_COUNT_H

#include "devices/disk/qcow2_internal.h"

#define QCOW2_COUNT_MOST     UINT16_MAX /* so many references or more */
#define QCOW2_COUNT_CLUSTERS (24u << 20)

struct qcow2_count_l2 {
    uint64_t cluster;
    uint16_t weight; /* L1 entries that lead there */
    bool shown;      /* one of them is the disk's own, not a snapshot's */
};

struct qcow2_count {
    struct qcow2 *q; /* its header and L1 table; the refcount table only if old_counts */
    const struct disk_file *file;
    const char *path;
    bool old_counts;   /* the refcount table and its blocks are in use themselves */
    bool quiet;        /* say nothing */
    uint64_t budget;   /* bytes of tables that may still be read */
    uint64_t clusters; /* of the file */
    uint16_t *refs;
    struct qcow2_count_l2 *l2;
    size_t l2_count;
    uint64_t bad;                   /* references that cannot be right */
    bool in_counts;                 /* now at the refcount table and its blocks */
    uint64_t allocated, compressed; /* clusters of the disk */
    unsigned told;
};

/* The caller sets q, file, path, old_counts, quiet, budget. -EFBIG: too large to be counted with that. */
int qcow2_count_all(struct qcow2_count *c);
void qcow2_count_free(struct qcow2_count *c);
/* Log what is wrong, the first few times. */
void qcow2_count_tell(struct qcow2_count *c, const char *fmt, ...) PRINTF_LIKE(2, 3);

/*
 * qcow2_repair.c: write refcounts and COPIED bits as counted, and point the header there. It was counted without
 * old_counts, and nothing was bad.
 */
int qcow2_repair_counts(struct qcow2_count *c);

#endif
