#include "devices/disk/io_backend.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/falloc.h>
#include <stdlib.h>

#define RING_ENTRIES 256 /* parts in the kernel at a time */
/* Completions taken in one go. More would leave the device idle while we place what follows them. */
#define REAP_BATCH 2

struct io_ring {
    struct io_uring uring;
    uv_poll_t *poll; /* libuv frees it late, so it lives on the heap */
    unsigned in_kernel;
    io_part_done *done;
    void *opaque;
};

static const uint8_t allowed_ops[] = {IORING_OP_READ,   IORING_OP_WRITE, IORING_OP_READV,
                                      IORING_OP_WRITEV, IORING_OP_FSYNC, IORING_OP_FALLOCATE};

/* Only these operations, and only on the files registered; no registration of anything, ever again. */
static int restrict_ring(struct io_uring *uring)
{
    struct io_uring_restriction rules[ARRAY_SIZE(allowed_ops) + 2] = {0};
    unsigned n = 0;

    for (; n < ARRAY_SIZE(allowed_ops); n++)
        rules[n] = (struct io_uring_restriction){.opcode = IORING_RESTRICTION_SQE_OP,
                                                 .sqe_op = allowed_ops[n]};
    rules[n++] = (struct io_uring_restriction){.opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED,
                                               .sqe_flags = IOSQE_FIXED_FILE};
    rules[n++] = (struct io_uring_restriction){.opcode = IORING_RESTRICTION_SQE_FLAGS_REQUIRED,
                                               .sqe_flags = IOSQE_FIXED_FILE};
    /* By the bare call: liburing 2.3's shared library lacks the functions for this and for enabling. */
    return io_uring_register((unsigned)uring->ring_fd, IORING_REGISTER_RESTRICTIONS, rules, n);
}

static int start_ring(struct io_uring *uring, const struct disk_file *files, unsigned count)
{
    int fds[IO_MAX_FILES];
    int err;

    for (unsigned i = 0; i < count; i++)
        fds[i] = files[i].fd;
    /* COOP_TASKRUN: completions wait for our next system call instead of interrupting; older kernels lack it. */
    err = io_uring_queue_init(RING_ENTRIES, uring,
                              IORING_SETUP_R_DISABLED | IORING_SETUP_COOP_TASKRUN);
    if (err == -EINVAL)
        err = io_uring_queue_init(RING_ENTRIES, uring, IORING_SETUP_R_DISABLED);
    if (err)
        return err;
    err = io_uring_register_files(uring, fds, count);
    if (!err)
        err = restrict_ring(uring);
    if (!err)
        err = io_uring_register((unsigned)uring->ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
    if (err)
        io_uring_queue_exit(uring);
    return err;
}

static void ring_ready(uv_poll_t *poll, int status UNUSED, int events UNUSED)
{
    io_ring_reap(poll->data);
}

static void free_handle(uv_handle_t *handle)
{
    free(handle);
}

int io_ring_create(struct io_ring **result, struct loop *loop, const struct disk_file *files,
                   unsigned count, io_part_done *done, void *opaque)
{
    struct io_ring *ring = calloc(1, sizeof(*ring));
    int err = -ENOMEM;

    if (!ring || !(ring->poll = malloc(sizeof(*ring->poll))))
        goto fail_memory;
    ring->done = done;
    ring->opaque = opaque;
    err = start_ring(&ring->uring, files, count);
    if (err)
        goto fail_memory;
    err = uv_poll_init(&loop->uv, ring->poll, ring->uring.ring_fd);
    if (err)
        goto fail_ring;
    ring->poll->data = ring;
    uv_poll_start(ring->poll, UV_READABLE, ring_ready);
    *result = ring;
    return 0;

fail_ring:
    io_uring_queue_exit(&ring->uring);
fail_memory:
    if (ring)
        free(ring->poll);
    free(ring);
    return err;
}

void io_ring_destroy(struct io_ring *ring)
{
    if (!ring)
        return;
    uv_poll_stop(ring->poll);
    uv_close((uv_handle_t *)ring->poll, free_handle);
    io_uring_queue_exit(&ring->uring);
    free(ring);
}

int io_ring_fd(const struct io_ring *ring)
{
    return ring->uring.ring_fd;
}

static void prepare_transfer(struct io_uring_sqe *sqe, const struct io_op *op, int file)
{
    const struct iovec *v = op->part;

    if (op->kind == IO_READ && op->part_count == 1)
        io_uring_prep_read(sqe, file, v->iov_base, (unsigned)v->iov_len, op->part_offset);
    else if (op->kind == IO_READ)
        io_uring_prep_readv(sqe, file, v, op->part_count, op->part_offset);
    else if (op->part_count == 1)
        io_uring_prep_write(sqe, file, v->iov_base, (unsigned)v->iov_len, op->part_offset);
    else
        io_uring_prep_writev(sqe, file, v, op->part_count, op->part_offset);
}

static void prepare(struct io_uring_sqe *sqe, struct io_op *op)
{
    static const int modes[] = {
        [IO_PUNCH] = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
        [IO_ZERO] = FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
        [IO_ALLOCATE] = 0,
    };
    int file = (int)op->file;

    if (op->kind == IO_READ || op->kind == IO_WRITE)
        prepare_transfer(sqe, op, file);
    else if (op->kind == IO_SYNC)
        io_uring_prep_fsync(sqe, file, IORING_FSYNC_DATASYNC);
    else
        io_uring_prep_fallocate(sqe, file, modes[op->kind], (off_t)op->offset, (off_t)op->bytes);
    sqe->flags |= IOSQE_FIXED_FILE;
    io_uring_sqe_set_data(sqe, op);
}

static void fill_ring(struct io_ring *ring, struct io_list *list)
{
    while (list->first && ring->in_kernel < RING_ENTRIES) {
        struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->uring);

        if (!sqe)
            break;
        prepare(sqe, io_list_take(list));
        ring->in_kernel++;
    }
}

void io_ring_push(struct io_ring *ring, struct io_list *list)
{
    /* What completes at once may bring more. */
    do {
        fill_ring(ring, list);
        /* What the kernel does not take now (out of memory) stays in the ring for the next call. */
        if (io_uring_sq_ready(&ring->uring))
            io_uring_submit(&ring->uring);
        if (io_uring_cq_ready(&ring->uring))
            io_ring_reap(ring);
    } while (list->first && ring->in_kernel < RING_ENTRIES);
}

void io_ring_reap(struct io_ring *ring)
{
    struct io_uring_cqe *cqes[REAP_BATCH];
    unsigned n = io_uring_peek_batch_cqe(&ring->uring, cqes, REAP_BATCH);
    struct io_op *ops[REAP_BATCH];

    for (unsigned i = 0; i < n; i++) {
        ops[i] = io_uring_cqe_get_data(cqes[i]);
        ops[i]->result = cqes[i]->res;
    }
    io_uring_cq_advance(&ring->uring, n);
    ring->in_kernel -= n;
    for (unsigned i = 0; i < n; i++)
        ring->done(ring->opaque, ops[i]);
}
