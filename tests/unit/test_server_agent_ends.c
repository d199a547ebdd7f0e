/* Agents, clients and machines that end in the middle of anything, and come again. */
#include "tests/lib/agent_rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

/* A client that goes in the middle of a message, either way: the next one begins where messages begin. */
static void test_half_messages(void **state UNUSED)
{
    struct peer p, after;
    uint8_t half[CHUNK + HEADER + 10], rest[CHUNK + 90];
    const uint8_t *body;
    uint32_t size;

    guest_opens(true);
    client_comes(&p);
    agent_put(half + CHUNK, VD_AGENT_PROTOCOL, VD_AGENT_CLIPBOARD, 0);
    store_le32(half + CHUNK + 16, 100);
    client_says(&p, VD_AGENT_CLIPBOARD, agent_text(), 5000, AGENT_PIECE);
    peer_send(&p, SPICE_MSGC_MAIN_AGENT_DATA, &(struct spice_data){HEADER + 10, half + CHUNK});
    guest_hears(VDP_CLIENT_PORT, 1, VD_AGENT_CLIPBOARD, &size);
    store_le32(half, VDP_CLIENT_PORT);
    store_le32(half + 4, HEADER + 10);
    guest_writes(half, sizeof(half));
    peer_close(&p);
    guest_hears(VDP_SERVER_PORT, 1, VD_AGENT_CLIENT_DISCONNECTED, &size);
    client_comes(&after);
    memset(rest, 0, sizeof(rest));
    memcpy(rest, &(VDIChunkHeader){VDP_CLIENT_PORT, 90}, CHUNK);
    guest_writes(rest, sizeof(rest));
    guest_says(VD_AGENT_CLIPBOARD_GRAB, agent_text(), 12, 7);
    client_hears(&after, VD_AGENT_CLIPBOARD_GRAB, agent_text(), 12);
    guest_forgets();
    client_says(&after, VD_AGENT_CLIPBOARD_RELEASE, agent_text(), 4, 2048);
    body = guest_hears(VDP_CLIENT_PORT, 1, VD_AGENT_CLIPBOARD_RELEASE, &size);
    assert_memory_equal(body, agent_text(), 4);
    peer_close(&after);
}

/* An agent that ends in the middle of anything, at every byte, and comes again. */
static void test_restarts(void **state UNUSED)
{
    uint8_t wire[CHUNK + HEADER + 20];
    struct peer p;

    memcpy(wire, &(VDIChunkHeader){VDP_CLIENT_PORT, HEADER + 20}, CHUNK);
    agent_put(wire + CHUNK, VD_AGENT_PROTOCOL, VD_AGENT_CLIPBOARD, 20);
    guest_opens(true);
    client_comes(&p);
    for (size_t n = 0; n < sizeof(wire); n++) {
        guest_writes(wire, n);
        guest_opens(false);
        peer_expect(&p, SPICE_MSG_MAIN_AGENT_DISCONNECTED);
        guest_opens(true);
        peer_expect(&p, SPICE_MSG_MAIN_AGENT_CONNECTED_TOKENS);
        client_says(&p, VD_AGENT_CLIPBOARD, agent_text(), 10, 2048); /* to the one before: dropped */
        client_starts(&p, UINT32_MAX);
        client_settles(&p);
        guest_says(VD_AGENT_CLIPBOARD_REQUEST, agent_text(), 4, 2048);
        client_hears(&p, VD_AGENT_CLIPBOARD_REQUEST, agent_text(), 4);
    }
    peer_close(&p);
}

/* One of several clients has it; when he goes the next one has. */
static void test_owners(void **state UNUSED)
{
    struct peer first, second = {.caps = AGENT_CAPS};
    uint32_t size;

    guest_opens(true);
    client_comes(&first);
    rig_main(&agent_rig, &second);
    client_starts(&second, UINT32_MAX); /* which is not its turn */
    client_settles(&second);
    client_says(&second, VD_AGENT_CLIPBOARD, agent_text(), 10, 2048);
    client_says(&first, VD_AGENT_CLIPBOARD_GRAB, agent_text(), 10, 2048);
    guest_hears(VDP_CLIENT_PORT, 1, VD_AGENT_CLIPBOARD_GRAB, &size);
    peer_close(&first);
    peer_expect(&second, SPICE_MSG_MAIN_AGENT_CONNECTED_TOKENS);
    client_starts(&second, UINT32_MAX);
    client_settles(&second);
    guest_hears(VDP_SERVER_PORT, 1, VD_AGENT_CLIENT_DISCONNECTED, &size);
    client_says(&second, VD_AGENT_CLIPBOARD_REQUEST, agent_text(), 10, 2048);
    guest_hears(VDP_CLIENT_PORT, 2, VD_AGENT_CLIPBOARD_REQUEST, &size);
    peer_close(&second);
}

struct saved {
    struct writer w;
    int err;
};

static void do_save(void *arg)
{
    agent_guest.port->ops->save(agent_guest.port, &((struct saved *)arg)->w);
}

static void do_load(void *arg)
{
    struct saved *s = arg;
    struct reader r;

    reader_init(&r, s->w.data, s->w.size);
    s->err = agent_guest.port->ops->load(agent_guest.port, &r);
    if (!s->err && (r.bad || reader_left(&r)))
        s->err = -EBADMSG;
    agent_guest.port->ops->accept_input(agent_guest.port);
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
    guest_opens(true);
    client_comes(&p);
    guest_announces(1u << VD_AGENT_CAP_MOUSE_STATE);
    guest_reads(100);
    client_says(&p, VD_AGENT_CLIPBOARD, agent_text(), 1000, 2048);
    client_settles(&p);
    guest_reads(0);
    client_says(&p, VD_AGENT_CLIPBOARD, agent_text(), 1000, 2048);
    client_settles(&p);
    memcpy(wire, &(VDIChunkHeader){VDP_CLIENT_PORT, HEADER + 30}, CHUNK);
    agent_put(wire + CHUNK, VD_AGENT_PROTOCOL, VD_AGENT_CLIPBOARD, 30);
    guest_writes(wire, CHUNK + HEADER + 10);
    rig_call(&agent_rig, do_save, &s);
    rig_call(&agent_rig, guest_do_look, &before);
    peer_close(&p);
    agent_rig_stop();
    agent_rig_start(NULL);
    agent_guest.room = 0;
    guest_opens(true);
    rig_call(&agent_rig, do_load, &s);
    assert_int_equal(s.err, 0);
    memcpy(agent_guest.got, before.got, before.size); /* the agent, which has seen nothing of that */
    agent_guest.size = before.size;
    client_comes(&p);
    guest_reads(SIZE_MAX);
    guest_hears(VDP_SERVER_PORT, 1, VD_AGENT_CLIENT_DISCONNECTED, &size);
    guest_writes(wire + CHUNK + HEADER + 10, 20);
    guest_says(VD_AGENT_REPLY, agent_text(), 8, 2048);
    client_hears(&p, VD_AGENT_REPLY, agent_text(), 8);
    for (size_t i = 0; i < s.w.size; i++) { /* nonsense is refused or harmless */
        s.w.data[i] ^= 0xff;
        rig_call(&agent_rig, do_load, &s);
        s.w.data[i] ^= 0xff;
    }
    writer_fini(&s.w);
    peer_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_half_messages, agent_rig_setup, agent_rig_teardown),
        cmocka_unit_test_setup_teardown(test_restarts, agent_rig_setup, agent_rig_teardown),
        cmocka_unit_test_setup_teardown(test_owners, agent_rig_setup, agent_rig_teardown),
        cmocka_unit_test_setup_teardown(test_saved, agent_rig_setup, agent_rig_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
