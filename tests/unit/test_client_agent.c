/* The user's monitors as the agent's message has them (<spice/vd_agent.h>). */
#include "client/agent.h"

#include <spice/vd_agent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <string.h>

static VDAgentMonConfig monitor(const uint8_t *body, unsigned i)
{
    VDAgentMonConfig m;

    memcpy(&m, body + sizeof(VDAgentMonitorsConfig) + i * sizeof(m), sizeof(m));
    return m;
}

static void test_layout(void **state UNUSED)
{
    struct screen_layout layout = {.monitors = {{0, 0, 800, 600}, {0}, {800, 10, 1824, 778}, {0}}, .count = 4};
    uint8_t body[AGENT_MAX_LAYOUT];
    VDAgentMonitorsConfig head;

    assert_int_equal(agent_write_layout(&layout, body), sizeof(head) + 3 * sizeof(VDAgentMonConfig));
    memcpy(&head, body, sizeof(head));
    assert_int_equal(head.num_of_monitors, 3); /* those behind the last that is on are left out */
    assert_int_equal(head.flags, VD_AGENT_CONFIG_MONITORS_FLAG_USE_POS);
    assert_true(monitor(body, 0).width == 800 && monitor(body, 0).height == 600);
    assert_true(monitor(body, 1).width == 0 && monitor(body, 1).height == 0);
    assert_true(monitor(body, 2).width == 1024 && monitor(body, 2).height == 768);
    assert_true(monitor(body, 2).x == 800 && monitor(body, 2).y == 10 && monitor(body, 2).depth == 32);
}

static void test_all(void **state UNUSED)
{
    struct screen_layout layout = {.count = SCREEN_MAX_HEADS};
    uint8_t body[AGENT_MAX_LAYOUT];

    for (int i = 0; i < SCREEN_MAX_HEADS; i++)
        layout.monitors[i] = (struct rect){i * 100, 0, i * 100 + 100, 100};
    assert_int_equal(agent_write_layout(&layout, body), AGENT_MAX_LAYOUT);
    assert_int_equal(monitor(body, SCREEN_MAX_HEADS - 1).x, 1500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_layout), cmocka_unit_test(test_all)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
