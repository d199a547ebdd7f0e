/*
 * The agent's port and link: chunks and frames become messages, whatever pieces they come in
 * (guest/agent/port_stream.h, link.h).
 */
#include "base/error.h"
#include "clipboard/header.h"
#include "guest/agent/link.h"
#include "guest/agent/port_stream.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

struct heard {
    unsigned count;
    uint32_t type, size;
    uint8_t first, last;
    int answer;
};

static int hear(void *opaque, const struct message_rule *rule, const uint8_t *body, uint32_t size)
{
    struct heard *h = opaque;

    h->count++;
    h->type = rule->type;
    h->size = size;
    h->first = size ? body[0] : 0;
    h->last = size ? body[size - 1] : 0;
    return h->answer;
}

static int hear_frame(void *opaque, uint32_t type, const uint8_t *body, uint32_t size)
{
    return hear(opaque, &(struct message_rule){.type = type}, body, size);
}

static void put_chunk(struct writer *w, uint32_t port, const void *data, uint32_t size)
{
    writer_u32(w, port);
    writer_u32(w, size);
    writer_bytes(w, data, size);
}

static void put_message(struct writer *w, uint32_t port, uint32_t type, const void *body, uint32_t size)
{
    uint8_t data[256] = {0};
    const VDAgentMessage head = {.protocol = VD_AGENT_PROTOCOL, .type = type, .size = size};

    memcpy(data, &head, sizeof(head));
    memcpy(data + sizeof(head), body, size);
    put_chunk(w, port, data, (uint32_t)sizeof(head) + size);
}

static struct writer new_writer(void)
{
    struct writer w;

    writer_init(&w, MIB(80));
    return w;
}

/* In pieces of so many bytes. */
static int take(struct port_stream *s, const struct writer *w, size_t piece, struct heard *h)
{
    int err = 0;

    for (size_t at = 0; at < w->size && !err; at += piece)
        err = port_stream_take(s, w->data + at, MIN(piece, w->size - at), hear, h);
    return err;
}

static void test_pieces(void **state UNUSED)
{
    static uint8_t body[5000] = {[4] = 'a', [4999] = 'z'};
    struct writer w = new_writer();
    struct port_stream s;

    body[0] = 7;
    port_write(&w, VD_AGENT_CLIPBOARD, body, sizeof(body));
    assert_int_equal(w.size, sizeof(body) + sizeof(VDAgentMessage) + 3 * sizeof(VDIChunkHeader));
    assert_int_equal(load_le32(w.data + 4), VD_AGENT_MAX_DATA_SIZE); /* the header counts */
    port_stream_init(&s);
    for (size_t piece = 1; piece < 6000; piece = piece * 3 / 2 + 1) {
        struct heard h = {0};

        assert_int_equal(take(&s, &w, piece, &h), 0);
        assert_true(h.count == 1 && h.type == VD_AGENT_CLIPBOARD && h.size == sizeof(body) && h.first == 7 &&
                    h.last == 'z');
    }
    port_stream_fini(&s);
    writer_fini(&w);
}

/* The server's own messages come between the client's chunks. */
static void test_two_ports(void **state UNUSED)
{
    const VDAgentMessage head = {.protocol = VD_AGENT_PROTOCOL, .type = VD_AGENT_CLIPBOARD, .size = 10};
    const VDAgentMouseState mouse = {.x = 5};
    struct writer w = new_writer();
    struct port_stream s;
    struct heard h = {0};

    port_stream_init(&s);
    put_chunk(&w, VDP_CLIENT_PORT, &head, sizeof(head));
    put_chunk(&w, VDP_CLIENT_PORT, "01234", 5);
    put_message(&w, VDP_SERVER_PORT, VD_AGENT_MOUSE_STATE, &mouse, sizeof(mouse));
    assert_int_equal(take(&s, &w, w.size, &h), 0);
    assert_true(h.count == 1 && h.type == VD_AGENT_MOUSE_STATE && h.first == 5);
    writer_reset(&w);
    put_chunk(&w, VDP_CLIENT_PORT, "56789", 5);
    assert_int_equal(take(&s, &w, w.size, &h), 0);
    assert_true(h.count == 2 && h.type == VD_AGENT_CLIPBOARD && h.size == 10 && h.last == '9');
    port_stream_fini(&s);
    writer_fini(&w);
}

/* Half a message is dropped with its client, or with the port: the next one begins anew. */
static void test_halves(void **state UNUSED)
{
    const VDAgentMessage head = {.protocol = VD_AGENT_PROTOCOL, .type = VD_AGENT_CLIPBOARD, .size = 100};
    const VDAgentMaxClipboard max = {3};
    struct writer half = new_writer(), whole = new_writer();
    struct port_stream s;
    struct heard h = {0};

    port_stream_init(&s);
    put_chunk(&half, VDP_CLIENT_PORT, &head, sizeof(head));
    put_message(&whole, VDP_CLIENT_PORT, VD_AGENT_MAX_CLIPBOARD, &max, sizeof(max));
    assert_int_equal(take(&s, &half, half.size, &h), 0);
    port_stream_drop_client(&s);
    assert_int_equal(take(&s, &whole, 3, &h), 0);
    assert_true(h.count == 1 && h.type == VD_AGENT_MAX_CLIPBOARD);
    for (size_t cut = 1; cut < half.size; cut++) {
        assert_int_equal(port_stream_take(&s, half.data, cut, hear, &h), 0);
        port_stream_reset(&s);
        assert_int_equal(take(&s, &whole, whole.size, &h), 0);
        assert_int_equal(h.count, 1 + cut);
    }
    port_stream_fini(&s);
    writer_fini(&half);
    writer_fini(&whole);
}

/* What is too long, too short, unknown or of another protocol is skipped, and what follows is heard. */
static void test_skipped(void **state UNUSED)
{
    static const struct {
        uint32_t protocol, type, size;
    } bad[] = {{VD_AGENT_PROTOCOL, VD_AGENT_CLIPBOARD, CLIPBOARD_MAX + 13},
               {VD_AGENT_PROTOCOL, VD_AGENT_MOUSE_STATE, 12},
               {VD_AGENT_PROTOCOL, VD_AGENT_CLIENT_DISCONNECTED, 1},
               {VD_AGENT_PROTOCOL, 4711, 0},
               {VD_AGENT_PROTOCOL, VD_AGENT_AUDIO_VOLUME_SYNC, 11},
               {2, VD_AGENT_MAX_CLIPBOARD, 4}};
    const VDAgentMaxClipboard max = {3};
    struct writer w = new_writer();
    struct port_stream s;

    port_stream_init(&s);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        const VDAgentMessage head = {.protocol = bad[i].protocol, .type = bad[i].type, .size = bad[i].size};
        uint8_t *nothing = calloc(1, PORT_MAX_CHUNK);
        struct heard h = {0};

        writer_reset(&w);
        put_chunk(&w, VDP_CLIENT_PORT, &head, sizeof(head));
        for (uint32_t left = bad[i].size, n; left; left -= n) {
            n = (uint32_t)MIN(left, PORT_MAX_CHUNK);
            put_chunk(&w, VDP_CLIENT_PORT, nothing, n);
        }
        put_message(&w, VDP_CLIENT_PORT, VD_AGENT_MAX_CLIPBOARD, &max, sizeof(max));
        assert_int_equal(take(&s, &w, 60000, &h), 0);
        assert_true(h.count == 1 && h.type == VD_AGENT_MAX_CLIPBOARD);
        assert_true(s.parts[VDP_CLIENT_PORT].body.capacity <= KIB(64));
        free(nothing);
    }
    port_stream_fini(&s);
    writer_fini(&w);
}

static void test_no_chunks(void **state UNUSED)
{
    static const uint32_t bad[][2] = {
        {0, 8}, {VDP_END_PORT, 8}, {UINT32_MAX, 8}, {1, PORT_MAX_CHUNK + 1}, {1, UINT32_MAX}};

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct heard h = {0};
        struct port_stream s;

        port_stream_init(&s);
        assert_int_equal(port_stream_take(&s, (const uint8_t *)bad[i], 8, hear, &h), -EPROTO);
        port_stream_fini(&s);
    }
}

/* Whoever has closed the port in the call ends it. */
static void test_ended_by_message(void **state UNUSED)
{
    const VDAgentMaxClipboard max = {3};
    struct writer w = new_writer();
    struct heard h = {.answer = -ECANCELED};
    struct port_stream s;

    port_stream_init(&s);
    for (int i = 0; i < 2; i++)
        put_message(&w, VDP_CLIENT_PORT, VD_AGENT_MAX_CLIPBOARD, &max, sizeof(max));
    assert_int_equal(take(&s, &w, w.size, &h), -ECANCELED);
    assert_int_equal(h.count, 1);
    port_stream_fini(&s);
    writer_fini(&w);
}

/* --- the link --- */

static void test_frames(void **state UNUSED)
{
    const struct link_screen screen = {1920, 1080, 2, {{0, 0, 800, 600}, {800, 10, 1024, 768}}};
    struct link_screen read;
    struct writer w = new_writer();
    struct link_stream s;
    struct heard h = {0};

    link_stream_init(&s);
    link_write_hello(&w);
    link_write_screen(&w, &screen);
    link_write_client(&w, true, 0x1234);
    for (size_t i = 0; i < w.size; i++)
        assert_int_equal(link_stream_take(&s, w.data + i, 1, hear_frame, &h), 0);
    assert_true(h.count == 3 && h.type == LINK_CLIENT && h.size == 8);
    assert_int_equal(link_read_hello(w.data + 8, 8), 0);
    assert_int_equal(link_read_screen(w.data + 24, 12 + 32, &read), 0);
    assert_memory_equal(&read, &screen, sizeof(screen));
    link_stream_fini(&s);
    writer_fini(&w);
}

static void test_bad_frames(void **state UNUSED)
{
    static const uint32_t heads[][2] = {{VD_AGENT_FILE_XFER_STATUS, 73}, {VD_AGENT_CLIPBOARD, UINT32_MAX},
                                        {4711, 1}, {LINK_END_TYPE, 1}, {LINK_SCREEN, sizeof(struct link_screen) + 1}};
    static const uint32_t screens[][7] = {{0, 600, 0},
                                          {800, 600, 17},
                                          {70000, 600, 0},
                                          {800, 600, 1, 1, 0, 800, 600},
                                          {800, 600, 1, UINT32_MAX, 0, 10, 10},
                                          {800, 600, 1, 0, 0, UINT32_MAX, 10}};
    struct link_screen screen;
    struct heard h = {0};

    for (size_t i = 0; i < ARRAY_SIZE(heads); i++) {
        struct link_stream s;

        link_stream_init(&s);
        assert_int_equal(link_stream_take(&s, (const uint8_t *)heads[i], 8, hear_frame, &h), -EPROTO);
        link_stream_fini(&s);
    }
    for (size_t i = 0; i < ARRAY_SIZE(screens); i++)
        assert_int_equal(link_read_screen((const uint8_t *)screens[i], screens[i][2] == 1 ? 28 : 12, &screen), -EPROTO);
    assert_int_equal(link_read_hello((const uint8_t *)heads, 8), -EPROTO);
    assert_int_equal(link_read_hello((const uint8_t *)heads, 7), -EPROTO);
    assert_int_equal(h.count, 0);
}

/* --- the clipboard's headers --- */

#define CAPS (1u << VD_AGENT_CAP_CLIPBOARD_BY_DEMAND | 1u << VD_AGENT_CAP_CLIPBOARD_SELECTION | \
              1u << VD_AGENT_CAP_CLIPBOARD_GRAB_SERIAL)

static const uint8_t *words(const uint32_t *list)
{
    return (const uint8_t *)list;
}

static void test_serials(void **state UNUSED)
{
    const uint32_t grab[] = {1, VD_AGENT_CLIPBOARD_UTF8_TEXT};
    struct clipboard_header h = {.caps = CAPS};
    struct writer w = new_writer();

    assert_true(clipboard_to_peer(&h, VD_AGENT_CLIPBOARD_GRAB, words(grab), 8, &w));
    assert_true(w.size == 12 && load_le32(w.data) == 1 && load_le32(w.data + 4) == 0 && h.grabbed[1]);
    writer_reset(&w);
    /* The two have crossed each other: the client's wins. */
    assert_true(clipboard_from_peer(&h, VD_AGENT_CLIPBOARD_GRAB, words((uint32_t[]){1, 0, 1}), 12, &w));
    assert_true(w.size == 8 && load_le32(w.data) == 1 && load_le32(w.data + 4) == 1 && !h.grabbed[1]);
    writer_reset(&w);
    assert_true(clipboard_from_peer(&h, VD_AGENT_CLIPBOARD_GRAB, words((uint32_t[]){1, 1, 1}), 12, &w));
    writer_reset(&w);
    assert_false(clipboard_from_peer(&h, VD_AGENT_CLIPBOARD_GRAB, words((uint32_t[]){1, 0, 1}), 12, &w)); /* late */
    assert_false(clipboard_from_peer(&h, VD_AGENT_CLIPBOARD_GRAB, words((uint32_t[]){1, 7, 1}), 12, &w));
    assert_true(clipboard_to_peer(&h, VD_AGENT_CLIPBOARD_GRAB, words(grab), 8, &w));
    assert_int_equal(load_le32(w.data + 4), 2);
    writer_fini(&w);
}

static void test_old_clients(void **state UNUSED)
{
    struct clipboard_header h = {.caps = 1u << VD_AGENT_CAP_CLIPBOARD_BY_DEMAND};
    struct writer w = new_writer();

    assert_true(clipboard_to_peer(&h, VD_AGENT_CLIPBOARD_GRAB, words((uint32_t[]){0, 1}), 8, &w));
    assert_true(w.size == 4 && load_le32(w.data) == 1);
    assert_false(clipboard_to_peer(&h, VD_AGENT_CLIPBOARD_GRAB, words((uint32_t[]){1, 1}), 8, &w));
    writer_reset(&w);
    assert_true(clipboard_from_peer(&h, VD_AGENT_CLIPBOARD_REQUEST, words((uint32_t[]){1}), 4, &w));
    assert_true(w.size == 8 && load_le32(w.data) == 0 && load_le32(w.data + 4) == 1);
    h.caps = 0;
    assert_false(clipboard_to_peer(&h, VD_AGENT_CLIPBOARD_RELEASE, words((uint32_t[]){0}), 4, &w));
    h.caps = CAPS;
    assert_false(clipboard_from_peer(&h, VD_AGENT_CLIPBOARD_REQUEST, words((uint32_t[]){3, 1}), 8, &w));
    assert_false(clipboard_from_peer(&h, VD_AGENT_CLIPBOARD_RELEASE, NULL, 0, &w));
    writer_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces), cmocka_unit_test(test_two_ports), cmocka_unit_test(test_halves),
        cmocka_unit_test(test_skipped), cmocka_unit_test(test_no_chunks), cmocka_unit_test(test_ended_by_message),
        cmocka_unit_test(test_frames), cmocka_unit_test(test_bad_frames), cmocka_unit_test(test_serials),
        cmocka_unit_test(test_old_clients)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
