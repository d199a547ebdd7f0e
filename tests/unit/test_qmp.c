/* test_qmp.c - the protocol of --control, as its clients speak it: whole, in pieces, wrongly. */
#include "base/error.h"
#include "vmm/qmp.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#undef fail /* cmocka's; ours is meant */

struct fixture {
    struct loop loop;
    struct qmp *qmp;
    int fd;
    char answer[8192];
    unsigned runs;
};

static int echo(void *opaque, const json_t *arguments, json_t **result)
{
    ((struct fixture *)opaque)->runs++;
    *result = json_deep_copy(arguments);
    return 0;
}

static int later(void *opaque UNUSED, const json_t *arguments UNUSED, json_t **result UNUSED)
{
    return QMP_LATER;
}

static int missing(void *opaque UNUSED, const json_t *arguments UNUSED, json_t **result UNUSED)
{
    return fail(-ENODEV, "Device 'x' not found");
}

static const struct qmp_command commands[] = {
    {"echo", "text:s number:i? flag:b?", echo},
    {"later", "", later},
    {"missing", "", missing},
};

static void turn(struct fixture *f)
{
    int i;

    for (i = 0; i < 4; i++)
        uv_run(&f->loop.uv, UV_RUN_NOWAIT);
}

/* What has come since the last call. */
static const char *heard(struct fixture *f)
{
    ssize_t n;

    turn(f);
    n = recv(f->fd, f->answer, sizeof(f->answer) - 1, MSG_DONTWAIT);
    f->answer[n > 0 ? n : 0] = 0;
    return f->answer;
}

static const char *ask(struct fixture *f, const char *text)
{
    assert_int_equal(send(f->fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
    return heard(f);
}

#define assert_says(text, part)                                                                    \
    do {                                                                                           \
        const char *said = text;                                                                   \
        if (!strstr(said, part))                                                                   \
            print_message("expected %s in: %s\n", part, said);                                     \
        assert_non_null(strstr(said, part));                                                       \
    } while (0)

static void add_client(struct fixture *f)
{
    int ends[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    f->fd = ends[0];
    qmp_accept(f->qmp, ends[1]);
    assert_says(heard(f), "{\"QMP\":{\"version\":{\"qemu\":");
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    loop_init(&f->loop);
    assert_int_equal(qmp_create(&f->qmp, &f->loop, NULL, commands, ARRAY_SIZE(commands), f), 0);
    add_client(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    close(f->fd);
    qmp_destroy(f->qmp);
    loop_fini(&f->loop);
    free(f);
    return 0;
}

static void negotiate(struct fixture *f)
{
    assert_string_equal(ask(f, "{\"execute\":\"qmp_capabilities\"}"), "{\"return\":{}}\r\n");
}

static void test_negotiation(void **state)
{
    struct fixture *f = *state;

    assert_says(ask(f, "{\"execute\":\"echo\",\"arguments\":{\"text\":\"a\"}}"), "CommandNotFound");
    assert_int_equal(f->runs, 0);
    qmp_event(f->qmp, "STOP", NULL);
    assert_string_equal(heard(f), "");
    negotiate(f);
    qmp_event(f->qmp, "STOP", json_pack("{s:i}", "n", 1));
    assert_says(heard(f), "\"event\":\"STOP\",\"data\":{\"n\":1}}\r\n");
    assert_says(ask(f, "{\"execute\":\"query-commands\"}"), "{\"name\":\"echo\"}");
    assert_says(ask(f, "{\"execute\":\"query-version\"}"), "\"package\":\"minivm\"");
}

static void test_commands(void **state)
{
    struct fixture *f = *state;

    negotiate(f);
    assert_string_equal(ask(f, "{\"execute\":\"echo\",\"arguments\":{\"text\":\"}{\\\"\"},\"id\":{\"a\":[1]}}"),
                        "{\"return\":{\"text\":\"}{\\\"\"},\"id\":{\"a\":[1]}}\r\n");
    assert_string_equal(ask(f, "{\"execute\":\"ec"), "");
    assert_says(ask(f, "ho\",\"arguments\":{\"text\":\"b\",\"number\":5,\"flag\":true}}"), "\"number\":5");
    assert_says(ask(f, "{\"execute\":\"missing\"} {\"execute\":\"echo\",\"arguments\":{\"text\":\"2nd\"}}"), "2nd");
    assert_says(f->answer, "{\"error\":{\"class\":\"DeviceNotFound\",\"desc\":\"Device 'x' not found\"}}");
}

static void test_arguments(void **state)
{
    static const struct {
        const char *arguments, *says;
    } cases[] = {
        {"{}", "Parameter 'text' is missing"},
        {"{\"text\":1}", "Invalid parameter type for 'text', expected: string"},
        {"{\"text\":\"a\",\"number\":\"1\"}", "Invalid parameter type for 'number', expected: integer"},
        {"{\"text\":\"a\",\"flag\":0}", "Invalid parameter type for 'flag', expected: boolean"},
        {"{\"text\":\"a\",\"more\":0}", "Parameter 'more' is unexpected"},
        {"{\"text\":\"a\",\"tex\":0}", "Parameter 'tex' is unexpected"},
        {"[]", "must be an object"},
        {"{\"text\":\"a\",\"text\":\"b\"}", "parse error"},
    };
    struct fixture *f = *state;
    char command[256];
    size_t i;

    negotiate(f);
    for (i = 0; i < ARRAY_SIZE(cases); i++) {
        snprintf(command, sizeof(command), "{\"execute\":\"echo\",\"arguments\":%s}", cases[i].arguments);
        assert_says(ask(f, command), cases[i].says);
    }
    assert_int_equal(f->runs, 0);
}

static void test_nonsense(void **state)
{
    struct fixture *f = *state;
    char *large = malloc(QMP_MAX_COMMAND + 100);
    size_t i;

    negotiate(f);
    assert_says(ask(f, "hello\n"), "parse error");
    assert_says(ask(f, "[1, 2]"), "parse error");
    assert_says(ask(f, "{\"execute\":5}"), "lacks member 'execute'");
    assert_says(ask(f, "{\"execute\":\"nothing\"}"), "The command nothing has not been found");
    assert_string_equal(ask(f, "{\"execute\":\"echo"), "");
    assert_says(ask(f, "\xff{\"execute\":\"query-version\"}"), "\"return\"");
    memset(large, ' ', QMP_MAX_COMMAND + 100);
    large[0] = '{';
    strcpy(large + QMP_MAX_COMMAND + 90, "}");
    for (i = 0; i < QMP_MAX_COMMAND + 91; i += 4096) {
        send(f->fd, large + i, MIN(4096, QMP_MAX_COMMAND + 91 - i), 0);
        turn(f);
    }
    assert_says(heard(f), "too long");
    assert_says(ask(f, "{\"execute\":\"query-version\"}"), "\"return\"");
    free(large);
}

static void test_answer_later(void **state)
{
    struct fixture *f = *state;

    negotiate(f);
    assert_string_equal(ask(f, "{\"execute\":\"later\",\"id\":7}"), "");
    qmp_answer(f->qmp, 0);
    assert_string_equal(heard(f), "{\"return\":{},\"id\":7}\r\n");
    qmp_answer(f->qmp, 0);
    assert_string_equal(ask(f, "{\"execute\":\"later\"}"), "");
    qmp_answer(f->qmp, fail(-EIO, "it broke"));
    assert_says(heard(f), "{\"error\":{\"class\":\"GenericError\",\"desc\":\"it broke\"}}");
}

/* Clients that leave, too many of them, and one that never reads. */
static void test_clients(void **state)
{
    struct fixture *f = *state;
    char byte;
    int i, ends[2], fds[QMP_MAX_CLIENTS];
    ssize_t n;

    negotiate(f);
    for (i = 0; i < QMP_MAX_CLIENTS; i++) {
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
        fds[i] = ends[0];
        qmp_accept(f->qmp, ends[1]);
    }
    turn(f);
    while (recv(fds[QMP_MAX_CLIENTS - 1], &byte, 1, 0) > 0) /* the last found no room */
        assert_int_equal(byte, 0);
    for (i = 0; i < QMP_MAX_CLIENTS; i++)
        close(fds[i]);
    turn(f);
    for (i = 0; i < 30000; i++)
        qmp_event(f->qmp, "STOP", NULL);
    turn(f);
    while ((n = recv(f->fd, f->answer, sizeof(f->answer), MSG_DONTWAIT)) > 0)
        ;
    assert_int_equal(n, 0); /* it was dropped */
    close(f->fd);
    add_client(f);
    negotiate(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_negotiation, setup, teardown),
        cmocka_unit_test_setup_teardown(test_commands, setup, teardown),
        cmocka_unit_test_setup_teardown(test_arguments, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nonsense, setup, teardown),
        cmocka_unit_test_setup_teardown(test_answer_later, setup, teardown),
        cmocka_unit_test_setup_teardown(test_clients, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
