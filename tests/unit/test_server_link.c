/* The link stage: what a stranger may say, and how long. */
#include "spice/server/guesses.h"
#include "tests/lib/opening.h"
#include "tests/lib/spice_rig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define HEARD 300 /* bytes of a channel's own, up to which it is cut after each */

static struct rig rig;

static int start_plain(void **state UNUSED)
{
    rig_start(&rig, NULL);
    return 0;
}

static int start_password(void **state UNUSED)
{
    rig_start(&rig, &(struct spice_config){.password = "s3cret"});
    return 0;
}

static int stop(void **state UNUSED)
{
    rig_stop(&rig);
    return 0;
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Change 4 bytes of a good link message: the server answers with that error and hangs up. */
static void expect_error(size_t at, uint32_t value, unsigned error)
{
    struct peer p = {.channel = SPICE_CHANNEL_MAIN};
    struct spice_link_reply reply;
    struct writer w;

    writer_init(&w, 1000);
    peer_link_message(&p, 0, 0, &w);
    store_le32(w.data + at, value);
    p.fd = peer_connect(rig.port);
    assert_true(peer_write(p.fd, w.data, w.size));
    assert_int_equal(peer_read_reply(p.fd, &reply), error);
    assert_true(peer_closed(p.fd, 2000));
    writer_fini(&w);
    close(p.fd);
}

static void test_malformed(void **state UNUSED)
{
    expect_error(0, 0x54534f50, SPICE_LINK_ERR_INVALID_MAGIC); /* "POST" */
    expect_error(4, 1, SPICE_LINK_ERR_VERSION_MISMATCH);
    expect_error(4, 3, SPICE_LINK_ERR_VERSION_MISMATCH);
    expect_error(12, 0, SPICE_LINK_ERR_INVALID_DATA);
    expect_error(12, 17, SPICE_LINK_ERR_INVALID_DATA);
    expect_error(12, 4097, SPICE_LINK_ERR_INVALID_DATA);
    expect_error(12, 0xffffffff, SPICE_LINK_ERR_INVALID_DATA);
    expect_error(16 + 6, 0xffffffff, SPICE_LINK_ERR_INVALID_DATA);  /* common capabilities */
    expect_error(16 + 10, 0x80000000, SPICE_LINK_ERR_INVALID_DATA); /* channel capabilities */
    expect_error(16 + 14, 0, SPICE_LINK_ERR_INVALID_DATA);          /* where they are */
    expect_error(16 + 14, 0xfffffffc, SPICE_LINK_ERR_INVALID_DATA);
}

static unsigned link_result(unsigned channel, unsigned id, uint32_t connection)
{
    struct peer p = {0};
    unsigned result = peer_link(&p, rig.port, channel, id, connection, "");

    if (result)
        assert_true(peer_closed(p.fd, 2000));
    peer_close(&p);
    return result;
}

static void test_channels(void **state UNUSED)
{
    struct peer p = {0};
    uint32_t session = rig_main(&rig, &p);

    assert_int_equal(link_result(SPICE_CHANNEL_DISPLAY, 0, session), SPICE_LINK_ERR_OK);
    assert_int_equal(link_result(SPICE_CHANNEL_DISPLAY, 1, session),
                     SPICE_LINK_ERR_CHANNEL_NOT_AVAILABLE);
    assert_int_equal(link_result(SPICE_CHANNEL_CURSOR, 255, session),
                     SPICE_LINK_ERR_CHANNEL_NOT_AVAILABLE);
    assert_int_equal(link_result(SPICE_CHANNEL_INPUTS, 1, session),
                     SPICE_LINK_ERR_CHANNEL_NOT_AVAILABLE);
    assert_int_equal(link_result(SPICE_CHANNEL_TUNNEL, 0, session),
                     SPICE_LINK_ERR_CHANNEL_NOT_AVAILABLE);
    assert_int_equal(link_result(0, 0, session), SPICE_LINK_ERR_CHANNEL_NOT_AVAILABLE);
    assert_int_equal(link_result(255, 0, session), SPICE_LINK_ERR_CHANNEL_NOT_AVAILABLE);
    assert_int_equal(link_result(SPICE_CHANNEL_DISPLAY, 0, session ^ 1),
                     SPICE_LINK_ERR_BAD_CONNECTION_ID);
    assert_int_equal(link_result(SPICE_CHANNEL_INPUTS, 0, 0), SPICE_LINK_ERR_BAD_CONNECTION_ID);
    assert_int_equal(link_result(SPICE_CHANNEL_MAIN, 0, session), SPICE_LINK_ERR_BAD_CONNECTION_ID);
    peer_close(&p);
}

/* Cut after each byte of the link stage: nothing stays open. */
static void test_cut(void **state UNUSED)
{
    int before = open_descriptors();
    struct peer p = {.channel = SPICE_CHANNEL_MAIN};
    struct writer w;

    writer_init(&w, 1000);
    peer_link_message(&p, 0, 0, &w);
    for (size_t size = 0; size <= w.size; size++) {
        int fd = peer_connect(rig.port);

        assert_true(peer_write(fd, w.data, size));
        close(fd);
    }
    writer_fini(&w);
    expect_descriptors(before);
}

static unsigned try_password(const char *password, bool no_selection)
{
    struct peer p = {.no_selection = no_selection};
    unsigned result = peer_link(&p, rig.port, SPICE_CHANNEL_MAIN, 0, 0, password);

    peer_close(&p);
    return result;
}

static void test_password(void **state UNUSED)
{
    double start;

    assert_int_equal(try_password("s3cret", false), SPICE_LINK_ERR_OK);
    assert_int_equal(try_password("s3cret", true), SPICE_LINK_ERR_OK);
    assert_int_equal(try_password("", false), SPICE_LINK_ERR_PERMISSION_DENIED);
    assert_int_equal(try_password("s3cre", false), SPICE_LINK_ERR_PERMISSION_DENIED);
    assert_int_equal(try_password("s3crets", true), SPICE_LINK_ERR_PERMISSION_DENIED);
    start = now();
    assert_int_equal(try_password("s3creT", false), SPICE_LINK_ERR_PERMISSION_DENIED);
    assert_true(now() - start >= 0.9); /* a guess costs a second */
    assert_int_equal(try_password("s3cret", false), SPICE_LINK_ERR_OK);
}

static int connect_from(int port, in_addr_t address)
{
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr = {htonl(address)}},
                       to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof(from)), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

static int from_elsewhere(int port)
{
    return connect_from(port, INADDR_LOOPBACK + 1);
}

struct guess {
    const char *password;
    unsigned result;
};

static void *make_guess(void *arg)
{
    struct guess *g = arg;

    g->result = try_password(g->password, false);
    return NULL;
}

/* As many at once as make a lock, and none opens. */
static void guess_often(const char *password)
{
    struct guess guesses[GUESSES_MAX];
    pthread_t threads[GUESSES_MAX];
    double start = now();

    for (size_t i = 0; i < GUESSES_MAX; i++) {
        guesses[i] = (struct guess){password, 0};
        pthread_create(&threads[i], NULL, make_guess, &guesses[i]);
    }
    for (size_t i = 0; i < GUESSES_MAX; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(guesses[i].result, SPICE_LINK_ERR_PERMISSION_DENIED);
    }
    assert_true(now() - start < 10);
}

/* Ten wrong ones, all at once; then the right one from there does not pass, and from elsewhere it does at once. */
static void test_guessing(void **state UNUSED)
{
    struct peer friend = {.connect = from_elsewhere};
    double start;

    guess_often("wrong");
    assert_int_equal(try_password("s3cret", false), SPICE_LINK_ERR_PERMISSION_DENIED);
    start = now();
    assert_int_equal(peer_link(&friend, rig.port, SPICE_CHANNEL_MAIN, 0, 0, "s3cret"), SPICE_LINK_ERR_OK);
    assert_true(now() - start < 1);
    peer_close(&friend);
}

/* To come without one, as often as one likes, keeps nobody out; one after ten wrong ones opens nothing. */
static void test_no_guess(void **state UNUSED)
{
    guess_often("");
    guess_often("");
    assert_int_equal(try_password("s3cret", false), SPICE_LINK_ERR_OK);
    guess_often("wrong");
    assert_int_equal(try_password("", false), SPICE_LINK_ERR_PERMISSION_DENIED);
}

static void link_until_reply(struct peer *p, struct spice_link_reply *reply)
{
    struct writer w;

    p->channel = SPICE_CHANNEL_MAIN;
    p->fd = peer_connect(rig.port);
    writer_init(&w, 1000);
    peer_link_message(p, 0, 0, &w);
    assert_true(peer_write(p->fd, w.data, w.size));
    writer_fini(&w);
    assert_int_equal(peer_read_reply(p->fd, reply), SPICE_LINK_ERR_OK);
}

/* A ticket that was overheard opens nothing, though the key is the same for a minute. */
static void test_replay(void **state UNUSED)
{
    static const uint8_t auth[4] = {SPICE_COMMON_CAP_AUTH_SPICE};
    static const unsigned wanted[] = {SPICE_LINK_ERR_OK, SPICE_LINK_ERR_PERMISSION_DENIED, SPICE_LINK_ERR_OK};
    struct spice_link_reply first, reply;
    uint8_t ticket[128], result[4];

    for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
        struct peer p = {0};

        link_until_reply(&p, &reply);
        if (i == 0)
            first = reply;
        assert_memory_equal(reply.pub_key, first.pub_key, sizeof(reply.pub_key));
        if (i != 1)
            peer_encrypt(&reply, "s3cret", ticket);
        peer_write(p.fd, auth, 4);
        peer_write(p.fd, ticket, sizeof(ticket));
        assert_true(peer_read_bytes(p.fd, result, 4));
        assert_int_equal(load_le32(result), wanted[i]);
        peer_close(&p);
    }
}

struct change {
    const char *password;
    enum ticket_connected connected;
    int64_t expires; /* 0: no matter */
    int err;
};

static void do_change(void *arg)
{
    struct change *c = arg;

    c->err = c->password ? spice_server_set_password(rig.server, c->password, c->connected) : 0;
    if (!c->err && c->expires)
        c->err = spice_server_expire_password(rig.server, c->expires);
}

static int change(struct change c)
{
    rig_call(&rig, do_change, &c);
    return c.err;
}

static void test_new_password(void **state UNUSED)
{
    struct peer p = {0};

    assert_int_equal(peer_link(&p, rig.port, SPICE_CHANNEL_MAIN, 0, 0, "s3cret"), SPICE_LINK_ERR_OK);
    peer_expect(&p, SPICE_MSG_MAIN_INIT);
    assert_int_equal(change((struct change){"other", TICKET_FAIL}), -EBUSY);
    assert_int_equal(change((struct change){"", TICKET_KEEP}), -EINVAL);
    assert_int_equal(change((struct change){"other", TICKET_KEEP}), 0);
    assert_int_equal(try_password("s3cret", false), SPICE_LINK_ERR_PERMISSION_DENIED);
    assert_int_equal(try_password("other", false), SPICE_LINK_ERR_OK);
    assert_false(peer_closed(p.fd, 100));
    assert_int_equal(change((struct change){"third", TICKET_DISCONNECT}), 0);
    assert_true(peer_closed(p.fd, 2000));
    assert_int_equal(try_password("third", false), SPICE_LINK_ERR_OK);
    assert_int_equal(change((struct change){.expires = time(NULL)}), 0);
    assert_int_equal(try_password("third", false), SPICE_LINK_ERR_PERMISSION_DENIED);
    assert_int_equal(change((struct change){.expires = time(NULL) + 1000}), 0);
    assert_int_equal(try_password("third", false), SPICE_LINK_ERR_OK);
    peer_close(&p);
}

/* A machine that asked for none asks for one from here on. */
static void test_first_password(void **state UNUSED)
{
    assert_int_equal(change((struct change){.expires = INT64_MAX}), -EINVAL);
    assert_int_equal(try_password("", false), SPICE_LINK_ERR_OK);
    assert_int_equal(change((struct change){"now", TICKET_KEEP}), 0);
    assert_int_equal(try_password("", false), SPICE_LINK_ERR_PERMISSION_DENIED);
    assert_int_equal(try_password("now", false), SPICE_LINK_ERR_OK);
}

/* How long it is remembered, and of whom. */
static void test_guesses(void **state UNUSED)
{
    static struct guesses g;
    const uint64_t second = 1000000000;
    uint64_t now_ns = 1000 * second;
    char peer[64];

    for (unsigned i = 0; i < GUESSES_MAX; i++) {
        assert_true(guesses_allowed(&g, "192.0.2.1:1000", now_ns));
        assert_int_equal(guesses_wrong(&g, "192.0.2.1:2000", now_ns), i + 1);
        now_ns += second;
    }
    assert_false(guesses_allowed(&g, "192.0.2.1:3000", now_ns));
    assert_false(guesses_allowed(&g, "::ffff:192.0.2.1:3000", now_ns));
    assert_true(guesses_allowed(&g, "192.0.2.2:1000", now_ns));
    assert_true(guesses_allowed(&g, "unix", now_ns));
    assert_false(guesses_allowed(&g, "192.0.2.1:3000", now_ns + 49 * second));
    assert_true(guesses_allowed(&g, "192.0.2.1:3000", now_ns + 50 * second)); /* the first is forgotten */
    for (unsigned i = 0; i < GUESSES_MAX; i++) {
        snprintf(peer, sizeof(peer), "2001:db8:0:1::%x:5000", i + 1);
        guesses_wrong(&g, peer, now_ns);
    }
    assert_false(guesses_allowed(&g, "2001:db8:0:1:a:b:c:d:1", now_ns));
    assert_true(guesses_allowed(&g, "2001:db8:0:2::1:1", now_ns));
    for (unsigned i = 0; i < GUESSES_ADDRESSES - 1; i++) { /* more than there is room for, with the two */
        snprintf(peer, sizeof(peer), "198.51.100.%u:1", i);
        assert_int_equal(guesses_wrong(&g, peer, now_ns + 1), 1);
    }
    assert_true(guesses_allowed(&g, "192.0.2.1:3000", now_ns)); /* the longest ago */
    assert_false(guesses_allowed(&g, "2001:db8:0:1::1:1", now_ns));
}

static void test_bad_ticket(void **state UNUSED)
{
    static const uint8_t auth[4] = {SPICE_COMMON_CAP_AUTH_SPICE},
                         sasl[4] = {SPICE_COMMON_CAP_AUTH_SASL};
    uint8_t garbage[128], result[4];
    struct spice_link_reply reply;
    struct peer p = {0};

    memset(garbage, 0x5a, sizeof(garbage));
    link_until_reply(&p, &reply);
    peer_write(p.fd, auth, 4);
    peer_write(p.fd, garbage, sizeof(garbage));
    assert_true(peer_read_bytes(p.fd, result, 4));
    assert_int_equal(load_le32(result), SPICE_LINK_ERR_PERMISSION_DENIED);
    peer_close(&p);
    link_until_reply(&p, &reply);
    peer_write(p.fd, sasl, 4);
    assert_true(peer_read_bytes(p.fd, result, 4));
    assert_int_equal(load_le32(result), SPICE_LINK_ERR_INVALID_DATA);
    assert_true(peer_closed(p.fd, 2000));
    peer_close(&p);
}

static int connect_unix(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    strcpy(a.sun_path, path);
    if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
        return fd;
    close(fd);
    return -1;
}

/* A client that goes after so many bytes that it says, or, having said all, hears; false: there is no more of those. */
static bool cut_saying(unsigned channel, uint32_t session, size_t limit)
{
    struct peer p = {.channel = channel, .fd = peer_connect(rig.port)};
    bool all = opening_say(&p, session, "s3cret", limit);

    peer_close(&p);
    return !all;
}

static bool cut_hearing(unsigned channel, uint32_t session, size_t count)
{
    struct peer p = {.channel = channel, .fd = peer_connect(rig.port)};
    bool heard;

    assert_true(opening_say(&p, session, "s3cret", SIZE_MAX));
    heard = opening_hear(&p, count);
    peer_close(&p);
    return heard && count < HEARD;
}

static const struct {
    const char *name;
    bool (*cut)(unsigned channel, uint32_t session, size_t at);
} cuts[] = {{"said", cut_saying}, {"heard", cut_hearing}};

/* Every channel, after each byte: nothing stays open, and who is there goes on. */
static void test_cut_channels(void **state UNUSED)
{
    const struct spice_msgc_main_mouse_mode_request request = {SPICE_MOUSE_MODE_SERVER};
    const struct spice_msg_main_init *init;
    struct peer friend = {0};
    uint32_t session;
    int before;

    fake_display_draw(&rig.display, "mixed");
    fake_display_take_heads(&rig.display, 1); /* so that there is an agent */
    assert_int_equal(peer_link(&friend, rig.port, SPICE_CHANNEL_MAIN, 0, 0, "s3cret"), SPICE_LINK_ERR_OK);
    init = peer_expect(&friend, SPICE_MSG_MAIN_INIT);
    session = init->session_id;
    before = open_descriptors();
    for (size_t i = 0; i < ARRAY_SIZE(opening_channels) * ARRAY_SIZE(cuts); i++) {
        unsigned channel = opening_channels[i / ARRAY_SIZE(cuts)];
        size_t at = 0;

        while (cuts[i % ARRAY_SIZE(cuts)].cut(channel, session, at))
            at++;
        print_message("%s: %zu bytes %s\n", spice_channel_name(channel), at, cuts[i % ARRAY_SIZE(cuts)].name);
    }
    expect_descriptors(before);
    peer_send(&friend, SPICE_MSGC_MAIN_MOUSE_MODE_REQUEST, &request);
    peer_expect(&friend, SPICE_MSG_MAIN_MOUSE_MODE);
    peer_close(&friend);
}

/* --- SASL, which unix sockets may use without TLS --- */

static char socket_path[64];

static int start_sasl(void **state UNUSED)
{
    snprintf(socket_path, sizeof(socket_path), "/tmp/test-server-sasl-%d", getpid());
    rig_start(&rig, &(struct spice_config){.sasl = true, .sasl_database = "/dev/null", .unix_path = socket_path});
    return 0;
}

/* A connection that has chosen SASL and read the mechanisms. */
static int choose_sasl(void)
{
    static const uint8_t sasl[4] = {SPICE_COMMON_CAP_AUTH_SASL};
    struct peer p = {.channel = SPICE_CHANNEL_MAIN, .fd = connect_unix(socket_path)};
    char names[1024] = "";
    struct spice_link_reply reply;
    uint8_t size[4];
    struct writer w;

    writer_init(&w, 1000);
    peer_link_message(&p, 0, 0, &w);
    assert_true(peer_write(p.fd, w.data, w.size));
    writer_fini(&w);
    assert_int_equal(peer_read_reply(p.fd, &reply), SPICE_LINK_ERR_OK);
    peer_write(p.fd, sasl, 4);
    assert_true(peer_read_bytes(p.fd, size, 4));
    assert_in_range(load_le32(size), 1, sizeof(names) - 1);
    assert_true(peer_read_bytes(p.fd, names, load_le32(size)));
    assert_non_null(strstr(names, "SCRAM-SHA-256"));
    assert_null(strstr(names, "GSSAPI")); /* who is offered it cannot choose another thing */
    return p.fd;
}

/* What a client says next; the connection ends. */
static void expect_no_sasl(const void *bytes, size_t size)
{
    int fd = choose_sasl();

    peer_write(fd, bytes, size);
    shutdown(fd, SHUT_WR);
    assert_true(peer_closed(fd, 3000));
    close(fd);
}

#define EXPECT_NO_SASL(text) expect_no_sasl(text, sizeof(text) - 1)
#define SCRAM "\15\0\0\0SCRAM-SHA-256"

static void test_bad_sasl(void **state UNUSED)
{
    static const char long_data[] = SCRAM "\1\0\1\0", whole[] = SCRAM "\13\0\0\0n,,n=a,r=bc\0";

    EXPECT_NO_SASL("\0\0\0\0");
    EXPECT_NO_SASL("\101\0\0\0");
    EXPECT_NO_SASL("\377\377\377\377");
    EXPECT_NO_SASL(SCRAM "\377\377\377\377");
    expect_no_sasl(long_data, sizeof(long_data) - 1);
    EXPECT_NO_SASL(SCRAM "\0\0\0\0");
    EXPECT_NO_SASL(SCRAM "\5\0\0\0junk\0");
    EXPECT_NO_SASL("\7\0\0\0UNKNOWN\0\0\0\0");
    for (size_t size = 0; size < sizeof(whole); size += 3)
        expect_no_sasl(whole, size);
}

/* Without SASL there is only a ticket, which here nobody can have. */
static void test_no_ticket(void **state UNUSED)
{
    struct peer p = {0};

    assert_int_equal(peer_link(&p, rig.port, SPICE_CHANNEL_MAIN, 0, 0, ""), SPICE_LINK_ERR_NEED_SECURED);
    peer_close(&p);
}

/* Without a password the channel begins at once; the ticket, in pieces, is skipped when it comes. */
static void check_no_password(bool no_selection)
{
    const struct spice_msgc_main_mouse_mode_request request = {SPICE_MOUSE_MODE_SERVER};
    const size_t size = 128 + (no_selection ? 0 : 4);
    struct peer p = {.no_selection = no_selection};
    uint8_t garbage[132], result[4];
    struct spice_link_reply reply;

    memset(garbage, 0x5a, sizeof(garbage));
    link_until_reply(&p, &reply);
    assert_true(peer_read_bytes(p.fd, result, 4));
    assert_int_equal(load_le32(result), SPICE_LINK_ERR_OK);
    peer_expect(&p, SPICE_MSG_MAIN_INIT);
    for (size_t at = 0; at < size; at += 33) {
        peer_write(p.fd, garbage + at, MIN(33, size - at));
        usleep(2000);
    }
    peer_send(&p, SPICE_MSGC_MAIN_MOUSE_MODE_REQUEST, &request);
    peer_expect(&p, SPICE_MSG_MAIN_MOUSE_MODE);
    peer_close(&p);
}

static void test_no_password(void **state UNUSED)
{
    check_no_password(false);
    check_no_password(true);
}

/* Two hundred who connect and say nothing: a friend gets in at once, and within the time limit all are gone. */
static void test_half_open(void **state UNUSED)
{
    const struct spice_msgc_main_mouse_mode_request request = {SPICE_MOUSE_MODE_SERVER};
    double start = now();
    struct peer friend = {0};
    int fds[200];

    for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
        fds[i] = peer_connect(rig.port);
        if (i % 2)
            peer_write(fds[i], "REDQ\2", 5);
    }
    rig_main(&rig, &friend);
    assert_true(now() - start < 1.5);
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
        assert_true(peer_closed(fds[i], MAX(0, (int)((start + 12 - now()) * 1000))));
    assert_true(now() - start < 12);
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
        close(fds[i]);
    peer_send(&friend, SPICE_MSGC_MAIN_MOUSE_MODE_REQUEST, &request);
    peer_expect(&friend, SPICE_MSG_MAIN_MOUSE_MODE);
    peer_close(&friend);
}

/* --- where it listens --- */

struct attempt {
    struct spice_config config;
    struct loop *loop;
    struct input *input;
    struct spice_server *server;
    int err;
};

static void do_create(void *arg)
{
    struct attempt *a = arg;

    a->err = spice_server_create(&a->server, a->loop, &a->config, a->input);
}

static void do_destroy(void *arg)
{
    spice_server_destroy(((struct attempt *)arg)->server);
}

static void expect_refusal(struct spice_config config, int err)
{
    struct attempt a = {.config = config, .loop = &rig.loop, .input = &rig.input};

    rig_call(&rig, do_create, &a);
    assert_int_equal(a.err, err);
    assert_null(a.server);
}

static void test_listen_errors(void **state UNUSED)
{
    char long_path[300];

    memset(long_path, 'x', sizeof(long_path));
    long_path[sizeof(long_path) - 1] = '\0';
    expect_refusal((struct spice_config){.port = rig.port}, -EADDRINUSE);
    expect_refusal((struct spice_config){.listen = "not an address"}, -EINVAL);
    expect_refusal((struct spice_config){.listen = "192.0.2.1"}, -EADDRNOTAVAIL);
    expect_refusal((struct spice_config){.port = -1, .unix_path = long_path}, -ENAMETOOLONG);
    expect_refusal((struct spice_config){.port = -1, .unix_path = "/nonexistent/socket"}, -ENOENT);
    expect_refusal((struct spice_config){.image_compression = "best"}, -EINVAL);
    expect_refusal((struct spice_config){.password = ""}, -EINVAL);
    expect_refusal((struct spice_config){.password = long_path}, -EINVAL);
}

static void test_unix_socket(void **state UNUSED)
{
    char path[64];
    struct attempt a = {.config = {.port = -1, .unix_path = path},
                        .loop = &rig.loop,
                        .input = &rig.input},
                   b = a;
    struct peer p = {.channel = SPICE_CHANNEL_MAIN};
    struct spice_link_reply reply;
    struct writer w;

    snprintf(path, sizeof(path), "/tmp/test-server-%d", getpid());
    rig_call(&rig, do_create, &a);
    assert_int_equal(a.err, 0);
    assert_int_equal(spice_server_port(a.server), -1);
    rig_call(&rig, do_create, &b); /* somebody answers there */
    assert_int_equal(b.err, -EADDRINUSE);
    p.fd = connect_unix(path);
    writer_init(&w, 1000);
    peer_link_message(&p, 0, 0, &w);
    assert_true(peer_write(p.fd, w.data, w.size));
    assert_int_equal(peer_read_reply(p.fd, &reply), SPICE_LINK_ERR_OK);
    writer_fini(&w);
    rig_call(&rig, do_destroy, &a);
    assert_true(peer_closed(p.fd, 2000));
    close(p.fd);
    assert_int_equal(access(path, F_OK), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_malformed, start_plain, stop),
        cmocka_unit_test_setup_teardown(test_channels, start_plain, stop),
        cmocka_unit_test_setup_teardown(test_cut, start_plain, stop),
        cmocka_unit_test_setup_teardown(test_password, start_password, stop),
        cmocka_unit_test_setup_teardown(test_guessing, start_password, stop),
        cmocka_unit_test_setup_teardown(test_no_guess, start_password, stop),
        cmocka_unit_test(test_guesses),
        cmocka_unit_test_setup_teardown(test_replay, start_password, stop),
        cmocka_unit_test_setup_teardown(test_new_password, start_password, stop),
        cmocka_unit_test_setup_teardown(test_first_password, start_plain, stop),
        cmocka_unit_test_setup_teardown(test_bad_ticket, start_password, stop),
        cmocka_unit_test_setup_teardown(test_cut_channels, start_password, stop),
        cmocka_unit_test_setup_teardown(test_bad_sasl, start_sasl, stop),
        cmocka_unit_test_setup_teardown(test_no_ticket, start_sasl, stop),
        cmocka_unit_test_setup_teardown(test_no_password, start_plain, stop),
        cmocka_unit_test_setup_teardown(test_half_open, start_plain, stop),
        cmocka_unit_test_setup_teardown(test_listen_errors, start_plain, stop),
        cmocka_unit_test_setup_teardown(test_unix_socket, start_plain, stop),
    };

    return cmocka_run_group_tests_name("server_link", tests, NULL, NULL);
}
