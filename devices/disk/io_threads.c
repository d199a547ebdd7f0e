#include "devices/disk/io_backend.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#define THREADS 4

struct io_pool {
    pthread_mutex_t lock; /* guards the lists and stopping */
    pthread_cond_t work;
    struct io_list queue, finished;
    bool stopping;
    pthread_t threads[THREADS];
    unsigned started; /* threads; the loop's */
    int fds[IO_MAX_FILES];
    struct notifier notifier;
    io_part_done *done;
    void *opaque;
};

static ssize_t carry_out(const struct io_pool *pool, const struct io_op *op)
{
    int fd = op->kind == IO_CALL ? -1 : pool->fds[op->file];
    off_t offset = (off_t)op->offset, bytes = (off_t)op->bytes;

    switch (op->kind) {
    case IO_READ:
        return preadv(fd, op->part, (int)op->part_count, (off_t)op->part_offset);
    case IO_WRITE:
        return pwritev(fd, op->part, (int)op->part_count, (off_t)op->part_offset);
    case IO_SYNC:
        return fdatasync(fd);
    case IO_PUNCH:
        return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, bytes);
    case IO_ZERO:
        return fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, offset, bytes);
    case IO_ALLOCATE:
        return fallocate(fd, 0, offset, bytes);
    case IO_CALL:
        break;
    }
    return 0;
}

static void run_part(const struct io_pool *pool, struct io_op *op)
{
    ssize_t n;

    if (op->kind == IO_CALL) {
        op->result = op->call(op);
        return;
    }
    n = carry_out(pool, op);
    op->result = n < 0 ? -errno : (int)n;
}

static void *work(void *arg)
{
    struct io_pool *pool = arg;
    struct io_op *op;

    pthread_mutex_lock(&pool->lock);
    for (;;) {
        while (!pool->queue.first && !pool->stopping)
            pthread_cond_wait(&pool->work, &pool->lock);
        op = io_list_take(&pool->queue);
        if (!op)
            break;
        pthread_mutex_unlock(&pool->lock);
        run_part(pool, op);
        pthread_mutex_lock(&pool->lock);
        io_list_add(&pool->finished, op);
        notifier_signal(&pool->notifier);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

static void *pool_thread(void *arg)
{
    pthread_setname_np(pthread_self(), "disk-io");
    return work(arg);
}

static void start_threads(struct io_pool *pool)
{
    sigset_t all, old;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    while (pool->started < THREADS) {
        if (pthread_create(&pool->threads[pool->started], NULL, pool_thread, pool))
            break;
        pool->started++;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static void pool_ready(void *opaque)
{
    io_pool_reap(opaque);
}

int io_pool_create(struct io_pool **result, struct loop *loop, const struct disk_file *files,
                   unsigned count, io_part_done *done, void *opaque)
{
    struct io_pool *pool = calloc(1, sizeof(*pool));
    int err;

    if (!pool)
        return -ENOMEM;
    pool->done = done;
    pool->opaque = opaque;
    for (unsigned i = 0; i < count; i++)
        pool->fds[i] = files[i].fd;
    io_list_init(&pool->queue);
    io_list_init(&pool->finished);
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->work, NULL);
    err = notifier_init(&pool->notifier);
    if (!err)
        err = notifier_attach(&pool->notifier, loop, pool_ready, pool);
    if (err) {
        io_pool_destroy(pool);
        return err;
    }
    *result = pool;
    return 0;
}

void io_pool_destroy(struct io_pool *pool)
{
    if (!pool)
        return;
    pthread_mutex_lock(&pool->lock);
    pool->stopping = true;
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->lock);
    while (pool->started)
        pthread_join(pool->threads[--pool->started], NULL);
    notifier_detach(&pool->notifier);
    notifier_fini(&pool->notifier);
    pthread_cond_destroy(&pool->work);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

int io_pool_fd(const struct io_pool *pool)
{
    return pool->notifier.fd;
}

void io_pool_push(struct io_pool *pool, struct io_list *list)
{
    struct io_op *op;

    if (!list->first)
        return;
    start_threads(pool);
    pthread_mutex_lock(&pool->lock);
    while ((op = io_list_take(list)))
        io_list_add(&pool->queue, op);
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->lock);
    /* Without a single thread (limits) the caller does the work. */
    if (!pool->started) {
        pthread_mutex_lock(&pool->lock);
        pool->stopping = true;
        pthread_mutex_unlock(&pool->lock);
        work(pool);
        pool->stopping = false;
    }
}

void io_pool_reap(struct io_pool *pool)
{
    struct io_op *op, *next;

    notifier_clear(&pool->notifier);
    pthread_mutex_lock(&pool->lock);
    op = pool->finished.first;
    io_list_init(&pool->finished);
    pthread_mutex_unlock(&pool->lock);
    for (; op; op = next) {
        next = op->next;
        pool->done(pool->opaque, op);
    }
}
