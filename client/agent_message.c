#include "client/agent_message.h"

#include "base/error.h"
#include "base/log.h"

#include <errno.h>
#include <spice/vd_agent.h>

#define HEAD ((size_t)sizeof(VDAgentMessage))

void agent_reader_init(struct agent_reader *r)
{
    *r = (struct agent_reader){0};
    writer_init(&r->got, HEAD + AGENT_MAX_MESSAGE);
}

void agent_reader_fini(struct agent_reader *r)
{
    writer_fini(&r->got);
}

/* Up to `until` bytes of a message are wanted: take them as far as there are. */
static void take(struct agent_reader *r, struct reader *in, size_t until)
{
    size_t n = until > r->got.size ? MIN(until - r->got.size, reader_left(in)) : 0;

    writer_bytes(&r->got, reader_bytes(in, n), n);
}

static void skip(struct agent_reader *r, struct reader *in)
{
    size_t n = (size_t)MIN(r->skip, reader_left(in));

    reader_bytes(in, n);
    r->skip -= n;
}

/* The header is whole. */
static int take_body(struct agent_reader *r, struct reader *in, agent_message_fn *fn, void *opaque)
{
    VDAgentMessage head;
    int err;

    memcpy(&head, r->got.data, HEAD);
    if (head.protocol != VD_AGENT_PROTOCOL)
        return fail(-EBADMSG, "the guest's agent speaks protocol %u, not %u", head.protocol, VD_AGENT_PROTOCOL);
    if (head.size > AGENT_MAX_MESSAGE) {
        log_once(LOG_WARN, "a message of %u bytes from the guest's agent is passed over: %zu are the most", head.size,
                 (size_t)AGENT_MAX_MESSAGE);
        r->skip = head.size;
        writer_reset(&r->got);
        return 0;
    }
    take(r, in, HEAD + head.size);
    if (r->got.bad)
        return -ENOMEM;
    if (r->got.size < HEAD + head.size)
        return 0;
    err = fn(opaque, head.type, r->got.data + HEAD, head.size);
    writer_trim(&r->got, KIB(4));
    return err;
}

int agent_read(struct agent_reader *r, const uint8_t *data, size_t size, agent_message_fn *fn, void *opaque)
{
    struct reader in;
    int err = 0;

    reader_init(&in, data, size);
    while (!err && reader_left(&in)) {
        skip(r, &in);
        take(r, &in, HEAD);
        if (r->got.bad)
            return -ENOMEM;
        if (r->got.size >= HEAD)
            err = take_body(r, &in, fn, opaque);
    }
    return err;
}

void agent_message_begin(struct writer *w, uint32_t type)
{
    writer_u32(w, VD_AGENT_PROTOCOL);
    writer_u32(w, type);
    writer_u64(w, 0);
    writer_u32(w, 0);
}

void agent_message_end(struct writer *w)
{
    if (!w->bad)
        store_le32(w->data + offsetof(VDAgentMessage, size), (uint32_t)(w->size - HEAD));
}
