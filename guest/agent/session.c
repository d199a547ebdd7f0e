#include "guest/agent/session.h"

#include "base/error.h"
#include "base/log.h"

#include <errno.h>

#define RETRY 2000 /* ms */

static void send_message(void *opaque, uint32_t type, const void *body, uint32_t size)
{
    struct session *s = opaque;

    if (!s->wire)
        return;
    link_write(wire_out(s->wire), type, body, size);
    wire_written(s->wire);
}

static void send_screen(struct session *s)
{
    if (!s->wire || !s->screen.width)
        return;
    link_write_screen(wire_out(s->wire), &s->screen);
    wire_written(s->wire);
}

/* --- from the daemon --- */

static void set_client(struct session *s, bool present, uint32_t caps)
{
    if (!present) {
        transfers_drop(&s->transfers);
        desktop_release_buttons(&s->desktop);
    }
    s->transfers.detailed = caps >> VD_AGENT_CAP_FILE_XFER_DETAILED_ERRORS & 1;
    clipboard_set_peer(&s->clipboard, present);
}

static void move_pointer(struct session *s, const uint8_t *body, uint32_t size)
{
    VDAgentMouseState state;

    if (size < sizeof(state))
        return;
    memcpy(&state, body, sizeof(state));
    desktop_move_pointer(&s->desktop, &state, &s->screen);
}

static int on_frame(void *opaque, uint32_t type, const uint8_t *body, uint32_t size)
{
    struct session *s = opaque;

    switch (type) {
    case LINK_HELLO:
        return link_read_hello(body, size);
    case LINK_CLIENT:
        if (size < 8)
            return fail(-EPROTO, "half a frame");
        set_client(s, load_le32(body), load_le32(body + 4));
        break;
    case VD_AGENT_MOUSE_STATE:
        move_pointer(s, body, size);
        break;
    case VD_AGENT_MONITORS_CONFIG:
        desktop_set_monitors(&s->desktop, body, size);
        break;
    case VD_AGENT_FILE_XFER_START:
    case VD_AGENT_FILE_XFER_STATUS:
    case VD_AGENT_FILE_XFER_DATA:
        transfers_message(&s->transfers, type, body, size);
        break;
    default:
        clipboard_message(&s->clipboard, type, body, size);
    }
    return 0;
}

/* --- the link --- */

static int on_received(void *opaque, const uint8_t *data, size_t size)
{
    struct session *s = opaque;

    return link_stream_take(&s->stream, data, size, on_frame, s);
}

static void come(uv_timer_t *timer);

static void on_ended(void *opaque, int err)
{
    struct session *s = opaque;

    log_warn("minivm-agentd has gone%s%s", err ? ": " : "", err ? fail_text() : "");
    wire_close(s->wire);
    s->wire = NULL;
    link_stream_fini(&s->stream);
    set_client(s, false, 0);
    uv_timer_start(&s->retry, come, RETRY, 0);
}

static void on_drained(void *opaque UNUSED)
{
}

static const struct wire_ops wire_ops = {on_received, on_ended, on_drained};

static void come(uv_timer_t *timer)
{
    struct session *s = timer->data;
    int fd = wire_connect(s->socket);

    s->wire = fd < 0 ? NULL : wire_open(s->loop, fd, &wire_ops, s);
    if (s->wire) {
        s->told = false;
        link_stream_init(&s->stream);
        link_write_hello(wire_out(s->wire));
        wire_written(s->wire);
        send_screen(s);
        return;
    }
    if (!s->told)
        log_warn("minivm-agentd at '%s': %s; it is tried again and again", s->socket,
                 fd < 0 ? strerror(-fd) : fail_text());
    s->told = true;
    uv_timer_start(&s->retry, come, RETRY, 0);
}

/* --- the display --- */

static void on_screen(void *opaque, const struct link_screen *screen)
{
    struct session *s = opaque;

    s->screen = *screen;
    send_screen(s);
}

static void on_lost(void *opaque)
{
    struct session *s = opaque;

    log_info("the X server has gone");
    loop_stop(s->loop);
}

/* --- life --- */

int session_init(struct session *s, struct loop *loop, const char *socket, const char *folder, const char *display)
{
    int err;

    *s = (struct session){.loop = loop, .socket = socket};
    clipboard_init(&s->clipboard, send_message, s);
    transfers_init(&s->transfers, folder, send_message, s);
    err = desktop_open(&s->desktop, loop, display, &s->clipboard, on_screen, on_lost, s);
    if (err)
        return err;
    uv_timer_init(&loop->uv, &s->retry);
    s->retry.data = s;
    uv_timer_start(&s->retry, come, 0, 0);
    return 0;
}

void session_fini(struct session *s)
{
    transfers_drop(&s->transfers);
    if (s->wire)
        link_stream_fini(&s->stream);
    wire_close(s->wire);
    s->wire = NULL;
    uv_close((uv_handle_t *)&s->retry, NULL);
    desktop_close(&s->desktop);
}
