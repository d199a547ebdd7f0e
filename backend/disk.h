/*
 * disk.h - the seam between a disk device (virtio-blk, IDE, later USB storage) and an image.
 *
 * Thread: every call and every completion is made in the thread of the loop given at open ("the disk's loop").
 * Requests are asynchronous and complete exactly once, in any order, never inside the call that submitted them.
 * Ordering between overlapping requests in flight is the guest's business, as with any disk.
 */
#ifndef BACKEND_DISK_H
#define BACKEND_DISK_H

#include "base/loop.h"

#include <sys/uio.h>

#define DISK_SECTOR 512
#define DISK_MAX_IOV 1024
#define DISK_MAX_TRANSFER MIB(32) /* bytes of one read or write */

enum disk_op {
    DISK_READ,
    DISK_WRITE,
    DISK_FLUSH,   /* everything acknowledged before is durable when it completes */
    DISK_DISCARD, /* a hint */
    DISK_ZERO,    /* reads as zeroes afterwards; may deallocate if `unmap` */
};

/* Owned by the device; the disk uses it until done() and keeps nothing of it. */
struct disk_request {
    enum disk_op op;
    bool unmap;             /* DISK_ZERO */
    uint64_t offset, bytes; /* multiples of DISK_SECTOR, inside the disk (checked by disk_submit) */
    const struct iovec *iov; /* READ and WRITE: `bytes` in all; any alignment */
    unsigned iov_count;      /* at most DISK_MAX_IOV */
    void (*done)(struct disk_request *request, int result); /* 0 or -errno */
    void *driver; /* the disk's own use */
};

struct disk;

struct disk_ops {
    const char *format; /* "raw", "qcow2" */
    void (*submit)(struct disk *disk, struct disk_request *request);
    /* Waits for requests in flight, writes metadata, closes. Returns the first error that lost data, or 0. */
    int (*close)(struct disk *disk);
};

struct disk {
    const struct disk_ops *ops;
    uint64_t size; /* bytes, a multiple of DISK_SECTOR */
    bool read_only;
};

struct disk_options {
    const char *path;
    const char *format; /* NULL: by content; raw only if no other format's magic is there */
    bool read_only;
    bool snapshot; /* writes go to an unnamed temporary overlay and are lost */
    bool no_backing_check; /* backing files may lie outside the directory of the image that names them */
    bool ignore_discard;   /* discards do nothing, zeroes stay allocated */
    bool ignore_backing;   /* do not open backing files: zeroes show in their place */
    bool no_lock;          /* somebody else holds the image's lock for us */
    unsigned queues;       /* of the device in front, for whoever makes it; 0: one for each CPU */
    enum { DISK_CACHE_NONE, DISK_CACHE_WRITEBACK, DISK_CACHE_UNSAFE } cache;
};

/* Errors come with fail_text(): which file, why, what to do. */
int disk_open(struct disk **disk, struct loop *loop, const struct disk_options *options);
/* Checks offset, bytes and read-only; a bad one completes with -EINVAL, -EROFS... later, like any other. */
void disk_submit(struct disk *disk, struct disk_request *request);
int disk_close(struct disk *disk); /* in the disk's loop */

#endif
