/*
 * qcow2_tool.h - what is done to qcow2 images beside running machines on them: telling what they are, checking them,
 * internal snapshots, another size.
 *
 * Errors come with fail_text() that names the image, except where it says otherwise.
 */
#ifndef DEVICES_DISK_QCOW2_TOOL_H
#define DEVICES_DISK_QCOW2_TOOL_H

#include "devices/disk/image.h"

#define QCOW2_MAX_SNAPSHOTS     4096
#define QCOW2_MAX_SNAPSHOT_NAME 255 /* bytes, of those made here */

/* An internal snapshot, as its table has it; texts are not terminated and may hold anything. */
struct qcow2_snapshot {
    const uint8_t *entry; /* its bytes in the table */
    uint32_t entry_bytes;
    uint64_t l1_offset; /* of its L1 table: in the file, not checked */
    uint32_t l1_count;
    uint64_t size;     /* of the disk, bytes; 0: that of the image (version 2 does not say) */
    uint64_t vm_bytes; /* of the machine's state */
    uint64_t vm_clock; /* ns */
    uint64_t icount;   /* instructions so far; UINT64_MAX: not known */
    uint32_t date_sec, date_nsec;
    const char *id, *name;
    uint16_t id_bytes, name_bytes;
};

struct qcow2_snapshots {
    struct qcow2_snapshot *items;
    uint32_t count;
    uint8_t *table;
    uint64_t bytes; /* of the table in the file */
};

void qcow2_snapshots_free(struct qcow2_snapshots *list);
/* By id, or else by name; NULL: there is none. */
const struct qcow2_snapshot *qcow2_snapshot_find(const struct qcow2_snapshots *list,
                                                 const char *name);

/* What an image says about itself. Nothing but its header and its snapshot table is read, no other file is opened. */
struct qcow2_info {
    unsigned version, refcount_bits;
    uint64_t size, cluster_size; /* bytes */
    bool zstd, lazy_refcounts, dirty, corrupt;
    char backing_name[IMAGE_MAX_NAME + 1], backing_format[16]; /* untrusted; "" if it has none */
    struct qcow2_snapshots snapshots;
};

int qcow2_get_info(const struct disk_file *file, const char *path, struct qcow2_info *info);

/*
 * Compare the refcounts with the references that there are, and look for tables and data where none can be. Blocking;
 * nothing else uses the image meanwhile. What is wrong is said in the log, the first few of each kind.
 */
enum qcow2_repair { QCOW2_REPAIR_NOTHING, QCOW2_REPAIR_LEAKS, QCOW2_REPAIR_ALL };

struct qcow2_check {
    uint64_t corruptions, leaks; /* left after repair */
    uint64_t repaired_corruptions, repaired_leaks;
    uint64_t total_clusters, allocated_clusters, compressed_clusters; /* of the disk */
    uint64_t image_end;                                               /* bytes of the file in use */
};

int qcow2_check(struct disk_file *file, const char *path, enum qcow2_repair repair,
                struct qcow2_check *result);

/*
 * In a fiber, with nothing else in flight. An image of version 3 has the dirty bit meanwhile, so that the next to open
 * it after a crash counts its references anew; with version 2 there may be wrong COPIED bits then, as with qemu-img.
 */
int qcow2_snapshot_create(struct image *image, const char *name);
int qcow2_snapshot_apply(struct image *image, const char *name);
int qcow2_snapshot_delete(struct image *image, const char *name);
/* An image that was opened read-only shows the snapshot from now on. Blocking, before the I/O engine is there. */
int qcow2_show_snapshot(struct image *image, const char *name);

/* In a fiber: what is new reads as zeroes. Making it smaller loses what was past the end. */
int qcow2_resize(struct image *image, uint64_t size);
/* In a fiber: the image has nothing of its own any more, its backing image shows everywhere. */
int qcow2_make_empty(struct image *image);

#endif
