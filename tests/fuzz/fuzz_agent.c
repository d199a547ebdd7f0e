/*
 * What a guest's agent and its client may say, and when: steps of a byte that says which, a byte of size, and as many
 * bytes. The agent's port opens and closes, the guest reads much, little or nothing, clients come, begin anew and go,
 * the pointer moves, the machine is saved and goes on. What waits must stay within its bounds, and chunks to the guest
 * must be whole.
 */
#include "spice/server/agent_port.h"
#include "spice/server/private.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CLIENTS 2

enum step { OPEN, CLOSE, WRITE, SAY, READS, COME, GO, START, TOKENS, POINT, PRESS, SAVE, LOAD, HEADS, EXPECT, STEPS };

static struct loop loop;
static struct input input;
static struct spice_server *server;
static struct chardev *port;
static int clients[CLIENTS]; /* -1: is not there */
static bool is_open;

/* The guest, which knows where chunks begin. */
static size_t room;
static uint8_t header[sizeof(VDIChunkHeader)];
static uint32_t have, left;
static bool torn; /* it does not know where: it was loaded */
/* A saved state. */
static struct writer saved;

static size_t can_read(void *front UNUSED)
{
    return room;
}

static void take(void *front UNUSED, const uint8_t *data, size_t size)
{
    if (size > room || !is_open)
        abort();
    for (size_t i = 0; i < size && !torn; i++) {
        if (left) {
            left--;
        } else {
            header[have++] = data[i];
            if (have < sizeof(header))
                continue;
            have = 0;
            left = load_le32(header + sizeof(uint32_t));
            if (left > VD_AGENT_MAX_DATA_SIZE || load_le32(header) - 1 > 1)
                abort();
        }
    }
    room -= size;
}

static void writable(void *front UNUSED)
{
}

static const struct chardev_front_ops front_ops = {.can_read = can_read, .read = take, .writable = writable};

static void set_up(void)
{
    const struct spice_config config = {.port = -1, .name = "fuzz", .agent_filter = {.no_files = true}};

    loop_init(&loop);
    input_init(&input);
    if (spice_server_create(&server, &loop, &config, &input) || spice_server_add_port(server, SPICE_AGENT_PORT, &port))
        abort();
    port->front_ops = &front_ops;
    writer_init(&saved, KIB(16));
    for (unsigned i = 0; i < CLIENTS; i++)
        clients[i] = -1;
}

static void run_rounds(void)
{
    char bytes[4096];

    for (int i = 0; i < 3; i++)
        uv_run(&loop.uv, UV_RUN_NOWAIT);
    for (unsigned i = 0; i < CLIENTS; i++)
        while (clients[i] >= 0 && read(clients[i], bytes, sizeof(bytes)) > 0)
            ;
}

/* --- clients --- */

static void come(unsigned i)
{
    struct channel_params params = {.type = SPICE_CHANNEL_MAIN, .common_caps = {1u << SPICE_COMMON_CAP_MINI_HEADER}};
    int ends[2];

    if (clients[i] >= 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends))
        return;
    params.stream = stream_create_socket(ends[0], "unix");
    params.caps[0] = i ? 1u << SPICE_MAIN_CAP_AGENT_CONNECTED_TOKENS : 0;
    server_adopt(server, &params, "");
    clients[i] = ends[1];
}

static void go(unsigned i)
{
    if (clients[i] >= 0)
        close(clients[i]);
    clients[i] = -1;
}

static void say(unsigned i, uint16_t type, const void *body, uint32_t size)
{
    uint8_t message[SPICE_MINI_HEADER_SIZE + UINT8_MAX + 1];

    store_le16(message, type);
    store_le32(message + 2, size);
    memcpy(message + SPICE_MINI_HEADER_SIZE, body, size);
    if (clients[i] >= 0 && send(clients[i], message, SPICE_MINI_HEADER_SIZE + size, MSG_NOSIGNAL) < 0)
        go(i);
}

/* --- the guest --- */

static void set_open(bool open)
{
    if (open == is_open)
        return;
    is_open = open;
    torn = false;
    have = left = 0;
    port->ops->front_opened(port, open);
}

static void save(void)
{
    writer_reset(&saved);
    port->ops->save(port, &saved);
}

static void load(const uint8_t *data, size_t size)
{
    struct reader r;

    if (!size)
        return;
    reader_init(&r, data, size);
    set_open(false);
    set_open(true);
    torn = true; /* what is the rest of a chunk is the state's word */
    port->ops->load(port, &r);
}

static void step(enum step what, unsigned who, const uint8_t *data, uint8_t size)
{
    const uint8_t tokens[4] = {size, 0, 0, size > 100 ? 0xff : 0};

    if (what == OPEN || what == CLOSE)
        set_open(what == OPEN);
    else if (what == WRITE && is_open)
        port->ops->write(port, data, size);
    else if (what == SAY)
        say(who, SPICE_MSGC_MAIN_AGENT_DATA, data, size);
    else if (what == READS)
        room = who ? size : size * 64u;
    else if (what == COME)
        come(who);
    else if (what == GO)
        go(who);
    else if (what == START || what == TOKENS)
        say(who, what == START ? SPICE_MSGC_MAIN_AGENT_START : SPICE_MSGC_MAIN_AGENT_TOKEN, tokens, 4);
    else if (what == POINT && is_open)
        agent_port_point(server->agent, who, size, size * 3u, size);
    else if (what == PRESS && is_open)
        agent_port_press(server->agent, size, (int)who * 2 - 1);
    else if (what == SAVE)
        save();
    else if (what == LOAD)
        load(who ? data : saved.data, who ? size : saved.size);
    else if (what == HEADS)
        server->takes_heads = who;
    else if (what == EXPECT)
        spice_server_migrate_expect(server, who);
    if (is_open && what == READS)
        port->ops->accept_input(port);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!server)
        set_up();
    while (size >= 2) {
        uint8_t n = (uint8_t)MIN(data[1], size - 2);

        step(data[0] % 16 % STEPS, data[0] >> 4 & 1, data + 2, n);
        run_rounds();
        data += 2 + n;
        size -= 2 + n;
    }
    for (unsigned i = 0; i < CLIENTS; i++)
        go(i);
    set_open(false);
    run_rounds();
    if (!LIST_EMPTY(&server->sessions))
        abort();
    server->takes_heads = false;
    spice_server_migrate_expect(server, false);
    writer_reset(&saved);
    room = 0;
    return 0;
}
