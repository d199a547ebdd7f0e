/*
 * loop.h - one libuv loop per thread, and the ways into it from other threads.
 *
 * Everything inside a loop is touched by its thread alone; others use loop_call() and notifiers. Timers and polls are
 * libuv's own (loop->uv).
 */
#ifndef BASE_LOOP_H
#define BASE_LOOP_H

#include "base/base.h"
#include "base/sandbox.h"

#include <pthread.h>
#include <uv.h>

struct loop_call;

struct loop {
    uv_loop_t uv;
    uv_async_t wake;
    pthread_mutex_t lock; /* guards the queue of calls */
    struct loop_call *calls, **calls_tail;
    pthread_t thread; /* whoever runs the loop */
    bool own_thread, stopping;
    char name[16]; /* of its own thread */
    uv_signal_t signals[3]; /* loop_catch_signals() */
};

int loop_init(struct loop *loop);
/* After the loop has ended; closes what is left. */
void loop_fini(struct loop *loop);
/* Run in the calling thread until loop_stop(). */
void loop_run(struct loop *loop);
/* Run in a new thread called `name` (15 bytes at most). loop_stop() and then loop_join() end it. */
int loop_start(struct loop *loop, const char *name);
void loop_join(struct loop *loop);
/* Any thread. */
void loop_stop(struct loop *loop);
/* Have fn(arg) called in the loop's thread, in order; any thread. */
void loop_call(struct loop *loop, void (*fn)(void *arg), void *arg);
/* The same, and wait until it was called; at once when already in the loop's thread. */
void loop_call_wait(struct loop *loop, void (*fn)(void *arg), void *arg);
/* Make the calls that wait, now; in the loop's thread. */
void loop_run_calls(struct loop *loop);
bool loop_is_current(const struct loop *loop);
/*
 * Have fn called for what asks a program to end: SIGINT, SIGTERM and SIGHUP (the terminal has gone), the last unless it
 * is ignored, as nohup(1) has it. The handle's data is `opaque`. Once, in the loop's thread.
 */
int loop_catch_signals(struct loop *loop, uv_signal_cb fn, void *opaque);

/* What a loop, its timers and notifiers call. */
extern const struct sandbox_calls loop_sandbox;
/* Have libuv's pool of workers, which all loops share, confined to `calls`. Before it works, in a loop's thread. */
void loop_confine_workers(struct loop *loop, const struct sandbox_calls *calls);

/*
 * An eventfd that calls fn in a loop. Written by any thread, by KVM (ioeventfd), or by another process; several
 * signals before the call become one.
 */
struct notifier {
    int fd;
    uv_poll_t *poll; /* NULL until attached; libuv frees it late, so it lives on the heap */
    void (*fn)(void *opaque);
    void *opaque;
};

int notifier_init(struct notifier *n);
/* In the loop's thread. */
int notifier_attach(struct notifier *n, struct loop *loop, void (*fn)(void *opaque), void *opaque);
void notifier_detach(struct notifier *n);
void notifier_signal(struct notifier *n);
/* Take the count back without a call; true if it was signalled. */
bool notifier_clear(struct notifier *n);
/* Detached before. */
void notifier_fini(struct notifier *n);

#endif
