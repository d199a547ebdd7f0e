#include "guest/agent/port_stream.h"

#include "base/error.h"
#include "base/log.h"

#include <errno.h>

#define KEEP_BODY KIB(64) /* of memory, from one message to the next */

void port_stream_init(struct port_stream *s)
{
    *s = (struct port_stream){0};
    for (unsigned i = 0; i < VDP_END_PORT; i++)
        writer_init(&s->parts[i].body, CLIPBOARD_MAX + KIB(1));
}

void port_stream_fini(struct port_stream *s)
{
    for (unsigned i = 0; i < VDP_END_PORT; i++)
        writer_fini(&s->parts[i].body);
}

static void drop(struct port_part *part)
{
    part->have = 0;
    part->skip = 0;
    writer_trim(&part->body, KEEP_BODY);
}

void port_stream_reset(struct port_stream *s)
{
    s->have = s->left = 0;
    for (unsigned i = 0; i < VDP_END_PORT; i++)
        drop(&s->parts[i]);
}

void port_stream_drop_client(struct port_stream *s)
{
    drop(&s->parts[VDP_CLIENT_PORT]);
}

/* --- messages --- */

static uint32_t message_type(const struct port_part *part)
{
    return load_le32(part->head + offsetof(VDAgentMessage, type));
}

/* The head is complete: is the rest wanted? */
static void begin_message(struct port_part *part)
{
    const struct message_rule *rule = message_find(message_type(part));
    uint32_t size = load_le32(part->head + offsetof(VDAgentMessage, size));

    part->body_size = size;
    if (rule && load_le32(part->head) == VD_AGENT_PROTOCOL && size >= rule->min && size <= rule->max)
        return;
    if (rule)
        log_once(LOG_WARN, "a message %s of %u bytes is skipped: it may have %u to %u", rule->name, size, rule->min,
                 rule->max);
    else
        log_once(LOG_INFO, "messages of type %u are skipped: there is no use for them", message_type(part));
    part->skip = size;
    if (!size)
        drop(part);
}

static int end_message(struct port_part *part, port_message_fn *fn, void *opaque)
{
    const struct message_rule *rule = message_find(message_type(part));
    int err = 0;

    if (part->body.bad)
        log_warn("no memory for a message %s of %u bytes", rule->name, part->body_size);
    else
        err = fn(opaque, rule, part->body.data, part->body_size);
    if (!err)
        drop(part);
    return err;
}

/* Takes some of the bytes, at least one; *used says how many. */
static int take_some(struct port_part *part, const uint8_t *data, uint32_t size, uint32_t *used, port_message_fn *fn,
                     void *opaque)
{
    bool in_head = part->have < sizeof(part->head);

    if (part->skip) {
        *used = (uint32_t)MIN(part->skip, size);
        part->skip -= *used;
        if (!part->skip)
            drop(part);
        return 0;
    }
    if (in_head) {
        *used = MIN((uint32_t)sizeof(part->head) - part->have, size);
        memcpy(part->head + part->have, data, *used);
        part->have += *used;
        if (part->have < sizeof(part->head))
            return 0;
        begin_message(part);
        if (part->skip || part->have < sizeof(part->head))
            return 0;
    } else {
        *used = (uint32_t)MIN(part->body_size - part->body.size, size);
        writer_bytes(&part->body, data, *used);
    }
    return part->body.bad || part->body.size == part->body_size ? end_message(part, fn, opaque) : 0;
}

/* --- chunks --- */

static int take_chunk_header(struct port_stream *s, const uint8_t *data, size_t size, uint32_t *used)
{
    uint32_t port;

    *used = (uint32_t)MIN(sizeof(s->chunk) - s->have, size);
    memcpy(s->chunk + s->have, data, *used);
    s->have += *used;
    if (s->have < sizeof(s->chunk))
        return 0;
    port = load_le32(s->chunk);
    s->left = load_le32(s->chunk + offsetof(VDIChunkHeader, size));
    if (port < VDP_CLIENT_PORT || port >= VDP_END_PORT || s->left > PORT_MAX_CHUNK)
        return fail(-EPROTO, "a chunk of %u bytes for port %u is none", s->left, port);
    if (!s->left)
        s->have = 0;
    return 0;
}

static int take_chunk(struct port_stream *s, const uint8_t *data, size_t size, uint32_t *used, port_message_fn *fn,
                      void *opaque)
{
    struct port_part *part = &s->parts[load_le32(s->chunk)];
    int err = take_some(part, data, (uint32_t)MIN(s->left, size), used, fn, opaque);

    if (err)
        return err;
    s->left -= *used;
    if (!s->left)
        s->have = 0;
    return 0;
}

int port_stream_take(struct port_stream *s, const uint8_t *data, size_t size, port_message_fn *fn, void *opaque)
{
    int err = 0;

    for (uint32_t used; size && !err; data += used, size -= used)
        err = s->have < sizeof(s->chunk) ? take_chunk_header(s, data, size, &used)
                                         : take_chunk(s, data, size, &used, fn, opaque);
    return err;
}

/* --- out --- */

static void write_chunk_header(struct writer *out, uint32_t size)
{
    writer_u32(out, VDP_CLIENT_PORT);
    writer_u32(out, size);
}

void port_write(struct writer *out, uint32_t type, const void *body, uint32_t size)
{
    const VDAgentMessage head = {.protocol = VD_AGENT_PROTOCOL, .type = type, .size = size};
    const uint8_t *p = body;
    uint32_t n = MIN(size, PORT_OUT_CHUNK - (uint32_t)sizeof(head));

    write_chunk_header(out, (uint32_t)sizeof(head) + n);
    writer_bytes(out, &head, sizeof(head));
    writer_bytes(out, p, n);
    for (p += n, size -= n; size; p += n, size -= n) {
        n = MIN(size, PORT_OUT_CHUNK);
        write_chunk_header(out, n);
        writer_bytes(out, p, n);
    }
}
