/* Who was lost comes back with the password that he had, though it has expired; nobody else does. */
#include "spice/server/private.h"
#include "tests/lib/spice_rig.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define RIGHT "s3cret"

static struct rig rig;

static int start(void **state UNUSED)
{
    rig_start(&rig, &(struct spice_config){.password = RIGHT, .view_password = "look"});
    return 0;
}

static int stop(void **state UNUSED)
{
    rig_stop(&rig);
    return 0;
}

static int from_elsewhere(int port)
{
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK + 1)}},
                       to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof(from)), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

/* --- what the owner does --- */

struct change {
    const char *password;
    enum ticket_connected connected;
    int64_t expires; /* 0: no matter */
};

static void do_change(void *arg)
{
    struct change *c = arg;

    if (c->password)
        assert_int_equal(spice_server_set_password(rig.server, c->password, c->connected), 0);
    if (c->expires)
        assert_int_equal(spice_server_expire_password(rig.server, c->expires), 0);
}

/* As a ticket does: it was to be good for a moment, and that is over. */
static void let_expire(void)
{
    const int64_t when = time(NULL) + 1;

    rig_call(&rig, do_change, &(struct change){.expires = when});
    while (time(NULL) < when)
        usleep(10000);
}

static void expire_now(void)
{
    rig_call(&rig, do_change, &(struct change){.expires = time(NULL)});
}

static void set_password(const char *password, enum ticket_connected connected)
{
    rig_call(&rig, do_change, &(struct change){password, connected});
}

/* --- what clients do --- */

static void count_sessions(void *arg)
{
    *(unsigned *)arg = rig.server->session_count;
}

static void expect_sessions(unsigned wanted)
{
    unsigned count = wanted + 1;

    for (int i = 0; i < 500 && count != wanted; i++, usleep(10000))
        rig_call(&rig, count_sessions, &count);
    assert_int_equal(count, wanted);
}

static uint32_t come(struct peer *p, const char *password)
{
    const struct spice_msg_main_init *init;

    assert_int_equal(peer_link(p, rig.port, SPICE_CHANNEL_MAIN, 0, 0, password), SPICE_LINK_ERR_OK);
    init = peer_expect(p, SPICE_MSG_MAIN_INIT);
    return init->session_id;
}

static void drop(struct peer *p, unsigned others)
{
    peer_close(p);
    *p = (struct peer){0};
    expect_sessions(others);
}

static unsigned try(unsigned channel, uint32_t session, const char *password, int (*connect)(int port))
{
    struct peer p = {.connect = connect};
    unsigned result = peer_link(&p, rig.port, channel, 0, session, password);

    peer_close(&p);
    return result;
}

static void expect_refusal(const char *password, int (*connect)(int port))
{
    assert_int_equal(try(SPICE_CHANNEL_MAIN, 0, password, connect), SPICE_LINK_ERR_PERMISSION_DENIED);
}

/* --- */

/* One return for each who was lost, from where he was, with what he had. */
static void test_return(void **state UNUSED)
{
    struct peer p = {0}, q = {0};

    come(&p, RIGHT);
    let_expire();
    expect_refusal(RIGHT, NULL); /* he is still here */
    drop(&p, 0);
    expect_refusal("s3cretS", NULL);
    expect_refusal("look", NULL);
    expect_refusal(RIGHT, from_elsewhere);
    come(&p, RIGHT);
    expect_refusal(RIGHT, NULL);
    drop(&p, 0); /* and again */
    come(&p, RIGHT);
    set_password("other", TICKET_KEEP);
    come(&q, "other");
    drop(&p, 1);
    expect_refusal(RIGHT, from_elsewhere);
    come(&p, RIGHT);
    peer_close(&p);
    peer_close(&q);
}

/* The rights stay what they were. */
static void test_view_only(void **state UNUSED)
{
    struct peer p = {0}, in = {0};
    uint32_t session;

    come(&p, "look");
    let_expire();
    drop(&p, 0);
    session = come(&p, "look");
    assert_int_equal(peer_link(&in, rig.port, SPICE_CHANNEL_INPUTS, 0, session, "look"), SPICE_LINK_ERR_OK);
    peer_expect(&in, SPICE_MSG_INPUTS_INIT);
    for (int i = 0; i < SPICE_INPUT_MOTION_ACK_BUNCH; i++) {
        peer_send(&in, SPICE_MSGC_INPUTS_KEY_DOWN, &(struct spice_msgc_inputs_key){0x1e});
        peer_send(&in, SPICE_MSGC_INPUTS_MOUSE_MOTION, &(struct spice_msgc_inputs_mouse_motion){1, 1, 0});
    }
    peer_expect(&in, SPICE_MSG_INPUTS_MOUSE_MOTION_ACK); /* it has read all of it */
    assert_true(rig_log_is(&rig, ""));
    peer_close(&in);
    peer_close(&p);
}

/* Further channels of who is here need the password that he came with, from where he came. */
static void test_channels(void **state UNUSED)
{
    struct peer p = {0};
    uint32_t session = come(&p, RIGHT);

    let_expire();
    assert_int_equal(try(SPICE_CHANNEL_INPUTS, session, "other", NULL), SPICE_LINK_ERR_PERMISSION_DENIED);
    assert_int_equal(try(SPICE_CHANNEL_INPUTS, session + 1, RIGHT, NULL), SPICE_LINK_ERR_PERMISSION_DENIED);
    assert_int_equal(try(SPICE_CHANNEL_INPUTS, session, RIGHT, from_elsewhere), SPICE_LINK_ERR_PERMISSION_DENIED);
    assert_int_equal(try(SPICE_CHANNEL_MAIN, session, RIGHT, NULL), SPICE_LINK_ERR_PERMISSION_DENIED);
    assert_int_equal(try(SPICE_CHANNEL_INPUTS, session, RIGHT, NULL), SPICE_LINK_ERR_OK);
    expire_now();
    assert_int_equal(try(SPICE_CHANNEL_INPUTS, session, RIGHT, NULL), SPICE_LINK_ERR_PERMISSION_DENIED);
    peer_close(&p);
}

/* Ended by one of the two, not lost. */
static void test_ended(void **state UNUSED)
{
    const struct spice_msg_disconnecting bye = {0, SPICE_LINK_ERR_OK};
    struct peer p = {0};

    come(&p, RIGHT);
    peer_send(&p, SPICE_MSGC_DISCONNECTING, &bye);
    assert_true(peer_closed(p.fd, 2000));
    drop(&p, 0);
    come(&p, RIGHT);
    let_expire();
    assert_int_equal(write(p.fd, "\xff\xff\xff\xff\xff\xff\xff\xff", 8), 8); /* longer than a message may be */
    assert_true(peer_closed(p.fd, 2000));
    drop(&p, 0);
    expect_refusal(RIGHT, NULL);
}

/* What the owner orders at once holds for those as well. */
static void test_orders(void **state UNUSED)
{
    struct peer p = {0};

    come(&p, RIGHT);
    let_expire();
    drop(&p, 0);
    expire_now();
    expect_refusal(RIGHT, NULL);
    set_password("second", TICKET_KEEP);
    come(&p, "second");
    expire_now(); /* while he is here */
    drop(&p, 0);
    expect_refusal("second", NULL);
    set_password("third", TICKET_KEEP);
    come(&p, "third");
    drop(&p, 0);
    set_password("fourth", TICKET_KEEP);
    expect_refusal("third", NULL);
    come(&p, "fourth");
    set_password("fifth", TICKET_DISCONNECT);
    drop(&p, 0);
    expect_refusal("fourth", NULL);
    come(&p, "fifth");
    drop(&p, 0);
    set_password("sixth", TICKET_DISCONNECT);
    expect_refusal("fifth", NULL);
}

/* How long, how many, and that of many the oldest give way. */
static void test_places(void **state UNUSED)
{
    static struct grace g;
    const uint64_t now = 1000000000000ull;
    struct lost *l;
    char peer[64];

    grace_add(&g, "192.0.2.1:1000", "", false, now);
    assert_null(grace_next(&g, "192.0.2.1:1000", now, NULL));
    grace_add(&g, "192.0.2.1:1000", "a", false, now);
    grace_add(&g, "192.0.2.1:1001", "b", true, now + 1);
    grace_add(&g, "2001:db8::1:1", "c", false, now + 1);
    assert_null(grace_next(&g, "192.0.2.2:1000", now, NULL));
    assert_null(grace_next(&g, "2001:db8::2:1", now, NULL)); /* a neighbour */
    assert_null(grace_next(&g, "unix", now, NULL));
    assert_non_null(grace_next(&g, "2001:db8::1:7", now, NULL));
    l = grace_next(&g, "::ffff:192.0.2.1:5", now + GRACE_NS - 1, NULL);
    assert_string_equal(l->password, "a");
    l = grace_next(&g, "192.0.2.1:5", now, l);
    assert_string_equal(l->password, "b");
    assert_true(l->view_only);
    assert_null(grace_next(&g, "192.0.2.1:5", now, l));
    assert_string_equal(grace_next(&g, "192.0.2.1:5", now + GRACE_NS, NULL)->password, "b");
    grace_take(l);
    assert_null(grace_next(&g, "192.0.2.1:5", now + GRACE_NS, NULL));
    for (unsigned i = 0; i < GRACE_PLACES; i++) {
        snprintf(peer, sizeof(peer), "198.51.100.%u:1", i);
        grace_add(&g, peer, "d", false, now + 2 + i);
    }
    assert_null(grace_next(&g, "192.0.2.1:5", now, NULL));
    assert_null(grace_next(&g, "2001:db8::1:7", now, NULL));
    for (unsigned i = 0; i < GRACE_PLACES; i++) {
        snprintf(peer, sizeof(peer), "198.51.100.%u:2", i);
        assert_non_null(grace_next(&g, peer, now, NULL));
    }
    grace_clear(&g);
    assert_null(grace_next(&g, "198.51.100.1:1", now, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_return, start, stop),
        cmocka_unit_test_setup_teardown(test_view_only, start, stop),
        cmocka_unit_test_setup_teardown(test_channels, start, stop),
        cmocka_unit_test_setup_teardown(test_ended, start, stop),
        cmocka_unit_test_setup_teardown(test_orders, start, stop),
        cmocka_unit_test(test_places),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
