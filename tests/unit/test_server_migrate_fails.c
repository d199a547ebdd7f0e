/* A session that goes without its state, late or not at all, and a client that lies about where it comes from. */
#include "tests/lib/move_rig.h"
#include "tests/lib/pictures.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define MOVE_TIME_MS 2000
#define NO_CAPS (1u << SPICE_MAIN_CAP_NAME_AND_UUID) /* but this, which does not matter here */

static int start(void **state UNUSED)
{
    move_start_rigs(&(struct spice_config){.name = "rig", .move_time = MOVE_TIME_MS});
    return 0;
}

static int start_password(void **state UNUSED)
{
    move_start_rigs(&(struct spice_config){.name = "rig", .password = "all", .view_password = "look"});
    return 0;
}

/* --- other ways --- */

/* A server that does not know our data: the client's channels are there already, and start anew. */
static void test_semi_seamless(void **state UNUSED)
{
    const struct spice_msg_main_init *init;
    struct peer_screen s = {0};
    struct move_client c = {0};
    struct move_step start, end;

    move_draw("mixed");
    move_come(&c);
    assert_int_equal(move_step(&start, move_begin), 0);
    move_expect_begin(&c);
    move_connect(&c, MIGRATE_VERSION + 1, SPICE_MSG_MAIN_MIGRATE_DST_SEAMLESS_NACK);
    peer_send(&c.at[MAIN], SPICE_MSGC_MAIN_MIGRATE_CONNECTED, NULL);
    move_wait(&start);
    assert_int_equal(move_step(&end, move_finish), 0);
    peer_expect(&c.at[MAIN], SPICE_MSG_MAIN_MIGRATE_END);
    move_close(c.at);
    move_wait(&end);
    for (int i = 0; i < CHANNELS; i++)
        move_expect_silence(&c.to[i]);
    peer_send(&c.to[MAIN], SPICE_MSGC_MAIN_MIGRATE_END, NULL);
    init = move_expect_next(&c.to[MAIN], SPICE_MSG_MAIN_INIT);
    assert_int_equal(init->session_id, c.session);
    move_expect_next(&c.to[INPUTS], SPICE_MSG_INPUTS_INIT);
    move_expect_next(&c.to[CURSOR], SPICE_MSG_SET_ACK);
    move_expect_next(&c.to[CURSOR], SPICE_MSG_CURSOR_INIT);
    rig_send_init(&c.to[DISPLAY]);
    assert_true(rig_catch_up(&there, &c.to[DISPLAY], &s));
    move_expect_next(&c.to[MAIN], SPICE_MSG_PING); /* and no list of channels, which it would open again */
    move_expect_silence(&c.to[MAIN]);
    peer_screen_fini(&s);
    move_leave(&c);
}

/* Who cannot connect beside, or does not know how, is sent when it is time. */
static void test_switch(void **state UNUSED)
{
    struct move_client able = {0}, unable = {.caps = NO_CAPS};
    struct move_step start, end;

    move_come(&able);
    move_come(&unable);
    assert_int_equal(move_step(&start, move_begin), 0);
    move_expect_begin(&able);
    move_expect_silence(&unable.at[MAIN]);
    peer_send(&able.at[MAIN], SPICE_MSGC_MAIN_MIGRATE_CONNECT_ERROR, NULL);
    move_wait(&start);
    assert_int_equal(move_step(&end, move_finish), 0);
    peer_expect(&able.at[MAIN], SPICE_MSG_MAIN_MIGRATE_SWITCH_HOST);
    peer_expect(&unable.at[MAIN], SPICE_MSG_MAIN_MIGRATE_SWITCH_HOST);
    move_close(able.at);
    assert_false(move_is_done(&end));
    move_close(unable.at);
    move_wait(&end);
}

/* It stays: what was told is taken back, and all goes on. Then it goes after all. */
static void test_cancel(void **state UNUSED)
{
    struct peer_screen s = {0};
    struct move_client c = {0};
    struct move_step start, other;
    struct peer forgotten;

    move_come(&c);
    assert_int_equal(move_step(&other, move_cancel), -EINVAL);
    assert_int_equal(move_step(&other, move_finish), -EINVAL);
    assert_int_equal(move_step(&start, move_begin), 0);
    assert_int_equal(move_step(&other, move_begin), -EBUSY);
    move_expect_begin(&c);
    assert_int_equal(move_step(&other, move_cancel), 0);
    peer_expect(&c.at[MAIN], SPICE_MSG_MAIN_MIGRATE_CANCEL);
    peer_send(&c.at[MAIN], SPICE_MSGC_MAIN_MIGRATE_CONNECTED_SEAMLESS, NULL); /* too late */
    move_get_ready(&c);
    assert_int_equal(move_step(&other, move_cancel), 0);
    peer_expect(&c.at[MAIN], SPICE_MSG_MAIN_MIGRATE_CANCEL);
    forgotten = c.to[MAIN]; /* as spice-gtk does */
    c.to[MAIN] = (struct peer){.fd = -1};
    move_close(c.to);
    memset(c.to, 0, sizeof(c.to));
    move_draw("text");
    assert_true(rig_catch_up(&here, &c.at[DISPLAY], &s));
    move_key(&c.at[INPUTS], SPICE_MSGC_INPUTS_KEY_DOWN, 0x1e);
    assert_true(rig_log_is(&here, "1e "));
    assert_false(move_is_done(&start));
    usleep(2 * MOVE_TIME_MS * 1000); /* no time is running */
    assert_false(peer_closed(c.at[MAIN].fd, 0));
    move_get_ready(&c);
    move_go(&c);
    assert_true(rig_catch_up(&there, &c.to[DISPLAY], &s));
    assert_int_equal(move_step(&other, move_cancel), -EINVAL);
    peer_screen_fini(&s);
    peer_close(&forgotten);
    move_leave(&c);
}

/* Clients that do not do what they are told are waited for so long, and no longer. */
static void test_time(void **state UNUSED)
{
    struct move_client dumb = {0}, stuck = {0};
    struct move_step start, end;

    move_come(&dumb);
    move_come(&stuck);
    assert_int_equal(move_step(&start, move_begin), 0);
    move_expect_begin(&stuck);
    move_connect(&stuck, MIGRATE_VERSION, SPICE_MSG_MAIN_MIGRATE_DST_SEAMLESS_ACK);
    peer_send(&stuck.at[MAIN], SPICE_MSGC_MAIN_MIGRATE_CONNECTED_SEAMLESS, NULL);
    assert_false(move_is_done(&start));
    move_wait(&start);
    assert_int_equal(move_step(&end, move_finish), 0);
    assert_int_equal(move_step(&start, move_cancel), -EBUSY);
    for (int i = 0; i < CHANNELS; i++)
        peer_expect(&stuck.at[i], SPICE_MSG_MIGRATE);
    assert_false(peer_closed(stuck.at[DISPLAY].fd, 0));
    for (int i = 0; i < CHANNELS; i++) {
        assert_true(peer_closed(stuck.at[i].fd, 5 * MOVE_TIME_MS));
        assert_true(peer_closed(dumb.at[i].fd, 5 * MOVE_TIME_MS));
    }
    move_wait(&end);
    move_close(dumb.at);
    move_close(stuck.at);
    move_leave(&stuck);
}

/* Without anybody there is nobody to wait for. */
static void test_nobody(void **state UNUSED)
{
    struct move_step start, end;

    assert_int_equal(move_step(&start, move_begin), 0);
    move_wait(&start);
    assert_int_equal(move_step(&end, move_finish), 0);
    move_wait(&end);
}

/* --- what a client may not --- */

static unsigned try_main(struct rig *rig, uint32_t session)
{
    struct peer p = {0};
    unsigned result = peer_link(&p, rig->port, SPICE_CHANNEL_MAIN, 0, session, "");

    peer_close(&p);
    return result;
}

/* Sessions come only where they are expected, and only once; words of the journey mean nothing to who stays. */
static void test_uninvited(void **state UNUSED)
{
    struct move_client c = {0};
    struct peer_screen s = {0};
    const struct spice_data nothing = {0};

    move_come(&c);
    assert_int_equal(try_main(&here, 4711), SPICE_LINK_ERR_BAD_CONNECTION_ID);
    assert_int_equal(try_main(&here, c.session), SPICE_LINK_ERR_BAD_CONNECTION_ID);
    move_link(&there, &c.to[MAIN], SPICE_CHANNEL_MAIN, c.session, "");
    assert_int_equal(try_main(&there, c.session), SPICE_LINK_ERR_OK); /* it was called off, and comes again */
    assert_true(peer_closed(c.to[MAIN].fd, 2000));
    peer_close(&c.to[MAIN]);
    move_link(&there, &c.to[MAIN], SPICE_CHANNEL_MAIN, c.session, "");
    rig_call(&there, move_expect_sessions, NULL);
    assert_true(peer_closed(c.to[MAIN].fd, 2000));
    assert_int_equal(try_main(&there, 4711), SPICE_LINK_ERR_BAD_CONNECTION_ID);
    peer_send(&c.at[MAIN], SPICE_MSGC_MAIN_MIGRATE_DST_DO_SEAMLESS,
              &(struct spice_msgc_main_migrate_dst_do_seamless){MIGRATE_VERSION});
    peer_send(&c.at[MAIN], SPICE_MSGC_MAIN_MIGRATE_CONNECTED, NULL);
    peer_send(&c.at[MAIN], SPICE_MSGC_MAIN_MIGRATE_END, NULL);
    for (int i = 0; i < CHANNELS; i++)
        peer_send(&c.at[i], SPICE_MSGC_MIGRATE_FLUSH_MARK, NULL);
    move_expect_silence(&c.at[MAIN]);
    assert_true(rig_catch_up(&here, &c.at[DISPLAY], &s));
    for (int i = CHANNELS; i-- > 0;) {
        peer_send(&c.at[i], SPICE_MSGC_MIGRATE_DATA, &nothing);
        assert_true(peer_closed(c.at[i].fd, 2000));
    }
    peer_screen_fini(&s);
    move_close(c.at);
    peer_close(&c.to[MAIN]);
}

/* A channel of a session that is about to come says this. Whether it was let go on. */
static bool try_state(int i, const struct spice_data *data)
{
    static uint32_t session = 1000;
    struct move_client c = {.session = ++session};
    bool lives;
    void *msg;

    c.to[MAIN].caps = MOVE_CAPS;
    move_link(&there, &c.to[MAIN], SPICE_CHANNEL_MAIN, c.session, "");
    if (i != MAIN)
        move_link(&there, &c.to[i], move_types[i], c.session, "");
    peer_send(&c.to[i], SPICE_MSGC_MIGRATE_DATA, data);
    lives = peer_receive(&c.to[i], &msg, 2000) != NULL; /* each says something at once, or has ended */
    if (!lives)
        assert_true(peer_closed(c.to[i].fd, 2000));
    if (i != MAIN)
        peer_close(&c.to[i]);
    peer_close(&c.to[MAIN]);
    return lives;
}

static void check_server(void)
{
    struct peer m = {0}, d = {0};
    struct peer_screen s = {0};

    rig_join_display(&there, &d, rig_main(&there, &m));
    assert_true(rig_catch_up(&there, &d, &s));
    peer_screen_fini(&s);
    peer_close(&d);
    peer_close(&m);
}

/* Every beginning of a state, and each with any byte changed. */
static void test_lies(void **state UNUSED)
{
    struct move_client c = {0};
    struct peer_screen s = {0};
    unsigned refused = 0, taken = 0;
    uint32_t seed = 5;

    move_draw("mixed");
    move_come(&c);
    assert_true(rig_catch_up(&here, &c.at[DISPLAY], &s));
    move_get_ready(&c);
    move_go(&c);
    for (int i = 0; i < CHANNELS; i++) {
        struct spice_data data = c.state[i];
        uint8_t *bytes = memcpy(malloc(data.size), data.data, data.size);

        data.data = bytes;
        assert_true(try_state(i, &data));
        for (uint32_t n = 0; n < data.size; n++)
            assert_false(try_state(i, &(struct spice_data){n, bytes}));
        for (uint32_t n = 0; n < data.size; n++) {
            uint8_t before = bytes[n];

            bytes[n] ^= n % 3 ? 1u << picture_random(&seed) % 8 : 0xff;
            *(try_state(i, &data) ? &taken : &refused) += 1;
            bytes[n] = before;
        }
        for (int j = 0; j < CHANNELS; j++) /* another channel's */
            assert_int_equal(try_state(i, &c.state[j]), i == j);
        free(bytes);
    }
    assert_true(taken && refused);
    check_server();
    peer_screen_fini(&s);
    move_leave(&c);
}

static void expect_refused(int i, const void *lie)
{
    struct writer w;

    writer_init(&w, MIB(1));
    assert_int_equal(migrate_data_encode(move_types[i], lie, &w), 0);
    assert_false(try_state(i, &(struct spice_data){(uint32_t)w.size, w.data}));
    writer_fini(&w);
}

static void test_impossible(void **state UNUSED)
{
    const uint8_t message[AGENT_PIECE] = {1};
    const struct migrate_inputs far = {.x = 40000}, nowhere = {.display = 99}, buttons = {.buttons = 1u << 31};
    const struct migrate_main agent = {.mouse_mode = SPICE_MOUSE_MODE_SERVER, .have = 100, .data = message};
    const struct migrate_display few = {.compression = SPICE_IMAGE_COMPRESSION_AUTO_GLZ, .width = 640, .height = 480};

    expect_refused(INPUTS, &far);
    expect_refused(INPUTS, &nowhere);
    expect_refused(INPUTS, &buttons);
    expect_refused(MAIN, &agent); /* all of a message, and more */
    expect_refused(DISPLAY, &few); /* tiles */
    check_server();
}

/* Who may only look claims to hold keys, and to have typed. */
static void test_view_only(void **state UNUSED)
{
    static const uint8_t typed[] = {0x1e, 0x9e};
    struct migrate_inputs lie = {.buttons = 1, .pending_count = 2, .pending = typed, .untold = 4};
    struct move_client c = {.session = 77, .password = "look"};
    struct spice_data data;
    struct writer w;

    memset(lie.held, 0xff, sizeof(lie.held));
    writer_init(&w, 4096);
    assert_int_equal(migrate_data_encode(SPICE_CHANNEL_INPUTS, &lie, &w), 0);
    data = (struct spice_data){(uint32_t)w.size, w.data};
    move_link(&there, &c.to[MAIN], SPICE_CHANNEL_MAIN, c.session, c.password);
    move_link(&there, &c.to[INPUTS], SPICE_CHANNEL_INPUTS, c.session, c.password);
    peer_send(&c.to[INPUTS], SPICE_MSGC_MIGRATE_DATA, &data);
    move_expect_next(&c.to[INPUTS], SPICE_MSG_INPUTS_MOUSE_MOTION_ACK);
    move_expect_next(&c.to[INPUTS], SPICE_MSG_INPUTS_KEY_MODIFIERS);
    move_leave(&c);
    usleep(MOVE_QUIET_MS * 1000);
    assert_true(rig_log_is(&there, ""));
    /* The same from one who may do more. */
    c = (struct move_client){.session = 78, .password = "all"};
    move_link(&there, &c.to[MAIN], SPICE_CHANNEL_MAIN, c.session, c.password);
    move_link(&there, &c.to[INPUTS], SPICE_CHANNEL_INPUTS, c.session, c.password);
    peer_send(&c.to[INPUTS], SPICE_MSGC_MIGRATE_DATA, &data);
    assert_true(rig_log_is(&there, "1e 9e "));
    move_leave(&c);
    writer_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_semi_seamless, move_start, move_stop),
        cmocka_unit_test_setup_teardown(test_switch, move_start, move_stop),
        cmocka_unit_test_setup_teardown(test_cancel, start, move_stop),
        cmocka_unit_test_setup_teardown(test_time, start, move_stop),
        cmocka_unit_test_setup_teardown(test_nobody, move_start, move_stop),
        cmocka_unit_test_setup_teardown(test_uninvited, move_start, move_stop),
        cmocka_unit_test_setup_teardown(test_lies, move_start, move_stop),
        cmocka_unit_test_setup_teardown(test_impossible, move_start, move_stop),
        cmocka_unit_test_setup_teardown(test_view_only, start_password, move_stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
