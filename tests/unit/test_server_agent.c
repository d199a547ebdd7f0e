/* What passes between a guest's agent and clients, and how much of it may wait. */
#include "tests/lib/agent_rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static int start_filtered(void **state UNUSED)
{
    agent_rig_start(&(struct spice_config){.name = "rig", .agent_filter = {.no_clipboard = true}, .no_agent_mouse = true});
    return 0;
}

/* An agent comes and goes, and messages pass both ways, large and small, however they are cut. */
static void test_both_ways(void **state UNUSED)
{
    const struct spice_msg_main_agent_tokens *tokens;
    struct peer p = {.caps = AGENT_CAPS};
    uint32_t size;

    rig_main(&agent_rig, &p);
    guest_opens(true);
    tokens = peer_expect(&p, SPICE_MSG_MAIN_AGENT_CONNECTED_TOKENS);
    assert_int_equal(tokens->num_tokens, AGENT_TOKENS);
    client_starts(&p, UINT32_MAX);
    client_settles(&p);
    guest_announces(1u << VD_AGENT_CAP_CLIPBOARD_BY_DEMAND);
    client_hears(&p, VD_AGENT_ANNOUNCE_CAPABILITIES, (const uint8_t *)(const uint32_t[]){1, 1u << VD_AGENT_CAP_CLIPBOARD_BY_DEMAND}, 8);
    for (uint32_t piece = 1; piece < 5000; piece = piece * 5 + 3) {
        guest_says(VD_AGENT_CLIPBOARD, agent_text(), piece * 3, piece);
        client_hears(&p, VD_AGENT_CLIPBOARD, agent_text(), piece * 3);
    }
    client_says(&p, VD_AGENT_CLIPBOARD_GRAB, agent_text(), 5, 1);
    for (unsigned i = 0; i < 25; i++)
        peer_expect(&p, SPICE_MSG_MAIN_AGENT_TOKEN);
    assert_memory_equal(guest_hears(VDP_CLIENT_PORT, 1, VD_AGENT_CLIPBOARD_GRAB, &size), agent_text(), 5);
    client_says(&p, VD_AGENT_CLIPBOARD, agent_text(), 90000, VD_AGENT_MAX_DATA_SIZE);
    assert_memory_equal(guest_hears(VDP_CLIENT_PORT, 2, VD_AGENT_CLIPBOARD, &size), agent_text(), 90000);
    assert_int_equal(size, 90000);
    guest_opens(false);
    peer_expect(&p, SPICE_MSG_MAIN_AGENT_DISCONNECTED);
    peer_close(&p);
}

/* What the agent may not say, or says on another stream or in another protocol, is skipped; the rest still comes. */
static void test_skipped(void **state UNUSED)
{
    static const uint8_t other[] = {VDP_SERVER_PORT, 0, 0, 0, 3, 0, 0, 0, 'a', 'b', 'c', 77, 0, 0, 0, 0, 0, 0, 0};
    uint8_t wire[CHUNK + HEADER + 5];
    struct peer p;

    guest_opens(true);
    client_comes(&p);
    guest_says(VD_AGENT_MOUSE_STATE, agent_text(), 13, 2048);
    guest_says(VD_AGENT_FILE_XFER_DATA, agent_text(), 5000, 100);
    guest_writes(other, sizeof(other));
    memcpy(wire, &(VDIChunkHeader){VDP_CLIENT_PORT, sizeof(wire) - CHUNK}, CHUNK);
    agent_put(wire + CHUNK, 2, VD_AGENT_CLIPBOARD, 5);
    guest_writes(wire, sizeof(wire));
    guest_says(VD_AGENT_REPLY, agent_text(), 8, 3);
    client_hears(&p, VD_AGENT_REPLY, agent_text(), 8);
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

    for (; agent_guest.writable && b->taken < b->size; guest_do_write(b))
        agent_guest.writable = false;
}

/* A client that takes no more stops the agent, not the server; with its next tokens it goes on. */
static void test_tokens(void **state UNUSED)
{
    uint8_t wire[10 * (CHUNK + HEADER + 4)];
    struct bytes b = {wire, sizeof(wire), 0};
    struct peer p = {.caps = AGENT_CAPS};

    for (uint32_t i = 0; i < 10; i++) {
        uint8_t *at = wire + i * (CHUNK + HEADER + 4);

        memcpy(at, &(VDIChunkHeader){VDP_CLIENT_PORT, HEADER + 4}, CHUNK);
        agent_put(at + CHUNK, VD_AGENT_PROTOCOL, VD_AGENT_CLIPBOARD_REQUEST, 4);
    }
    guest_opens(true);
    rig_main(&agent_rig, &p);
    client_starts(&p, 3);
    client_settles(&p);
    rig_call(&agent_rig, guest_do_write, &b);
    assert_in_range(b.taken, 3 * (CHUNK + HEADER + 4), sizeof(wire) - 6 * (CHUNK + HEADER + 4));
    for (int i = 0; i < 3; i++)
        peer_expect(&p, SPICE_MSG_MAIN_AGENT_DATA);
    expect_quiet(&p);
    peer_send(&p, SPICE_MSGC_MAIN_AGENT_TOKEN, &(struct spice_msg_main_agent_tokens){UINT32_MAX});
    client_settles(&p);
    rig_call(&agent_rig, do_go_on, &b);
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

    guest_opens(true);
    client_comes(&p);
    guest_reads(0);
    client_says(&p, VD_AGENT_CLIPBOARD, agent_text(), AGENT_MAX_TEXT - HEADER, VD_AGENT_MAX_DATA_SIZE);
    while ((info = peer_receive(&p, &msg, 300)))
        if (info->id == SPICE_MSG_MAIN_AGENT_TOKEN)
            tokens += ((const struct spice_msg_main_agent_tokens *)msg)->num_tokens;
    assert_in_range(tokens, 1, 49); /* those for the first half of what may wait */
    for (int i = 0; i < 4; i++)
        client_says(&p, VD_AGENT_CLIPBOARD, agent_text(), AGENT_MAX_TEXT - HEADER, VD_AGENT_MAX_DATA_SIZE);
    assert_true(peer_closed(p.fd, PEER_TIMEOUT_MS));
    peer_close(&p);
    client_comes(&after);
    guest_forgets(); /* with a part of a chunk, if it was begun */
    guest_reads(SIZE_MAX);
    guest_hears(VDP_SERVER_PORT, 1, VD_AGENT_CLIENT_DISCONNECTED, &size);
    client_says(&after, VD_AGENT_CLIPBOARD_REQUEST, agent_text(), 8, 2048);
    guest_forgets();
    client_says(&after, VD_AGENT_CLIPBOARD_REQUEST, agent_text(), 8, 2048);
    peer_expect(&after, SPICE_MSG_MAIN_AGENT_TOKEN);
    peer_close(&after);
}

/* What was switched off: no clipboard either way, and the agent does not place the pointer. */
static void test_filter(void **state UNUSED)
{
    const uint32_t clipboard = 1u << VD_AGENT_CAP_CLIPBOARD_BY_DEMAND | 1u << VD_AGENT_CAP_CLIPBOARD_SELECTION;
    const uint8_t *body;
    struct peer p;
    uint32_t size;

    guest_opens(true);
    client_comes(&p);
    guest_announces(clipboard | 1u << VD_AGENT_CAP_MOUSE_STATE);
    client_hears(&p, VD_AGENT_ANNOUNCE_CAPABILITIES,
                 (const uint8_t *)(const uint32_t[]){1, 1u << VD_AGENT_CAP_MOUSE_STATE}, 8);
    client_says(&p, VD_AGENT_CLIPBOARD, agent_text(), 20000, VD_AGENT_MAX_DATA_SIZE);
    client_says(&p, VD_AGENT_ANNOUNCE_CAPABILITIES, (const uint32_t[]){1, clipboard | 4}, 8, 9);
    body = guest_hears(VDP_CLIENT_PORT, 1, VD_AGENT_ANNOUNCE_CAPABILITIES, &size);
    assert_int_equal(load_le32(body + 4), 4);
    guest_says(VD_AGENT_CLIPBOARD_GRAB, agent_text(), 8, 2048);
    guest_says(VD_AGENT_REPLY, agent_text(), 8, 2048);
    client_hears(&p, VD_AGENT_REPLY, agent_text(), 8);
    peer_close(&p);
}

/* The agent is told of monitors, and the displays, where their drivers take them. */
static void test_monitors(void **state UNUSED)
{
    const struct {
        VDAgentMonitorsConfig config;
        VDAgentMonConfig monitor;
    } wanted = {{.num_of_monitors = 1}, {.width = 800, .height = 600}};
    unsigned obeyed = agent_rig.display.obeyed;
    struct peer p, d = {0};
    uint32_t size;

    guest_opens(true);
    client_comes(&p);
    client_says(&p, VD_AGENT_MONITORS_CONFIG, &wanted, sizeof(wanted), 2048);
    assert_memory_equal(guest_hears(VDP_CLIENT_PORT, 1, VD_AGENT_MONITORS_CONFIG, &size), &wanted, sizeof(wanted));
    peer_close(&p);
    guest_opens(false);
    guest_forgets();
    p = (struct peer){.caps = AGENT_CAPS};
    rig_join_display(&agent_rig, &d, rig_main(&agent_rig, &p));
    fake_display_take_heads(&agent_rig.display, 1);
    peer_expect(&p, SPICE_MSG_MAIN_AGENT_CONNECTED_TOKENS); /* the server's own */
    guest_opens(true);
    peer_expect(&p, SPICE_MSG_MAIN_AGENT_DISCONNECTED);
    client_starts(&p, UINT32_MAX);
    client_says(&p, VD_AGENT_MONITORS_CONFIG, &wanted, sizeof(wanted), 2048);
    assert_true(fake_display_obeys(&agent_rig.display, obeyed));
    assert_memory_equal(guest_hears(VDP_CLIENT_PORT, 1, VD_AGENT_MONITORS_CONFIG, &size), &wanted, sizeof(wanted));
    guest_announces(1u << VD_AGENT_CAP_MOUSE_STATE);
    client_hears(&p, VD_AGENT_ANNOUNCE_CAPABILITIES,
                 (const uint8_t *)(const uint32_t[]){1, 1u << VD_AGENT_CAP_MOUSE_STATE | AGENT_MONITOR_CAPS}, 8);
    peer_close(&d);
    peer_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_both_ways, agent_rig_setup, agent_rig_teardown),
        cmocka_unit_test_setup_teardown(test_skipped, agent_rig_setup, agent_rig_teardown),
        cmocka_unit_test_setup_teardown(test_tokens, agent_rig_setup, agent_rig_teardown),
        cmocka_unit_test_setup_teardown(test_too_much, agent_rig_setup, agent_rig_teardown),
        cmocka_unit_test_setup_teardown(test_filter, start_filtered, agent_rig_teardown),
        cmocka_unit_test_setup_teardown(test_monitors, agent_rig_setup, agent_rig_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
