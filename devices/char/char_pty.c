/*
 * A pseudo-terminal. The kernel tells by a hang-up that nobody has the other side open, and says nothing when somebody
 * opens it: that is looked at from time to time.
 */
#include "devices/char/char.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define LOOK_MS 250

struct char_pty {
    struct char_stream stream;
    int fd;
    uv_timer_t *timer; /* libuv frees it late, so it lives on the heap */
};

static void look(uv_timer_t *timer)
{
    struct char_pty *pty = timer->data;
    struct pollfd fd = {.fd = pty->fd, .events = POLLIN};

    if (poll(&fd, 1, 0) >= 0 && (fd.revents & POLLHUP))
        return;
    if (char_stream_connect(&pty->stream, pty->fd, pty->fd) == 0)
        uv_timer_stop(timer);
}

static void pty_hung_up(struct char_stream *stream)
{
    struct char_pty *pty = container_of(stream, struct char_pty, stream);

    uv_timer_start(pty->timer, look, LOOK_MS, LOOK_MS);
}

static void free_handle(uv_handle_t *handle)
{
    free(handle);
}

static void pty_destroy(struct char_stream *stream)
{
    struct char_pty *pty = container_of(stream, struct char_pty, stream);

    char_stream_disconnect(stream);
    if (pty->timer)
        uv_close((uv_handle_t *)pty->timer, free_handle);
    if (pty->fd >= 0)
        close(pty->fd);
    free(pty);
}

static const struct char_kind pty_kind = {.hung_up = pty_hung_up, .destroy = pty_destroy};

/* Raw: the guest has a terminal driver of its own. */
static int open_pty(struct char_pty *pty)
{
    struct termios mode;
    int slave;

    pty->fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    if (pty->fd < 0 || grantpt(pty->fd) != 0 || unlockpt(pty->fd) != 0)
        return -errno;
    if (ptsname_r(pty->fd, pty->stream.name, sizeof(pty->stream.name)) != 0)
        return -errno;
    slave = open(pty->stream.name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (slave < 0)
        return -errno;
    tcgetattr(slave, &mode);
    cfmakeraw(&mode);
    tcsetattr(slave, TCSANOW, &mode);
    close(slave); /* from here on there is a hang-up until somebody comes */
    return 0;
}

int char_pty_create(struct char_stream **stream, struct loop *loop)
{
    struct char_pty *pty = calloc(1, sizeof(*pty));
    int err;

    if (!pty)
        return -ENOMEM;
    char_stream_init(&pty->stream, &pty_kind, loop);
    err = open_pty(pty);
    pty->timer = malloc(sizeof(*pty->timer));
    if (!pty->timer)
        err = -ENOMEM;
    else
        uv_timer_init(&loop->uv, pty->timer);
    if (err) {
        pty_destroy(&pty->stream);
        return fail(err, "cannot make a pseudo-terminal: %s", strerror(-err));
    }
    pty->timer->data = pty;
    uv_timer_start(pty->timer, look, LOOK_MS, LOOK_MS);
    *stream = &pty->stream;
    return 0;
}
