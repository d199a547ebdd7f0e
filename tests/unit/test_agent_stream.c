/* The stream of messages between clients and a guest's agent, and who may say what. */
#include "spice/server/agent.h"
#include "tests/lib/pictures.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define HEADER sizeof(VDAgentMessage)

struct heard {
    unsigned count;
    uint32_t types[64], sizes[64];
    uint8_t last[64];  /* of each message, 0: empty */
    uint32_t missing;  /* bytes of a message that is passed on */
    unsigned pieces, limit; /* how many are taken; 0: all */
};

static enum agent_verdict judge(void *opaque UNUSED, uint32_t type, uint32_t size UNUSED)
{
    return type % 3 == 0 ? AGENT_SKIP : type % 3 == 1 ? AGENT_PASS : AGENT_KEEP;
}

static void hear(struct heard *h, const uint8_t *message, uint32_t size)
{
    assert_true(h->count < ARRAY_SIZE(h->types));
    h->types[h->count] = agent_message_type(message);
    h->sizes[h->count] = load_le32(message + offsetof(VDAgentMessage, size));
    h->last[h->count++] = size > HEADER ? message[size - 1] : 0;
}

static void kept(void *opaque, uint8_t *message, uint32_t size)
{
    hear(opaque, message, size);
    assert_int_equal(size, HEADER + load_le32(message + offsetof(VDAgentMessage, size)));
}

/* A message's pieces are full, but for the last. */
static void pass(void *opaque, const uint8_t *piece, uint32_t size)
{
    struct heard *h = opaque;

    h->pieces++;
    if (!h->missing) {
        hear(h, piece, size);
        h->missing = (uint32_t)HEADER + h->sizes[h->count - 1];
    } else {
        h->last[h->count - 1] = piece[size - 1];
    }
    assert_int_equal(size, MIN(h->missing, AGENT_PIECE));
    h->missing -= size;
}

static bool full(void *opaque)
{
    const struct heard *h = opaque;

    return h->limit && h->pieces >= h->limit;
}

static const struct agent_stream_ops stream_ops = {.judge = judge, .kept = kept, .pass = pass, .full = full};

static size_t put_message(uint8_t *to, uint32_t protocol, uint32_t type, uint32_t size)
{
    const VDAgentMessage m = {.protocol = protocol, .type = type, .size = size};

    memcpy(to, &m, HEADER);
    memset(to + HEADER, (int)type, size);
    return HEADER + size;
}

/* However it is cut, and however often it must wait, the same messages come out. */
static void test_stream(void **state UNUSED)
{
    static const uint32_t types[] = {2, 4, 4, 5, 8, 1, 7, 2}, sizes[] = {8, 50000, 0, AGENT_PIECE - HEADER, 0, 1, AGENT_PIECE, 3};
    static uint8_t bytes[150000];
    size_t size = 0;

    for (unsigned i = 0; i < 8; i++) {
        size += put_message(bytes + size, VD_AGENT_PROTOCOL, types[i], sizes[i]);
        size += put_message(bytes + size, i % 2 ? VD_AGENT_PROTOCOL : 7, 3 * i, 977 * i); /* skipped, or not known */
    }
    size += put_message(bytes + size, VD_AGENT_PROTOCOL, 5, AGENT_PIECE - HEADER + 1); /* too long to keep */
    for (uint32_t seed = 1; seed < 300; seed++) {
        static struct agent_stream stream;
        struct heard h = {.limit = seed % 2};
        uint32_t random = seed;

        stream = (struct agent_stream){0};
        for (size_t at = 0; at < size;) {
            size_t n = 1 + picture_random(&random) % (seed * 8);

            at += agent_take(&stream, bytes + at, MIN(n, size - at), &stream_ops, &h);
            h.limit += h.limit != 0;
        }
        assert_true(agent_stream_is_idle(&stream));
        assert_int_equal(h.count, 8);
        for (unsigned i = 0; i < 8; i++) {
            assert_int_equal(h.types[i], types[i]);
            assert_int_equal(h.sizes[i], sizes[i]);
            assert_int_equal(h.last[i], sizes[i] ? types[i] : 0);
        }
    }
}

static void test_endless(void **state UNUSED)
{
    const VDAgentMessage m = {.protocol = VD_AGENT_PROTOCOL, .type = 1, .size = UINT32_MAX};
    static struct agent_stream stream;
    struct heard h = {0};

    assert_int_equal(agent_take(&stream, (const uint8_t *)&m, HEADER, &stream_ops, &h), HEADER);
    assert_int_equal(h.count, 0);
    assert_int_equal(stream.verdict, AGENT_SKIP);
    assert_int_equal(stream.left, UINT32_MAX);
}

/* Sizes in millimetres go, if they are there as the flag says. */
static void test_millimetres(void **state UNUSED)
{
    struct {
        VDAgentMessage head;
        VDAgentMonitorsConfig config;
        VDAgentMonConfig monitors[2];
        VDAgentMonitorMM sizes[2];
    } m = {.head.size = sizeof(m) - HEADER, .config = {2, VD_AGENT_CONFIG_MONITORS_FLAG_PHYSICAL_SIZE | 1}};
    uint8_t *bytes = (uint8_t *)&m;

    assert_int_equal(agent_trim_monitors(bytes, sizeof(m)), sizeof(m) - sizeof(m.sizes));
    assert_int_equal(m.head.size, sizeof(m) - sizeof(m.sizes) - HEADER);
    assert_int_equal(m.config.flags, 1);
    assert_int_equal(agent_trim_monitors(bytes, sizeof(m) - sizeof(m.sizes)), sizeof(m) - sizeof(m.sizes));
    m.config = (VDAgentMonitorsConfig){UINT32_MAX, VD_AGENT_CONFIG_MONITORS_FLAG_PHYSICAL_SIZE};
    assert_int_equal(agent_trim_monitors(bytes, sizeof(m)), sizeof(m));
    assert_int_equal(agent_trim_monitors(bytes, HEADER + 3), HEADER + 3);
}

static void test_rules(void **state UNUSED)
{
    const struct agent_filter all = {0}, no_clipboard = {.no_clipboard = true}, no_files = {.no_files = true};
    const uint32_t clipboard = 1u << VD_AGENT_CAP_CLIPBOARD_BY_DEMAND;

    assert_true(agent_may_say(&all, AGENT_CLIENT, VD_AGENT_CLIPBOARD));
    assert_true(agent_may_say(&all, AGENT_GUEST, VD_AGENT_CLIPBOARD));
    assert_false(agent_may_say(&no_clipboard, AGENT_CLIENT, VD_AGENT_CLIPBOARD_GRAB));
    assert_false(agent_may_say(&no_clipboard, AGENT_GUEST, VD_AGENT_CLIPBOARD));
    assert_true(agent_may_say(&no_clipboard, AGENT_CLIENT, VD_AGENT_FILE_XFER_START));
    assert_false(agent_may_say(&no_files, AGENT_CLIENT, VD_AGENT_FILE_XFER_START));
    assert_false(agent_may_say(&all, AGENT_GUEST, VD_AGENT_FILE_XFER_DATA));
    assert_false(agent_may_say(&all, AGENT_CLIENT, VD_AGENT_MOUSE_STATE));
    assert_false(agent_may_say(&all, AGENT_CLIENT, VD_AGENT_CLIENT_DISCONNECTED));
    assert_false(agent_may_say(&all, AGENT_GUEST, VD_AGENT_MONITORS_CONFIG));
    assert_true(agent_may_say(&all, AGENT_CLIENT, VD_AGENT_END_MESSAGE + 5)); /* newer than we are */
    assert_int_equal(agent_filter_capabilities(&no_clipboard, AGENT_CLIENT, clipboard | 1), 1);
    assert_int_equal(agent_filter_capabilities(&no_files, AGENT_CLIENT, clipboard), clipboard);
    assert_int_equal(agent_filter_capabilities(&no_files, AGENT_GUEST, 1), 1 | 1u << VD_AGENT_CAP_FILE_XFER_DISABLED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stream),
        cmocka_unit_test(test_endless),
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_millimetres),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
