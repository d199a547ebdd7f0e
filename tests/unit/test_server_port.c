/* Ports of the guest's that are channels of their own. */
#include "tests/lib/agent_rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static struct guest other;

static void add_others(void *arg UNUSED)
{
    struct chardev *webdav;

    other = (struct guest){.room = SIZE_MAX};
    assert_int_equal(spice_server_add_port(agent_rig.server, "org.example.words", &other.port), 0);
    assert_int_equal(spice_server_add_port(agent_rig.server, "org.example.words", &webdav), -EEXIST);
    assert_int_equal(spice_server_add_port(agent_rig.server, "org.spice-space.webdav.0", &webdav), 0);
    other.port->front = &other;
    other.port->front_ops = &agent_guest_ops;
}

static void do_open_other(void *arg)
{
    other.port->ops->front_opened(other.port, *(bool *)arg);
}

static void do_write_other(void *arg)
{
    struct bytes *b = arg;

    b->taken = other.port->ops->write(other.port, b->data, b->size);
}

static void do_read_other(void *arg)
{
    other.room = *(size_t *)arg;
    other.port->ops->accept_input(other.port);
}

static void do_count_other(void *arg)
{
    *(size_t *)arg = other.size;
}

static void do_look_whether_connected(void *arg)
{
    *(bool *)arg = other.port->connected;
}

/* Join the port's channel, which must be in the list under its name. */
static void join_port(struct peer *m, struct peer *p, bool open)
{
    const struct spice_msg_main_channels_list *list;
    const struct spice_msg_port_init *init;
    uint32_t session = rig_main(&agent_rig, m);

    list = peer_expect(m, SPICE_MSG_MAIN_CHANNELS_LIST);
    assert_int_equal(list->channels[list->count - 2].type, SPICE_CHANNEL_PORT);
    assert_int_equal(list->channels[list->count - 1].type, SPICE_CHANNEL_WEBDAV);
    rig_join(&agent_rig, p, SPICE_CHANNEL_PORT, session);
    init = peer_expect(p, SPICE_MSG_PORT_INIT);
    assert_string_equal((const char *)init->name, "org.example.words");
    assert_int_equal(init->opened, open);
}

/* Another port is a channel of bytes, for the owner alone, which neither side fills beyond its bounds. */
static void test_port(void **state UNUSED)
{
    struct peer m = {0}, second = {0}, late = {0}, p = {0};
    const struct spice_msg_port_event *event;
    const struct spice_data *data;
    struct bytes b = {agent_text(), AGENT_MAX_TEXT, 0};
    size_t none = 0, all = SIZE_MAX, got = 0;
    bool connected = false;

    rig_call(&agent_rig, add_others, NULL);
    rig_call(&agent_rig, do_write_other, &b);
    assert_int_equal(b.taken, AGENT_MAX_TEXT); /* to nobody */
    join_port(&m, &p, false);
    rig_call(&agent_rig, do_look_whether_connected, &connected);
    assert_true(connected);
    rig_call(&agent_rig, do_open_other, &(bool){true});
    event = peer_expect(&p, SPICE_MSG_PORT_EVENT);
    assert_int_equal(event->event, SPICE_PORT_EVENT_OPENED);
    rig_call(&agent_rig, do_write_other, &b);
    for (size_t at = 0; at < b.taken; at += data->size) {
        data = peer_expect(&p, SPICE_MSG_SPICEVMC_DATA);
        assert_memory_equal(data->data, agent_text() + at, data->size);
    }
    assert_int_not_equal(peer_link(&late, agent_rig.port, SPICE_CHANNEL_PORT, 0, rig_main(&agent_rig, &second), ""), SPICE_LINK_ERR_OK);
    peer_close(&late);
    peer_close(&second);
    rig_call(&agent_rig, do_read_other, &none);
    for (unsigned i = 0; i < 8; i++) /* the rest waits in the socket */
        peer_send(&p, SPICE_MSGC_SPICEVMC_DATA, &(struct spice_data){60000, agent_text()});
    rig_call(&agent_rig, do_read_other, &all);
    for (unsigned i = 0; i < 500 && got < 8 * 60000; i++, usleep(10000))
        rig_call(&agent_rig, do_count_other, &got);
    assert_int_equal(got, 8 * 60000);
    for (unsigned i = 0; i < 8; i++)
        assert_memory_equal(other.got + 60000 * i, agent_text(), 60000);
    peer_close(&p);
    peer_close(&m);
    for (unsigned i = 0; i < 500 && connected; i++, usleep(10000))
        rig_call(&agent_rig, do_look_whether_connected, &connected);
    assert_false(connected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_port, agent_rig_setup, agent_rig_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
