/* Several viewers: who may do what, and who has the agent. */
#include "tests/lib/spice_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define CAPS (1u << SPICE_MAIN_CAP_AGENT_CONNECTED_TOKENS)

static struct rig rig;

static int start(void **state UNUSED)
{
    rig_start(&rig, &(struct spice_config){.password = "control", .view_password = "view"});
    return 0;
}

static int stop(void **state UNUSED)
{
    rig_stop(&rig);
    return 0;
}

struct viewer {
    struct peer main, inputs, display;
    struct peer_screen screen;
    uint32_t session;
    bool agent; /* as INIT told */
};

static unsigned join(struct viewer *v, struct peer *p, unsigned channel, const char *password)
{
    return peer_link(p, rig.port, channel, 0, v->session, password);
}

static void come(struct viewer *v, const char *password)
{
    const struct spice_msg_main_init *init;

    *v = (struct viewer){.main.caps = CAPS};
    assert_int_equal(join(v, &v->main, SPICE_CHANNEL_MAIN, password), SPICE_LINK_ERR_OK);
    init = peer_expect(&v->main, SPICE_MSG_MAIN_INIT);
    v->session = init->session_id;
    v->agent = init->agent_connected;
    peer_expect(&v->main, SPICE_MSG_MAIN_CHANNELS_LIST);
    assert_int_equal(join(v, &v->inputs, SPICE_CHANNEL_INPUTS, password), SPICE_LINK_ERR_OK);
    assert_int_equal(join(v, &v->display, SPICE_CHANNEL_DISPLAY, password), SPICE_LINK_ERR_OK);
    rig_send_init(&v->display);
}

static void go(struct viewer *v)
{
    peer_close(&v->inputs);
    peer_close(&v->display);
    peer_close(&v->main);
    peer_screen_fini(&v->screen);
}

static void key(struct viewer *v, uint32_t code)
{
    peer_send(&v->inputs, SPICE_MSGC_INPUTS_KEY_DOWN, &(struct spice_msgc_inputs_key){code});
    peer_send(&v->inputs, SPICE_MSGC_INPUTS_KEY_UP, &(struct spice_msgc_inputs_key){code | 0x80});
}

/* Each sees what the other does, and only one of them does anything. */
static void test_view_only(void **state UNUSED)
{
    const struct spice_msgc_inputs_mouse_motion motion = {5, 5, 0};
    struct viewer control, view;
    struct peer stranger = {0};

    come(&control, "control");
    come(&view, "view");
    key(&view, 0x1e);
    for (int i = 0; i < 8; i++)
        peer_send(&view.inputs, SPICE_MSGC_INPUTS_MOUSE_MOTION, &motion);
    peer_expect(&view.inputs, SPICE_MSG_INPUTS_MOUSE_MOTION_ACK); /* else the viewer would wait */
    key(&control, 0x30);
    assert_true(rig_log_is(&rig, "30 b0 "));
    fake_display_draw(&rig.display, "text");
    assert_true(rig_catch_up(&rig, &control.display, &control.screen));
    assert_true(rig_catch_up(&rig, &view.display, &view.screen));
    /* The one password opens nothing of the other's session. */
    assert_int_equal(join(&control, &stranger, SPICE_CHANNEL_INPUTS, "view"), SPICE_LINK_ERR_BAD_CONNECTION_ID);
    peer_close(&stranger);
    assert_int_equal(join(&view, &stranger, SPICE_CHANNEL_INPUTS, "control"), SPICE_LINK_ERR_BAD_CONNECTION_ID);
    peer_close(&stranger);
    go(&view);
    go(&control);
}

static void expect_agent(struct viewer *v)
{
    peer_expect(&v->main, SPICE_MSG_MAIN_AGENT_CONNECTED_TOKENS);
}

/* The agent is the eldest's who may use it; who comes after him gets it when he goes. */
static void test_agent(void **state UNUSED)
{
    struct viewer first, second, view;

    come(&view, "view");
    come(&first, "control");
    assert_false(view.agent || first.agent);
    fake_display_take_heads(&rig.display, true);
    expect_agent(&first);
    come(&second, "control");
    assert_false(second.agent);
    go(&view);
    go(&first);
    expect_agent(&second);
    come(&first, "control");
    assert_false(first.agent);
    go(&second);
    expect_agent(&first);
    go(&first);
    come(&view, "view");
    assert_false(view.agent);
    come(&first, "control");
    assert_true(first.agent);
    go(&first);
    go(&view);
}

/* Eight come while the screen changes; each shows all of it, and one that does not read is in nobody's way. */
static void test_many(void **state UNUSED)
{
    static struct viewer viewers[8], deaf;

    come(&deaf, "control");
    for (size_t i = 0; i < ARRAY_SIZE(viewers); i++) {
        come(&viewers[i], i % 2 ? "view" : "control");
        fake_display_draw(&rig.display, i % 3 ? "text" : "mixed");
        for (size_t k = 0; k <= i; k++)
            assert_true(rig_catch_up(&rig, &viewers[k].display, &viewers[k].screen));
    }
    for (size_t i = 0; i < ARRAY_SIZE(viewers); i++)
        go(&viewers[i]);
    assert_true(rig_catch_up(&rig, &deaf.display, &deaf.screen));
    go(&deaf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_view_only, start, stop),
        cmocka_unit_test_setup_teardown(test_agent, start, stop),
        cmocka_unit_test_setup_teardown(test_many, start, stop),
    };

    return cmocka_run_group_tests_name("server_viewers", tests, NULL, NULL);
}
