#include "base/timer.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

static void timer_ready(uv_poll_t *poll, int status UNUSED, int events UNUSED)
{
    struct timer *timer = poll->data;
    uint64_t expirations;

    if (read(timer->fd, &expirations, sizeof(expirations)) == sizeof(expirations))
        timer->fn(timer->opaque);
}

static void free_poll(uv_handle_t *handle)
{
    free(handle);
}

int timer_init(struct timer *timer, struct loop *loop, void (*fn)(void *opaque), void *opaque)
{
    int err;

    *timer = (struct timer){.fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC),
                            .fn = fn,
                            .opaque = opaque};
    if (timer->fd < 0)
        return -errno;
    timer->poll = malloc(sizeof(*timer->poll));
    err = timer->poll ? uv_poll_init(&loop->uv, timer->poll, timer->fd) : -ENOMEM;
    if (err) {
        free(timer->poll);
        close(timer->fd);
        *timer = (struct timer){.fd = -1};
        return err;
    }
    timer->poll->data = timer;
    return uv_poll_start(timer->poll, UV_READABLE, timer_ready);
}

void timer_fini(struct timer *timer)
{
    if (!timer->poll)
        return;
    uv_poll_stop(timer->poll);
    uv_close((uv_handle_t *)timer->poll, free_poll);
    close(timer->fd);
    *timer = (struct timer){.fd = -1};
}

void timer_set(struct timer *timer, uint64_t delay)
{
    struct itimerspec when = {.it_value = {.tv_sec = (time_t)(delay / 1000000000),
                                           .tv_nsec = (long)(delay % 1000000000)}};

    if (delay == 0)
        when.it_value.tv_nsec = 1; /* zero would stop it */
    timerfd_settime(timer->fd, 0, &when, NULL);
}

void timer_stop(struct timer *timer)
{
    static const struct itimerspec never;

    timerfd_settime(timer->fd, 0, &never, NULL);
}
