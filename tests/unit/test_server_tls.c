/* TLS: which kinds, for which channels, and what a stranger may do to it. */
#include "base/error.h"
#include "tests/lib/opening.h"
#include "tests/lib/spice_rig.h"
#include "tests/lib/tls_tunnel.h"
#include "vmm/certificate.h"

#include <openssl/ssl.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static struct rig rig;
static char folder[] = "/tmp/test-server-tls-XXXXXX";
static struct certificate certificate;

static int make_certificate(void **state UNUSED)
{
    assert_non_null(mkdtemp(folder));
    setenv("XDG_DATA_HOME", folder, 1);
    assert_int_equal(certificate_find(&certificate, NULL), 0);
    return 0;
}

static int remove_certificate(void **state UNUSED)
{
    char path[256];

    unlink(certificate.authority);
    unlink(certificate.server);
    unlink(certificate.key);
    snprintf(path, sizeof(path), "%s/minivm/tls", folder);
    rmdir(path);
    snprintf(path, sizeof(path), "%s/minivm", folder);
    rmdir(path);
    return rmdir(folder);
}

static void start(struct spice_config config)
{
    config.tls_certificate = certificate.server;
    config.tls_key = certificate.key;
    rig_start(&rig, &config);
}

static int start_tls(void **state UNUSED)
{
    start((struct spice_config){0});
    return 0;
}

static int start_plain_display(void **state UNUSED)
{
    start((struct spice_config){.plain_channels = 1u << SPICE_CHANNEL_DISPLAY});
    return 0;
}

static int start_password(void **state UNUSED)
{
    start((struct spice_config){.password = "s3cret"});
    return 0;
}

static int start_without(void **state UNUSED)
{
    rig_start(&rig, NULL);
    return 0;
}

static int stop(void **state UNUSED)
{
    rig_stop(&rig);
    return 0;
}

static int connect_1_2(int port)
{
    return tls_tunnel(port, &(struct tls_wish){.max = TLS1_2_VERSION, .trust = certificate.authority}, NULL);
}

static int connect_1_3(int port)
{
    return tls_tunnel(port, &(struct tls_wish){.min = TLS1_3_VERSION, .trust = certificate.authority}, NULL);
}

static void test_sessions(void **state UNUSED)
{
    rig_check_session(&rig, connect_1_2);
    rig_check_session(&rig, connect_1_3);
}

static void test_password(void **state UNUSED)
{
    struct peer p = {.connect = connect_1_3};

    assert_int_equal(peer_link(&p, rig.port, SPICE_CHANNEL_MAIN, 0, 0, "wrong"), SPICE_LINK_ERR_PERMISSION_DENIED);
    peer_close(&p);
    p = (struct peer){.connect = connect_1_2};
    assert_int_equal(peer_link(&p, rig.port, SPICE_CHANNEL_MAIN, 0, 0, "s3cret"), SPICE_LINK_ERR_OK);
    peer_close(&p);
}

static bool connects(struct tls_wish wish)
{
    int fd = tls_tunnel(rig.port, &wish, NULL);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static void test_versions_and_ciphers(void **state UNUSED)
{
    assert_true(connects((struct tls_wish){.min = TLS1_2_VERSION}));
    assert_true(connects((struct tls_wish){.max = TLS1_2_VERSION, .ciphers = "ECDHE+AESGCM"}));
    assert_false(connects((struct tls_wish){.max = TLS1_1_VERSION, .min = TLS1_VERSION}));
    assert_false(connects((struct tls_wish){.max = TLS1_2_VERSION, .ciphers = "AES128-SHA"}));
    assert_false(connects((struct tls_wish){.max = TLS1_2_VERSION, .ciphers = "ECDHE-ECDSA-AES128-SHA256"}));
    assert_false(connects((struct tls_wish){.max = TLS1_2_VERSION, .ciphers = "aNULL"}));
    assert_false(connects((struct tls_wish){.max = TLS1_2_VERSION, .renegotiate = true}));
}

static unsigned first_error(unsigned channel, uint32_t session)
{
    struct peer p = {.channel = channel};
    struct spice_link_reply reply;
    struct writer w;

    p.fd = peer_connect(rig.port);
    writer_init(&w, 1000);
    peer_link_message(&p, 0, session, &w);
    assert_true(peer_write(p.fd, w.data, w.size));
    writer_fini(&w);
    peer_read_reply(p.fd, &reply);
    peer_close(&p);
    return reply.error;
}

/* Whoever comes in the clear is told so before anything else: not whether the channel or the session exist. */
static void test_clear(void **state UNUSED)
{
    static const unsigned channels[] = {0, SPICE_CHANNEL_MAIN, SPICE_CHANNEL_DISPLAY, SPICE_CHANNEL_INPUTS,
                                        SPICE_CHANNEL_CURSOR, SPICE_CHANNEL_PORT, 32, 33, 34, 255};
    struct peer p = {.connect = connect_1_3};
    uint32_t session = rig_main(&rig, &p);

    for (size_t i = 0; i < ARRAY_SIZE(channels); i++) {
        assert_int_equal(first_error(channels[i], session), SPICE_LINK_ERR_NEED_SECURED);
        assert_int_equal(first_error(channels[i], session + 1), SPICE_LINK_ERR_NEED_SECURED);
    }
    peer_close(&p);
}

static void test_plain_display(void **state UNUSED)
{
    struct peer p = {.connect = connect_1_3}, display = {0};
    struct peer_screen s = {0};
    uint32_t session = rig_main(&rig, &p);

    assert_int_equal(first_error(SPICE_CHANNEL_MAIN, 0), SPICE_LINK_ERR_NEED_SECURED);
    assert_int_equal(first_error(SPICE_CHANNEL_CURSOR, session), SPICE_LINK_ERR_NEED_SECURED);
    rig_join_display(&rig, &display, session);
    fake_display_draw(&rig.display, "text");
    assert_true(rig_catch_up(&rig, &display, &s));
    peer_screen_fini(&s);
    peer_close(&display);
    peer_close(&p);
}

/* Without a certificate it is just not SPICE. */
static void test_none(void **state UNUSED)
{
    assert_false(connects((struct tls_wish){0}));
}

/* The handshake, cut after each byte; -> what it takes, which varies by a few bytes. */
static size_t cut_handshake(struct tls_wish wish)
{
    size_t whole;

    close(tls_tunnel(rig.port, &wish, &whole));
    for (wish.cut = 1; wish.cut < whole; wish.cut++)
        assert_int_equal(tls_tunnel(rig.port, &wish, NULL), -1);
    return whole;
}

/* A client that goes after so many bytes of TLS; false: there is no more that it would say. */
static bool cut_channel(struct tls_wish wish, unsigned channel, uint32_t session)
{
    struct peer p = {.channel = channel, .fd = tls_tunnel(rig.port, &wish, NULL)};
    bool all = p.fd >= 0 && opening_say(&p, session, "", SIZE_MAX) && !peer_closed(p.fd, 50);

    peer_close(&p);
    return !all;
}

/* Cut after each byte that a client sends until its channel works: nothing stays open. */
static void test_cut(void **state UNUSED)
{
    const struct tls_wish old = {.max = TLS1_2_VERSION}, new = {.min = TLS1_3_VERSION};
    struct peer friend = {.connect = connect_1_3};
    uint32_t session = rig_main(&rig, &friend);
    int before = open_descriptors();

    for (size_t i = 0; i < ARRAY_SIZE(opening_channels); i++) {
        struct tls_wish wish = i % 2 ? old : new;

        wish.cut = cut_handshake(wish);
        while (cut_channel(wish, opening_channels[i], session))
            wish.cut++;
        print_message("%s: %zu bytes\n", spice_channel_name(opening_channels[i]), wish.cut);
    }
    expect_descriptors(before);
    peer_close(&friend);
}

/* Who says nonsense, or begins and says no more, is rid of; a friend gets in meanwhile. */
static void test_half_open(void **state UNUSED)
{
    static const char *const beginnings[] = {"\x16", "\x16\3\1", "\x16\3\1\2\0\1", "\x16\3\1\1\0\2nonsense"};
    struct peer friend = {.connect = connect_1_3};
    int fds[100];

    for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
        const char *text = beginnings[i % ARRAY_SIZE(beginnings)];

        fds[i] = peer_connect(rig.port);
        peer_write(fds[i], text, strlen(text));
    }
    rig_main(&rig, &friend);
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
        assert_true(peer_closed(fds[i], 12000));
        close(fds[i]);
    }
    peer_close(&friend);
}

/* --- the certificate --- */

static void test_kept(void **state UNUSED)
{
    char before[CERTIFICATE_PRINT], after[CERTIFICATE_PRINT];
    struct certificate again;

    assert_int_equal(certificate_print(&certificate, before), 0);
    assert_int_equal(certificate_find(&again, NULL), 0);
    assert_int_equal(certificate_print(&again, after), 0);
    assert_string_equal(before, after);
    assert_int_equal(strlen(before), 32 * 3 - 1);
}

struct attempt {
    const char *certificate, *key;
    int err;
};

static void do_create(void *arg)
{
    struct attempt *a = arg;
    const struct spice_config config = {.tls_certificate = a->certificate, .tls_key = a->key};
    struct spice_server *server = NULL;

    a->err = spice_server_create(&server, &rig.loop, &config, &rig.input);
    spice_server_destroy(server);
}

static void test_wrong_files(void **state UNUSED)
{
    struct attempt wrong[] = {{"/nonexistent", certificate.key},
                              {certificate.server, "/nonexistent"},
                              {certificate.key, certificate.key},
                              {certificate.authority, certificate.key}};

    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        rig_call(&rig, do_create, &wrong[i]);
        assert_int_equal(wrong[i].err, -EINVAL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_sessions, start_tls, stop),
        cmocka_unit_test_setup_teardown(test_password, start_password, stop),
        cmocka_unit_test_setup_teardown(test_versions_and_ciphers, start_tls, stop),
        cmocka_unit_test_setup_teardown(test_clear, start_tls, stop),
        cmocka_unit_test_setup_teardown(test_plain_display, start_plain_display, stop),
        cmocka_unit_test_setup_teardown(test_none, start_without, stop),
        cmocka_unit_test_setup_teardown(test_cut, start_tls, stop),
        cmocka_unit_test_setup_teardown(test_half_open, start_tls, stop),
        cmocka_unit_test_setup_teardown(test_kept, start_tls, stop),
        cmocka_unit_test_setup_teardown(test_wrong_files, start_without, stop),
    };

    return cmocka_run_group_tests_name("server_tls", tests, make_certificate, remove_certificate);
}
