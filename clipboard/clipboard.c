#include "clipboard/clipboard.h"

#include "base/log.h"

#include <stdlib.h>

void clipboard_init(struct clipboard *c, clipboard_send_fn *send, void *opaque)
{
    *c = (struct clipboard){.send = send, .send_opaque = opaque, .max = -1};
}

void clipboard_set_display(struct clipboard *c, const struct clipboard_display *display, void *opaque)
{
    c->display = display;
    c->display_opaque = opaque;
}

/* --- to the peer --- */

static void send_grab(struct clipboard *c, uint32_t selection)
{
    uint8_t body[4 + 32 * 4];
    uint32_t size = 4, types = c->selections[selection].types;

    store_le32(body, selection);
    for (uint32_t type = 0; type < 32; type++)
        if (types >> type & 1) {
            store_le32(body + size, type);
            size += 4;
        }
    c->send(c->send_opaque, VD_AGENT_CLIPBOARD_GRAB, body, size);
}

static void send_content(struct clipboard *c, uint32_t selection, uint32_t type, const uint8_t *data, uint32_t size)
{
    uint8_t *body = malloc(8 + (size_t)size);

    if (!body)
        return;
    store_le32(body, selection);
    store_le32(body + 4, type);
    if (size)
        memcpy(body + 8, data, size);
    c->send(c->send_opaque, VD_AGENT_CLIPBOARD, body, 8 + size);
    free(body);
}

static void send_short(struct clipboard *c, uint32_t message, uint32_t selection, uint32_t type, uint32_t size)
{
    uint8_t body[8];

    store_le32(body, selection);
    store_le32(body + 4, type);
    c->send(c->send_opaque, message, body, size);
}

/* --- from the peer --- */

static void take_grab(struct clipboard *c, unsigned selection, struct reader *r)
{
    uint32_t types = 0;

    while (reader_left(r) >= 4) {
        uint32_t type = reader_u32(r);

        if (type < 32)
            types |= 1u << type & CLIPBOARD_TYPES;
    }
    c->selections[selection].owner = CLIPBOARD_PEERS;
    c->selections[selection].types = types;
    c->display->own(c->display_opaque, selection, types);
}

static void take_release(struct clipboard *c, unsigned selection)
{
    if (c->selections[selection].owner != CLIPBOARD_PEERS)
        return;
    c->selections[selection].owner = CLIPBOARD_NOBODY;
    c->display->disown(c->display_opaque, selection);
}

static void take_request(struct clipboard *c, unsigned selection, uint32_t type)
{
    if (c->selections[selection].owner == CLIPBOARD_OURS && type < 32 && c->selections[selection].types >> type & 1)
        c->display->fetch(c->display_opaque, selection, type);
    else
        send_short(c, VD_AGENT_CLIPBOARD, selection, VD_AGENT_CLIPBOARD_NONE, 8);
}

void clipboard_message(struct clipboard *c, uint32_t type, const uint8_t *body, uint32_t size)
{
    struct reader r;
    uint32_t first, content;

    reader_init(&r, body, size);
    first = reader_u32(&r);
    if (type == VD_AGENT_MAX_CLIPBOARD)
        c->max = r.bad ? -1 : (int32_t)first;
    if (type == VD_AGENT_MAX_CLIPBOARD || r.bad || first >= CLIPBOARD_SHARED || !c->display)
        return;
    if (type == VD_AGENT_CLIPBOARD_GRAB) {
        take_grab(c, first, &r);
    } else if (type == VD_AGENT_CLIPBOARD_RELEASE) {
        take_release(c, first);
    } else {
        content = reader_u32(&r);
        if (type == VD_AGENT_CLIPBOARD_REQUEST && !r.bad)
            take_request(c, first, content);
        else if (type == VD_AGENT_CLIPBOARD && !r.bad)
            c->display->supply(c->display_opaque, first, content, r.p, (uint32_t)reader_left(&r));
    }
}

void clipboard_set_peer(struct clipboard *c, bool present)
{
    bool came = present && !c->peer;

    c->peer = present;
    if (!present)
        c->max = -1;
    for (unsigned i = 0; i < CLIPBOARD_SHARED; i++) {
        if (came && c->selections[i].owner == CLIPBOARD_OURS)
            send_grab(c, i);
        if (!present && c->display)
            take_release(c, i);
    }
}

/* --- from the display --- */

void clipboard_grabbed(struct clipboard *c, unsigned selection, uint32_t types)
{
    if (!types) {
        clipboard_released(c, selection);
        return;
    }
    c->selections[selection].owner = CLIPBOARD_OURS;
    c->selections[selection].types = types;
    if (c->peer)
        send_grab(c, selection);
}

void clipboard_released(struct clipboard *c, unsigned selection)
{
    bool was_ours = c->selections[selection].owner == CLIPBOARD_OURS;

    c->selections[selection].owner = CLIPBOARD_NOBODY;
    if (was_ours && c->peer)
        send_short(c, VD_AGENT_CLIPBOARD_RELEASE, selection, 0, 4);
}

void clipboard_wanted(struct clipboard *c, unsigned selection, uint32_t type)
{
    send_short(c, VD_AGENT_CLIPBOARD_REQUEST, selection, type, 8);
}

void clipboard_fetched(struct clipboard *c, unsigned selection, uint32_t type, const uint8_t *data, size_t size)
{
    if (!c->peer)
        return;
    if (size > CLIPBOARD_MAX || (c->max >= 0 && size > (uint64_t)c->max)) {
        log_warn("what was copied is %zu bytes long, too much for the other end", size);
        send_short(c, VD_AGENT_CLIPBOARD, selection, VD_AGENT_CLIPBOARD_NONE, 8);
        return;
    }
    send_content(c, selection, type, data, (uint32_t)size);
}
