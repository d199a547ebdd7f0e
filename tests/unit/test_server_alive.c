/* Clients that stop answering, though their connections stand, and those that only have nothing to say. */
#include "tests/lib/spice_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define PATIENCE_MS 400
#define SILENCE_MS  (PATIENCE_MS / 2) /* before it is asked */

static struct rig rig;

static int start(void **state UNUSED)
{
    rig_start(&rig, &(struct spice_config){.name = "rig", .patience = PATIENCE_MS});
    return 0;
}

/* Pictures are ready at once, and large. */
static int start_raw(void **state UNUSED)
{
    rig_start(&rig, &(struct spice_config){.name = "rig", .patience = 3 * PATIENCE_MS, .image_compression = "off"});
    return 0;
}

static int start_patient(void **state UNUSED)
{
    rig_start(&rig, &(struct spice_config){.name = "rig", .patience = -1});
    return 0;
}

static int stop(void **state UNUSED)
{
    rig_stop(&rig);
    return 0;
}

/* What clients do: each ping comes back (those of other channels have already). Returns how many there were. */
static int answer_for(struct peer *p, int ms)
{
    uint64_t end = uv_hrtime() + ms * 1000000ull;
    int pings = 0;
    void *msg;

    while (uv_hrtime() < end) {
        const struct spice_msg_info *info = peer_receive(p, &msg, 20);
        const struct spice_msg_ping *ping = msg;

        if (!info || info->id != SPICE_MSG_PING)
            continue;
        if (p->channel == SPICE_CHANNEL_MAIN)
            peer_send(p, SPICE_MSGC_PONG, &(struct spice_msgc_pong){ping->id, ping->timestamp});
        pings++;
    }
    return pings;
}

/* Any channel of a client that answers stays; when it stops answering, that channel ends, and with the main channel all. */
static void test_each_channel(void **state UNUSED)
{
    static const unsigned types[] = {SPICE_CHANNEL_INPUTS, SPICE_CHANNEL_CURSOR, SPICE_CHANNEL_DISPLAY};
    struct peer m = {0}, p[3] = {0};
    uint32_t session = rig_main(&rig, &m);

    for (size_t i = 0; i < ARRAY_SIZE(types); i++)
        rig_join(&rig, &p[i], types[i], session);
    for (int round = 0; round < 20; round++) {
        answer_for(&m, PATIENCE_MS / 10);
        for (size_t i = 0; i < ARRAY_SIZE(types); i++)
            answer_for(&p[i], PATIENCE_MS / 10);
    }
    for (size_t i = 0; i < ARRAY_SIZE(types); i++)
        assert_false(peer_closed(p[i].fd, 0));
    assert_true(answer_for(&m, 4 * PATIENCE_MS) > 0);
    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        assert_true(peer_closed(p[i].fd, 0));
        peer_close(&p[i]);
    }
    rig_join(&rig, &p[0], SPICE_CHANNEL_INPUTS, session); /* the session goes on */
    assert_true(peer_closed(m.fd, 4 * PATIENCE_MS));
    assert_true(peer_closed(p[0].fd, 4 * PATIENCE_MS));
    peer_close(&p[0]);
    peer_close(&m);
}

/* Other words than an answer will do. */
static void test_anything(void **state UNUSED)
{
    struct peer m = {0}, p = {0};
    uint32_t session = rig_main(&rig, &m);

    rig_join(&rig, &p, SPICE_CHANNEL_INPUTS, session);
    for (int i = 0; i < 20; i++) {
        answer_for(&m, 10);
        peer_send(&p, SPICE_MSGC_INPUTS_KEY_MODIFIERS, &(struct spice_msg_inputs_key_modifiers){0});
        usleep(SILENCE_MS * 1000 / 4);
    }
    assert_int_equal(answer_for(&p, 0), 0);
    peer_send(&p, SPICE_MSGC_INPUTS_KEY_DOWN, &(struct spice_msgc_inputs_key){0x1e});
    assert_true(rig_log_is(&rig, "1e "));
    peer_close(&p);
    peer_close(&m);
}

/* It reads a little now and then, from a queue that never is empty, and never says a word. */
static void test_slow(void **state UNUSED)
{
    struct peer m = {0}, d = {0};
    uint32_t session;
    uint8_t some[65536];

    fake_display_resize(&rig.display, 2560, 1600);
    fake_display_draw(&rig.display, "noise");
    session = rig_main(&rig, &m);
    rig_join(&rig, &d, SPICE_CHANNEL_DISPLAY, session);
    for (int i = 0; i < 24; i++) {
        assert_true(peer_read_bytes(d.fd, some, sizeof(some)));
        answer_for(&m, SILENCE_MS);
    }
    assert_true(peer_closed(d.fd, 6 * PATIENCE_MS)); /* all that is left, then an end */
    peer_close(&d);
    peer_close(&m);
}

static void test_never(void **state UNUSED)
{
    struct peer m = {0};
    void *msg;

    rig_main(&rig, &m);
    peer_expect(&m, SPICE_MSG_MAIN_CHANNELS_LIST);
    assert_null(peer_receive(&m, &msg, 3 * PATIENCE_MS));
    assert_false(peer_closed(m.fd, 0));
    peer_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_each_channel, start, stop),
        cmocka_unit_test_setup_teardown(test_anything, start, stop),
        cmocka_unit_test_setup_teardown(test_slow, start_raw, stop),
        cmocka_unit_test_setup_teardown(test_never, start_patient, stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
