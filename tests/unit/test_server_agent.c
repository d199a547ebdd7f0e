/* The guest's agent: its stream of messages, its port, and what passes between it and clients. */
#include "spice/server/agent_port.h"
#include "tests/lib/pictures.h"
#include "tests/lib/spice_rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define CAPS     (1u << SPICE_MAIN_CAP_AGENT_CONNECTED_TOKENS)
#define HEADER   sizeof(VDAgentMessage)
#define CHUNK    sizeof(VDIChunkHeader)
#define MAX_TEXT 100000

/* --- the stream --- */

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

/* --- a guest --- */

/* What the agent reads, by messages. */
struct guest {
    struct chardev *port;
    size_t room; /* bytes that it takes at once; 0: it does not read */
    uint8_t got[4 * AGENT_PORT_QUEUE];
    size_t size;
    bool writable;
};

static struct rig rig;
static struct guest guest;

static size_t can_read(void *front)
{
    struct guest *g = front;

    return MIN(g->room, sizeof(g->got) - g->size);
}

static void take(void *front, const uint8_t *data, size_t size)
{
    struct guest *g = front;

    assert_true(size <= can_read(g));
    memcpy(g->got + g->size, data, size);
    g->size += size;
}

static void writable(void *front)
{
    ((struct guest *)front)->writable = true;
}

static const struct chardev_front_ops front_ops = {.can_read = can_read, .read = take, .writable = writable};

static void add_port(void *arg UNUSED)
{
    assert_int_equal(spice_server_add_port(rig.server, SPICE_AGENT_PORT, &guest.port), 0);
    assert_int_equal(spice_server_add_port(rig.server, SPICE_AGENT_PORT, &guest.port), -EEXIST);
    guest.port->front = &guest;
    guest.port->front_ops = &front_ops;
}

static void start_with(const struct spice_config *config)
{
    rig_start(&rig, config);
    guest = (struct guest){.room = SIZE_MAX};
    rig_call(&rig, add_port, NULL);
}

static int start(void **state UNUSED)
{
    start_with(NULL);
    return 0;
}

static int start_filtered(void **state UNUSED)
{
    start_with(&(struct spice_config){.name = "rig", .agent_filter = {.no_clipboard = true}, .no_agent_mouse = true});
    return 0;
}

static int stop(void **state UNUSED)
{
    rig_stop(&rig);
    return 0;
}

static void do_open(void *arg)
{
    guest.port->ops->front_opened(guest.port, *(bool *)arg);
}

static void open_port(bool open)
{
    rig_call(&rig, do_open, &open);
}

struct bytes {
    const uint8_t *data;
    size_t size, taken;
};

static void do_write(void *arg)
{
    struct bytes *b = arg;

    b->taken += guest.port->ops->write(guest.port, b->data + b->taken, b->size - b->taken);
}

static size_t guest_writes(const void *data, size_t size)
{
    struct bytes b = {data, size, 0};

    rig_call(&rig, do_write, &b);
    return b.taken;
}

/* A message from the agent, in chunks of so many bytes. */
static void guest_says(uint32_t type, const void *body, uint32_t size, uint32_t chunk)
{
    static uint8_t message[MAX_TEXT], wire[2 * MAX_TEXT];
    const VDAgentMessage head = {.protocol = VD_AGENT_PROTOCOL, .type = type, .size = size};
    uint32_t total = (uint32_t)HEADER + size, at = 0;
    size_t n = 0;

    memcpy(message, &head, HEADER);
    memcpy(message + HEADER, body, size);
    for (uint32_t part; at < total; at += part) {
        part = MIN(chunk, total - at);
        memcpy(wire + n, &(VDIChunkHeader){VDP_CLIENT_PORT, part}, CHUNK);
        memcpy(wire + n + CHUNK, message + at, part);
        n += CHUNK + part;
    }
    for (size_t i = 0; i < n; i += 1001) /* its buffers are not its chunks */
        assert_int_equal(guest_writes(wire + i, MIN(1001, n - i)), MIN(1001, n - i));
}

static void guest_announces(uint32_t caps)
{
    guest_says(VD_AGENT_ANNOUNCE_CAPABILITIES, (const uint32_t[]){1, caps}, 8, 2048);
}

struct look {
    uint8_t got[sizeof(guest.got)];
    size_t size;
};

static void do_look(void *arg)
{
    struct look *look = arg;

    memcpy(look->got, guest.got, guest.size);
    look->size = guest.size;
}

/* The message at the end of what a stream (VDP_*) has had, NULL: none; chunks must be whole and not too long. */
static const uint8_t *last_message(const struct look *look, uint32_t stream, unsigned *count, uint32_t *size)
{
    static uint8_t bytes[sizeof(guest.got)];
    const uint8_t *last = NULL;
    size_t n = 0, at = 0;

    for (size_t i = 0; i < look->size; i += CHUNK + load_le32(look->got + i + 4)) {
        uint32_t part = load_le32(look->got + i + 4);

        assert_in_range(part, 1, VD_AGENT_MAX_DATA_SIZE);
        if (i + CHUNK + part > look->size)
            break;
        if (load_le32(look->got + i) == stream) {
            memcpy(bytes + n, look->got + i + CHUNK, part);
            n += part;
        }
    }
    for (*count = 0; at + HEADER <= n && at + HEADER + load_le32(bytes + at + 16) <= n; ++*count) {
        last = bytes + at;
        *size = load_le32(last + 16);
        at += HEADER + *size;
    }
    return last;
}

/* Wait until so many messages have come to the agent on a stream; returns the body of the last, of that type. */
static const uint8_t *guest_hears(uint32_t stream, unsigned wanted, uint32_t type, uint32_t *size)
{
    static struct look look;
    const uint8_t *last = NULL;
    unsigned count = 0;

    for (int i = 0; i < 500 && count < wanted; i++) {
        rig_call(&rig, do_look, &look);
        last = last_message(&look, stream, &count, size);
        if (count < wanted)
            usleep(10000);
    }
    assert_int_equal(count, wanted);
    assert_int_equal(agent_message_type(last), type);
    return last + HEADER;
}

static void do_forget(void *arg UNUSED)
{
    guest.size = 0;
}

static void do_room(void *arg)
{
    guest.room = *(size_t *)arg;
    guest.port->ops->accept_input(guest.port);
}

static void guest_reads(size_t room)
{
    rig_call(&rig, do_room, &room);
}

/* --- clients --- */

static void client_says(struct peer *p, uint32_t type, const void *body, uint32_t size, uint32_t piece)
{
    static uint8_t bytes[MAX_TEXT];
    const VDAgentMessage head = {.protocol = VD_AGENT_PROTOCOL, .type = type, .size = size};
    uint32_t total = (uint32_t)HEADER + size;

    memcpy(bytes, &head, HEADER);
    memcpy(bytes + HEADER, body, size);
    for (uint32_t at = 0; at < total; at += piece)
        peer_send(p, SPICE_MSGC_MAIN_AGENT_DATA, &(struct spice_data){MIN(piece, total - at), bytes + at});
}

static void client_starts(struct peer *p, uint32_t tokens)
{
    peer_send(p, SPICE_MSGC_MAIN_AGENT_START, &(struct spice_msg_main_agent_tokens){tokens});
}

/* What is still on its way has come. */
static void settle(struct peer *p)
{
    peer_send(p, SPICE_MSGC_MAIN_MOUSE_MODE_REQUEST, &(struct spice_msgc_main_mouse_mode_request){0});
    peer_expect(p, SPICE_MSG_MAIN_MOUSE_MODE);
}

static void come(struct peer *p)
{
    *p = (struct peer){.caps = CAPS};
    rig_main(&rig, p);
    client_starts(p, UINT32_MAX);
    settle(p);
}

/* What the agent says comes as it was said, in pieces that begin with the message. */
static void client_hears(struct peer *p, uint32_t type, const uint8_t *body, uint32_t size)
{
    const struct spice_data *data = peer_expect(p, SPICE_MSG_MAIN_AGENT_DATA);
    uint32_t at = 0;

    assert_true(data->size >= HEADER);
    assert_int_equal(agent_message_type(data->data), type);
    assert_int_equal(load_le32(data->data + 16), size);
    assert_memory_equal(data->data + HEADER, body, data->size - HEADER);
    for (at = data->size - (uint32_t)HEADER; at < size; at += data->size) {
        data = peer_expect(p, SPICE_MSG_MAIN_AGENT_DATA);
        assert_in_range(data->size, 1, MIN(size - at, AGENT_PIECE));
        assert_memory_equal(data->data, body + at, data->size);
    }
}

static const uint8_t *text(void)
{
    static uint8_t bytes[MAX_TEXT];

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 7 + i / 251);
    return bytes;
}

/* --- between them --- */

/* An agent comes and goes, and messages pass both ways, large and small, however they are cut. */
static void test_both_ways(void **state UNUSED)
{
    const struct spice_msg_main_agent_tokens *tokens;
    struct peer p = {.caps = CAPS};
    uint32_t size;

    rig_main(&rig, &p);
    open_port(true);
    tokens = peer_expect(&p, SPICE_MSG_MAIN_AGENT_CONNECTED_TOKENS);
    assert_int_equal(tokens->num_tokens, AGENT_TOKENS);
    client_starts(&p, UINT32_MAX);
    settle(&p);
    guest_announces(1u << VD_AGENT_CAP_CLIPBOARD_BY_DEMAND);
    client_hears(&p, VD_AGENT_ANNOUNCE_CAPABILITIES, (const uint8_t *)(const uint32_t[]){1, 1u << VD_AGENT_CAP_CLIPBOARD_BY_DEMAND}, 8);
    for (uint32_t piece = 1; piece < 5000; piece = piece * 5 + 3) {
        guest_says(VD_AGENT_CLIPBOARD, text(), piece * 3, piece);
        client_hears(&p, VD_AGENT_CLIPBOARD, text(), piece * 3);
    }
    client_says(&p, VD_AGENT_CLIPBOARD_GRAB, text(), 5, 1);
    for (unsigned i = 0; i < 25; i++)
        peer_expect(&p, SPICE_MSG_MAIN_AGENT_TOKEN);
    assert_memory_equal(guest_hears(VDP_CLIENT_PORT, 1, VD_AGENT_CLIPBOARD_GRAB, &size), text(), 5);
    client_says(&p, VD_AGENT_CLIPBOARD, text(), 90000, VD_AGENT_MAX_DATA_SIZE);
    assert_memory_equal(guest_hears(VDP_CLIENT_PORT, 2, VD_AGENT_CLIPBOARD, &size), text(), 90000);
    assert_int_equal(size, 90000);
    open_port(false);
    peer_expect(&p, SPICE_MSG_MAIN_AGENT_DISCONNECTED);
    peer_close(&p);
}

/* What the agent may not say, or says on another stream or in another protocol, is skipped; the rest still comes. */
static void test_skipped(void **state UNUSED)
{
    static const uint8_t other[] = {VDP_SERVER_PORT, 0, 0, 0, 3, 0, 0, 0, 'a', 'b', 'c', 77, 0, 0, 0, 0, 0, 0, 0};
    uint8_t wire[CHUNK + HEADER + 5];
    struct peer p;

    open_port(true);
    come(&p);
    guest_says(VD_AGENT_MOUSE_STATE, text(), 13, 2048);
    guest_says(VD_AGENT_FILE_XFER_DATA, text(), 5000, 100);
    guest_writes(other, sizeof(other));
    memcpy(wire, &(VDIChunkHeader){VDP_CLIENT_PORT, sizeof(wire) - CHUNK}, CHUNK);
    put_message(wire + CHUNK, 2, VD_AGENT_CLIPBOARD, 5);
    guest_writes(wire, sizeof(wire));
    guest_says(VD_AGENT_REPLY, text(), 8, 3);
    client_hears(&p, VD_AGENT_REPLY, text(), 8);
    peer_close(&p);
}

static void expect_quiet(struct peer *p)
{
    const struct spice_msg_info *info;
    void *msg;

    while ((info = peer_receive(p, &msg, 100)))
        assert_int_not_equal(info->id, SPICE_MSG_MAIN_AGENT_DATA);
}

static void do_go_on(void *arg)
{
    struct bytes *b = arg;

    for (; guest.writable && b->taken < b->size; do_write(b))
        guest.writable = false;
}

/* A client that takes no more stops the agent, not the server; with its next tokens it goes on. */
static void test_tokens(void **state UNUSED)
{
    uint8_t wire[10 * (CHUNK + HEADER + 4)];
    struct bytes b = {wire, sizeof(wire), 0};
    struct peer p = {.caps = CAPS};

    for (uint32_t i = 0; i < 10; i++) {
        uint8_t *at = wire + i * (CHUNK + HEADER + 4);

        memcpy(at, &(VDIChunkHeader){VDP_CLIENT_PORT, HEADER + 4}, CHUNK);
        put_message(at + CHUNK, VD_AGENT_PROTOCOL, VD_AGENT_CLIPBOARD_REQUEST, 4);
    }
    open_port(true);
    rig_main(&rig, &p);
    client_starts(&p, 3);
    settle(&p);
    rig_call(&rig, do_write, &b);
    assert_in_range(b.taken, 3 * (CHUNK + HEADER + 4), sizeof(wire) - 6 * (CHUNK + HEADER + 4));
    for (int i = 0; i < 3; i++)
        peer_expect(&p, SPICE_MSG_MAIN_AGENT_DATA);
    expect_quiet(&p);
    peer_send(&p, SPICE_MSGC_MAIN_AGENT_TOKEN, &(struct spice_msg_main_agent_tokens){UINT32_MAX});
    settle(&p);
    rig_call(&rig, do_go_on, &b);
    for (int i = 0; i < 7; i++)
        peer_expect(&p, SPICE_MSG_MAIN_AGENT_DATA);
    assert_int_equal(b.taken, b.size);
    peer_close(&p);
}

/* Tokens come back as the guest reads; who sends on all the same is closed, and the agent hears that he has gone. */
static void test_too_much(void **state UNUSED)
{
    struct peer p, after;
    const struct spice_msg_info *info;
    unsigned tokens = 0;
    uint32_t size;
    void *msg;

    open_port(true);
    come(&p);
    guest_reads(0);
    client_says(&p, VD_AGENT_CLIPBOARD, text(), MAX_TEXT - HEADER, VD_AGENT_MAX_DATA_SIZE);
    while ((info = peer_receive(&p, &msg, 300)))
        if (info->id == SPICE_MSG_MAIN_AGENT_TOKEN)
            tokens += ((const struct spice_msg_main_agent_tokens *)msg)->num_tokens;
    assert_in_range(tokens, 1, 49); /* those for the first half of what may wait */
    for (int i = 0; i < 4; i++)
        client_says(&p, VD_AGENT_CLIPBOARD, text(), MAX_TEXT - HEADER, VD_AGENT_MAX_DATA_SIZE);
    assert_true(peer_closed(p.fd, PEER_TIMEOUT_MS));
    peer_close(&p);
    come(&after);
    rig_call(&rig, do_forget, NULL); /* with a part of a chunk, if it was begun */
    guest_reads(SIZE_MAX);
    guest_hears(VDP_SERVER_PORT, 1, VD_AGENT_CLIENT_DISCONNECTED, &size);
    client_says(&after, VD_AGENT_CLIPBOARD_REQUEST, text(), 8, 2048);
    rig_call(&rig, do_forget, NULL);
    client_says(&after, VD_AGENT_CLIPBOARD_REQUEST, text(), 8, 2048);
    peer_expect(&after, SPICE_MSG_MAIN_AGENT_TOKEN);
    peer_close(&after);
}

/* A client that goes in the middle of a message, either way: the next one begins where messages begin. */
static void test_half_messages(void **state UNUSED)
{
    struct peer p, after;
    uint8_t half[CHUNK + HEADER + 10], rest[CHUNK + 90];
    const uint8_t *body;
    uint32_t size;

    open_port(true);
    come(&p);
    put_message(half + CHUNK, VD_AGENT_PROTOCOL, VD_AGENT_CLIPBOARD, 0);
    store_le32(half + CHUNK + 16, 100);
    client_says(&p, VD_AGENT_CLIPBOARD, text(), 5000, AGENT_PIECE);
    peer_send(&p, SPICE_MSGC_MAIN_AGENT_DATA, &(struct spice_data){HEADER + 10, half + CHUNK});
    guest_hears(VDP_CLIENT_PORT, 1, VD_AGENT_CLIPBOARD, &size);
    store_le32(half, VDP_CLIENT_PORT);
    store_le32(half + 4, HEADER + 10);
    guest_writes(half, sizeof(half));
    peer_close(&p);
    guest_hears(VDP_SERVER_PORT, 1, VD_AGENT_CLIENT_DISCONNECTED, &size);
    come(&after);
    memset(rest, 0, sizeof(rest));
    memcpy(rest, &(VDIChunkHeader){VDP_CLIENT_PORT, 90}, CHUNK);
    guest_writes(rest, sizeof(rest));
    guest_says(VD_AGENT_CLIPBOARD_GRAB, text(), 12, 7);
    client_hears(&after, VD_AGENT_CLIPBOARD_GRAB, text(), 12);
    rig_call(&rig, do_forget, NULL);
    client_says(&after, VD_AGENT_CLIPBOARD_RELEASE, text(), 4, 2048);
    body = guest_hears(VDP_CLIENT_PORT, 1, VD_AGENT_CLIPBOARD_RELEASE, &size);
    assert_memory_equal(body, text(), 4);
    peer_close(&after);
}

/* An agent that ends in the middle of anything, at every byte, and comes again. */
static void test_restarts(void **state UNUSED)
{
    uint8_t wire[CHUNK + HEADER + 20];
    struct peer p;

    memcpy(wire, &(VDIChunkHeader){VDP_CLIENT_PORT, HEADER + 20}, CHUNK);
    put_message(wire + CHUNK, VD_AGENT_PROTOCOL, VD_AGENT_CLIPBOARD, 20);
    open_port(true);
    come(&p);
    for (size_t n = 0; n < sizeof(wire); n++) {
        guest_writes(wire, n);
        open_port(false);
        peer_expect(&p, SPICE_MSG_MAIN_AGENT_DISCONNECTED);
        open_port(true);
        peer_expect(&p, SPICE_MSG_MAIN_AGENT_CONNECTED_TOKENS);
        client_says(&p, VD_AGENT_CLIPBOARD, text(), 10, 2048); /* to the one before: dropped */
        client_starts(&p, UINT32_MAX);
        settle(&p);
        guest_says(VD_AGENT_CLIPBOARD_REQUEST, text(), 4, 2048);
        client_hears(&p, VD_AGENT_CLIPBOARD_REQUEST, text(), 4);
    }
    peer_close(&p);
}

/* One of several clients has it; when he goes the next one has. */
static void test_owners(void **state UNUSED)
{
    struct peer first, second = {.caps = CAPS};
    uint32_t size;

    open_port(true);
    come(&first);
    rig_main(&rig, &second);
    client_starts(&second, UINT32_MAX); /* which is not its turn */
    settle(&second);
    client_says(&second, VD_AGENT_CLIPBOARD, text(), 10, 2048);
    client_says(&first, VD_AGENT_CLIPBOARD_GRAB, text(), 10, 2048);
    guest_hears(VDP_CLIENT_PORT, 1, VD_AGENT_CLIPBOARD_GRAB, &size);
    peer_close(&first);
    peer_expect(&second, SPICE_MSG_MAIN_AGENT_CONNECTED_TOKENS);
    client_starts(&second, UINT32_MAX);
    settle(&second);
    guest_hears(VDP_SERVER_PORT, 1, VD_AGENT_CLIENT_DISCONNECTED, &size);
    client_says(&second, VD_AGENT_CLIPBOARD_REQUEST, text(), 10, 2048);
    guest_hears(VDP_CLIENT_PORT, 2, VD_AGENT_CLIPBOARD_REQUEST, &size);
    peer_close(&second);
}

/* The agent is told of monitors, and the displays, where their drivers take them. */
static void test_monitors(void **state UNUSED)
{
    const struct {
        VDAgentMonitorsConfig config;
        VDAgentMonConfig monitor;
    } wanted = {{.num_of_monitors = 1}, {.width = 800, .height = 600}};
    unsigned obeyed = rig.display.obeyed;
    struct peer p, d = {0};
    uint32_t size;

    open_port(true);
    come(&p);
    client_says(&p, VD_AGENT_MONITORS_CONFIG, &wanted, sizeof(wanted), 2048);
    assert_memory_equal(guest_hears(VDP_CLIENT_PORT, 1, VD_AGENT_MONITORS_CONFIG, &size), &wanted, sizeof(wanted));
    peer_close(&p);
    open_port(false);
    rig_call(&rig, do_forget, NULL);
    p = (struct peer){.caps = CAPS};
    rig_join_display(&rig, &d, rig_main(&rig, &p));
    fake_display_take_heads(&rig.display, 1);
    peer_expect(&p, SPICE_MSG_MAIN_AGENT_CONNECTED_TOKENS); /* the server's own */
    open_port(true);
    peer_expect(&p, SPICE_MSG_MAIN_AGENT_DISCONNECTED);
    client_starts(&p, UINT32_MAX);
    client_says(&p, VD_AGENT_MONITORS_CONFIG, &wanted, sizeof(wanted), 2048);
    assert_true(fake_display_obeys(&rig.display, obeyed));
    assert_memory_equal(guest_hears(VDP_CLIENT_PORT, 1, VD_AGENT_MONITORS_CONFIG, &size), &wanted, sizeof(wanted));
    guest_announces(1u << VD_AGENT_CAP_MOUSE_STATE);
    client_hears(&p, VD_AGENT_ANNOUNCE_CAPABILITIES,
                 (const uint8_t *)(const uint32_t[]){1, 1u << VD_AGENT_CAP_MOUSE_STATE | AGENT_MONITOR_CAPS}, 8);
    peer_close(&d);
    peer_close(&p);
}

/* --- the pointer --- */

static void expect_mode(struct peer *p, unsigned supported, unsigned current)
{
    const struct spice_msg_main_mouse_mode *mode = peer_expect(p, SPICE_MSG_MAIN_MOUSE_MODE);

    assert_int_equal(mode->supported_modes, supported);
    assert_int_equal(mode->current_mode, current);
}

static void expect_state(unsigned count, uint32_t x, uint32_t y, uint32_t buttons, uint8_t number)
{
    const VDAgentMouseState wanted = {x, y, buttons, number};
    uint32_t size;

    assert_memory_equal(guest_hears(VDP_SERVER_PORT, count, VD_AGENT_MOUSE_STATE, &size), &wanted, sizeof(wanted));
}

/* An agent that places the pointer makes it absolute, with wheel and side buttons, beside a clipboard that is on its way. */
static void test_pointer(void **state UNUSED)
{
    const unsigned both = SPICE_MOUSE_MODE_SERVER | SPICE_MOUSE_MODE_CLIENT, side = SPICE_MOUSE_BUTTON_MASK_SIDE;
    struct peer m = {.caps = CAPS}, p = {0};
    uint32_t session = rig_main(&rig, &m);

    rig_join(&rig, &p, SPICE_CHANNEL_INPUTS, session);
    open_port(true);
    peer_expect(&m, SPICE_MSG_MAIN_AGENT_CONNECTED_TOKENS);
    client_starts(&m, UINT32_MAX);
    guest_announces(1u << VD_AGENT_CAP_MOUSE_STATE);
    expect_mode(&m, both, SPICE_MOUSE_MODE_CLIENT);
    peer_send(&p, SPICE_MSGC_INPUTS_MOUSE_POSITION, &(struct spice_msgc_inputs_mouse_position){100, 200, 1, 0});
    expect_state(1, 100, 200, VD_AGENT_LBUTTON_MASK, 0);
    peer_send(&p, SPICE_MSGC_INPUTS_MOUSE_PRESS, &(struct spice_msgc_inputs_mouse_button){SPICE_MOUSE_BUTTON_UP, side});
    expect_state(3, 100, 200, VD_AGENT_SBUTTON_MASK, 0); /* the wheel went down and up */
    rig_call(&rig, do_forget, NULL);
    guest_reads(0);
    client_says(&m, VD_AGENT_CLIPBOARD, text(), 90000, VD_AGENT_MAX_DATA_SIZE);
    settle(&m);
    for (unsigned i = 0; i < 1000; i++)
        peer_send(&p, SPICE_MSGC_INPUTS_MOUSE_POSITION, &(struct spice_msgc_inputs_mouse_position){i, i, 0, 0});
    for (unsigned i = 0; i < 250; i++)
        peer_expect(&p, SPICE_MSG_INPUTS_MOUSE_MOTION_ACK);
    guest_reads(CHUNK + HEADER + AGENT_PIECE);
    expect_state(1, 999, 999, 0, 0); /* melted, and before most of the clipboard */
    open_port(false);
    expect_mode(&m, SPICE_MOUSE_MODE_SERVER, SPICE_MOUSE_MODE_SERVER);
    peer_close(&p);
    peer_close(&m);
}

/* More clicks than may wait: the last state arrives all the same. */
static void test_clicks(void **state UNUSED)
{
    struct peer m = {.caps = CAPS}, p = {0};
    uint32_t session = rig_main(&rig, &m);
    uint32_t size;
    unsigned count;
    struct look *look = calloc(1, sizeof(*look));

    rig_join(&rig, &p, SPICE_CHANNEL_INPUTS, session);
    open_port(true);
    guest_announces(1u << VD_AGENT_CAP_MOUSE_STATE);
    guest_reads(0);
    for (unsigned i = 0; i <= 1000; i++)
        peer_send(&p, SPICE_MSGC_INPUTS_MOUSE_PRESS,
                  &(struct spice_msgc_inputs_mouse_button){SPICE_MOUSE_BUTTON_LEFT, i % 2});
    peer_send(&p, SPICE_MSGC_INPUTS_MOUSE_POSITION, &(struct spice_msgc_inputs_mouse_position){7, 8, 4, 0});
    for (unsigned i = 0; i < 3; i++) /* which is answered after all that */
        peer_send(&p, SPICE_MSGC_INPUTS_MOUSE_POSITION, &(struct spice_msgc_inputs_mouse_position){7, 8, 4, 0});
    peer_expect(&p, SPICE_MSG_INPUTS_MOUSE_MOTION_ACK);
    guest_reads(5);
    rig_call(&rig, do_look, look);
    assert_memory_equal(last_message(look, VDP_SERVER_PORT, &count, &size) + HEADER,
                        (&(VDAgentMouseState){7, 8, VD_AGENT_RBUTTON_MASK, 0}), sizeof(VDAgentMouseState));
    assert_in_range(count, 2, AGENT_PORT_STATES + 1);
    free(look);
    peer_close(&p);
    peer_close(&m);
}

/* What was switched off: no clipboard either way, and the agent does not place the pointer. */
static void test_filter(void **state UNUSED)
{
    const uint32_t clipboard = 1u << VD_AGENT_CAP_CLIPBOARD_BY_DEMAND | 1u << VD_AGENT_CAP_CLIPBOARD_SELECTION;
    const uint8_t *body;
    struct peer p;
    uint32_t size;

    open_port(true);
    come(&p);
    guest_announces(clipboard | 1u << VD_AGENT_CAP_MOUSE_STATE);
    client_hears(&p, VD_AGENT_ANNOUNCE_CAPABILITIES,
                 (const uint8_t *)(const uint32_t[]){1, 1u << VD_AGENT_CAP_MOUSE_STATE}, 8);
    client_says(&p, VD_AGENT_CLIPBOARD, text(), 20000, VD_AGENT_MAX_DATA_SIZE);
    client_says(&p, VD_AGENT_ANNOUNCE_CAPABILITIES, (const uint32_t[]){1, clipboard | 4}, 8, 9);
    body = guest_hears(VDP_CLIENT_PORT, 1, VD_AGENT_ANNOUNCE_CAPABILITIES, &size);
    assert_int_equal(load_le32(body + 4), 4);
    guest_says(VD_AGENT_CLIPBOARD_GRAB, text(), 8, 2048);
    guest_says(VD_AGENT_REPLY, text(), 8, 2048);
    client_hears(&p, VD_AGENT_REPLY, text(), 8);
    peer_close(&p);
}

/* --- saved --- */

struct saved {
    struct writer w;
    int err;
};

static void do_save(void *arg)
{
    guest.port->ops->save(guest.port, &((struct saved *)arg)->w);
}

static void do_load(void *arg)
{
    struct saved *s = arg;
    struct reader r;

    reader_init(&r, s->w.data, s->w.size);
    s->err = guest.port->ops->load(guest.port, &r);
    if (!s->err && (r.bad || reader_left(&r)))
        s->err = -EBADMSG;
    guest.port->ops->accept_input(guest.port);
}

/* A machine that was saved within a chunk, both ways, goes on at the byte where it was. */
static void test_saved(void **state UNUSED)
{
    uint8_t wire[CHUNK + HEADER + 30];
    struct saved s = {0};
    static struct look before;
    struct peer p;
    uint32_t size;

    writer_init(&s.w, KIB(16));
    open_port(true);
    come(&p);
    guest_announces(1u << VD_AGENT_CAP_MOUSE_STATE);
    guest_reads(100);
    client_says(&p, VD_AGENT_CLIPBOARD, text(), 1000, 2048);
    settle(&p);
    guest_reads(0);
    client_says(&p, VD_AGENT_CLIPBOARD, text(), 1000, 2048);
    settle(&p);
    memcpy(wire, &(VDIChunkHeader){VDP_CLIENT_PORT, HEADER + 30}, CHUNK);
    put_message(wire + CHUNK, VD_AGENT_PROTOCOL, VD_AGENT_CLIPBOARD, 30);
    guest_writes(wire, CHUNK + HEADER + 10);
    rig_call(&rig, do_save, &s);
    rig_call(&rig, do_look, &before);
    peer_close(&p);
    stop(NULL);
    start(NULL);
    guest.room = 0;
    open_port(true);
    rig_call(&rig, do_load, &s);
    assert_int_equal(s.err, 0);
    memcpy(guest.got, before.got, before.size); /* the agent, which has seen nothing of that */
    guest.size = before.size;
    come(&p);
    guest_reads(SIZE_MAX);
    guest_hears(VDP_SERVER_PORT, 1, VD_AGENT_CLIENT_DISCONNECTED, &size);
    guest_writes(wire + CHUNK + HEADER + 10, 20);
    guest_says(VD_AGENT_REPLY, text(), 8, 2048);
    client_hears(&p, VD_AGENT_REPLY, text(), 8);
    for (size_t i = 0; i < s.w.size; i++) { /* nonsense is refused or harmless */
        s.w.data[i] ^= 0xff;
        rig_call(&rig, do_load, &s);
        s.w.data[i] ^= 0xff;
    }
    writer_fini(&s.w);
    peer_close(&p);
}

/* --- other ports --- */

static struct guest other;

static void add_others(void *arg UNUSED)
{
    struct chardev *webdav;

    other = (struct guest){.room = SIZE_MAX};
    assert_int_equal(spice_server_add_port(rig.server, "org.example.words", &other.port), 0);
    assert_int_equal(spice_server_add_port(rig.server, "org.example.words", &webdav), -EEXIST);
    assert_int_equal(spice_server_add_port(rig.server, "org.spice-space.webdav.0", &webdav), 0);
    other.port->front = &other;
    other.port->front_ops = &front_ops;
}

static void do_open_other(void *arg)
{
    other.port->ops->front_opened(other.port, *(bool *)arg);
}

static void do_write_other(void *arg)
{
    struct bytes *b = arg;

    b->taken = other.port->ops->write(other.port, b->data, b->size);
}

static void do_read_other(void *arg)
{
    other.room = *(size_t *)arg;
    other.port->ops->accept_input(other.port);
}

static void do_count_other(void *arg)
{
    *(size_t *)arg = other.size;
}

/* Join the port's channel, which must be in the list under its name. */
static void join_port(struct peer *m, struct peer *p, bool open)
{
    const struct spice_msg_main_channels_list *list;
    const struct spice_msg_port_init *init;
    uint32_t session = rig_main(&rig, m);

    list = peer_expect(m, SPICE_MSG_MAIN_CHANNELS_LIST);
    assert_int_equal(list->channels[list->count - 2].type, SPICE_CHANNEL_PORT);
    assert_int_equal(list->channels[list->count - 1].type, SPICE_CHANNEL_WEBDAV);
    rig_join(&rig, p, SPICE_CHANNEL_PORT, session);
    init = peer_expect(p, SPICE_MSG_PORT_INIT);
    assert_string_equal((const char *)init->name, "org.example.words");
    assert_int_equal(init->opened, open);
}

/* Another port is a channel of bytes, for the owner alone, which neither side fills beyond its bounds. */
static void test_port(void **state UNUSED)
{
    struct peer m = {0}, second = {0}, late = {0}, p = {0};
    const struct spice_msg_port_event *event;
    const struct spice_data *data;
    struct bytes b = {text(), MAX_TEXT, 0};
    size_t none = 0, all = SIZE_MAX, got = 0;

    rig_call(&rig, add_others, NULL);
    rig_call(&rig, do_write_other, &b);
    assert_int_equal(b.taken, MAX_TEXT); /* to nobody */
    join_port(&m, &p, false);
    assert_true(other.port->connected);
    rig_call(&rig, do_open_other, &(bool){true});
    event = peer_expect(&p, SPICE_MSG_PORT_EVENT);
    assert_int_equal(event->event, SPICE_PORT_EVENT_OPENED);
    rig_call(&rig, do_write_other, &b);
    for (size_t at = 0; at < b.taken; at += data->size) {
        data = peer_expect(&p, SPICE_MSG_SPICEVMC_DATA);
        assert_memory_equal(data->data, text() + at, data->size);
    }
    assert_int_not_equal(peer_link(&late, rig.port, SPICE_CHANNEL_PORT, 0, rig_main(&rig, &second), ""), SPICE_LINK_ERR_OK);
    peer_close(&late);
    peer_close(&second);
    rig_call(&rig, do_read_other, &none);
    for (unsigned i = 0; i < 8; i++) /* the rest waits in the socket */
        peer_send(&p, SPICE_MSGC_SPICEVMC_DATA, &(struct spice_data){60000, text()});
    rig_call(&rig, do_read_other, &all);
    for (unsigned i = 0; i < 500 && got < 8 * 60000; i++, usleep(10000))
        rig_call(&rig, do_count_other, &got);
    assert_int_equal(got, 8 * 60000);
    for (unsigned i = 0; i < 8; i++)
        assert_memory_equal(other.got + 60000 * i, text(), 60000);
    peer_close(&p);
    peer_close(&m);
    for (unsigned i = 0; i < 500 && other.port->connected; i++)
        usleep(10000);
    assert_false(other.port->connected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stream),
        cmocka_unit_test(test_endless),
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_millimetres),
        cmocka_unit_test_setup_teardown(test_both_ways, start, stop),
        cmocka_unit_test_setup_teardown(test_skipped, start, stop),
        cmocka_unit_test_setup_teardown(test_tokens, start, stop),
        cmocka_unit_test_setup_teardown(test_too_much, start, stop),
        cmocka_unit_test_setup_teardown(test_half_messages, start, stop),
        cmocka_unit_test_setup_teardown(test_restarts, start, stop),
        cmocka_unit_test_setup_teardown(test_owners, start, stop),
        cmocka_unit_test_setup_teardown(test_monitors, start, stop),
        cmocka_unit_test_setup_teardown(test_pointer, start, stop),
        cmocka_unit_test_setup_teardown(test_clicks, start, stop),
        cmocka_unit_test_setup_teardown(test_filter, start_filtered, stop),
        cmocka_unit_test_setup_teardown(test_saved, start, stop),
        cmocka_unit_test_setup_teardown(test_port, start, stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
