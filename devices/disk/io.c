#include "devices/disk/io.h"

#include "base/log.h"
#include "devices/disk/io_backend.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define BOUNCE_BYTES KIB(256)
#define MAX_RETRIES  16 /* of a part that the kernel cannot take just now */
#define MAX_PART     GIB(1) /* the kernel's own limit is INT_MAX, less a page */

struct io {
    struct io_ring *ring; /* NULL: threads do everything */
    struct io_pool *pool; /* and IO_CALL in any case */
    struct disk_file files[IO_MAX_FILES];
    bool sync_lost[IO_MAX_FILES]; /* see note_sync() */
    struct io_list ring_queue, pool_queue;
    struct io_task *tasks, **tasks_tail;
    unsigned in_flight; /* ops submitted and not done */
    bool awake;         /* the loop is to go round once more before it sleeps */
    uv_prepare_t *prepare;
    uv_idle_t *idle;      /* active: do not sleep, something was deferred */
    struct io_op *failed; /* by fault() */
    struct io_task fail_task;
    int (*fault)(void *opaque, struct io_op *op);
    void *fault_opaque;
};

static void do_nothing(uv_idle_t *idle UNUSED)
{
}

static void queue_part(struct io *io, struct io_op *op)
{
    io_list_add(io->ring && op->kind != IO_CALL ? &io->ring_queue : &io->pool_queue, op);
    uv_idle_start(io->idle, do_nothing);
}

static void drop_part(struct io_op *op)
{
    free(op->part_copy);
    free(op->bounce);
    op->part_copy = NULL;
    op->bounce = NULL;
}

static void finish(struct io *io, struct io_op *op, int result)
{
    drop_part(op);
    io->in_flight--;
    op->done(op, result);
}

/* The next piece by way of memory of our own, since O_DIRECT cannot use the caller's. */
static int bounce_part(struct io_op *op, uint64_t offset, uint64_t left)
{
    uint64_t start = ALIGN_DOWN(offset, FILE_ALIGN);
    uint64_t bytes = MIN(BOUNCE_BYTES, ALIGN_UP(offset + left, FILE_ALIGN) - start);
    struct scatter from = scatter_at(&op->data, op->finished);

    if (op->kind == IO_WRITE && (start != offset || bytes > left))
        return -EINVAL;
    op->bounce = aligned_alloc(4096, ALIGN_UP(bytes, 4096));
    if (!op->bounce)
        return -ENOMEM;
    if (op->kind == IO_WRITE)
        scatter_read(&from, op->bounce, bytes);
    op->inline_part[0] = (struct iovec){op->bounce, bytes};
    op->part = op->inline_part;
    op->part_count = 1;
    op->part_offset = start;
    op->part_bytes = bytes;
    return 0;
}

static int slice_part(struct io_op *op, const struct scatter *data, uint64_t bytes)
{
    struct iovec *out = op->inline_part;

    if (data->count > IO_INLINE_IOV)
        out = op->part_copy = malloc(data->count * sizeof(*out));
    if (!out)
        return -ENOMEM;
    op->part = out;
    op->part_count = MIN(scatter_slice(data, bytes, out), IOV_MAX);
    op->part_bytes = 0;
    for (unsigned i = 0; i < op->part_count; i++)
        op->part_bytes += out[i].iov_len;
    return op->part_bytes ? 0 : -EINVAL;
}

/* Decide what the kernel is asked for next. */
static int start_part(const struct io *io, struct io_op *op, uint64_t limit)
{
    uint64_t offset = op->offset + op->finished;
    uint64_t left = MIN(op->bytes - op->finished, limit);
    struct scatter data = scatter_at(&op->data, op->finished);

    drop_part(op);
    if (io->files[op->file].direct &&
        (!IS_ALIGNED(offset | left, FILE_ALIGN) || !scatter_aligned(&data, left, FILE_ALIGN)))
        return bounce_part(op, offset, left);
    op->part_offset = offset;
    op->part_bytes = left;
    if (data.count == 1 && data.iov->iov_len >= data.skip + left) {
        op->inline_part[0] = (struct iovec){(char *)data.iov->iov_base + data.skip, left};
        op->part = op->inline_part;
        op->part_count = 1;
        return 0;
    }
    return slice_part(op, &data, left);
}

/* The kernel moved n bytes of the part: how far did the op get? */
static void account(struct io_op *op, uint64_t n)
{
    uint64_t head = op->offset + op->finished - op->part_offset;
    uint64_t useful = MIN(n - MIN(n, head), op->bytes - op->finished);
    struct scatter data = scatter_at(&op->data, op->finished);

    if (op->bounce && op->kind == IO_READ)
        scatter_write(&data, op->bounce + head, useful);
    op->finished += useful;
}

/* A read met the end of the file after n bytes of the part. */
static void read_end(struct io_op *op, uint64_t n)
{
    struct scatter rest;

    account(op, n);
    rest = scatter_at(&op->data, op->finished);
    scatter_zero(&rest, op->bytes - op->finished);
    op->finished = op->bytes;
}

static bool try_again(struct io_op *op)
{
    return op->result == -EINTR || (op->result == -EAGAIN && op->retries++ < MAX_RETRIES);
}

/*
 * When the kernel could not write what it has cached, it says so once, forgets what it was, and calls the next sync a
 * success. So there is no second try: that one fails, too. What goes past the cache is not lost by a sync that fails.
 */
static void note_sync(struct io *io, struct io_op *op)
{
    if (op->kind != IO_SYNC || op->result >= 0 || io->files[op->file].direct)
        return;
    io->sync_lost[op->file] = true;
    op->result = -EIO;
}

static void part_done(void *opaque, struct io_op *op)
{
    struct io *io = opaque;
    uint64_t n = (uint64_t)op->result;
    int err;

    if (op->result < 0 && try_again(op)) {
        queue_part(io, op);
        return;
    }
    note_sync(io, op);
    if (op->result < 0 || (op->kind != IO_READ && op->kind != IO_WRITE)) {
        finish(io, op, MIN(op->result, 0));
        return;
    }
    if (op->kind == IO_READ && n < op->part_bytes && (n == 0 || !IS_ALIGNED(n, FILE_ALIGN)))
        read_end(op, n);
    else
        account(op, n);
    op->retries = 0;
    if (op->finished == op->bytes || n == 0) {
        finish(io, op, op->finished == op->bytes ? 0 : -EIO);
        return;
    }
    err = start_part(io, op, MAX_PART);
    if (err)
        finish(io, op, err);
    else
        queue_part(io, op);
}

/* Not now, inside the call that submitted it. */
static void complete_later(struct io *io, struct io_op *op, int result)
{
    op->result = result;
    op->next = io->failed;
    io->failed = op;
    if (!op->next)
        io_defer(io, &io->fail_task);
}

static void run_failed(struct io_task *task)
{
    struct io *io = container_of(task, struct io, fail_task);
    struct io_op *op = io->failed, *next;

    io->failed = NULL;
    for (; op; op = next) {
        next = op->next;
        finish(io, op, op->result);
    }
}

void io_submit(struct io *io, struct io_op *op)
{
    int err = io->fault ? io->fault(io->fault_opaque, op) : 0;
    uint64_t limit = MAX_PART;

    op->finished = 0;
    op->retries = 0;
    op->part_copy = NULL;
    op->bounce = NULL;
    io->in_flight++;
    if (err > 0) {
        limit = ALIGN_UP((unsigned)err, FILE_ALIGN);
        err = 0;
    }
    if (!err && op->kind == IO_SYNC && io->files[op->file].no_sync) {
        complete_later(io, op, 0);
        return;
    }
    if (!err && op->kind == IO_SYNC && io->sync_lost[op->file])
        err = -EIO;
    if (!err && (op->kind == IO_READ || op->kind == IO_WRITE))
        err = start_part(io, op, limit);
    if (err)
        complete_later(io, op, err);
    else
        queue_part(io, op);
}

void io_defer(struct io *io, struct io_task *task)
{
    task->next = NULL;
    *io->tasks_tail = task;
    io->tasks_tail = &task->next;
    uv_idle_start(io->idle, do_nothing);
}

/* Tasks that tasks defer wait for the next turn, so that the loop's other work gets its turn too. */
static void run_tasks(struct io *io)
{
    struct io_task *task = io->tasks, *next;

    io->tasks = NULL;
    io->tasks_tail = &io->tasks;
    for (; task; task = next) {
        next = task->next;
        task->run(task);
    }
}

static void turn(struct io *io)
{
    io->awake = false;
    run_tasks(io);
    if (io->ring)
        io_ring_push(io->ring, &io->ring_queue);
    io_pool_push(io->pool, &io->pool_queue);
    if (io->tasks || io->awake)
        uv_idle_start(io->idle, do_nothing);
    else
        uv_idle_stop(io->idle);
}

void io_stay_awake(struct io *io)
{
    io->awake = true;
    uv_idle_start(io->idle, do_nothing);
}

static void loop_prepares(uv_prepare_t *prepare)
{
    turn(prepare->data);
}

void io_wait(struct io *io)
{
    struct pollfd fds[2] = {{.fd = io_pool_fd(io->pool), .events = POLLIN},
                            {.fd = io->ring ? io_ring_fd(io->ring) : -1, .events = POLLIN}};

    turn(io);
    if (!io->in_flight || io->tasks)
        return;
    poll(fds, 2, -1);
    if (io->ring)
        io_ring_reap(io->ring);
    io_pool_reap(io->pool);
}

static void free_handle(uv_handle_t *handle)
{
    free(handle);
}

static int attach(struct io *io, struct loop *loop)
{
    io->prepare = malloc(sizeof(*io->prepare));
    io->idle = malloc(sizeof(*io->idle));
    if (!io->prepare || !io->idle) {
        free(io->prepare);
        free(io->idle);
        return -ENOMEM;
    }
    uv_prepare_init(&loop->uv, io->prepare);
    uv_idle_init(&loop->uv, io->idle);
    io->prepare->data = io;
    uv_prepare_start(io->prepare, loop_prepares);
    uv_unref((uv_handle_t *)io->prepare);
    return 0;
}

static int start_backends(struct io *io, struct loop *loop, unsigned count, enum io_backend backend)
{
    int err = io_pool_create(&io->pool, loop, io->files, count, part_done, io);

    if (err || backend == IO_THREADS)
        return err;
    err = io_ring_create(&io->ring, loop, io->files, count, part_done, io);
    if (err && backend == IO_AUTO) {
        log_info("io_uring is missing (%s); disks use threads", strerror(-err));
        err = 0;
    }
    return err;
}

int io_create(struct io **result, struct loop *loop, const struct disk_file *files, unsigned count,
              enum io_backend backend)
{
    struct io *io = calloc(1, sizeof(*io));
    int err;

    if (!io)
        return -ENOMEM;
    memcpy(io->files, files, count * sizeof(*files));
    io_list_init(&io->ring_queue);
    io_list_init(&io->pool_queue);
    io->tasks_tail = &io->tasks;
    io->fail_task.run = run_failed;
    err = attach(io, loop);
    if (err) {
        free(io);
        return err;
    }
    err = start_backends(io, loop, count, backend);
    if (err) {
        io_destroy(io);
        return err;
    }
    *result = io;
    return 0;
}

void io_destroy(struct io *io)
{
    if (!io)
        return;
    io_ring_destroy(io->ring);
    io_pool_destroy(io->pool);
    uv_close((uv_handle_t *)io->prepare, free_handle);
    uv_close((uv_handle_t *)io->idle, free_handle);
    free(io);
}

const char *io_backend_name(const struct io *io)
{
    return io->ring ? "io_uring" : "threads";
}

void io_set_fault(struct io *io, int (*fault)(void *opaque, struct io_op *op), void *opaque)
{
    io->fault = fault;
    io->fault_opaque = opaque;
}
