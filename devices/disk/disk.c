#include "devices/disk/image.h"

#include "base/error.h"
#include "devices/disk/qcow2.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>
#include <linux/fs.h>

/* The pool of threads, where there is no io_uring, is made with the first request. */
static const int io_calls[] = {
    SCMP_SYS(io_uring_setup), SCMP_SYS(io_uring_enter), SCMP_SYS(io_uring_register), SCMP_SYS(pread64), SCMP_SYS(pwrite64),
    SCMP_SYS(preadv), SCMP_SYS(pwritev), SCMP_SYS(preadv2), SCMP_SYS(pwritev2), SCMP_SYS(fsync), SCMP_SYS(fdatasync),
    SCMP_SYS(fallocate), SCMP_SYS(ftruncate), SCMP_SYS(clone), SANDBOX_END};
static const struct sandbox_ioctl io_ioctls[] = {SANDBOX_IOCTL(BLKGETSIZE64), {0}};
const struct sandbox_calls disk_io_sandbox = {.name = "disk I/O", .calls = io_calls, .ioctls = io_ioctls};

#define IDLE_JOBS 128 /* kept for the next requests */

/* A request in flight. */
struct job {
    struct disk_request *request;
    struct layered *disk;
    uint64_t sequence;
    uint64_t start, end; /* in bytes, rounded out to the image's grain */
    uint64_t submitted;  /* in ns */
    bool exclusive;      /* nothing that overlaps may run at the same time */
    int result;
    TAILQ_ENTRY(job) link;
    struct io_task task;
    struct io_op op; /* for requests that need nothing but one transfer */
};

TAILQ_HEAD(job_list, job);

struct layered {
    struct disk disk;
    struct image *top;
    struct image_context context;
    struct job_list jobs; /* in flight, oldest first */
    struct job_list idle;
    unsigned idle_count, exclusive_count;
    struct fiber_list waiting; /* for another job to finish */
    bool settling;
    bool ignore_discard;
    int lost; /* the first error of a write-back */
};

static struct job *job_get(struct layered *d)
{
    struct job *job = TAILQ_FIRST(&d->idle);

    if (job) {
        TAILQ_REMOVE(&d->idle, job, link);
        d->idle_count--;
        return job;
    }
    job = calloc(1, sizeof(*job));
    if (!job)
        abort(); /* a few hundred bytes: there is no going on */
    return job;
}

static void job_put(struct layered *d, struct job *job)
{
    if (d->idle_count >= IDLE_JOBS) {
        free(job);
        return;
    }
    TAILQ_INSERT_HEAD(&d->idle, job, link);
    d->idle_count++;
}

static void settle(void *arg)
{
    struct layered *d = arg;

    d->top->ops->settle(d->top);
}

static void settled(void *arg)
{
    struct layered *d = arg;

    d->settling = false;
}

static void note_oldest(struct layered *d)
{
    struct job *first = TAILQ_FIRST(&d->jobs);

    d->context.oldest = first ? first->sequence : d->context.sequence + 1;
    if (d->context.oldest <= d->top->settle_after || d->settling)
        return;
    d->settling = true;
    if (fiber_start(&d->context.fibers, settle, settled, d))
        d->settling = false; /* without memory now, it is tried again with the next request */
}

static uint64_t now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* This thread alone writes; others may read at any time. */
static void add(uint64_t *field, uint64_t n)
{
    __atomic_store_n(field, *field + n, __ATOMIC_RELAXED);
}

static void count(struct job *job, int result)
{
    const struct disk_request *r = job->request;
    struct disk *disk = &job->disk->disk;
    struct disk_count *c = &disk->counts[r->op];

    if (result)
        return;
    if (r->op == DISK_WRITE && r->offset + r->bytes > disk->written_end)
        __atomic_store_n(&disk->written_end, r->offset + r->bytes, __ATOMIC_RELAXED);
    add(&c->operations, 1);
    add(&c->bytes, r->bytes);
    add(&c->nanoseconds, now() - job->submitted);
}

/* On the loop's own stack. */
static void job_finish(struct job *job, int result)
{
    struct layered *d = job->disk;
    struct disk_request *request = job->request;

    count(job, result);
    TAILQ_REMOVE(&d->jobs, job, link);
    d->exclusive_count -= job->exclusive;
    job_put(d, job);
    io_stay_awake(d->context.io);
    note_oldest(d);
    if (d->waiting.first)
        fiber_wake_all(&d->context.fibers, &d->waiting);
    request->done(request, result);
}

static bool overlap(const struct job *a, const struct job *b)
{
    return a->start < b->end && b->start < a->end;
}

/* Must it wait for one that came before? */
static bool must_wait(const struct job *job)
{
    struct job *other;

    if (!job->disk->exclusive_count)
        return false;
    TAILQ_FOREACH (other, &job->disk->jobs, link) {
        if (other == job)
            break;
        if ((job->exclusive || other->exclusive) && overlap(job, other))
            return true;
    }
    return false;
}

static int perform(struct layered *d, const struct disk_request *r)
{
    struct image *top = d->top;
    struct scatter data = {r->iov, r->iov_count, 0};

    switch (r->op) {
    case DISK_READ:
        return top->ops->read(top, r->offset, r->bytes, &data);
    case DISK_WRITE:
        return top->ops->write(top, r->offset, r->bytes, &data);
    case DISK_FLUSH:
        return top->read_only ? 0 : top->ops->flush(top);
    case DISK_DISCARD:
        return d->ignore_discard ? 0 : top->ops->discard(top, r->offset, r->bytes);
    case DISK_ZERO:
        return top->ops->zero(top, r->offset, r->bytes, r->unmap && !d->ignore_discard);
    }
    return -EINVAL;
}

static void job_fiber(void *arg)
{
    struct job *job = arg;
    struct layered *d = job->disk;

    while (must_wait(job))
        fiber_wait_in(&d->context.fibers, &d->waiting);
    job->result = perform(d, job->request);
}

static void job_fiber_finished(void *arg)
{
    struct job *job = arg;

    job_finish(job, job->result);
}

static void direct_done(struct io_op *op, int result)
{
    struct job *job = container_of(op, struct job, op);

    if (!result && op->kind == IO_WRITE) {
        struct disk_file *file = image_file(job->disk->top);

        file->size = MAX(file->size, op->offset + op->bytes);
    }
    job_finish(job, result);
}

/* The short way: one transfer, no fiber. */
static bool start_direct(struct job *job)
{
    const struct disk_request *r = job->request;
    struct image *top = job->disk->top;
    struct io_op *op = &job->op;

    if (r->op > DISK_WRITE || must_wait(job) ||
        !top->ops->direct(top, r->op == DISK_WRITE, r->offset, r->bytes, &op->offset))
        return false;
    op->kind = r->op == DISK_WRITE ? IO_WRITE : IO_READ;
    op->file = top->file;
    op->bytes = r->bytes;
    op->data = (struct scatter){r->iov, r->iov_count, 0};
    op->done = direct_done;
    io_submit(job->disk->context.io, op);
    return true;
}

static void job_start(struct io_task *task)
{
    struct job *job = container_of(task, struct job, task);
    int err = job->result;

    if (!err && job->request->bytes == 0 && job->request->op != DISK_FLUSH) {
        job_finish(job, 0);
        return;
    }
    if (!err && start_direct(job))
        return;
    if (!err)
        err = fiber_start(&job->disk->context.fibers, job_fiber, job_fiber_finished, job);
    if (err)
        job_finish(job, err);
}

static int check_request(const struct disk *disk, const struct disk_request *r)
{
    size_t bytes = 0;

    if (r->op == DISK_FLUSH)
        return 0;
    if (!IS_ALIGNED(r->offset | r->bytes, DISK_SECTOR) || r->bytes > disk->size ||
        r->offset > disk->size - r->bytes)
        return -EINVAL;
    if (r->op != DISK_READ && disk->read_only)
        return -EROFS;
    if (r->op != DISK_READ && r->op != DISK_WRITE)
        return 0;
    if (r->bytes > DISK_MAX_TRANSFER || r->iov_count > DISK_MAX_IOV)
        return -EINVAL;
    for (unsigned i = 0; i < r->iov_count; i++)
        if (__builtin_add_overflow(bytes, r->iov[i].iov_len, &bytes))
            return -EINVAL;
    return bytes == r->bytes ? 0 : -EINVAL;
}

static void layered_submit(struct disk *disk, struct disk_request *request)
{
    struct layered *d = container_of(disk, struct layered, disk);
    uint64_t grain = d->top->grain;
    struct job *job = job_get(d);

    job->request = request;
    job->disk = d;
    job->submitted = now();
    job->sequence = ++d->context.sequence;
    job->result = check_request(disk, request);
    job->exclusive = !job->result && (request->op == DISK_DISCARD || request->op == DISK_ZERO);
    job->start = ALIGN_DOWN(request->offset, grain);
    job->end = job->result ? 0 : ALIGN_UP(request->offset + request->bytes, grain);
    job->task.run = job_start;
    d->exclusive_count += job->exclusive;
    TAILQ_INSERT_TAIL(&d->jobs, job, link);
    io_defer(d->context.io, &job->task);
}

static void sync_fiber(void *arg)
{
    struct layered *d = arg;
    int err = d->top->ops->sync(d->top);

    if (err && !d->lost)
        d->lost = err;
}

static void sync_finished(void *arg)
{
    struct layered *d = arg;

    d->settling = false;
}

static void destroy(struct layered *d)
{
    struct job *job;

    image_destroy(d->top);
    io_destroy(d->context.io);
    fibers_fini(&d->context.fibers);
    while (d->context.file_count)
        disk_file_close(&d->context.files[--d->context.file_count]);
    while ((job = TAILQ_FIRST(&d->idle))) {
        TAILQ_REMOVE(&d->idle, job, link);
        free(job);
    }
    free(d);
}

static int layered_close(struct disk *disk)
{
    struct layered *d = container_of(disk, struct layered, disk);
    int err;

    while (!TAILQ_EMPTY(&d->jobs) || d->settling)
        io_wait(d->context.io);
    if (!d->top->read_only) {
        d->settling = true;
        d->lost = fiber_start(&d->context.fibers, sync_fiber, sync_finished, d);
        if (d->lost)
            d->settling = false;
        while (d->settling)
            io_wait(d->context.io);
    }
    err = d->lost;
    destroy(d);
    return err;
}

static const struct disk_ops disk_ops_of[] = {
    {.format = "raw", .submit = layered_submit, .close = layered_close},
    {.format = "qcow2", .submit = layered_submit, .close = layered_close},
};

static const struct disk_ops *find_ops(const char *format)
{
    for (unsigned i = 0; i < ARRAY_SIZE(disk_ops_of); i++)
        if (!strcmp(disk_ops_of[i].format, format))
            return &disk_ops_of[i];
    return NULL;
}

static unsigned depth_behind(const struct image *image)
{
    unsigned n = 0;

    while ((image = image->backing))
        n++;
    return n;
}

static int start(struct layered *d, struct loop *loop, const struct disk_options *options,
                 enum io_backend backend)
{
    int err = image_open(&d->top, &d->context, options);

    if (err)
        return err;
    d->ignore_discard = options->ignore_discard;
    d->disk = (struct disk){.ops = find_ops(d->top->ops->format), .size = d->top->size};
    if (options->snapshot)
        err = qcow2_open_overlay(&d->top, &d->context);
    if (err)
        return err;
    d->disk.path = d->top->name;
    d->disk.backing_depth = depth_behind(d->top);
    d->disk.read_only = d->top->read_only;
    d->disk.on_read_error = options->on_read_error;
    d->disk.on_write_error = options->on_write_error;
    err = io_create(&d->context.io, loop, d->context.files, d->context.file_count, backend);
    if (err)
        return fail(err, "disk '%s': no I/O engine: %s", options->path, strerror(-err));
    return 0;
}

int disk_open_with(struct disk **disk, struct loop *loop, const struct disk_options *options,
                   enum io_backend backend)
{
    struct layered *d = calloc(1, sizeof(*d));
    int err;

    if (!d)
        return fail(-ENOMEM, "disk '%s': out of memory", options->path);
    TAILQ_INIT(&d->jobs);
    TAILQ_INIT(&d->idle);
    fibers_init(&d->context.fibers);
    fiber_list_init(&d->waiting);
    d->context.oldest = 1;
    err = start(d, loop, options, backend);
    if (err) {
        destroy(d);
        return err;
    }
    *disk = &d->disk;
    return 0;
}

int disk_open(struct disk **disk, struct loop *loop, const struct disk_options *options)
{
    return disk_open_with(disk, loop, options, IO_AUTO);
}

void disk_submit(struct disk *disk, struct disk_request *request)
{
    disk->ops->submit(disk, request);
}

int disk_close(struct disk *disk)
{
    return disk->ops->close(disk);
}

struct io *disk_io(struct disk *disk)
{
    return container_of(disk, struct layered, disk)->context.io;
}
