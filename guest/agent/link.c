#include "guest/agent/link.h"

#include "base/error.h"

#include <errno.h>

#define KEEP_BODY   KIB(64)
#define MAX_DESKTOP 65536 /* pixels, each way */

void link_stream_init(struct link_stream *s)
{
    *s = (struct link_stream){0};
    writer_init(&s->body, CLIPBOARD_MAX + KIB(1));
}

void link_stream_fini(struct link_stream *s)
{
    writer_fini(&s->body);
}

static uint32_t max_size(uint32_t type)
{
    const struct message_rule *rule = message_find(type);

    return type >= LINK_HELLO && type < LINK_END_TYPE ? sizeof(struct link_screen)
           : rule                                     ? rule->max
           : type == VD_AGENT_REPLY                   ? sizeof(VDAgentReply)
                                                      : 0;
}

static int check_head(const struct link_stream *s)
{
    uint32_t type = load_le32(s->head), size = load_le32(s->head + 4);

    return size <= max_size(type) ? 0 : fail(-EPROTO, "a frame of type %u with %u bytes is none", type, size);
}

int link_stream_take(struct link_stream *s, const uint8_t *data, size_t size, link_frame_fn *fn, void *opaque)
{
    int err = 0;

    while (size && !err) {
        bool in_head = s->have < sizeof(s->head);
        size_t missing = in_head ? sizeof(s->head) - s->have : load_le32(s->head + 4) - s->body.size;
        size_t n = MIN(missing, size);

        if (in_head) {
            memcpy(s->head + s->have, data, n);
            s->have += (uint32_t)n;
            if (s->have == sizeof(s->head))
                err = check_head(s);
        } else {
            writer_bytes(&s->body, data, n);
        }
        data += n;
        size -= n;
        if (err || s->have < sizeof(s->head) || s->body.size < load_le32(s->head + 4))
            err = err ? err : s->body.bad ? fail(-ENOMEM, "no memory for a frame") : 0;
        else if (!(err = fn(opaque, load_le32(s->head), s->body.data, (uint32_t)s->body.size))) {
            s->have = 0;
            writer_trim(&s->body, KEEP_BODY);
        }
    }
    return err;
}

void link_write(struct writer *out, uint32_t type, const void *body, uint32_t size)
{
    writer_u32(out, type);
    writer_u32(out, size);
    writer_bytes(out, body, size);
}

void link_write_hello(struct writer *out)
{
    uint8_t body[8];

    store_le32(body, LINK_MAGIC);
    store_le32(body + 4, LINK_VERSION);
    link_write(out, LINK_HELLO, body, sizeof(body));
}

void link_write_client(struct writer *out, bool present, uint32_t caps)
{
    uint8_t body[8];

    store_le32(body, present);
    store_le32(body + 4, caps);
    link_write(out, LINK_CLIENT, body, sizeof(body));
}

void link_write_screen(struct writer *out, const struct link_screen *screen)
{
    writer_u32(out, LINK_SCREEN);
    writer_u32(out, 12 + 16 * screen->count);
    writer_u32(out, screen->width);
    writer_u32(out, screen->height);
    writer_u32(out, screen->count);
    for (uint32_t i = 0; i < screen->count; i++) {
        writer_u32(out, (uint32_t)screen->monitors[i].x);
        writer_u32(out, (uint32_t)screen->monitors[i].y);
        writer_u32(out, screen->monitors[i].width);
        writer_u32(out, screen->monitors[i].height);
    }
}

int link_read_hello(const uint8_t *body, uint32_t size)
{
    if (size < 8 || load_le32(body) != LINK_MAGIC)
        return fail(-EPROTO, "it does not speak the agent's protocol");
    if (load_le32(body + 4) != LINK_VERSION)
        return fail(-EPROTO, "it speaks version %u, not %u; start it anew", load_le32(body + 4), LINK_VERSION);
    return 0;
}

static bool fits(const struct link_monitor *m, const struct link_screen *screen)
{
    return m->x >= 0 && m->y >= 0 && m->width <= screen->width && m->height <= screen->height &&
           (uint32_t)m->x <= screen->width - m->width && (uint32_t)m->y <= screen->height - m->height;
}

int link_read_screen(const uint8_t *body, uint32_t size, struct link_screen *screen)
{
    struct reader r;
    bool sane;

    reader_init(&r, body, size);
    *screen = (struct link_screen){.width = reader_u32(&r), .height = reader_u32(&r)};
    screen->count = reader_u32(&r);
    sane = screen->width && screen->width <= MAX_DESKTOP && screen->height && screen->height <= MAX_DESKTOP &&
           screen->count <= MESSAGE_MAX_MONITORS;
    for (uint32_t i = 0; sane && i < screen->count; i++) {
        struct link_monitor *m = &screen->monitors[i];

        m->x = (int32_t)reader_u32(&r);
        m->y = (int32_t)reader_u32(&r);
        m->width = reader_u32(&r);
        m->height = reader_u32(&r);
        sane = fits(m, screen);
    }
    return sane && !r.bad && reader_left(&r) == 0 ? 0 : fail(-EPROTO, "an impossible screen");
}
