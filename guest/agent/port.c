#include "guest/agent/port.h"

#include "base/error.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#define RETRY 1000 /* ms */

static int open_path(const char *path)
{
    struct stat st;
    int fd;

    if (stat(path, &st))
        return -errno;
    if (S_ISSOCK(st.st_mode))
        return wire_connect(path);
    fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static void open_port(uv_timer_t *timer);

static void close_port(struct port *p)
{
    wire_close(p->wire);
    p->wire = NULL;
    p->ops->closed(p->opaque);
}

static void on_ended(void *opaque, int err)
{
    struct port *p = opaque;

    log_info("port '%s' has closed%s%s", p->path, err ? ": " : "", err ? fail_text() : "");
    close_port(p);
    uv_timer_start(&p->retry, open_port, RETRY, 0);
}

static int on_message(void *opaque, const struct message_rule *rule, const uint8_t *body, uint32_t size)
{
    struct port *p = opaque;

    p->ops->message(p->opaque, rule, body, size);
    return p->wire ? 0 : -ECANCELED;
}

static int on_received(void *opaque, const uint8_t *data, size_t size)
{
    struct port *p = opaque;

    return port_stream_take(&p->stream, data, size, on_message, p);
}

static void on_drained(void *opaque)
{
    struct port *p = opaque;

    p->ops->drained(p->opaque);
}

static const struct wire_ops wire_ops = {on_received, on_ended, on_drained};

static void open_port(uv_timer_t *timer)
{
    struct port *p = timer->data;
    int fd = open_path(p->path);

    port_stream_reset(&p->stream);
    p->wire = fd < 0 ? NULL : wire_open(p->loop, fd, &wire_ops, p);
    if (p->wire) {
        p->told = false;
        p->ops->opened(p->opaque);
        return;
    }
    if (!p->told)
        log_warn("port '%s' cannot be opened: %s; it is tried again and again", p->path,
                 fd < 0 ? strerror(-fd) : fail_text());
    p->told = true;
    uv_timer_start(&p->retry, open_port, RETRY, 0);
}

void port_init(struct port *p, struct loop *loop, const char *path, const struct port_ops *ops, void *opaque)
{
    *p = (struct port){.loop = loop, .path = path, .ops = ops, .opaque = opaque};
    port_stream_init(&p->stream);
    uv_timer_init(&loop->uv, &p->retry);
    p->retry.data = p;
}

void port_fini(struct port *p)
{
    wire_close(p->wire);
    p->wire = NULL;
    port_stream_fini(&p->stream);
    uv_close((uv_handle_t *)&p->retry, NULL);
}

void port_want(struct port *p, bool wanted)
{
    if (p->wanted == wanted)
        return;
    p->wanted = wanted;
    if (wanted) { /* by the timer: not from within a call that is about the one before */
        uv_timer_start(&p->retry, open_port, 0, 0);
        return;
    }
    uv_timer_stop(&p->retry);
    if (p->wire)
        close_port(p);
}

bool port_is_open(const struct port *p)
{
    return p->wire != NULL;
}

void port_send(struct port *p, uint32_t type, const void *body, uint32_t size)
{
    if (!p->wire)
        return;
    port_write(wire_out(p->wire), type, body, size);
    wire_written(p->wire);
}

bool port_is_full(const struct port *p)
{
    return p->wire && wire_is_full(p->wire);
}

void port_hold(struct port *p, bool hold)
{
    if (p->wire)
        wire_hold(p->wire, hold);
}

void port_drop_client(struct port *p)
{
    port_stream_drop_client(&p->stream);
}
