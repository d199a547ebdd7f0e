#include "tests/lib/agent_rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

size_t agent_put(uint8_t *to, uint32_t protocol, uint32_t type, uint32_t size)
{
    const VDAgentMessage m = {.protocol = protocol, .type = type, .size = size};

    memcpy(to, &m, HEADER);
    memset(to + HEADER, (int)type, size);
    return HEADER + size;
}

struct rig agent_rig;
struct guest agent_guest;

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

const struct chardev_front_ops agent_guest_ops = {.can_read = can_read, .read = take, .writable = writable};

static void add_port(void *arg UNUSED)
{
    assert_int_equal(spice_server_add_port(agent_rig.server, SPICE_AGENT_PORT, &agent_guest.port), 0);
    assert_int_equal(spice_server_add_port(agent_rig.server, SPICE_AGENT_PORT, &agent_guest.port), -EEXIST);
    agent_guest.port->front = &agent_guest;
    agent_guest.port->front_ops = &agent_guest_ops;
}

void agent_rig_start(const struct spice_config *config)
{
    rig_start(&agent_rig, config);
    agent_guest = (struct guest){.room = SIZE_MAX};
    rig_call(&agent_rig, add_port, NULL);
}

void agent_rig_stop(void)
{
    rig_stop(&agent_rig);
}

int agent_rig_setup(void **state UNUSED)
{
    agent_rig_start(NULL);
    return 0;
}

int agent_rig_teardown(void **state UNUSED)
{
    agent_rig_stop();
    return 0;
}

static void do_open(void *arg)
{
    agent_guest.port->ops->front_opened(agent_guest.port, *(bool *)arg);
}

void guest_opens(bool open)
{
    rig_call(&agent_rig, do_open, &open);
}

void guest_do_write(void *arg)
{
    struct bytes *b = arg;

    b->taken += agent_guest.port->ops->write(agent_guest.port, b->data + b->taken, b->size - b->taken);
}

size_t guest_writes(const void *data, size_t size)
{
    struct bytes b = {data, size, 0};

    rig_call(&agent_rig, guest_do_write, &b);
    return b.taken;
}

void guest_says(uint32_t type, const void *body, uint32_t size, uint32_t chunk)
{
    static uint8_t message[AGENT_MAX_TEXT], wire[2 * AGENT_MAX_TEXT];
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

void guest_announces(uint32_t caps)
{
    guest_says(VD_AGENT_ANNOUNCE_CAPABILITIES, (const uint32_t[]){1, caps}, 8, 2048);
}

void guest_do_look(void *arg)
{
    struct look *look = arg;

    memcpy(look->got, agent_guest.got, agent_guest.size);
    look->size = agent_guest.size;
}

const uint8_t *guest_last(const struct look *look, uint32_t stream, unsigned *count, uint32_t *size)
{
    static uint8_t bytes[sizeof(agent_guest.got)];
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

const uint8_t *guest_hears(uint32_t stream, unsigned wanted, uint32_t type, uint32_t *size)
{
    static struct look look;
    const uint8_t *last = NULL;
    unsigned count = 0;

    for (int i = 0; i < 500 && count < wanted; i++) {
        rig_call(&agent_rig, guest_do_look, &look);
        last = guest_last(&look, stream, &count, size);
        if (count < wanted)
            usleep(10000);
    }
    assert_int_equal(count, wanted);
    assert_int_equal(agent_message_type(last), type);
    return last + HEADER;
}

static void do_forget(void *arg UNUSED)
{
    agent_guest.size = 0;
}

void guest_forgets(void)
{
    rig_call(&agent_rig, do_forget, NULL);
}

static void do_room(void *arg)
{
    agent_guest.room = *(size_t *)arg;
    agent_guest.port->ops->accept_input(agent_guest.port);
}

void guest_reads(size_t room)
{
    rig_call(&agent_rig, do_room, &room);
}

/* --- clients --- */

void client_says(struct peer *p, uint32_t type, const void *body, uint32_t size, uint32_t piece)
{
    static uint8_t bytes[AGENT_MAX_TEXT];
    const VDAgentMessage head = {.protocol = VD_AGENT_PROTOCOL, .type = type, .size = size};
    uint32_t total = (uint32_t)HEADER + size;

    memcpy(bytes, &head, HEADER);
    memcpy(bytes + HEADER, body, size);
    for (uint32_t at = 0; at < total; at += piece)
        peer_send(p, SPICE_MSGC_MAIN_AGENT_DATA, &(struct spice_data){MIN(piece, total - at), bytes + at});
}

void client_starts(struct peer *p, uint32_t tokens)
{
    peer_send(p, SPICE_MSGC_MAIN_AGENT_START, &(struct spice_msg_main_agent_tokens){tokens});
}

void client_settles(struct peer *p)
{
    peer_send(p, SPICE_MSGC_MAIN_MOUSE_MODE_REQUEST, &(struct spice_msgc_main_mouse_mode_request){0});
    peer_expect(p, SPICE_MSG_MAIN_MOUSE_MODE);
}

void client_comes(struct peer *p)
{
    *p = (struct peer){.caps = AGENT_CAPS};
    rig_main(&agent_rig, p);
    client_starts(p, UINT32_MAX);
    client_settles(p);
}

void client_hears(struct peer *p, uint32_t type, const uint8_t *body, uint32_t size)
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

const uint8_t *agent_text(void)
{
    static uint8_t bytes[AGENT_MAX_TEXT];

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 7 + i / 251);
    return bytes;
}
