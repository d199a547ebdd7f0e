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

extern const struct sandbox_calls disk_io_sandbox; /* what a disk calls, in its loop and wherever it is opened */

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

#define DISK_OPS (DISK_ZERO + 1)

/* Owned by the device; the disk uses it until done() and keeps nothing of it. */
struct disk_request {
    enum disk_op op;
    bool unmap;             /* DISK_ZERO */
    uint64_t offset, bytes; /* multiples of DISK_SECTOR, inside the disk (checked by disk_submit) */
    const struct iovec *iov; /* READ and WRITE: `bytes` in all; any alignment */
    unsigned iov_count;      /* at most DISK_MAX_IOV */
    void (*done)(struct disk_request *request, int result); /* 0 or -errno */
    void *driver; /* the disk's own use */
    bool kept;    /* disk_keeps()' */
};

struct disk;

struct disk_ops {
    const char *format; /* "raw", "qcow2" */
    void (*submit)(struct disk *disk, struct disk_request *request);
    /* Waits for requests in flight, writes metadata, closes. Returns the first error that lost data, or 0. */
    int (*close)(struct disk *disk);
};

/* What is done about a request that the host could not do: QEMU's rerror (reads) and werror (all others). */
enum disk_on_error {
    DISK_ON_ERROR_ENOSPC, /* without space on the host the request is kept; the guest is told of all else */
    DISK_ON_ERROR_REPORT, /* the guest is told */
    DISK_ON_ERROR_STOP,   /* the request is kept */
};

struct disk_fault {
    enum disk_op op;
    int err;   /* -errno */
    bool kept; /* the request waits in its device; else the guest was told */
};

/* Somebody who can pause the machine. Both are called in the disk's loop. */
struct disk_watcher {
    /* One for all that are kept until they are tried again; of those that the guest is told, one a second. */
    void (*fault)(void *opaque, const struct disk_fault *fault);
    void (*recovered)(void *opaque); /* nothing is kept any more */
    void *opaque;
};

/* What was done since open, by enum disk_op. Written in the disk's loop; each field is atomic. */
struct disk_count {
    uint64_t operations, bytes, nanoseconds; /* nanoseconds: the time that each was in flight, added up */
    uint64_t failed;                         /* the guest was told so; not among the operations */
};

struct disk {
    const struct disk_ops *ops;
    uint64_t size; /* bytes, a multiple of DISK_SECTOR */
    bool read_only;
    const char *path; /* as given at open */
    unsigned backing_depth; /* images behind the first */
    enum disk_on_error on_read_error, on_write_error;
    struct disk_count counts[DISK_OPS];
    uint64_t written_end; /* of the last byte that was ever written; atomic, too */
    /* devices/disk/fault.c's, in the disk's loop: */
    struct disk_watcher watcher; /* fault is NULL: nobody */
    unsigned kept;               /* requests */
    int kept_error;              /* of one of them */
    bool told;                   /* the watcher knows of them */
    uint64_t reported;           /* when the watcher last heard of an error that the guest was told, in ms */
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
    enum disk_on_error on_read_error, on_write_error;
};

/* Errors come with fail_text(): which file, why, what to do. */
int disk_open(struct disk **disk, struct loop *loop, const struct disk_options *options);
/* Checks offset, bytes and read-only; a bad one completes with -EINVAL, -EROFS... later, like any other. */
void disk_submit(struct disk *disk, struct disk_request *request);
int disk_close(struct disk *disk); /* in the disk's loop */

/*
 * When the host cannot do a request, it may do it later: its disk is full now, and somebody makes room. Such a request
 * is neither ended nor lost. Its device keeps it as it is, takes nothing new, and submits it again when the machine's
 * owner has it retried (device_ops.retry), or drops it when the guest resets the device. In the disk's loop:
 */
/* What a device asks about each request that was done, before it tells its guest: true, keep it. */
bool disk_keeps(struct disk *disk, struct disk_request *request, int result);
/* Submit a kept one again. */
void disk_retry(struct disk *disk, struct disk_request *request);
/* Nothing will come of it, kept or not. */
void disk_drop(struct disk *disk, struct disk_request *request);
/* Who is told of faults; NULL: nobody, and then no request is kept. How many are. */
unsigned disk_watch(struct disk *disk, const struct disk_watcher *watcher);

#endif
