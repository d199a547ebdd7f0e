#include "client/selections.h"

#include "base/log.h"
#include "client/agent.h"

#include <errno.h>
#include <stdlib.h>

static const struct x11_ops x11_ops;

static bool may(const struct selections *s, unsigned way)
{
    return s->ways & way;
}

/* --- to the guest --- */

static void send_message(void *opaque, uint32_t type, const void *body, uint32_t size)
{
    struct selections *s = opaque;
    struct writer out;

    if (!s->agent || (type == VD_AGENT_CLIPBOARD_GRAB && !may(s, SELECTIONS_TO_GUEST)))
        return;
    writer_init(&out, CLIPBOARD_MAX + KIB(1));
    if (clipboard_to_peer(&s->header, type, body, size, &out))
        agent_say(s->agent, type, out.data, (uint32_t)out.size);
    writer_fini(&out);
}

/* --- from the guest --- */

/* What it may not have it is told that there is none of. */
static void refuse(struct selections *s, const struct writer *message)
{
    uint32_t selection = load_le32(message->data);

    if (selection < CLIPBOARD_SHARED)
        clipboard_fetched(&s->clipboard, selection, VD_AGENT_CLIPBOARD_NONE, NULL, 0);
}

void selections_hear(struct selections *s, uint32_t type, const uint8_t *body, uint32_t size)
{
    struct writer in;

    if (!s->agent || (type == VD_AGENT_CLIPBOARD_GRAB && !may(s, SELECTIONS_FROM_GUEST)))
        return;
    writer_init(&in, CLIPBOARD_MAX + KIB(1));
    if (!clipboard_from_peer(&s->header, type, body, size, &in))
        ;
    else if (type == VD_AGENT_CLIPBOARD_REQUEST && !may(s, SELECTIONS_TO_GUEST))
        refuse(s, &in);
    else
        clipboard_message(&s->clipboard, type, in.data, (uint32_t)in.size);
    writer_fini(&in);
}

void selections_set_agent(struct selections *s, struct agent *a, uint32_t caps)
{
    bool shares = s->open && a && caps >> VD_AGENT_CAP_CLIPBOARD_BY_DEMAND & 1;

    if (s->agent == a && s->header.caps == caps)
        return;
    clipboard_set_peer(&s->clipboard, false);
    s->agent = shares ? a : NULL;
    s->header = (struct clipboard_header){.caps = caps, .wins = true};
    clipboard_set_peer(&s->clipboard, shares);
}

/* --- life --- */

int selections_open(struct selections *s, struct loop *loop, unsigned ways)
{
    int err;

    *s = (struct selections){.ways = ways};
    clipboard_init(&s->clipboard, send_message, s);
    err = ways ? x11_open(&s->x11, loop, NULL, &s->clipboard, &x11_ops, s) : 0;
    s->open = ways && !err;
    return err;
}

void selections_close(struct selections *s)
{
    if (s->open)
        x11_close(&s->x11);
    s->open = false;
}
