#include "guest/agent/clipboard_header.h"

bool clipboard_is(uint32_t type)
{
    return type == VD_AGENT_CLIPBOARD || type == VD_AGENT_CLIPBOARD_GRAB || type == VD_AGENT_CLIPBOARD_REQUEST ||
           type == VD_AGENT_CLIPBOARD_RELEASE;
}

static bool can(const struct clipboard_header *h, unsigned cap)
{
    return h->caps >> cap & 1;
}

/* The client's grab is the newest one. */
static bool count_client_grab(struct clipboard_header *h, uint32_t selection, uint32_t serial)
{
    uint32_t *own = &h->serials[selection];

    if (serial == *own)
        ++*own;
    else if (serial != *own - 1)
        return false;
    return true;
}

bool clipboard_from_client(struct clipboard_header *h, uint32_t type, const uint8_t *body, uint32_t size,
                           struct writer *out)
{
    struct reader r;
    uint32_t selection = VD_AGENT_CLIPBOARD_SELECTION_CLIPBOARD, serial = 0;
    bool grabs = type == VD_AGENT_CLIPBOARD_GRAB, counts = grabs && can(h, VD_AGENT_CAP_CLIPBOARD_GRAB_SERIAL);

    reader_init(&r, body, size);
    if (can(h, VD_AGENT_CAP_CLIPBOARD_SELECTION))
        selection = reader_u32(&r) & 0xff;
    if (counts)
        serial = reader_u32(&r);
    if (r.bad || selection >= CLIPBOARD_SELECTIONS || (counts && !count_client_grab(h, selection, serial)))
        return false;
    if (grabs)
        h->grabbed[selection] = false;
    writer_u32(out, selection);
    writer_bytes(out, r.p, reader_left(&r));
    return !out->bad;
}

bool clipboard_to_client(struct clipboard_header *h, uint32_t type, const uint8_t *body, uint32_t size,
                         struct writer *out)
{
    bool selections = can(h, VD_AGENT_CAP_CLIPBOARD_SELECTION), grabs = type == VD_AGENT_CLIPBOARD_GRAB;
    struct reader r;
    uint32_t selection;

    reader_init(&r, body, size);
    selection = reader_u32(&r);
    if (!can(h, VD_AGENT_CAP_CLIPBOARD_BY_DEMAND) || r.bad || selection >= CLIPBOARD_SELECTIONS ||
        (!selections && selection != VD_AGENT_CLIPBOARD_SELECTION_CLIPBOARD))
        return false;
    if (grabs || type == VD_AGENT_CLIPBOARD_RELEASE)
        h->grabbed[selection] = grabs;
    if (selections)
        writer_u32(out, selection);
    if (grabs && can(h, VD_AGENT_CAP_CLIPBOARD_GRAB_SERIAL))
        writer_u32(out, h->serials[selection]++);
    writer_bytes(out, r.p, reader_left(&r));
    return !out->bad;
}
