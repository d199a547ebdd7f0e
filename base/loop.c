#include "base/loop.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define WORKERS      4 /* in libuv's pool, ... */
#define WORKERS_TEXT "4"

struct loop_call {
    struct loop_call *next;
    void (*fn)(void *arg);
    void *arg;
};

void loop_run_calls(struct loop *loop)
{
    struct loop_call *call;

    pthread_mutex_lock(&loop->lock);
    call = loop->calls;
    loop->calls = NULL;
    loop->calls_tail = &loop->calls;
    pthread_mutex_unlock(&loop->lock);

    while (call) {
        struct loop_call *next = call->next;

        call->fn(call->arg);
        free(call);
        call = next;
    }
}

static void woken(uv_async_t *wake)
{
    struct loop *loop = container_of(wake, struct loop, wake);
    bool stopping;

    loop_run_calls(loop);
    pthread_mutex_lock(&loop->lock);
    stopping = loop->stopping;
    pthread_mutex_unlock(&loop->lock);
    if (stopping)
        uv_stop(&loop->uv);
}

int loop_init(struct loop *loop)
{
    int err;

    *loop = (struct loop){.calls_tail = &loop->calls};
    setenv("UV_THREADPOOL_SIZE", WORKERS_TEXT, 1); /* looked at when the first work comes */
    pthread_mutex_init(&loop->lock, NULL);
    err = uv_loop_init(&loop->uv);
    if (err)
        return err;
    err = uv_async_init(&loop->uv, &loop->wake, woken);
    if (err)
        uv_loop_close(&loop->uv);
    loop->thread = pthread_self();
    return err;
}

/* --- sandbox --- */

static const int loop_calls[] = {SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_ctl),
                                 SCMP_SYS(eventfd2),
                                 SCMP_SYS(timerfd_create), SCMP_SYS(timerfd_settime), SANDBOX_END};
static const struct sandbox_ioctl loop_ioctls[] = {SANDBOX_IOCTL(FIONBIO), {0}};
const struct sandbox_calls loop_sandbox = {.name = "loop", .calls = loop_calls, .ioctls = loop_ioctls};

/* As many as there are workers, and whoever waits for them: each holds its thread until all are there. */
struct confining {
    uv_work_t work[WORKERS];
    unsigned done;
    const struct sandbox_calls *calls;
    pthread_barrier_t all;
};

static void confine_worker(uv_work_t *work)
{
    struct confining *c = work->data;

    pthread_setname_np(pthread_self(), "worker");
    sandbox_confine((void *)c->calls);
    pthread_barrier_wait(&c->all);
}

static void worker_confined(uv_work_t *work, int status UNUSED)
{
    struct confining *c = work->data;

    if (++c->done < WORKERS)
        return;
    pthread_barrier_destroy(&c->all);
    free(c);
}

void loop_confine_workers(struct loop *loop, const struct sandbox_calls *calls)
{
    struct confining *c = sandbox_started() ? calloc(1, sizeof(*c)) : NULL;

    if (!c)
        return;
    c->calls = calls;
    pthread_barrier_init(&c->all, NULL, WORKERS + 1);
    for (unsigned i = 0; i < WORKERS; i++) {
        c->work[i].data = c;
        uv_queue_work(&loop->uv, &c->work[i], confine_worker, worker_confined);
    }
    pthread_barrier_wait(&c->all);
}

int loop_catch_signals(struct loop *loop, uv_signal_cb fn, void *opaque)
{
    static const int numbers[ARRAY_SIZE(loop->signals)] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction old;
    int err = 0;

    for (size_t i = 0; i < ARRAY_SIZE(numbers) && !err; i++) {
        if (numbers[i] == SIGHUP && sigaction(SIGHUP, NULL, &old) == 0 && old.sa_handler == SIG_IGN)
            continue;
        loop->signals[i].data = opaque;
        err = uv_signal_init(&loop->uv, &loop->signals[i]);
        if (!err)
            err = uv_signal_start(&loop->signals[i], fn, numbers[i]);
    }
    return err;
}

static void close_handle(uv_handle_t *handle, void *arg UNUSED)
{
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

void loop_fini(struct loop *loop)
{
    loop->stopping = false; /* the handles' closing needs the loop to run once more */
    loop_run_calls(loop);
    uv_walk(&loop->uv, close_handle, NULL);
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    uv_loop_close(&loop->uv);
    pthread_mutex_destroy(&loop->lock);
}

void loop_run(struct loop *loop)
{
    if (!loop->own_thread)
        loop->thread = pthread_self();
    uv_run(&loop->uv, UV_RUN_DEFAULT);
}

static void *loop_thread(void *arg)
{
    struct loop *loop = arg;

    pthread_setname_np(pthread_self(), loop->name);
    loop_run(loop);
    return NULL;
}

int loop_start(struct loop *loop, const char *name)
{
    int err;

    loop->own_thread = true;
    snprintf(loop->name, sizeof(loop->name), "%s", name);
    err = pthread_create(&loop->thread, NULL, loop_thread, loop);
    if (err) {
        loop->own_thread = false;
        return -err;
    }
    return 0;
}

void loop_join(struct loop *loop)
{
    if (loop->own_thread)
        pthread_join(loop->thread, NULL);
    loop->own_thread = false;
    loop->thread = pthread_self();
}

void loop_stop(struct loop *loop)
{
    pthread_mutex_lock(&loop->lock);
    loop->stopping = true;
    pthread_mutex_unlock(&loop->lock);
    uv_async_send(&loop->wake);
}

void loop_call(struct loop *loop, void (*fn)(void *arg), void *arg)
{
    struct loop_call *call = malloc(sizeof(*call));

    if (!call)
        abort(); /* a dozen bytes: there is no going on */
    *call = (struct loop_call){.fn = fn, .arg = arg};
    pthread_mutex_lock(&loop->lock);
    *loop->calls_tail = call;
    loop->calls_tail = &call->next;
    pthread_mutex_unlock(&loop->lock);
    uv_async_send(&loop->wake);
}

struct waited_call {
    void (*fn)(void *arg);
    void *arg;
    uv_sem_t done;
};

static void run_waited_call(void *arg)
{
    struct waited_call *call = arg;

    call->fn(call->arg);
    uv_sem_post(&call->done);
}

void loop_call_wait(struct loop *loop, void (*fn)(void *arg), void *arg)
{
    struct waited_call call = {.fn = fn, .arg = arg};

    if (loop_is_current(loop)) {
        fn(arg);
        return;
    }
    uv_sem_init(&call.done, 0);
    loop_call(loop, run_waited_call, &call);
    uv_sem_wait(&call.done);
    uv_sem_destroy(&call.done);
}

bool loop_is_current(const struct loop *loop)
{
    return pthread_equal(loop->thread, pthread_self());
}

int notifier_init(struct notifier *n)
{
    *n = (struct notifier){.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
    return n->fd < 0 ? -errno : 0;
}

static void notifier_ready(uv_poll_t *poll, int status UNUSED, int events UNUSED)
{
    struct notifier *n = poll->data;

    if (notifier_clear(n))
        n->fn(n->opaque);
}

int notifier_attach(struct notifier *n, struct loop *loop, void (*fn)(void *opaque), void *opaque)
{
    uv_poll_t *poll = malloc(sizeof(*poll));
    int err;

    if (!poll)
        return -ENOMEM;
    err = uv_poll_init(&loop->uv, poll, n->fd);
    if (err) {
        free(poll);
        return err;
    }
    poll->data = n;
    n->poll = poll;
    n->fn = fn;
    n->opaque = opaque;
    return uv_poll_start(poll, UV_READABLE, notifier_ready);
}

static void free_poll(uv_handle_t *handle)
{
    free(handle);
}

void notifier_detach(struct notifier *n)
{
    if (!n->poll)
        return;
    uv_poll_stop(n->poll);
    uv_close((uv_handle_t *)n->poll, free_poll);
    n->poll = NULL;
}

void notifier_signal(struct notifier *n)
{
    eventfd_write(n->fd, 1);
}

bool notifier_clear(struct notifier *n)
{
    eventfd_t count;

    return eventfd_read(n->fd, &count) == 0;
}

void notifier_fini(struct notifier *n)
{
    if (n->fd >= 0)
        close(n->fd);
    n->fd = -1;
}
