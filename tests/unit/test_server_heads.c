/* Monitors: what clients are told of them, what they ask for, and where they point. */
#include "spice/server/agent.h"
#include "tests/lib/pictures.h"
#include "tests/lib/spice_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define CAPS (1u << SPICE_MAIN_CAP_AGENT_CONNECTED_TOKENS)

static struct rig rig;

static int start(void **state UNUSED)
{
    rig_start(&rig, NULL);
    return 0;
}

static int stop(void **state UNUSED)
{
    rig_stop(&rig);
    return 0;
}

struct wanted {
    VDAgentMonitorsConfig config;
    VDAgentMonConfig monitors[20];
};

static void test_monitors(void **state UNUSED)
{
    struct display_head heads[DISPLAY_MAX_HEADS];
    struct wanted w = {{.num_of_monitors = 3, .flags = VD_AGENT_CONFIG_MONITORS_FLAG_USE_POS},
                       {{.width = 800, .height = 600, .y = 5}, {.width = 0, .height = 9}, {.width = 640, .height = 480, .x = 77}}};
    const uint8_t *bytes = (const uint8_t *)&w;

    assert_int_equal(agent_read_monitors(bytes, sizeof(w), heads), 3);
    assert_int_equal(heads[0].y, 5);
    assert_int_equal(heads[1].height, 0);
    assert_int_equal(heads[2].id, 2);
    assert_int_equal(heads[2].x, 77);
    w.config.flags = 0;
    assert_int_equal(agent_read_monitors(bytes, sizeof(w), heads), 3);
    assert_int_equal(heads[2].x, 800);
    assert_int_equal(heads[0].y, 0);
    assert_int_equal(agent_read_monitors(bytes, sizeof(w.config) + 3 * sizeof(w.monitors[0]) - 1, heads), -22);
    assert_int_equal(agent_read_monitors(bytes, 7, heads), -22);
    w.config.num_of_monitors = UINT32_MAX;
    assert_int_equal(agent_read_monitors(bytes, sizeof(w), heads), -22);
    w.config.num_of_monitors = 20;
    assert_int_equal(agent_read_monitors(bytes, sizeof(w), heads), DISPLAY_MAX_HEADS);
    w.monitors[2].x = -1;
    assert_int_equal(agent_read_monitors(bytes, sizeof(w), heads), -22);
    w.monitors[2] = (VDAgentMonConfig){.width = DISPLAY_MAX_WIDTH + 1, .height = 1};
    assert_int_equal(agent_read_monitors(bytes, sizeof(w), heads), -22);
}

/* --- clients --- */

static void send_agent(struct peer *p, uint32_t type, const void *body, uint32_t size, uint32_t piece)
{
    uint8_t bytes[1000];
    VDAgentMessage head = {.protocol = VD_AGENT_PROTOCOL, .type = type, .size = size};

    memcpy(bytes, &head, sizeof(head));
    memcpy(bytes + sizeof(head), body, size);
    size += sizeof(head);
    for (uint32_t at = 0; at < size; at += piece) {
        peer_send(p, SPICE_MSGC_MAIN_AGENT_DATA, &(struct spice_data){MIN(piece, size - at), bytes + at});
        peer_expect(p, SPICE_MSG_MAIN_AGENT_TOKEN);
    }
}

static void start_agent(struct peer *p)
{
    peer_send(p, SPICE_MSGC_MAIN_AGENT_START, &(struct spice_msg_main_agent_tokens){UINT32_MAX});
}

static void want(struct peer *p, const struct wanted *w)
{
    send_agent(p, VD_AGENT_MONITORS_CONFIG, w, sizeof(w->config) + w->config.num_of_monitors * sizeof(w->monitors[0]), 30);
}

static void expect_heads(struct peer *d, const struct spice_head *heads, unsigned count, unsigned max)
{
    const struct spice_msg_display_monitors_config *config;

    do
        config = peer_expect(d, SPICE_MSG_DISPLAY_MONITORS_CONFIG);
    while (config->count != count || memcmp(config->heads, heads, count * sizeof(*heads)) != 0);
    assert_int_equal(config->max_allowed, max);
}

/* An agent is there exactly while the guest takes monitors; it says what it can, and the guest hears what is wanted. */
static void test_asking(void **state UNUSED)
{
    static const VDAgentAnnounceCapabilities question = {.request = 1};
    const struct wanted two = {{.num_of_monitors = 2, .flags = VD_AGENT_CONFIG_MONITORS_FLAG_USE_POS},
                               {{.width = 320, .height = 200}, {.width = 160, .height = 100, .x = 320, .y = 50}}};
    const struct spice_head shown[] = {{.monitor_id = 0, .width = 320, .height = 200},
                                       {.monitor_id = 1, .width = 160, .height = 100, .x = 320, .y = 50}};
    struct peer m = {.caps = CAPS}, old = {0}, d = {.caps = 1u << SPICE_DISPLAY_CAP_MONITORS_CONFIG};
    uint8_t begun[1000] = {0};
    const struct spice_msg_main_agent_tokens *tokens;
    const struct spice_data *data;

    rig_join_display(&rig, &d, rig_main(&rig, &m));
    rig_main(&rig, &old);
    expect_heads(&d, &(struct spice_head){.width = 640, .height = 480}, 1, 1);
    fake_display_take_heads(&rig.display, 4);
    tokens = peer_expect(&m, SPICE_MSG_MAIN_AGENT_CONNECTED_TOKENS);
    assert_int_equal(tokens->num_tokens, AGENT_TOKENS);
    start_agent(&m);
    send_agent(&m, VD_AGENT_CLIPBOARD_GRAB, "what nobody takes", 17, 2048);
    peer_send(&m, SPICE_MSGC_MAIN_AGENT_TOKEN, &(struct spice_msg_main_agent_tokens){5});
    peer_send(&m, SPICE_MSGC_MAIN_AGENT_DATA,
              &(struct spice_data){sizeof(VDAgentMessage),
                                   (const uint8_t *)&(VDAgentMessage){.protocol = VD_AGENT_PROTOCOL,
                                                                      .type = VD_AGENT_ANNOUNCE_CAPABILITIES,
                                                                      .size = sizeof(question)}});
    peer_send(&m, SPICE_MSGC_MAIN_AGENT_DATA, &(struct spice_data){sizeof(question), (const uint8_t *)&question});
    data = peer_expect(&m, SPICE_MSG_MAIN_AGENT_DATA);
    assert_int_equal(data->size, AGENT_CAPABILITIES_SIZE);
    want(&m, &two);
    expect_heads(&d, shown, 2, 4);
    memcpy(begun, &(VDAgentMessage){.protocol = VD_AGENT_PROTOCOL, .type = VD_AGENT_CLIPBOARD, .size = 2 * sizeof(begun)},
           sizeof(VDAgentMessage));
    peer_send(&m, SPICE_MSGC_MAIN_AGENT_DATA, &(struct spice_data){sizeof(begun), begun});
    fake_display_take_heads(&rig.display, 0);
    peer_expect(&m, SPICE_MSG_MAIN_AGENT_DISCONNECTED);
    /* What comes late is not answered and does no harm; a message that was begun is ended when there is another agent. */
    peer_send(&m, SPICE_MSGC_MAIN_AGENT_DATA, &(struct spice_data){sizeof(begun) - 1, begun});
    fake_display_take_heads(&rig.display, 4);
    peer_expect(&m, SPICE_MSG_MAIN_AGENT_CONNECTED_TOKENS);
    start_agent(&m);
    peer_send(&m, SPICE_MSGC_MAIN_AGENT_DATA, &(struct spice_data){sizeof(VDAgentMessage) + 1, begun});
    want(&m, &two);
    expect_heads(&d, shown, 2, 4);
    fake_display_take_heads(&rig.display, 0);
    peer_expect(&m, SPICE_MSG_MAIN_AGENT_DISCONNECTED);
    peer_send(&m, SPICE_MSGC_MAIN_AGENT_DATA, &(struct spice_data){4, (const uint8_t *)"late"});
    fake_display_take_heads(&rig.display, 4);
    peer_expect(&m, SPICE_MSG_MAIN_AGENT_CONNECTED_TOKENS);
    start_agent(&m);
    want(&m, &two);
    expect_heads(&d, shown, 2, 4);
    peer_close(&d);
    peer_close(&m);
    peer_expect(&old, SPICE_MSG_MAIN_AGENT_CONNECTED); /* whose turn it is now */
    peer_close(&old);
}

/* A client that comes later is told at once. */
static void test_told_at_once(void **state UNUSED)
{
    struct peer m = {.caps = CAPS}, d = {0}, second = {0};
    const struct spice_msg_main_init *init;

    fake_display_take_heads(&rig.display, 1);
    rig_join_display(&rig, &d, rig_main(&rig, &m));
    peer_expect(&m, SPICE_MSG_MAIN_AGENT_CONNECTED_TOKENS);
    peer_close(&d);
    peer_close(&m);
    assert_int_equal(peer_link(&second, rig.port, SPICE_CHANNEL_MAIN, 0, 0, ""), SPICE_LINK_ERR_OK);
    init = peer_expect(&second, SPICE_MSG_MAIN_INIT);
    assert_int_equal(init->agent_connected, 1);
    assert_int_equal(init->agent_tokens, AGENT_TOKENS);
    peer_close(&second);
}

/* Clients point into monitors, the device knows the whole picture. */
static void test_pointing(void **state UNUSED)
{
    static const struct display_head heads[] = {{0, 0, 0, 320, 480}, {3, 320, 100, 320, 380}};
    struct peer m = {0}, p = {0}, d = {.caps = 1u << SPICE_DISPLAY_CAP_MONITORS_CONFIG};
    uint32_t session = rig_main(&rig, &m);

    rig_join(&rig, &p, SPICE_CHANNEL_INPUTS, session);
    rig_join_display(&rig, &d, session);
    fake_display_take_heads(&rig.display, 4);
    rig_set_tablet(&rig, true);
    fake_display_set_heads(&rig.display, heads, 2);
    peer_expect(&m, SPICE_MSG_MAIN_AGENT_CONNECTED);
    expect_heads(&d, (const struct spice_head[]){{0, 0, 320, 480, 0, 0, 0}, {3, 0, 320, 380, 320, 100, 0}}, 2, 4);
    peer_send(&p, SPICE_MSGC_INPUTS_MOUSE_POSITION, &(struct spice_msgc_inputs_mouse_position){0, 0, 0, 0});
    peer_send(&p, SPICE_MSGC_INPUTS_MOUSE_POSITION, &(struct spice_msgc_inputs_mouse_position){319, 379, 0, 3});
    peer_send(&p, SPICE_MSGC_INPUTS_MOUSE_POSITION, &(struct spice_msgc_inputs_mouse_position){0, 0, 0, 3});
    peer_send(&p, SPICE_MSGC_INPUTS_MOUSE_POSITION, &(struct spice_msgc_inputs_mouse_position){0, 0, 0, 1});
    assert_true(rig_log_is(&rig, "p0,0,0,0,0 p0,32767,32767,0,0 p0,16409,6840,0,0 "));
    peer_close(&d);
    peer_close(&p);
    peer_close(&m);
}

static void add_display(void *arg)
{
    assert_int_equal(spice_server_add_display(rig.server, &((struct fake_display *)arg)->display), 0);
}

/* Of several displays each has one monitor, which is wanted by the display's number; none can be pointed at absolutely. */
static void test_two_displays(void **state UNUSED)
{
    const struct wanted both = {{.num_of_monitors = 2, .flags = VD_AGENT_CONFIG_MONITORS_FLAG_USE_POS},
                                {{.width = 320, .height = 200}, {.width = 160, .height = 100}}};
    struct peer m = {.caps = CAPS}, p = {0}, d[2] = {{.caps = 1u << SPICE_DISPLAY_CAP_MONITORS_CONFIG},
                                                     {.caps = 1u << SPICE_DISPLAY_CAP_MONITORS_CONFIG}};
    const struct spice_msg_main_channels_list *list;
    const struct spice_msg_main_mouse_mode *mode;
    struct fake_display second;
    uint32_t session;

    fake_display_init(&second, 100, 100);
    second.display.id = 1;
    rig_call(&rig, add_display, &second);
    session = rig_main(&rig, &m);
    list = peer_expect(&m, SPICE_MSG_MAIN_CHANNELS_LIST);
    assert_int_equal(list->count, 5);
    assert_int_equal(list->channels[3].type, SPICE_CHANNEL_DISPLAY);
    assert_int_equal(list->channels[3].id, 1);
    rig_set_tablet(&rig, true);
    mode = peer_expect(&m, SPICE_MSG_MAIN_MOUSE_MODE);
    assert_int_equal(mode->supported_modes, SPICE_MOUSE_MODE_SERVER);
    rig_join(&rig, &p, SPICE_CHANNEL_INPUTS, session);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(peer_link(&d[i], rig.port, SPICE_CHANNEL_DISPLAY, i, session, ""), SPICE_LINK_ERR_OK);
        fake_display_take_heads(i ? &second : &rig.display, 1);
    }
    peer_expect(&m, SPICE_MSG_MAIN_AGENT_CONNECTED_TOKENS);
    start_agent(&m);
    want(&m, &both);
    expect_heads(&d[0], &(struct spice_head){.width = 320, .height = 200}, 1, 1);
    expect_heads(&d[1], &(struct spice_head){.width = 160, .height = 100}, 1, 1);
    fake_display_take_heads(&second, 0); /* one that does not is enough */
    peer_expect(&m, SPICE_MSG_MAIN_AGENT_DISCONNECTED);
    for (unsigned i = 0; i < 2; i++)
        peer_close(&d[i]);
    peer_close(&p);
    peer_close(&m);
    stop(NULL);
    fake_display_fini(&second);
    start(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_monitors),
        cmocka_unit_test_setup_teardown(test_asking, start, stop),
        cmocka_unit_test_setup_teardown(test_told_at_once, start, stop),
        cmocka_unit_test_setup_teardown(test_pointing, start, stop),
        cmocka_unit_test_setup_teardown(test_two_displays, start, stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
