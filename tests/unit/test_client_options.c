/* The command line and URIs of the client. */
#include "base/error.h"
#include "base/log.h"
#include "client/options.h"
#include "spice/protocol/messages.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void test_uris(void **state UNUSED)
{
    static const struct {
        const char *uri, *host, *port;
    } good[] = {
        {"spice://127.0.0.1:5902", "127.0.0.1", "5902"},
        {"spice://host.example:1", "host.example", "1"},
        {"spice://host:65535/", "host", "65535"},
        {"spice://host?port=5900", "host", "5900"},
        {"spice://host/?port=5900", "host", "5900"},
        {"spice://[::1]:5902", "::1", "5902"},
        {"spice://[fe80::1]?port=7", "fe80::1", "7"},
    };
    static const char *const bad[] = {
        "",
        "http://host:1",
        "spice:",
        "spice://",
        "spice://:5902",
        "spice://host:",
        "spice://host:0",
        "spice://host:65536",
        "spice://host:12x",
        "spice://host:-1",
        "spice://host: 1",
        "spice://[::1:5902",
        "spice://[]:5902",
        "spice://host:1/path",
        "spice://host:1x",
        "spice+unix://",
        "spice://host:99999999999999999999",
    };

    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        struct client_options o = {0};

        assert_int_equal(client_options_parse_uri(&o, good[i].uri), 0);
        assert_string_equal(o.host, good[i].host);
        assert_string_equal(o.port, good[i].port);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct client_options o = {0};

        assert_int_equal(client_options_parse_uri(&o, bad[i]), -EINVAL);
        assert_true(fail_text()[0]);
    }
}

static void test_tls_uris(void **state UNUSED)
{
    static const struct {
        const char *uri, *host, *port, *tls_port, *password;
    } good[] = {
        {"spice+tls://[::1]:5903", "::1", "", "5903", ""},
        {"spice+tls://host?tls-port=5903", "host", "", "5903", ""},
        {"spice://host?port=5900&tls-port=5901", "host", "5900", "5901", ""},
        {"spice://host:5900/?tls-port=5901&password=a+b", "host", "5900", "5901", "a+b"},
    };
    static const char *const bad[] = {"spice+tls://", "spice+tls://h:0", "spice://h?tls-port=", "spice://h?tls-port=99999",
                                      "spice://h:1?user=x", "spice://h?password=&port=1", "tls://h:1"};

    log_set_level(LOG_ERROR);
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        struct client_options o = {0};

        assert_int_equal(client_options_parse_uri(&o, good[i].uri), 0);
        assert_string_equal(o.host, good[i].host);
        assert_string_equal(o.port, good[i].port);
        assert_string_equal(o.tls_port, good[i].tls_port);
        assert_string_equal(o.password, good[i].password);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(client_options_parse_uri(&(struct client_options){0}, bad[i]), -EINVAL);
}

static int parse(struct client_options *o, const char *line)
{
    char copy[256], *argv[16] = {"minivm-client"};
    int argc = 1;

    snprintf(copy, sizeof(copy), "%s", line);
    for (char *word = strtok(copy, " "); word; word = strtok(NULL, " "))
        argv[argc++] = word;
    /* Options keep pointers into argv: look only at copies and flags afterwards. */
    return client_options_parse(o, argc, argv);
}

/* Which channels go by TLS. */
static void test_secure_channels(void **state UNUSED)
{
    static const struct {
        const char *line;
        bool main, inputs;
    } lines[] = {
        {"--port 1", false, false},
        {"--tls-port 2", true, true},
        {"--port 1 --tls-port 2", true, true},
        {"--port 1 --tls-port 2 --secure-channels main", true, false},
        {"--port 1 --tls-port 2 --secure-channels inputs,display", false, true},
        {"--port 1 --tls-port 2 --secure-channels all", true, true},
        {"--tls-port 2 --secure-channels main", true, true},
    };
    struct client_options o;

    for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
        assert_int_equal(parse(&o, lines[i].line), 0);
        assert_int_equal(client_options_secure(&o, SPICE_CHANNEL_MAIN), lines[i].main);
        assert_int_equal(client_options_secure(&o, SPICE_CHANNEL_INPUTS), lines[i].inputs);
    }
}

static void test_long_names(void **state UNUSED)
{
    struct client_options o = {0};
    char uri[700];

    snprintf(uri, sizeof(uri), "spice://%0300d:1", 0);
    assert_int_equal(client_options_parse_uri(&o, uri), -EINVAL);
    snprintf(uri, sizeof(uri), "spice+unix:///%0200d", 0);
    assert_int_equal(client_options_parse_uri(&o, uri), -EINVAL);
    assert_int_equal(client_options_parse_uri(&o, "spice+unix:///run/x.sock"), 0);
    assert_string_equal(o.unix_path, "/run/x.sock");
}

static void test_lines(void **state UNUSED)
{
    struct client_options o;

    assert_int_equal(parse(&o, "--headless --stats --exit-after 2.5 spice://h:1"), 0);
    assert_true(o.headless && o.stats && o.exit_after > 2.4 && o.exit_after < 2.6);
    assert_string_equal(o.host, "h");
    assert_int_equal(parse(&o, "--port 5"), 0);
    assert_string_equal(o.host, "127.0.0.1");
    assert_string_equal(o.port, "5");
    assert_int_equal(parse(&o, "--host x --port 5 --screenshot f.png"), 0);
    assert_string_equal(o.host, "x");
    assert_non_null(o.screenshot);
}

static void test_bad_lines(void **state UNUSED)
{
    static const char *const bad[] = {
        "",
        "--nothing",
        "--port",
        "--port x",
        "--host h",
        "--exit-after -1 --port 1",
        "--exit-after x --port 1",
        "--exit-after nan --port 1",
        "--exit-after 1e99 --port 1",
        "spice://a:1 spice://b:1",
        "--headless",
        "--tls-port 70000",
        "--port 1 --secure-channels main",
        "--port 1 --tls-port 2 --secure-channels mian",
        "--port 1 --proxy https://p:1",
        "--port 1 --proxy http://p:x",
        "--port 1 --proxy http://",
    };
    struct client_options o;

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_int_equal(parse(&o, bad[i]), -EINVAL);
        assert_true(fail_text()[0]);
    }
}

static int parse_password(struct client_options *o, const char *content)
{
    char path[] = "/tmp/minivm-test-XXXXXX", line[64];
    int fd = mkstemp(path), err;

    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, strlen(content)), (ssize_t)strlen(content));
    close(fd);
    snprintf(line, sizeof(line), "--port 1 --password-file %s", path);
    err = parse(o, line);
    unlink(path);
    return err;
}

static void test_password(void **state UNUSED)
{
    struct client_options o;
    char longest[sizeof(o.password) + 1];

    assert_int_equal(parse_password(&o, "secret\nmore\n"), 0);
    assert_string_equal(o.password, "secret");
    assert_int_equal(parse_password(&o, "with space\r\n"), 0);
    assert_string_equal(o.password, "with space");
    memset(longest, 'x', sizeof(longest));
    longest[sizeof(longest) - 1] = '\0';
    assert_int_equal(parse_password(&o, longest), -EMSGSIZE);
    longest[sizeof(longest) - 2] = '\0';
    assert_int_equal(parse_password(&o, longest), 0);
    assert_int_equal(parse_password(&o, ""), -ENODATA);
    assert_int_equal(parse_password(&o, "\n"), -ENODATA);
    assert_int_equal(parse(&o, "--port 1 --password-file /nonexistent/file"), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_uris),     cmocka_unit_test(test_tls_uris),
        cmocka_unit_test(test_secure_channels), cmocka_unit_test(test_long_names),
        cmocka_unit_test(test_lines),    cmocka_unit_test(test_bad_lines),
        cmocka_unit_test(test_password),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
