/* HTTP as far as it is understood, and SPICE in a websocket. */
#include "spice/server/http.h"
#include "tests/lib/spice_rig.h"
#include "tests/lib/websocket_tunnel.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

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

/* --- requests --- */

static struct http_request parsed(const char *text)
{
    struct http_request r;

    assert_int_equal(http_parse(text, strlen(text), &r), strlen(text));
    return r;
}

#define HEAD "GET / HTTP/1.1\r\nHost: a\r\n"
#define ASKS HEAD "Upgrade: h2c, WebSocket\r\nConnection: keep-alive ,upgrade\r\nSec-WebSocket-Key: x\r\n"

static void test_requests(void **state UNUSED)
{
    struct http_request r = parsed("GET /a/b.js?c=d HTTP/1.1\r\nhost:  h:1 \t\r\nORIGIN: http://h:1\r\nX: Host: y\r\n\r\n");

    assert_string_equal(r.path, "/a/b.js");
    assert_string_equal(r.host, "h:1");
    assert_string_equal(r.origin, "http://h:1");
    assert_false(r.upgrade);
    r = parsed(ASKS "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: a, binary\r\n\r\n");
    assert_true(r.upgrade && r.protocols && r.binary);
    r = parsed(ASKS "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: binaries\r\n\r\n");
    assert_true(r.upgrade && r.protocols && !r.binary);
    assert_false(parsed(ASKS "Sec-WebSocket-Version: 8\r\n\r\n").upgrade);
    assert_false(parsed(HEAD "Upgrade: websocket\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n\r\n").upgrade);
    assert_false(parsed(HEAD "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\r\n").upgrade);
}

static void expect_bad(const char *text, ssize_t result)
{
    struct http_request r;

    assert_int_equal(http_parse(text, strlen(text), &r), result);
}

static void test_bad_requests(void **state UNUSED)
{
    static const char zero[] = "GET / HTTP/1.1\r\nHo\0st: a\r\n\r\n";
    char path[1200] = "GET /";
    struct http_request r;

    for (size_t i = 0; i < strlen(HEAD); i++)
        assert_int_equal(http_parse(HEAD "\r\n", i, &r), 0);
    expect_bad("GET / HTTP/1.1\n\n", 0);
    expect_bad("GET x HTTP/1.1\r\n\r\n", -EBADMSG);
    expect_bad("GET /\r\n\r\n", -EBADMSG);
    expect_bad("GET / FTP/1.1\r\n\r\n", -EBADMSG);
    expect_bad("PUT / HTTP/1.1\r\n\r\n", -EBADMSG);
    expect_bad("GET / HTTP/1.1\r\nno colon\r\n\r\n", -EBADMSG);
    assert_int_equal(http_parse(zero, sizeof(zero) - 1, &r), -EBADMSG);
    memset(path + 5, 'x', HTTP_MAX_PATH);
    strcat(path, " HTTP/1.1\r\n\r\n");
    expect_bad(path, -EBADMSG);
    snprintf(path, sizeof(path), HEAD "Host: %0*d\r\n\r\n", HTTP_MAX_HOST, 0);
    expect_bad(path, -EBADMSG);
    snprintf(path, sizeof(path), HEAD "X: %0*d\r\n\r\n", 1024, 0);
    expect_bad(path, -EBADMSG);
}

static bool is_own(const char *host, const char *origin)
{
    struct http_request r = {0};

    strcpy(r.host, host);
    strcpy(r.origin, origin);
    return http_is_own(&r);
}

static void test_own(void **state UNUSED)
{
    assert_true(is_own("", ""));
    assert_true(is_own("127.0.0.1:5902", ""));
    assert_true(is_own("192.0.2.7", "http://192.0.2.7"));
    assert_true(is_own("[2001:db8::1]:80", "https://[2001:db8::1]:80"));
    assert_true(is_own("LocalHost:1", "http://localhost:1"));
    assert_false(is_own("example.org", ""));
    assert_false(is_own("127.0.0.1.example.org:5902", ""));
    assert_false(is_own("[", ""));
    assert_false(is_own("127.0.0.1:5902", "http://127.0.0.1:5903"));
    assert_false(is_own("127.0.0.1:5902", "ftp://127.0.0.1:5902"));
    assert_false(is_own("127.0.0.1:5902", "null"));
    assert_false(is_own("", "http://example.org"));
}

/* --- websockets --- */

static int whole_frames(int port)
{
    return websocket_tunnel(port, &(struct websocket_wish){0});
}

static int crumbs(int port)
{
    return websocket_tunnel(port, &(struct websocket_wish){.frame = 3, .ping = true});
}

static void test_sessions(void **state UNUSED)
{
    rig_check_session(&rig, whole_frames);
    rig_check_session(&rig, crumbs);
}

/* What follows the upgrade; true: the server hangs up. */
static bool hangs_up(const void *bytes, size_t size)
{
    int fd = websocket_open(rig.port);
    bool closed;

    assert_true(peer_write(fd, bytes, size));
    closed = peer_closed(fd, 300);
    close(fd);
    return closed;
}

static bool refuses(uint8_t opcode, const char *text)
{
    uint8_t frame[256];

    return hangs_up(frame, websocket_frame(frame, opcode, text, strlen(text)));
}

static void test_bad_frames(void **state UNUSED)
{
    static const uint8_t unmasked[] = {0x82, 4, 'R', 'E', 'D', 'Q'}, long_ping[] = {0x89, 0xfe, 0, 126, 1, 2, 3, 4},
                         huge[] = {0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4};

    assert_true(refuses(0x81, "REDQ"));         /* text */
    assert_true(refuses(0xc2, "REDQ"));         /* a reserved bit */
    assert_true(refuses(0x83, "REDQ"));         /* a reserved kind */
    assert_true(refuses(0x88, "\3\350"));       /* a close */
    assert_true(refuses(0x82, "GET / HTTP/1.1\r\n\r\n")); /* no websocket in a websocket */
    assert_true(hangs_up(unmasked, sizeof(unmasked)));
    assert_true(hangs_up(long_ping, sizeof(long_ping)));
    assert_true(hangs_up(huge, sizeof(huge)));
    assert_false(refuses(0x82, "REDQ"));
    assert_false(refuses(0x82, ""));
    assert_false(refuses(0x8a, "a pong that nobody asked for"));
}

/* Empty frames without end are read, and others are served meanwhile. */
static void test_empty_frames(void **state UNUSED)
{
    static uint8_t frames[6 * 20000];
    int fd = websocket_open(rig.port);
    size_t size = 0;

    for (int i = 0; i < 20000; i++)
        size += websocket_frame(frames + size, 0x82, NULL, 0);
    assert_true(peer_write(fd, frames, size));
    rig_check_session(&rig, whole_frames);
    close(fd);
}

/* Cut after each byte of what a client sends in frames until it is linked. */
static void test_cut(void **state UNUSED)
{
    int before = open_descriptors();

    for (size_t cut = 1; cut < 80; cut++) {
        struct peer p = {.channel = SPICE_CHANNEL_MAIN,
                         .fd = websocket_tunnel(rig.port, &(struct websocket_wish){.frame = 20, .cut = cut})};
        struct writer w;

        writer_init(&w, 1000);
        peer_link_message(&p, 0, 0, &w);
        peer_write(p.fd, w.data, w.size);
        writer_fini(&w);
        peer_closed(p.fd, 20);
        peer_close(&p);
    }
    expect_descriptors(before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_bad_requests),
        cmocka_unit_test(test_own),
        cmocka_unit_test_setup_teardown(test_sessions, start, stop),
        cmocka_unit_test_setup_teardown(test_bad_frames, start, stop),
        cmocka_unit_test_setup_teardown(test_empty_frames, start, stop),
        cmocka_unit_test_setup_teardown(test_cut, start, stop),
    };

    return cmocka_run_group_tests_name("server_web", tests, NULL, NULL);
}
