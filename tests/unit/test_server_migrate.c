/* A session goes from one server to another with its state, by a client that checks every message. */
#include "tests/lib/move_rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static int start_lossy(void **state UNUSED)
{
    move_start_rigs(&(struct spice_config){.name = "rig", .jpeg = WAN_ALWAYS});
    return 0;
}

/* --- the good way --- */

/* What it shows stays, and nothing of it is sent again; then it goes on, with a dictionary that goes on, and a new cache. */
static void test_picture(void **state UNUSED)
{
    const struct rect part = {300, 200, 340, 230};
    struct move_client c = {0};
    struct peer_screen s = {0};
    unsigned draws;

    move_draw("mixed");
    move_come(&c);
    assert_true(rig_catch_up(&here, &c.at[DISPLAY], &s));
    for (int i = 0; i < 5; i++) {
        move_draw(i % 2 ? "mixed" : "text");
        assert_true(rig_catch_up(&here, &c.at[DISPLAY], &s));
    }
    move_get_ready(&c);
    for (int i = 0; i < CHANNELS; i++)
        move_expect_silence(&c.to[i]);
    fake_display_noise(&there.display, part, 7); /* the machine there has gone on already */
    move_go(&c);
    draws = s.draws + s.fills + s.copies;
    s.drawn = 0;
    assert_true(rig_catch_up(&there, &c.to[DISPLAY], &s));
    assert_true(s.draws + s.fills + s.copies > draws);
    assert_in_range(s.drawn, 40 * 30, 16 * 128 * 128);
    assert_true(s.drawn < 640 * 480 / 2);
    s.drawn = 0;
    s.types = 0;
    for (int i = 0; i < 5; i++) {
        fake_display_draw(&there.display, i % 2 ? "mixed" : "text");
        assert_true(rig_catch_up(&there, &c.to[DISPLAY], &s));
    }
    assert_true(s.types & (1ull << SPICE_IMAGE_TYPE_GLZ_RGB % 64 | 1ull << SPICE_IMAGE_TYPE_ZLIB_GLZ_RGB % 64));
    peer_screen_fini(&s);
    move_leave(&c);
}

/* Nothing at all, where nothing differs. */
static void test_same_picture(void **state UNUSED)
{
    struct move_client c = {0};
    struct peer_screen s = {0};
    const struct spice_msg_info *info;
    unsigned draws;
    void *msg;

    fake_display_resize(&here.display, 1000, 700); /* neither divides by tiles nor strips */
    fake_display_resize(&there.display, 1000, 700);
    move_draw("mixed");
    move_come(&c);
    assert_true(rig_catch_up(&here, &c.at[DISPLAY], &s));
    move_get_ready(&c);
    move_go(&c);
    draws = s.draws + s.fills + s.copies;
    while ((info = peer_receive(&c.to[DISPLAY], &msg, 300)))
        peer_screen_apply(&s, info, msg);
    assert_int_equal(s.draws + s.fills + s.copies, draws);
    assert_true(rig_catch_up(&there, &c.to[DISPLAY], &s));
    peer_screen_fini(&s);
    move_leave(&c);
}

/* And to a surface of another size, and back: there is a third server where the first was. */
static void test_other_size(void **state UNUSED)
{
    struct move_client c = {0};
    struct peer_screen s = {0};

    fake_display_resize(&there.display, 800, 600);
    move_draw("mixed");
    move_come(&c);
    assert_true(rig_catch_up(&here, &c.at[DISPLAY], &s));
    move_get_ready(&c);
    move_go(&c);
    assert_true(rig_catch_up(&there, &c.to[DISPLAY], &s));
    assert_int_equal(s.width, 800);
    peer_screen_fini(&s);
    move_leave(&c);
}

/* What it shows nearly, or is about to be sent, becomes exact there. */
static void test_lossy(void **state UNUSED)
{
    const uint64_t jpeg = 1ull << SPICE_IMAGE_TYPE_JPEG % 64;
    struct move_client c = {0};
    struct peer_screen s = {0};
    const struct spice_msg_info *info;
    struct move_step end;
    void *msg;

    move_draw("gradient");
    move_come(&c);
    while (!s.marked && (info = peer_receive(&c.at[DISPLAY], &msg, PEER_TIMEOUT_MS)))
        peer_screen_apply(&s, info, msg);
    move_get_ready(&c);
    move_draw("mixed");
    move_draw("gradient"); /* and leaves at once */
    assert_int_equal(move_step(&end, move_finish), 0);
    while ((info = peer_receive(&c.at[DISPLAY], &msg, PEER_TIMEOUT_MS)) && info->id != SPICE_MSG_MIGRATE)
        peer_screen_apply(&s, info, msg);
    assert_true(s.types & jpeg);
    peer_send(&c.at[DISPLAY], SPICE_MSGC_MIGRATE_FLUSH_MARK, NULL);
    msg = move_expect_next(&c.at[DISPLAY], SPICE_MSG_MIGRATE_DATA);
    peer_send(&c.to[DISPLAY], SPICE_MSGC_MIGRATE_DATA, msg);
    for (int i = 0; i < CHANNELS; i++)
        if (i != DISPLAY) {
            move_take_along(&c, i);
            move_bring(&c, i);
        }
    move_close(c.at);
    move_wait(&end);
    assert_true(rig_catch_up(&there, &c.to[DISPLAY], &s));
    peer_screen_fini(&s);
    move_leave(&c);
}

/* Keys stay held, counts go on, and what is said in between is not lost. */
static void test_inputs(void **state UNUSED)
{
    const struct spice_msgc_inputs_mouse_motion motion = {1, 2, 0};
    struct move_client c = {0};
    struct move_step end;

    move_come(&c);
    move_key(&c.at[INPUTS], SPICE_MSGC_INPUTS_KEY_DOWN, 0x2a);
    move_key(&c.at[INPUTS], SPICE_MSGC_INPUTS_KEY_DOWN, 0x1de0);
    peer_send(&c.at[INPUTS], SPICE_MSGC_INPUTS_MOUSE_MOTION, &motion);
    assert_true(rig_log_is(&here, "2a e0 1d m1,2,0,0 "));
    move_get_ready(&c);
    assert_int_equal(move_step(&end, move_finish), 0);
    move_expect_next(&c.at[INPUTS], SPICE_MSG_MIGRATE);
    move_key(&c.at[INPUTS], SPICE_MSGC_INPUTS_KEY_DOWN, 0x1e); /* it was on its way */
    move_key(&c.at[INPUTS], SPICE_MSGC_INPUTS_KEY_UP, 0x9e);
    for (int i = 0; i < 5; i++)
        peer_send(&c.at[INPUTS], SPICE_MSGC_INPUTS_MOUSE_MOTION, &motion);
    peer_send(&c.at[INPUTS], SPICE_MSGC_MIGRATE_FLUSH_MARK, NULL);
    peer_send(&c.to[INPUTS], SPICE_MSGC_MIGRATE_DATA, move_expect_next(&c.at[INPUTS], SPICE_MSG_MIGRATE_DATA));
    move_expect_next(&c.to[INPUTS], SPICE_MSG_INPUTS_MOUSE_MOTION_ACK); /* of six, four are answered */
    move_expect_next(&c.to[INPUTS], SPICE_MSG_INPUTS_KEY_MODIFIERS);
    assert_true(rig_log_is(&there, "1e 9e "));
    for (int i = 0; i < 2; i++)
        peer_send(&c.to[INPUTS], SPICE_MSGC_INPUTS_MOUSE_MOTION, &motion);
    move_expect_next(&c.to[INPUTS], SPICE_MSG_INPUTS_MOUSE_MOTION_ACK);
    assert_true(rig_log_is(&there, "m1,2,0,0 m1,2,0,0 "));
    for (int i = 0; i < CHANNELS; i++)
        if (i != INPUTS)
            move_take_along(&c, i);
    move_close(c.at);
    move_wait(&end);
    move_key(&c.to[INPUTS], SPICE_MSGC_INPUTS_KEY_UP, 0x9de0);
    assert_true(rig_log_is(&there, "e0 9d "));
    move_leave(&c);
    assert_true(rig_log_is(&there, "aa "));
    assert_true(rig_log_is(&here, "m1,2,0,0 m1,2,0,0 m1,2,0,0 m1,2,0,0 m1,2,0,0 ")); /* where it had gone nothing is let go of */
}

static size_t put_monitors(uint8_t *bytes, uint32_t width)
{
    const VDAgentMessage head = {.protocol = VD_AGENT_PROTOCOL,
                                 .type = VD_AGENT_MONITORS_CONFIG,
                                 .size = sizeof(VDAgentMonitorsConfig) + sizeof(VDAgentMonConfig)};
    const VDAgentMonitorsConfig config = {.num_of_monitors = 1};
    const VDAgentMonConfig monitor = {.width = width, .height = 400, .depth = 32};

    memcpy(bytes, &head, sizeof(head));
    memcpy(bytes + sizeof(head), &config, sizeof(config));
    memcpy(bytes + sizeof(head) + sizeof(config), &monitor, sizeof(monitor));
    return sizeof(head) + head.size;
}

static void say_to_agent(struct peer *p, const uint8_t *bytes, uint32_t size)
{
    peer_send(p, SPICE_MSGC_MAIN_AGENT_DATA, &(struct spice_data){size, bytes});
}

/* A message to the agent that was begun here ends there; each chunk is given back once. */
static void test_agent(void **state UNUSED)
{
    const struct spice_msg_main_agent_tokens *tokens;
    struct move_client c = {0};
    struct move_step end;
    uint8_t bytes[200];
    size_t size = put_monitors(bytes, 720);
    unsigned obeyed;

    fake_display_take_heads(&here.display, 1);
    fake_display_take_heads(&there.display, 1);
    move_come(&c);
    peer_send(&c.at[MAIN], SPICE_MSGC_MAIN_AGENT_START, &(struct spice_msg_main_agent_tokens){UINT32_MAX});
    say_to_agent(&c.at[MAIN], bytes, 10);
    tokens = peer_expect(&c.at[MAIN], SPICE_MSG_MAIN_AGENT_TOKEN);
    assert_int_equal(tokens->num_tokens, 1);
    move_get_ready(&c);
    assert_int_equal(move_step(&end, move_finish), 0);
    move_expect_next(&c.at[MAIN], SPICE_MSG_MIGRATE);
    say_to_agent(&c.at[MAIN], bytes + 10, 15);
    say_to_agent(&c.at[MAIN], bytes + 25, 5);
    peer_send(&c.at[MAIN], SPICE_MSGC_MIGRATE_FLUSH_MARK, NULL);
    obeyed = there.display.obeyed;
    peer_send(&c.to[MAIN], SPICE_MSGC_MIGRATE_DATA, move_expect_next(&c.at[MAIN], SPICE_MSG_MIGRATE_DATA));
    move_expect_next(&c.to[MAIN], SPICE_MSG_MAIN_MULTI_MEDIA_TIME);
    move_expect_next(&c.to[MAIN], SPICE_MSG_MAIN_MOUSE_MODE);
    tokens = move_expect_next(&c.to[MAIN], SPICE_MSG_MAIN_AGENT_TOKEN);
    assert_int_equal(tokens->num_tokens, 2);
    move_expect_next(&c.to[MAIN], SPICE_MSG_PING);
    say_to_agent(&c.to[MAIN], bytes + 30, (uint32_t)size - 30);
    tokens = move_expect_next(&c.to[MAIN], SPICE_MSG_MAIN_AGENT_TOKEN);
    assert_int_equal(tokens->num_tokens, 1);
    assert_true(fake_display_obeys(&there.display, obeyed));
    move_close(c.at);
    move_wait(&end);
    move_leave(&c);
}

/* What is complete when the machine is about to go on there is obeyed there, and not here, where nobody would see it. */
static void test_late_agent(void **state UNUSED)
{
    const struct spice_msg_main_agent_tokens *tokens;
    struct move_client c = {0};
    struct move_step end;
    uint8_t bytes[400];
    size_t size = put_monitors(bytes, 720);
    unsigned stayed, obeyed;

    size += put_monitors(bytes + size, 800);
    fake_display_take_heads(&here.display, 1);
    fake_display_take_heads(&there.display, 1);
    move_come(&c);
    peer_send(&c.at[MAIN], SPICE_MSGC_MAIN_AGENT_START, &(struct spice_msg_main_agent_tokens){UINT32_MAX});
    say_to_agent(&c.at[MAIN], bytes, 10);
    peer_expect(&c.at[MAIN], SPICE_MSG_MAIN_AGENT_TOKEN);
    move_get_ready(&c);
    assert_int_equal(move_step(&end, move_finish), 0);
    move_expect_next(&c.at[MAIN], SPICE_MSG_MIGRATE);
    stayed = here.display.obeyed;
    obeyed = there.display.obeyed;
    say_to_agent(&c.at[MAIN], bytes + 10, (uint32_t)size - 10); /* both messages' ends */
    peer_send(&c.at[MAIN], SPICE_MSGC_MIGRATE_FLUSH_MARK, NULL);
    peer_send(&c.to[MAIN], SPICE_MSGC_MIGRATE_DATA, move_expect_next(&c.at[MAIN], SPICE_MSG_MIGRATE_DATA));
    tokens = peer_expect(&c.to[MAIN], SPICE_MSG_MAIN_AGENT_TOKEN);
    assert_int_equal(tokens->num_tokens, 1);
    assert_true(fake_display_obeys(&there.display, obeyed));
    assert_true(fake_display_obeys(&there.display, obeyed + 1));
    assert_int_equal(here.display.obeyed, stayed);
    move_close(c.at);
    move_wait(&end);
    move_leave(&c);
}

/* An agent that is not there, or is only there, is said so; and the mode that was in force here is wished for there. */
static void test_other_machine(void **state UNUSED)
{
    const struct spice_msgc_main_mouse_mode_request server_mode = {SPICE_MOUSE_MODE_SERVER};
    const struct spice_msg_main_mouse_mode *mode;
    struct move_client c = {0}, d = {0};

    fake_display_take_heads(&here.display, 1);
    rig_set_tablet(&here, true);
    rig_set_tablet(&there, true);
    move_come(&c);
    peer_send(&c.at[MAIN], SPICE_MSGC_MAIN_MOUSE_MODE_REQUEST, &server_mode);
    mode = peer_expect(&c.at[MAIN], SPICE_MSG_MAIN_MOUSE_MODE);
    assert_int_equal(mode->current_mode, SPICE_MOUSE_MODE_SERVER);
    move_get_ready(&c);
    move_go(&c);
    move_expect_next(&c.to[MAIN], SPICE_MSG_MAIN_MULTI_MEDIA_TIME);
    mode = move_expect_next(&c.to[MAIN], SPICE_MSG_MAIN_MOUSE_MODE);
    assert_int_equal(mode->current_mode, SPICE_MOUSE_MODE_SERVER);
    move_expect_next(&c.to[MAIN], SPICE_MSG_MAIN_AGENT_DISCONNECTED);
    move_leave(&c);
    fake_display_take_heads(&here.display, 0);
    fake_display_take_heads(&there.display, 1);
    move_come(&d);
    move_get_ready(&d);
    move_go(&d);
    peer_expect(&d.to[MAIN], SPICE_MSG_MAIN_AGENT_CONNECTED_TOKENS);
    move_leave(&d);
}

/* Who is about to come has no agent yet, though he was here first. */
static void test_agent_owner(void **state UNUSED)
{
    const struct spice_msg_main_init *init;
    struct peer coming = {.caps = MOVE_CAPS}, present = {.caps = MOVE_CAPS}, display = {0};

    fake_display_take_heads(&there.display, 1);
    move_link(&there, &coming, SPICE_CHANNEL_MAIN, 4711, "");
    move_link(&there, &present, SPICE_CHANNEL_MAIN, 0, "");
    init = peer_expect(&present, SPICE_MSG_MAIN_INIT);
    move_link(&there, &display, SPICE_CHANNEL_DISPLAY, init->session_id, ""); /* now the guest's drivers are looked at */
    peer_expect(&present, SPICE_MSG_MAIN_AGENT_CONNECTED_TOKENS);
    peer_close(&display);
    peer_close(&present);
    move_expect_silence(&coming);
    peer_close(&coming);
}

/* The cursor is said again: what it is and where. */
static void test_cursor(void **state UNUSED)
{
    const struct spice_msg_cursor_set *set;
    struct move_client c = {0};

    fake_display_cursor(&here.display, 24);
    fake_display_cursor(&there.display, 32);
    move_come(&c);
    move_get_ready(&c);
    move_go(&c);
    move_expect_next(&c.to[CURSOR], SPICE_MSG_SET_ACK);
    set = move_expect_next(&c.to[CURSOR], SPICE_MSG_CURSOR_SET);
    assert_int_equal(set->cursor.width, 32);
    move_leave(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_picture, move_start, move_stop),
        cmocka_unit_test_setup_teardown(test_same_picture, move_start, move_stop),
        cmocka_unit_test_setup_teardown(test_other_size, move_start, move_stop),
        cmocka_unit_test_setup_teardown(test_lossy, start_lossy, move_stop),
        cmocka_unit_test_setup_teardown(test_inputs, move_start, move_stop),
        cmocka_unit_test_setup_teardown(test_agent, move_start, move_stop),
        cmocka_unit_test_setup_teardown(test_late_agent, move_start, move_stop),
        cmocka_unit_test_setup_teardown(test_other_machine, move_start, move_stop),
        cmocka_unit_test_setup_teardown(test_agent_owner, move_start, move_stop),
        cmocka_unit_test_setup_teardown(test_cursor, move_start, move_stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
