#include "tests/lib/move_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

struct rig here, there;

void move_expect_sessions(void *on)
{
    spice_server_migrate_expect(there.server, on != NULL);
}

void move_start_rigs(const struct spice_config *config)
{
    rig_start(&here, config);
    rig_start(&there, config);
    rig_call(&there, move_expect_sessions, &there);
}

int move_start(void **state UNUSED)
{
    move_start_rigs(&(struct spice_config){.name = "rig"});
    return 0;
}

int move_stop(void **state UNUSED)
{
    rig_stop(&here);
    rig_stop(&there);
    return 0;
}

/* --- what the machine does --- */

static void done(void *arg)
{
    ((struct move_step *)arg)->done = true;
}

int move_begin(struct move_step *s)
{
    return spice_server_migrate_start(here.server, &(struct spice_destination){"there", there.port, -1, "CN=there"}, done, s);
}

int move_finish(struct move_step *s)
{
    return spice_server_migrate_finish(here.server, done, s);
}

int move_cancel(struct move_step *s UNUSED)
{
    return spice_server_migrate_cancel(here.server);
}

static void do_step(void *arg)
{
    struct move_step *s = arg;

    s->err = s->fn(s);
    assert_false(s->done);
}

int move_step(struct move_step *s, int (*fn)(struct move_step *s))
{
    *s = (struct move_step){fn};
    rig_call(&here, do_step, s);
    return s->err;
}

struct looked {
    const struct move_step *step;
    bool done;
};

static void do_look(void *arg)
{
    struct looked *l = arg;

    l->done = l->step->done;
}

bool move_is_done(const struct move_step *s)
{
    struct looked l = {s};

    rig_call(&here, do_look, &l);
    return l.done;
}

void move_wait(const struct move_step *s)
{
    for (int i = 0; i < 500 && !move_is_done(s); i++)
        usleep(10000);
    assert_true(move_is_done(s));
}

/* --- what the client does --- */

const unsigned move_types[CHANNELS] = {SPICE_CHANNEL_MAIN, SPICE_CHANNEL_DISPLAY, SPICE_CHANNEL_INPUTS, SPICE_CHANNEL_CURSOR};

void move_link(struct rig *rig, struct peer *p, unsigned type, uint32_t session, const char *password)
{
    assert_int_equal(peer_link(p, rig->port, type, 0, session, password ? password : ""), SPICE_LINK_ERR_OK);
}

void move_come(struct move_client *c)
{
    const struct spice_msg_main_init *init;

    c->at[MAIN].caps = c->caps ? c->caps : MOVE_CAPS;
    move_link(&here, &c->at[MAIN], SPICE_CHANNEL_MAIN, 0, c->password);
    init = peer_expect(&c->at[MAIN], SPICE_MSG_MAIN_INIT);
    c->session = init->session_id;
    for (int i = DISPLAY; i < CHANNELS; i++)
        move_link(&here, &c->at[i], move_types[i], c->session, c->password);
    rig_send_init(&c->at[DISPLAY]);
    peer_expect(&c->at[MAIN], SPICE_MSG_MAIN_CHANNELS_LIST);
    peer_expect(&c->at[INPUTS], SPICE_MSG_INPUTS_INIT);
    peer_expect(&c->at[CURSOR], SPICE_MSG_CURSOR_INIT);
}

void *move_expect_next(struct peer *p, unsigned id)
{
    const struct spice_msg_info *info;
    void *msg;

    info = peer_receive(p, &msg, PEER_TIMEOUT_MS);
    assert_non_null(info);
    assert_int_equal(info->id, id);
    return msg;
}

void move_expect_silence(struct peer *p)
{
    void *msg;

    assert_null(peer_receive(p, &msg, MOVE_QUIET_MS));
    assert_false(peer_closed(p->fd, 0));
}

void move_expect_begin(struct move_client *c)
{
    const struct spice_msg_main_migrate_begin *msg = peer_expect(&c->at[MAIN], SPICE_MSG_MAIN_MIGRATE_BEGIN_SEAMLESS);

    assert_int_equal(msg->port, there.port);
    assert_int_equal(msg->secure_port, 0);
    assert_string_equal((const char *)msg->host, "there");
    assert_string_equal((const char *)msg->cert_subject, "CN=there");
    assert_int_equal(msg->src_version, MIGRATE_VERSION);
}

void move_connect(struct move_client *c, uint32_t version, unsigned answer)
{
    c->to[MAIN].caps = c->at[MAIN].caps;
    move_link(&there, &c->to[MAIN], SPICE_CHANNEL_MAIN, c->session, c->password);
    peer_send(&c->to[MAIN], SPICE_MSGC_MAIN_MIGRATE_DST_DO_SEAMLESS,
              &(struct spice_msgc_main_migrate_dst_do_seamless){version});
    move_expect_next(&c->to[MAIN], answer);
    for (int i = DISPLAY; i < CHANNELS; i++)
        move_link(&there, &c->to[i], move_types[i], c->session, c->password);
}

void move_take_along(struct move_client *c, int i)
{
    const struct spice_msg_migrate *migrate = peer_expect(&c->at[i], SPICE_MSG_MIGRATE);
    const struct spice_data *data;

    assert_int_equal(migrate->flags, SPICE_MIGRATE_NEED_FLUSH | SPICE_MIGRATE_NEED_DATA_TRANSFER);
    peer_send(&c->at[i], SPICE_MSGC_MIGRATE_FLUSH_MARK, NULL);
    data = move_expect_next(&c->at[i], SPICE_MSG_MIGRATE_DATA);
    c->state[i] = (struct spice_data){data->size, memcpy(malloc(data->size), data->data, data->size)};
}

void move_bring(struct move_client *c, int i)
{
    peer_send(&c->to[i], SPICE_MSGC_MIGRATE_DATA, &c->state[i]);
}

void move_close(struct peer p[CHANNELS])
{
    for (int i = CHANNELS; i-- > 0;)
        peer_close(&p[i]);
}

void move_leave(struct move_client *c)
{
    move_close(c->to);
    for (int i = 0; i < CHANNELS; i++)
        free((void *)c->state[i].data);
}

void move_get_ready(struct move_client *c)
{
    struct move_step start;

    assert_int_equal(move_step(&start, move_begin), 0);
    move_expect_begin(c);
    move_connect(c, MIGRATE_VERSION, SPICE_MSG_MAIN_MIGRATE_DST_SEAMLESS_ACK);
    assert_false(move_is_done(&start));
    peer_send(&c->at[MAIN], SPICE_MSGC_MAIN_MIGRATE_CONNECTED_SEAMLESS, NULL);
    move_wait(&start);
}

void move_go(struct move_client *c)
{
    struct move_step end;

    assert_int_equal(move_step(&end, move_finish), 0);
    for (int i = 0; i < CHANNELS; i++)
        move_take_along(c, i);
    assert_false(move_is_done(&end));
    move_close(c->at);
    move_wait(&end);
    for (int i = 0; i < CHANNELS; i++)
        move_bring(c, i);
}

void move_draw(const char *pattern)
{
    fake_display_draw(&here.display, pattern);
    fake_display_draw(&there.display, pattern);
}

void move_key(struct peer *p, unsigned id, uint32_t code)
{
    peer_send(p, id, &(struct spice_msgc_inputs_key){code});
}
