/*
 * io.h - asynchronous I/O on the files of one disk: io_uring, or a few threads where the kernel has none.
 *
 * Thread: the disk's loop. What is submitted in one iteration of the loop goes to the kernel in one call at its end.
 * The ring is bound to the disk's files and to reading, writing, syncing and (de)allocating them before it is enabled:
 * a process that is taken over can do nothing else with it, although io_uring passes by seccomp.
 *
 * An op is done when all its bytes are: short transfers are continued, a read past the end of the file gives zeroes,
 * and memory that O_DIRECT cannot use is copied in pieces.
 */
#ifndef DEVICES_DISK_IO_H
#define DEVICES_DISK_IO_H

#include "devices/disk/file.h"
#include "devices/disk/scatter.h"

#define IO_MAX_FILES  32
#define IO_INLINE_IOV 4

enum io_kind {
    IO_READ,
    IO_WRITE,    /* to an O_DIRECT file: offset and bytes are multiples of FILE_ALIGN */
    IO_SYNC,     /* data and what is needed to find it again */
    IO_PUNCH,    /* deallocate; the range reads as zeroes */
    IO_ZERO,     /* the range reads as zeroes; -EOPNOTSUPP where the file system cannot */
    IO_ALLOCATE, /* the file reaches the end of the range, with space reserved for it */
    IO_CALL,     /* run call(op) in a worker thread */
};

struct io_op {
    enum io_kind kind;
    unsigned file;          /* index into io_create's files */
    uint64_t offset, bytes; /* inside INT64_MAX */
    struct scatter data;    /* READ, WRITE: `bytes` or more */
    int (*call)(struct io_op *op);
    /* 0 or -errno; never inside io_submit(). The op may be used again at once. */
    void (*done)(struct io_op *op, int result);
    void *opaque; /* for done() */

    /* The engine's. */
    struct io_op *next;
    uint64_t finished;
    uint64_t part_offset, part_bytes; /* what the kernel is asked for now */
    const struct iovec *part;
    struct iovec *part_copy, inline_part[IO_INLINE_IOV];
    unsigned part_count;
    char *bounce;
    int result; /* of the part: bytes or -errno */
    unsigned retries;
};

/* Something to do at the end of this loop iteration, before what it submits goes to the kernel. */
struct io_task {
    void (*run)(struct io_task *task);
    struct io_task *next;
};

enum io_backend { IO_AUTO, IO_URING, IO_THREADS };

struct io;

/* The descriptors of files (1..IO_MAX_FILES, copied) stay open until io_destroy(). */
int io_create(struct io **io, struct loop *loop, const struct disk_file *files, unsigned count,
              enum io_backend backend);
/* Nothing may be in flight. NULL is fine. */
void io_destroy(struct io *io);
const char *io_backend_name(const struct io *io);

void io_submit(struct io *io, struct io_op *op);
void io_defer(struct io *io, struct io_task *task);
/*
 * Somebody outside was told something: the loop goes round once more before it sleeps. (It is told at the loop's
 * prepare step too; whoever runs the loop once at a time would sleep on it.)
 */
void io_stay_awake(struct io *io);
/* Without the loop: do what is deferred and wait until something was done. Returns at once if nothing is under way. */
void io_wait(struct io *io);

/*
 * For tests. Called for each op that is submitted: 0 lets it pass, -errno completes it with that error undone, n > 0
 * lets the first transfer be at most n bytes. NULL ends it.
 */
void io_set_fault(struct io *io, int (*fault)(void *opaque, struct io_op *op), void *opaque);

#endif
