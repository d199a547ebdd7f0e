/*
 * What a guest's agent hears: chunks from the host, or frames from a session or the daemon. The first byte says which,
 * the second in what pieces they come. Messages go as far as they do without a display: headers of clipboards, what the
 * clipboard makes of them, monitors, what is said of files, the pointer.
 */
#include "guest/agent/clipboard.h"
#include "guest/agent/clipboard_header.h"
#include "guest/agent/latin1.h"
#include "guest/agent/link.h"
#include "guest/agent/monitors.h"
#include "guest/agent/pointer.h"
#include "guest/agent/port_stream.h"
#include "guest/agent/transfer_request.h"

#include <stdlib.h>

struct fuzz {
    struct clipboard clipboard;
    struct clipboard_header header;
    struct link_screen screen;
    uint32_t buttons;
    unsigned messages;
};

static void send_nothing(void *opaque UNUSED, uint32_t type UNUSED, const void *body UNUSED, uint32_t size UNUSED)
{
}

/* The display answers at once. */
static void own(void *opaque, unsigned selection, uint32_t types)
{
    struct fuzz *f = opaque;

    if (types & 2)
        clipboard_wanted(&f->clipboard, selection, VD_AGENT_CLIPBOARD_UTF8_TEXT);
    else
        clipboard_grabbed(&f->clipboard, selection, types);
}

static void disown(void *opaque, unsigned selection)
{
    clipboard_released(&((struct fuzz *)opaque)->clipboard, selection);
}

static void fetch(void *opaque, unsigned selection, uint32_t type)
{
    clipboard_fetched(&((struct fuzz *)opaque)->clipboard, selection, type, (const uint8_t *)"text", 4);
}

static void supply(void *opaque UNUSED, unsigned selection UNUSED, uint32_t type UNUSED, const uint8_t *data,
                   uint32_t size)
{
    size_t length;

    free(latin1_from_utf8(data, size, &length));
    free(latin1_to_utf8(data, size, &length));
}

static const struct clipboard_display display = {own, disown, fetch, supply};

static void take_clipboard(struct fuzz *f, uint32_t type, const uint8_t *body, uint32_t size)
{
    struct writer in, out;

    writer_init(&in, MIB(1));
    writer_init(&out, MIB(1));
    if (clipboard_from_client(&f->header, type, body, size, &in))
        clipboard_message(&f->clipboard, type, in.data, (uint32_t)in.size);
    clipboard_to_client(&f->header, type, body, size, &out);
    writer_fini(&in);
    writer_fini(&out);
}

static void take_message(struct fuzz *f, uint32_t type, const uint8_t *body, uint32_t size)
{
    struct input_event events[POINTER_MAX_EVENTS];
    struct transfer_request request;
    struct link_screen wish;
    VDAgentMouseState mouse;

    f->messages++;
    if (clipboard_is(type)) {
        take_clipboard(f, type, body, size);
    } else if (type == VD_AGENT_MONITORS_CONFIG) {
        if (monitors_read(body, size, &wish) == 0)
            f->screen = wish;
    } else if (type == VD_AGENT_FILE_XFER_START && size >= 4) {
        transfer_request_read(body + 4, size - 4, &request);
    } else if (type == VD_AGENT_MOUSE_STATE && size >= sizeof(mouse)) {
        memcpy(&mouse, body, sizeof(mouse));
        if (pointer_events(&mouse, f->buttons, &f->screen, events) > POINTER_MAX_EVENTS)
            abort();
        f->buttons = mouse.buttons;
    } else if (type == VD_AGENT_ANNOUNCE_CAPABILITIES && size >= 8) {
        f->header.caps = load_le32(body + 4);
        clipboard_set_client(&f->clipboard, load_le32(body));
    } else if (type == LINK_SCREEN) {
        if (link_read_screen(body, size, &wish) == 0)
            f->screen = wish;
    } else if (type == LINK_HELLO) {
        link_read_hello(body, size);
    }
}

static int on_message(void *opaque, const struct message_rule *rule, const uint8_t *body, uint32_t size)
{
    if (size < rule->min || size > rule->max)
        abort();
    take_message(opaque, rule->type, body, size);
    return 0;
}

static int on_frame(void *opaque, uint32_t type, const uint8_t *body, uint32_t size)
{
    take_message(opaque, type, body, size);
    return 0;
}

static void take_port(struct fuzz *f, const uint8_t *data, size_t size, size_t piece)
{
    struct port_stream s;
    int err = 0;

    port_stream_init(&s);
    for (size_t n; size && !err; data += n, size -= n) {
        n = MIN(piece, size);
        err = port_stream_take(&s, data, n, on_message, f);
    }
    port_stream_fini(&s);
}

static void take_link(struct fuzz *f, const uint8_t *data, size_t size, size_t piece)
{
    struct link_stream s;
    int err = 0;

    link_stream_init(&s);
    for (size_t n; size && !err; data += n, size -= n) {
        n = MIN(piece, size);
        err = link_stream_take(&s, data, n, on_frame, f);
    }
    link_stream_fini(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz f = {.header.caps = UINT32_MAX};

    if (size < 2)
        return 0;
    clipboard_init(&f.clipboard, send_nothing, NULL);
    clipboard_set_display(&f.clipboard, &display, &f);
    clipboard_set_client(&f.clipboard, true);
    (data[0] & 1 ? take_link : take_port)(&f, data + 2, size - 2, data[1] + 1u);
    return 0;
}
