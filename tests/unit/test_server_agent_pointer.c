/* A guest's agent that places the pointer. */
#include "tests/lib/agent_rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

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
    struct peer m = {.caps = AGENT_CAPS}, p = {0};
    uint32_t session = rig_main(&agent_rig, &m);

    rig_join(&agent_rig, &p, SPICE_CHANNEL_INPUTS, session);
    guest_opens(true);
    peer_expect(&m, SPICE_MSG_MAIN_AGENT_CONNECTED_TOKENS);
    client_starts(&m, UINT32_MAX);
    guest_announces(1u << VD_AGENT_CAP_MOUSE_STATE);
    expect_mode(&m, both, SPICE_MOUSE_MODE_CLIENT);
    peer_send(&p, SPICE_MSGC_INPUTS_MOUSE_POSITION, &(struct spice_msgc_inputs_mouse_position){100, 200, 1, 0});
    expect_state(1, 100, 200, VD_AGENT_LBUTTON_MASK, 0);
    peer_send(&p, SPICE_MSGC_INPUTS_MOUSE_PRESS, &(struct spice_msgc_inputs_mouse_button){SPICE_MOUSE_BUTTON_UP, side});
    expect_state(3, 100, 200, VD_AGENT_SBUTTON_MASK, 0); /* the wheel went down and up */
    guest_forgets();
    guest_reads(0);
    client_says(&m, VD_AGENT_CLIPBOARD, agent_text(), 90000, VD_AGENT_MAX_DATA_SIZE);
    client_settles(&m);
    for (unsigned i = 0; i < 1000; i++)
        peer_send(&p, SPICE_MSGC_INPUTS_MOUSE_POSITION, &(struct spice_msgc_inputs_mouse_position){i, i, 0, 0});
    for (unsigned i = 0; i < 250; i++)
        peer_expect(&p, SPICE_MSG_INPUTS_MOUSE_MOTION_ACK);
    guest_reads(CHUNK + HEADER + AGENT_PIECE);
    expect_state(1, 999, 999, 0, 0); /* melted, and before most of the clipboard */
    guest_opens(false);
    expect_mode(&m, SPICE_MOUSE_MODE_SERVER, SPICE_MOUSE_MODE_SERVER);
    peer_close(&p);
    peer_close(&m);
}

/* More clicks than may wait: the last state arrives all the same. */
static void test_clicks(void **state UNUSED)
{
    struct peer m = {.caps = AGENT_CAPS}, p = {0};
    uint32_t session = rig_main(&agent_rig, &m);
    uint32_t size;
    unsigned count;
    struct look *look = calloc(1, sizeof(*look));

    rig_join(&agent_rig, &p, SPICE_CHANNEL_INPUTS, session);
    guest_opens(true);
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
    rig_call(&agent_rig, guest_do_look, look);
    assert_memory_equal(guest_last(look, VDP_SERVER_PORT, &count, &size) + HEADER,
                        (&(VDAgentMouseState){7, 8, VD_AGENT_RBUTTON_MASK, 0}), sizeof(VDAgentMouseState));
    assert_in_range(count, 2, AGENT_PORT_STATES + 1);
    free(look);
    peer_close(&p);
    peer_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_pointer, agent_rig_setup, agent_rig_teardown),
        cmocka_unit_test_setup_teardown(test_clicks, agent_rig_setup, agent_rig_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
