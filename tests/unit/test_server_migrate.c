/* A session goes from one server to another, by a client that checks every message and may lie in each. */
#include "spice/server/migrate_data.h"
#include "tests/lib/pictures.h"
#include "tests/lib/spice_rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define MOVE_TIME_MS 2000
#define CAPS                                                                                                           \
    (1u << SPICE_MAIN_CAP_AGENT_CONNECTED_TOKENS | 1u << SPICE_MAIN_CAP_SEMI_SEAMLESS_MIGRATE |                        \
     1u << SPICE_MAIN_CAP_SEAMLESS_MIGRATE)
#define NO_CAPS  (1u << SPICE_MAIN_CAP_NAME_AND_UUID) /* but this, which does not matter here */
#define QUIET_MS 100

static struct rig here, there;

static void expect(void *on)
{
    spice_server_migrate_expect(there.server, on != NULL);
}

static void start_rigs(const struct spice_config *config)
{
    rig_start(&here, config);
    rig_start(&there, config);
    rig_call(&there, expect, &there);
}

static int start(void **state UNUSED)
{
    start_rigs(&(struct spice_config){.name = "rig", .move_time = MOVE_TIME_MS});
    return 0;
}

static int start_patient(void **state UNUSED)
{
    start_rigs(&(struct spice_config){.name = "rig"});
    return 0;
}

static int start_lossy(void **state UNUSED)
{
    start_rigs(&(struct spice_config){.name = "rig", .jpeg = WAN_ALWAYS});
    return 0;
}

static int start_password(void **state UNUSED)
{
    start_rigs(&(struct spice_config){.name = "rig", .password = "all", .view_password = "look"});
    return 0;
}

static int stop(void **state UNUSED)
{
    rig_stop(&here);
    rig_stop(&there);
    return 0;
}

/* --- what the machine does --- */

struct step {
    int (*fn)(struct step *s);
    int err;
    bool done; /* what was begun is */
};

static void done(void *arg)
{
    ((struct step *)arg)->done = true;
}

static int begin(struct step *s)
{
    return spice_server_migrate_start(here.server, &(struct spice_destination){"there", there.port, -1, "CN=there"}, done, s);
}

static int finish(struct step *s)
{
    return spice_server_migrate_finish(here.server, done, s);
}

static int cancel(struct step *s UNUSED)
{
    return spice_server_migrate_cancel(here.server);
}

static void do_step(void *arg)
{
    struct step *s = arg;

    s->err = s->fn(s);
    assert_false(s->done);
}

/* In the loop of `here`; s must live until it is done. */
static int take_step(struct step *s, int (*fn)(struct step *s))
{
    *s = (struct step){fn};
    rig_call(&here, do_step, s);
    return s->err;
}

struct looked {
    const struct step *step;
    bool done;
};

static void do_look(void *arg)
{
    struct looked *l = arg;

    l->done = l->step->done;
}

static bool is_done(const struct step *s)
{
    struct looked l = {s};

    rig_call(&here, do_look, &l);
    return l.done;
}

static void wait_done(const struct step *s)
{
    for (int i = 0; i < 500 && !is_done(s); i++)
        usleep(10000);
    assert_true(is_done(s));
}

/* --- what the client does --- */

enum { MAIN, DISPLAY, INPUTS, CURSOR, CHANNELS };

static const unsigned types[] = {SPICE_CHANNEL_MAIN, SPICE_CHANNEL_DISPLAY, SPICE_CHANNEL_INPUTS, SPICE_CHANNEL_CURSOR};

struct client {
    uint32_t session;
    uint32_t caps;
    const char *password;
    struct peer at[CHANNELS], to[CHANNELS];
    struct spice_data state[CHANNELS]; /* owned */
};

static void link_channel(struct rig *rig, struct peer *p, unsigned type, uint32_t session, const char *password)
{
    assert_int_equal(peer_link(p, rig->port, type, 0, session, password ? password : ""), SPICE_LINK_ERR_OK);
}

static void come(struct client *c)
{
    const struct spice_msg_main_init *init;

    c->at[MAIN].caps = c->caps ? c->caps : CAPS;
    link_channel(&here, &c->at[MAIN], SPICE_CHANNEL_MAIN, 0, c->password);
    init = peer_expect(&c->at[MAIN], SPICE_MSG_MAIN_INIT);
    c->session = init->session_id;
    for (int i = DISPLAY; i < CHANNELS; i++)
        link_channel(&here, &c->at[i], types[i], c->session, c->password);
    rig_send_init(&c->at[DISPLAY]);
    peer_expect(&c->at[MAIN], SPICE_MSG_MAIN_CHANNELS_LIST);
    peer_expect(&c->at[INPUTS], SPICE_MSG_INPUTS_INIT);
    peer_expect(&c->at[CURSOR], SPICE_MSG_CURSOR_INIT);
}

/* The very next message. */
static void *expect_next(struct peer *p, unsigned id)
{
    const struct spice_msg_info *info;
    void *msg;

    info = peer_receive(p, &msg, PEER_TIMEOUT_MS);
    assert_non_null(info);
    assert_int_equal(info->id, id);
    return msg;
}

static void expect_silence(struct peer *p)
{
    void *msg;

    assert_null(peer_receive(p, &msg, QUIET_MS));
    assert_false(peer_closed(p->fd, 0));
}

static void expect_begin(struct client *c)
{
    const struct spice_msg_main_migrate_begin *msg = peer_expect(&c->at[MAIN], SPICE_MSG_MAIN_MIGRATE_BEGIN_SEAMLESS);

    assert_int_equal(msg->port, there.port);
    assert_int_equal(msg->secure_port, 0);
    assert_string_equal((const char *)msg->host, "there");
    assert_string_equal((const char *)msg->cert_subject, "CN=there");
    assert_int_equal(msg->src_version, MIGRATE_VERSION);
}

/* All channels, silent so far. */
static void connect_there(struct client *c, uint32_t version, unsigned answer)
{
    c->to[MAIN].caps = c->at[MAIN].caps;
    link_channel(&there, &c->to[MAIN], SPICE_CHANNEL_MAIN, c->session, c->password);
    peer_send(&c->to[MAIN], SPICE_MSGC_MAIN_MIGRATE_DST_DO_SEAMLESS,
              &(struct spice_msgc_main_migrate_dst_do_seamless){version});
    expect_next(&c->to[MAIN], answer);
    for (int i = DISPLAY; i < CHANNELS; i++)
        link_channel(&there, &c->to[i], types[i], c->session, c->password);
}

/* A server wants it to go: it says that it heard, and then its state is the next that comes. */
static void take_along(struct client *c, int i)
{
    const struct spice_msg_migrate *migrate = peer_expect(&c->at[i], SPICE_MSG_MIGRATE);
    const struct spice_data *data;

    assert_int_equal(migrate->flags, SPICE_MIGRATE_NEED_FLUSH | SPICE_MIGRATE_NEED_DATA_TRANSFER);
    peer_send(&c->at[i], SPICE_MSGC_MIGRATE_FLUSH_MARK, NULL);
    data = expect_next(&c->at[i], SPICE_MSG_MIGRATE_DATA);
    c->state[i] = (struct spice_data){data->size, memcpy(malloc(data->size), data->data, data->size)};
}

static void bring(struct client *c, int i)
{
    peer_send(&c->to[i], SPICE_MSGC_MIGRATE_DATA, &c->state[i]);
}

static void close_all(struct peer p[CHANNELS])
{
    for (int i = CHANNELS; i-- > 0;)
        peer_close(&p[i]);
}

static void leave(struct client *c)
{
    close_all(c->to);
    for (int i = 0; i < CHANNELS; i++)
        free((void *)c->state[i].data);
}

/* Up to where it is ready to go. */
static void get_ready(struct client *c)
{
    struct step start;

    assert_int_equal(take_step(&start, begin), 0);
    expect_begin(c);
    connect_there(c, MIGRATE_VERSION, SPICE_MSG_MAIN_MIGRATE_DST_SEAMLESS_ACK);
    assert_false(is_done(&start));
    peer_send(&c->at[MAIN], SPICE_MSGC_MAIN_MIGRATE_CONNECTED_SEAMLESS, NULL);
    wait_done(&start);
}

static void go(struct client *c)
{
    struct step end;

    assert_int_equal(take_step(&end, finish), 0);
    for (int i = 0; i < CHANNELS; i++)
        take_along(c, i);
    assert_false(is_done(&end));
    close_all(c->at);
    wait_done(&end);
    for (int i = 0; i < CHANNELS; i++)
        bring(c, i);
}

/* --- the good way --- */

static void draw_both(const char *pattern)
{
    fake_display_draw(&here.display, pattern);
    fake_display_draw(&there.display, pattern);
}

/* What it shows stays, and nothing of it is sent again; then it goes on, with a dictionary that goes on, and a new cache. */
static void test_picture(void **state UNUSED)
{
    const struct rect part = {300, 200, 340, 230};
    struct client c = {0};
    struct peer_screen s = {0};
    unsigned draws;

    draw_both("mixed");
    come(&c);
    assert_true(rig_catch_up(&here, &c.at[DISPLAY], &s));
    for (int i = 0; i < 5; i++) {
        draw_both(i % 2 ? "mixed" : "text");
        assert_true(rig_catch_up(&here, &c.at[DISPLAY], &s));
    }
    get_ready(&c);
    for (int i = 0; i < CHANNELS; i++)
        expect_silence(&c.to[i]);
    fake_display_noise(&there.display, part, 7); /* the machine there has gone on already */
    go(&c);
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
    leave(&c);
}

/* Nothing at all, where nothing differs. */
static void test_same_picture(void **state UNUSED)
{
    struct client c = {0};
    struct peer_screen s = {0};
    const struct spice_msg_info *info;
    unsigned draws;
    void *msg;

    fake_display_resize(&here.display, 1000, 700); /* neither divides by tiles nor strips */
    fake_display_resize(&there.display, 1000, 700);
    draw_both("mixed");
    come(&c);
    assert_true(rig_catch_up(&here, &c.at[DISPLAY], &s));
    get_ready(&c);
    go(&c);
    draws = s.draws + s.fills + s.copies;
    while ((info = peer_receive(&c.to[DISPLAY], &msg, 300)))
        peer_screen_apply(&s, info, msg);
    assert_int_equal(s.draws + s.fills + s.copies, draws);
    assert_true(rig_catch_up(&there, &c.to[DISPLAY], &s));
    peer_screen_fini(&s);
    leave(&c);
}

/* And to a surface of another size, and back: there is a third server where the first was. */
static void test_other_size(void **state UNUSED)
{
    struct client c = {0};
    struct peer_screen s = {0};

    fake_display_resize(&there.display, 800, 600);
    draw_both("mixed");
    come(&c);
    assert_true(rig_catch_up(&here, &c.at[DISPLAY], &s));
    get_ready(&c);
    go(&c);
    assert_true(rig_catch_up(&there, &c.to[DISPLAY], &s));
    assert_int_equal(s.width, 800);
    peer_screen_fini(&s);
    leave(&c);
}

/* What it shows nearly, or is about to be sent, becomes exact there. */
static void test_lossy(void **state UNUSED)
{
    const uint64_t jpeg = 1ull << SPICE_IMAGE_TYPE_JPEG % 64;
    struct client c = {0};
    struct peer_screen s = {0};
    const struct spice_msg_info *info;
    struct step end;
    void *msg;

    draw_both("gradient");
    come(&c);
    while (!s.marked && (info = peer_receive(&c.at[DISPLAY], &msg, PEER_TIMEOUT_MS)))
        peer_screen_apply(&s, info, msg);
    get_ready(&c);
    draw_both("mixed");
    draw_both("gradient"); /* and leaves at once */
    assert_int_equal(take_step(&end, finish), 0);
    while ((info = peer_receive(&c.at[DISPLAY], &msg, PEER_TIMEOUT_MS)) && info->id != SPICE_MSG_MIGRATE)
        peer_screen_apply(&s, info, msg);
    assert_true(s.types & jpeg);
    peer_send(&c.at[DISPLAY], SPICE_MSGC_MIGRATE_FLUSH_MARK, NULL);
    msg = expect_next(&c.at[DISPLAY], SPICE_MSG_MIGRATE_DATA);
    peer_send(&c.to[DISPLAY], SPICE_MSGC_MIGRATE_DATA, msg);
    for (int i = 0; i < CHANNELS; i++)
        if (i != DISPLAY) {
            take_along(&c, i);
            bring(&c, i);
        }
    close_all(c.at);
    wait_done(&end);
    assert_true(rig_catch_up(&there, &c.to[DISPLAY], &s));
    peer_screen_fini(&s);
    leave(&c);
}

static void key(struct peer *p, unsigned id, uint32_t code)
{
    peer_send(p, id, &(struct spice_msgc_inputs_key){code});
}

/* Keys stay held, counts go on, and what is said in between is not lost. */
static void test_inputs(void **state UNUSED)
{
    const struct spice_msgc_inputs_mouse_motion motion = {1, 2, 0};
    struct client c = {0};
    struct step end;

    come(&c);
    key(&c.at[INPUTS], SPICE_MSGC_INPUTS_KEY_DOWN, 0x2a);
    key(&c.at[INPUTS], SPICE_MSGC_INPUTS_KEY_DOWN, 0x1de0);
    peer_send(&c.at[INPUTS], SPICE_MSGC_INPUTS_MOUSE_MOTION, &motion);
    assert_true(rig_log_is(&here, "2a e0 1d m1,2,0,0 "));
    get_ready(&c);
    assert_int_equal(take_step(&end, finish), 0);
    expect_next(&c.at[INPUTS], SPICE_MSG_MIGRATE);
    key(&c.at[INPUTS], SPICE_MSGC_INPUTS_KEY_DOWN, 0x1e); /* it was on its way */
    key(&c.at[INPUTS], SPICE_MSGC_INPUTS_KEY_UP, 0x9e);
    for (int i = 0; i < 5; i++)
        peer_send(&c.at[INPUTS], SPICE_MSGC_INPUTS_MOUSE_MOTION, &motion);
    peer_send(&c.at[INPUTS], SPICE_MSGC_MIGRATE_FLUSH_MARK, NULL);
    peer_send(&c.to[INPUTS], SPICE_MSGC_MIGRATE_DATA, expect_next(&c.at[INPUTS], SPICE_MSG_MIGRATE_DATA));
    expect_next(&c.to[INPUTS], SPICE_MSG_INPUTS_MOUSE_MOTION_ACK); /* of six, four are answered */
    expect_next(&c.to[INPUTS], SPICE_MSG_INPUTS_KEY_MODIFIERS);
    assert_true(rig_log_is(&there, "1e 9e "));
    for (int i = 0; i < 2; i++)
        peer_send(&c.to[INPUTS], SPICE_MSGC_INPUTS_MOUSE_MOTION, &motion);
    expect_next(&c.to[INPUTS], SPICE_MSG_INPUTS_MOUSE_MOTION_ACK);
    assert_true(rig_log_is(&there, "m1,2,0,0 m1,2,0,0 "));
    for (int i = 0; i < CHANNELS; i++)
        if (i != INPUTS)
            take_along(&c, i);
    close_all(c.at);
    wait_done(&end);
    key(&c.to[INPUTS], SPICE_MSGC_INPUTS_KEY_UP, 0x9de0);
    assert_true(rig_log_is(&there, "e0 9d "));
    leave(&c);
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
    struct client c = {0};
    struct step end;
    uint8_t bytes[200];
    size_t size = put_monitors(bytes, 720);
    unsigned obeyed;

    fake_display_take_heads(&here.display, 1);
    fake_display_take_heads(&there.display, 1);
    come(&c);
    peer_send(&c.at[MAIN], SPICE_MSGC_MAIN_AGENT_START, &(struct spice_msg_main_agent_tokens){UINT32_MAX});
    say_to_agent(&c.at[MAIN], bytes, 10);
    tokens = peer_expect(&c.at[MAIN], SPICE_MSG_MAIN_AGENT_TOKEN);
    assert_int_equal(tokens->num_tokens, 1);
    get_ready(&c);
    assert_int_equal(take_step(&end, finish), 0);
    expect_next(&c.at[MAIN], SPICE_MSG_MIGRATE);
    say_to_agent(&c.at[MAIN], bytes + 10, 15);
    say_to_agent(&c.at[MAIN], bytes + 25, 5);
    peer_send(&c.at[MAIN], SPICE_MSGC_MIGRATE_FLUSH_MARK, NULL);
    obeyed = there.display.obeyed;
    peer_send(&c.to[MAIN], SPICE_MSGC_MIGRATE_DATA, expect_next(&c.at[MAIN], SPICE_MSG_MIGRATE_DATA));
    expect_next(&c.to[MAIN], SPICE_MSG_MAIN_MULTI_MEDIA_TIME);
    expect_next(&c.to[MAIN], SPICE_MSG_MAIN_MOUSE_MODE);
    tokens = expect_next(&c.to[MAIN], SPICE_MSG_MAIN_AGENT_TOKEN);
    assert_int_equal(tokens->num_tokens, 2);
    expect_next(&c.to[MAIN], SPICE_MSG_PING);
    say_to_agent(&c.to[MAIN], bytes + 30, (uint32_t)size - 30);
    tokens = expect_next(&c.to[MAIN], SPICE_MSG_MAIN_AGENT_TOKEN);
    assert_int_equal(tokens->num_tokens, 1);
    assert_true(fake_display_obeys(&there.display, obeyed));
    close_all(c.at);
    wait_done(&end);
    leave(&c);
}

/* An agent that is not there, or is only there, is said so; and the mode that was in force here is wished for there. */
static void test_other_machine(void **state UNUSED)
{
    const struct spice_msgc_main_mouse_mode_request server_mode = {SPICE_MOUSE_MODE_SERVER};
    const struct spice_msg_main_mouse_mode *mode;
    struct client c = {0}, d = {0};

    fake_display_take_heads(&here.display, 1);
    rig_set_tablet(&here, true);
    rig_set_tablet(&there, true);
    come(&c);
    peer_send(&c.at[MAIN], SPICE_MSGC_MAIN_MOUSE_MODE_REQUEST, &server_mode);
    mode = peer_expect(&c.at[MAIN], SPICE_MSG_MAIN_MOUSE_MODE);
    assert_int_equal(mode->current_mode, SPICE_MOUSE_MODE_SERVER);
    get_ready(&c);
    go(&c);
    expect_next(&c.to[MAIN], SPICE_MSG_MAIN_MULTI_MEDIA_TIME);
    mode = expect_next(&c.to[MAIN], SPICE_MSG_MAIN_MOUSE_MODE);
    assert_int_equal(mode->current_mode, SPICE_MOUSE_MODE_SERVER);
    expect_next(&c.to[MAIN], SPICE_MSG_MAIN_AGENT_DISCONNECTED);
    leave(&c);
    fake_display_take_heads(&here.display, 0);
    fake_display_take_heads(&there.display, 1);
    come(&d);
    get_ready(&d);
    go(&d);
    peer_expect(&d.to[MAIN], SPICE_MSG_MAIN_AGENT_CONNECTED_TOKENS);
    leave(&d);
}

/* Who is about to come has no agent yet, though he was here first. */
static void test_agent_owner(void **state UNUSED)
{
    const struct spice_msg_main_init *init;
    struct peer coming = {.caps = CAPS}, present = {.caps = CAPS}, display = {0};

    fake_display_take_heads(&there.display, 1);
    link_channel(&there, &coming, SPICE_CHANNEL_MAIN, 4711, "");
    link_channel(&there, &present, SPICE_CHANNEL_MAIN, 0, "");
    init = peer_expect(&present, SPICE_MSG_MAIN_INIT);
    link_channel(&there, &display, SPICE_CHANNEL_DISPLAY, init->session_id, ""); /* now the guest's drivers are looked at */
    peer_expect(&present, SPICE_MSG_MAIN_AGENT_CONNECTED_TOKENS);
    peer_close(&display);
    peer_close(&present);
    expect_silence(&coming);
    peer_close(&coming);
}

/* The cursor is said again: what it is and where. */
static void test_cursor(void **state UNUSED)
{
    const struct spice_msg_cursor_set *set;
    struct client c = {0};

    fake_display_cursor(&here.display, 24);
    fake_display_cursor(&there.display, 32);
    come(&c);
    get_ready(&c);
    go(&c);
    expect_next(&c.to[CURSOR], SPICE_MSG_SET_ACK);
    set = expect_next(&c.to[CURSOR], SPICE_MSG_CURSOR_SET);
    assert_int_equal(set->cursor.width, 32);
    leave(&c);
}

/* --- other ways --- */

/* A server that does not know our data: the client's channels are there already, and start anew. */
static void test_semi_seamless(void **state UNUSED)
{
    const struct spice_msg_main_init *init;
    struct peer_screen s = {0};
    struct client c = {0};
    struct step start, end;

    draw_both("mixed");
    come(&c);
    assert_int_equal(take_step(&start, begin), 0);
    expect_begin(&c);
    connect_there(&c, MIGRATE_VERSION + 1, SPICE_MSG_MAIN_MIGRATE_DST_SEAMLESS_NACK);
    peer_send(&c.at[MAIN], SPICE_MSGC_MAIN_MIGRATE_CONNECTED, NULL);
    wait_done(&start);
    assert_int_equal(take_step(&end, finish), 0);
    peer_expect(&c.at[MAIN], SPICE_MSG_MAIN_MIGRATE_END);
    close_all(c.at);
    wait_done(&end);
    for (int i = 0; i < CHANNELS; i++)
        expect_silence(&c.to[i]);
    peer_send(&c.to[MAIN], SPICE_MSGC_MAIN_MIGRATE_END, NULL);
    init = expect_next(&c.to[MAIN], SPICE_MSG_MAIN_INIT);
    assert_int_equal(init->session_id, c.session);
    expect_next(&c.to[INPUTS], SPICE_MSG_INPUTS_INIT);
    expect_next(&c.to[CURSOR], SPICE_MSG_SET_ACK);
    expect_next(&c.to[CURSOR], SPICE_MSG_CURSOR_INIT);
    rig_send_init(&c.to[DISPLAY]);
    assert_true(rig_catch_up(&there, &c.to[DISPLAY], &s));
    expect_next(&c.to[MAIN], SPICE_MSG_PING); /* and no list of channels, which it would open again */
    expect_silence(&c.to[MAIN]);
    peer_screen_fini(&s);
    leave(&c);
}

/* Who cannot connect beside, or does not know how, is sent when it is time. */
static void test_switch(void **state UNUSED)
{
    struct client able = {0}, unable = {.caps = NO_CAPS};
    struct step start, end;

    come(&able);
    come(&unable);
    assert_int_equal(take_step(&start, begin), 0);
    expect_begin(&able);
    expect_silence(&unable.at[MAIN]);
    peer_send(&able.at[MAIN], SPICE_MSGC_MAIN_MIGRATE_CONNECT_ERROR, NULL);
    wait_done(&start);
    assert_int_equal(take_step(&end, finish), 0);
    peer_expect(&able.at[MAIN], SPICE_MSG_MAIN_MIGRATE_SWITCH_HOST);
    peer_expect(&unable.at[MAIN], SPICE_MSG_MAIN_MIGRATE_SWITCH_HOST);
    close_all(able.at);
    assert_false(is_done(&end));
    close_all(unable.at);
    wait_done(&end);
}

/* It stays: what was told is taken back, and all goes on. Then it goes after all. */
static void test_cancel(void **state UNUSED)
{
    struct peer_screen s = {0};
    struct client c = {0};
    struct step start, other;
    struct peer forgotten;

    come(&c);
    assert_int_equal(take_step(&other, cancel), -EINVAL);
    assert_int_equal(take_step(&other, finish), -EINVAL);
    assert_int_equal(take_step(&start, begin), 0);
    assert_int_equal(take_step(&other, begin), -EBUSY);
    expect_begin(&c);
    assert_int_equal(take_step(&other, cancel), 0);
    peer_expect(&c.at[MAIN], SPICE_MSG_MAIN_MIGRATE_CANCEL);
    peer_send(&c.at[MAIN], SPICE_MSGC_MAIN_MIGRATE_CONNECTED_SEAMLESS, NULL); /* too late */
    get_ready(&c);
    assert_int_equal(take_step(&other, cancel), 0);
    peer_expect(&c.at[MAIN], SPICE_MSG_MAIN_MIGRATE_CANCEL);
    forgotten = c.to[MAIN]; /* as spice-gtk does */
    c.to[MAIN] = (struct peer){.fd = -1};
    close_all(c.to);
    memset(c.to, 0, sizeof(c.to));
    draw_both("text");
    assert_true(rig_catch_up(&here, &c.at[DISPLAY], &s));
    key(&c.at[INPUTS], SPICE_MSGC_INPUTS_KEY_DOWN, 0x1e);
    assert_true(rig_log_is(&here, "1e "));
    assert_false(is_done(&start));
    usleep(2 * MOVE_TIME_MS * 1000); /* no time is running */
    assert_false(peer_closed(c.at[MAIN].fd, 0));
    get_ready(&c);
    go(&c);
    assert_true(rig_catch_up(&there, &c.to[DISPLAY], &s));
    assert_int_equal(take_step(&other, cancel), -EINVAL);
    peer_screen_fini(&s);
    peer_close(&forgotten);
    leave(&c);
}

/* Clients that do not do what they are told are waited for so long, and no longer. */
static void test_time(void **state UNUSED)
{
    struct client dumb = {0}, stuck = {0};
    struct step start, end;

    come(&dumb);
    come(&stuck);
    assert_int_equal(take_step(&start, begin), 0);
    expect_begin(&stuck);
    connect_there(&stuck, MIGRATE_VERSION, SPICE_MSG_MAIN_MIGRATE_DST_SEAMLESS_ACK);
    peer_send(&stuck.at[MAIN], SPICE_MSGC_MAIN_MIGRATE_CONNECTED_SEAMLESS, NULL);
    assert_false(is_done(&start));
    wait_done(&start);
    assert_int_equal(take_step(&end, finish), 0);
    assert_int_equal(take_step(&start, cancel), -EBUSY);
    for (int i = 0; i < CHANNELS; i++)
        peer_expect(&stuck.at[i], SPICE_MSG_MIGRATE);
    assert_false(peer_closed(stuck.at[DISPLAY].fd, 0));
    for (int i = 0; i < CHANNELS; i++) {
        assert_true(peer_closed(stuck.at[i].fd, 5 * MOVE_TIME_MS));
        assert_true(peer_closed(dumb.at[i].fd, 5 * MOVE_TIME_MS));
    }
    wait_done(&end);
    close_all(dumb.at);
    close_all(stuck.at);
    leave(&stuck);
}

/* Without anybody there is nobody to wait for. */
static void test_nobody(void **state UNUSED)
{
    struct step start, end;

    assert_int_equal(take_step(&start, begin), 0);
    wait_done(&start);
    assert_int_equal(take_step(&end, finish), 0);
    wait_done(&end);
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
    struct client c = {0};
    struct peer_screen s = {0};
    const struct spice_data nothing = {0};

    come(&c);
    assert_int_equal(try_main(&here, 4711), SPICE_LINK_ERR_BAD_CONNECTION_ID);
    assert_int_equal(try_main(&here, c.session), SPICE_LINK_ERR_BAD_CONNECTION_ID);
    link_channel(&there, &c.to[MAIN], SPICE_CHANNEL_MAIN, c.session, "");
    assert_int_equal(try_main(&there, c.session), SPICE_LINK_ERR_OK); /* it was called off, and comes again */
    assert_true(peer_closed(c.to[MAIN].fd, 2000));
    peer_close(&c.to[MAIN]);
    link_channel(&there, &c.to[MAIN], SPICE_CHANNEL_MAIN, c.session, "");
    rig_call(&there, expect, NULL);
    assert_true(peer_closed(c.to[MAIN].fd, 2000));
    assert_int_equal(try_main(&there, 4711), SPICE_LINK_ERR_BAD_CONNECTION_ID);
    peer_send(&c.at[MAIN], SPICE_MSGC_MAIN_MIGRATE_DST_DO_SEAMLESS,
              &(struct spice_msgc_main_migrate_dst_do_seamless){MIGRATE_VERSION});
    peer_send(&c.at[MAIN], SPICE_MSGC_MAIN_MIGRATE_CONNECTED, NULL);
    peer_send(&c.at[MAIN], SPICE_MSGC_MAIN_MIGRATE_END, NULL);
    for (int i = 0; i < CHANNELS; i++)
        peer_send(&c.at[i], SPICE_MSGC_MIGRATE_FLUSH_MARK, NULL);
    expect_silence(&c.at[MAIN]);
    assert_true(rig_catch_up(&here, &c.at[DISPLAY], &s));
    for (int i = CHANNELS; i-- > 0;) {
        peer_send(&c.at[i], SPICE_MSGC_MIGRATE_DATA, &nothing);
        assert_true(peer_closed(c.at[i].fd, 2000));
    }
    peer_screen_fini(&s);
    close_all(c.at);
    peer_close(&c.to[MAIN]);
}

/* A channel of a session that is about to come says this. Whether it was let go on. */
static bool try_state(int i, const struct spice_data *data)
{
    static uint32_t session = 1000;
    struct client c = {.session = ++session};
    bool lives;
    void *msg;

    c.to[MAIN].caps = CAPS;
    link_channel(&there, &c.to[MAIN], SPICE_CHANNEL_MAIN, c.session, "");
    if (i != MAIN)
        link_channel(&there, &c.to[i], types[i], c.session, "");
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
    struct client c = {0};
    struct peer_screen s = {0};
    unsigned refused = 0, taken = 0;
    uint32_t seed = 5;

    draw_both("mixed");
    come(&c);
    assert_true(rig_catch_up(&here, &c.at[DISPLAY], &s));
    get_ready(&c);
    go(&c);
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
    leave(&c);
}

static void expect_refused(int i, const void *lie)
{
    struct writer w;

    writer_init(&w, MIB(1));
    assert_int_equal(migrate_data_encode(types[i], lie, &w), 0);
    assert_false(try_state(i, &(struct spice_data){(uint32_t)w.size, w.data}));
    writer_fini(&w);
}

static void test_impossible(void **state UNUSED)
{
    const uint8_t message[AGENT_MAX_MESSAGE] = {1};
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
    struct client c = {.session = 77, .password = "look"};
    struct spice_data data;
    struct writer w;

    memset(lie.held, 0xff, sizeof(lie.held));
    writer_init(&w, 4096);
    assert_int_equal(migrate_data_encode(SPICE_CHANNEL_INPUTS, &lie, &w), 0);
    data = (struct spice_data){(uint32_t)w.size, w.data};
    link_channel(&there, &c.to[MAIN], SPICE_CHANNEL_MAIN, c.session, c.password);
    link_channel(&there, &c.to[INPUTS], SPICE_CHANNEL_INPUTS, c.session, c.password);
    peer_send(&c.to[INPUTS], SPICE_MSGC_MIGRATE_DATA, &data);
    expect_next(&c.to[INPUTS], SPICE_MSG_INPUTS_MOUSE_MOTION_ACK);
    expect_next(&c.to[INPUTS], SPICE_MSG_INPUTS_KEY_MODIFIERS);
    leave(&c);
    usleep(QUIET_MS * 1000);
    assert_true(rig_log_is(&there, ""));
    /* The same from one who may do more. */
    c = (struct client){.session = 78, .password = "all"};
    link_channel(&there, &c.to[MAIN], SPICE_CHANNEL_MAIN, c.session, c.password);
    link_channel(&there, &c.to[INPUTS], SPICE_CHANNEL_INPUTS, c.session, c.password);
    peer_send(&c.to[INPUTS], SPICE_MSGC_MIGRATE_DATA, &data);
    assert_true(rig_log_is(&there, "1e 9e "));
    leave(&c);
    writer_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_picture, start_patient, stop),
        cmocka_unit_test_setup_teardown(test_same_picture, start_patient, stop),
        cmocka_unit_test_setup_teardown(test_other_size, start_patient, stop),
        cmocka_unit_test_setup_teardown(test_lossy, start_lossy, stop),
        cmocka_unit_test_setup_teardown(test_inputs, start_patient, stop),
        cmocka_unit_test_setup_teardown(test_agent, start_patient, stop),
        cmocka_unit_test_setup_teardown(test_other_machine, start_patient, stop),
        cmocka_unit_test_setup_teardown(test_agent_owner, start_patient, stop),
        cmocka_unit_test_setup_teardown(test_cursor, start_patient, stop),
        cmocka_unit_test_setup_teardown(test_semi_seamless, start_patient, stop),
        cmocka_unit_test_setup_teardown(test_switch, start_patient, stop),
        cmocka_unit_test_setup_teardown(test_cancel, start, stop),
        cmocka_unit_test_setup_teardown(test_time, start, stop),
        cmocka_unit_test_setup_teardown(test_nobody, start_patient, stop),
        cmocka_unit_test_setup_teardown(test_uninvited, start_patient, stop),
        cmocka_unit_test_setup_teardown(test_lies, start_patient, stop),
        cmocka_unit_test_setup_teardown(test_impossible, start_patient, stop),
        cmocka_unit_test_setup_teardown(test_view_only, start_password, stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
